"""Fixtures for every test that talks to a real server: a `pointstore serve` process of its own.

`shared_server` is one server for the tests of a session (of a pytest-xdist worker) that create collections of their
own; `server` is a fresh one for tests that stop or kill it. `start_server` starts any number with settings of choice.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

# The same examples in every run: a change that breaks something is to be blamed, not the dice. The long runs draw anew.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0


def server_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return an environment in which a subprocess imports this tree and a server takes small LMDB maps."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("POINTSTORE")}
    # Servers are started hundreds of times; without bytecode each of their processes compiles everything again.
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {
        **kept,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "server")]),
        "POINTSTORE__MAP_SIZE_GB": "4",
        "POINTSTORE__CATALOG_MAP_SIZE_GB": "1",
        **(extra or {}),
    }


def wait_until(condition: Callable[[], bool], what: str, timeout_s: float = 30.0) -> None:
    """Poll until `condition` holds; fail the test with `what` when it does not in time."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout_s} s: {what}")
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that has ended and waits to be collected does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


class Server:
    """A server under test: the supervisor's process, its children, its data directory.

    `address` (`127.0.0.1:port`) changes with every start that is not given the port: it is a free one. `through` is a
    command that starts the server's.
    """

    def __init__(
        self, data_dir: Path, *, workers: int, environment: Mapping[str, str], through: Sequence[str] = ()
    ) -> None:
        self.data_dir = data_dir
        self.log_path = data_dir.with_name(data_dir.name + ".log")
        self.address = ""
        self._workers = workers
        self._environment = dict(environment)
        self._through = list(through)
        self._process: subprocess.Popen[str] | None = None
        self._seen: set[int] = set()

    @property
    def process(self) -> subprocess.Popen[str]:
        """The supervisor's process."""
        assert self._process is not None
        return self._process

    @property
    def pid(self) -> int:
        """The supervisor's pid."""
        return self.process.pid

    @property
    def port(self) -> int:
        """The TCP port."""
        return int(self.address.rpartition(":")[2])

    @property
    def log(self) -> str:
        """What all processes have written to standard error, from all starts."""
        return self.log_path.read_text()

    def launch(self, environment: Mapping[str, str] | None = None, port: int = 0) -> None:
        """Start the server's processes and return at once; `environment` is for this start only."""
        command = [sys.executable, "-m", "pointstore", "serve", "--port", str(port), "--workers", str(self._workers)]
        with self.log_path.open("a") as log:
            self._process = subprocess.Popen(
                [*self._through, *command, "--data-dir", str(self.data_dir)],
                env=server_environment({**self._environment, **(environment or {})}),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )

    def start(self, environment: Mapping[str, str] | None = None, port: int = 0) -> None:
        """Start the server, by default on a free port, and wait for its serving line."""
        self.launch(environment, port)
        lines: queue.Queue[str] = queue.Queue()
        output = self.process.stdout
        assert output is not None
        threading.Thread(target=lambda: lines.put(output.readline()), daemon=True).start()
        try:
            line = lines.get(timeout=START_TIMEOUT_S)
        except queue.Empty:
            line = ""
        if " serving on " not in line:
            self.kill9()
            pytest.fail(f"the server did not start; it said {line!r} and logged\n{self.log[-4000:]}")
        self.address = line.split(" serving on ")[1].split(" ")[0]
        self.child_pids()

    def child_pids(self) -> dict[str, int]:
        """Return the pids of the running children: `worker-0`, `worker-1`, ..., `optimizer`; at a start `recover`."""
        found: dict[str, int] = {}
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
                arguments = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
                if "worker" in arguments:
                    found["worker-" + arguments[arguments.index("worker") + 1]] = int(pid)
                else:
                    found.update({name: int(pid) for name in ("optimizer", "recover") if name in arguments})
        self._seen.update(found.values())
        return found

    def worker_pids(self) -> list[int]:
        """Return the pids of the running workers, by worker number."""
        children = self.child_pids()
        return [children[name] for name in sorted(children) if name.startswith("worker")]

    def terminate(self) -> int:
        """Send SIGTERM, wait for the end, return the exit status."""
        self.child_pids()
        self.process.terminate()
        return self.process.wait(STOP_TIMEOUT_S)

    def kill9(self) -> None:
        """Kill every process of the server at once, as the out-of-memory killer would."""
        self.kill_all()
        self.wait_for_release()

    def kill_all(self) -> None:
        """Kill every process of the server at once and wait for their end, without a look at the data directory."""
        killed: list[int] = []
        if self.process.poll() is None:
            # Held still, so that it starts no child between the look at its children and their end.
            os.kill(self.pid, signal.SIGSTOP)
            killed = [*self.child_pids().values(), self.pid]
            for pid in killed:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self.process.wait(STOP_TIMEOUT_S)
        wait_until(lambda: not any(map(is_alive, killed)), "the children are dead", STOP_TIMEOUT_S)

    def kill_supervisor(self) -> None:
        """Kill the supervisor alone; its children are left to notice."""
        self.child_pids()
        self.process.kill()
        self.process.wait(STOP_TIMEOUT_S)

    def wait_for_release(self) -> None:
        """Wait until no process holds the data directory."""
        wait_until(lambda: not self._is_held(), "the data directory is free", STOP_TIMEOUT_S)

    def restart(self, port: int = 0) -> None:
        """Start again on the same data, after an orderly end if the server still runs."""
        if self.process.poll() is None:
            self.terminate()
        self.wait_for_release()
        self.start(port=port)

    def close(self) -> None:
        """End whatever still runs, by force after a while."""
        if self._process is None:
            return
        if self._process.poll() is None:
            try:
                self.terminate()
            except subprocess.TimeoutExpired:
                self.kill9()
        for pid in self._seen:
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                # A pid may be someone else's by now, also another server's.
                if os.fsencode(self.data_dir) in Path(f"/proc/{pid}/environ").read_bytes():
                    os.kill(pid, signal.SIGKILL)
        if self._process.stdout is not None:
            self._process.stdout.close()

    def _is_held(self) -> bool:
        try:
            fd = os.open(self.data_dir / "LOCK", os.O_RDWR)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One running server with two workers for tests that create collections of their own and stop nothing."""
    running = Server(tmp_path_factory.mktemp("shared") / "data", workers=2, environment={})
    try:
        running.start()
        yield running
    finally:
        running.close()


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Start servers: `start_server(name="data", workers=2, **settings)`; settings as `POINTSTORE__...` names."""
    running: list[Server] = []

    def start(name: str = "data", *, workers: int = 2, **settings: str) -> Server:
        server = Server(tmp_path / name, workers=workers, environment=settings)
        running.append(server)
        server.start()
        return server

    try:
        yield start
    finally:
        for each in running:
            each.close()
            # Beside a failure, which the directory of the logs does not always outlive.
            # Some tests move the directory away, and libraries write bytes that are no text.
            with contextlib.suppress(FileNotFoundError):
                end = each.log_path.read_bytes()[-2000:].decode(errors="replace")
                sys.stdout.write(f"end of {each.log_path}:\n{end}\n")


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """Return a running server with two workers, this test's own."""
    return start_server()
