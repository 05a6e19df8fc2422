"""Kill -9 of any process at any moment under mixed load: nothing acknowledged is lost, nothing is half applied.

`CRASH_CYCLES` sets how many cycles of load, kills, restart and comparison run (3 in `make test`), `CRASH_SEED` the
seed.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from typing import TYPE_CHECKING

import grpc
import pytest

from qdrant_grpc import collections_pb2
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from tests.conftest import is_alive, wait_until
from tests.crash.driver import TIMEOUT_S, Writer, channel_to, create, verify, wait_for_green, writing
from tests.crash.model import creation

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Server

    Start = Callable[..., Server]

CYCLES = int(os.environ.get("CRASH_CYCLES", "3"))
SEED = int(os.environ.get("CRASH_SEED", "1"))
LOAD_S = 1.0
NAME = "killed"
EAGER = {
    "POINTSTORE__OPTIMIZER__SEAL_BYTES": "4096",
    "POINTSTORE__OPTIMIZER__TAIL_BYTES": "4096",
    "POINTSTORE__OPTIMIZER__POLL_INTERVAL_S": "0.05",
}


class Churn(threading.Thread):
    """Creates and drops collections, one after the other, and knows which exist; None for those that may exist."""

    def __init__(self, address: str, cycle: int) -> None:
        super().__init__(daemon=True, name="churn")
        self.exists: dict[str, bool | None] = {}
        self._address = address
        self._cycle = cycle
        self._stopping = threading.Event()
        self._failure: BaseException | None = None

    def finish(self) -> None:
        """Stop, and raise what went wrong."""
        self._stopping.set()
        self.join(60)
        assert not self.is_alive()
        if self._failure is not None:
            raise self._failure

    def run(self) -> None:
        try:
            with channel_to(self._address) as channel:
                stub = CollectionsStub(channel)
                for number in range(1_000_000):
                    if self._stopping.wait(0.02):
                        return
                    name = f"churn-{self._cycle}-{number}"
                    self._change(name, True, stub.Create, creation(name))
                    if number % 2 and self.exists[name]:
                        self._change(name, False, stub.Delete, collections_pb2.DeleteCollection(collection_name=name))
        except BaseException as failure:  # noqa: BLE001  `finish` raises it in the test
            self._failure = failure

    def _change(self, name: str, present: bool, method: Callable[..., object], request: object) -> None:  # noqa: FBT001
        try:
            method(request, timeout=TIMEOUT_S)
            self.exists[name] = present
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            self.exists[name] = None

    def verify(self, address: str) -> None:
        """Check that exactly the right collections exist, and that each can be used and dropped."""
        with channel_to(address) as channel:
            stub = CollectionsStub(channel)
            reply = stub.List(collections_pb2.ListCollectionsRequest(), timeout=TIMEOUT_S, wait_for_ready=True)
            found = {each.name for each in reply.collections}
            assert found - {NAME} <= self.exists.keys()
            for name, expected in self.exists.items():
                assert expected is None or (name in found) == expected, name
                if name in found:
                    request = collections_pb2.GetCollectionInfoRequest(collection_name=name)
                    assert stub.Get(request, timeout=TIMEOUT_S).result.points_count == 0
                    assert stub.Delete(collections_pb2.DeleteCollection(collection_name=name), timeout=TIMEOUT_S).result


def kill_child(server: Server, rng: random.Random) -> None:
    """Kill a worker or the optimizer; a new one must take its place."""
    name, pid = rng.choice(sorted(server.child_pids().items()))
    assert is_alive(pid)
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: server.child_pids().get(name, pid) != pid, f"{name} is replaced")


@pytest.mark.timeout(60 + 30 * CYCLES)
def test_random_kills(start_server: Start) -> None:
    rng = random.Random(SEED)
    server = start_server(**EAGER)
    create(server.address, creation(NAME))
    writers: list[Writer] = []
    for cycle in range(CYCLES):
        churn = Churn(server.address, cycle)
        churn.start()
        with writing(server.address, NAME, writers, seed=SEED):
            deadline = time.monotonic() + LOAD_S
            while time.monotonic() < deadline:
                time.sleep(rng.uniform(0.1, 0.5))
                kill_child(server, rng)
            assert server.process.poll() is None
            if cycle % 2:
                # The children notice the end of their pipe and drain: calls in flight may still succeed.
                server.kill_supervisor()
            else:
                server.kill9()
        churn.finish()
        server.wait_for_release()
        calls = [call for writer in writers for call in writer.calls]
        assert any(call.code is None for call in calls)
        server.restart()
        verify(server.address, NAME, writers)
        churn.verify(server.address)
    assert sum(writer.lost for writer in writers) > 0, "no call was ever interrupted"
    wait_for_green(server.address, NAME)
    assert len(verify(server.address, NAME, writers)) > 0


def test_sigterm_under_load(start_server: Start) -> None:
    """Calls in flight at SIGTERM succeed, later ones succeed or are told UNAVAILABLE, and the exit status is 0."""
    # Group commits that take a while: there always are calls in flight.
    server = start_server(POINTSTORE_FAILPOINTS="write.applied=pause:0.15")
    create(server.address, creation(NAME))
    writers: list[Writer] = []
    with writing(server.address, NAME, writers, count=6, seed=SEED):
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
