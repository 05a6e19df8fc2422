"""Points behave as if there were one copy of each and one call at a time, over several workers that are killed.

Sixteen clients write and read sixty-four points in every way, through connections to all workers, while workers and
the optimizer are killed and segments are sealed and indexed. The history is checked (see `history`): each pair of
points for linearizability, with calls that were lost; each counter for the order of writes that were not waited for.
"""

from __future__ import annotations

import bisect
import contextlib
import itertools
import os
import random
import re
import signal
import time
from concurrent.futures import ProcessPoolExecutor, wait
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from qdrant_grpc.points_service_pb2_grpc import PointsStub
from tests.conftest import is_alive, wait_until
from tests.crash.driver import EAGER, channel_to, create
from tests.gates.history import DONE, EMPTY, NEVER, Call, Kind, check, check_counter
from tests.gates.register_clients import Order, Recorded, creation, read_states, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Server
    from tests.gates.conftest import Budget

    Start = Callable[..., Server]
    Kills = list[tuple[float, float]]

CLIENTS = 16
PROCESSES = 2
ROUND = 20_000
_SOCKET = re.compile(r"socket:\[([0-9]+)\]")
_ESTABLISHED, _LISTENING = "01", "0A"


def connections_of(server: Server) -> dict[str, int]:
    """Return how many connections each worker has."""
    return _held(server, _ESTABLISHED)


def _held(server: Server, state: str) -> dict[str, int]:
    """Count the sockets at the server's port that are in a state, by worker."""
    inodes = set()
    # Listening sockets for both versions of the protocol have their connections in the second table.
    tables = [Path(f"/proc/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    for line in itertools.chain(*tables):
        fields = line.split()
        if fields[3] == state and int(fields[1].rpartition(":")[2], 16) == server.port:
            inodes.add(fields[9])
    workers = {name: pid for name, pid in server.child_pids().items() if name.startswith("worker")}
    return {name: len(inodes & _sockets_of(pid)) for name, pid in workers.items()}


def _sockets_of(pid: int) -> set[str]:
    found = set()
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                match = _SOCKET.match(str(descriptor.readlink()))
                if match:
                    found.add(match[1])
    return found


class Killer:
    """Kills workers and the optimizer now and then, and knows when they were gone."""

    def __init__(self, server: Server, seed: int) -> None:
        self.kills: Kills = []
        self.spread = 0
        self._server = server
        self._rng = random.Random(seed)

    def until(self, done: Callable[[], bool]) -> None:
        """Kill until it is done; the first one only after a while of work in peace."""
        following = time.monotonic() + 3.0
        while not done():
            time.sleep(0.05)
            if time.monotonic() > following:
                self._kill()
                following = time.monotonic() + self._rng.uniform(1.0, 4.0)

    def _kill(self) -> None:
        self.spread += all(connections_of(self._server).values())
        name, pid = self._rng.choice(sorted(self._server.child_pids().items()))
        assert is_alive(pid)
        began = time.monotonic()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not is_alive(pid), f"{name} is gone")
        self.kills.append((began, time.monotonic()))
        wait_until(lambda: self._server.child_pids().get(name, pid) != pid, f"{name} is replaced", 60)
        # With nobody left to answer there would be nothing but lost calls, and any state would be possible.
        wait_until(lambda: len(_held(self._server, _LISTENING)) > 1, "both workers exist", 60)
        wait_until(lambda: all(_held(self._server, _LISTENING).values()), "both workers listen", 60)


def ended(call: Call, kills: Kills) -> Call:
    """Return a lost call with its true end: its process can do nothing any more once it is gone.

    The client notices while the kernel takes the process down, so the end may be a little later than the client's.
    """
    if call.outcome is not None:
        return call
    place = bisect.bisect(kills, (call.ended, NEVER))
    assert place, f"a call was lost although nothing was killed: {call}"
    return call._replace(ended=max(call.ended, kills[place - 1][1]))


def histories(recorded: Recorded, kills: Kills) -> dict[int, list[Call]]:
    """Return the history of each register."""
    found: dict[int, list[Call]] = {}
    for register, call in recorded.calls:
        found.setdefault(register, []).append(ended(call, kills))
    return found


def made_stale(history: list[Call], rng: random.Random) -> list[Call] | None:
    """Return the history with one read that shows a value which a later write has replaced for good."""
    reads = sorted((call for call in history if call.act.kind is Kind.GET), key=lambda call: call.ended)
    # Values are written once; that a point is absent or empty may come back.
    candidates = [(old, new) for old, new in itertools.pairwise(reads) if old.outcome and max(old.outcome) > EMPTY]
    rng.shuffle(candidates)
    pairs = [
        call for call in history if call.act.kind is Kind.PUT and len(call.act.places) > 1 and call.outcome == DONE
    ]
    for old, new in candidates:
        if any(old.ended < call.began and call.ended < new.began for call in pairs):
            return [call for call in history if call is not new] + [new._replace(outcome=old.outcome)]
    return None


def play(server: Server, budget: Budget, pool: ProcessPoolExecutor, number: int, calls: int) -> tuple[Recorded, Killer]:
    """Let the clients do their calls under kills; return what they recorded, which begins with a read of all."""
    with channel_to(server.address) as channel:
        before = read_states(PointsStub(channel))
    orders = [
        Order(
            server.address,
            range(process, CLIENTS, PROCESSES),
            CLIENTS,
            calls // CLIENTS,
            time.monotonic() + max(budget.seconds - budget.elapsed_s, 5.0),
            1 + number * 10 * ROUND * CLIENTS,
            budget.seed,
        )
        for process in range(PROCESSES)
    ]
    futures = [pool.submit(run, order) for order in orders]
    killer = Killer(server, budget.seed + number)
    killer.until(lambda: all(future.done() for future in futures))
    wait(futures)
    recorded = Recorded()
    for future in futures:
        recorded.add(future.result())
    recorded.calls += before
    return recorded, killer


@pytest.fixture
def pool() -> Iterator[ProcessPoolExecutor]:
    """Return processes for clients; grpc does not survive a fork."""
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as made:
        yield made


@pytest.mark.gate("R10", size=20_000)
def test_points_are_linearizable(start_server: Start, budget: Budget, pool: ProcessPoolExecutor) -> None:
    server = start_server(**EAGER)
    create(server.address, creation())
    rng = random.Random(budget.seed)
    reached = lost = kills = spread = checked = caught = number = 0
    while reached < budget.size and not budget.spent():
        recorded, killer = play(server, budget, pool, number, min(ROUND, budget.size - reached))
        for register, history in histories(recorded, killer.kills).items():
            violation = check(history, None)
            assert violation is None, f"round {number}, register {register}: {violation}"
            checked += len(history)
            stale = made_stale(history, rng)
            if stale is not None:
                assert check(stale, None) is not None, "a stale read was not found"
                caught += 1
        for client, readings in recorded.readings.items():
            assert check_counter(recorded.writes.get(client, []), readings) is None, client
        reached += recorded.sent
        lost += recorded.lost
        kills += len(killer.kills)
        spread += killer.spread
        number += 1
    assert caught > 0, "no history could be made bad: this run would have found nothing"
    assert lost > 0, "no call was lost: nothing was killed under load"
    assert spread > 0, "the workers never served at the same time"
    budget.report(
        f"{reached} calls of {CLIENTS} clients, {kills} kills, {lost} calls lost, "
        f"{checked} calls of registers linearizable, {caught} histories made bad and all found"
    )
