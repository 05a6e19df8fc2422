"""Tests of the `vectors` database: blocks of rows, single vectors, borders between spaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pointstore.core.errors import CorruptionError
from pointstore.core.schema import Datatype, Distance, VectorParams
from pointstore.core.space import Space, space_of
from pointstore.core.vector import Multi, Sparse
from pointstore.storage import keys
from tests.building import multi, plain, sparse

if TYPE_CHECKING:
    from pointstore.storage.collection import CollectionStore
    from pointstore.storage.env import Txn

_SPACE = space_of(VectorParams(3, Distance.DOT))


def _put(store: CollectionStore, txn: Txn, number: int, *slots: int, space: Space = _SPACE) -> None:
    rows = np.array([[slot % 200, slot % 7, number] for slot in slots], space.dtype)
    store.vectors.put_block(txn, number, np.array(slots, np.uint64), rows)


def _blocks(store: CollectionStore, txn: Txn, number: int, after: int = -1) -> list[list[int]]:
    return [slots.tolist() for slots, _ in store.vectors.blocks(txn, number, _SPACE, after)]


@pytest.mark.parametrize("datatype", [Datatype.FLOAT32, Datatype.FLOAT16, Datatype.UINT8])
def test_row_lookup_at_the_borders_of_blocks(store: CollectionStore, datatype: Datatype) -> None:
    space = space_of(VectorParams(3, Distance.DOT, datatype=datatype))
    with store.write() as txn:
        _put(store, txn, 1, 10, 11, 15, space=space)
        _put(store, txn, 1, 16, space=space)
        _put(store, txn, 1, 20, 300, 70_000, space=space)
        for number in (0, 2):
            _put(store, txn, number, 9, 12, 17, 80_000, space=space)
        for slot in (10, 11, 15, 16, 20, 300, 70_000):
            row = store.vectors.row(txn, 1, space, slot)
            assert row is not None
            assert row.dtype == space.dtype
            assert row.tolist() == [slot % 200, slot % 7, 1]
        for slot in (0, 9, 12, 14, 17, 19, 21, 299, 301, 69_999, 70_001, 80_000, 2**63):
            assert store.vectors.row(txn, 1, space, slot) is None, slot
        assert store.vectors.row(txn, 3, space, 9) is None
        assert store.vectors.row(txn, 0, space, 8) is None


def test_lookup_in_an_empty_database(store: CollectionStore) -> None:
    with store.read() as txn:
        assert store.vectors.row(txn, 0, _SPACE, 0) is None
        assert _blocks(store, txn, 0) == []
        assert store.vectors.one(txn, 0, 0) is None


def test_blocks_come_oldest_first_after_a_slot(store: CollectionStore) -> None:
    with store.write() as txn:
        for first in (0, 256, 255, 65_536, 70_000):
            _put(store, txn, 1, first)
        _put(store, txn, 2, 1)
        assert _blocks(store, txn, 1) == [[0], [255], [256], [65_536], [70_000]]
        assert _blocks(store, txn, 1, after=255) == [[256], [65_536], [70_000]]
        assert _blocks(store, txn, 1, after=70_000) == []
        assert _blocks(store, txn, 2) == [[1]]
        (slots, rows), *_ = store.vectors.blocks(txn, 1, _SPACE, 65_535)
        assert (slots.tolist(), rows.tolist()) == ([65_536], [[136, 2, 1]])


def test_dropping_sealed_blocks_leaves_newer_ones_and_other_spaces(store: CollectionStore) -> None:
    with store.write() as txn:
        for number in (0, 1, 2):
            _put(store, txn, number, 1, 2)
            _put(store, txn, number, 5)
            _put(store, txn, number, 9, 12)
        store.vectors.drop_through(txn, 1, 5)
        assert [_blocks(store, txn, number) for number in (0, 1, 2)] == [
            [[1, 2], [5], [9, 12]],
            [[9, 12]],
            [[1, 2], [5], [9, 12]],
        ]
        store.vectors.drop_through(txn, 1, 8)
        assert _blocks(store, txn, 1) == [[9, 12]]
        store.vectors.drop_through(txn, 1, 2**40)
        store.vectors.drop_through(txn, 2, 2**40)
        assert _blocks(store, txn, 1) == _blocks(store, txn, 2) == []
        assert len(_blocks(store, txn, 0)) == 3


def test_single_vectors_round_trip(store: CollectionStore) -> None:
    vectors: list[Sparse | Multi] = [
        sparse(),
        sparse(_0=1.5, _7=-2.0, _4294967295=float("inf")),
        multi([1.0, 2.0]),
        multi([1.0], [2.0], [3.0]),
    ]
    with store.write() as txn:
        for slot, vector in enumerate(vectors):
            store.vectors.put_one(txn, 4, slot, vector)
        for slot, vector in enumerate(vectors):
            found = store.vectors.one(txn, 4, slot)
            assert type(found) is type(vector)
            assert found is not None
            assert plain(found) == plain(vector)
        store.vectors.drop_one(txn, 4, 1)
        store.vectors.drop_one(txn, 4, 99)
        assert store.vectors.one(txn, 4, 1) is None
        assert store.vectors.one(txn, 5, 0) is None


def test_dropping_a_space_leaves_the_others(store: CollectionStore) -> None:
    with store.write() as txn:
        for number in (0, 1, 2, 255, 256):
            _put(store, txn, number, 0)
            _put(store, txn, number, 2**40)
        store.vectors.drop_space(txn, 1)
        store.vectors.drop_space(txn, 256)
        assert [n for n in (0, 1, 2, 255, 256) if _blocks(store, txn, n)] == [0, 2, 255]


def test_flipped_bits_are_noticed(store: CollectionStore) -> None:
    with store.write() as txn:
        _put(store, txn, 0, 3, 4)
        store.vectors.put_one(txn, 1, 3, sparse(_1=1.0))
        for number in (0, 1):
            key = keys.vector_key(number, 3)
            record = bytearray(txn.get(key, db=store.vectors._database) or b"")
            record[len(record) // 2] ^= 0x10
            txn.put(key, bytes(record), db=store.vectors._database)
        with pytest.raises(CorruptionError, match="vector block 3 of space 0"):
            store.vectors.row(txn, 0, _SPACE, 4)
        with pytest.raises(CorruptionError, match="vector block 3 of space 0"):
            _blocks(store, txn, 0)
        with pytest.raises(CorruptionError, match="vector 1 of slot 3"):
            store.vectors.one(txn, 1, 3)
