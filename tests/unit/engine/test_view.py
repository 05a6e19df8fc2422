"""Tests of snapshots: refreshing across processes, growth of unsealed rows, live sets."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from pointstore.core.catalog import CollectionChange
from pointstore.core.errors import CorruptionError
from pointstore.core.schema import SparseVectorParams
from pointstore.core.update import CreateVector, DeletePoints, DropVector
from pointstore.engine.view import Unsealed, empty_generation, load_generation
from pointstore.index import slots as slot_sets
from tests.building import (
    contents,
    dense,
    merge_segments,
    pids,
    running_engine,
    seal,
    sparse,
    update_vectors,
    upsert,
    vector_config,
    write,
)

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from pointstore.engine.collection import Collection
    from pointstore.index.slots import SlotSet


def test_unsealed_rows_grow_without_changing_older_snapshots() -> None:
    empty = Unsealed(np.zeros(0, np.uint64), np.zeros((0, 2), np.float32), 0)
    assert empty.last_slot == -1
    versions = [empty]
    for first in range(0, 3000, 3):
        slots = np.arange(first, first + 3, dtype=np.uint64)
        versions.append(versions[-1].appended(slots, np.full((3, 2), first, np.float32)))
    for count, version in enumerate(versions):
        assert version.count == 3 * count
        assert version.slots[: version.count].tolist() == list(range(3 * count))
        assert version.rows[: version.count, 0].tolist() == [slot // 3 * 3 for slot in range(3 * count)]
    assert versions[-1].last_slot == 2999
    arrays = {id(version.rows) for version in versions}
    assert len(arrays) <= 8, "the arrays grow geometrically"


def test_an_unchanged_part_is_taken_over(collection: Collection) -> None:
    write(collection, upsert((1, {"": dense(1, 2), "b": dense(1, 2, 3), "s": sparse(_1=1.0)}, {})))
    with collection.view() as view:
        first = view.generation
    write(collection, update_vectors((1, {"": dense(3, 4)})), DeletePoints(pids(9)))
    with collection.view() as view:
        second = view.generation
    assert second.head.version == first.head.version + 1
    assert second.config is first.config
    assert second.live is not first.live
    assert slot_sets.to_slots(first.live).tolist() == [0]
    with collection.view() as view:
        assert view.generation is second


def test_a_fresh_snapshot_equals_one_that_grew(collection: Collection) -> None:
    random = np.random.default_rng(5)
    for step in range(40):
        points = [int(n) for n in random.integers(0, 30, 4)]
        write(collection, upsert(*[(n, {"": dense(step, n)} if n % 3 else {"s": sparse(_1=n)}, {}) for n in points]))
        if step % 5 == 4:
            write(collection, DeletePoints(pids(*points[:2])))
        if step == 11:
            seal(collection)
        if step == 21:
            seal(collection)
            merge_segments(collection)
        if step == 25:
            write(collection, CreateVector("late", SparseVectorParams()), DropVector("b"))
        with collection.view() as view:
            grown = view.generation
            fresh = load_generation(collection._store, view.txn, grown.head, empty_generation())
        assert fresh.config == grown.config
        _same_members(fresh.live, grown.live)
        assert fresh.dense.keys() == grown.dense.keys()
        assert fresh.others.keys() == grown.others.keys()
        for name, bits in fresh.others.items():
            _same_members(bits, grown.others[name])
        for name, space in fresh.dense.items():
            other = grown.dense[name]
            _same_members(space.live, other.live)
            assert [segment.meta for segment in space.segments] == [segment.meta for segment in other.segments]
            count = space.unsealed.count
            assert count == other.unsealed.count
            assert np.array_equal(space.unsealed.slots[:count], other.unsealed.slots[:count])
            assert np.array_equal(space.unsealed.rows[:count], other.unsealed.rows[:count])


def _same_members(left: SlotSet, right: SlotSet) -> None:
    assert np.array_equal(slot_sets.to_slots(left), slot_sets.to_slots(right))


def test_a_row_that_is_nowhere_is_corruption(collection: Collection) -> None:
    write(collection, upsert((1, {"": dense(1, 2)}, {})))
    with collection.view() as view, pytest.raises(CorruptionError, match="no row of slot 5"):
        view.generation.dense[""].row(5)


def _serve(path: str, pipe: Connection) -> None:
    """Do in another process what the test asks for: `(what, argument)` -> what it sees afterwards."""
    with running_engine(Path(path)) as engine:
        while True:
            what, argument = pipe.recv()
            if what == "end":
                return
            if what == "write":
                write(engine.collection("c"), *argument)
            elif what == "seal":
                seal(engine.collection("c"))
            elif what == "merge":
                merge_segments(engine.collection("c"))
            elif what == "create":
                engine.create_collection(argument, vector_config())
            elif what == "drop":
                engine.drop_collection(argument)
            elif what == "configure":
                engine.update_collection("c", argument)
            pipe.send((engine.collection_names(), contents(engine.collection("c")), engine.collection("c").config()))


def test_two_processes_see_each_others_writes_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    with running_engine(tmp_path / "data") as engine:
        engine.create_collection("c", vector_config())
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(str(tmp_path / "data"), theirs))
        process.start()

        def ask(what: str, argument: object = None) -> None:
            """Let the other process act; then both must see the same."""
            ours.send((what, argument))
            assert ours.poll(30), what
            collection = engine.collection("c")
            assert ours.recv() == (engine.collection_names(), contents(collection), collection.config())

        try:
            collection = engine.collection("c")
            for round_ in range(3):
                write(collection, upsert(*[(n, {"": dense(n, round_)}, {"r": round_}) for n in range(20)]))
                ask("write", [update_vectors((3, {"": dense(0.5, round_)})), DeletePoints(pids(4))])
                ask("seal")
                # Rows that the other process has sealed move here.
                write(collection, update_vectors(*[(n, {}) for n in range(3)]), upsert((50 + round_, {}, {})))
                ask("look")
                seal(collection)
                ask("merge")
                write(collection, update_vectors((7, {"": dense(7, 7)}), (8, {})))
                ask("look")
            ask("configure", CollectionChange(metadata={"k": 1}))
            ask("write", [CreateVector("s", SparseVectorParams()), upsert((1, {"s": sparse(_1=1.0)}, {}))])
            write(collection, upsert((2, {"s": sparse(_2=1.0)}, {})))
            ask("look")
            ask("create", "d")
            write(engine.collection("d"), upsert((1, {}, {})))
            ask("drop", "d")
            ask("create", "d")
            assert contents(engine.collection("d")) == {}
            # Dropped and created again under the name that both have open.
            ask("drop", "d")
            old = engine.collection("c")
            assert engine.drop_collection("c")
            engine.create_collection("c", vector_config(3))
            ask("look")
            assert engine.collection("c") is not old
            ask("write", [upsert((1, {"": dense(1, 2, 3)}, {}))])
            assert contents(engine.collection("c")) == {"1": ({}, {"": (1.0, 2.0, 3.0)})}
            ours.send(("end", None))
            process.join(30)
            assert process.exitcode == 0
        finally:
            process.kill()
