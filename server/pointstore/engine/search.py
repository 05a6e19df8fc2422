"""Queries to hits.

A search asks every segment and the unsealed rows for their best, merges, and reads records of the winners only. Scores
are exact: candidates of an index are scored again on the stored rows (`index/dense.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Protocol, assert_never

import numpy as np
from numpy.typing import NDArray

from pointstore.core import interruption
from pointstore.core.errors import NotFoundError, UnsupportedError, unknown_vector_name
from pointstore.core.filter import excluding
from pointstore.core.payload import EMPTY
from pointstore.core.point import PointId, point_not_found
from pointstore.core.query import (
    NearestQuery,
    PayloadSelector,
    Query,
    RankQuery,
    ScoredRecord,
    ScrollQuery,
    Selectors,
    VectorOfPoint,
)
from pointstore.core.schema import CollectionConfig
from pointstore.core.space import Floats
from pointstore.core.vector import Multi, Sparse, Vector
from pointstore.engine.columns import dimension_error, kind_error
from pointstore.engine.filtering import matching_slots
from pointstore.engine.index_demand import traits_of
from pointstore.engine.paging import places_in_order, records_of
from pointstore.engine.ranking import ranked
from pointstore.engine.strict import Searches, check_searches
from pointstore.engine.view import DenseView, View
from pointstore.index import flat
from pointstore.index import slots as slot_sets
from pointstore.index.slots import SlotSet
from pointstore.storage.points import PointRecord, SlotKey, slot_keys

_Slots = NDArray[np.uint64]

_VECTORS_A_CHECK = 32

_score = attrgetter("score")
_point_id = attrgetter("point_id")


class Viewable(Protocol):
    """A collection that can be read."""

    name: str

    def view(self) -> AbstractContextManager[View]:
        """Begin a read."""
        ...

    def charge_queries(self, config: CollectionConfig, queries: Sequence[Query]) -> None:
        """Count queries against the collection's rate."""
        ...


Lookup = Callable[[str], Viewable]
"""Find another collection by name, for vectors of its points."""


def answer(collection: Viewable, searches: Searches, lookup: Lookup) -> list[list[ScoredRecord]]:
    """Answer the queries of a request on one state of a collection.

    Raises:
        RequestError: a query is wrong; none is answered.
    """
    queries = searches.queries
    with collection.view() as view:
        check_searches(searches, view.generation.config, traits_of(view.generation.fields))
        collection.charge_queries(view.generation.config, queries)
        names = {query.lookup_collection for query in queries if isinstance(query, NearestQuery)} - {None}
        if not names:
            return [_answer(view, query, {}) for query in interruption.checked(queries, 1)]
        with ExitStack() as stack:
            others: dict[str, View] = {}
            for name in names:
                assert name is not None
                other = lookup(name)
                others[name] = view if other is collection else stack.enter_context(other.view())
            return [_answer(view, query, others) for query in interruption.checked(queries, 1)]


def _answer(view: View, query: Query, others: dict[str, View]) -> list[ScoredRecord]:
    match query:
        case NearestQuery():
            return _nearest(view, query, others)
        case ScrollQuery():
            return _scroll(view, query)
        case RankQuery():
            return _rank(view, query)
        case _:
            assert_never(query)


def _nearest(view: View, query: NearestQuery, others: dict[str, View]) -> list[ScoredRecord]:
    target, condition = query.target, query.filter
    if isinstance(target, VectorOfPoint):
        source = view if query.lookup_collection is None else others[query.lookup_collection]
        if source is view:
            condition = excluding(condition, frozenset((target.point_id,)))
        target = _stored_vector(
            source, target.point_id, query.using if target.vector_name is None else target.vector_name
        )
    dense, vector = _dense_target(view, query.using, target)
    _check_names(view, query.selectors)
    ef = query.params.hnsw_ef or dense.ef_construct
    allowed = None if condition is None else matching_slots(view, condition)
    slots, similarities = nearest_slots(
        dense, vector, query.limit + query.offset, ef, allowed, exact=query.params.exact
    )
    scores = dense.space.score_of(similarities)
    if query.score_threshold is not None:
        # Scores descend or ascend strictly by quality, so the passing ones are a prefix.
        better = scores < query.score_threshold if dense.space.ascending else scores > query.score_threshold
        slots, scores = slots[better], scores[better]
    return _hits(view, slots, scores, query.offset, query.selectors)


def _rank(view: View, query: RankQuery) -> list[ScoredRecord]:
    slots, scores = ranked(view, query)
    if query.score_threshold is not None:
        better = scores > query.score_threshold
        slots, scores = slots[better], scores[better]
    _check_names(view, query.selectors)
    return _hits(view, slots, scores, query.offset, query.selectors)


def nearest_slots(  # noqa: PLR0913  what a search consists of
    dense: DenseView, query: Floats, k: int, ef: int, allowed: SlotSet | None, *, exact: bool
) -> tuple[_Slots, Floats]:
    """Return the nearest k live slots of a space, best first, with exact similarities.

    Args:
        dense: the space.
        query: (dim,) float32, transformed like stored rows.
        k: any size; no more than there are is returned.
        ef: beam width of graph searches.
        allowed: only these slots, None for all.
        exact: score every row.

    Returns:
        (m,) slots and (m,) similarities, larger is nearer, ties by ascending slot.
    """
    live = dense.live if allowed is None else dense.live & allowed
    found = [
        segment.dense.search(query, k, ef, live, segment.live_rows if allowed is None else None, exact=exact)
        for segment in dense.segments
    ]
    if dense.unsealed.count:
        found.append(_search_unsealed(dense, query, k, live))
    if not found:
        return np.zeros(0, np.uint64), np.zeros(0, np.float32)
    if len(found) == 1:
        return found[0]
    slots = np.concatenate([part[0] for part in found])
    similarities = np.concatenate([part[1] for part in found])
    order = np.lexsort((slots, -similarities))[:k]
    return slots[order], similarities[order]


def _search_unsealed(dense: DenseView, query: Floats, k: int, live: SlotSet) -> tuple[_Slots, Floats]:
    slots = dense.unsealed.slots[: dense.unsealed.count]
    rows = dense.unsealed.rows[: dense.unsealed.count]
    alive = slot_sets.test(live, slots)
    positions, similarities = flat.search(dense.space, query, rows, k, None if alive.all() else np.flatnonzero(alive))
    return slots[positions], similarities


def _dense_target(view: View, using: str, vector: Vector) -> tuple[DenseView, Floats]:
    """Return the searched space and the transformed (dim,) query, after checking that they fit."""
    config = view.generation.config
    if using in config.sparse:
        if not isinstance(vector, Sparse):
            raise kind_error(vector, when_applied=False)
        msg = "nearest search on sparse vectors is not implemented yet"
        raise UnsupportedError(msg)
    params = config.vectors.get(using)
    if params is None:
        raise unknown_vector_name(using)
    if isinstance(vector, Sparse):
        raise kind_error(vector, when_applied=False)
    if vector.dim != params.size:
        raise dimension_error(params.size, vector.dim, when_applied=False)
    if params.multivector_config is not None:
        msg = "nearest search on multi-vectors is not implemented yet"
        raise UnsupportedError(msg)
    if isinstance(vector, Multi):
        raise kind_error(vector, when_applied=False)
    dense = view.generation.dense[using]
    return dense, dense.space.query(np.frombuffer(vector.data, "<f4").reshape(1, -1))[0]


def _stored_vector(view: View, point_id: PointId, name: str) -> Vector:
    slot = view.slots_of((point_id,))[0]
    if slot is None:
        raise point_not_found(point_id)
    vector = view.vector(name, slot)
    if vector is None:
        msg = f'Vector with name "{name}" for point not found'
        raise NotFoundError(msg)
    return vector


def _check_names(view: View, selectors: Selectors) -> None:
    for name in selectors.vectors.names or ():
        if name not in view.generation.config.vector_numbers:
            raise unknown_vector_name(name)


def _hits(view: View, slots: _Slots, scores: Floats, offset: int, selectors: Selectors) -> list[ScoredRecord]:
    """Read the winners behind the offset; equal scores go by ascending id."""
    places = slots[offset:].tolist()
    weigh = _payload_bytes if selectors.payload.enable else _nothing
    records = interruption.collected(slot_keys(slots[offset:]), partial(_records, view, selectors.payload), weigh)
    vectors = (
        [view.vectors(slot, selectors.vectors) for slot in interruption.checked(places, _VECTORS_A_CHECK)]
        if selectors.vectors.enable
        else None
    )
    hits = [
        ScoredRecord(
            record.point_id,
            score,
            record.seq,
            record.payload if selectors.payload.enable else EMPTY,
            None if vectors is None else vectors[i],
        )
        for i, (record, score) in enumerate(zip(records, scores[offset:].tolist(), strict=True))
    ]
    for i in range(1, len(hits)):
        if hits[i].score == hits[i - 1].score:
            # Runs of equal scores only: a NaN must not move what is sorted already.
            return [hit for _, run in groupby(hits, _score) for hit in sorted(run, key=_point_id)]
    return hits


def _records(view: View, selector: PayloadSelector, places: Sequence[SlotKey]) -> list[PointRecord]:
    """Read records with only what is selected of their payloads."""
    records = view.store.points.records(view.txn, places)
    if selector.include is None and selector.exclude is None:
        return records
    return [record._replace(payload=view.payload(record, selector)) for record in records]


def _nothing(_records: list[PointRecord]) -> int:
    return 0


def _payload_bytes(records: list[PointRecord]) -> int:
    return sum([len(record.payload) for record in records])


def _scroll(view: View, query: ScrollQuery) -> list[ScoredRecord]:
    matching = None if query.filter is None else matching_slots(view, query.filter)
    places, _ = places_in_order(view, matching, None, query.offset + query.limit)
    found = records_of(view, places[query.offset :], query.selectors)
    return [ScoredRecord(record.point_id, 1.0, 0, record.payload, record.vectors) for record in found]
