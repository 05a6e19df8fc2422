"""Workers that die and servers that restart, as clients see it that use nothing but the defaults of their library."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
import pytest
from qdrant_client import models

from qdrant_grpc import points_pb2
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from tests.conftest import wait_until
from tests.server.connections import (
    connections,
    frozen,
    holders,
    noted_connection,
    official_client,
    open_channel,
    run_server,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qdrant_client import QdrantClient

    from tests.conftest import Server

pytestmark = pytest.mark.timeout(400)

NAME = "kept"
AFTER_ONE_S = 15.0
"""Seconds after the death of one of two workers: the other one answers at once."""
AFTER_ALL_S = 90.0
"""Seconds after the death of all: a new process, and the client library's pause between two attempts, 1 s and more."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server with two workers and a collection of three points."""
    for running in run_server(tmp_path_factory):
        client = official_client(running)
        client.create_collection(NAME, vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
        client.upsert(NAME, [models.PointStruct(id=number, vector=[1.0, number]) for number in range(3)])
        client.close()
        yield running


@pytest.fixture
def client(server: Server) -> Iterator[QdrantClient]:
    """Return the official client with its default settings, and wait until both workers are there."""
    wait_until(lambda: len(server.worker_pids()) == 2, "both workers run", AFTER_ALL_S)
    client = official_client(server)
    yield client
    client.close()


def points(client: QdrantClient) -> int:
    """Count the points with the official client."""
    return client.count(NAME).count


def seconds_until_answered(call: Callable[[], int]) -> float:
    """Repeat a call until it succeeds; only UNAVAILABLE may come before that."""
    started = time.monotonic()
    while time.monotonic() - started < AFTER_ALL_S:
        try:
            assert call() == 3
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE, error  # noqa: PT017  the others of its kind are expected
            time.sleep(0.05)
        else:
            return time.monotonic() - started
    pytest.fail(f"no answer within {AFTER_ALL_S} s")


def code_of(call: Callable[[], object]) -> grpc.StatusCode:
    """Return the code of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        call()
    code: grpc.StatusCode = caught.value.code()
    return code


def test_call_in_flight_at_a_killed_worker_is_unavailable_and_the_next_one_answered(
    server: Server, client: QdrantClient
) -> None:
    with noted_connection(server) as socket:
        assert points(client) == 3
    (worker,) = holders(server, socket)
    with ThreadPoolExecutor(1) as pool, frozen(worker):
        in_flight = pool.submit(points, client)
        time.sleep(0.3)
        assert not in_flight.done()
        os.kill(worker, signal.SIGKILL)
        assert code_of(in_flight.result) is grpc.StatusCode.UNAVAILABLE
    assert seconds_until_answered(lambda: points(client)) < AFTER_ONE_S
    wait_until(
        lambda: worker not in server.worker_pids() and len(server.worker_pids()) == 2, "it is replaced", AFTER_ALL_S
    )


def test_official_client_is_answered_soon_after_the_death_of_all_workers(server: Server, client: QdrantClient) -> None:
    assert points(client) == 3
    for pid in server.worker_pids():
        os.kill(pid, signal.SIGKILL)
    assert code_of(lambda: points(client)) is grpc.StatusCode.UNAVAILABLE
    assert seconds_until_answered(lambda: points(client)) < AFTER_ALL_S
    assert client.upsert(NAME, [models.PointStruct(id=0, vector=[1.0, 0.0])]).status is models.UpdateStatus.COMPLETED


def test_stub_that_waits_for_ready_gets_no_error_from_the_death_of_all_workers(
    server: Server, client: QdrantClient
) -> None:
    assert points(client) == 3
    states: list[grpc.ChannelConnectivity] = []
    with open_channel(server) as channel:
        channel.subscribe(states.append)
        count, request = PointsStub(channel).Count, points_pb2.CountPoints(collection_name=NAME)
        assert count(request, timeout=10).result.count == 3
        wait_until(lambda: states[-1] is grpc.ChannelConnectivity.READY, "the channel knows its connection")
        for pid in server.worker_pids():
            os.kill(pid, signal.SIGKILL)
        # What is sent before the client has noticed is lost with the connection, waiting or not.
        wait_until(lambda: states[-1] is not grpc.ChannelConnectivity.READY, "the channel has noticed")
        assert count(request, timeout=AFTER_ALL_S, wait_for_ready=True).result.count == 3
    assert seconds_until_answered(lambda: points(client)) < AFTER_ALL_S


def test_clients_find_a_restarted_server_on_its_port(server: Server, client: QdrantClient) -> None:
    address, before = server.address, server.worker_pids()
    with open_channel(server) as channel:
        count, request = PointsStub(channel).Count, points_pb2.CountPoints(collection_name=NAME)
        assert points(client) == count(request, timeout=10).result.count == 3
        assert server.terminate() == 0
        assert code_of(lambda: points(client)) is grpc.StatusCode.UNAVAILABLE
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(count, request, timeout=60, wait_for_ready=True)
            server.restart(server.port)
            assert server.address == address
            assert not set(before) & set(server.worker_pids())
            assert seconds_until_answered(lambda: points(client)) < AFTER_ALL_S
            assert waiting.result().result.count == 3
    assert sum(connections(server)) >= 1
