"""Many short connections, and one long one with many calls: answered, spread over the workers, nothing left behind."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from qdrant_client import QdrantClient

from qdrant_grpc import points_pb2
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from scripts.benchmark.server import socket_inodes
from tests.conftest import wait_until
from tests.server.connections import (
    OWN_CONNECTION,
    connections,
    descriptors,
    frozen,
    holders,
    noted_connection,
    open_channel,
    run_server,
    sockets,
)
from tests.wire.points_calls import DENSE, Calls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Server

STREAMS = 100
POINTS = 200


@pytest.fixture
def collection(shared_server: Server) -> str:
    """Return the name of a collection with points 0 to 199."""
    with open_channel(shared_server) as channel:
        calls = Calls(channel).create(DENSE)
        calls.fill({number: {"number": number} for number in range(POINTS)})
        return calls.name


def count(channel: grpc.Channel, collection: str, *, timeout: float = 60) -> int:
    """Count the points of a collection."""
    reply = PointsStub(channel).Count(points_pb2.CountPoints(collection_name=collection), timeout=timeout)
    return reply.result.count


def test_hundreds_of_short_connections_leave_nothing_behind(shared_server: Server, collection: str) -> None:
    def call_once(_number: int) -> int:
        with open_channel(shared_server) as channel:
            return count(channel, collection)

    with ThreadPoolExecutor(8) as pool:
        # The first call of a worker opens the collection's files, which stay open.
        assert list(pool.map(call_once, range(30))) == [POINTS] * 30
        before = descriptors(shared_server)
        assert list(pool.map(call_once, range(400))) == [POINTS] * 400
    wait_until(
        lambda: all(now <= then for now, then in zip(descriptors(shared_server), before, strict=True)),
        f"the workers have no more descriptors than before, {before}",
    )


def test_connections_are_spread_over_the_workers(shared_server: Server, collection: str) -> None:
    before = connections(shared_server)
    channels = [open_channel(shared_server) for _ in range(120)]
    try:
        with ThreadPoolExecutor(8) as pool:
            assert set(pool.map(lambda channel: count(channel, collection), channels)) == {POINTS}
        held = [now - then for now, then in zip(connections(shared_server), before, strict=True)]
    finally:
        for channel in channels:
            channel.close()
    assert sum(held) == len(channels)
    # Each goes to either worker at random: fewer than 30 of 120 at one of them is a matter of 1 in 10^7 runs.
    assert min(held) >= 30, held


def test_channels_of_a_process_share_a_connection_unless_told_otherwise(shared_server: Server, collection: str) -> None:
    # A user agent makes the options differ from those of other tests, and with them the shared connection.
    options = [("grpc.primary_user_agent", "sharing")]
    with noted_connection(shared_server):
        channels = [grpc.insecure_channel(shared_server.address, options=options) for _ in range(3)]
        assert [count(channel, collection) for channel in channels] == [POINTS] * 3
    for channel in channels:
        channel.close()


def test_pool_of_the_official_client_is_one_with_the_option(shared_server: Server, collection: str) -> None:
    before = sockets(shared_server)
    client = QdrantClient(
        host="127.0.0.1",
        grpc_port=shared_server.port,
        prefer_grpc=True,
        check_compatibility=False,
        pool_size=8,
        grpc_options=dict([OWN_CONNECTION]),
    )
    assert [client.count(collection).count for _ in range(8)] == [POINTS] * 8
    assert len(sockets(shared_server) - before) == 8
    client.close()


def test_100_calls_in_flight_on_one_connection_are_all_answered(shared_server: Server, collection: str) -> None:
    with open_channel(shared_server) as channel:
        with noted_connection(shared_server) as socket:
            assert count(channel, collection) == POINTS
        (worker,) = holders(shared_server, socket)
        stub, request = PointsStub(channel), points_pb2.ScrollPoints(collection_name=collection, limit=POINTS)
        with frozen(worker):
            calls = [stub.Scroll.future(request, timeout=60) for _ in range(STREAMS)]
            assert not any(call.done() for call in calls)
        assert [len(call.result().result) for call in calls] == [POINTS] * STREAMS
        assert socket <= socket_inodes(worker)


def test_none_of_100_callers_on_one_connection_starves(shared_server: Server, collection: str) -> None:
    answers = [0] * STREAMS
    enough = threading.Event()
    with open_channel(shared_server) as channel:
        stub = PointsStub(channel)
        heavy = points_pb2.ScrollPoints(collection_name=collection, limit=POINTS)
        heavy.with_vectors.enable = True
        light = points_pb2.CountPoints(collection_name=collection)

        def keep_calling(number: int) -> None:
            while not enough.is_set():
                if number % 2:
                    assert stub.Count(light, timeout=60).result.count == POINTS
                else:
                    assert len(stub.Scroll(heavy, timeout=60).result) == POINTS
                answers[number] += 1

        with ThreadPoolExecutor(STREAMS) as pool:
            running = [pool.submit(keep_calling, number) for number in range(STREAMS)]
            try:
                wait_until(lambda: min(answers) >= 3, "every caller has three answers", 60)
            finally:
                enough.set()
            for each in running:
                each.result()


@pytest.fixture(scope="module")
def narrow_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server that allows eight calls a connection."""
    yield from run_server(tmp_path_factory, workers=1, POINTSTORE__MAX_CONCURRENT_STREAMS="8")


@pytest.fixture
def narrow(narrow_server: Server) -> Iterator[grpc.Channel]:
    """Return a channel to that server."""
    with open_channel(narrow_server) as channel:
        yield channel


def test_calls_beyond_the_limit_of_a_connection_wait(narrow: grpc.Channel) -> None:
    health = HealthStub(narrow)
    watches = [health.Watch(HealthCheckRequest(), timeout=60) for _ in range(8)]
    assert {next(watch).status for watch in watches} == {HealthCheckResponse.SERVING}
    # It waits for a free stream: neither refused nor let through, until its time is over.
    with pytest.raises(grpc.RpcError) as waited:
        health.Check(HealthCheckRequest(), timeout=0.5)
    assert waited.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    waiting = health.Check.future(HealthCheckRequest(), timeout=60)
    watches[0].cancel()
    assert waiting.result().status == HealthCheckResponse.SERVING


def test_more_calls_than_the_limit_of_a_connection_are_all_answered(narrow: grpc.Channel) -> None:
    health = HealthStub(narrow)
    calls = [health.Check.future(HealthCheckRequest(), timeout=60) for _ in range(STREAMS)]
    assert {call.result().status for call in calls} == {HealthCheckResponse.SERVING}
