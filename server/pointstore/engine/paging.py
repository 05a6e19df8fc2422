"""Points in id order: which ones are on a page, and their records.

A page without a filter is read with one cursor over `ids`. With a filter, either that cursor is followed, by batches
whose slots are tested together, or, when few points match, the ids of all of them are read and put in order.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import islice

import numpy as np

from pointstore.core import interruption
from pointstore.core.payload import EMPTY
from pointstore.core.point import PointId
from pointstore.core.query import ALL_PAYLOAD, Record, Selectors
from pointstore.engine.view import View
from pointstore.index import slots as slot_sets
from pointstore.index.slots import SlotSet
from pointstore.storage.points import SlotKey, check_places, of_slot_keys, slot_in, slot_keys

Place = tuple[PointId, SlotKey]
"""A live point: its id and slot, as `Points.scan` yields them."""

_BATCH_MAX = 8192
_RECORDS_A_CHECK = 1024
_PIECES_A_CHECK = 32
_FEW_SHARE = 16
"""Matching points are looked up one by one when they are less than one in so many: each costs about so much more."""

_NEW = tuple.__new__


def places_in_order(
    view: View, matching: SlotSet | None, start: PointId | None, limit: int
) -> tuple[list[Place], PointId | None]:
    """Return the first points by id, and the id of the next one.

    Args:
        view: what is read.
        matching: only these slots, None for all.
        start: only ids from this one on.
        limit: how many.

    Returns:
        at most `limit` points, and the id of the first that is left, None when there is none.
    """
    wanted = limit + 1
    if matching is None:
        found = _taken(view.store.points.scan(view.txn, start), wanted)
    elif slot_sets.popcount(matching) * _FEW_SHARE < view.generation.head.points:
        found = _looked_up(view, matching, start)
    else:
        found = _followed(view, matching, start, wanted)
    return found[:limit], found[limit][0] if len(found) > limit else None


def records_of(view: View, places: list[Place], selectors: Selectors) -> list[Record]:
    """Return the points at some places with what the selectors want of them."""
    if not selectors.payload.enable:
        # Otherwise the payload's record tells whether it is that of the id.
        check_places(places)
    if selectors.payload != ALL_PAYLOAD:
        some = interruption.checked(places, _PIECES_A_CHECK)
        return [record_of(view, point_id, slot_in(place), selectors) for point_id, place in some]
    payloads = interruption.collected(places, partial(view.store.points.payloads_at, view.txn), _weight)
    if selectors.vectors.enable:
        return [
            Record(point_id, payload, view.vectors(slot_in(place), selectors.vectors))
            for (point_id, place), payload in interruption.checked(zip(places, payloads, strict=True), _PIECES_A_CHECK)
        ]
    # Without the constructor's call: whole payloads are what a scroll of everything is about.
    return [_NEW(Record, (place[0], payload, None, None)) for place, payload in zip(places, payloads, strict=True)]


def _weight(payloads: list[bytes]) -> int:
    return sum(map(len, payloads))


def record_of(view: View, point_id: PointId, slot: int, selectors: Selectors) -> Record:
    """Return a live point with what the selectors want of it."""
    vectors = view.vectors(slot, selectors.vectors)
    payload = view.payload(view.record(slot, point_id), selectors.payload) if selectors.payload.enable else EMPTY
    interruption.grow(len(payload))
    return Record(point_id, payload, vectors)


def _taken(scan: Iterator[Place], wanted: int) -> list[Place]:
    found: list[Place] = []
    while len(found) < wanted:
        interruption.check()
        batch = list(islice(scan, min(wanted - len(found), _BATCH_MAX)))
        if not batch:
            break
        found += batch
    return found


def _followed(view: View, matching: SlotSet, start: PointId | None, wanted: int) -> list[Place]:
    """Go through the ids, by ever larger batches, until there are as many as wanted."""
    scan = view.store.points.scan(view.txn, start)
    found: list[Place] = []
    size = min(wanted, _BATCH_MAX)
    while len(found) < wanted:
        interruption.check()
        batch = list(islice(scan, size))
        if not batch:
            break
        check_places(batch)
        among = slot_sets.test(matching, of_slot_keys([place for _, place in batch]))
        found += [batch[i] for i in np.flatnonzero(among).tolist()]
        size = min(2 * size, _BATCH_MAX)
    return found


def _looked_up(view: View, matching: SlotSet, start: PointId | None) -> list[Place]:
    """Read the ids of all matching points and put them in order."""
    places = slot_keys(slot_sets.to_slots(matching))
    records = [
        record
        for stretch in interruption.stretches(places, _RECORDS_A_CHECK)
        for record in view.store.points.records(view.txn, stretch)
    ]
    found = [(record.point_id, place) for record, place in zip(records, places, strict=True)]
    return sorted(found if start is None else [each for each in found if each[0] >= start])
