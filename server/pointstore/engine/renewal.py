"""Slots of live points are kept near each other.

Slots are never given twice, and what is kept in memory of a collection, and each filter's work, is proportional to the
slots between the first live one and the next. Points that are never written while others are stay behind; when the
distance has become large for the number of points, the oldest ones are moved to new slots. Where each point is as
likely to be written as any other that is 2 % more writes; where a few are written again and again, at most 25 %.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from itertools import islice
from typing import Final

from pointstore.core.operation import MovePoints
from pointstore.core.point import PointId
from pointstore.engine.transition import Transition
from pointstore.storage.collection import CollectionStore
from pointstore.storage.env import Txn
from pointstore.storage.live import BLOCK_SLOTS
from pointstore.storage.meta import Head

SPREAD_SHARE: Final = 4
"""Slots a point that may lie between the first live one and the next, beside those of the setting."""

_POINTS_AT_A_TIME: Final = 128
_BYTES_AT_A_TIME: Final = 1 << 20
"""Payload bytes from which no further point is moved: other writes wait meanwhile."""


def renew(store: CollectionStore, begin: Callable[[], AbstractContextManager[Transition]], spread_slots: int) -> bool:
    """Do a piece of what is due: move some of the oldest points, or note that no slot of some blocks is live any more.

    Args:
        store: the collection's databases.
        begin: begins a write; leaving it without an error commits.
        spread_slots: how many may lie between the first live slot and the next, beside four a point.

    Returns:
        Whether there was something to do.

    Raises:
        InsufficientStorageError: there is no room for moving points.
    """
    with store.read() as txn:
        head, noted = store.meta.head(txn), store.meta.first_slot(txn)
        first = _first_slot(store, txn, head)
    if first // BLOCK_SLOTS > noted // BLOCK_SLOTS:
        with store.write() as txn:
            block = _first_slot(store, txn, store.meta.head(txn)) // BLOCK_SLOTS
            store.meta.put_first_slot(txn, block * BLOCK_SLOTS)
            # A reader has no use for them: it looks at no block before the first slot, and its older sets are right.
            store.live.drop_before(txn, block)
        return True
    if head.next_slot - first <= spread_slots + SPREAD_SHARE * head.points:
        return False
    with begin() as transition:
        oldest = _oldest(store, transition.txn)
        # Others may have removed them all meanwhile.
        if oldest:
            transition.append(MovePoints(oldest))
    return True


def _first_slot(store: CollectionStore, txn: Txn, head: Head) -> int:
    first = store.points.first_slot(txn)
    return head.next_slot if first is None else first


def _oldest(store: CollectionStore, txn: Txn) -> tuple[PointId, ...]:
    ids: list[PointId] = []
    size = 0
    for _, record in islice(store.points.every(txn), _POINTS_AT_A_TIME):
        ids.append(record.point_id)
        size += len(record.payload)
        if size > _BYTES_AT_A_TIME:
            break
    return tuple(ids)
