"""Filling a new field index from the points that were there before it.

A new index is defined first, so that every later write notes its payloads in it. The backfill then goes through the
points in small write transactions, ranking below what writes noted, and at last marks the index as ready. Slots that
were given since it began, to new points and to those that moved, are noted already: it ends before them, however fast
they come. It can be begun again at any time, by any process, also while another is at it.
"""

from __future__ import annotations

import time

import numpy as np

from pointstore.core import interruption
from pointstore.core.fields import FieldIndex, RawKind
from pointstore.engine.indexing import build_blocks
from pointstore.storage.collection import CollectionStore
from pointstore.storage.env import Txn
from pointstore.storage.fields import BACKFILL
from pointstore.storage.meta import advanced

POINTS_AT_A_TIME = 1000
"""Points read in one transaction: about 10 ms in which other writers wait."""

RAW_INDEXES_MAX = 64
"""Indexes of the engine's own that a collection may have at the same time."""

USE_NOTED_S = 3600
"""How exactly the last use of an index is known: noting it costs a commit."""

UNUSED_S = 7 * 24 * 3600
"""Time without use after which the engine drops an index of its own."""

_WAIT_S = 20.0
_LOOK_S = 0.02


def fill(store: CollectionStore, number: int) -> None:
    """Bring an index up to date and mark it as ready; nothing happens when it is so already, or dropped meanwhile."""
    interruption.hasten()
    after: int | None = -1
    end: int | None = None
    while after is not None:
        # Whoever comes next continues it.
        interruption.check()
        with store.write() as txn:
            index = _unready(store, txn, number)
            if index is None:
                return
            store.check_room(txn)
            if end is None:
                end = store.meta.head(txn).next_slot
            after = _fill_some(store, txn, index, after, end)
            if after is None:
                store.meta.put_fields(txn, store.meta.fields(txn).completed(number))
                store.meta.put_head(txn, advanced(store.meta.head(txn), config=True))


def define_raw(store: CollectionStore, path: str, kind: RawKind) -> int | None:
    """Define an index of the engine's own if there is none of that path and kind; return its number.

    Returns:
        None when the collection has as many as it may have.
    """
    with store.write() as txn:
        fields = store.meta.fields(txn)
        present = fields.of_engine(path, kind)
        if present is not None:
            return present.number
        if sum(index.raw is not None for index in fields.indexes) >= RAW_INDEXES_MAX:
            return None
        store.check_room(txn)
        added = fields.added(path, raw=kind).used(fields.next_number, int(time.time()))
        store.meta.put_fields(txn, added)
        store.meta.put_head(txn, advanced(store.meta.head(txn), config=True))
        return fields.next_number


def note_use(store: CollectionStore, number: int) -> None:
    """Note that a filter wants an index of the engine's own, so that it is kept."""
    with store.write() as txn:
        store.meta.put_fields(txn, store.meta.fields(txn).used(number, int(time.time())))
        store.meta.put_head(txn, advanced(store.meta.head(txn), config=True))


def drop_unused(store: CollectionStore) -> None:
    """Drop the engine's own indexes that no filter has wanted for long."""
    since_s = int(time.time()) - UNUSED_S
    with store.read() as txn:
        if not store.meta.fields(txn).unused(since_s):
            return
    with store.write() as txn:
        fields = store.meta.fields(txn)
        for number in fields.unused(since_s):
            store.fields.drop(txn, number)
            fields = fields.without(number)
        store.meta.put_fields(txn, fields)
        store.meta.put_head(txn, advanced(store.meta.head(txn), config=True))


def wait_ready(store: CollectionStore, number: int) -> bool:
    """Wait a while for an index that another thread or process fills; tell whether it is ready."""
    deadline = time.monotonic() + _WAIT_S
    while time.monotonic() < deadline:
        with store.read() as txn:
            if _unready(store, txn, number) is None:
                return True
        interruption.rest(_LOOK_S)
    return False


def unready(store: CollectionStore) -> list[int]:
    """Return the numbers of the indexes that are still to be filled."""
    with store.read() as txn:
        return [index.number for index in store.meta.fields(txn).indexes if not index.ready]


def _unready(store: CollectionStore, txn: Txn, number: int) -> FieldIndex | None:
    indexes = store.meta.fields(txn).indexes
    return next((index for index in indexes if index.number == number and not index.ready), None)


def _fill_some(store: CollectionStore, txn: Txn, index: FieldIndex, after: int, end: int) -> int | None:
    """Index the next points by slot, with slots between `after` and `end`; return the last slot, None at the end."""
    found = [pair for pair in store.points.payloads(txn, after, POINTS_AT_A_TIME) if pair[0] < end]
    if not found:
        return None
    slots = np.array([slot for slot, _ in found], np.int64)
    blocks = build_blocks(
        (index,), slots, [payload for _, payload in found], lambda number, terms: store.fields.codes(txn, number, terms)
    )
    for number, block in blocks:
        store.fields.put_block(txn, number, BACKFILL, found[0][0], block)
    return found[-1][0]
