"""Deadlines and cancellation as clients see them: the right code at the right time, and a server that goes on."""

from __future__ import annotations

import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
import numpy as np
import pytest

from pointstore.wire.points_view_pb2 import UpsertPointsView
from qdrant_grpc import points_pb2
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from tests.conftest import wait_until
from tests.server.connections import frozen, holders, noted_connection, open_channel
from tests.server.http2_client import Http2Client
from tests.wire.points_calls import Calls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Server

DIM = 64
POINTS = 4000
CONFIG = f"vectors_config {{ params {{ size: {DIM} distance: Dot }} }} optimizers_config {{ indexing_threshold: 0 }}"
COUNT, QUERY_BATCH = "/qdrant.Points/Count", "/qdrant.Points/QueryBatch"
DEADLINE_EXCEEDED = grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.fixture(scope="module")
def collection(shared_server: Server) -> str:
    """Return the name of a collection without an index, so that searches take their time."""
    with open_channel(shared_server) as channel:
        calls = Calls(channel).create(CONFIG)
        write(channel, calls.name, POINTS)
        return calls.name


@pytest.fixture
def channel(shared_server: Server) -> Iterator[grpc.Channel]:
    """Return a channel with a connection of its own."""
    with open_channel(shared_server) as channel:
        yield channel


def write(channel: grpc.Channel, collection: str, points: int, *, first: int = 0, timeout: float = 60) -> None:
    """Upsert so many points in one request."""
    rows = np.random.default_rng(first).random((points, DIM), dtype=np.float32)
    request = UpsertPointsView(collection_name=collection, wait=True)
    for number, row in enumerate(rows, first):
        point = request.points.add()
        point.id.num = number
        point.vectors.vector.dense.data = row.tobytes()
    upsert: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/qdrant.Points/Upsert")
    upsert(request.SerializeToString(), timeout=timeout)


def count(channel: grpc.Channel, collection: str, *, timeout: float = 60) -> int:
    """Count the points."""
    request = points_pb2.CountPoints(collection_name=collection)
    return PointsStub(channel).Count(request, timeout=timeout).result.count


def slow_request(collection: str) -> points_pb2.QueryBatchPoints:
    """Return exact searches that take seconds in all."""
    query = points_pb2.QueryPoints(collection_name=collection, limit=10)
    query.query.nearest.dense.data.extend([1.0] * DIM)
    query.params.exact = True
    return points_pb2.QueryBatchPoints(collection_name=collection, query_points=[query] * 4000)


def code_of(call: Callable[[], object]) -> grpc.StatusCode:
    """Return the code of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    code: grpc.StatusCode = caught.value.code()
    return code


def test_deadline_passes_in_the_middle_of_a_search(channel: grpc.Channel, collection: str) -> None:
    stub, request = PointsStub(channel), slow_request(collection)
    for _ in range(3):
        started = time.monotonic()
        assert code_of(lambda: stub.QueryBatch(request, timeout=0.25)) is DEADLINE_EXCEEDED
        assert time.monotonic() - started >= 0.25
    assert count(channel, collection) == POINTS


def test_calls_that_wait_for_a_busy_worker_keep_their_deadlines(
    shared_server: Server, channel: grpc.Channel, collection: str
) -> None:
    with noted_connection(shared_server) as socket:
        assert count(channel, collection) == POINTS
    (worker,) = holders(shared_server, socket)
    stub, request = PointsStub(channel), points_pb2.CountPoints(collection_name=collection)
    with frozen(worker):
        calls = [stub.Count.future(request, timeout=0.5) for _ in range(200)]
        assert {code_of(call.result) for call in calls} == {DEADLINE_EXCEEDED}
    # The same worker, over the same connection.
    assert count(channel, collection) == POINTS
    assert holders(shared_server, socket) == [worker]


def test_write_whose_deadline_passes_happens_whole_or_not_at_all(shared_server: Server, channel: grpc.Channel) -> None:
    calls = Calls(channel).create(CONFIG)
    dice = random.Random(7)
    sizes = set()
    for attempt in range(20):
        try:
            write(channel, calls.name, 500, first=500 * attempt, timeout=dice.uniform(0.001, 0.03))
        except grpc.RpcError as error:
            assert error.code() is DEADLINE_EXCEEDED  # noqa: PT017  none at all is fine too
        sizes.add(count(channel, calls.name))
    assert all(size % 500 == 0 for size in sizes)
    write(channel, calls.name, 500)
    with open_channel(shared_server) as other:
        wait_until(lambda: count(other, calls.name) % 500 == 0, "whole batches")


def test_cancelled_calls_end_at_once_and_the_connection_serves_on(channel: grpc.Channel, collection: str) -> None:
    stub, request = PointsStub(channel), slow_request(collection)
    for delay_s in (0.0, 0.01, 0.1, 0.3):
        call = stub.QueryBatch.future(request, timeout=60)
        time.sleep(delay_s)
        assert call.cancel()
        assert call.code() is grpc.StatusCode.CANCELLED
        with pytest.raises(grpc.FutureCancelledError):
            call.result()
        assert count(channel, collection) == POINTS


def test_many_callers_with_short_deadlines_do_not_wear_the_server_out(channel: grpc.Channel, collection: str) -> None:
    stub, request = PointsStub(channel), slow_request(collection)
    request = points_pb2.QueryBatchPoints(collection_name=collection, query_points=request.query_points[:300])

    def search(number: int) -> grpc.StatusCode:
        try:
            stub.QueryBatch(request, timeout=0.02 * (1 + number % 5))
        except grpc.RpcError as error:
            code: grpc.StatusCode = error.code()
            return code
        return grpc.StatusCode.OK

    with ThreadPoolExecutor(16) as pool:
        codes = list(pool.map(search, range(100)))
    assert DEADLINE_EXCEEDED in codes
    assert set(codes) <= {DEADLINE_EXCEEDED, grpc.StatusCode.OK}
    assert count(channel, collection) == POINTS


@pytest.mark.parametrize("value", ["20S", "1M", "99999999H"])
def test_long_deadlines_in_every_unit_of_the_protocol(shared_server: Server, collection: str, value: str) -> None:
    body = points_pb2.CountPoints(collection_name=collection).SerializeToString()
    with Http2Client(shared_server.address) as client:
        assert client.call(COUNT, body, headers=[("grpc-timeout", value)]).status == 0


@pytest.mark.parametrize("value", ["1n", "1u", "1m"])
def test_short_deadlines_in_every_unit_of_the_protocol(shared_server: Server, collection: str, value: str) -> None:
    request = slow_request(collection)
    # No more than fits a new connection's window.
    del request.query_points[150:]
    body = request.SerializeToString()
    with Http2Client(shared_server.address) as client:
        reply = client.call(QUERY_BATCH, body, headers=[("grpc-timeout", value)])
        # A server whose time is over may also just reset the stream.
        assert reply.status in {DEADLINE_EXCEEDED.value[0], -1}
        count_body = points_pb2.CountPoints(collection_name=collection).SerializeToString()
        assert client.call(COUNT, count_body).status == 0
