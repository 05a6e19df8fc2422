"""Keepalive pings: those of every 10 s are welcome, with calls and without; only far more frequent ones are not."""

from __future__ import annotations

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from tests.conftest import wait_until
from tests.server.connections import noted_connection, open_channel, sockets
from tests.server.http2_client import Http2Client

if TYPE_CHECKING:
    from tests.conftest import Server

IDLE_S = 21.0
CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
PINGING = (("grpc.keepalive_permit_without_calls", 1), ("grpc.http2.max_pings_without_data", 0))


def ping_every(address: str, interval_s: float, *, watching: bool) -> tuple[int, bytes | None]:
    """Ping a connection that does nothing else; return the answers, and what the server said if it hung up."""
    with Http2Client(address) as client:
        assert client.call(CHECK).status == 0
        if watching:
            client.begin(WATCH, b"")
        deadline = time.monotonic() + IDLE_S
        while time.monotonic() < deadline and client.goaway is None:
            client.ping()
            client.read_for(min(interval_s, deadline - time.monotonic()))
        if client.goaway is None:
            assert client.call(CHECK).status == 0
        return client.pongs, client.goaway


def test_idle_connections_that_ping_are_kept(shared_server: Server) -> None:
    channel = open_channel(shared_server, ("grpc.keepalive_time_ms", 10_000), *PINGING)
    with ThreadPoolExecutor(4) as pool, channel:
        with noted_connection(shared_server) as socket:
            assert HealthStub(channel).Check(HealthCheckRequest(), timeout=10).status == HealthCheckResponse.SERVING
        pings = [
            pool.submit(ping_every, shared_server.address, interval_s, watching=watching)
            for interval_s in (10.0, 7.0)
            for watching in (False, True)
        ]
        for pinging in pings:
            pongs, goaway = pinging.result()
            assert goaway is None
            # One to begin with, one at once, and on a busy machine not all of the others in time.
            assert pongs >= 3
        # The library's own pings did not cost it its connection either.
        assert socket <= sockets(shared_server)
        assert HealthStub(channel).Check(HealthCheckRequest(), timeout=10).status == HealthCheckResponse.SERVING
        assert socket <= sockets(shared_server)


def test_far_too_frequent_pings_end_the_connection_but_not_the_client(shared_server: Server) -> None:
    # The control of the test above: this is what it looks like when the server minds.
    pongs, goaway = ping_every(shared_server.address, 0.1, watching=False)
    assert goaway == b"too_many_pings"
    assert pongs >= 2
    with contextlib.closing(open_channel(shared_server, ("grpc.keepalive_time_ms", 200), *PINGING)) as channel:
        health = HealthStub(channel)
        with noted_connection(shared_server) as first:
            assert health.Check(HealthCheckRequest(), timeout=10).status == HealthCheckResponse.SERVING
        wait_until(lambda: not first & sockets(shared_server), "the library's connection is ended too")
        for _ in range(20):
            reply = health.Check(HealthCheckRequest(), timeout=30, wait_for_ready=True)
            assert reply.status == HealthCheckResponse.SERVING


def test_health_of_a_worker_is_watched_over_http2(shared_server: Server) -> None:
    with Http2Client(shared_server.address) as client:
        stream = client.begin(WATCH, b"")
        client.read_for(0.5)
        client.reset(stream)
        reply = client.call(CHECK)
        assert HealthCheckResponse.FromString(reply.message[1]).status == HealthCheckResponse.SERVING
        assert grpc.StatusCode.OK.value[0] == reply.status
