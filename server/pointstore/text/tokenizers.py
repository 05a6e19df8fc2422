"""Cutting texts into raw tokens (specification part 2, 8.4).

Alphanumeric means the Unicode property Alphabetic or a numeric category, as in payload paths. Texts in ASCII, which
most are, take a shorter way to the same result.
"""

from __future__ import annotations

import re
from enum import IntEnum
from unicodedata import normalize

import regex


class Tokenizer(IntEnum):
    """Tokenizers as the protocol numbers them."""

    PREFIX = 1
    WHITESPACE = 2
    WORD = 3
    MULTILINGUAL = 4
    CODE = 5


_ASCII_WORDS = re.compile("[0-9A-Za-z]+")
_WORDS = regex.compile(r"[\p{Alphabetic}\p{N}]+")

_ASCII_PIECES = re.compile("[^\t-\r ]+")
_PIECES = regex.compile(r"\P{White_Space}+")

_MARKED_WORDS = regex.compile(r"[\p{Alphabetic}\p{N}\p{M}]+")
_MARKS_OF_LATIN = regex.compile(r"(\p{Latin})\p{Mn}+")
_ALPHABETIC = regex.compile(r"\p{Alphabetic}")
_WITHOUT_SPACES = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")

_ASCII_CODE_WORDS = re.compile("[0-9A-Z_a-z]+")
_CODE_WORDS = regex.compile(r"[\p{Alphabetic}\p{N}_]+")
_CASE_CHANGES = regex.compile(
    r"""
    (?<=\P{Uppercase})(?=\p{Uppercase})              # letters without case count as lower
    | (?<=\p{Uppercase})(?=\p{Uppercase}[^\p{Uppercase}\p{N}])
      (?!\p{Uppercase}s(?:\Z|[\p{Uppercase}\p{N}]))   # the plural of an acronym
    """,
    regex.VERBOSE | regex.VERSION1,
)


def words(text: str) -> list[str]:
    """Cut at every character that is not alphanumeric."""
    return _ASCII_WORDS.findall(text) if text.isascii() else _WORDS.findall(text)


def pieces(text: str) -> list[str]:
    """Cut at Unicode white space."""
    return _ASCII_PIECES.findall(text) if text.isascii() else _PIECES.findall(text)


def multilingual(text: str) -> list[str]:
    """Cut into words by the rules of each script, in lower case, Latin letters without diacritics.

    Scripts that are written without spaces are segmented with the dictionaries of ICU. Tokens without any letter are
    dropped.
    """
    if text.isascii():
        return [word for word in _ASCII_WORDS.findall(text.lower()) if not word.isdigit()]
    # Decomposed for the diacritics, and before cutting, since compatibility forms may hold punctuation.
    folded = _MARKS_OF_LATIN.sub(r"\1", normalize("NFKD", text).lower())
    found: list[str] = []
    for run in _MARKED_WORDS.findall(normalize("NFC", folded)):
        found += _segments(run) if _WITHOUT_SPACES.search(run) else (run,)
    return [word for word in found if _ALPHABETIC.search(word)]


def _segments(run: str) -> list[str]:
    # Loaded by the first text that needs it: it maps 33 MB of dictionaries.
    from icu4py.breakers import WordBreaker

    return list(WordBreaker(run, "root"))


def code_words(text: str) -> list[str]:
    """Cut at every character that cannot be part of an identifier."""
    return _ASCII_CODE_WORDS.findall(text) if text.isascii() else _CODE_WORDS.findall(text)


def code_parts(word: str) -> tuple[list[str], list[str]]:
    """Cut an identifier at underscores and changes of case.

    Returns:
        the parts in order; and what parts are written together in the identifier: each segment of several parts, then
        the whole word if it has several segments.
    """
    if "0" <= word[0] <= "9":
        return [word.replace("_", "")], []
    segments = [segment for segment in word.split("_") if segment]
    parts: list[str] = []
    joined: list[str] = []
    for segment in segments:
        of_segment = [part for part in _CASE_CHANGES.split(segment) if part]
        parts += of_segment
        if len(of_segment) > 1:
            joined.append(segment)
    if len(segments) > 1:
        joined.append("".join(segments))
    return parts, joined
