"""LMDB's lock of writers, looked at without waiting for it.

A commit is durable once its meta page is written and synced. LMDB tells readers of it a moment later, in memory that
all processes share; a process that is killed in between, which is while the disk works, leaves a commit that no reader
sees until the next writer takes the lock, finds that its owner has died, and tells them. Readers of ours do not wait
for a next writer: they look whether the lock's owner has died, and then take it themselves.

The lock is a robust mutex. Its word holds the id of the thread that owns it; the kernel sets a bit there when that
thread dies, before it closes the process's connections. So what a client asks after it has lost one is answered from
the state that its lost write has left. Where the word lies is LMDB's and libc's affair: it is looked for, by a thread
that has the lock.
"""

from __future__ import annotations

import mmap
import os
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_OWNER: Final = 0x3FFF_FFFF
_OWNER_DIED: Final = 0x4000_0000
"""Parts of the word, fixed by the kernel's interface for robust mutexes."""


class WriteLock:
    """The lock of writers in the lock file of one environment. Thread-safe.

    Made before LMDB opens the file and closed after LMDB has: the locks by which LMDB notices other processes end, for
    a whole process, with the first descriptor of the file that it closes.

    Args:
        path: the lock file, which has its full size.

    Raises:
        OSError: it cannot be mapped.
    """

    def __init__(self, path: Path) -> None:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._map = mmap.mmap(descriptor, mmap.PAGESIZE, prot=mmap.PROT_READ)
        finally:
            os.close(descriptor)
        self._words = memoryview(self._map).cast("I")
        self._place = 0
        """Of the lock's word; before it is known, that of LMDB's magic number, which has no such bit."""

    def locate(self) -> None:
        """Find the lock's word; the calling thread has the lock."""
        owner = threading.get_native_id()
        # Further on there may be the same number as the id of a process that reads.
        self._place = next((place for place, word in enumerate(self._words) if word & _OWNER == owner), 0)

    def is_abandoned(self) -> bool:
        """Tell whether its owner has died and nobody has taken it since."""
        return self._words[self._place] & _OWNER_DIED != 0

    def close(self) -> None:
        """Unmap the file."""
        self._words.release()
        self._map.close()
