"""Random programs: the server answers as the original engine and as the client's local mode (`tests/compat`).

Three kinds of programs take turns: calls of the official client against its local mode, writes and searches against
the original engine, filters and indexes against both. They are short ones, since what two stores do differently shows
within a few steps after much the same beginning; `tests/compat` runs long ones.
"""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING

import pytest
from qdrant_client import QdrantClient

from tests.compat import client_programs
from tests.compat.comparing import connected

pytest.importorskip("qdrant_edge", reason="the embedded original engine has no package for this platform")

from tests.compat import engine_programs, filter_programs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Server
    from tests.gates.conftest import Budget

LOCAL, ENGINE, FILTERS = "local mode", "original engine", "filters"
# Programs with filters take longest: they compare everything after every step.
KINDS = (LOCAL, ENGINE, LOCAL, ENGINE, FILTERS)
STEPS = {LOCAL: (2, 4, 8, 16), ENGINE: (2, 4, 8, 16), FILTERS: (1, 2, 4, 8)}
# A collection or shard serves so many programs.
REUSED = 30


@pytest.mark.gate("R11", size=300)
def test_programs(start_server: Callable[..., Server], tmp_path: Path, budget: Budget) -> None:
    server = start_server()
    rng = random.Random(budget.seed)
    counts = dict.fromkeys(STEPS, 0)
    with connected(server.address) as remote:
        first = 0
        while first < budget.size and not budget.spent():
            with contextlib.ExitStack() as stack:
                local = stack.enter_context(contextlib.closing(QdrantClient(":memory:")))
                engines = stack.enter_context(engine_programs.both(remote, f"engine-{first}", tmp_path / f"e{first}"))
                shard = stack.enter_context(filter_programs.opened(tmp_path / f"f{first}"))
                for number in range(first, min(first + REUSED, budget.size)):
                    if budget.spent():
                        break
                    kind = KINDS[number % len(KINDS)]
                    seed, steps = rng.getrandbits(48), rng.choice(STEPS[kind])
                    where = f"program {number} of seed {budget.seed}: {kind}, seed {seed}, {steps} steps"
                    with _named(where):
                        if kind == LOCAL:
                            client_programs.run(remote, local, f"client-{number}", seed, steps)
                        elif kind == ENGINE:
                            engine_programs.run(engines, seed, steps)
                            engines.clear()
                        else:
                            filter_programs.run(remote, local, shard, f"filter-{number}", seed, steps)
                    counts[kind] += 1
            first += REUSED
    budget.report(
        f"{sum(counts.values())} programs: " + ", ".join(f"{count} of {kind}" for kind, count in counts.items())
    )


@contextlib.contextmanager
def _named(where: str) -> Iterator[None]:
    """Add to a failure what repeats it."""
    try:
        yield
    except BaseException as failure:
        failure.add_note(where)
        raise
