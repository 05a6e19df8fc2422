"""A server of this tree in processes of its own, and what the kernel knows about them.

CPU is the scheduler's own count of all threads of a process, to the nanosecond; connections and memory come from
/proc. Nothing is asked of the server itself.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent.parent
STOP_TIMEOUT_S = 40.0
START_TIMEOUT_S = 60.0

_SERVING = re.compile(r"serving on (\S+):(\d+) ")
_ESTABLISHED = "01"
_CPUCLOCK_SCHED = 2


class ServerError(Exception):
    """The server did not start; the text has the end of its log."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Memory of one process that no other process shares, in bytes.

    Private pages of files (`clean`) go back to the kernel under pressure; the rest does not.
    """

    clean: int
    dirty: int

    @property
    def total(self) -> int:
        """Private bytes."""
        return self.clean + self.dirty


class Server:
    """A running `pointstore serve`; a context manager that stops it.

    Attributes:
        address: host:port.
        start_s: seconds from starting the process to its serving line.
        worker_pids: the serving processes, in order of their numbers.

    """

    def __init__(self, data_dir: Path, workers: int, log_path: Path, pin_workers: str = "auto") -> None:
        """Start it and wait until it serves.

        Raises:
            ServerError: it did not.

        """
        kept = {name: value for name, value in os.environ.items() if not name.startswith("POINTSTORE")}
        kept["POINTSTORE__PIN_WORKERS"] = pin_workers
        kept["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "server")])
        command = [sys.executable, "-m", "pointstore", "serve", "--port", "0", "--workers", str(workers)]
        start = time.perf_counter()
        with log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--data-dir", str(data_dir)], env=kept, stdout=subprocess.PIPE, stderr=log, text=True
            )
        # stdout holds the serving line and nothing else; its end means that the process ended.
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self.start_s = time.perf_counter() - start
        match = _SERVING.search(line)
        if match is None:
            self.stop()
            raise ServerError(f"the server did not start:\n{log_path.read_text()[-2000:]}")
        self.address = f"{match[1]}:{match[2]}"
        self.port = int(match[2])
        self.worker_pids = self._find_workers()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop it in order; kill it when it does not."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def cpu_s(self) -> float:
        """Return the CPU seconds that all workers have used since they started."""
        return sum(process_cpu_s(pid) for pid in self.worker_pids)

    def memory(self) -> list[Memory]:
        """Return the private memory of each worker."""
        return [private_memory(pid) for pid in self.worker_pids]

    def connections(self) -> list[int]:
        """Return how many connections each worker holds now."""
        # Sockets of both families: an IPv4 client may sit on an IPv6 socket.
        tables = [Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6")]
        inodes = set().union(*(established_inodes(table, self.port) for table in tables))
        return [len(inodes & socket_inodes(pid)) for pid in self.worker_pids]

    def _find_workers(self) -> list[int]:
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        workers: dict[int, int] = {}
        for child in map(int, children):
            words = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
            if "worker" in words:
                workers[int(words[words.index("worker") + 1])] = child
        return [workers[number] for number in sorted(workers)]


def process_cpu_s(pid: int) -> float:
    """Return the CPU seconds of all threads of a process, ended ones too.

    The clock id of another process is a kernel interface: see clock_getcpuclockid(3) and posix-cpu-timers.c.
    """
    return time.clock_gettime((~pid << 3) | _CPUCLOCK_SCHED)


def private_memory(pid: int) -> Memory:
    """Read the private memory of a process."""
    return parse_rollup(Path(f"/proc/{pid}/smaps_rollup").read_text())


def parse_rollup(text: str) -> Memory:
    """Return what a smaps_rollup file says about private memory."""
    kib = {words[0]: int(words[1]) for words in map(str.split, text.splitlines()) if len(words) == 3}  # noqa: PLR2004
    return Memory(kib["Private_Clean:"] * 1024, kib["Private_Dirty:"] * 1024)


def established_inodes(table: str, port: int) -> set[int]:
    """Return the socket inodes of connections established to a local port, from the text of /proc/net/tcp or tcp6."""
    found = set()
    for line in table.splitlines()[1:]:
        words = line.split()
        if words[3] == _ESTABLISHED and int(words[1].rpartition(":")[2], 16) == port:
            found.add(int(words[9]))
    return found


def socket_inodes(pid: int) -> set[int]:
    """Return the inodes of all sockets a process has open."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            target = str(entry.readlink())
            if target.startswith("socket:["):
                found.add(int(target[8:-1]))
    return found
