"""Random filters through gRPC, through the original engine (`qdrant-edge-py`) and through the client's local mode.

A case is one filter, scrolled, counted and searched with, on points that writes by filter have changed. What is left
out is listed in docs/differences.md.
"""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING, Any

import pytest
from qdrant_client import QdrantClient, grpc, models
from qdrant_client.conversions.conversion import GrpcToRest

from pointstore.core.fields import FieldSchema, FieldType
from pointstore.core.filter import Filter
from pointstore.core.path import parse_path
from tests.building import pid
from tests.compat.comparing import same
from tests.indexed_truth import elements, indexed
from tests.random_filters import Chance

pytest.importorskip("qdrant_edge", reason="the embedded original engine has no package for this platform")

import qdrant_edge as edge

from tests.compat.filter_dialects import (
    client_id,
    client_index,
    edge_filter,
    edge_id,
    edge_index,
    grpc_filter,
)
from tests.compat.filter_differences import differs, differs_locally

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pointstore.core.point import PointId

_IDS = [*map(pid, range(40)), *(pid(f"{number:08x}-0000-4000-8000-000000000000") for number in range(20))]
# Above 256 points, filters get indexes of the engine's own.
_MANY = [*_IDS, *map(pid, range(1000, 1260))]
_FACETED = {FieldType.KEYWORD, FieldType.INTEGER, FieldType.BOOL, FieldType.UUID}
_ORDERED = {FieldType.INTEGER, FieldType.FLOAT, FieldType.DATETIME}


class Program:
    """The same points and indexes on the server, in the original engine, and without indexes in the local mode."""

    def __init__(self, remote: QdrantClient, local: QdrantClient, shard: edge.EdgeShard, name: str, seed: int) -> None:
        self.remote, self.local, self.shard, self.name = remote, local, shard, name
        self.rng = random.Random(seed)
        # Only programs without indexes can be compared with the local mode, which has none.
        self.with_indexes = seed % 3 > 0
        self.ids = _MANY if seed % 4 == 0 else _IDS
        self.chance = Chance(self.rng, self.ids, booleans=False, several_checks=False, nanos=False, huge=False)
        self.indexes: dict[str, FieldSchema] = {}

    def upsert(self, ids: list[PointId]) -> None:
        rows = {i: [self.rng.random(), self.rng.random()] if self.rng.random() < 0.8 else None for i in ids}
        payloads = {i: self.chance.payload() for i in ids}
        points = [models.PointStruct(id=client_id(i), vector=rows[i] or {}, payload=payloads[i]) for i in ids]
        for client in (self.remote, self.local):
            client.upsert(self.name, points)
        self.shard.update(
            edge.UpdateOperation.upsert_points([edge.Point(edge_id(i), rows[i] or {}, payloads[i]) for i in ids])
        )

    def change(self) -> None:
        """Write by filter."""
        condition = self.filter()
        while differs_locally(condition):
            condition = self.filter()
        ours = models.FilterSelector(filter=_rest(condition))
        theirs = edge_filter(condition)
        payload: Any = dict([self.rng.choice(sorted(self.chance.payload().items()) or [("z", 1)])])
        clients = (self.remote, self.local)
        match self.rng.randrange(4):
            case 0:
                for client in clients:
                    client.overwrite_payload(self.name, payload, ours)
                self.shard.update(edge.UpdateOperation.overwrite_payload_by_filter(theirs, payload))
            case 1:
                for client in clients:
                    client.delete_payload(self.name, ["k", "n"], ours)
                self.shard.update(edge.UpdateOperation.delete_payload_by_filter(theirs, ["k", "n"]))
            case 2:
                for client in clients:
                    client.clear_payload(self.name, ours)
                self.shard.update(edge.UpdateOperation.clear_payload_by_filter(theirs))
            case _:
                for client in clients:
                    client.delete(self.name, ours)
                self.shard.update(edge.UpdateOperation.delete_points_by_filter(theirs))
        # Some writes hit nearly all points.
        self.upsert(self.rng.sample(self.ids, len(self.ids) // 3))

    def index(self) -> None:
        path, schema = self.chance.index()
        self.remote.create_payload_index(self.name, path, client_index(schema), wait=True)
        self.shard.update(edge.UpdateOperation.create_field_index(path, edge_index(schema)))
        self.indexes[path] = schema

    def drop_index(self) -> None:
        if self.indexes:
            path = self.rng.choice(list(self.indexes))
            self.remote.delete_payload_index(self.name, path, wait=True)
            self.shard.update(edge.UpdateOperation.delete_field_index(path))
            del self.indexes[path]

    def end(self) -> None:
        """Leave the shard as it was: creating one takes longer than a short program."""
        self.shard.update(edge.UpdateOperation.delete_points_by_filter(edge.Filter()))
        for path in self.indexes:
            self.shard.update(edge.UpdateOperation.delete_field_index(path))
        for client in (self.remote, self.local):
            client.delete_collection(self.name)

    def filter(self) -> Filter:
        """Return a filter that all sides are known to answer alike."""
        while True:
            condition = self.chance.filter()
            if not differs(condition, self.indexes):
                return condition

    def step(self) -> None:
        steps = [self.change, self.change]
        if self.with_indexes:
            steps += [self.index, self.index, self.index, self.drop_index]
        self.rng.choice(steps)()

    def compare(self) -> None:
        condition = self.filter()
        limit = self.rng.choice([5, 1000])
        ours = self._scrolled(self.remote, grpc_filter(condition), limit)
        records, following = self.shard.scroll(edge.ScrollRequest(limit=limit, filter=edge_filter(condition)))
        theirs = [str(record.id) for record in records], following and str(following)
        assert ours == theirs, self._explained(condition)
        count = self.remote.count(self.name, grpc_filter(condition)).count
        assert count == self.shard.count(edge.CountRequest(filter=edge_filter(condition)))
        if not self.with_indexes and not differs_locally(condition):
            plain = _rest(condition)
            expected = self._scrolled(self.local, plain, limit)
            assert ours == expected, self._explained(condition)
            assert count == self.local.count(self.name, plain).count
        self._search(condition)
        for path, schema in self.indexes.items():
            if schema.type in _FACETED and schema.effective.lookup is not False:
                self._facet(path, condition)
            if schema.type in _ORDERED and schema.effective.range is not False:
                self._order(path, condition)

    def _scrolled(
        self, client: QdrantClient, condition: grpc.Filter | models.Filter, limit: int
    ) -> tuple[list[str], str | None]:
        records, following = client.scroll(self.name, condition, limit)
        return [str(record.id) for record in records], None if following is None else str(following)

    def _answers(self, condition: Filter) -> dict[str, set[str]]:
        """Return which points each side finds."""
        found = {"server": set(self._scrolled(self.remote, grpc_filter(condition), 1000)[0])}
        request = edge.ScrollRequest(limit=1000, filter=edge_filter(condition))
        found["edge"] = {str(record.id) for record in self.shard.scroll(request)[0]}
        if not self.with_indexes and not differs_locally(condition):
            found["local"] = set(self._scrolled(self.local, _rest(condition), 1000)[0])
        return found

    def _disagree(self, condition: Filter) -> bool:
        return len({frozenset(found) for found in self._answers(condition).values()}) > 1

    def _explained(self, condition: Filter) -> str:
        """Describe a disagreement by the smallest part of the filter that shows it."""
        parts = [part if isinstance(part, Filter) else Filter(must=(part,)) for part in condition.conditions]
        for part in parts:
            if part != condition and self._disagree(part):
                return self._explained(part)
        answers = self._answers(condition)
        wrong = sorted(set[str]().union(*answers.values()) - answers["server"].intersection(*answers.values()))[:3]
        points: list[Any] = [int(i) if i.isdigit() else i for i in wrong]
        lines = [f"{condition}", f"indexes {self.indexes}"]
        for record in self.remote.retrieve(self.name, points):
            finders = [who for who, found in answers.items() if str(record.id) in found]
            lines.append(f"{record.id} {record.payload} found by {finders}")
        return "\n".join(lines)

    def _search(self, condition: Filter) -> None:
        row = [self.rng.random(), self.rng.random()]
        hits = self.remote.query_points(self.name, row, query_filter=grpc_filter(condition), limit=1000).points
        request = edge.SearchRequest(edge.Query.Nearest(row), 1000, filter=edge_filter(condition))
        theirs = {str(hit.id): hit.score for hit in self.shard.search(request)}
        ours = {str(hit.id): hit.score for hit in hits}
        assert same(ours, theirs), self._explained(condition)
        assert [hit.score for hit in hits] == sorted(hit.score for hit in hits)

    def _facet(self, path: str, condition: Filter) -> None:
        limit = self.rng.choice([1, 3, 1000])
        ours = self.remote.facet(self.name, path, grpc_filter(condition), limit, exact=True)
        theirs = self.shard.facet(edge.FacetRequest(path, limit, exact=True, filter=edge_filter(condition)))
        mine = [(type(hit.value), hit.value, hit.count) for hit in ours.hits]
        assert mine == [(type(hit.value), hit.value, hit.count) for hit in theirs.hits], (path, condition, self.indexes)

    def _order(self, path: str, condition: Filter) -> None:
        descending = self.rng.random() < 0.5
        start = self.rng.choice([None, None, 1, 1.5, -3, 0.5])
        limit = self.rng.choice([5, 100_000])
        asked = models.OrderBy(
            key=path, direction=models.Direction.DESC if descending else models.Direction.ASC, start_from=start
        )
        records, _ = self.remote.scroll(self.name, grpc_filter(condition), limit, order_by=asked)
        order = edge.OrderBy(path, edge.Direction.Desc if descending else edge.Direction.Asc, start)
        request = edge.ScrollRequest(limit=100_000, filter=edge_filter(condition), order_by=order)
        every = {(record.order_value or 0, str(record.id)) for record in self.shard.scroll(request)[0]}
        ours = [(record.order_value, str(record.id)) for record in records]
        # Equal values come in any order there.
        assert [value for value, _ in ours] == sorted((value for value, _ in every), reverse=descending)[:limit]
        assert set(ours) <= every, (path, condition, self.indexes)
        assert len(set(ours)) == len(ours)

    def compare_schema(self) -> None:
        schema = self.remote.get_collection(self.name).payload_schema
        payloads = [record.payload or {} for record in self.remote.scroll(self.name, limit=1000)[0]]
        points = {
            path: sum(bool(indexed(index, elements(payload, parse_path(path)))) for payload in payloads)
            for path, index in self.indexes.items()
        }
        assert {path: info.points for path, info in schema.items()} == points


def _rest(condition: Filter) -> models.Filter:
    return GrpcToRest.convert_filter(grpc_filter(condition))


@contextlib.contextmanager
def opened(directory: Path) -> Iterator[edge.EdgeShard]:
    """Create an empty shard of the original engine in a directory that must not exist yet."""
    directory.mkdir()
    config = edge.EdgeConfig(vectors=edge.EdgeVectorParams(size=2, distance=edge.Distance.Euclid))
    shard = edge.EdgeShard.create(str(directory), config)
    try:
        yield shard
    finally:
        shard.close()


def run(  # noqa: PLR0913  three stores, and what to do
    remote: QdrantClient, local: QdrantClient, shard: edge.EdgeShard, name: str, seed: int, cases: int
) -> None:
    """Run a program on a collection of its own and on a shard without points and indexes."""
    program = Program(remote, local, shard, name, seed)
    for client in (remote, local):
        client.create_collection(name, models.VectorParams(size=2, distance=models.Distance.EUCLID))
    program.upsert(program.ids)
    for case in range(cases):
        if case % 2:
            program.step()
        program.compare()
    program.compare_schema()
    program.end()
