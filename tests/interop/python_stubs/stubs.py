"""A round trip with stubs that grpcio-tools generated from `proto/`, without the official client.

Usage: `stubs.py HOST:PORT`. Ends with status 0, or with the first assertion that does not hold.
"""

from __future__ import annotations

import sys

import grpc
from collections_pb2 import CreateCollection, DeleteCollection, Distance, VectorParams, VectorsConfig
from collections_service_pb2_grpc import CollectionsStub
from points_pb2 import PointStruct, QueryPoints, ScrollPoints, UpdateStatus, UpsertPoints
from points_service_pb2_grpc import PointsStub

NAME = "python-stubs"
TIMEOUT_S = 30


def point(number: int, vector: list[float]) -> PointStruct:
    """Return a point; messages may be given as dictionaries of their fields."""
    return PointStruct(
        id={"num": number},
        vectors={"vector": {"dense": {"data": vector}}},
        payload={"city": {"string_value": "Berlin"}},
    )


def round_trip(points: PointsStub) -> None:
    """Write, search, read."""
    written = [point(1, [1, 0, 0, 0]), point(2, [0, 2, 0, 0])]
    reply = points.Upsert(UpsertPoints(collection_name=NAME, wait=True, points=written), timeout=TIMEOUT_S)
    assert reply.result.status == UpdateStatus.Completed
    nearest = {"nearest": {"dense": {"data": [0, 1, 0, 0]}}}
    hits = points.Query(QueryPoints(collection_name=NAME, query=nearest, limit=1), timeout=TIMEOUT_S).result
    assert [(hit.id.num, hit.score) for hit in hits] == [(2, 2.0)]
    page = points.Scroll(ScrollPoints(collection_name=NAME), timeout=TIMEOUT_S)
    assert [record.id.num for record in page.result] == [1, 2]
    assert page.result[0].payload["city"].string_value == "Berlin"
    assert not page.HasField("next_page_offset")


def main(address: str) -> None:
    """Create a collection, use it, drop it."""
    with grpc.insecure_channel(address) as channel:
        collections = CollectionsStub(channel)
        collections.Delete(DeleteCollection(collection_name=NAME), timeout=TIMEOUT_S)
        params = VectorsConfig(params=VectorParams(size=4, distance=Distance.Dot))
        request = CreateCollection(collection_name=NAME, vectors_config=params)
        assert collections.Create(request, timeout=TIMEOUT_S).result
        round_trip(PointsStub(channel))
        assert collections.Delete(DeleteCollection(collection_name=NAME), timeout=TIMEOUT_S).result
    assert "qdrant_grpc" not in sys.modules, "the stubs are to be the generated ones"


if __name__ == "__main__":
    main(sys.argv[1])
    sys.stdout.write("made a round trip\n")
