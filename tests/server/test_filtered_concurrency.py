"""Writes by filter and changing indexes under load: readers of both workers see whole updates and new indexes only."""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from tests.conftest import wait_until
from tests.wire.points_calls import COMPLETED, DENSE, Calls

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pointstore.core.schema import Json
    from tests.conftest import Server

DURATION_S = 6.0
TEAMS = ("set", "overwrite", "batch")
"""Groups of points, each changed by a writer of its own."""
VANISHING = "vanishing"
"""The group whose points come and go, all at once."""
TEAM_SIZE = 150
VALUES = 4
_ESTABLISHED = "01"
_LOCAL_POOL = [("grpc.use_local_subchannel_pool", 1)]


def value_is(field: str, value: int) -> str:
    """Return a condition on an integer."""
    return f"field {{ key: '{field}' match {{ integer: {value} }} }}"


def team_is(team: str) -> str:
    """Return a condition on the group."""
    return f"field {{ key: 'team' match {{ keyword: '{team}' }} }}"


def both(value: int) -> str:
    """Return the two members that always change together."""
    return "".join(f"payload {{ key: '{key}' value {{ integer_value: {value} }} }}" for key in "xy")


def connections(server: Server) -> list[int]:
    """Count the connections that each worker has accepted."""
    sockets = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        rows = [line.split() for line in table.read_text().splitlines()[1:]]
        sockets |= {
            row[9] for row in rows if row[3] == _ESTABLISHED and int(row[1].rpartition(":")[2], 16) == server.port
        }
    return [len(sockets & _sockets_of(pid)) for pid in server.worker_pids()]


def _sockets_of(pid: int) -> set[str]:
    found = set()
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(str(fd.readlink()).removeprefix("socket:[").removesuffix("]"))
    return found


@pytest.fixture
def clients(server: Server) -> Iterator[list[Calls]]:
    """Return callers of one collection over several connections, accepted by both workers."""
    with contextlib.ExitStack() as stack:
        channels: list[grpc.Channel] = []

        def connect() -> bool:
            channel = stack.enter_context(grpc.insecure_channel(server.address, options=_LOCAL_POOL))
            grpc.channel_ready_future(channel).result(10)
            channels.append(channel)
            return len(channels) >= 8 and min(connections(server)) > 0

        wait_until(connect, "both workers have a connection")
        name = Calls(channels[0]).create(DENSE).name
        yield [Calls(channel, name) for channel in channels]


class Load:
    """Threads that write and read until the time is over or one of them fails."""

    def __init__(self, clients: list[Calls]) -> None:
        self._clients = clients
        self._stop = threading.Event()
        self.rounds: dict[str, int] = {}

    def run(self, **steps: Callable[[Iterator[Calls], random.Random], None]) -> None:
        """Repeat steps, each in a thread of its own that goes around all connections."""
        with ThreadPoolExecutor(len(steps)) as pool:
            running = [pool.submit(self._repeat, name, step, n) for n, (name, step) in enumerate(steps.items())]
            deadline = time.monotonic() + DURATION_S
            while time.monotonic() < deadline and not any(each.done() for each in running):
                time.sleep(0.05)
            self._stop.set()
            for each in running:
                each.result()

    def _repeat(self, name: str, step: Callable[[Iterator[Calls], random.Random], None], number: int) -> None:
        rng = random.Random(number)
        clients = itertools.cycle(self._clients[number:] + self._clients[:number])
        self.rounds[name] = 0
        while not self._stop.is_set():
            step(clients, rng)
            self.rounds[name] += 1


def count(client: Calls, *must: str, must_not: str = "") -> int:
    """Count the points that match."""
    clauses = "".join(f"must {{ {condition} }}" for condition in must)
    clauses += f"must_not {{ {must_not} }}" if must_not else ""
    found: int = client.call("Count", f"filter {{ {clauses} }} exact: true").result.count
    return found


def fill(client: Calls, team: str, first: int) -> None:
    """Upsert a group whose fields are 0."""
    payloads: dict[int, Json] = {first + number: {"team": team, "x": 0, "y": 0} for number in range(TEAM_SIZE)}
    client.fill(payloads)


def writer(team: str, change: Callable[[Calls, int, int], None]) -> Callable[[Iterator[Calls], random.Random], None]:
    """Return a step that moves a whole group to another value, and looks for it in both workers at once."""
    at = 0

    def step(clients: Iterator[Calls], rng: random.Random) -> None:
        nonlocal at
        before, at = at, (at + rng.randrange(1, VALUES)) % VALUES
        change(next(clients), before, at)
        # The writer is the only one that changes this group: the reply has come, so everyone sees it.
        for client in itertools.islice(clients, 8):
            assert count(client, team_is(team), value_is("x", at)) == TEAM_SIZE
            assert count(client, team_is(team), value_is("y", before)) == 0

    return step


def set_payload(client: Calls, before: int, after: int) -> None:
    chosen = f"filter {{ must {{ {team_is('set')} }} must {{ {value_is('x', before)} }} }}"
    assert client.write("SetPayload", f"points_selector {{ {chosen} }} {both(after)}") == COMPLETED


def overwrite_payload(client: Calls, before: int, after: int) -> None:
    chosen = f"filter {{ must {{ {team_is('overwrite')} }} must {{ {value_is('y', before)} }} }}"
    payload = f"{both(after)} payload {{ key: 'team' value {{ string_value: 'overwrite' }} }}"
    assert client.write("OverwritePayload", f"points_selector {{ {chosen} }} {payload}") == COMPLETED


def update_batch(client: Calls, before: int, after: int) -> None:
    """Change one half of the group after the other; both halves have arrived with the reply."""
    chosen = [f"must {{ {team_is('batch')} }} must {{ {value_is('x', before)} }}" for _ in range(2)]
    chosen[0] += "must { slice { total: 2 index: 0 } }"
    operations = "".join(
        f"operations {{ set_payload {{ {both(after)} points_selector {{ filter {{ {condition} }} }} }} }}"
        for condition in chosen
    )
    replies = client.call("UpdateBatch", operations, wait=True).result
    assert [reply.status for reply in replies] == [COMPLETED] * 2


def vanish(clients: Iterator[Calls], _: random.Random) -> None:
    client = next(clients)
    selector = f"points {{ filter {{ must {{ {team_is(VANISHING)} }} }} }}"
    assert client.write("Delete", selector) == COMPLETED
    for other in itertools.islice(clients, 4):
        assert count(other, team_is(VANISHING)) == 0
    fill(client, VANISHING, 10_000)
    for other in itertools.islice(clients, 4):
        assert count(other, team_is(VANISHING)) == TEAM_SIZE


def reindex(clients: Iterator[Calls], rng: random.Random) -> None:
    """Create, replace or drop an index; right after its creation it must serve, in both workers."""
    client, field = next(clients), rng.choice(["x", "y", "team"])
    if rng.random() < 0.3:
        assert client.write("DeleteFieldIndex", f"field_name: '{field}'") == COMPLETED
        return
    kind = "Keyword" if field == "team" else rng.choice(["Integer", "Integer", "Float", "Keyword"])
    client.index(field, kind)
    for other in itertools.islice(clients, 4):
        if kind == "Keyword":
            other.call("Facet", f"key: '{field}'")
        else:
            other.call("Scroll", f"order_by {{ key: '{field}' }} limit: 1")


def read_counts(clients: Iterator[Calls], rng: random.Random) -> None:
    client, value = next(clients), rng.randrange(VALUES)
    assert count(client, value_is("x", value), must_not=value_is("y", value)) == 0
    assert count(client, value_is("y", value), must_not=value_is("x", value)) == 0
    # The groups that stay are all there at every moment, under every value that they may have.
    known = "field { key: 'x' match { integers { integers: [0, 1, 2, 3] } } }"
    assert count(client, known, must_not=team_is(VANISHING)) == len(TEAMS) * TEAM_SIZE
    assert count(client, team_is(VANISHING)) in {0, TEAM_SIZE}
    for team in ("set", "overwrite"):
        assert count(client, team_is(team), value_is("y", value)) in {0, TEAM_SIZE}


def read_pages(clients: Iterator[Calls], rng: random.Random) -> None:
    """What is found by a filter has the payload that the filter asks for."""
    client, value = next(clients), rng.randrange(VALUES)
    field = rng.choice("xy")
    condition = f"filter {{ must {{ {value_is(field, value)} }} must_not {{ {team_is('batch')} }} }}"
    points = client.call("Scroll", f"{condition} limit: 10000").result
    assert {point.payload[key].integer_value for point in points for key in "xy"} <= {value}
    # Whole groups: each is changed by one operation.
    assert not len(points) % TEAM_SIZE


@pytest.mark.timeout(60)
def test_readers_of_both_workers_under_writes_by_filter(clients: list[Calls]) -> None:
    for number, team in enumerate((*TEAMS, VANISHING)):
        fill(clients[0], team, 1000 * number if team != VANISHING else 10_000)
    load = Load(clients)
    load.run(
        set=writer("set", set_payload),
        overwrite=writer("overwrite", overwrite_payload),
        batch=writer("batch", update_batch),
        vanish=vanish,
        reindex=reindex,
        counts=read_counts,
        pages=read_pages,
    )
    assert min(load.rounds.values()) > 1, load.rounds
    for client in clients:
        assert [count(client, team_is(team)) for team in (*TEAMS, VANISHING)] == [TEAM_SIZE] * 4
