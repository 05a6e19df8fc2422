"""The options of a document that the server embeds itself (specification part 1, 6.9).

Null means not given; options of other names are ignored.
"""

from __future__ import annotations

from typing import Final, TypeVar

from pointstore.core.errors import ConversionError, WrongInputError
from pointstore.core.schema import Json
from pointstore.text.analyzer import TextParams
from pointstore.text.languages import normalised_languages, stemmer_language
from pointstore.text.tokenizers import Tokenizer

_TOKENIZERS: Final = {
    "prefix": Tokenizer.PREFIX,
    "whitespace": Tokenizer.WHITESPACE,
    "word": Tokenizer.WORD,
    "multilingual": Tokenizer.MULTILINGUAL,
}
_LENGTH_MAX: Final = 2**64 - 1
_Option = TypeVar("_Option", bool, str)


def parse_text_params(options: dict[str, Json]) -> TextParams:
    """Read how texts become tokens.

    Raises:
        WrongInputError: an option has a wrong type or names something unknown.
    """
    tokenizer = _take(options, "tokenizer", str, "word")
    if tokenizer not in _TOKENIZERS:
        raise _invalid(f"unknown tokenizer `{tokenizer}`, expected one of {', '.join(sorted(_TOKENIZERS))}")
    language = _take(options, "language", str, "english")
    languages, custom = _stopwords(options.get("stopwords"), language)
    return TextParams(
        tokenizer=_TOKENIZERS[tokenizer],
        lowercase=_take(options, "lowercase", bool, default=True),
        ascii_folding=_take(options, "ascii_folding", bool, default=False),
        min_token_len=_length(options, "min_token_len"),
        max_token_len=_length(options, "max_token_len"),
        stopword_languages=languages,
        custom_stopwords=custom,
        stemmer=_stemmer(options.get("stemmer"), language),
    )


def take_number(options: dict[str, Json], name: str, default: float) -> float:
    """Return a numeric option.

    Raises:
        WrongInputError: it is not a number.
    """
    value = options.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _invalid(f"`{name}` must be a number")
    return float(value)


def _take(options: dict[str, Json], name: str, kind: type[_Option], default: _Option) -> _Option:
    value = options.get(name)
    if value is None:
        return default
    if not isinstance(value, kind):
        raise _invalid(f"`{name}` must be a {'boolean' if kind is bool else 'string'}")
    return value


def _length(options: dict[str, Json], name: str) -> int | None:
    value = options.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LENGTH_MAX:
        raise _invalid(f"`{name}` must be a non-negative integer")
    return value


def _stopwords(option: Json, language: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return languages and own words; a document's language that has no stopwords means none."""
    match option:
        case None:
            try:
                return normalised_languages([language]), ()
            except ConversionError:
                return (), ()
        case str():
            return _languages([option]), ()
        case dict():
            return _languages(_texts(option, "languages")), tuple(sorted(set(_texts(option, "custom"))))
        case _:
            raise _invalid("`stopwords` must be the name of a language or an object")


def _languages(names: list[str]) -> tuple[str, ...]:
    try:
        return normalised_languages(names)
    except ConversionError as error:
        raise _invalid(error.message) from error


def _texts(option: dict[str, Json], name: str) -> list[str]:
    value = option.get(name)
    if value is None:
        return []
    texts = [text for text in value if isinstance(text, str)] if isinstance(value, list) else None
    if texts is None or value != texts:
        raise _invalid(f"`stopwords.{name}` must be an array of strings")
    return texts


def _stemmer(option: Json, language: str) -> str | None:
    """Return a language; a document's language that has no stemmer means none."""
    match option:
        case None:
            try:
                return stemmer_language(language)
            except ConversionError:
                return None
        case {"type": "none"}:
            return None
        case {"type": "snowball", "language": str(name)}:
            try:
                return stemmer_language(name)
            except ConversionError as error:
                raise _invalid(error.message) from error
        case _:
            raise _invalid('`stemmer` must be {"type": "snowball", "language": ...} or {"type": "none"}')


def _invalid(text: str) -> WrongInputError:
    return WrongInputError(f"Invalid BM25 config: {text}")
