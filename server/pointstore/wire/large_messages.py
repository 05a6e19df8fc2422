"""Memory after large messages: what they needed goes back to the system, and does not wait for the next one.

A message of hundreds of MB becomes tens of thousands of objects of a few KB. glibc keeps their memory when they are
freed, as long as anything behind them in the same heap is in use.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from grpc import ServicerContext

    from pointstore.wire.unary import Handler

LARGE_BYTES: Final = 16 << 20
"""Size of a request or reply from which the tens of milliseconds that a trim takes do not matter."""


def trimming(handler: Handler, trim: Callable[[], object] | None = None) -> Handler:
    """Return `handler` with a trim of the heap after each large message.

    Args:
        handler: has let go of what it made of the request when it returns or raises.
        trim: gives free memory back; by default the C library's `malloc_trim`.

    """
    give_back = trim or _trim

    def trimmed(body: bytes, context: ServicerContext) -> bytes:
        size = len(body)
        try:
            reply = handler(body, context)
            size = max(size, len(reply))
        finally:
            if size >= LARGE_BYTES:
                give_back()
        return reply

    return trimmed


def _trim() -> None:
    # Other C libraries than glibc have no such function.
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
