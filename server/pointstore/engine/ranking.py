"""Points ranked by BM25 over a text index (specification part 2, 10.2; part 3, 8.11)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pointstore.core.errors import BadRequestError, UnsupportedError
from pointstore.core.fields import FieldIndex, FieldType
from pointstore.core.query import RankQuery
from pointstore.core.space import Floats
from pointstore.engine.field_lookup import FieldLookup
from pointstore.engine.filtering import matching_slots
from pointstore.engine.view import View
from pointstore.text.analyzer import analyzer_of
from pointstore.text.bm25 import Ranking, inverse_document_frequency, kept_length

# Places of columns of a text index, see `engine/indexing.py`.
_TOKENS, _TIMES = 0, 1
_LENGTH_BITS = 13


def ranked(view: View, query: RankQuery) -> tuple[NDArray[np.uint64], Floats]:
    """Return the slots that hold a term of the query and pass its filter, with their scores, best first.

    Statistics are those of all live points, or of the corpus that the query names.

    Raises:
        BadRequestError: the field has no text index that scores, or a parameter is out of range.
    """
    index = _scoring_index(view, query)
    assert index.schema is not None
    ranking = Ranking(query.k, query.b)
    room = view.snapshot.live.size << 3
    tokens, times, slots = _postings(view, index)
    corpus = view.snapshot.live if query.params.idf_corpus is None else matching_slots(view, query.params.idf_corpus)
    counted = np.unpackbits(corpus, bitorder="little")[slots] != 0
    lengths = np.bincount(slots, weights=times, minlength=room).astype(np.int64)
    documents = np.unique(slots[counted])
    scores = np.zeros(room)
    allowed = view.snapshot.live if query.filter is None else matching_slots(view, query.filter)
    if documents.size:
        mean = float(lengths[documents].mean())
        for token in dict.fromkeys(analyzer_of(index.schema.effective).ranking(query.text)):
            code = view.store.fields.code(view.txn, index.number, token.encode())
            if code is None:
                continue
            holding = tokens == code
            idf = inverse_document_frequency(documents.size, int((holding & counted).sum()))
            found = slots[holding]
            kept = _kept_lengths(lengths[found])
            scores[found] += ranking.scores(idf, times[holding], kept, mean)
    scores[np.unpackbits(allowed, bitorder="little") == 0] = 0
    best = np.flatnonzero(scores > 0)
    best = best[np.lexsort((best, -scores[best]))][: query.limit + query.offset]
    return best.astype(np.uint64), scores[best].astype(np.float32)


def _scoring_index(view: View, query: RankQuery) -> FieldIndex:
    name = str(query.field)
    index = view.snapshot.fields.of_client(name)
    if index is None or index.schema is None or index.schema.type is not FieldType.TEXT or not index.ready:
        raise BadRequestError(f"BM25 requires a text index on field {name}, which has none")
    if not index.schema.effective.scoring:
        raise BadRequestError(f"The text index on `{name}` does not score: set `scoring` on it to query it")
    if index.schema.effective.nested is not None:
        raise UnsupportedError("BM25 ranking of an index with the option `nested` is not implemented yet")
    return index


def _postings(view: View, index: FieldIndex) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return code, number of occurrences and slot of every token of every live point."""
    block = FieldLookup(view).entries(index).whole()
    tokens, times = block.columns[_TOKENS], block.columns[_TIMES]
    slots = block.slots[tokens.positions]
    live = np.unpackbits(view.snapshot.live, bitorder="little")[slots] != 0
    return tokens.values[live].astype(np.int64), times.values[live].astype(np.int64), slots[live]


def _kept_lengths(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    if not lengths.size or int(lengths.max()) < 1 << _LENGTH_BITS:
        return lengths
    return np.array([kept_length(length) for length in lengths.tolist()], np.int64)
