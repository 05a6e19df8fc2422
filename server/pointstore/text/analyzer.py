"""Analysers: from a text to the tokens that are indexed or looked up (specification part 2, 8.3).

An analyser is a pure function of its parameters. It keeps what became of the words it has seen, since texts repeat
words; any thread may use it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol, TypeVar

from pointstore.text.folding import fold
from pointstore.text.languages import effective_stopwords, stemmer
from pointstore.text.tokenizers import Tokenizer, code_parts, code_words, multilingual, pieces, words

_CACHED_WORDS_MAX: Final = 1 << 15
_CACHED_LENGTH_MAX: Final = 64

Cut = Callable[[str], list[str]]
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class TextParams:
    """What decides about tokens.

    Attributes:
        tokenizer: how texts are cut.
        lowercase: tokens are put into lower case.
        ascii_folding: Latin letters lose their accents.
        min_token_len, max_token_len: in characters, inclusive; None for no limit.
        stopword_languages: full names of the languages whose stopwords are removed.
        custom_stopwords: the client's own stopwords.
        stemmer: full name of a Snowball language; None for no stemming.
    """

    tokenizer: Tokenizer = Tokenizer.WORD
    lowercase: bool = True
    ascii_folding: bool = False
    min_token_len: int | None = None
    max_token_len: int | None = None
    stopword_languages: tuple[str, ...] = ()
    custom_stopwords: tuple[str, ...] = ()
    stemmer: str | None = None


class _Memo(dict[str, _Result]):
    """What a function makes of words; bounded, since texts may hold any number of different ones."""

    def __init__(self, function: Callable[[str], _Result]) -> None:
        super().__init__()
        self._function = function

    def __missing__(self, word: str) -> _Result:
        result = self._function(word)
        if len(word) <= _CACHED_LENGTH_MAX:
            if len(self) >= _CACHED_WORDS_MAX:
                self.clear()
            self[word] = result
        return result


class Analyzer:
    """Turns documents and queries into tokens."""

    def __init__(self, params: TextParams) -> None:
        self.params = params
        self._stopwords = effective_stopwords(
            params.stopword_languages, params.custom_stopwords, lowercase=params.lowercase
        )
        self._stem = stemmer(params.stemmer) if params.stemmer else None
        self._min = params.min_token_len or 0
        self._max = params.max_token_len
        self._kept = _Memo(self._keep)
        self._prefixes = _Memo(self._cut_prefixes)
        self._queried = _Memo(self._cut_query_prefix)
        self._coded = _Memo(self._cut_code)

    def documents(self, text: str) -> list[str]:
        """Return all tokens of a document, repetitions included: those of `sequence`, then those of `joined`."""
        if self.params.tokenizer is Tokenizer.CODE:
            parts, joined = self.split(text)
            return parts + joined
        return self.sequence(text)

    def sequence(self, text: str) -> list[str]:
        """Return the tokens of a document that follow each other, in order: those in which phrases are found."""
        match self.params.tokenizer:
            case Tokenizer.PREFIX:
                prefixes = self._prefixes
                return [token for word in words(text) for token in prefixes[word]]
            case Tokenizer.CODE:
                coded = self._coded
                return [token for word in code_words(text) for token in coded[word][0]]
            case tokenizer:
                kept = self._kept
                return [token for word in _CUTS[tokenizer](text) if (token := kept[word])]

    def split(self, text: str) -> tuple[list[str], list[str]]:
        """Return the tokens of a document that follow each other, and those adjacent to nothing (8.4.3, 5)."""
        if self.params.tokenizer is not Tokenizer.CODE:
            return self.sequence(text), []
        found = [self._coded[word] for word in code_words(text)]
        return [token for parts, _ in found for token in parts], [token for _, joined in found for token in joined]

    def query(self, text: str) -> list[str]:
        """Return the tokens that `text` and `text_any` look for."""
        if self.params.tokenizer is Tokenizer.PREFIX:
            queried = self._queried
            return [token for word in words(text) if (token := queried[word])]
        return self.sequence(text)

    def phrase(self, text: str) -> list[str]:
        """Return the tokens that `phrase` looks for, one directly after the other."""
        return self.sequence(text)

    def ranking(self, text: str) -> list[str]:
        """Return the tokens that a ranking query looks for, each once (10.2)."""
        found = self.documents(text) if self.params.tokenizer is Tokenizer.CODE else self.query(text)
        return list(dict.fromkeys(found))

    def _keep(self, word: str) -> str:
        """Return the token of a raw one, "" when it is removed."""
        token = self._transform(word)
        fits = self._min <= len(token) and (self._max is None or len(token) <= self._max)
        return token if fits else ""

    def _transform(self, word: str, *, stopwords: bool = True) -> str:
        """Apply the steps before the length limits."""
        if self.params.ascii_folding:
            word = fold(word)
        if self.params.lowercase:
            word = word.lower()
        if stopwords and word in self._stopwords:
            return ""
        return self._stem(word) if self._stem is not None else word

    def _cut_prefixes(self, word: str) -> tuple[str, ...]:
        token = self._transform(word)
        longest = len(token) if self._max is None else min(self._max, len(token))
        return tuple(token[:length] for length in range(max(self._min, 1), longest + 1))

    def _cut_query_prefix(self, word: str) -> str:
        token = self._transform(word, stopwords=False)
        return token[: self._max] if len(token) >= self._min else ""

    def _cut_code(self, word: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
        parts, joined = code_parts(word)
        return self._keep_all(parts), self._keep_all(joined) if self.params.lowercase else ()

    def _keep_all(self, raw: list[str]) -> tuple[str, ...]:
        return tuple(token for word in raw if (token := self._keep(word)))


_CUTS: Final[dict[Tokenizer, Cut]] = {
    Tokenizer.WORD: words,
    Tokenizer.WHITESPACE: pieces,
    Tokenizer.MULTILINGUAL: multilingual,
}
"""Tokenizers whose raw tokens become at most one token each."""


@lru_cache(maxsize=64)
def analyzer(params: TextParams) -> Analyzer:
    """Return the analyser of these parameters, the same one for equal parameters."""
    return Analyzer(params)


class StopwordsGiven(Protocol):
    """Stopwords of a text index, normalised."""

    @property
    def languages(self) -> tuple[str, ...]:
        """Full names."""

    @property
    def custom(self) -> tuple[str, ...]:
        """The client's own words."""


class TextIndexParams(Protocol):
    """The parameters of a text index that decide about tokens, None where not given (9.4)."""

    @property
    def tokenizer(self) -> int | None:
        """As the protocol numbers it; words by default."""

    @property
    def lowercase(self) -> bool | None:
        """True by default."""

    @property
    def ascii_folding(self) -> bool | None:
        """False by default."""

    @property
    def min_token_len(self) -> int | None:
        """In characters."""

    @property
    def max_token_len(self) -> int | None:
        """In characters."""

    @property
    def stopwords(self) -> StopwordsGiven | None:
        """None by default."""

    @property
    def stemmer(self) -> str | None:
        """Full name of a language; "" for none, like None."""


def analyzer_of(params: TextIndexParams) -> Analyzer:
    """Return the analyser of a text index."""
    stopwords = params.stopwords
    return analyzer(
        TextParams(
            tokenizer=Tokenizer.WORD if params.tokenizer is None else Tokenizer(params.tokenizer),
            lowercase=params.lowercase is not False,
            ascii_folding=params.ascii_folding is True,
            min_token_len=params.min_token_len,
            max_token_len=params.max_token_len,
            stopword_languages=() if stopwords is None else stopwords.languages,
            custom_stopwords=() if stopwords is None else stopwords.custom,
            stemmer=params.stemmer or None,
        )
    )
