"""Gate R9: snapshots and restores under load, killed in each phase; what is restored is the model at one operation.

One writer changes a collection, so its operations are in one order and a state belongs to each of their numbers. A
snapshot must hold exactly the state of one number: at least that of the last operation answered before it was asked
for, at most that of the last one sent before it was made. Kills are in every phase of making it and of restoring it,
and of the whole server at any moment; then there is no half snapshot, no leftover after the next start, and whatever is
listed can be restored.
"""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import grpc
import pytest

from pointstore.storage.archive import read_archive
from qdrant_grpc import snapshots_service_pb2 as s
from qdrant_grpc.snapshots_service_pb2_grpc import SnapshotsStub
from tests.conftest import server_environment, wait_until
from tests.crash.driver import channel_to, create, differences, verify_points
from tests.crash.model import creation
from tests.gates.snapshot_history import History, restored_points

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Server
    from tests.gates.conftest import Budget

    Start = Callable[..., Server]

NAME: Final = "history"
MAKING: Final = ("begun", "linked", "described", "written", "synced", "renamed")
RESTORING: Final = ("unpacked", "verified", "moved", "named")
EAGER: Final = {
    "POINTSTORE__OPTIMIZER__SEAL_BYTES": "2048",
    "POINTSTORE__OPTIMIZER__TAIL_BYTES": "2048",
    "POINTSTORE__OPTIMIZER__POLL_INTERVAL_S": "0.05",
}
CYCLES_A_SERVER: Final = 5


@dataclass
class Seen:
    """What a run has met."""

    snapshots: int = 0
    kills: int = 0
    restores: int = 0
    killed_restores: int = 0
    told_apart: int = 0


def make(stub: SnapshotsStub, *, full: bool) -> s.SnapshotDescription | None:
    """Make a snapshot; None when the process that made it died."""
    try:
        if full:
            reply = stub.CreateFull(s.CreateFullSnapshotRequest(), timeout=60, wait_for_ready=True)
        else:
            reply = stub.Create(s.CreateSnapshotRequest(collection_name=NAME), timeout=60, wait_for_ready=True)
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise
        return None
    return reply.snapshot_description


def complete(server: Server) -> dict[str, Path]:
    """Return all files that claim to be snapshots, by name; each must be whole."""
    found = {path.name: path for path in (server.data_dir / "snapshots").glob("**/*.snapshot") if path.name[0] != "."}
    for path in found.values():
        read_archive(path, lambda _: None)
    return found


def made_under_load(server: Server, history: History, seen: Seen, *, full: bool) -> tuple[Path, int]:
    """Make snapshots until one succeeds; return its file and its operation, which must be of the time of the call."""
    while True:
        before = set(complete(server))
        with channel_to(server.address) as channel:
            first = history.acknowledged
            made = make(SnapshotsStub(channel), full=full)
            last = max(history.states)
        found = complete(server)
        if made is None:
            seen.kills += 1
            # Killed behind the rename there is one that nobody was told of.
            assert len(found.keys() - before) <= 1
            continue
        seen.snapshots += 1
        path = found[made.name]
        assert (made.size, made.checksum) == (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        (held,) = (each for each in read_archive(path, lambda _: None).collections if each.name == NAME)
        assert first <= held.seq <= last
        return path, held.seq


def restore(snapshot: Path, data_dir: Path, failpoint: str | None = None) -> subprocess.CompletedProcess[str]:
    """Run `pointstore restore`, that kills itself at a place."""
    extra = {} if failpoint is None else {"POINTSTORE_FAILPOINTS": f"snapshot.{failpoint}=kill"}
    return subprocess.run(
        [sys.executable, "-m", "pointstore", "restore", str(snapshot), "--data-dir", str(data_dir)],
        env=server_environment(extra),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def restored(snapshot: Path, data_dir: Path, phase: str, seen: Seen) -> None:
    """Restore a snapshot after a restore that died in a phase."""
    assert restore(snapshot, data_dir, phase).returncode == -9
    seen.killed_restores += 1
    done = restore(snapshot, data_dir)
    if phase == "named":
        # It had happened.
        assert (done.returncode, f"collection `{NAME}` exists" in done.stderr) == (1, True)
    else:
        assert (done.returncode, done.stderr) == (0, "")
    seen.restores += 1


def compare(data_dir: Path, history: History, seq: int, seen: Seen) -> None:
    """Compare what was restored with the model, and check that the neighbouring states are something else."""
    found = restored_points(data_dir, NAME)
    assert not differences(history.states[seq], found)
    assert len(list((data_dir / "collections").iterdir())) == 1
    assert not (data_dir / "restores").exists()
    for other in (seq - 1, seq + 1):
        # Not `differences`, for which a cosine vector of the model is never what a model holds.
        if history.states.get(other, {}) != history.states[seq]:
            assert differences(history.states.get(other, {}), found)
            seen.told_apart += 1


def assert_nothing_left(server: Server) -> None:
    """Check that a start has removed what was never finished."""
    left = [*server.data_dir.glob("captures/*"), *(server.data_dir / "snapshots").glob("**/.tmp-*")]
    assert not left
    for path in (server.data_dir / "snapshots").glob("**/*.checksum"):
        assert path.with_suffix("").exists()


@pytest.mark.gate("R9", size=5)
def test_snapshots_and_restores_that_are_killed(start_server: Start, tmp_path: Path, budget: Budget) -> None:
    rng = random.Random(budget.seed)
    seen, cycle = Seen(), 0
    while cycle < budget.size and not budget.spent():
        life = tmp_path / f"life-{cycle}"
        (life / "fired").mkdir(parents=True)
        armed = {
            **EAGER,
            # Each in one process only, at its first or second snapshot.
            "POINTSTORE_FAILPOINTS": ",".join(f"snapshot.{phase}=kill@{rng.choice((1, 1, 2))}" for phase in MAKING),
            "POINTSTORE_FAILPOINTS_FIRED": str(life / "fired"),
        }
        server = start_server(f"{life.name}/data", **armed)
        create(server.address, creation(NAME))
        history = History(server.address, NAME, budget.seed * 1000 + cycle)
        history.start()
        for _ in range(CYCLES_A_SERVER):
            cycle += 1
            count = history.acknowledged
            wait_until(lambda: history.acknowledged > count + 10, "something is written")  # noqa: B023  called at once
            snapshot, seq = made_under_load(server, history, seen, full=rng.random() < 0.5)
            target = life / f"restored-{cycle}"
            restored(snapshot, target, RESTORING[cycle % len(RESTORING)], seen)
            compare(target, history, seq, seen)
            if cycle >= budget.size or budget.spent():
                break
        killed_at_any_moment(server, history, rng)
        served(start_server, life.name, target.name, history, seq)
    assert seen.kills >= min(3, cycle)
    assert seen.told_apart >= cycle
    budget.report(
        f"{cycle} cycles, {seen.snapshots} snapshots under load and {seen.kills} killed, {seen.restores} restores and "
        f"{seen.killed_restores} killed; {seen.told_apart} neighbouring states told apart"
    )


def killed_at_any_moment(server: Server, history: History, rng: random.Random) -> None:
    """Kill the whole server while it makes a snapshot; the next start leaves whole ones only."""
    with channel_to(server.address) as channel:
        going = SnapshotsStub(channel).CreateFull.future(s.CreateFullSnapshotRequest(), timeout=60)
        time.sleep(rng.uniform(0, 0.2))
        history.stop()
        server.kill9()
        going.cancel()
    history.finish()
    server.restart()
    assert_nothing_left(server)
    complete(server)
    server.terminate()


def served(start_server: Start, life: str, name: str, history: History, seq: int) -> None:
    """Compare once more through a server on the last of the restored directories: searches, counts, pages."""
    server = start_server(f"{life}/{name}", **EAGER)
    verify_points(server.address, NAME, history.states[seq])
    server.terminate()
