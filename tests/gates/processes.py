"""What the processes of a server use, seen from outside."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

_LOOK_S = 0.02
_TICKS = os.sysconf("SC_CLK_TCK")


def anonymous_mb(pid: int) -> float:
    """Return the resident memory of a process that belongs to no file, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon"):
            return int(line.split()[1]) / 1024
    message = f"process {pid} has no memory"
    raise AssertionError(message)


def cpu_s(pid: int) -> float:
    """Return the processor time a process has used, in seconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def threads(pid: int) -> int:
    """Return the number of threads of a process."""
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def descriptors(pid: int) -> int:
    """Return the number of open descriptors of a process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


class Peak:
    """Watches the memory of processes while it is entered.

    Attributes:
        before: MiB of each at the begin.
        highest: MiB of each at its worst moment.

    """

    def __init__(self, pids: Sequence[int]) -> None:
        self._pids = list(pids)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.before = [anonymous_mb(pid) for pid in self._pids]
        self.highest = list(self.before)

    @property
    def growth_mb(self) -> float:
        """Growth of the process that grew most, in MiB."""
        return max(high - low for high, low in zip(self.highest, self.before, strict=True))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stopping.is_set():
            for place, pid in enumerate(self._pids):
                self.highest[place] = max(self.highest[place], anonymous_mb(pid))
            time.sleep(_LOOK_S)
