"""BM25: sparse vectors of documents and queries, and scores of a text index.

The vectors hold all but the inverse document frequency, which the collection supplies when it scores (specification
part 1, 6.9; part 3, 14.2). The scores of a text index know their corpus (part 2, 10.2).
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import Final

import mmh3
import numpy as np
from numpy.typing import NDArray

from pointstore.core.errors import BadRequestError, WrongInputError
from pointstore.core.schema import Json
from pointstore.core.vector import Sparse
from pointstore.text.analyzer import Analyzer, TextParams, analyzer
from pointstore.text.bm25_options import parse_text_params, take_number

_LENGTH_BITS: Final = 13


@dataclass(frozen=True, slots=True)
class Embedding:
    """Makes sparse vectors of texts.

    Attributes:
        k: saturation of repeated tokens.
        b: share of the normalisation by length.
        avg_len: assumed mean length of a document, in tokens.
        text: how texts become tokens.
    """

    k: float
    b: float
    avg_len: float
    text: TextParams

    def document(self, text: str) -> Sparse:
        """Return the vector of a document; one without tokens gives an empty one."""
        tokens = self._analyzer.documents(text)
        counts = Counter(map(_token_index, tokens))
        norm = self.k * (1.0 - self.b + self.b * len(tokens) / self.avg_len)
        indices = sorted(counts)
        tf = np.array([counts[index] for index in indices], dtype=np.float64)
        return Sparse(np.array(indices, dtype=np.uint32), (tf * (self.k + 1.0) / (tf + norm)).astype(np.float32))

    def query(self, text: str) -> Sparse:
        """Return the vector of a query: 1 for every token."""
        indices = sorted(set(map(_token_index, self._analyzer.ranking(text))))
        return Sparse(np.array(indices, dtype=np.uint32), np.ones(len(indices), dtype=np.float32))

    @property
    def _analyzer(self) -> Analyzer:
        return analyzer(self.text)


def _token_index(token: str) -> int:
    return abs(mmh3.hash(token, 0))


def parse_embedding(options: dict[str, Json]) -> Embedding:
    """Read the options of a document.

    Raises:
        WrongInputError: an option has a wrong type, or a number is out of its range.
    """
    k, b, avg_len = (take_number(options, name, default) for name, default in _NUMBERS)
    embedding = Embedding(k, b, avg_len, parse_text_params(options))
    if not (math.isfinite(k) and k >= 0):
        raise WrongInputError(f"BM25 k1 must be finite and >= 0, got {_shown(k)}")
    if not 0 <= b <= 1:
        raise WrongInputError(f"BM25 b must be finite and in [0.0, 1.0], got {_shown(b)}")
    if not (math.isfinite(avg_len) and avg_len > 0):
        raise WrongInputError(f"BM25 avg_doc_len must be finite and > 0, got {_shown(avg_len)}")
    return embedding


_NUMBERS: Final = (("k", 1.2), ("b", 0.75), ("avg_len", 256.0))


@dataclass(frozen=True, slots=True)
class Ranking:
    """Parameters of a ranking query.

    Raises:
        BadRequestError: a number is out of its range.
    """

    k: float = 1.2
    b: float = 0.75

    def __post_init__(self) -> None:
        if not (math.isfinite(self.k) and self.k >= 0):
            raise BadRequestError(f"BM25 k1 must be finite and non-negative, got {_shown(self.k)}")
        if not 0 <= self.b <= 1:
            raise BadRequestError(f"BM25 b must be finite and within [0, 1], got {_shown(self.b)}")

    def scores(
        self, idf: float, tf: NDArray[np.integer], lengths: NDArray[np.integer], mean_length: float
    ) -> NDArray[np.float64]:
        """Return what one term adds to the scores of documents.

        Args:
            idf: of the term.
            tf: (m,) how often each document holds the term, at least once.
            lengths: (m,) numbers of tokens, as `kept_length` gives them.
            mean_length: mean number of tokens of the corpus, positive.
        """
        norm = self.k * (1.0 - self.b + self.b / mean_length * lengths)
        return idf * (self.k + 1.0) * tf / (tf + norm)


def inverse_document_frequency(documents: int, holding: int) -> float:
    """Return the weight of a term that `holding` out of so many documents hold."""
    return math.log1p((documents - holding + 0.5) / (holding + 0.5))


def kept_length(tokens: int) -> int:
    """Return a number of tokens as documents keep it: its 13 leading bits, the rest zero."""
    surplus = max(tokens.bit_length() - _LENGTH_BITS, 0)
    return tokens >> surplus << surplus


def _shown(number: float) -> str:
    """Return a number as the reference writes it: never with an exponent, whole ones without a point."""
    return "NaN" if math.isnan(number) else np.format_float_positional(number, trim="-")
