"""What the processes of a server use over time, and whether it grows.

Growth is the slope through medians of windows (Theil and Sen: the median of the slopes of all pairs), which one spike
or one collection of garbage does not move, with the interval of that median's rank test. Only an interval that lies
above a limit as a whole is more than the limit, and only one that lies below it as a whole is less.
"""

from __future__ import annotations

import contextlib
import math
import statistics
import time
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Final

import lmdb

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WINDOWS: Final = 24
HOUR_S: Final = 3600.0
_KIB: Final = 1024
# Two-sided 95 %.
_Z: Final = 1.96


@dataclass(frozen=True, slots=True)
class Sample:
    """One look at one process; memory in bytes.

    Attributes:
        at: monotonic seconds.
        rss: resident memory, pages of mapped files included.
        pss: the same with shared pages divided among those who share them.
        anonymous: the part that belongs to no file: what a process that loses track of memory accumulates.
        descriptors, threads: how many are open.

    """

    at: float
    rss: int
    pss: int
    anonymous: int
    descriptors: int
    threads: int


@dataclass(frozen=True, slots=True)
class Growth:
    """A slope in percent of the mean an hour, with its interval of 95 %."""

    percent: float
    least: float
    most: float

    def exceeds(self, limit: float) -> bool:
        """Tell whether it is beyond doubt more than a limit."""
        return self.least > limit

    def stays_below(self, limit: float) -> bool:
        """Tell whether it is beyond doubt less than a limit."""
        return self.most < limit

    def __str__(self) -> str:
        """Return the slope and its interval."""
        return f"{self.percent:+.2f} %/h [{self.least:+.2f}, {self.most:+.2f}]"


@dataclass
class Watch:
    """Samples of processes by name and pid, and the reader slots of LMDB environments by path."""

    samples: dict[tuple[str, int], list[Sample]] = field(default_factory=dict)
    readers: list[tuple[float, int]] = field(default_factory=list)

    def look(self, processes: Mapping[str, int], data_dir: Path) -> None:
        """Take a sample of every process, and count the reader slots in use."""
        for name, pid in processes.items():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, ValueError):
                self.samples.setdefault((name, pid), []).append(sample(pid))
        self.readers.append((time.monotonic(), max(map(reader_slots, data_dir.glob("collections/*/store")), default=0)))

    def after(self, warm_up_s: float, least: int) -> dict[str, list[Sample]]:
        """Return the samples of each life of a process without its beginning; lives with too few are left out."""
        found = {}
        for (name, pid), samples in self.samples.items():
            kept = [each for each in samples if each.at - samples[0].at >= warm_up_s]
            if len(kept) >= least:
                found[f"{name} ({pid})"] = kept
        return found


def sample(pid: int) -> Sample:
    """Look at a process.

    Raises:
        FileNotFoundError, ProcessLookupError: it is gone.
        ValueError: it is about to go.

    """
    root = Path(f"/proc/{pid}")
    rollup = dict(line.split(":") for line in (root / "smaps_rollup").read_text().splitlines()[1:])
    status = dict(line.split(":", 1) for line in (root / "status").read_text().splitlines())
    if "Pss" not in rollup:
        raise ValueError(pid)
    rss, pss, anonymous = (int(rollup[name].split()[0]) * _KIB for name in ("Rss", "Pss", "Anonymous"))
    descriptors = sum(1 for _ in (root / "fd").iterdir())
    return Sample(time.monotonic(), rss, pss, anonymous, descriptors, int(status["Threads"]))


def reader_slots(environment: Path) -> int:
    """Count the slots in the reader table of an LMDB environment that are taken."""
    try:
        with lmdb.open(str(environment), readonly=True, max_dbs=0, create=False) as opened:
            table = opened.readers()
    except lmdb.Error:
        # It is being created or dropped.
        return 0
    # A line of titles, or a sentence without digits when nobody reads.
    return sum(1 for line in table.splitlines() if line.split() and line.split()[0].isdigit())


def growth(points: Sequence[tuple[float, float]]) -> Growth:
    """Return the growth of a series of (seconds, value); of no use below some dozens of points."""
    medians = _windows(points)
    mean = statistics.fmean(value for _, value in medians) or 1.0
    slopes = sorted((b - a) / (t - s) for (s, a), (t, b) in combinations(medians, 2))
    count = len(medians)
    # Variance of Kendall's statistic: the ranks between which the true median lies.
    spread = _Z * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = max(0, math.floor((len(slopes) - spread) / 2))
    high = min(len(slopes) - 1, math.ceil((len(slopes) + spread) / 2))
    percent = 100 * HOUR_S / mean
    return Growth(statistics.median(slopes) * percent, slopes[low] * percent, slopes[high] * percent)


def rise(values: Sequence[int]) -> int:
    """Return by how much the least number in use has risen from the first third of a run to the last."""
    third = max(1, len(values) // 3)
    return min(values[-third:]) - min(values[:third])


def _windows(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    size = max(1, len(points) // WINDOWS)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [
        (statistics.fmean(at for at, _ in group), statistics.median(value for _, value in group)) for group in groups
    ]
