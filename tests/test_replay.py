"""The log of a collection, applied to an empty one, gives the same state: there is one way to apply an operation."""

from __future__ import annotations

import random
from itertools import islice
from typing import TYPE_CHECKING

import pytest

from pointstore.core.filter import Filter
from pointstore.core.operation import MovePoints
from pointstore.core.path import parse_path
from pointstore.core.payload import pack_payload
from pointstore.core.query import NearestQuery
from pointstore.core.schema import (
    Distance,
    VectorParams,
)
from pointstore.core.update import (
    ClearPayload,
    CreateVector,
    DeletePayload,
    DeletePoints,
    DeleteVectors,
    DropVector,
    OverwritePayload,
    SetPayload,
    UpdateMode,
)
from pointstore.engine.strict import Searches
from tests.building import (
    Point,
    config_of_every_kind,
    contents,
    dense,
    having,
    merge_segments,
    multi,
    pids,
    running_engine,
    seal,
    sparse,
    update_vectors,
    upsert,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pointstore.core.update import Update
    from pointstore.core.vector import Vector
from pointstore.engine.collection import Collection


def _random_update(dice: random.Random) -> Update:
    some = [dice.randrange(25) for _ in range(3)]
    condition = having(*some)

    def vectors() -> dict[str, Vector]:
        every: dict[str, Vector] = {
            "": dense(dice.random(), 1),
            "h": dense(dice.random(), 2, dice.random()),
            "m": multi([dice.random(), 1], [2, 3]),
            "s": sparse(_3=dice.random()),
        }
        return {name: vector for name, vector in every.items() if dice.random() < 0.6}

    points: list[Point] = [(point, vectors(), {"n": dice.randrange(9), "l": [1, {"x": 1.0}]}) for point in some]
    updates: list[Update] = [
        upsert(*points),
        upsert(*points),
        upsert(*points, mode=dice.choice(list(UpdateMode)), condition=condition),
        update_vectors(*[(point, vectors()) for point in some], condition=condition),
        DeletePoints(pids(some[0])),
        DeletePoints(condition),
        DeleteVectors(condition, ("", "s")),
        SetPayload(condition, pack_payload({"a": {"b": 1}, "n": None})),
        SetPayload(Filter(), pack_payload({"q": dice.random()}), parse_path("l[].x")),
        OverwritePayload(condition, pack_payload({"o": [None, 1, 1.0]})),
        DeletePayload(condition, (parse_path("l[1].x"), parse_path("a.b"))),
        ClearPayload(condition),
        CreateVector("x", VectorParams(2, Distance.DOT)),
        DropVector("x"),
    ]
    return dice.choice(updates)


def _state(collection: Collection) -> tuple[object, ...]:
    with collection.view() as view:
        head = view.generation.head
        places = [place for _, place in view.store.points.scan(view.txn, None)]
        versions = [record.seq for record in view.store.points.records(view.txn, places)]
        return contents(collection), versions, collection.config(), head.seq, head.next_slot, head.points


@pytest.mark.parametrize("seed", range(6))
def test_replaying_the_log(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    with running_engine(tmp_path) as engine:
        engine.create_collection("source", config_of_every_kind())
        source = engine.collection("source")
        for step in range(120):
            # Some are refused when applied: they are in the log as nothing.
            write(source, _random_update(dice), wait=False)
            if step % 25 == 24:
                seal(source, dice.choice(["", "h"]))
            if step % 40 == 39:
                with source._transition() as transition:
                    some = islice(source._store.points.scan(transition.txn, None), 9)
                    transition.append(MovePoints(tuple(point_id for point_id, _ in some)))
            if step == 80:
                merge_segments(source)
        with source.view() as view:
            entries = list(view.store.log.entries(view.txn, 0))
        assert len(entries) == 123
        engine.create_collection("copy", config_of_every_kind())
        copy = engine.collection("copy")
        for start in range(0, len(entries), 17):
            with copy._transition() as transition:
                for seq, operation in entries[start : start + 17]:
                    assert transition.append(operation) == seq
        assert _state(copy) == _state(source)
        with copy.view() as view:
            assert len(list(view.store.log.entries(view.txn, 0))) == 123
        answers = [engine.query(name, Searches([NearestQuery(dense(1, 0.5), limit=30)])) for name in ("source", "copy")]
        assert answers[0] == answers[1]


def test_applying_an_entry_again_changes_nothing(tmp_path: Path) -> None:
    """A follower may be sent the last entry twice; content and version stay."""
    with running_engine(tmp_path) as engine:
        engine.create_collection("c", config_of_every_kind())
        collection = engine.collection("c")
        write(
            collection,
            upsert((1, {"": dense(3, 4), "s": sparse(_1=1.0)}, {"a": [1]}), (2, {}, {})),
            update_vectors((1, {"m": multi([1, 2])})),
            SetPayload(pids(1), pack_payload({"b": 1.0}), parse_path("a[0]")),
            DeletePoints(pids(2)),
        )
        before = contents(collection)
        with collection.view() as view:
            entries = list(view.store.log.entries(view.txn, 0))
        for seq, operation in entries[1:]:
            with collection._transition() as transition:
                transition.apply(seq, operation)
        assert contents(collection) == before
        assert collection.count(None) == 1
