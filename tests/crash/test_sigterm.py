"""SIGTERM under load: calls in flight end well, and everything acknowledged is there after the next start."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import grpc

from tests.crash.driver import Writer, create, verify, writing
from tests.crash.model import creation

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Server

    Start = Callable[..., Server]

NAME = "terminated"


def test_sigterm_under_load(start_server: Start) -> None:
    """Calls in flight at SIGTERM succeed, later ones succeed or are told UNAVAILABLE, and the exit status is 0."""
    # Group commits that take a while: there always are calls in flight.
    server = start_server(POINTSTORE_FAILPOINTS="write.applied=pause:0.15")
    create(server.address, creation(NAME))
    writers: list[Writer] = []
    with writing(server.address, NAME, writers, count=6):
        time.sleep(1.5)
        stopped_at = time.monotonic()
        assert server.terminate() == 0
    calls = [call for writer in writers for call in writer.calls]
    in_flight = [call for call in calls if call.began < stopped_at < call.ended]
    assert in_flight
    assert {call.code for call in calls if call.began < stopped_at} == {None}
    assert {call.code for call in calls} == {None, grpc.StatusCode.UNAVAILABLE}
    server = start_server()
    verify(server.address, NAME, writers)
