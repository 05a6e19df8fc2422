"""Points ranked by BM25 over a text index (specification part 2, 10.2; part 3, 8.11)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointstore.core import interruption
from pointstore.core.errors import BadRequestError
from pointstore.core.fields import FieldIndex, FieldType
from pointstore.core.query import RankQuery
from pointstore.core.space import Floats
from pointstore.engine.field_lookup import FieldLookup
from pointstore.engine.filtering import matching_slots
from pointstore.engine.indexing import unpack_occurrences
from pointstore.engine.view import View
from pointstore.index.slots import SlotFlags
from pointstore.text.analyzer import analyzer_of
from pointstore.text.bm25 import Ranking, inverse_document_frequency, kept_length

# Places of columns of a text index, see `engine/indexing.py`.
_TOKENS, _OCCURRENCES = 0, 1
_LENGTH_BITS = 13


@dataclass(frozen=True, slots=True)
class _Postings:
    """Every token of every live point, with the document that holds it.

    A document is a point, or one element of an array of it where the index keeps those apart.

    Attributes:
        tokens: (m,) codes.
        times: (m,) how often the document holds the token.
        documents: (m,) numbers of documents.
        slots: (n,) of the documents, ascending; a number is a place here.
    """

    tokens: NDArray[np.int64]
    times: NDArray[np.int64]
    documents: NDArray[np.int64]
    slots: NDArray[np.int64]


def ranked(view: View, query: RankQuery) -> tuple[NDArray[np.uint64], Floats]:
    """Return the slots that hold a term of the query and pass its filter, with their scores, best first.

    Statistics are those of all live points, or of the corpus that the query names. A point of several documents has the
    score of the best one.

    Raises:
        BadRequestError: the field has no text index that scores, or a parameter is out of range.
    """
    index = _scoring_index(view, query)
    ranking = Ranking(query.k, query.b)
    postings = _postings(view, index)
    corpus = view.generation.live if query.params.idf_corpus is None else matching_slots(view, query.params.idf_corpus)
    allowed = view.generation.live if query.filter is None else matching_slots(view, query.filter)
    of_documents = _scores(view, index, query.text, ranking, postings, SlotFlags(corpus).of(postings.slots))
    slots, first = np.unique(postings.slots, return_index=True)
    scores = np.maximum.reduceat(of_documents, first) if slots.size else of_documents
    scores[~SlotFlags(allowed).of(slots)] = 0
    best = np.flatnonzero(scores > 0)
    best = best[np.lexsort((best, -scores[best]))][: query.limit + query.offset]
    return slots[best].astype(np.uint64), scores[best].astype(np.float32)


def _scores(  # noqa: PLR0913  what scores are made of
    view: View, index: FieldIndex, text: str, ranking: Ranking, postings: _Postings, in_corpus: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Return the (n,) scores of documents, 0 for those without a term of the text."""
    assert index.schema is not None
    scores = np.zeros(postings.slots.size)
    if not in_corpus.any():
        return scores
    lengths = np.bincount(postings.documents, weights=postings.times, minlength=scores.size).astype(np.int64)
    mean = float(lengths[in_corpus].mean())
    for token in interruption.checked(dict.fromkeys(analyzer_of(index.schema.effective).ranking(text)), 1):
        code = view.store.fields.code(view.txn, index.number, token.encode())
        if code is None:
            continue
        holding = postings.tokens == code
        found = postings.documents[holding]
        idf = inverse_document_frequency(int(in_corpus.sum()), int(in_corpus[found].sum()))
        scores[found] += ranking.scores(idf, postings.times[holding], _kept_lengths(lengths[found]), mean)
    return scores


def _scoring_index(view: View, query: RankQuery) -> FieldIndex:
    name = str(query.field)
    index = view.generation.fields.of_client(name)
    if index is None or index.schema is None or index.schema.type is not FieldType.TEXT or not index.ready:
        raise BadRequestError(f"BM25 requires a text index on field {name}, which has none")
    if not index.schema.effective.scoring:
        raise BadRequestError(f"The text index on `{name}` does not score: set `scoring` on it to query it")
    return index


def _postings(view: View, index: FieldIndex) -> _Postings:
    block = FieldLookup(view).entries(index).whole()
    if not block.columns:
        nothing = np.zeros(0, np.int64)
        return _Postings(nothing, nothing, nothing, nothing)
    tokens, occurrences = block.columns[_TOKENS], block.columns[_OCCURRENCES]
    slots = block.slots[tokens.positions]
    live = SlotFlags(view.generation.live).of(slots)
    slots = slots[live]
    numbers, times = unpack_occurrences(occurrences.values[live].astype(np.int64))
    # Tokens of a slot stand together, and among them those of an element.
    first = np.ones(slots.size, np.bool_)
    first[1:] = (slots[1:] != slots[:-1]) | (numbers[1:] != numbers[:-1])
    return _Postings(tokens.values[live].astype(np.int64), times, np.cumsum(first) - 1, slots[first])


def _kept_lengths(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    if not lengths.size or int(lengths.max()) < 1 << _LENGTH_BITS:
        return lengths
    return np.array([kept_length(length) for length in lengths.tolist()], np.int64)
