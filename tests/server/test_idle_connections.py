"""Connections that nobody uses, and clients that are gone without a word: both are closed, and only they."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from tests.gates.http2 import Raw
from tests.server.http2_client import Http2Client

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Server

CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
WITHIN_S = 20.0
STAYS_S = 4.0
"""Much longer than the second that the settings give."""


def test_connection_without_calls_is_closed_and_one_with_a_call_is_not(start_server: Callable[..., Server]) -> None:
    server = start_server(workers=1, POINTSTORE__IDLE_TIMEOUT_S="1", POINTSTORE__KEEPALIVE_S="600")
    with Raw(server.port) as idle, Http2Client(server.address) as watching:
        idle.open()
        watching.begin(WATCH, b"")
        watching.read_for(STAYS_S)
        assert watching.goaway is None
        assert idle.ended_within(WITHIN_S)
    with Http2Client(server.address) as again:
        assert again.call(CHECK).status == 0


def test_client_that_answers_no_ping_is_closed_and_one_that_does_is_not(start_server: Callable[..., Server]) -> None:
    server = start_server(workers=1, POINTSTORE__IDLE_TIMEOUT_S="600", POINTSTORE__KEEPALIVE_S="1")
    with Raw(server.port) as dead, Http2Client(server.address) as living:
        began = time.monotonic()
        dead.open()
        assert living.call(CHECK).status == 0
        living.read_for(STAYS_S)
        assert living.goaway is None
        assert living.call(CHECK).status == 0
        assert dead.ended_within(WITHIN_S)
        assert time.monotonic() - began > 1, "it was not even asked"
