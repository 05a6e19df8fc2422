"""R3: the power fails under a server: what was acknowledged is on the disk, and nothing is half there.

The data directory is an ext4 file system of its own, whose shutdown ioctl throws away everything that the disk does not
have, the end of the journal too. The control is the same with LMDB's syncs switched off, and it must lose writes.
"""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING, Final

import grpc
import pytest

from tests.conftest import ROOT
from tests.crash.churn import Churn
from tests.crash.driver import EAGER, Writer, create, verify, wait_for_green, writing
from tests.crash.model import creation
from tests.gates.filesystems import FileSystem, mounted
from tests.gates.test_kills import owns_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Server
    from tests.gates.conftest import Budget

    Start = Callable[..., Server]

NAME: Final = "unpowered"
MEGABYTES: Final = 256
UNSYNCED: Final = os.pathsep.join([str(ROOT / "tests/gates/unsynced"), str(ROOT), str(ROOT / "server")])


def cut_power(server: Server, disk: FileSystem, writers: list[Writer], load_s: float, seed: int) -> None:
    """Let writers write, cut the power, and put the disk into a new machine."""
    with writing(server.address, NAME, writers, seed=seed):
        for writer in writers:
            # What a dying server shows is not what its disk has.
            writer.ends_when_lost = True
        time.sleep(load_s)
        assert server.process.poll() is None
        assert owns_port(server)
        disk.cut_power()
        server.kill_all()
    disk.unmount()
    disk.mount()


@pytest.mark.gate("R3", size=10)
@pytest.mark.timeout(0)
def test_nothing_acknowledged_is_lost_to_power_failures(start_server: Start, tmp_path: Path, budget: Budget) -> None:
    rng = random.Random(budget.seed)
    with mounted(tmp_path / "disk", "ext4", MEGABYTES) as disk:
        server = start_server("disk", **EAGER)
        try:
            create(server.address, creation(NAME))
            writers: list[Writer] = []
            cycles = 0
            while cycles < budget.size and not budget.spent():
                churn = Churn(server.address, NAME, cycles)
                churn.start()
                cut_power(server, disk, writers, rng.uniform(0.1, 0.8), budget.seed)
                churn.finish()
                server.start()
                verify(server.address, NAME, writers)
                churn.verify(server.address)
                cycles += 1
            wait_for_green(server.address, NAME)
            points = verify(server.address, NAME, writers)
        finally:
            server.close()
    assert points
    operations = sum(len(writer.numbers) for writer in writers)
    lost = sum(writer.lost for writer in writers)
    assert lost > 0, "no call was ever interrupted"
    budget.report(f"{cycles} power failures, {operations} operations acknowledged, {lost} calls lost")


def came_back(server: Server, writers: list[Writer]) -> bool:
    """Start again; tell whether everything is there."""
    try:
        server.start()
        verify(server.address, NAME, writers)
    except (AssertionError, pytest.fail.Exception, grpc.RpcError):
        return False
    return True


@pytest.mark.gate("R3", size=1)
@pytest.mark.timeout(0)
def test_without_syncs_power_failures_lose_writes(start_server: Start, tmp_path: Path, budget: Budget) -> None:
    with mounted(tmp_path / "disk", "ext4", MEGABYTES) as disk:
        server = start_server("disk", PYTHONPATH=UNSYNCED)
        try:
            create(server.address, creation(NAME))
            writers: list[Writer] = []
            cut_power(server, disk, writers, 1.0, budget.seed)
            assert not came_back(server, writers)
        finally:
            server.close()
    budget.report("control without syncs: the power failure lost acknowledged writes")
