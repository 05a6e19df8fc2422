"""A collection whose store is full: writes are refused, everything else goes on, and deleting makes room again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest

from qdrant_grpc import points_pb2
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from tests.crash.driver import TIMEOUT_S, channel_to, create, info, scrolled, verify_points
from tests.crash.model import EUCLID, Point, Put, Remove, SetPayload, creation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.conftest import Server
    from tests.crash.model import Operation, Points

    Start = Callable[..., Server]

NAME = "full"


def write(stub: PointsStub, points: Points, *operations: Operation) -> None:
    """Write operations, and apply them to the expected points once the server has confirmed them."""
    request = points_pb2.UpdateBatchPoints(
        collection_name=NAME, wait=True, operations=[operation.message() for operation in operations]
    )
    stub.UpdateBatch(request, timeout=TIMEOUT_S)
    for operation in operations:
        operation.apply(points)


def put(number: int, size: int) -> Put:
    """Return the upsert of a point with a payload of so many bytes."""
    return Put({number: Point({"text": "x" * size}, {EUCLID: [1.0 + number % 50] * 8})})


def fill(stub: PointsStub, points: Points, sizes: Sequence[int]) -> None:
    """Write points, ever smaller ones, until no more fit."""
    number = len(points)
    for size in sizes:
        with pytest.raises(grpc.RpcError) as refused:  # noqa: PT012  whichever call it is
            while True:
                number += 1
                write(stub, points, put(number, size))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "storage map" in str(refused.value.details())
        assert "qdrant-insufficient-storage" in str(refused.value.trailing_metadata())


def test_full_map(start_server: Start) -> None:
    server = start_server(POINTSTORE__MAP_SIZE_GB="0.03")
    create(server.address, creation(NAME))
    points: Points = {}
    with channel_to(server.address) as channel:
        stub = PointsStub(channel)
        for _ in range(2):
            fill(stub, points, [50_000, 2_000])
            assert len(points) > 200
            with pytest.raises(grpc.RpcError, match="RESOURCE_EXHAUSTED"):
                write(stub, points, SetPayload(list(points), {"more": "y" * 1000}, None))
            # Reads go on, in both workers.
            assert info(server.address, NAME).points_count == len(points)
            assert scrolled(stub, NAME).keys() == points.keys()
            # So does what frees space: here one call at a time, until half of the bytes are free.
            for number in list(points)[::2]:
                write(stub, points, Remove([number]))
        write(stub, points, put(1_000_001, 50_000))
        verify_points(server.address, NAME, points)
        fill(stub, points, [50_000, 2_000])
    server.kill9()
    server.start()
    verify_points(server.address, NAME, points)
    with channel_to(server.address) as channel:
        stub = PointsStub(channel)
        write(stub, points, Remove(list(points)))
        write(stub, points, put(1, 50_000))
    verify_points(server.address, NAME, points)
