"""R1: a worker is killed at the one place of a commit where the disk has it and the other processes do not know of it.

What its client does not know, whether the write has happened, the first read of any other worker decides, for good.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

import grpc
import pytest

from qdrant_grpc import collections_pb2, points_pb2
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from tests.crash.driver import LOST, TIMEOUT_S, channel_to, create, differences, scrolled, verify_points
from tests.crash.model import Generator, creation
from tests.gates.compiling import compiled

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Server
    from tests.crash.model import Points
    from tests.gates.conftest import Budget

    Start = Callable[..., Server]

NAME: Final = "killed"


class CommitKiller:
    """Makes the next commit of any worker the last thing that worker does."""

    def __init__(self, server: Server, armed: Path) -> None:
        self._server = server
        self._armed = armed

    def lose(self, method: Callable[[grpc.Channel], Callable[..., object]], request: object) -> None:
        """Make a call that is lost because its worker dies at the end of its commit."""
        workers = self._server.worker_pids()
        assert len(workers) == 2
        for pid in workers:
            (self._armed / str(pid)).touch()
        with channel_to(self._server.address) as channel, pytest.raises(grpc.RpcError) as failure:
            method(channel)(request, timeout=TIMEOUT_S)
        assert failure.value.code() in LOST
        left = list(self._armed.iterdir())
        assert len(left) == 1, "one worker died"
        left[0].unlink()


def aliases_of(server: Server) -> set[str]:
    """Return the names of all aliases, as a worker that lives sees them."""
    with channel_to(server.address) as channel:
        reply = CollectionsStub(channel).ListAliases(
            collections_pb2.ListAliasesRequest(), timeout=TIMEOUT_S, wait_for_ready=True
        )
    return {alias.alias_name for alias in reply.aliases}


def creating(alias: str) -> collections_pb2.ChangeAliases:
    """Return the request that creates an alias."""
    created = collections_pb2.CreateAlias(collection_name=NAME, alias_name=alias)
    return collections_pb2.ChangeAliases(actions=[collections_pb2.AliasOperations(create_alias=created)])


def found(server: Server) -> Points:
    """Return all points, as a worker that lives sees them."""
    with channel_to(server.address) as channel:
        return scrolled(PointsStub(channel), NAME)


@pytest.mark.gate("R1", size=2)
@pytest.mark.timeout(0)
def test_a_commit_that_killed_its_worker_is_seen_at_once(start_server: Start, tmp_path: Path, budget: Budget) -> None:
    armed = tmp_path / "armed"
    armed.mkdir()
    library = compiled("commit_killer.c", tmp_path)
    # The optimizer's commits would tell everyone, and end what is looked for.
    quiet = {"POINTSTORE__OPTIMIZER__POLL_INTERVAL_S": "3600"}
    server = start_server(LD_PRELOAD=str(library), COMMIT_KILLER=str(armed), **quiet)
    create(server.address, creation(NAME))
    killer = CommitKiller(server, armed)
    generator = Generator(random.Random(budget.seed), range(20))
    expected: Points = {}
    aliases: set[str] = set()
    cycles = 0
    while cycles < budget.size and not budget.spent():
        alias = f"alias-{cycles}"
        killer.lose(lambda channel: CollectionsStub(channel).UpdateAliases, creating(alias))
        aliases.add(alias)
        assert aliases_of(server) == aliases
        server.kill9()
        server.start()
        # Opened by both workers, most probably: opening takes the lock of writers anyway.
        assert all(not differences(expected, found(server)) for _ in range(8))
        operation = generator.operation(expected)
        operation.apply(expected)
        request = points_pb2.UpdateBatchPoints(collection_name=NAME, wait=True, operations=[operation.message()])
        killer.lose(lambda channel: PointsStub(channel).UpdateBatch, request)
        assert not differences(expected, found(server))
        server.kill9()
        server.start()
        assert aliases_of(server) == aliases
        verify_points(server.address, NAME, expected)
        cycles += 1
    budget.report(f"{2 * cycles} workers killed at the end of a commit")
