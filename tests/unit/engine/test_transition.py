"""Tests of applying operations: slots, live sets, vectors that move, head (design, 5)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pointstore.core.errors import CorruptionError
from pointstore.core.path import parse_path
from pointstore.core.payload import pack_payload
from pointstore.core.schema import Distance, MultiVectorConfig, SparseVectorParams, VectorParams
from pointstore.core.update import (
    ClearPayload,
    CreateVector,
    DeletePayload,
    DeletePoints,
    DeleteVectors,
    DropVector,
    OverwritePayload,
    SetPayload,
)
from pointstore.index import slots as slot_sets
from pointstore.storage.live import BLOCK_SLOTS
from tests.building import (
    contents,
    dense,
    multi,
    pid,
    pids,
    plain,
    seal,
    sparse,
    update_vectors,
    upsert,
    vector_config,
    write,
)

if TYPE_CHECKING:
    from pointstore.core.schema import Json
    from pointstore.core.update import Update
    from pointstore.engine.collection import Collection
    from pointstore.engine.engine import Engine
    from pointstore.storage.meta import Head


def _head(collection: Collection) -> Head:
    with collection.view() as view:
        return view.generation.head


def _versions(collection: Collection, *points: int) -> list[int]:
    with collection.view() as view:
        return [view.record(slot).seq for slot in view.slots_of(pids(*points)) if slot is not None]


def _payload(collection: Collection, *updates: Update) -> dict[str, Json]:
    write(collection, *updates)
    return contents(collection)["1"][0]


def test_payload_operations(collection: Collection) -> None:
    one = pids(1)
    assert _payload(collection, upsert((1, {}, {"a": {"x": 1}, "b": 2, "n": None}))) == {
        "a": {"x": 1},
        "b": 2,
        "n": None,
    }
    assert _payload(collection, SetPayload(one, pack_payload({"a": {"y": 2}, "b": None}))) == {"a": {"y": 2}, "n": None}
    assert _payload(collection, SetPayload(one, b"")) == {"a": {"y": 2}, "n": None}
    assert _payload(collection, SetPayload(one, pack_payload({"q": 1.0}), parse_path("a.z"))) == {
        "a": {"y": 2, "z": {"q": 1.0}},
        "n": None,
    }
    assert _payload(collection, DeletePayload(one, (parse_path("a.y"), parse_path("n"), parse_path("zz.y[]")))) == {
        "a": {"z": {"q": 1.0}}
    }
    assert _payload(collection, OverwritePayload(one, pack_payload({"k": None, "": []}))) == {"k": None, "": []}
    assert _payload(collection, OverwritePayload(one, b"")) == {}
    assert _payload(collection, SetPayload(one, pack_payload({"a": 1}))) == {"a": 1}
    assert _payload(collection, ClearPayload(one)) == {}


def test_merging_at_a_path_gives_each_element_its_own_value(collection: Collection) -> None:
    write(collection, upsert((1, {}, {"a": [1, {"x": 1}]}), (2, {}, {})))
    write(collection, SetPayload(pids(1, 2), pack_payload({"q": {"r": [1]}}), parse_path("a[]")))
    write(collection, SetPayload(pids(1), pack_payload({"s": 2}), parse_path("a[0].q")))
    assert contents(collection)["1"][0] == {"a": [{"q": {"r": [1], "s": 2}}, {"x": 1, "q": {"r": [1]}}]}
    assert contents(collection)["2"][0] == {"a": []}


def test_payload_changes_keep_the_slot_and_vector_changes_take_a_new_one(collection: Collection) -> None:
    write(collection, upsert((1, {"": dense(1, 2)}, {}), (2, {"": dense(3, 4)}, {})))
    assert _head(collection).next_slot == 2
    write(collection, SetPayload(pids(1), pack_payload({"a": 1})), DeleteVectors(pids(2), ("",)))
    assert _head(collection).next_slot == 2
    write(collection, update_vectors((1, {"": dense(5, 5)}), (2, {})))
    assert _head(collection).next_slot == 4
    write(collection, upsert((1, {}, {})), DeletePoints(pids(2)))
    head = _head(collection)
    assert (head.next_slot, head.points, head.seq) == (5, 1, 6)
    with collection.view() as view:
        assert view.slots_of(pids(1, 2)) == [4, None]
        assert slot_sets.to_slots(view.generation.live).tolist() == [4]
        with pytest.raises(CorruptionError):
            view.record(0)


def test_every_operation_gives_its_points_its_number_as_version(collection: Collection) -> None:
    write(collection, upsert((1, {"": dense(1, 2)}, {"a": 1}), (2, {}, {})))
    operations: list[Update] = [
        SetPayload(pids(1), pack_payload({"a": 1})),
        OverwritePayload(pids(1), b""),
        DeletePayload(pids(1), ()),
        ClearPayload(pids(1)),
        DeleteVectors(pids(1), ("b",)),
        update_vectors((1, {})),
        upsert((1, {}, {})),
    ]
    for seq, operation in enumerate(operations, start=2):
        write(collection, operation)
        assert _versions(collection, 1, 2) == [seq, 1]


@pytest.mark.parametrize("sealed", [False, True])
def test_vectors_that_are_not_updated_move_along(collection: Collection, *, sealed: bool) -> None:
    write(
        collection,
        upsert(
            (1, {"": dense(1, 2), "b": dense(1, 2, 3), "s": sparse(_7=1.0), "m": multi([3, 4], [0, 0])}, {"p": 1}),
            (2, {"b": dense(4, 5, 6)}, {"p": 2}),
            (3, {"": dense(7, 7), "m": multi([1, 0])}, {"p": 3}),
            (4, {"": dense(8, 8)}, {"p": 4}),
        ),
    )
    if sealed:
        assert seal(collection) is not None
        assert seal(collection, "b") is not None
    before = contents(collection)
    write(
        collection,
        update_vectors(
            (4, {"b": dense(9, 9, 9)}),
            (1, {"b": dense(0, 0, 1)}),
            (3, {"s": sparse(_1=1.0), "m": multi([0, 1])}),
            (2, {"": dense(2, 2)}),
        ),
    )
    after = contents(collection)
    assert after["1"] == ({"p": 1}, {**(before["1"][1] or {}), "b": (0.0, 0.0, 1.0)})
    assert after["2"] == ({"p": 2}, {"": (2.0, 2.0), "b": (4.0, 5.0, 6.0)})
    assert after["3"] == ({"p": 3}, {"": (7.0, 7.0), "m": ((0.0, 1.0),), "s": {1: 1.0}})
    assert after["4"] == ({"p": 4}, {"": (8.0, 8.0), "b": (9.0, 9.0, 9.0)})


def test_a_vector_moves_twice_within_one_transaction(collection: Collection) -> None:
    write(collection, upsert((1, {"": dense(1, 2), "s": sparse(_7=1.0)}, {})))
    seal(collection)
    write(
        collection,
        update_vectors((1, {"b": dense(1, 1, 1)})),
        update_vectors((1, {"m": multi([1, 0])})),
        DeleteVectors(pids(1), ("b",)),
        update_vectors((1, {})),
    )
    assert contents(collection)["1"][1] == {"": (1.0, 2.0), "s": {7: 1.0}, "m": ((1.0, 0.0),)}


def test_deleted_vectors_do_not_come_back(collection: Collection) -> None:
    write(collection, upsert((1, {"": dense(1, 2), "s": sparse(_7=1.0), "m": multi([1, 0])}, {})))
    seal(collection)
    write(collection, DeleteVectors(pids(1), ("", "s", "m")), update_vectors((1, {"b": dense(1, 1, 1)})))
    assert contents(collection)["1"][1] == {"b": (1.0, 1.0, 1.0)}


def test_rows_of_a_sealed_segment_survive_only_as_long_as_their_points(collection: Collection) -> None:
    write(collection, upsert(*[(n, {"": dense(n, n)}, {}) for n in range(10)]))
    write(collection, DeletePoints(pids(9)))
    meta = seal(collection)
    assert meta is not None
    assert (meta.rows, meta.first_slot, meta.last_slot) == (9, 0, 8)
    write(collection, upsert((3, {"": dense(30, 30)}, {})), DeletePoints(pids(4)), upsert((5, {}, {})))
    found = {point: vectors for point, (_, vectors) in contents(collection).items()}
    assert found == {
        **{str(n): {"": (float(n), float(n))} for n in (0, 1, 2, 6, 7, 8)},
        "3": {"": (30.0, 30.0)},
        "5": {},
    }
    second = seal(collection)
    assert second is not None
    assert second.rows == 1
    assert {point: vectors for point, (_, vectors) in contents(collection).items()} == found
    assert seal(collection) is None


def test_vector_names_come_and_go(collection: Collection) -> None:
    write(collection, upsert((1, {"": dense(1, 2), "b": dense(1, 2, 3), "s": sparse(_1=1.0)}, {}), (2, {}, {})))
    seal(collection, "b")
    write(collection, DropVector("b"), DropVector("s"), DropVector("nope"))
    assert contents(collection) == {"1": ({}, {"": (1.0, 2.0)}), "2": ({}, {})}
    write(
        collection,
        CreateVector("b", VectorParams(1, Distance.DOT, multivector_config=MultiVectorConfig())),
        CreateVector("s", VectorParams(2, Distance.DOT)),
        CreateVector("z", SparseVectorParams()),
    )
    assert contents(collection)["1"] == ({}, {"": (1.0, 2.0)})
    write(collection, update_vectors((1, {"b": multi([5.0], [6.0]), "s": dense(8, 9), "z": sparse(_3=1.0)})))
    assert contents(collection)["1"][1] == {"": (1.0, 2.0), "b": ((5.0,), (6.0,)), "s": (8.0, 9.0), "z": {3: 1.0}}
    numbers = collection.config().vector_numbers
    assert sorted(numbers.values()) == [0, 2, 4, 5, 6]
    assert collection.config().next_vector_number == 7


def test_a_name_used_dropped_and_used_again_in_one_transaction(collection: Collection) -> None:
    params = VectorParams(3, Distance.DOT)
    write(
        collection,
        upsert((1, {"b": dense(1, 2, 3)}, {})),
        DropVector("b"),
        CreateVector("b", params),
        update_vectors((1, {"": dense(1, 1)})),
        upsert((2, {"b": dense(4, 5, 6)}, {})),
    )
    assert contents(collection) == {"1": ({}, {"": (1.0, 1.0)}), "2": ({}, {"b": (4.0, 5.0, 6.0)})}


def test_adding_a_name_ends_the_single_unnamed_form(engine: Engine) -> None:
    engine.create_collection("single", vector_config())
    collection = engine.collection("single")
    assert collection.config().single_vector
    write(collection, CreateVector("n", SparseVectorParams()))
    config = collection.config()
    assert (config.single_vector, list(config.vectors), list(config.sparse)) == (False, [""], ["n"])
    write(collection, DropVector(""), DropVector("n"))
    config = collection.config()
    assert (config.single_vector, config.vectors, config.vector_numbers) == (False, {}, {})


def test_live_sets_over_several_blocks(engine: Engine) -> None:
    """Slots beyond 65,536 and 131,072, with changes in each block."""
    engine.create_collection("big", vector_config(1))
    collection = engine.collection("big")
    count = 2 * BLOCK_SLOTS + 1000
    for start in range(0, count, 20_000):
        write(collection, upsert(*[(n, {"": dense(n)}, {}) for n in range(start, min(start + 20_000, count))]))
    borders = [0, 7, 8, BLOCK_SLOTS - 1, BLOCK_SLOTS, 2 * BLOCK_SLOTS - 1, 2 * BLOCK_SLOTS, count - 1]
    with collection.view() as view:
        assert [view.slots_of(pids(n))[0] for n in borders] == borders
        rows = [view.vector("", slot) for slot in borders]
        assert [plain(row) for row in rows if row is not None] == [(float(n),) for n in borders]
    write(collection, DeletePoints(pids(*borders)))
    assert collection.count(None) == count - len(borders)
    with collection.view() as view:
        members = slot_sets.to_slots(view.generation.live)
        assert sorted(set(range(count)) - set(members.tolist())) == borders
        vectors = slot_sets.to_slots(view.generation.dense[""].live)
        assert np.array_equal(vectors, members)
    write(collection, update_vectors((1, {"": dense(0.5)}), (BLOCK_SLOTS + 1, {"": dense(0.25)})))
    with collection.view() as view:
        assert view.slots_of(pids(1, BLOCK_SLOTS + 1)) == [count, count + 1]
        assert view.record(count, pid(1)).point_id == pid(1)


def test_the_log_size_in_the_head_is_that_of_the_log(collection: Collection) -> None:
    write(collection, *[upsert((n, {"": dense(n, n)}, {"x": "y" * n})) for n in range(20)])
    with collection.view() as view:
        log = view.store.log
        assert len(list(log.entries(view.txn, 0))) == 20
        size = view.generation.head.log_bytes
    with collection._store.write() as txn:
        assert log.truncate(txn, 0, size) == 0
        collection._store.meta.put_head(txn, replace(collection._store.meta.head(txn), log_bytes=0))
    assert write(collection, upsert((1, {}, {})))[0].seq == 21
