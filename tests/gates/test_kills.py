"""R1: kill -9 of any process, at any moment and at named ones, under mixed load; the model is exact.

A cycle is load, the death of every process of the server, starts that die too, a start that is timed, and a comparison
of everything with the model. Deaths are at random moments, or at a named place of a commit, of a seal, of a merge, of a
change of the catalog, of a snapshot or of a start's own repairs. Times are reported, not asserted: they depend on what
else runs.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import threading
import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import grpc
import pytest

from pointstore.storage.archive import read_archive
from qdrant_grpc import snapshots_service_pb2 as s
from qdrant_grpc.snapshots_service_pb2_grpc import SnapshotsStub
from tests.conftest import START_TIMEOUT_S, is_alive, wait_until
from tests.crash.churn import Churn
from tests.crash.driver import EAGER, LOST, TIMEOUT_S, Writer, channel_to, create, verify, wait_for_green, writing
from tests.crash.model import creation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Server
    from tests.gates.conftest import Budget

    Start = Callable[..., Server]

NAME: Final = "killed"
ANYWHERE: Final = "anywhere"
PLACES: Final = {
    "commit": ("write.applied", "write.finished", "write.committed"),
    "seal": ("segment.written", "segment.renamed", "publish.finished", "publish.committed"),
    "merge": ("index.written", "removal.renamed"),
    "catalog": ("create.stored", "create.named", "drop.unnamed"),
    "snapshot": ("snapshot.linked", "snapshot.written", "snapshot.renamed"),
}
STARTS: Final = ("recovery.begun", "recovery.opened", "recovery.repaired")


class Killer:
    """Decides by a seed where a server dies, kills it there, and counts."""

    def __init__(self, rng: random.Random, fired: Path) -> None:
        fired.mkdir()
        self.deaths: Counter[str] = Counter()
        self.recoveries_s: list[float] = []
        self._rng = rng
        self._fired = fired
        self._kind = ANYWHERE
        self._place = ""

    @property
    def wants_snapshots(self) -> bool:
        """Whether the next death comes while a snapshot is made."""
        return self._kind == "snapshot"

    def arm(self) -> dict[str, str]:
        """Choose how the next death comes; return the settings for the start before it."""
        self._kind = self._rng.choice((ANYWHERE, ANYWHERE, *PLACES))
        if self._kind == ANYWHERE:
            return {}
        self._place = self._rng.choice(PLACES[self._kind])
        visit = self._rng.randint(1, 2) if self._kind in {"merge", "catalog", "snapshot"} else self._rng.randint(1, 8)
        return self._failpoint(self._place, visit)

    def kill(self, server: Server) -> None:
        """Let it come: a child dies, and the rest of the server with it, or a little later."""
        assert owns_port(server)
        if self._kind != ANYWHERE:
            wait_until((self._fired / self._place).exists, f"{self._place} was passed")
        else:
            time.sleep(self._rng.uniform(0.05, 0.4))
            name, pid = self._rng.choice(sorted(server.child_pids().items()))
            assert is_alive(pid)
            os.kill(pid, signal.SIGKILL)
            self.deaths["child alone"] += 1
            if self._rng.random() < 0.3:
                wait_until(lambda: server.child_pids().get(name, pid) != pid, f"{name} is replaced")
            time.sleep(self._rng.uniform(0.0, 0.3))
        assert server.process.poll() is None
        self.deaths[self._kind] += 1
        if self._kind == ANYWHERE and self._rng.random() < 0.25:
            # The children notice the end of their pipe and drain: calls in flight may still succeed.
            server.kill_supervisor()
        else:
            server.kill9()
        server.wait_for_release()

    def start(self, server: Server) -> None:
        """Start, with a few starts before that die."""
        while self._rng.random() < 0.35:
            if self._rng.random() < 0.5:
                server.launch()
                time.sleep(self._rng.uniform(0.0, 1.5))
                assert server.process.poll() is None
                self.deaths["start"] += 1
                server.kill9()
            else:
                place = self._rng.choice(STARTS)
                server.launch(self._failpoint(place, 1))
                assert server.process.wait(START_TIMEOUT_S) == 1
                assert (self._fired / place).exists()
                self.deaths["recovery"] += 1
                server.wait_for_release()
        arming = self.arm()
        began = time.monotonic()
        server.start(arming)
        self.recoveries_s.append(time.monotonic() - began)

    def _failpoint(self, place: str, visit: int) -> dict[str, str]:
        (self._fired / place).unlink(missing_ok=True)
        return {"POINTSTORE_FAILPOINTS": f"{place}=kill@{visit}", "POINTSTORE_FAILPOINTS_FIRED": str(self._fired)}


@contextmanager
def making_snapshots(address: str) -> Iterator[None]:
    """Make one snapshot after the other meanwhile, until the server dies."""
    failures: list[grpc.StatusCode] = []

    def run() -> None:
        with channel_to(address) as channel:
            stub = SnapshotsStub(channel)
            try:
                while True:
                    stub.Create(s.CreateSnapshotRequest(collection_name=NAME), timeout=TIMEOUT_S)
            except grpc.RpcError as error:
                failures.append(error.code())

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    yield
    thread.join(60)
    assert failures, "the server lives"
    assert set(failures) <= LOST


def verify_snapshots(server: Server) -> None:
    """Check that there are whole snapshots and, once they are deleted, no remains of others."""
    directory = server.data_dir / "snapshots"
    with channel_to(server.address) as channel:
        stub = SnapshotsStub(channel)
        listing = s.ListSnapshotsRequest(collection_name=NAME)
        for each in stub.List(listing, timeout=TIMEOUT_S, wait_for_ready=True).snapshot_descriptions:
            (path,) = directory.rglob(each.name)
            read_archive(path, lambda _: None)
            request = s.DeleteSnapshotRequest(collection_name=NAME, snapshot_name=each.name)
            stub.Delete(request, timeout=TIMEOUT_S, wait_for_ready=True)
    assert {path.name for path in directory.rglob("*") if path.is_file()} <= {"LOCK"}


def owns_port(server: Server) -> bool:
    """Tell whether the server's children live and its port is listened on."""
    assert all(is_alive(pid) for pid in server.worker_pids())
    with socket.create_connection(("127.0.0.1", server.port), timeout=5):
        return True


@pytest.mark.gate("R1", size=20)
@pytest.mark.timeout(0)
def test_nothing_acknowledged_is_lost_to_kills(start_server: Start, tmp_path: Path, budget: Budget) -> None:
    killer = Killer(random.Random(budget.seed), tmp_path / "fired")
    server = start_server(**EAGER)
    create(server.address, creation(NAME))
    writers: list[Writer] = []
    cycles = written = 0
    while cycles < budget.size and not budget.spent():
        churn = Churn(server.address, NAME, cycles)
        churn.start()
        with writing(server.address, NAME, writers, seed=budget.seed):
            if killer.wants_snapshots:
                with making_snapshots(server.address):
                    killer.kill(server)
            else:
                killer.kill(server)
        churn.finish()
        written += sum(call.code is None for writer in writers for call in writer.calls)
        killer.start(server)
        verify(server.address, NAME, writers)
        churn.verify(server.address)
        verify_snapshots(server)
        cycles += 1
    lost = sum(writer.lost for writer in writers)
    assert lost > 0, "no call was ever interrupted"
    assert written > 5 * cycles, "hardly anything was written"
    wait_for_green(server.address, NAME)
    points = verify(server.address, NAME, writers)
    assert points
    times = sorted(killer.recoveries_s)
    p99 = times[min(len(times) - 1, len(times) * 99 // 100)]
    operations = sum(len(writer.numbers) for writer in writers)
    budget.report(
        f"{cycles} cycles, deaths {dict(sorted(killer.deaths.items()))}; {operations} operations acknowledged, "
        f"{lost} calls lost; start p50 {times[len(times) // 2]:.2f} s, p99 {p99:.2f} s, max {times[-1]:.2f} s "
        f"at a load of {os.getloadavg()[1]:.1f}"
    )
