"""S5: connections that open and do not go on, requests that trickle, replies that nobody takes: all of them end."""

from __future__ import annotations

import random
import struct
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from qdrant_grpc import collections_pb2, points_pb2
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from tests.crash.driver import channel_to
from tests.gates.http2 import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PREFACE,
    SETTINGS,
    WINDOW_UPDATE,
    Raw,
    frame,
    headers,
    message,
)
from tests.gates.processes import Peak, descriptors

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Server
    from tests.gates.conftest import Budget

NAME = "slow"
PAYLOAD_BYTES = 1 << 20
POINTS = 8
ENDED_WITHIN_S = 15.0
MARGIN_S = 10.0
"""For a machine that is busy with something else."""
BUDGET_MB = 64
SLACK_MB = 100
TOGETHER = 500
CONNECT = 64
TIMEOUT_S = 60.0
SCROLL = "/qdrant.Points/Scroll"
UPSERT = "/qdrant.Points/Upsert"


def silent(_raw: Raw) -> None:
    """Connect and say nothing."""


def half_open(raw: Raw) -> None:
    """Send half of the preface."""
    raw.send(PREFACE[:10])


def no_body(raw: Raw) -> None:
    """Begin a call and never send its request."""
    raw.open(frame(HEADERS, END_HEADERS, 1, headers(UPSERT)))


def trickle(raw: Raw) -> None:
    """Begin a large request and send some of it."""
    raw.open(frame(HEADERS, END_HEADERS, 1, headers(UPSERT)), frame(DATA, 0, 1, b"\0" + struct.pack(">I", 10_000_000)))


def no_reader(raw: Raw) -> None:
    """Ask for much and take none of it, however much the window allows."""
    request = points_pb2.ScrollPoints(collection_name=NAME, limit=POINTS)
    request.with_payload.enable = True
    window = struct.pack(">I", 1 << 30)
    raw.open(
        frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 1 << 16)),
        frame(WINDOW_UPDATE, 0, 0, window),
        frame(HEADERS, END_HEADERS, 1, headers(SCROLL)),
        frame(DATA, END_STREAM, 1, message(request.SerializeToString())),
    )


KINDS = (silent, half_open, no_body, trickle, no_reader)


def fill(address: str) -> None:
    """Create a collection whose points have large payloads."""
    with channel_to(address) as channel:
        create = collections_pb2.CreateCollection(collection_name=NAME)
        CollectionsStub(channel).Create(create, timeout=TIMEOUT_S)
        upsert = points_pb2.UpsertPoints(collection_name=NAME, wait=True)
        for number in range(POINTS):
            point = upsert.points.add()
            point.id.num = number
            point.vectors.vectors.SetInParent()
            point.payload["x"].string_value = "x" * PAYLOAD_BYTES
        PointsStub(channel).Upsert(upsert, timeout=TIMEOUT_S)


def connect(port: int, seed: int) -> tuple[str, Raw]:
    """Make one slow connection."""
    kind = random.Random(seed).choice(KINDS)
    raw = Raw(port)
    kind(raw)
    return kind.__name__, raw


@pytest.mark.gate("S5", size=500)
def test_slow_connections_end(start_server: Callable[..., Server], budget: Budget) -> None:
    server: Server = start_server(
        POINTSTORE__REQUEST_MEMORY_MB=str(BUDGET_MB),
        POINTSTORE__HANDSHAKE_TIMEOUT_MS="10000",
        POINTSTORE__TRANSFER_TIMEOUT_S="10",
    )
    fill(server.address)
    pids = server.worker_pids()
    made, longest_s, kinds = 0, 0.0, Counter[str]()
    request = points_pb2.CountPoints(collection_name=NAME)
    with Peak(pids) as peak, channel_to(server.address) as channel, ThreadPoolExecutor(CONNECT) as pool:
        stub = PointsStub(channel)
        stub.Count(request, timeout=TIMEOUT_S)
        before = list(map(descriptors, pids))
        while made < budget.size and not budget.spent():
            seeds = [budget.seed * 1_000_000 + made + n for n in range(min(TOGETHER, budget.size - made))]
            began = time.monotonic()
            slow = list(pool.map(lambda seed: connect(server.port, seed), seeds))
            kinds.update(name for name, _ in slow)
            # An ordinary client, meanwhile.
            assert stub.Count(request, timeout=TIMEOUT_S).result.count == POINTS
            deadline = began + ENDED_WITHIN_S + MARGIN_S
            ends = [(name, raw.ended_within(max(deadline - time.monotonic(), 0.1))) for name, raw in slow]
            longest_s = max(longest_s, time.monotonic() - began)
            left = Counter(name for name, ended in ends if not ended)
            assert not left, left
            for _, raw in slow:
                raw.close()
            made += len(slow)
    assert server.worker_pids() == pids, "a worker was replaced"
    assert kinds.keys() == {kind.__name__ for kind in KINDS}
    assert peak.growth_mb < BUDGET_MB + SLACK_MB
    time.sleep(1)
    after = list(map(descriptors, pids))
    assert all(now <= then + 20 for then, now in zip(before, after, strict=True)), (before, after)
    budget.report(
        f"{made} connections {dict(kinds)}, all ended within {longest_s:.1f} s; memory + {peak.growth_mb:.0f} MiB "
        f"(budget {BUDGET_MB} a worker); descriptors {before} to {after}"
    )


def test_connection_that_goes_on_does_not_count_as_ended(shared_server: Server) -> None:
    """The control of what `ended_within` sees."""
    with Raw(shared_server.port) as raw:
        raw.open()
        assert not raw.ended_within(0.5)


def test_call_that_is_refused_counts_as_ended(shared_server: Server) -> None:
    with Raw(shared_server.port) as raw:
        raw.open(frame(HEADERS, END_HEADERS, 1, headers(SCROLL)), frame(DATA, END_STREAM, 1, message(b"\xff")))
        assert raw.ended_within(20)
