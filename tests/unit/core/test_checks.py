"""The word tokenizer (specification part 2, 8.1 and 8.4)."""

from __future__ import annotations

import pytest

from pointstore.core.checks import words


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("foo-bar_baz", ["foo", "bar", "baz"]),
        ("it's", ["it", "s"]),
        ("Hello, big WORLD!", ["hello", "big", "world"]),
        ("日本語を勉強", ["日本語を勉強"]),
        ("Straße ÉTÉ", ["straße", "été"]),
        # A combining accent cuts, a vowel sign does not.
        ("e\u0301te\u0301", ["e", "te"]),
        ("हिन्दी", ["हिन", "दी"]),
        ("x²½ⅷⒶ", ["x²½ⅷⓐ"]),
        # Cut before it is lowered: the lower case of this letter ends in a combining dot.
        ("İstanbul", ["i\u0307stanbul"]),
        ("ΟΔΟΣ", ["οδος"]),
        ("", []),
        (" _!? ", []),
    ],
)
def test_words(text: str, tokens: list[str]) -> None:
    assert words(text) == tokens
