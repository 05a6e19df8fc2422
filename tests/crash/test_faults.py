"""A disk that fails under a running server, and too many open files: specified errors, and reading goes on."""

from __future__ import annotations

import resource
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from qdrant_grpc import points_pb2
from qdrant_grpc import snapshots_service_pb2 as messages
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from qdrant_grpc.snapshots_service_pb2_grpc import SnapshotsStub
from tests.conftest import wait_until
from tests.crash.driver import TIMEOUT_S, channel_to, create, verify_points
from tests.crash.model import EUCLID, Point, Put, creation
from tests.gates.filesystems import mounted

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Server
    from tests.crash.model import Points

    Start = Callable[..., Server]

NAME = "faulty"


def put(address: str, number: int, points: Points) -> None:
    """Write a point over a connection of its own, so that some worker or other gets it."""
    operation = Put({number: Point({"n": number}, {EUCLID: [float(number)] * 8})})
    request = points_pb2.UpdateBatchPoints(collection_name=NAME, wait=True, operations=[operation.message()])
    with channel_to(address) as channel:
        PointsStub(channel).UpdateBatch(request, timeout=TIMEOUT_S)
    operation.apply(points)


def is_serving(address: str) -> bool:
    """Ask one worker's health."""
    with channel_to(address) as channel:
        reply: HealthCheckResponse = HealthStub(channel).Check(HealthCheckRequest(), timeout=TIMEOUT_S)
    return bool(reply.status == HealthCheckResponse.SERVING)


def test_no_worker_acknowledges_after_an_input_output_error(start_server: Start, tmp_path: Path) -> None:
    points: Points = {}
    with mounted(tmp_path / "disk", "ext4", 64) as disk:
        server = start_server("disk")
        try:
            create(server.address, creation(NAME))
            for number in range(1, 20):
                put(server.address, number, points)
            assert is_serving(server.address)
            disk.cut_power()
            for number in range(20, 40):
                with pytest.raises(grpc.RpcError) as refused:
                    put(server.address, number, {})
                assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
                assert "input/output error of the disk" in str(refused.value.details())
            for _ in range(6):
                wait_until(lambda: not is_serving(server.address), "health checks tell of it")
            verify_points(server.address, NAME, points)
            # The same disk in a machine that works.
            server.kill_all()
            disk.unmount()
            disk.mount()
            server.start()
            assert is_serving(server.address)
            verify_points(server.address, NAME, points)
            put(server.address, 40, points)
            verify_points(server.address, NAME, points)
        finally:
            server.close()


def test_too_many_open_files_pass(start_server: Start) -> None:
    server = start_server(workers=1)
    create(server.address, creation(NAME))
    points: Points = {}
    put(server.address, 1, points)
    (worker,) = server.worker_pids()
    usual = resource.prlimit(worker, resource.RLIMIT_NOFILE)
    with channel_to(server.address) as channel:
        collections, stub, snapshots = CollectionsStub(channel), PointsStub(channel), SnapshotsStub(channel)
        assert snapshots.CreateFull(messages.CreateFullSnapshotRequest(), timeout=TIMEOUT_S).time > 0
        count = points_pb2.CountPoints(collection_name=NAME, exact=True)
        assert stub.Count(count, timeout=TIMEOUT_S).result.count == 1
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (3, usual[1]))
        with pytest.raises(grpc.RpcError) as refused:
            collections.Create(creation("another"), timeout=TIMEOUT_S)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        for call in (
            lambda: snapshots.Create(messages.CreateSnapshotRequest(collection_name=NAME), timeout=TIMEOUT_S),
            lambda: snapshots.CreateFull(messages.CreateFullSnapshotRequest(), timeout=TIMEOUT_S),
            lambda: snapshots.List(messages.ListSnapshotsRequest(collection_name=NAME), timeout=TIMEOUT_S),
            lambda: snapshots.ListFull(messages.ListFullSnapshotsRequest(), timeout=TIMEOUT_S),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                call()
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert stub.Count(count, timeout=TIMEOUT_S).result.count == 1
        # A client that comes now cannot be accepted; it gets through as soon as there is room, on the same channel.
        with channel_to(server.address) as another:
            with pytest.raises(grpc.RpcError) as refused:
                PointsStub(another).Count(count, timeout=1)
            assert refused.value.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
            assert stub.Count(count, timeout=TIMEOUT_S).result.count == 1
            resource.prlimit(worker, resource.RLIMIT_NOFILE, usual)
            assert PointsStub(another).Count(count, wait_for_ready=True, timeout=TIMEOUT_S).result.count == 1
        assert collections.Create(creation("another"), timeout=TIMEOUT_S).result
    # A connection that could not be accepted meanwhile does no lasting harm either.
    put(server.address, 2, points)
    verify_points(server.address, NAME, points)
