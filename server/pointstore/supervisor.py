"""The parent process: claims port and data directory, spawns the others, restarts what dies, drains on SIGTERM.

It serves no request and opens no storage, so nothing a client sends can take it down. It knows neither grpc nor
LMDB nor FAISS: children are new interpreters, never forks, because none of the three survives a fork. They see
their parent's death, however sudden, as the end of a pipe only it holds open for writing, and drain by themselves.
"""

from __future__ import annotations

import contextlib
import os
import resource
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from pointstore import __version__
from pointstore.claims import ClaimRefusedError, DataDirClaim, PortClaim
from pointstore.config import SETTINGS_VARIABLE, Settings, usable_cores

if TYPE_CHECKING:
    from collections.abc import Sequence

READY_LINE: Final = b"ready\n"
"""What a child writes to its ready descriptor once it does its work."""

DRAIN_MARGIN_S: Final = 5.0
"""Seconds beyond the grace period after which a process that still drains is ended by force."""

DAMAGE_FOUND: Final = 3
"""Exit status of a search for damage that has quarantined something."""

# Whatever the optimizer is in the middle of is repeated after the next start, so nobody waits long for it.
_OPTIMIZER_DRAIN_S: Final = 2.0
_DRAIN_LOOK_S: Final = 0.05

_log = structlog.stdlib.get_logger(__name__)


class _GaveUpError(Exception):
    """A child cannot be kept alive, or the data directory cannot be recovered; the text is for the operator."""


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """How soon a dead child is started again, and how many deaths end the server."""

    deaths_max: int = 10
    window_s: float = 60.0
    first_delay_s: float = 0.1
    delay_max_s: float = 5.0

    def delay_s(self, deaths: int) -> float:
        """Return the seconds to wait after that many deaths (1 or more) within the window."""
        return min(self.delay_max_s, self.first_delay_s * 2.0 ** (deaths - 1))


@dataclass(slots=True)
class _Child:
    """One process to keep alive, through its restarts."""

    name: str
    arguments: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = None
    ready_fd: int | None = None
    ready: bool = False
    restart_at: float = 0.0
    deaths: deque[float] = field(default_factory=deque)

    def count_death(self, now: float, window_s: float) -> int:
        """Note a death; return how many there were within the window."""
        self.deaths.append(now)
        while now - self.deaths[0] > window_s:
            self.deaths.popleft()
        return len(self.deaths)


class Supervisor:
    """One running server. Use an instance once, from the main thread (it handles signals)."""

    def __init__(
        self,
        settings: Settings,
        *,
        command: Sequence[str] = (sys.executable, "-m", "pointstore"),
        policy: RestartPolicy = RestartPolicy(),
    ) -> None:
        """Prepare a server; `command` is the program that runs the children, before their arguments."""
        from pointstore.engine import progress
        from pointstore.storage import poison

        self._settings = settings
        self._command = tuple(command)
        self._policy = policy
        self._workers = [_Child(f"worker-{i}", ("worker", str(i))) for i in range(settings.workers)]
        self._optimizer = _Child("optimizer", ("optimizer",))
        self._recheck = _Child("recheck", ("recheck",))
        self._stop_requested = False
        self._announced = False
        self._selector = selectors.DefaultSelector()
        self._wakeup_fd, self._wakeup_write_fd = os.pipe()
        self._control_fd, self._control_write_fd = os.pipe()
        # Children load their code while recovery runs, and open the data directory when this pipe ends.
        self._gate_fd, self._gate_write_fd = os.pipe()
        # Outlives every child: what one of them marks, its successor sees.
        self._poison_fd = poison.create_page()
        # What a check is at; and how long the note was when the last one ended.
        self._note_fd, self._noted = progress.create_note(), 0
        self._shared = {poison.VARIABLE: str(self._poison_fd), progress.VARIABLE: str(self._note_fd)}
        self._data_dir_claim: DataDirClaim | None = None

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT.

        Returns:
            the exit status: 0 after an orderly drain, 1 when the server could not start or could not be kept alive.

        """
        _raise_file_limit()
        with contextlib.ExitStack() as claims:
            try:
                port = PortClaim.take(self._settings.host, self._settings.port)
                claims.callback(port.release)
                self._data_dir_claim = DataDirClaim.take(self._settings.data_dir)
                claims.callback(self._data_dir_claim.release)
            except ClaimRefusedError as refusal:
                sys.stderr.write(f"pointstore: {refusal}\n")
                return 1
            # The children listen on what was claimed: the numeric address and, for port 0, the port found.
            self._settings = self._settings.model_copy(update={"host": port.host, "port": port.port})
            self._handle_signals()
            try:
                self._recover()
                self._supervise(port.address)
            except _GaveUpError as failure:
                sys.stderr.write(f"pointstore: {failure}\n")
                return 1
            finally:
                self._drain()
        return 0

    def _handle_signals(self) -> None:
        """Turn SIGTERM and SIGINT into a request to stop; let them and SIGCHLD end a wait."""

        def request_stop(_number: int, _frame: object) -> None:
            self._stop_requested = True

        for fd in (self._wakeup_fd, self._wakeup_write_fd):
            os.set_blocking(fd, False)
        self._selector.register(self._wakeup_fd, selectors.EVENT_READ)
        signal.set_wakeup_fd(self._wakeup_write_fd, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, request_stop)
        signal.signal(signal.SIGINT, request_stop)
        signal.signal(signal.SIGCHLD, lambda _number, _frame: None)

    def _recover(self) -> None:
        """Let a child repair what an earlier crash left, before any worker opens the data directory."""
        recovery = _Child("recover", ("recover",))
        for child in (recovery, *self._workers, self._optimizer):
            self._spawn(child)
        status = self._end_of(recovery)
        while self._died_of_a_step(status):
            # The next one goes on without that.
            _log.error("recovery died, probably of damaged data; trying again", ended_with=_describe(status))
            recovery = _Child("recover", ("recover", "--after", _describe(status)))
            self._spawn(recovery)
            status = self._end_of(recovery)
        if status:
            message = f"recovery of data directory {self._settings.data_dir} failed ({_describe(status)})"
            raise _GaveUpError(message)
        os.close(self._gate_write_fd)

    def _end_of(self, child: _Child) -> int:
        """Wait for the end of a child and return its status, 0 when a stop is requested meanwhile."""
        while not self._stop_requested:
            if child.process is None:
                self._start_when_due(child)
            elif (status := child.process.poll()) is not None:
                self._bury(child)
                return status
            self._wait(_next_start([child]))
        if child.process is not None:
            # Recovery is repeatable, so an impatient operator need not wait for its end.
            child.process.kill()
            child.process.wait()
            self._bury(child)
        return 0

    def _supervise(self, address: str) -> None:
        """Start everything and keep it running until a stop is requested."""
        children = [*self._workers, self._optimizer]
        while not self._stop_requested:
            for child in children:
                self._attend(child)
            self._attend_recheck()
            if not self._announced and all(worker.ready for worker in self._workers):
                self._announced = True
                self._announce(address)
            self._wait(_next_start(children))

    def _attend(self, child: _Child) -> None:
        """Start the child if it is due; notice that it became ready or died."""
        if child.process is None:
            self._start_when_due(child)
            return
        if self._became_ready(child):
            _log.info("ready", child=child.name, child_pid=child.process.pid)
        status = child.process.poll()
        if status is None:
            return
        self._bury(child)
        self._count_death(child, _describe(status))
        if _is_damage(status) and self._recheck.process is None:
            self._recheck.arguments = ("recheck",)
            self._noted = 0
            os.truncate(self._note_fd, 0)
            self._spawn(self._recheck)

    def _start_when_due(self, child: _Child) -> None:
        if time.monotonic() >= child.restart_at:
            self._spawn(child)

    def _count_death(self, child: _Child, cause: str) -> None:
        """Put the next start of a child off, or give up."""
        now = time.monotonic()
        deaths = child.count_death(now, self._policy.window_s)
        # While the cause of an earlier one is looked for, a death says nothing new.
        if deaths >= self._policy.deaths_max and self._recheck.process is None:
            message = (
                f"{child.name} died {deaths} times within {self._policy.window_s:.0f} s, "
                f"the last time with {cause}; giving up"
            )
            raise _GaveUpError(message)
        delay_s = self._policy.delay_s(deaths)
        child.restart_at = now + delay_s
        _log.warning("child died", child=child.name, ended_with=cause, restart_in_s=round(delay_s, 3))

    def _attend_recheck(self) -> None:
        """Notice that the search for damage has ended, or died of what it looked for."""
        status = None if self._recheck.process is None else self._recheck.process.poll()
        if status is None:
            return
        self._bury(self._recheck)
        if self._died_of_a_step(status):
            self._recheck.arguments = ("recheck", "--after", _describe(status))
            self._spawn(self._recheck)
        elif status == DAMAGE_FOUND:
            # What is quarantined now ended them.
            for child in (*self._workers, self._optimizer):
                child.deaths.clear()
        elif status:
            _log.error("the search for damage failed", ended_with=_describe(status))

    def _died_of_a_step(self, status: int) -> bool:
        """Tell whether a check ended as damage ends it, with one step more in the note than when the last one died.

        So there are no more restarts than steps, whatever else it dies of.
        """
        noted, self._noted = self._noted, os.fstat(self._note_fd).st_size
        return _is_damage(status) and self._noted > noted

    def _became_ready(self, child: _Child) -> bool:
        """Return True once, when the process has reported that it is ready."""
        if child.ready_fd is None:
            return False
        try:
            line = os.read(child.ready_fd, len(READY_LINE))
        except BlockingIOError:
            return False
        self._close_ready_pipe(child)
        child.ready = line == READY_LINE
        return child.ready

    def _close_ready_pipe(self, child: _Child) -> None:
        """Stop waiting for the child's ready line."""
        if child.ready_fd is not None:
            self._selector.unregister(child.ready_fd)
            os.close(child.ready_fd)
            child.ready_fd = None

    def _spawn(self, child: _Child) -> None:
        """Start a new interpreter for the child; that the system has none to give counts as the child's death."""
        try:
            self._start(child)
        except OSError as error:
            self._count_death(child, str(error))

    def _start(self, child: _Child) -> None:
        ready_fd, ready_write_fd = os.pipe()
        assert self._data_dir_claim is not None
        shared = (self._control_fd, self._gate_fd, self._poison_fd, self._note_fd, self._data_dir_claim.fd)
        arguments = [*self._command, *child.arguments]
        arguments += ["--ready-fd", str(ready_write_fd), "--control-fd", str(self._control_fd)]
        arguments += ["--gate-fd", str(self._gate_fd)]
        try:
            child.process = subprocess.Popen(  # noqa: S603  our own program
                arguments,
                env=self._environment(child),
                pass_fds=(ready_write_fd, *shared),
                stdin=subprocess.DEVNULL,
                # A group of its own: Ctrl-C reaches the supervisor alone, which drains the others in order.
                process_group=0,
            )
        except BaseException:
            os.close(ready_fd)
            raise
        finally:
            os.close(ready_write_fd)
        os.set_blocking(ready_fd, False)
        child.ready_fd, child.ready = ready_fd, False
        self._selector.register(ready_fd, selectors.EVENT_READ)

    def _environment(self, child: _Child) -> dict[str, str]:
        """Return a child's environment: its settings, and what libraries read when they are loaded."""
        builds = child is self._optimizer
        return {
            **os.environ,
            SETTINGS_VARIABLE: self._settings.model_dump_json(),
            **self._shared,
            "OMP_NUM_THREADS": str(len(usable_cores()) if builds else 1),
            "OPENBLAS_NUM_THREADS": str(len(usable_cores()) if builds else 1),
            # glibc's caches of freed pieces, one a thread, fill for hours in a worker's 70 threads (ADR 12).
            "GLIBC_TUNABLES": os.environ.get("GLIBC_TUNABLES", "glibc.malloc.tcache_count=0"),
        }

    def _announce(self, address: str) -> None:
        """Print the one line that says the server serves."""
        count = len(self._workers)
        workers = "1 worker" if count == 1 else f"{count} workers"
        data_dir = self._settings.data_dir
        shown = data_dir if data_dir.is_absolute() else os.path.join(".", data_dir)  # noqa: PTH118  Path drops the "./"
        sys.stdout.write(f"pointstore {__version__} serving on {address} ({workers}, data in {shown})\n")
        sys.stdout.flush()

    def _drain(self) -> None:
        """End all children: ask, wait for the calls in flight, then insist."""
        children = [*self._workers, self._optimizer, self._recheck]
        for child in children:
            self._close_ready_pipe(child)
            if child.process is not None:
                child.process.terminate()
        started = time.monotonic()
        deadline = started + self._settings.lame_duck_s + self._settings.grace_s + DRAIN_MARGIN_S
        while alive := [child for child in children if child.process is not None]:
            late = time.monotonic() >= deadline
            if all(child is self._optimizer or child is self._recheck for child in alive):
                late = late or time.monotonic() >= started + _OPTIMIZER_DRAIN_S
            for child in alive:
                self._end(child, by_force=late)
            self._wait(_DRAIN_LOOK_S)

    def _end(self, child: _Child, *, by_force: bool) -> None:
        """Bury a child that has ended; kill it first if there is no more time."""
        if child.process is None:
            return
        if by_force and child.process.poll() is None:
            _log.warning("killed, it did not drain in time", child=child.name, child_pid=child.process.pid)
            child.process.kill()
            child.process.wait()
        if child.process.poll() is not None:
            self._bury(child)

    def _bury(self, child: _Child) -> None:
        """Forget a process that has ended."""
        self._close_ready_pipe(child)
        child.process, child.ready = None, False

    def _wait(self, timeout_s: float | None) -> None:
        """Sleep until a signal, a child's ready line or the timeout."""
        for key, _events in self._selector.select(timeout_s):
            if key.fd == self._wakeup_fd:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wakeup_fd, 4096)


def _next_start(children: Sequence[_Child]) -> float | None:
    """Return the seconds until the first of the children that do not run is due, None when all run."""
    down = [child.restart_at for child in children if child.process is None]
    return max(0.0, min(down) - time.monotonic()) if down else None


def _raise_file_limit() -> None:
    """Let this process and its children open as many files as they may: shells and systemd give 1024 of them."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _is_damage(status: int) -> bool:
    from pointstore.engine.progress import DAMAGE

    return -status in DAMAGE


def _describe(status: int) -> str:
    """Say how a process ended, from its `Popen.returncode`."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
