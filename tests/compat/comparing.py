"""Random points and operations for the official client, and the comparison of what two of them answer."""

from __future__ import annotations

import contextlib
import math
import uuid
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from qdrant_client import QdrantClient, models
from qdrant_client.conversions import common_types as types

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator, Sequence

EUCLID, COSINE, DOT, MANHATTAN, SPARSE, MULTI = "euclid", "cosine", "dot", "manhattan", "sparse", "multi"
DENSE = {
    EUCLID: (8, models.Distance.EUCLID),
    COSINE: (6, models.Distance.COSINE),
    DOT: (5, models.Distance.DOT),
    MANHATTAN: (4, models.Distance.MANHATTAN),
}
NAMES = (*DENSE, SPARSE, MULTI)


@contextlib.contextmanager
def connected(address: str) -> Iterator[QdrantClient]:
    """Open a client that speaks gRPC to a server; nothing listens on the HTTP port."""
    host, _, port = address.rpartition(":")
    client = QdrantClient(
        host=host, grpc_port=int(port), port=1, prefer_grpc=True, check_compatibility=False, timeout=30
    )
    try:
        yield client
    finally:
        client.close()


def create_mixed(client: QdrantClient, name: str) -> None:
    """Create a collection with every kind of vector."""
    vectors = {key: models.VectorParams(size=size, distance=distance) for key, (size, distance) in DENSE.items()}
    vectors[MULTI] = models.VectorParams(
        size=3,
        distance=models.Distance.DOT,
        multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
    )
    client.create_collection(name, vectors, sparse_vectors_config={SPARSE: models.SparseVectorParams()})


def point_ids(rng: random.Random) -> list[Any]:
    """Return numbers and UUIDs."""
    return [*range(30), 2**63 + 5, *(str(uuid.UUID(int=rng.getrandbits(128))) for _ in range(10))]


def point(point_id: object, vector: object, payload: object = None) -> models.PointStruct:
    """Return a point; the client's own types refuse lists of integers."""
    return models.PointStruct.model_validate({"id": point_id, "vector": vector, "payload": payload})


def random_row(rng: random.Random, dim: int) -> list[float]:
    """Return a row of float32 values."""
    return [float(np.float32(rng.gauss(0, 1))) for _ in range(dim)]


def random_vectors(rng: random.Random, share: float = 0.8) -> dict[str, Any]:
    """Return some vectors, at least one."""
    indices = rng.sample(range(40), rng.randint(1, 6))
    made: dict[str, Any] = {key: random_row(rng, size) for key, (size, _) in DENSE.items()}
    made[SPARSE] = models.SparseVector(indices=indices, values=random_row(rng, len(indices)))
    made[MULTI] = [random_row(rng, 3) for _ in range(rng.randint(1, 3))]
    kept = {key: vector for key, vector in made.items() if rng.random() < share}
    return kept or {EUCLID: made[EUCLID]}


def random_payload(rng: random.Random) -> dict[str, Any]:
    """Return a payload with every kind of JSON value."""
    made: dict[str, Any] = {
        "number": rng.randrange(-(2**53), 2**53),
        "float": rng.random(),
        "text": rng.choice(["", "plain", "ünï 🙂", 'quote " \\ \n']),
        "flag": rng.random() < 0.5,
        "nothing": None,
        "list": [1, "two", [3.5, None], {"four": 5}],
        "nested": {"a": {"b": rng.randrange(10), "c": [{"d": 1}, {"d": 2}]}},
        "empty": {},
    }
    return {key: made[key] for key in rng.sample(list(made), rng.randint(0, 5))}


def random_point(rng: random.Random, point_id: int | str) -> models.PointStruct:
    """Return a point."""
    return models.PointStruct(id=point_id, vector=random_vectors(rng), payload=random_payload(rng))


def comparable(value: object) -> object:
    """Turn an answer into plain data: what both sides must agree on."""
    match value:
        case models.ScoredPoint():
            return ("hit", value.id, value.score, value.payload or {}, comparable(value.vector))
        case models.Record():
            return ("point", value.id, value.payload or {}, comparable(value.vector), value.order_value)
        case models.SparseVector():
            return ("sparse", dict(sorted(zip(value.indices, value.values, strict=True))))
        case models.UpdateResult():
            return ("update", value.status)
        case types.QueryResponse():
            return comparable(value.points)
        case types.FacetResponse():
            # Equally frequent values come in any order.
            return sorted((hit.count, str(hit.value)) for hit in value.hits)
        case types.CountResult():
            return value.count
        case dict():
            return {key: comparable(item) for key, item in value.items()}
        case list() | tuple():
            return [comparable(item) for item in value]
        case _:
            return value


def same(left: object, right: object, tolerance: float = 2e-5) -> bool:
    """Compare plain data; floats as float32 allows, or another relative and absolute tolerance."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, float) or isinstance(right, float):
        return (
            isinstance(left, float | int)
            and isinstance(right, float | int)
            and math.isclose(left, right, rel_tol=tolerance, abs_tol=tolerance)
        )
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key], tolerance) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(same(a, b, tolerance) for a, b in zip(left, right, strict=True))
    return left == right


def assert_same(remote: QdrantClient, local: QdrantClient, call: Callable[[QdrantClient], object]) -> None:
    """Make a call on both clients and compare the answers."""
    ours, theirs = comparable(call(remote)), comparable(call(local))
    assert same(ours, theirs), f"server: {ours}\nlocal:  {theirs}"


def assert_equal_state(
    remote: QdrantClient, local: QdrantClient, name: str, rng: random.Random, ids: Sequence[Any]
) -> None:
    """Compare everything that can be read."""
    assert_same(remote, local, lambda c: c.count(name))
    assert_same(remote, local, lambda c: c.scroll(name, limit=1000, with_vectors=True))
    for key, (size, _) in DENSE.items():
        row, limit, offset = random_row(rng, size), rng.randint(1, 60), rng.choice([0, 0, 3, 50])
        some = rng.sample(list(ids), 12)
        for condition in (None, only(some), without(some)):
            arguments = {"using": key, "limit": limit, "offset": offset, "query_filter": condition}
            assert_same(remote, local, partial(_query, name=name, row=row, arguments=arguments))


def _query(client: QdrantClient, name: str, row: list[float], arguments: dict[str, Any]) -> object:
    return client.query_points(name, row, with_vectors=[arguments["using"]], **arguments)


def only(ids: Sequence[Any]) -> models.Filter:
    """Return a filter that lets these ids through."""
    return models.Filter(must=[models.HasIdCondition(has_id=list(ids))])


def without(ids: Sequence[Any]) -> models.Filter:
    """Return a filter that lets all but these ids through."""
    return models.Filter(must_not=[models.HasIdCondition(has_id=list(ids))])
