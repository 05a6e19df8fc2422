"""Marks of environments that met an I/O error, seen by every process of a server at once.

After a failed sync nobody knows what the disk holds, and the next commit, by whatever process, would succeed all the
same. So the first error marks the environment, and no process acknowledges a write to it until a start has checked it.

The marks are a page of memory that the supervisor makes for each run of a server and its children inherit: marking
needs no disk, which is just when it is wanted, a child that is started again still sees the marks, and they end with
the server. Without a supervisor a process has marks of its own.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import threading
from pathlib import Path
from typing import Final

VARIABLE: Final = "POINTSTORE_POISON_FD"
"""Environment variable with the descriptor that a child inherits."""

_MARK_BYTES: Final = 16
_NONE: Final = bytes(_MARK_BYTES)


def create_page() -> int:
    """Return the descriptor of a page without marks, for the children of this process to inherit."""
    descriptor = os.memfd_create("pointstore-poison", os.MFD_CLOEXEC)
    os.truncate(descriptor, mmap.PAGESIZE)
    return descriptor


class Marks:
    """The marks of one server. Thread-safe.

    Args:
        descriptor: of the page that `create_page` made; None for marks that no other process sees.
    """

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._page = mmap.mmap(-1 if descriptor is None else descriptor, mmap.PAGESIZE)
        self._adding = threading.Lock()
        self.broken = threading.Event()
        """Set when LMDB has given up an environment in this process alone: it is to be replaced by a new one."""

    def add(self, path: Path) -> None:
        """Mark the environment in a directory; once the page is full, every environment counts as marked."""
        with self._adding:
            if self._descriptor is not None:
                fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
            try:
                taken = self._marks()
                if _digest(path) not in taken and len(taken) * _MARK_BYTES < len(self._page):
                    start = len(taken) * _MARK_BYTES
                    self._page[start : start + _MARK_BYTES] = _digest(path)
            finally:
                if self._descriptor is not None:
                    fcntl.lockf(self._descriptor, fcntl.LOCK_UN)

    def has(self, path: Path) -> bool:
        """Tell whether the environment in a directory is marked."""
        if not self.any():
            return False
        taken = self._marks()
        return _digest(path) in taken or len(taken) * _MARK_BYTES == len(self._page)

    def any(self) -> bool:
        """Tell whether anything is marked."""
        return self._page[:_MARK_BYTES] != _NONE

    def clear(self) -> None:
        """Forget all marks, for a start that checks everything."""
        self._page[:] = bytes(len(self._page))

    def _marks(self) -> list[bytes]:
        slots = (self._page[start : start + _MARK_BYTES] for start in range(0, len(self._page), _MARK_BYTES))
        return [mark for mark in slots if mark != _NONE]


def _digest(path: Path) -> bytes:
    return hashlib.blake2b(os.fsencode(path.absolute()), digest_size=_MARK_BYTES).digest()


def _inherited() -> Marks:
    descriptor = os.environ.get(VARIABLE)
    return Marks(None if descriptor is None else int(descriptor))


MARKS: Final = _inherited()
"""The marks of this process's server."""
