"""What a check is at, noted where it survives the process: damage that kills a checker is found by its death.

The note is a file of memory that the supervisor makes and its children inherit, like the marks of I/O errors, so a full
disk has room for it. It has a line for each step that was begun, one with the cause for each step that ended a process,
and an empty one when all of them are done.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from pointstore.core.errors import CorruptionError, StorageError

VARIABLE: Final = "POINTSTORE_CHECKING_FD"
"""Environment variable with the descriptor of the note that a child inherits."""

DAMAGE: Final = frozenset({signal.SIGBUS, signal.SIGSEGV, signal.SIGABRT, signal.SIGFPE, signal.SIGILL, signal.SIGPROF})
"""Signals that end a process which follows damaged data, or has computed on it for longer than it may. Others come from
outside: SIGKILL where memory is short."""

STEP_S = 120
"""Seconds of processor time that a step may take anyway; damage that keeps a process busy for ever ends with them."""
_BYTES_A_SECOND = 20 << 20


def create_note() -> int:
    """Return the descriptor of an empty note."""
    return os.memfd_create("pointstore-checking", os.MFD_CLOEXEC)


def inherited_note() -> int:
    """Return the descriptor of the note that the supervisor keeps."""
    return int(os.environ[VARIABLE])


def ignore(_seconds: int) -> None:
    """Take no notice of limits."""


class Progress:
    """The steps of one process.

    Args:
        note: of the processes that died of the same check, empty when there was none; None when nobody is to see it.
        after: what ended the process before, None when this is the first one.
        limit: is told the seconds of processor time that the next step may take, 0 at the end.

    Raises:
        StorageError: a process before was ended, but by nothing that it had begun.
    """

    def __init__(
        self, note: int | None = None, after: str | None = None, limit: Callable[[int], object] = ignore
    ) -> None:
        self._note = note
        self._limit = limit
        lines = [] if note is None else os.pread(note, os.fstat(note).st_size, 0).decode().splitlines()
        self._fatal = dict(line.split(" ", 1) for line in lines if " " in line)
        if after is not None:
            step = lines[-1] if lines else ""
            if not step or " " in step:
                msg = f"the check ended with {after} outside of any collection"
                raise StorageError(msg)
            self._fatal[step] = after
            self._write(f"{step} {after}")

    def begin(self, step: str, directory: Path) -> None:
        """Note the next step, the check of a directory.

        Raises:
            CorruptionError: this step ended a process before.
        """
        if step in self._fatal:
            msg = f"checking {directory} ended the process with {self._fatal[step]}"
            raise CorruptionError(msg)
        self._write(step)
        self._limit(STEP_S + _bytes_in(directory) // _BYTES_A_SECOND)

    def end(self) -> None:
        """Note that the last step is done."""
        self._limit(0)
        self._write("")

    def _write(self, line: str) -> None:
        if self._note is not None:
            os.pwrite(self._note, f"{line}\n".encode(), os.fstat(self._note).st_size)


def _bytes_in(directory: Path) -> int:
    size = 0
    for parent, _, names in os.walk(directory):
        for name in names:
            # Others remove segments meanwhile.
            with suppress(FileNotFoundError):
                size += Path(parent, name).stat().st_size
    return size
