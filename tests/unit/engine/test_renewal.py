"""Tests of keeping slots near each other: the oldest points move, everything else about them stays."""

from __future__ import annotations

import random
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from pointstore.config import OptimizerSettings
from pointstore.core.errors import InsufficientStorageError
from pointstore.core.fields import FieldSchema, FieldType
from pointstore.core.filter import Field, Filter, MatchKeyword
from pointstore.core.path import parse_path
from pointstore.core.query import NearestQuery, Selectors
from pointstore.core.update import CreateField, DeletePoints
from pointstore.engine.check import check
from pointstore.engine.optimize import Optimizer
from pointstore.engine.strict import Searches
from pointstore.storage.live import BLOCK_SLOTS
from tests.building import (
    MAP_SIZE,
    config_of_every_kind,
    contents,
    dense,
    merge_segments,
    multi,
    pids,
    renew_slots,
    running_engine,
    seal,
    skip_slots,
    sparse,
    upsert,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pointstore.core.vector import NamedVectors
    from pointstore.engine.collection import Collection
    from pointstore.engine.engine import Engine


_CITY = Filter(must=(Field(parse_path("city"), (MatchKeyword("b"),)),))


def _filled(engine: Engine) -> Collection:
    engine.create_collection("c", config_of_every_kind())
    collection = engine.collection("c")
    write(collection, CreateField(parse_path("city"), FieldSchema(FieldType.KEYWORD)))
    rng = random.Random(4)
    for n in range(300):
        vectors: NamedVectors = {
            "": dense(rng.random(), 1),
            "h": dense(n, 2, rng.random()),
            "m": multi([n, 1], [2, 3]),
        }
        chosen = {name: vector for name, vector in vectors.items() if rng.random() < 0.8}
        write(collection, upsert((n, {**chosen, "s": sparse(_3=1.0)}, {"city": "abc"[n % 3], "n": n})))
        if n in {90, 180}:
            seal(collection)
            seal(collection, "h")
    return collection


def _answers(engine: Engine) -> tuple[object, ...]:
    collection = engine.collection("c")
    queries = [
        NearestQuery(dense(0.3, 1), limit=20),
        NearestQuery(dense(5, 2, 0.5), using="h", limit=20),
        NearestQuery(dense(0.3, 1), limit=20, filter=_CITY),
    ]
    found = engine.query("c", Searches(queries))
    versions = [(record.point_id, record.version, round(record.score, 5)) for hits in found for record in hits]
    facets = collection.facet(parse_path("city"), None, 10)
    return contents(collection), versions, collection.count(_CITY), facets, collection.info().points_count


def test_points_move_as_they_are(tmp_path: Path) -> None:
    with running_engine(tmp_path) as engine:
        collection = _filled(engine)
        before = _answers(engine)
        # An unfilled index of the engine's own would be filled in between.
        assert not renew_slots(collection)
        skip_slots(collection, 3 * BLOCK_SLOTS)
        with collection.view() as old:
            assert renew_slots(collection)
            # Who reads the earlier state goes on reading it.
            assert [record.point_id for record in map(old.record, range(300))] == list(pids(*range(300)))
        assert _answers(engine) == before
        with collection.view() as view:
            assert view.generation.live.first == 3 * BLOCK_SLOTS
            assert view.generation.live.bits.size == BLOCK_SLOTS // 8
            number = collection.config().vector_numbers[""]
            assert [block for block, _ in view.store.live.changed(view.txn, number, -1)] == [3]
        assert not collection.renew_slots(0)
        write(collection, upsert((5, {"": dense(1, 2)}, {"city": "b"})), DeletePoints(pids(6)))
        for name in ("", "h"):
            seal(collection, name)
            merge_segments(collection, name)
        after = _answers(engine)
    assert not any(check(tmp_path, map_size=MAP_SIZE).findings.values())
    with running_engine(tmp_path) as engine:
        assert _answers(engine) == after


def test_a_collection_without_points_begins_at_the_next_slot(tmp_path: Path) -> None:
    with running_engine(tmp_path) as engine:
        collection = _filled(engine)
        write(collection, DeletePoints(Filter()))
        skip_slots(collection, BLOCK_SLOTS)
        renew_slots(collection)
        write(collection, upsert((1, {"": dense(1, 2)}, {"city": "b"})))
        assert collection.count(_CITY) == collection.count(None) == 1
        assert [record.point_id for record in collection.get(pids(1, 2), Selectors())] == list(pids(1))


def test_old_entries_of_field_indexes_are_left_behind(tmp_path: Path) -> None:
    """Entries of dead points lie before the first slot until they are dropped."""
    with running_engine(tmp_path) as engine:
        collection = _filled(engine)
        assert collection.count(_CITY) == 100
        skip_slots(collection, BLOCK_SLOTS)
        write(collection, DeletePoints(pids(*range(150))))
        renew_slots(collection)
        assert collection.count(_CITY) == 50
        assert dict(collection.facet(parse_path("city"), None, 10)) == {"a": 50, "b": 50, "c": 50}


def _optimizer(engine: Engine) -> Optimizer:
    return Optimizer(SimpleNamespace(optimizer=OptimizerSettings(spread_slots=0)), engine)


def test_the_optimizer_moves_points(tmp_path: Path) -> None:
    with running_engine(tmp_path) as engine:
        collection = _filled(engine)
        before = contents(collection)
        skip_slots(collection, 2 * BLOCK_SLOTS)
        optimizer = _optimizer(engine)
        optimizer.step()
        optimizer.wait()
        with collection.view() as view:
            assert view.store.meta.first_slot(view.txn) == 2 * BLOCK_SLOTS
        assert contents(collection) == before


def test_no_room_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_engine(tmp_path) as engine:
        collection = _filled(engine)
        skip_slots(collection, 2 * BLOCK_SLOTS)
        optimizer = _optimizer(engine)
        tries: list[int] = []

        def full(_: Collection, __: int) -> bool:
            tries.append(1)
            raise InsufficientStorageError("the disk is full")

        monkeypatch.setattr(type(collection), "renew_slots", full)
        optimizer.step()
        optimizer.wait()
        write(collection, upsert((1, {}, {})))
        optimizer.step()
        optimizer.wait()
        assert tries == [1]
        assert collection.info().optimizer_error is None
