"""Work in another process, so that data which ends a process ends that one.

The process is spawned (neither LMDB nor FAISS survives a fork), does one task after another, and is replaced when it
dies or takes too long.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import ParamSpec, TypeVar, cast

_P = ParamSpec("_P")
_R = TypeVar("_R")
_SPAWN = multiprocessing.get_context("spawn")
_END_S = 5.0


class DiedError(Exception):
    """The process ended before its task did; the text says with what.

    Attributes:
        signal: that ended it, None when it was none, or when it took too long.
    """

    def __init__(self, text: str, ended_by: signal.Signals | None = None) -> None:
        super().__init__(text)
        self.signal = ended_by


class Apart:
    """One process for tasks; use it from one thread.

    Args:
        timeout_s: seconds that a task may take.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._process: multiprocessing.process.BaseProcess | None = None
        self._connection: Connection | None = None

    def run(self, task: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs) -> _R:
        """Run a function of a module in the other process.

        Raises:
            DiedError: the process ended, or took too long.
            Exception: what the function raised.
        """
        connection = self._connection or self._start()
        try:
            connection.send((task, args, kwargs))
            if not connection.poll(self._timeout_s):
                self.close()
                msg = f"no end within {self._timeout_s:.0f} s"
                raise DiedError(msg)
            failed, result = connection.recv()
        except (EOFError, ConnectionError):
            raise self._death() from None
        if failed:
            raise cast("Exception", result)
        return cast("_R", result)

    def close(self) -> None:
        """End the process."""
        process, self._process, self._connection = self._process, None, None
        if process is not None:
            process.kill()
            process.join()

    def _start(self) -> Connection:
        ours, theirs = _SPAWN.Pipe()
        process = _SPAWN.Process(target=_work, args=(theirs,), daemon=True)
        process.start()
        theirs.close()
        self._process, self._connection = process, ours
        return ours

    def _death(self) -> DiedError:
        process = self._process
        assert process is not None
        process.join(_END_S)
        status = process.exitcode
        self.close()
        if status is not None and status < 0:
            ended_by = signal.Signals(-status)
            return DiedError(ended_by.name, ended_by)
        return DiedError(f"exit status {status}")


def _work(connection: Connection) -> None:
    while True:
        try:
            task, args, kwargs = connection.recv()
        except EOFError:
            return
        try:
            result = (False, task(*args, **kwargs))
        except Exception as error:  # noqa: BLE001  it is the other process's
            result = (True, error)
        connection.send(result)
