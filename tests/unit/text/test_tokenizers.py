"""Tests of cutting texts against the tables of the specification (part 2, 8.4)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointstore.text.tokenizers import code_parts, code_words, multilingual, pieces, words


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("foo-bar_baz", ["foo", "bar", "baz"]),
        ("it's", ["it", "s"]),
        ("hello, big  world!", ["hello", "big", "world"]),
        ("Été 2024 ½", ["Été", "2024", "½"]),
        ("日本語を勉強", ["日本語を勉強"]),
        ("cafe\u0301s", ["cafe", "s"]),
        ("की Ⓐ", ["की", "Ⓐ"]),
        ("", []),
        (" !!! ", []),
    ],
)
def test_words(text: str, tokens: list[str]) -> None:
    assert words(text) == tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("hello, big\tworld!\n", ["hello,", "big", "world!"]),
        ("a\u00a0b\u3000c\u0085d", ["a", "b", "c", "d"]),
        ("a\x1cb\u200bc", ["a\x1cb\u200bc"]),
        ("a\x1cb", ["a\x1cb"]),
        ("  ", []),
    ],
)
def test_pieces(text: str, tokens: list[str]) -> None:
    assert pieces(text) == tokens


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Café AU lait", ["cafe", "au", "lait"]),
        ("cafe\u0301s", ["cafes"]),
        ("Straße", ["straße"]),
        ("ÅNGSTRÖM İstanbul", ["angstrom", "istanbul"]),
        ("5 2024 abc123 ١٢", ["abc123"]),
        ("HTTP 404 page-1", ["http", "page"]),
        ("foo-bar_baz", ["foo", "bar", "baz"]),
        ("Привет, МИР", ["привет", "мир"]),
        ("한국어 텍스트", ["한국어", "텍스트"]),
        ("नमस्ते दुनिया", ["नमस्ते", "दुनिया"]),
        ("中文分词测试", ["中文", "分词", "测试"]),
        ("日本語を勉強", ["日本語", "を", "勉強"]),
        ("ﾃﾞｰﾀﾍﾞｰｽ検索 (SQL)", ["データベース", "検索", "sql"]),
        ("สวัสดีครับ", ["สวัสดี", "ครับ"]),
        ("😀 中文 a", ["中文", "a"]),
    ],
)
def test_multilingual(text: str, tokens: list[str]) -> None:
    assert multilingual(text) == tokens


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("fooBar", ["foo", "Bar"]),
        ("A1B2", ["A1", "B2"]),
        ("HTTPServer", ["HTTP", "Server"]),
        ("ABcD", ["A", "Bc", "D"]),
        ("IDs", ["IDs"]),
        ("IDs2", ["IDs2"]),
        ("userIDs", ["user", "IDs"]),
        ("URLsList", ["URLs", "List"]),
        ("IDss", ["I", "Dss"]),
        ("As", ["As"]),
        ("ab12", ["ab12"]),
        ("Ab12Cd", ["Ab12", "Cd"]),
        ("utf8", ["utf8"]),
        ("ÉtéÀParis", ["Été", "À", "Paris"]),
        ("日本語", ["日本語"]),
        ("日本API", ["日本", "API"]),
        ("1_000", ["1000"]),
        ("0xFF_aB", ["0xFFaB"]),
        ("3DModel", ["3DModel"]),
        ("_3DModel", ["3", "D", "Model"]),
        ("__init__", ["init"]),
        ("__", []),
    ],
)
def test_code_parts(word: str, parts: list[str]) -> None:
    assert code_parts(word)[0] == parts


@pytest.mark.parametrize(
    ("word", "joined"),
    [
        ("getHTTPResponse", ["getHTTPResponse"]),
        ("snake_case_name", ["snakecasename"]),
        ("get_HTTPResponse_v2", ["HTTPResponse", "getHTTPResponsev2"]),
        ("__init__", []),
        ("1_000", []),
        ("word", []),
    ],
)
def test_joined_parts(word: str, joined: list[str]) -> None:
    assert code_parts(word)[1] == joined


def test_code_words() -> None:
    assert code_words("foo.bar::baz(1, x2) $a-b_c it's é_ü") == [
        *("foo", "bar", "baz", "1", "x2", "a", "b_c", "it", "s", "é_ü"),
    ]


@given(st.text(st.characters(max_codepoint=127)))
def test_the_short_way_of_ascii_changes_nothing(text: str) -> None:
    for cut in (words, pieces, multilingual, code_words):
        # A letter of another script, put apart from the text, takes it off the short way.
        assert cut(text) == cut(f"{text} я")[:-1]


@given(st.text(st.sampled_from("aAbB1_sS")).filter(bool))
def test_code_parts_are_the_word_without_underscores(word: str) -> None:
    parts, joined = code_parts(word)
    assert "".join(parts) == word.replace("_", "")
    assert set(joined) <= {*word.split("_"), word.replace("_", "")}
