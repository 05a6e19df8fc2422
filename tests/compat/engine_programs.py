"""Random programs for the original engine, embedded (PyPI `qdrant-edge-py`), and for the server through its client.

Stored vectors of every datatype, payloads, paths, versions, scroll order and scores must be the same.
"""

from __future__ import annotations

import contextlib
import random
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from qdrant_client import models
from qdrant_client.conversions.conversion import GrpcToRest

from pointstore.core.filter import (
    Condition,
    Field,
    Filter,
    HasId,
    HasVector,
    IsEmpty,
    IsNull,
    MatchAnyIntegers,
    MatchExceptKeywords,
    Range,
)
from pointstore.core.path import parse_path
from tests.building import pid
from tests.compat.comparing import comparable, point_ids, random_payload, random_row, same

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from qdrant_client import QdrantClient

pytest.importorskip("qdrant_edge", reason="the embedded original engine has no package for this platform")

import qdrant_edge as edge

from tests.compat.filter_dialects import edge_filter, grpc_filter

SPARSE, MULTI = "sparse", "multi"
DENSE = {
    f"{distance}-{datatype}": (size, distance, datatype)
    for size, distance in ((7, "Euclid"), (6, "Cosine"), (5, "Dot"), (4, "Manhattan"))
    for datatype in ("Float32", "Float16", "Uint8")
}
_FLOAT32 = 2e-5
# A component of a normalized row that float32 cannot tell from the middle of two halves goes to either of them.
_TOLERANCES = {"Cosine-Float16": 1e-3}
KEYS: tuple[str, ...] = (
    "nested",
    "nested.a",
    "nested.a.b",
    "list",
    "list[]",
    "list[0]",
    "list[2]",
    "list[9]",
    "new",
    "new.deep",
    "new[]",
)
KEYS += (
    "nested.a.c[]",
    "nested.a.c[1]",
    "nested.a.c[].d",
    '"nested"',
    "text",
    "text.more",
    "list[].four",
    "empty",
    "flag",
)


@dataclass
class Engines:
    """A collection on the server and a shard of the original engine, with the same vectors."""

    client: QdrantClient
    name: str
    shard: Any

    def update_vectors(self, vectors: dict[Any, dict[str, Any]], condition: Filter | None) -> None:
        """Replace some vectors, perhaps only of points that fulfil a condition."""
        rows = [models.PointVectors(id=i, vector=_ours(v)) for i, v in vectors.items()]
        self.client.update_vectors(self.name, rows, update_filter=None if condition is None else grpc_filter(condition))
        theirs = [edge.PointVectors(i, _theirs(v)) for i, v in vectors.items()]
        self.shard.update(
            edge.UpdateOperation.update_vectors(theirs, condition=None if condition is None else edge_filter(condition))
        )

    def clear(self) -> None:
        """Delete all points of both: creating collections takes longer than a short program."""
        self.client.delete(self.name, models.Filter())
        self.shard.update(edge.UpdateOperation.delete_points_by_filter(edge.Filter()))

    def state(self) -> tuple[list[tuple[Any, Any, Any]], list[tuple[Any, Any, Any]]]:
        """Return all points in scroll order, of both."""
        ours = self.client.scroll(self.name, limit=1000, with_vectors=True)[0]
        theirs = self.shard.scroll(edge.ScrollRequest(limit=1000, with_payload=True, with_vector=True))[0]
        return (
            [(each.id, each.payload, comparable(each.vector)) for each in ours],
            [(_id(each.id), each.payload, _read(each.vector)) for each in theirs],
        )


def _ours(vectors: dict[str, Any]) -> dict[str, Any]:
    return {
        name: models.SparseVector(indices=list(vector), values=list(vector.values())) if name == SPARSE else vector
        for name, vector in vectors.items()
    }


def _theirs(vectors: dict[str, Any]) -> dict[str, Any]:
    return {
        name: edge.SparseVector(list(vector), list(vector.values())) if name == SPARSE else vector
        for name, vector in vectors.items()
    }


def _id(value: object) -> object:
    return str(value) if isinstance(value, uuid.UUID) else value


def _read(vectors: dict[str, Any]) -> dict[str, Any]:
    return {
        name: ("sparse", dict(sorted(zip(vector.indices, vector.values, strict=True)))) if name == SPARSE else vector
        for name, vector in vectors.items()
    }


@contextlib.contextmanager
def both(remote: QdrantClient, name: str, directory: Path) -> Iterator[Engines]:
    """Create the same collection twice: on the server, and in a directory that must not exist yet."""
    multi = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
    remote.create_collection(
        name,
        {
            key: models.VectorParams(
                size=size, distance=models.Distance(distance), datatype=models.Datatype(datatype.lower())
            )
            for key, (size, distance, datatype) in DENSE.items()
        }
        | {MULTI: models.VectorParams(size=3, distance=models.Distance.COSINE, multivector_config=multi)},
        sparse_vectors_config={SPARSE: models.SparseVectorParams()},
    )
    dense = {
        key: edge.EdgeVectorParams(
            size=size,
            distance=getattr(edge.Distance, distance),
            datatype=getattr(edge.VectorStorageDatatype, datatype),
        )
        for key, (size, distance, datatype) in DENSE.items()
    }
    dense[MULTI] = edge.EdgeVectorParams(
        size=3,
        distance=edge.Distance.Cosine,
        multivector_config=edge.MultiVectorConfig(comparator=edge.MultiVectorComparator.MaxSim),
    )
    directory.mkdir()
    config = edge.EdgeConfig(vectors=dense, sparse_vectors={SPARSE: edge.EdgeSparseVectorParams()})
    shard = edge.EdgeShard.create(str(directory), config)
    try:
        yield Engines(remote, name, shard)
    finally:
        shard.close()
        remote.delete_collection(name)


def vectors_of(rng: random.Random, share: float = 0.7) -> dict[str, Any]:
    """Return random vectors; those of bytes are partly out of range and have fractions."""
    made: dict[str, Any] = {
        key: [rng.uniform(-20, 300) for _ in range(size)] if datatype == "Uint8" else random_row(rng, size)
        for key, (size, _, datatype) in DENSE.items()
    }
    made[SPARSE] = dict(zip(rng.sample(range(30), 4), random_row(rng, 4), strict=True))
    made[MULTI] = [random_row(rng, 3) for _ in range(rng.randint(1, 3))]
    kept = {key: vector for key, vector in made.items() if rng.random() < share}
    return kept or {MULTI: made[MULTI]}


def condition_of(rng: random.Random, ids: list[Any]) -> Filter:
    """Return a filter about payloads and ids that lets some points through."""
    conditions: list[Condition] = [
        Field(parse_path("number"), (Range(gte=0.0),)),
        Field(parse_path("float"), (Range(lt=rng.random()),)),
        Field(parse_path("text"), (MatchExceptKeywords(frozenset({"plain", ""})),)),
        Field(parse_path("nested.a.b"), (MatchAnyIntegers(frozenset(rng.sample(range(10), 5))),)),
        IsEmpty(parse_path("list")),
        IsNull(parse_path("nothing")),
        HasVector(rng.choice([*DENSE, SPARSE, MULTI])),
        HasId(frozenset(map(pid, rng.sample(ids, 20)))),
    ]
    chosen = tuple(rng.sample(conditions, 2))
    return rng.choice([Filter(must=chosen[:1]), Filter(should=chosen), Filter(must_not=chosen[:1])])


def step(engines: Engines, rng: random.Random, ids: list[Any]) -> None:
    """Do one random write on both."""
    present = [record.id for record in engines.client.scroll(engines.name, limit=1000, with_payload=False)[0]]
    if not present or rng.random() < 0.25:
        upsert(engines, rng, ids)
    elif rng.random() < 0.3:
        change_by_filter(engines, rng, condition_of(rng, ids))
    else:
        change(engines, rng, ids, rng.sample(present, min(len(present), rng.randint(1, 4))))


def upsert(engines: Engines, rng: random.Random, ids: list[Any]) -> None:
    """Upsert points, perhaps only those that exist, do not exist, or fulfil a condition."""
    points = {i: (vectors_of(rng), random_payload(rng)) for i in rng.sample(ids, rng.randint(1, 6))}
    condition = condition_of(rng, ids) if rng.random() < 0.3 else None
    mode = rng.choice([None, None, "Upsert", "InsertOnly", "UpdateOnly"])
    engines.client.upsert(
        engines.name,
        [models.PointStruct(id=i, vector=_ours(v), payload=p) for i, (v, p) in points.items()],
        update_filter=None if condition is None else grpc_filter(condition),
        update_mode=None if mode is None else models.UpdateMode[_MODES[mode]],
    )
    engines.shard.update(
        edge.UpdateOperation.upsert_points(
            [edge.Point(i, _theirs(v), p) for i, (v, p) in points.items()],
            condition=None if condition is None else edge_filter(condition),
            update_mode=None if mode is None else getattr(edge.UpdateMode, mode),
        )
    )


_MODES = {"Upsert": "UPSERT", "InsertOnly": "INSERT_ONLY", "UpdateOnly": "UPDATE_ONLY"}


def change(engines: Engines, rng: random.Random, ids: list[Any], some: list[Any]) -> None:
    """Change points that exist, and delete another one that may not."""
    client, name, shard, update = engines.client, engines.name, engines.shard, edge.UpdateOperation
    payload, key = random_payload(rng) or {"x": 1}, rng.choice(KEYS)
    match rng.randrange(9):
        case 0:
            gone = [*some, rng.choice(ids)]
            client.delete(name, gone)
            shard.update(update.delete_points(gone))
        case 1:
            if not all(record.payload for record in client.retrieve(name, some)):
                # The one known difference: what a null does to a point without payload (docs/differences.md).
                payload.pop("nothing", None)
                payload["x"] = 1
            client.set_payload(name, payload, some)
            shard.update(update.set_payload(some, payload))
        case 2 | 3:
            client.set_payload(name, payload, some, key=key)
            shard.update(update.set_payload(some, payload, key=key))
        case 4:
            client.overwrite_payload(name, payload, some)
            shard.update(update.overwrite_payload(some, payload))
        case 5:
            keys = rng.sample(KEYS, 2)
            client.delete_payload(name, keys, some)
            shard.update(update.delete_payload(some, keys))
        case 6:
            client.clear_payload(name, some)
            shard.update(update.clear_payload(some))
        case 7:
            condition = condition_of(rng, ids) if rng.random() < 0.3 else None
            engines.update_vectors({i: vectors_of(rng, 0.3) for i in some}, condition)
        case _:
            names = rng.sample([*DENSE, SPARSE, MULTI], 3)
            client.delete_vectors(name, names, some)
            shard.update(update.delete_vectors(some, names))


def change_by_filter(engines: Engines, rng: random.Random, condition: Filter) -> None:
    """Change all points that fulfil a condition."""
    client, name, shard, update = engines.client, engines.name, engines.shard, edge.UpdateOperation
    ours, theirs = (
        models.FilterSelector(filter=GrpcToRest.convert_filter(grpc_filter(condition))),
        edge_filter(condition),
    )
    payload, key = random_payload(rng), rng.choice(KEYS)
    # A null is kept by points without payload there.
    payload.pop("nothing", None)
    payload["x"] = 1
    match rng.randrange(6):
        case 0 if rng.random() < 0.3:
            client.delete(name, ours)
            shard.update(update.delete_points_by_filter(theirs))
        case 1:
            client.set_payload(name, payload, ours)
            shard.update(update.set_payload_by_filter(theirs, payload))
        case 2:
            client.set_payload(name, payload, ours, key=key)
            shard.update(update.set_payload_by_filter(theirs, payload, key=key))
        case 3:
            client.overwrite_payload(name, payload, ours)
            shard.update(update.overwrite_payload_by_filter(theirs, payload))
        case 4:
            keys = rng.sample(KEYS, 2)
            client.delete_payload(name, keys, ours)
            shard.update(update.delete_payload_by_filter(theirs, keys))
        case 5:
            client.clear_payload(name, ours)
            shard.update(update.clear_payload_by_filter(theirs))
        case _:
            names = rng.sample([*DENSE, SPARSE, MULTI], 2)
            client.delete_vectors(name, names, ours)
            shard.update(update.delete_vectors_by_filter(theirs, names))


def assert_same_search(engines: Engines, rng: random.Random, ids: list[Any], using: str) -> None:
    """Compare a search: ids, scores, versions."""
    size, _, datatype = DENSE[using]
    row = [float(rng.randint(0, 255)) for _ in range(size)] if datatype == "Uint8" else random_row(rng, size)
    limit, offset = rng.randint(1, 30), rng.choice([0, 0, 4])
    threshold = rng.choice([None, None, rng.uniform(-1, 3)])
    some = rng.sample(ids, 15) if rng.random() < 0.5 else None
    ours = engines.client.query_points(
        engines.name,
        row,
        using=using,
        limit=limit,
        offset=offset,
        score_threshold=threshold,
        query_filter=models.Filter(must=[models.HasIdCondition(has_id=some)]) if some else None,
    ).points
    as_set = some and {uuid.UUID(i) if isinstance(i, str) else i for i in some}
    condition = edge.Filter(must=[edge.HasIdCondition(as_set)]) if as_set else None
    query = edge.Query.Nearest(row, using=using)
    theirs = engines.shard.search(
        edge.SearchRequest(query, limit, offset=offset, score_threshold=threshold, filter=condition)
    )
    tolerance = _TOLERANCES.get(using, _FLOAT32)
    assert same([hit.score for hit in ours], [hit.score for hit in theirs], tolerance), (using, ours, theirs)
    # Equal scores may come in any order, also across the limit: each hit must have the score that it has there.
    every = {_id(hit.id): hit.score for hit in engines.shard.search(edge.SearchRequest(query, 1000, filter=condition))}
    assert len({hit.id for hit in ours}) == len(ours)
    assert same([hit.score for hit in ours], [every[hit.id] for hit in ours], tolerance), (using, ours, every)


def _same_point(left: tuple[Any, Any, dict[str, Any]], right: tuple[Any, Any, dict[str, Any]]) -> bool:
    vectors, others = left[2], right[2]
    return (
        same(left[:2], right[:2])
        and vectors.keys() == others.keys()
        and all(same(vectors[name], others[name], _TOLERANCES.get(name, _FLOAT32)) for name in vectors)
    )


def run(engines: Engines, seed: int, steps: int) -> None:
    """Run a program on two collections without points, and compare everything now and then."""
    rng = random.Random(seed)
    ids = point_ids(rng)
    for number in range(steps):
        step(engines, rng, ids)
        if number % 10 == 9 or number == steps - 1:
            ours, theirs = engines.state()
            assert [each[0] for each in ours] == [each[0] for each in theirs]
            for left, right in zip(ours, theirs, strict=True):
                assert _same_point(left, right), f"step {number}\nserver: {left}\nedge:   {right}"
            for using in DENSE:
                assert_same_search(engines, rng, ids, using)
