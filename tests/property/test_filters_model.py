"""Filters, facets and ordered scrolls of a collection against a model, under random writes and indexes.

The default run is small and always the same; `POINTSTORE_PROPERTY_EXAMPLES=500` makes it as many programs.
"""

from __future__ import annotations

import json
import os
import random
from typing import TYPE_CHECKING

import pytest

from pointstore.core.errors import WrongInputError
from pointstore.core.fields import FieldSchema, FieldType
from pointstore.core.filter import Filter, HasId, HasVector, PointCondition
from pointstore.core.path import delete, merge, merge_at, parse_path
from pointstore.core.payload import pack_payload, unpack_payload
from pointstore.core.point import PointId
from pointstore.core.query import ALL_PAYLOAD, OrderBy, ScrollRequest, Selectors
from pointstore.core.schema import CollectionConfig, Distance, VectorParams
from pointstore.core.update import (
    ClearPayload,
    CreateField,
    DeletePayload,
    DeletePoints,
    DropField,
    OverwritePayload,
    Selector,
    SetPayload,
    Update,
    UpdateVectors,
    Upsert,
)
from pointstore.engine import field_upkeep
from pointstore.engine.engine import Engine
from pointstore.storage.live import BLOCK_SLOTS
from tests.building import MAP_SIZE, dense, pid, renew_slots, seal, skip_slots
from tests.indexed_truth import IndexedTruth, elements, facet, indexed
from tests.random_filters import INDEXED_PATHS, KINDS, OBJECTS, Chance

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pointstore.core.schema import Json
    from pointstore.core.vector import NamedVectors
    from pointstore.engine.collection import Collection

PROGRAMS = int(os.environ.get("POINTSTORE_PROPERTY_EXAMPLES", "0")) or 8
STEPS = 40
_IDS = [*map(pid, range(60)), *(pid(f"{number:08x}-0000-4000-8000-000000000000") for number in range(20))]
_FACETED = {FieldType.KEYWORD, FieldType.INTEGER, FieldType.BOOL, FieldType.UUID}
_ORDERED = {FieldType.INTEGER, FieldType.FLOAT, FieldType.DATETIME}


def _open(data_dir: Path) -> Engine:
    return Engine(data_dir, map_size=MAP_SIZE, catalog_map_size=MAP_SIZE)


class Program:
    """A collection and what it must hold."""

    def __init__(self, data_dir: Path, seed: int) -> None:
        self.data_dir = data_dir
        self.engine = _open(data_dir)
        self.rng = random.Random(seed)
        self.chance = Chance(self.rng, _IDS)
        # With 0 every filter gets indexes of the engine's own, with the other none ever does.
        self.self_index_points = (0, 10**9)[seed % 2]
        self.payloads: dict[PointId, dict[str, Json]] = {}
        self.having: set[PointId] = set()
        self.ready: dict[str, FieldSchema] = {}
        self.pending: dict[str, FieldSchema] = {}
        config = CollectionConfig(vectors={"": VectorParams(2, Distance.DOT)}, single_vector=True)
        self.engine.create_collection("c", config)

    @property
    def collection(self) -> Collection:
        collection = self.engine.collection("c")
        collection.upkeep.self_index_points = self.self_index_points
        return collection

    def matching(self, condition: Filter) -> list[PointId]:
        """Return what a filter must find."""
        truth = IndexedTruth(self.ready)

        def about(point_id: PointId, asked: PointCondition) -> bool:
            match asked:
                case HasId(ids):
                    return point_id in ids
                case HasVector(name):
                    return not name and point_id in self.having
                case _:
                    return asked.contains(point_id)

        return [
            i
            for i in sorted(self.payloads)
            if truth.holds(condition, self.payloads[i], lambda asked, i=i: about(i, asked))  # type: ignore[misc]
        ]

    def _write(self, update: Update, *, wait: bool = True) -> None:
        self.collection.write([update], wait=wait, timeout_s=None)

    def _selected(self) -> tuple[Selector, list[PointId]]:
        if self.rng.random() < 0.4:
            condition = self.chance.filter()
            return condition, self.matching(condition)
        some = self.rng.sample(sorted(self.payloads), min(len(self.payloads), self.rng.randint(1, 6)))
        return tuple(some), some

    def upsert(self) -> None:
        ids = self.rng.sample(_IDS, self.rng.choice([1, 3, 10, 40]))
        payloads = [self.chance.payload() for _ in ids]
        # Half of the points have a vector.
        vectors: list[NamedVectors] = [
            {"": dense(1.0, float(self.rng.randrange(9)))} if self.rng.random() < 0.5 else {} for _ in ids
        ]
        self._write(Upsert(ids, [pack_payload(each) for each in payloads], vectors, [True] * len(ids)))
        self.payloads |= dict(zip(ids, payloads, strict=True))
        self.having -= set(ids)
        self.having |= {i for i, each in zip(ids, vectors, strict=True) if each}

    def change_payloads(self) -> None:
        selector, chosen = self._selected()
        payload = dict(self.rng.sample(sorted(self.chance.payload().items()), 1) or [("z", 1)])
        match self.rng.randrange(5):
            case 0:
                self._write(OverwritePayload(selector, pack_payload(payload)))
                self.payloads |= {i: unpack_payload(pack_payload(payload)) for i in chosen}
            case 1:
                self._write(ClearPayload(selector))
                self.payloads |= {i: {} for i in chosen}
            case 2:
                keys = tuple(map(parse_path, self.rng.sample([*KINDS, "o[].a", "o[0]", "k[]"], 2)))
                self._write(DeletePayload(selector, keys))
                for i in chosen:
                    for key in keys:
                        delete(self.payloads[i], key)
            case 3:
                key = parse_path(self.rng.choice(["m", "o[]", "o[0]", "x.y"]))
                self._write(SetPayload(selector, pack_payload(payload), key))
                for i in chosen:
                    merge_at(self.payloads[i], key, unpack_payload(pack_payload(payload)))
            case _:
                self._write(SetPayload(selector, pack_payload(payload)))
                for i in chosen:
                    merge(self.payloads[i], unpack_payload(pack_payload(payload)))

    def delete(self) -> None:
        selector, chosen = self._selected()
        if len(chosen) > len(self.payloads) // 2:
            return
        self._write(DeletePoints(selector))
        self.having -= set(chosen)
        for i in chosen:
            del self.payloads[i]

    def update_vectors(self) -> None:
        _, chosen = self._selected()
        chosen = chosen[:5]
        if chosen:
            self._write(UpdateVectors(chosen, [{"": dense(2.0, 1.0)} for _ in chosen]))
            self.having |= set(chosen)

    def index(self) -> None:
        path, schema = self.chance.index()
        wait = self.rng.random() < 0.7
        self._write(CreateField(parse_path(path), schema), wait=wait)
        present = self.ready.get(path)
        if present == schema:
            return
        self.ready.pop(path, None)
        self.pending[path] = schema
        if wait:
            self.ready[path] = self.pending.pop(path)

    def drop_index(self) -> None:
        path = self.rng.choice([*self.ready, *self.pending, *INDEXED_PATHS[:2]])
        self._write(DropField(parse_path(path)))
        self.ready.pop(path, None)
        self.pending.pop(path, None)

    def optimize(self) -> None:
        """Fill and compact what there is, as the optimizer does."""
        for number in self.collection.upkeep.unfilled():
            self.collection.upkeep.fill(number)
        self.ready |= self.pending
        self.pending.clear()
        self.collection.upkeep.compact(self.collection.view)
        seal(self.collection)
        if self.rng.random() < 0.5:
            skip_slots(self.collection, BLOCK_SLOTS)
            renew_slots(self.collection)

    def restart(self) -> None:
        self.engine.close()
        self.engine = _open(self.data_dir)

    def step(self) -> None:
        writes = [self.upsert, self.upsert, self.change_payloads, self.change_payloads, self.delete]
        others = [self.update_vectors, self.index, self.index, self.drop_index, self.optimize, self.restart]
        self.rng.choice([*writes, *others])()

    def check_filter(self) -> None:
        condition = self.chance.filter()
        expected = self.matching(condition)
        found: list[PointId] = []
        limit = self.rng.choice([3, 1000])
        offset: PointId | None = None
        while True:
            page = self.collection.scroll(ScrollRequest(condition, offset, limit, Selectors()))
            found += [record.point_id for record in page.records]
            offset = page.next_offset
            if offset is None:
                break
        wrong = {i: self.payloads.get(i) for i in set(found) ^ set(expected)}
        assert found == expected, f"{condition}\nindexes {self.ready}\nfound {set(found) & set(wrong)} of {wrong}"
        assert self.collection.count(condition) == len(expected)

    def check_facet(self) -> None:
        path = self.rng.choice([*self.ready, *self.pending, "k"])
        schema = self.ready.get(path)
        condition = self.chance.filter() if self.rng.random() < 0.5 else None
        limit = self.rng.choice([0, 1, 3, 100])
        if schema is None or schema.type not in _FACETED or schema.effective.lookup is False:
            with pytest.raises(WrongInputError, match="No appropriate index for faceting"):
                self.collection.facet(parse_path(path), condition, limit)
            return
        chosen = self.matching(condition or Filter())
        expected = facet(schema, parse_path(path), [self.payloads[i] for i in chosen])[:limit]
        found = self.collection.facet(parse_path(path), condition, limit)
        assert [(type(value), value, count) for value, count in found] == [
            (type(value), value, count) for value, count in expected
        ], (path, schema, condition)

    def check_order(self) -> None:
        path = self.rng.choice([*self.ready, *self.pending, "n"])
        schema = self.ready.get(path)
        start = self.rng.choice([None, None, 1, 1.5, -3, 2**53, 0.5, 1718454645_000_000])
        order = OrderBy(parse_path(path), self.rng.random() < 0.5, start)
        condition = self.chance.filter() if self.rng.random() < 0.5 else None
        request = ScrollRequest(condition, None, self.rng.choice([1, 3, 1000]), Selectors(), order)
        if schema is None or schema.type not in _ORDERED or schema.effective.range is False:
            with pytest.raises(WrongInputError, match="No range index for `order_by`"):
                self.collection.scroll(request)
            return
        pairs = [
            (value, i)
            for i in self.matching(condition or Filter())
            for value in set(indexed(schema, elements(self.payloads[i], parse_path(path))))
            if isinstance(value, int | float)
            and (start is None or (value <= start if order.descending else value >= start))
        ]
        expected = sorted(pairs, reverse=order.descending)[: request.limit]
        page = self.collection.scroll(request)
        assert page.next_offset is None
        assert [(record.order_value, record.point_id) for record in page.records] == expected, (order, schema)

    def check_schema(self) -> None:
        info = {field.path: (field.schema, field.points) for field in self.collection.info().payload_schema}
        expected = {
            path: (
                schema,
                sum(bool(indexed(schema, elements(each, parse_path(path)))) for each in self.payloads.values()),
            )
            for path, schema in self.ready.items()
        }
        assert info == expected | {path: (schema, 0) for path, schema in self.pending.items()}

    def check_contents(self) -> None:
        page = self.collection.scroll(ScrollRequest(None, None, 1000, Selectors(ALL_PAYLOAD)))
        found = {record.point_id: unpack_payload(record.payload) for record in page.records}
        assert repr(sorted(found)) == repr(sorted(self.payloads))
        for i, payload in self.payloads.items():
            assert json.dumps(found[i], sort_keys=True) == json.dumps(payload, sort_keys=True)

    def check(self) -> None:
        self.check_contents()
        for _ in range(4):
            self.check_filter()
        self.check_facet()
        self.check_order()
        self.check_schema()


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Program]]:
    """Return a list for the programs that are to be closed; blocks of indexes are joined early."""
    monkeypatch.setattr(field_upkeep, "FIELD_BLOCKS_MAX", 4)
    opened: list[Program] = []
    yield opened
    for each in opened:
        each.engine.close()


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_program(tmp_path: Path, programs: list[Program], seed: int) -> None:
    program = Program(tmp_path, seed)
    programs.append(program)
    program.upsert()
    for _ in range(STEPS):
        program.step()
        program.check()


def test_programs_are_not_vacuous() -> None:
    """Filters split the points: neither nearly all nor nearly none of the comparisons are about the empty set."""
    chance = Chance(random.Random(1), _IDS)
    payloads = [chance.payload() for _ in range(50)]
    truth = IndexedTruth({})
    sizes = []
    for _ in range(300):
        condition = chance.filter()
        sizes.append(sum(truth.holds(condition, payload, lambda _: True) for payload in payloads))
    assert sum(0 < size < 50 for size in sizes) > 60
    assert OBJECTS in {key for payload in payloads for key in payload}
