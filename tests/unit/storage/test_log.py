"""Tests of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pointstore.core.errors import CorruptionError
from pointstore.core.operation import DropVector, Nothing, Operation, RemovePoints
from pointstore.storage import keys
from pointstore.storage.log import LmdbLog
from tests.building import pids

if TYPE_CHECKING:
    from pointstore.storage.collection import CollectionStore


def _operation(seq: int) -> Operation:
    return RemovePoints(pids(*range(seq))) if seq % 3 else Nothing()


def _fill(store: CollectionStore, *seqs: int) -> list[int]:
    with store.write() as txn:
        return [store.log.append(txn, seq, _operation(seq)) for seq in seqs]


def _seqs(store: CollectionStore, after: int = 0) -> list[int]:
    with store.read() as txn:
        return [seq for seq, _ in store.log.entries(txn, after)]


def test_entries_come_in_order_after_a_number(store: CollectionStore) -> None:
    seqs = [1, 2, 4, 5, 255, 256, 65_536]
    _fill(store, *seqs)
    with store.read() as txn:
        assert list(store.log.entries(txn, 0)) == [(seq, _operation(seq)) for seq in seqs]
    assert _seqs(store, after=4) == [5, 255, 256, 65_536]
    assert _seqs(store, after=3) == [4, 5, 255, 256, 65_536]
    assert _seqs(store, after=65_536) == []


def test_appending_tells_the_size_on_disk(store: CollectionStore) -> None:
    sizes = _fill(store, 1, 2, 3)
    assert isinstance(store.log, LmdbLog)
    with store.read() as txn:
        assert sizes == [len(txn.get(keys.u64(seq), db=store.log._database) or b"") for seq in (1, 2, 3)]


def test_truncating_drops_the_oldest_entries(store: CollectionStore) -> None:
    sizes = _fill(store, *range(1, 21))
    total = sum(sizes)
    for bytes_max in (total, total - 1, sum(sizes[-3:]), sum(sizes[-3:]) - 1, 1, 0):
        with store.write() as txn:
            total = store.log.truncate(txn, bytes_max, total)
        left = _seqs(store)
        assert total == sum(sizes[seq - 1] for seq in left)
        assert total <= bytes_max
        # No more than necessary.
        first = left[0] if left else 21
        assert first == 1 or total + sizes[first - 2] > bytes_max
        assert left == list(range(first, 21))


def test_truncating_an_empty_log(store: CollectionStore) -> None:
    with store.write() as txn:
        assert store.log.truncate(txn, 0, 0) == 0


def test_a_damaged_entry_is_named(store: CollectionStore) -> None:
    _fill(store, 1)
    assert isinstance(store.log, LmdbLog)
    with store.write() as txn:
        store.log.append(txn, 2, DropVector("name"))
        record = bytearray(txn.get(keys.u64(2), db=store.log._database) or b"")
        record[6] ^= 1
        txn.put(keys.u64(2), bytes(record), db=store.log._database)
    with store.read() as txn, pytest.raises(CorruptionError, match="log entry 2"):
        list(store.log.entries(txn, 0))
