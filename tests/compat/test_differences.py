"""The rows of docs/differences.md: where the server and the client's local mode differ on purpose."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import grpc
import pytest
from qdrant_client import models

from tests.compat.comparing import point

if TYPE_CHECKING:
    from collections.abc import Iterator

    from qdrant_client import QdrantClient


@pytest.fixture
def filled(remote: QdrantClient, local: QdrantClient, name: str) -> Iterator[str]:
    """Return the name of a collection with two points, on both."""
    for client in (remote, local):
        client.create_collection(name, models.VectorParams(size=2, distance=models.Distance.DOT))
        client.upsert(name, [point(i, [i, 0], {"a": 1}) for i in (1, 2)])
    yield name
    remote.delete_collection(name)


def test_repeated_ids(remote: QdrantClient, local: QdrantClient, filled: str) -> None:
    found = [[record.id for record in client.retrieve(filled, [2, 1, 2])] for client in (remote, local)]
    assert found == [[2, 1], [2, 1, 2]]


def test_numbers_of_operations(remote: QdrantClient, local: QdrantClient, filled: str) -> None:
    results = [client.set_payload(filled, {"b": 1}, [1]).operation_id for client in (remote, local)]
    assert results == [2, 0]
    versions = [
        {hit.id: hit.version for hit in client.query_points(filled, [1.0, 0.0]).points} for client in (remote, local)
    ]
    assert versions == [{1: 2, 2: 1}, {1: 0, 2: 0}]


@pytest.mark.parametrize(
    ("datatype", "stored"),
    [(models.Datatype.FLOAT16, [3.333984375, 300.0]), (models.Datatype.UINT8, [3.0, 255.0])],
)
def test_datatypes(
    remote: QdrantClient, local: QdrantClient, name: str, datatype: models.Datatype, stored: list[float]
) -> None:
    for client in (remote, local):
        client.create_collection(name, models.VectorParams(size=2, distance=models.Distance.DOT, datatype=datatype))
        client.upsert(name, [point(1, [3.3333, 300.0])])
    assert remote.retrieve(name, [1], with_vectors=True)[0].vector == stored
    assert local.retrieve(name, [1], with_vectors=True)[0].vector == pytest.approx([3.3333, 300.0])
    remote.delete_collection(name)


@pytest.mark.parametrize("number", [math.inf, math.nan])
def test_numbers_that_json_has_not(remote: QdrantClient, local: QdrantClient, filled: str, number: float) -> None:
    points = [point(3, [1.0, 1.0], {"x": number})]
    local.upsert(filled, points)
    with pytest.raises(grpc.RpcError, match="cannot convert to json number"):
        remote.upsert(filled, points)
    assert [client.count(filled).count for client in (remote, local)] == [2, 3]


def test_equal_scores(remote: QdrantClient, local: QdrantClient, filled: str) -> None:
    for client in (remote, local):
        client.upsert(filled, [point(i, [1, 0]) for i in (5, 3, 9, 4)])
    hits = [[hit.id for hit in client.query_points(filled, [1.0, 0.0]).points] for client in (remote, local)]
    assert hits[0] == [2, 1, 3, 4, 5, 9]
    assert sorted(hits[1]) == sorted(hits[0])


def test_empty_payload_of_a_hit(remote: QdrantClient, local: QdrantClient, filled: str) -> None:
    for client in (remote, local):
        client.clear_payload(filled, [2])
    payloads = [client.query_points(filled, [1.0, 0.0], limit=1).points[0].payload for client in (remote, local)]
    assert payloads == [None, {}]


def test_errors(remote: QdrantClient, local: QdrantClient, filled: str) -> None:
    with pytest.raises(KeyError):
        local.set_payload(filled, {"b": 1}, [99])
    with pytest.raises(grpc.RpcError) as refused:
        remote.set_payload(filled, {"b": 1}, [99])
    assert refused.value.code() is grpc.StatusCode.NOT_FOUND
    assert refused.value.details() == "Not found: No point with id 99 found"
