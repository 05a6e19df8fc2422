"""S2: broken connections and floods of frames: ordinary calls go on, and memory does not grow."""

from __future__ import annotations

import math
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
import pytest

from tests.crash.driver import channel_to
from tests.gates.http2 import ATTACKS, Raw
from tests.gates.processes import Peak

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Server
    from tests.gates.conftest import Budget

PATH = "/qdrant.Qdrant/HealthCheck"
ATTACKERS = 4
ROUND = 100
GROWTH_MAX_MB = 150
P99_MAX_S = 0.5
P99_MAX_SHORT_S = 5.0
LONG = 20_000
TIMEOUT_S = 20.0
DROPPED = {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE}
"""What becomes of a call when more come than the transport can look at (docs/overload.md)."""


class Caller(threading.Thread):
    """An ordinary client: a call after the other, from connections old and new."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.seconds: list[float] = []
        self.failures: list[str] = []
        self._address = address
        self._stopping = threading.Event()

    def run(self) -> None:
        while not self._stopping.is_set():
            with channel_to(self._address) as channel:
                call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(PATH)
                for _ in range(20):
                    began = time.monotonic()
                    try:
                        call(b"", timeout=TIMEOUT_S)
                        self.seconds.append(time.monotonic() - began)
                    except grpc.RpcError as error:
                        self.failures.append(f"{error.code()} {error.details()}")
                        if error.code() in DROPPED:
                            self.seconds.append(math.inf)
                    time.sleep(0.005)

    def finish(self) -> None:
        """Stop calling."""
        self._stopping.set()
        self.join(TIMEOUT_S)


def attack(port: int, seed: int) -> str:
    """Make one hostile connection and return its kind."""
    rng = random.Random(seed)
    kind = rng.choice(list(ATTACKS))
    with Raw(port) as raw:
        raw.send(ATTACKS[kind](rng, PATH))
        if rng.random() < 0.5:
            raw.ended_within(0.05)
    return kind


@pytest.mark.gate("S2", size=2_000)
def test_hostile_connections_disturb_nobody(start_server: Callable[..., Server], budget: Budget) -> None:
    server: Server = start_server(POINTSTORE__LOG_LEVEL="warning")
    pids = server.worker_pids()
    caller, made, kinds = Caller(server.address), 0, Counter[str]()
    caller.start()
    # The first connections start threads and fill caches.
    wait_for_calls(caller, 100)
    with Peak(pids) as peak, ThreadPoolExecutor(ATTACKERS) as pool:
        while made < budget.size and not budget.spent():
            seeds = [budget.seed * 1_000_000 + made + number for number in range(min(ROUND, budget.size - made))]
            kinds.update(pool.map(lambda seed: attack(server.port, seed), seeds))
            made += len(seeds)
    caller.finish()
    assert server.worker_pids() == pids, "a worker was replaced"
    # One that the transport has dropped counts as one that took forever; nothing else may go wrong.
    dropped = caller.seconds.count(math.inf)
    assert dropped == len(caller.failures), caller.failures[:5]
    assert kinds.keys() == ATTACKS.keys()
    assert peak.growth_mb < GROWTH_MAX_MB
    p99 = sorted(caller.seconds)[int(len(caller.seconds) * 0.99)]
    assert p99 < (P99_MAX_S if budget.size >= LONG else P99_MAX_SHORT_S)
    budget.report(
        f"{made} connections {dict(kinds)}; {len(caller.seconds)} ordinary calls, p99 {p99 * 1000:.0f} ms, "
        f"{dropped} dropped; memory {peak.before} + {peak.growth_mb:.0f} MiB"
    )


def wait_for_calls(caller: Caller, count: int) -> None:
    """Wait until the ordinary client has made so many calls."""
    deadline = time.monotonic() + TIMEOUT_S
    while len(caller.seconds) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)
