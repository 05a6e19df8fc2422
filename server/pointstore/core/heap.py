"""How much memory this process has in use, as its allocator counts it.

Not the resident size: an allocator keeps pages that were freed, so that one says what was in use at the worst moment.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Final

_FIELDS: Final = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keep")
_STATUS: Final = Path("/proc/self/status")
_KIB: Final = 1024


class _Mallinfo2(ctypes.Structure):
    """The result of glibc's mallinfo2(3)."""

    _fields_ = [(name, ctypes.c_size_t) for name in _FIELDS]

    uordblks: int
    hblkhd: int


_mallinfo2: Callable[[], _Mallinfo2] | None = getattr(ctypes.CDLL(None), "mallinfo2", None)
if _mallinfo2 is not None:
    _mallinfo2.restype = _Mallinfo2  # type: ignore[attr-defined]


def used_bytes() -> int:
    """Return the bytes in use; without glibc the resident bytes that belong to no file, which shrink late."""
    if _mallinfo2 is None:
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("RssAnon"))
        return int(line.split()[1]) * _KIB
    info = _mallinfo2()
    return info.uordblks + info.hblkhd
