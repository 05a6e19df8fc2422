"""Tests of ASCII folding."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from pointstore.text.folding import fold


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("café", "cafe"),
        ("Straße", "Strasse"),
        ("ﬁx", "fix"),
        ("Øre łódź þing Æon ŉ", "Ore lodz thing AEon n"),
        ("Ƹ \u0294 …", "Ƹ \u0294 …"),
        ("ＡＢ①", "AB1"),
        ("plain", "plain"),
        ("Привет 日本語 のカ", "Привет 日本語 のカ"),
        ("Ελλάδα हिन्दी ½", "Ελλάδα हिन्दी ½"),
    ],
)
def test_only_latin_is_folded(text: str, folded: str) -> None:
    assert fold(text) == folded


def test_every_letter_named_latin_becomes_ascii_or_stays() -> None:
    letters = (chr(number) for number in range(sys.maxunicode + 1))
    latin = [letter for letter in letters if unicodedata.name(letter, "").startswith("LATIN SMALL LETTER")]
    assert len(latin) > 500
    assert all(fold(letter).isascii() or fold(letter) == letter for letter in latin)
    assert all(fold(letter).isascii() for letter in latin if "WITH" in unicodedata.name(letter))
