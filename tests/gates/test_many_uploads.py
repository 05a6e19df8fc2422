"""S4: many clients with large bodies at once: memory stays within the budget, small calls and health are answered."""

from __future__ import annotations

import threading
import time
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf import text_format
from grpc_health.v1 import health_pb2, health_pb2_grpc

from qdrant_grpc import collections_pb2, points_pb2
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from tests.crash.driver import channel_to
from tests.gates.processes import Peak

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Server
    from tests.gates.conftest import Budget

NAME = "uploaded"
DIM = 1024
POINTS_A_MB = 256
BUDGET_MB = 96
SLACK_MB = 75
"""Besides requests: connections, threads, snapshots, what the allocator keeps."""
NO_BUDGET_MB = 1 << 16
FEW = 8
"""Clients that are enough to keep the server busy."""
LONG = 500
PHASE_S = 5.0
CONTROL_S = 3.0
CONTROL_MB = 4
LONG_PHASE_S = 60.0
TIMEOUT_S = 60.0
RETRY_S = 0.05
CODE = grpc.StatusCode


def body(megabytes: int) -> bytes:
    """Return an upsert of some megabytes."""
    request = points_pb2.UpsertPoints(collection_name=NAME, wait=True)
    for number in range(megabytes * POINTS_A_MB):
        point = request.points.add()
        point.id.num = number
        point.vectors.vector.dense.data.extend([float(number)] * DIM)
    return request.SerializeToString()


class Uploader(threading.Thread):
    """A client that uploads the same again and again; it retries when the server is overloaded."""

    def __init__(self, channel: grpc.Channel, request: bytes, ending: threading.Event) -> None:
        super().__init__(daemon=True)
        self.ends: Counter[str] = Counter()
        self._call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/qdrant.Points/Upsert")
        self._request = request
        self._ending = ending

    def run(self) -> None:
        while not self._ending.is_set():
            try:
                self._call(self._request, timeout=TIMEOUT_S)
                self.ends["OK"] += 1
            except grpc.RpcError as error:
                known = error.code() is CODE.RESOURCE_EXHAUSTED and "Overloaded: " in (error.details() or "")
                self.ends["refused" if known else f"{error.code()} {error.details()}"] += 1
                time.sleep(RETRY_S)


class Prober(threading.Thread):
    """A client with small calls: health and a count, each with its longest time."""

    def __init__(self, address: str, ending: threading.Event) -> None:
        super().__init__(daemon=True)
        self.health_s = self.count_s = 0.0
        self.probes = 0
        self.failures: list[str] = []
        self._address = address
        self._ending = ending

    def run(self) -> None:
        with channel_to(self._address) as channel:
            health, points = health_pb2_grpc.HealthStub(channel), PointsStub(channel)
            while not self._ending.is_set():
                try:
                    began = time.monotonic()
                    health.Check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S)
                    between = time.monotonic()
                    points.Count(points_pb2.CountPoints(collection_name=NAME), timeout=TIMEOUT_S)
                    self.health_s = max(self.health_s, between - began)
                    self.count_s = max(self.count_s, time.monotonic() - between)
                    self.probes += 1
                except grpc.RpcError as error:
                    self.failures.append(f"{error.code()} {error.details()}")
                time.sleep(0.1)


class Phase:
    """Uploads from so many connections for some time.

    Attributes:
        per_s: uploads a second that succeeded.
        ends: how the calls ended.

    """

    def __init__(self, address: str, request: bytes, clients: int, seconds: float) -> None:
        ending = threading.Event()
        self.prober = Prober(address, ending)
        with ExitStack() as stack:
            channels = [stack.enter_context(channel_to(address)) for _ in range(clients)]
            uploaders = [Uploader(channel, request, ending) for channel in channels]
            began = time.monotonic()
            for thread in (*uploaders, self.prober):
                thread.start()
            time.sleep(seconds)
            done = sum(uploader.ends["OK"] for uploader in uploaders)
            self.per_s = done / (time.monotonic() - began)
            ending.set()
            for thread in (*uploaders, self.prober):
                thread.join(2 * TIMEOUT_S)
        self.ends = sum((uploader.ends for uploader in uploaders), Counter[str]())


def start_with(start_server: Callable[..., Server], name: str, budget_mb: int) -> Server:
    """Start a server with so much memory for requests, and the collection."""
    server: Server = start_server(name, POINTSTORE__REQUEST_MEMORY_MB=str(budget_mb))
    with channel_to(server.address) as channel:
        # Plain dense rows would stay in memory until they are sealed, which is not what is measured.
        params = f"size: {DIM} distance: Dot multivector_config {{ }}"
        config = f"collection_name: '{NAME}' vectors_config {{ params {{ {params} }} }}"
        create = text_format.Parse(config, collections_pb2.CreateCollection())
        CollectionsStub(channel).Create(create, timeout=TIMEOUT_S)
    return server


@pytest.mark.gate("S4", size=60)
def test_many_uploads_stay_within_memory(start_server: Callable[..., Server], budget: Budget) -> None:
    server = start_with(start_server, "data", BUDGET_MB)
    request = body(1)
    seconds = LONG_PHASE_S if budget.size >= LONG else PHASE_S
    assert budget.size * len(request) * 8 > 2 * BUDGET_MB << 20, "too few clients to fill the budget"
    few = Phase(server.address, request, FEW, seconds)
    pids = server.worker_pids()
    with Peak(pids) as peak:
        many = Phase(server.address, request, budget.size, seconds)
    assert server.worker_pids() == pids, "a worker was replaced"
    assert few.ends["OK"] > 0
    assert many.ends["OK"] > 0
    assert many.ends.keys() <= {"OK", "refused"}, many.ends
    assert many.prober.probes > 0
    assert not many.prober.failures, many.prober.failures[:3]
    assert peak.growth_mb < BUDGET_MB + SLACK_MB
    goodput = many.per_s / few.per_s
    if budget.size >= LONG:
        assert goodput >= 0.8
        assert many.prober.health_s < 1
    budget.report(
        f"{budget.size} clients, {many.per_s:.0f} MB/s ({goodput:.0%} of that of {FEW}), {dict(many.ends)}; memory + "
        f"{peak.growth_mb:.0f} MiB (budget {BUDGET_MB} a worker); health within {many.prober.health_s:.2f} s, "
        f"counts within {many.prober.count_s:.2f} s"
    )


@pytest.mark.gate("S4", size=60)
def test_without_a_budget_memory_grows_beyond_it(start_server: Callable[..., Server], budget: Budget) -> None:
    growth_mb = {}
    for budget_mb in (BUDGET_MB, NO_BUDGET_MB):
        server = start_with(start_server, f"budget-{budget_mb}", budget_mb)
        with Peak(server.worker_pids()) as peak:
            ends = Phase(server.address, body(CONTROL_MB), min(budget.size, 60), CONTROL_S).ends
        server.close()
        assert ends["OK"] > 0
        growth_mb[budget_mb] = peak.growth_mb
    assert growth_mb[BUDGET_MB] < BUDGET_MB + SLACK_MB < growth_mb[NO_BUDGET_MB]
    budget.report(
        f"control: bodies of {CONTROL_MB} MB take + {growth_mb[BUDGET_MB]:.0f} MiB with the budget, "
        f"+ {growth_mb[NO_BUDGET_MB]:.0f} without"
    )
