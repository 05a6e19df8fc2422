"""Tests of the `ids` and `points` databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pointstore.core.errors import CorruptionError
from pointstore.storage import keys
from pointstore.storage.points import PointRecord, check_id, of_slot_keys, pack_point, pack_slot, slot_keys
from tests.building import pid, pids

if TYPE_CHECKING:
    from pointstore.storage.collection import CollectionStore

_UUID = "550e8400-e29b-41d4-a716-446655440000"


def test_records_of_both_kinds_of_ids(store: CollectionStore) -> None:
    ids = pids(5, _UUID)
    with store.write() as txn:
        store.points.put_new(txn, 3, ids, [pack_point(3, ids[0], 9, b""), pack_point(4, ids[1], 2**40, b"payload")])
    with store.read() as txn:
        assert store.points.slots_of(txn, [*reversed(ids), pid(6)]) == [4, 3, None]
        assert (store.points.slot_of(txn, ids[0]), store.points.slot_of(txn, pid(6))) == (3, None)
        assert store.points.record(txn, 3) == PointRecord(ids[0], 9, b"")
        assert store.points.record(txn, 4) == PointRecord(ids[1], 2**40, b"payload")


def test_scan_is_in_id_order_from_any_start(store: CollectionStore) -> None:
    ids = pids(300, 2, _UUID, 2**64 - 1, "00000000-0000-0000-0000-000000000000", 0)
    with store.write() as txn:
        store.points.put_new(txn, 0, ids, [pack_point(slot, i, 1, b"") for slot, i in enumerate(ids)])
    ordered = [(i, pack_slot(i, keys.u64(ids.index(i)))) for i in sorted(ids)]
    with store.read() as txn:
        assert list(store.points.scan(txn, None)) == ordered
        assert list(store.points.scan(txn, pid(2))) == ordered[1:]
        assert list(store.points.scan(txn, pid(3))) == ordered[2:]
        assert list(store.points.scan(txn, pid("ffffffff-ffff-ffff-ffff-ffffffffffff"))) == []


def test_an_id_moves_to_its_newest_slot(store: CollectionStore) -> None:
    ids = pids(1)
    with store.write() as txn:
        store.points.put_new(txn, 0, ids, [pack_point(0, ids[0], 1, b"old")])
        store.points.drop_slot(txn, 0)
        store.points.put_new(txn, 1, ids, [pack_point(1, ids[0], 2, b"new")])
        assert store.points.slot_of(txn, ids[0]) == 1
        store.points.replace(txn, 1, pack_point(1, ids[0], 3, b"newer"))
        assert store.points.record(txn, 1) == PointRecord(ids[0], 3, b"newer")
        with pytest.raises(CorruptionError, match="no record of slot 0"):
            store.points.record(txn, 0)
        store.points.drop_slot(txn, 1)
        store.points.drop_id(txn, ids[0])
        assert list(store.points.scan(txn, None)) == []


def test_many_are_read_in_the_order_asked_for(store: CollectionStore) -> None:
    ids = pids(7, _UUID, 3)
    with store.write() as txn:
        records = [pack_point(5 + seq, i, seq, b"payload %d" % seq) for seq, i in enumerate(ids)]
        store.points.put_new(txn, 5, ids, records)
    with store.read() as txn:
        places = slot_keys(np.array([7, 5, 6], np.uint64))
        assert of_slot_keys(places).tolist() == [7, 5, 6]
        assert store.points.records(txn, places) == [store.points.record(txn, slot) for slot in (7, 5, 6)]
        assert store.points.records(txn, []) == []
        pairs = [(ids[2], places[0]), (ids[0], places[1])]
        assert store.points.payloads_at(txn, pairs) == [b"payload 2", b"payload 0"]
        with pytest.raises(CorruptionError, match="id 7 leads to the record of 3"):
            store.points.payloads_at(txn, [(ids[1], places[2]), (ids[0], places[0])])
        with pytest.raises(CorruptionError, match="no record of slot 9"):
            store.points.records(txn, slot_keys(np.array([5, 9], np.uint64)))


@pytest.mark.parametrize("length", [0, 3, 12, 20])
def test_a_record_that_lost_its_end_is_noticed(store: CollectionStore, length: int) -> None:
    with store.write() as txn:
        store.points.put_new(txn, 0, pids(1), [pack_point(0, pid(1), 1, b"payload")])
        record = txn.get(keys.u64(0), db=store.points._points) or b""
        txn.put(keys.u64(0), record[:length], db=store.points._points)
        for read in (store.points.records, lambda txn, places: store.points.payloads_at(txn, [(pid(1), places[0])])):
            with pytest.raises(CorruptionError, match="slot 0"):
                read(txn, slot_keys(np.array([0], np.uint64)))


def test_damage_is_noticed(store: CollectionStore) -> None:
    ids = pids(1, 2)
    with store.write() as txn:
        store.points.put_new(txn, 0, ids, [pack_point(slot, i, 1, b"payload") for slot, i in enumerate(ids)])
        record = bytearray(txn.get(keys.u64(0), db=store.points._points) or b"")
        record[-1] ^= 1
        txn.put(keys.u64(0), bytes(record), db=store.points._points)
        with pytest.raises(CorruptionError, match="point of slot 0"):
            store.points.record(txn, 0)
        with pytest.raises(CorruptionError, match="point of slot 0"):
            store.points.records(txn, slot_keys(np.array([1, 0], np.uint64)))
        assert check_id(store.points.record(txn, 1), ids[1]).point_id == ids[1]
        with pytest.raises(CorruptionError, match="id 1 leads to the record of 2"):
            check_id(store.points.record(txn, 1), ids[0])
