"""Indexes that the engine creates for itself: when, for how long, and that no client sees them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from pointstore.core.fields import RawKind
from pointstore.core.filter import Field, Filter, MatchKeyword
from pointstore.core.path import parse_path
from pointstore.core.payload import pack_payload
from pointstore.core.schema import CollectionConfig
from pointstore.core.update import DeletePoints, Upsert
from pointstore.engine import backfill, field_cache
from pointstore.engine.field_lookup import FieldLookup
from tests.building import pid, running_engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pointstore.engine.collection import Collection

_RED = Filter(must=(Field(parse_path("color"), (MatchKeyword("red"),)),))


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[Collection]:
    with running_engine(tmp_path) as engine:
        engine.create_collection("c", CollectionConfig())
        yield engine.collection("c")


def fill(collection: Collection, points: int, first: int = 0) -> None:
    numbers = range(first, first + points)
    ids = [pid(number) for number in numbers]
    payloads = [pack_payload({"color": "red" if number % 3 == 0 else "blue"}) for number in numbers]
    upsert = Upsert(ids, payloads, [{} for _ in ids], [True] * points)
    collection.write([upsert], wait=True, timeout_s=None)


def raw_kinds(collection: Collection) -> list[RawKind | None]:
    with collection.view() as view:
        return [index.raw for index in view.generation.fields.indexes if index.ready]


def test_a_small_collection_gets_none(collection: Collection) -> None:
    fill(collection, 30)
    assert collection.count(_RED) == 10
    assert raw_kinds(collection) == []


def test_the_first_filter_creates_one_that_no_client_sees(collection: Collection) -> None:
    fill(collection, 300)
    assert collection.count(_RED) == 100
    assert raw_kinds(collection) == [RawKind.VALUES]
    assert collection.info().payload_schema == ()


def test_filling_ends_while_writers_are_as_fast(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """What they write they note in the index themselves, also for points that get new slots."""
    fill(collection, 300)
    rounds = 0

    def write_between_transactions() -> None:
        nonlocal rounds
        assert rounds < 50
        fill(collection, 25, first=40 * rounds)
        fill(collection, 25, first=300 + 25 * rounds)
        rounds += 1

    monkeypatch.setattr(backfill, "POINTS_AT_A_TIME", 50)
    monkeypatch.setattr(
        backfill, "interruption", SimpleNamespace(check=write_between_transactions, hasten=lambda: None)
    )
    red = collection.count(_RED)
    assert rounds > 1
    assert raw_kinds(collection) == [RawKind.VALUES]
    assert red == (collection.count(None) + 2) // 3


def test_one_that_is_long_unused_is_dropped(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(collection, 300)
    collection.count(_RED)
    collection.upkeep.drop_unused()
    assert raw_kinds(collection) == [RawKind.VALUES]
    monkeypatch.setattr(backfill, "UNUSED_S", -10)
    collection.upkeep.drop_unused()
    assert raw_kinds(collection) == []
    assert collection.count(_RED) == 100
    assert raw_kinds(collection) == [RawKind.VALUES]


def test_use_keeps_it(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(collection, 300)
    collection.count(_RED)
    with collection.view() as view:
        (index,) = view.generation.fields.indexes
    monkeypatch.setattr("time.time", lambda: index.used_at_s + backfill.UNUSED_S + 1)
    collection.count(_RED)
    collection.upkeep.drop_unused()
    assert raw_kinds(collection) == [RawKind.VALUES]


def test_memory_holds_no_more_dead_slots_than_live_ones(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that lives long reads only what is new of an index: it must forget by itself what has died."""
    monkeypatch.setattr(field_cache, "_DEAD_SLOTS", 100)
    for _ in range(20):
        fill(collection, 300)
        assert collection.count(_RED) == 100
        with collection.view() as view:
            (index,) = view.generation.fields.indexes
            assert FieldLookup(view).entries(index).covered <= 600
    collection.write([DeletePoints(tuple(map(pid, range(300))))], wait=True, timeout_s=None)
    assert collection.count(_RED) == 0
