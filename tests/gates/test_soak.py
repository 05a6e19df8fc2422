"""Hours at 70 % of what the server can do, with kills: memory, descriptors, threads and reader slots stay flat.

The size is in seconds of load. The short run shows that the measurement works, and reports: a buffer that is filled
once is thousands of percent an hour while it is. Slopes decide from half an hour of a process's life on. The first
worker and the supervisor are left alive, so that there are processes as old as the run; the others are killed in turn.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import TYPE_CHECKING

import pytest

from tests.conftest import is_alive, wait_until
from tests.crash.driver import create, info, wait_for_green
from tests.gates.process_watch import Growth, Sample, Watch, growth, rise
from tests.gates.soak_load import NAME, POINTS, Done, Load, creation, fill, run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Server
    from tests.gates.conftest import Budget

    Start = Callable[..., Server]

LIMIT_PERCENT = 1.0
SHARE = 0.7
PROCESSES, CLIENTS = 2, 4
SETTINGS = {
    "POINTSTORE__OPTIMIZER__SEAL_BYTES": str(1 << 18),
    "POINTSTORE__OPTIMIZER__TAIL_BYTES": str(1 << 18),
}
# Connections and threads of clients that come and go.
SLACK = 12
LEAST_SAMPLES = 12
LEAST_S = 1800.0


@pytest.fixture
def pool() -> Iterator[ProcessPoolExecutor]:
    """Return processes for clients; grpc does not survive a fork."""
    with ProcessPoolExecutor(PROCESSES, mp_context=get_context("spawn")) as made:
        yield made


def under_load(
    pool: ProcessPoolExecutor, address: str, rate: float | None, seconds: float, meanwhile: Callable[[], None]
) -> Done:
    """Put a load on the server, and call `meanwhile` again and again until it is over."""
    share = None if rate is None else rate / PROCESSES
    loads = [Load(address, CLIENTS, share, seconds, seed) for seed in range(PROCESSES)]
    futures = [pool.submit(run, load) for load in loads]
    while not all(future.done() for future in futures):
        meanwhile()
    done = [future.result() for future in futures]
    return Done(sum(each.answered for each in done), sum(each.lost for each in done))


class Soak:
    """Watches the processes of a server and kills some of them now and then."""

    def __init__(self, server: Server, seconds: float, seed: int) -> None:
        self.watch = Watch()
        self.kills = 0
        self._server = server
        self._rng = random.Random(seed)
        self._every_s = min(60.0, seconds / 4)
        self._following = time.monotonic() + self._every_s
        self._looks_every_s = min(5.0, max(0.2, seconds / 400))

    def look(self) -> None:
        """Take samples, and kill when it is time."""
        self.watch.look({"supervisor": self._server.pid, **self._server.child_pids()}, self._server.data_dir)
        time.sleep(self._looks_every_s)
        if time.monotonic() > self._following:
            self._following = time.monotonic() + self._every_s
            self._kill()

    def _kill(self) -> None:
        children = self._server.child_pids()
        name = self._rng.choice([name for name in sorted(children) if name != "worker-0"])
        assert is_alive(children[name])
        os.kill(children[name], signal.SIGKILL)
        wait_until(lambda: self._server.child_pids().get(name, children[name]) != children[name], f"{name} is replaced")
        self.kills += 1


def described(name: str, samples: list[Sample], slope: Growth) -> str:
    """Return a line about one life of a process."""
    last, mib = samples[-1], 1 << 20
    memory = f"rss {last.rss // mib} MiB, pss {last.pss // mib} MiB, anonymous {last.anonymous // mib} MiB {slope}"
    return f"{name}: {lasted(samples):.0f} s, {memory}, {last.descriptors} descriptors, {last.threads} threads"


def lasted(samples: list[Sample]) -> float:
    """Return the seconds from the first sample to the last."""
    return samples[-1].at - samples[0].at


def verdict(samples: list[Sample], slope: Growth) -> str:
    """Say what a slope tells about growth beyond the limit."""
    if lasted(samples) < LEAST_S:
        return "too short to tell"
    if slope.exceeds(LIMIT_PERCENT):
        return "grows"
    return "flat" if slope.stays_below(LIMIT_PERCENT) else "undecided"


@pytest.mark.gate("R14", size=12)
def test_nothing_grows(start_server: Start, budget: Budget, pool: ProcessPoolExecutor) -> None:
    server = start_server(**SETTINGS)
    create(server.address, creation())
    fill(server.address)
    seconds = min(budget.size, budget.seconds - budget.elapsed_s)
    # The processes of clients are started by now, and caches are filled.
    under_load(pool, server.address, None, 1.0, lambda: time.sleep(0.1))
    measured_s = min(10.0, max(2.0, seconds / 20))
    peak = under_load(pool, server.address, None, measured_s, lambda: time.sleep(0.1)).answered / measured_s
    first_worker = server.child_pids()["worker-0"]
    soak = Soak(server, seconds, budget.seed)
    done = under_load(pool, server.address, SHARE * peak, seconds, soak.look)
    assert soak.kills > 0
    assert server.child_pids()["worker-0"] == first_worker, "a worker that nobody killed was replaced"
    assert done.answered > 0.5 * SHARE * peak * seconds, "that was not the load it should have been"
    wait_for_green(server.address, NAME, 120)
    assert info(server.address, NAME).points_count == POINTS
    budget.report(f"{done.answered} calls in {seconds:.0f} s at {SHARE:.0%} of {peak:.0f} a second, {soak.kills} kills")
    verdicts(budget, soak.watch, seconds)


def verdicts(budget: Budget, watch: Watch, seconds: float) -> None:
    """Report what each process used, and fail on what has grown."""
    grown = []
    # Caches fill, and the allocator finds its level, in the first part of a process's life.
    for name, samples in watch.after(min(600.0, seconds / 4), LEAST_SAMPLES).items():
        slope = growth([(each.at, each.anonymous) for each in samples])
        line = f"{described(name, samples, slope)}: {verdict(samples, slope)}"
        budget.report(line)
        if verdict(samples, slope) == "grows":
            grown.append(line)
        for what, values in (
            ("descriptors", [each.descriptors for each in samples]),
            ("threads", [each.threads for each in samples]),
        ):
            if rise(values) > SLACK:
                grown.append(f"{name}: {rise(values)} more {what}")
    slots = [count for _, count in watch.readers]
    budget.report(f"reader slots: {min(slots)} to {max(slots)}, rise {rise(slots)}")
    if rise(slots) > SLACK:
        grown.append(f"{rise(slots)} more reader slots")
    assert not grown, "\n".join(grown)


LEAKING = """
import os, sys, time
kept = []
for number in range(10_000):
    if sys.argv[1] == "leak":
        kept.append(bytearray(os.urandom(1 << 18)))
        kept.append(open("/dev/null"))
    else:
        bytearray(os.urandom(1 << 18))
    time.sleep(0.02)
"""


@pytest.mark.parametrize("leak", [True, False])
def test_a_leak_is_seen(tmp_path: Path, leak: bool) -> None:  # noqa: FBT001  a parameter
    """The measurement tells a process that loses memory and descriptors from one that does not."""
    watch = Watch()
    arguments = [sys.executable, "-c", LEAKING, "leak" if leak else "keep"]
    with subprocess.Popen(arguments) as process:
        began = time.monotonic()
        while time.monotonic() - began < 5:
            watch.look({"process": process.pid}, tmp_path)
            time.sleep(0.05)
        process.kill()
    ((_, samples),) = watch.after(1.0, LEAST_SAMPLES).items()
    slope = growth([(each.at, each.anonymous) for each in samples])
    assert slope.exceeds(LIMIT_PERCENT) == leak
    assert (rise([each.descriptors for each in samples]) > SLACK) == leak


@pytest.mark.parametrize(
    ("percent", "noise", "verdict"),
    [
        (0.0, 0.001, "below"),
        (5.0, 0.001, "above"),
        (0.0, 0.3, "undecided"),
        (5.0, 0.3, "undecided"),
        (0.3, 0.002, "below"),
    ],
)
def test_slopes(percent: float, noise: float, verdict: str) -> None:
    """An hour of samples, with a slope in percent an hour and noise in parts of the value."""
    rng = random.Random(5)
    points = [
        (float(at), 1e8 * (1 + percent / 100 * at / 3600) * (1 + rng.gauss(0, noise))) for at in range(0, 3600, 5)
    ]
    # Now and then a spike.
    points = [(at, value * (3 if rng.random() < 0.02 else 1)) for at, value in points]
    found = growth(points)
    assert found.exceeds(LIMIT_PERCENT) == (verdict == "above"), found
    assert found.stays_below(LIMIT_PERCENT) == (verdict == "below"), found
