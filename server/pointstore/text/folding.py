"""ASCII folding of Latin letters: accents dropped, ligatures and compatibility forms spelled out.

Other scripts stay as they are: folding is for typing without accents, not for transliteration.
"""

from __future__ import annotations

from functools import lru_cache
from unicodedata import normalize

import regex
from anyascii import anyascii

_NOT_ASCII = regex.compile(r"[^\x00-\x7f]")
_LATIN = regex.compile(r"[\p{Latin}\x00-\x7f]+")


def fold(text: str) -> str:
    """Return the text with Latin letters outside ASCII replaced: é by e, ß by ss, ﬁ by fi."""
    return text if text.isascii() else _NOT_ASCII.sub(lambda found: _fold_character(found[0]), text)


@lru_cache(maxsize=4096)
def _fold_character(character: str) -> str:
    # Full-width and circled forms are Latin only by what they are compatible with.
    if not (_LATIN.fullmatch(character) or _LATIN.fullmatch(normalize("NFKC", character))):
        return character
    # Rare letters come with apostrophes and points, or as nothing else: then they are no letter of ASCII.
    letters = "".join(filter(str.isalnum, anyascii(character)))
    return (letters.upper() if character.isupper() else letters) or character
