"""Languages: their names, stopwords and stemmers (specification part 2, 8.5 and 8.6).

Names are case-insensitive and may be short; everything behind this module sees full lower-case names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib.resources import files
from threading import Lock
from typing import Final

from py_rust_stemmers import SnowballStemmer

from pointstore.core.errors import ConversionError

_STOPWORD_CODES: Final = {
    "arabic": "ar",
    "azerbaijani": "az",
    "basque": "eu",
    "bengali": "bn",
    "catalan": "ca",
    "chinese": "zh",
    "danish": "da",
    "dutch": "nl",
    "english": "en",
    "finnish": "fi",
    "french": "fr",
    "german": "de",
    "greek": "el",
    "hebrew": "he",
    "hinglish": "hi-en",
    "hungarian": "hu",
    "indonesian": "id",
    "italian": "it",
    "japanese": "jp",
    "kazakh": "kk",
    "nepali": "ne",
    "norwegian": "no",
    "portuguese": "pt",
    "romanian": "ro",
    "russian": "ru",
    "slovene": "sl",
    "spanish": "es",
    "swedish": "sv",
    "tajik": "tg",
    "turkish": "tr",
}
_STOPWORD_NAMES: Final = {code: name for name, code in _STOPWORD_CODES.items()}

_OWN_LISTS: Final = {
    "english": ("english",),
    "hinglish": ("english", "hinglish"),
    "azerbaijani": ("azerbaijani",),
    "kazakh": ("kazakh",),
    "nepali": ("nepali",),
    "tajik": ("tajik",),
}
"""Files in `stopwords/` of the languages for which no maintained package has a usable list, by language.

They hold closed classes of words: articles, pronouns, prepositions, conjunctions, auxiliaries, particles. English is
among them since the large merged lists hold "hello", "world" and "test", which default options must keep.
"""

_STEMMER_CODES: Final = {
    "arabic": "ar",
    "armenian": "hy",
    "danish": "da",
    "dutch": "nl",
    "english": "en",
    "finnish": "fi",
    "french": "fr",
    "german": "de",
    "greek": "el",
    "hungarian": "hu",
    "italian": "it",
    "norwegian": "no",
    "portuguese": "pt",
    "romanian": "ro",
    "russian": "ru",
    "spanish": "es",
    "swedish": "sv",
    "tamil": "ta",
    "turkish": "tr",
}
_STEMMER_NAMES: Final = {code: name for name, code in _STEMMER_CODES.items()}

_COMMAS_BELOW: Final = str.maketrans("şţ", "șț")

STOPWORD_LANGUAGES: Final = tuple(_STOPWORD_CODES)
"""Full names of the languages with stopwords, sorted."""

STEMMER_LANGUAGES: Final = tuple(_STEMMER_CODES)
"""Full names of the languages with a stemmer, sorted."""


def stopword_language(name: str) -> str:
    """Return the full name of a language with stopwords.

    Raises:
        ConversionError: there are none for it.
    """
    full = _full_name(name, _STOPWORD_CODES, _STOPWORD_NAMES)
    if full is None:
        raise ConversionError(f"unknown language: {name}")
    return full


def stemmer_language(name: str) -> str:
    """Return the full name of a language with a stemmer.

    Raises:
        ConversionError: there is none for it.
    """
    full = _full_name(name, _STEMMER_CODES, _STEMMER_NAMES)
    if full is None:
        raise ConversionError(f'Language "{name}" not found.')
    return full


def _full_name(name: str, codes: dict[str, str], names: dict[str, str]) -> str | None:
    lower = name.lower()
    return lower if lower in codes else names.get(lower)


def normalised_languages(names: Iterable[str]) -> tuple[str, ...]:
    """Return the languages of a client's stopwords as they are kept and echoed: full names, sorted, each once.

    Raises:
        ConversionError: a language is unknown.
    """
    return tuple(sorted({stopword_language(name) for name in names}))


@lru_cache
def language_stopwords(language: str) -> frozenset[str]:
    """Return the stopwords of a language, lower-case; `language` is its full name."""
    if language in _OWN_LISTS:
        own = files(__package__).joinpath("stopwords")
        return frozenset(
            word for name in _OWN_LISTS[language] for word in own.joinpath(f"{name}.txt").read_text("utf-8").split()
        )
    # It reads all its languages when imported.
    from stopwordsiso import stopwords

    code = "ja" if language == "japanese" else _STOPWORD_CODES[language]
    lower = {word.lower() for word in stopwords(code)}
    # The Romanian list spells with cedillas, the Unicode fallback; texts have had commas below for long.
    return frozenset(lower | {word.translate(_COMMAS_BELOW) for word in lower} if language == "romanian" else lower)


def effective_stopwords(languages: Iterable[str], custom: Iterable[str], *, lowercase: bool) -> frozenset[str]:
    """Return every word that an analyser removes.

    Args:
        languages: full names.
        custom: the client's own words.
        lowercase: whether tokens are compared in lower case, and the client's own words therefore too.
    """
    own = (word.lower() for word in custom) if lowercase else custom
    return frozenset(own).union(*(language_stopwords(language) for language in languages))


@lru_cache
def stemmer(language: str) -> Callable[[str], str]:
    """Return the function that stems one lower-case word; `language` is a full name. Any thread may call it."""
    if language != "armenian":
        stem: Callable[[str], str] = SnowballStemmer(language).stem_word
        return stem
    # Here, since it loads the stemmers of all its languages.
    import snowballstemmer

    stem_armenian: Callable[[str], str] = snowballstemmer.stemmer(language).stemWord
    # This one, the only one that the other library lacks, keeps the word it works on.
    lock = Lock()

    def locked(word: str) -> str:
        with lock:
            return stem_armenian(word)

    return locked
