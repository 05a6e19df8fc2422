"""Gates of reliability: each runs at a short size with `make gates`, at any size with `make gate`.

A gate is a test marked `@pytest.mark.gate("R1", size=20)`: its id in docs/durability.md and its short size, in whatever
it counts. It takes the fixture `budget`, stops at `budget.size` or when `budget.spent()` says so, and says with
`budget.report` what it reached; the reports stand before pytest's summary.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE = "GATE_SIZE"
SECONDS = "GATE_SECONDS"
SEED = "GATE_SEED"
_REPORT = "gate report"
_SHORT_SECONDS = 150.0
_GRACE_S = 200.0


@dataclass(slots=True)
class Budget:
    """How much a run of a gate does.

    Attributes:
        gate: id of the gate.
        size: how many of what it counts.
        seconds: time after which it stops before that.
        seed: of everything random in it.

    """

    gate: str
    size: int
    seconds: float
    seed: int
    reports: list[str] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the gate began."""
        return time.monotonic() - self._began

    def spent(self) -> bool:
        """Tell whether the time is over; a gate looks between two of what it counts."""
        return self.elapsed_s > self.seconds

    def report(self, text: str) -> None:
        """Say what was reached, for the end of the run."""
        self.reports.append(f"{self.gate}: {text} (seed {self.seed}, {self.elapsed_s:.0f} s)")


def _seconds() -> float:
    return float(os.environ.get(SECONDS, _SHORT_SECONDS))


@pytest.fixture
def budget(request: pytest.FixtureRequest) -> Iterator[Budget]:
    """Return the budget of the gate that the test is."""
    marker = request.node.get_closest_marker("gate")
    assert marker is not None, "a gate is marked as one"
    made = Budget(
        marker.args[0],
        int(os.environ.get(SIZE, marker.kwargs["size"])),
        _seconds(),
        int(os.environ.get(SEED, "1")),
    )
    # Tells a long run to end now, with its report.
    before = signal.signal(signal.SIGUSR1, lambda *_: setattr(made, "seconds", 0.0))
    yield made
    signal.signal(signal.SIGUSR1, before)
    assert made.reports, "a gate reports what it reached"
    # Properties of a test travel from the processes of pytest-xdist to the one that prints.
    request.node.user_properties.extend((_REPORT, text) for text in made.reports)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--gate ID`."""
    parser.addoption("--gate", help="run this gate alone, by its id")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the other gates when one was asked for, and give each the time of its budget and some to end."""
    for item in items:
        if item.get_closest_marker("gate") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(_seconds() + _GRACE_S))
    wanted = config.getoption("--gate", default=None)
    if wanted is not None:
        items[:] = [item for item in items if (marker := item.get_closest_marker("gate")) and marker.args[0] == wanted]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the reports."""
    reports = [
        text
        # They come with the report of the teardown, whose outcome has no name when it passed.
        for outcome in ("", "passed", "failed", "error")
        for test in terminalreporter.stats.get(outcome, [])
        for name, text in getattr(test, "user_properties", [])
        if name == _REPORT
    ]
    if reports:
        terminalreporter.section("gates")
        for text in sorted(set(reports)):
            terminalreporter.line(text)
