"""Tests of the `live` database: trimmed blocks and what changed since a version."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pointstore.core.errors import CorruptionError
from pointstore.storage import keys
from pointstore.storage.live import BLOCK_BYTES, BLOCK_SLOTS

if TYPE_CHECKING:
    from pointstore.storage.collection import CollectionStore
    from pointstore.storage.env import Txn
    from pointstore.storage.live import Bits


def _bits(*slots: int) -> Bits:
    bits = np.zeros(BLOCK_BYTES, np.uint8)
    for slot in slots:
        bits[slot >> 3] |= 1 << (slot & 7)
    return bits


def _changed(store: CollectionStore, txn: Txn, space: int, since: int) -> dict[int, int]:
    return {block: len(bits) for block, bits in store.live.changed(txn, space, since)}


@pytest.mark.parametrize(
    ("slots", "size"), [((), 0), ((0,), 1), ((7,), 1), ((8,), 2), ((0, BLOCK_SLOTS - 1), BLOCK_BYTES)]
)
def test_blocks_are_cut_after_their_last_byte(store: CollectionStore, slots: tuple[int, ...], size: int) -> None:
    with store.write() as txn:
        store.live.put_block(txn, 0, 2, _bits(*slots), 5)
        assert _changed(store, txn, 0, -1) == {2: size}
        found = store.live.block(txn, 0, 2)
        assert np.array_equal(found, _bits(*slots))
        found[0] = 1  # writable


def test_a_missing_block_is_zeros(store: CollectionStore) -> None:
    with store.read() as txn:
        assert not store.live.block(txn, 1, 0).any()
        assert _changed(store, txn, 1, -1) == {}


def test_only_what_changed_since_is_yielded(store: CollectionStore) -> None:
    with store.write() as txn:
        store.live.put_block(txn, 1, 0, _bits(3), 4)
        store.live.put_block(txn, 1, 1, _bits(9), 6)
        store.live.put_block(txn, 2, 0, _bits(1), 9)
        store.live.put_block(txn, keys.POINTS_SPACE, 0, _bits(1), 9)
        assert _changed(store, txn, 1, -1) == {0: 1, 1: 2}
        assert _changed(store, txn, 1, 3) == {0: 1, 1: 2}
        assert _changed(store, txn, 1, 4) == {1: 2}
        assert _changed(store, txn, 1, 6) == {}
        store.live.put_block(txn, 1, 0, _bits(), 7)
        assert _changed(store, txn, 1, 6) == {0: 0}
        assert _changed(store, txn, keys.POINTS_SPACE, 8) == {0: 1}


def test_dropping_a_space_leaves_the_others(store: CollectionStore) -> None:
    with store.write() as txn:
        for space in (0, 1, 2, keys.POINTS_SPACE):
            for block in (0, 1, 70_000):
                store.live.put_block(txn, space, block, _bits(space & 7), 1)
        store.live.drop_space(txn, 1)
        store.live.drop_space(txn, keys.POINTS_SPACE)
        store.live.drop_space(txn, 5)
        left = [space for space in (0, 1, 2, keys.POINTS_SPACE) if _changed(store, txn, space, -1)]
        assert left == [0, 2]
        assert sorted(_changed(store, txn, 2, -1)) == [0, 1, 70_000]


def test_a_flipped_bit_is_noticed(store: CollectionStore) -> None:
    with store.write() as txn:
        store.live.put_block(txn, 0, 0, _bits(1, 70), 1)
        key = keys.live_key(0, 0)
        record = bytearray(txn.get(key, db=store.live._database) or b"")
        record[-1] ^= 0x20
        txn.put(key, bytes(record), db=store.live._database)
        with pytest.raises(CorruptionError, match="live block 0 of space 0"):
            store.live.block(txn, 0, 0)
        with pytest.raises(CorruptionError):
            list(store.live.changed(txn, 0, -1))
