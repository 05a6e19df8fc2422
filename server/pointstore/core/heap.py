"""How much memory this process has in use, as its allocator counts it, and giving back what it has not.

What is in use is not the resident size: an allocator keeps pages that were freed. With an arena for each few threads,
as glibc has them, each keeps what its busiest moment needed, and the interpreter keeps freed tuples until it collects
garbage (measured: docs/adr/0012-admission.md).
"""

from __future__ import annotations

import ctypes
import gc
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

_FIELDS: Final = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keep")
_PAGES: Final = Path("/proc/self/statm")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_M_ARENA_MAX: Final = -8
_ARENAS: Final = 2


class _Mallinfo2(ctypes.Structure):
    """The result of glibc's mallinfo2(3)."""

    _fields_ = [(name, ctypes.c_size_t) for name in _FIELDS]

    uordblks: int
    hblkhd: int


_libc: Final = ctypes.CDLL(None)
_mallinfo2: Callable[[], _Mallinfo2] | None = getattr(_libc, "mallinfo2", None)
if _mallinfo2 is not None:
    _mallinfo2.restype = _Mallinfo2  # type: ignore[attr-defined]


def used_bytes() -> int:
    """Return the bytes in use; without glibc the resident ones, which shrink late."""
    if _mallinfo2 is None:
        return resident_bytes()
    info = _mallinfo2()
    return info.uordblks + info.hblkhd


def resident_bytes() -> int:
    """Return the resident bytes that belong to no file."""
    _, resident, shared, *_ = _PAGES.read_text().split()
    return (int(resident) - int(shared)) * _PAGE_BYTES


def share_arenas() -> None:
    """Let all threads allocate from few arenas; to be called before there are threads."""
    if _mallinfo2 is not None:
        _libc.mallopt(_M_ARENA_MAX, _ARENAS)


def release_regularly(every_s: float) -> None:
    """Give back what is not in use, again and again, in a thread: garbage, freed tuples and free pages.

    To be called when all that stays for good is there.

    Whole collections empty the interpreter's lists of freed tuples, up to 2,000 of each of 20 sizes. Left to itself it
    makes one in minutes or hours. What is there now is left out of all of them, which makes them short. Free pages in
    the middle of the heap stay with the process otherwise: what its busiest moment needed.

    Args:
        every_s: seconds between two.
    """
    gc.collect()
    gc.freeze()

    def collect() -> None:
        while True:
            time.sleep(every_s)
            gc.collect()
            trim()

    threading.Thread(target=collect, name="garbage", daemon=True).start()


def trim() -> None:
    """Give free pages back to the system."""
    if _mallinfo2 is not None:
        _libc.malloc_trim(0)
