"""When the work of a call is to stop: its deadline has passed, or its client has gone.

A transport begins an `Interruption` on the thread that executes a call; long loops in any layer pass `check` every so
often, which costs a fraction of a microsecond and does nothing on a thread without a call. Work that must not stop in
the middle, such as applying what is logged, does not check. Reads that collect much say so with `grow`, which ends
those whose reply nobody could send. At a check a transport may let long calls wait for each other (`turns.py`): what
others wait for says `hasten`, and what sleeps does so in `rest`. It knows nothing about transports.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final

from pointstore.core.errors import CallCancelledError, OperationTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from typing import TypeVar

    _Item = TypeVar("_Item")
    _Found = TypeVar("_Found")

STRIDE: Final = 256
"""Items of cheap work between two checks in `checked`."""

_FIRST: Final = 2
_GROWTH: Final = 32
_ITEMS_MAX: Final = 1024
_BYTES: Final = 1 << 20


class Interruption:
    """One call's deadline and whether its client has gone; `cancel` may come from any thread.

    Args:
        deadline: of the client's call, on the clock of `time.monotonic`; None for none.
    """

    __slots__ = ("_cancelled_at", "_deadline", "_text")

    def __init__(self, deadline: float | None = None) -> None:
        self._deadline = deadline
        self._text = "Timeout error: the deadline of the call has passed"
        self._cancelled_at: float | None = None

    def cancel(self) -> None:
        """Note that nobody waits for the reply."""
        self._cancelled_at = monotonic()

    def limit(self, operation: str, timeout_s: float) -> None:
        """Stop after so many seconds from now, unless it is to stop earlier anyway."""
        deadline = monotonic() + timeout_s
        if self._deadline is None or deadline < self._deadline:
            self._deadline = deadline
            self._text = f"Timeout error: Operation '{operation}' timed out after {timeout_s:g}s"

    def grow(self, size: int) -> None:
        """Note that the reply grows by so many bytes; a transport may object."""

    def rest(self, seconds: float) -> None:
        """Sleep; others may go on meanwhile."""
        sleep(seconds)

    def hasten(self) -> None:
        """Note that others may wait for what the call does from now on."""

    def overdue_s(self) -> float | None:
        """Return for how long the work should have stopped; None when it need not."""
        moments = [moment for moment in (self._cancelled_at, self._deadline) if moment is not None]
        overdue_s = monotonic() - min(moments) if moments else 0.0
        return overdue_s if overdue_s > 0 else None

    def check(self) -> None:
        """Raise if the work is to stop.

        Raises:
            CallCancelledError: the client has gone.
            OperationTimeoutError: the time is over.
        """
        if self._cancelled_at is not None:
            msg = "the client has ended the call"
            raise CallCancelledError(msg)
        if self._deadline is not None and monotonic() > self._deadline:
            raise OperationTimeoutError(self._text)


class _Local(threading.local):
    call: Interruption | None = None


_local: Final = _Local()


def current() -> Interruption | None:
    """Return the interruption of the call that this thread executes, if any."""
    return _local.call


def begin(call: Interruption | None) -> None:
    """Let this thread execute a call, or none any more."""
    _local.call = call


@contextmanager
def acting_for(call: Interruption | None) -> Iterator[None]:
    """Work for another thread's call for a while."""
    own = _local.call
    _local.call = call
    try:
        yield
    finally:
        _local.call = own


def check() -> None:
    """Raise if the call that this thread executes is to stop.

    Raises:
        CallCancelledError: its client has gone.
        OperationTimeoutError: its time is over.
    """
    call = _local.call
    if call is not None:
        call.check()


def limit(operation: str, timeout_s: float) -> None:
    """Give the call that this thread executes at most so many seconds from now."""
    call = _local.call
    if call is not None:
        call.limit(operation, timeout_s)


def grow(size: int) -> None:
    """Note that the reply of the call that this thread executes grows by so many bytes.

    Raises:
        MessageTooLargeError: it could not be sent.
        OverloadedError: there is no memory for it now.
    """
    call = _local.call
    if call is not None:
        call.grow(size)


def rest(seconds: float) -> None:
    """Let the call that this thread executes sleep until it looks again for what it waits for.

    Raises:
        CallCancelledError: its client has gone.
        OperationTimeoutError: its time is over.
    """
    call = _local.call
    if call is None:
        sleep(seconds)
    else:
        call.check()
        call.rest(seconds)


def hasten() -> None:
    """Note that others may wait for what the call that this thread executes does from now on."""
    call = _local.call
    if call is not None:
        call.hasten()


def checked(items: Iterable[_Item], stride: int = STRIDE) -> Iterator[_Item]:
    """Yield items, with a check before the first and every `stride` of them.

    Raises:
        CallCancelledError: the client has gone.
        OperationTimeoutError: the time is over.
    """
    call = _local.call
    if call is None:
        yield from items
        return
    for number, item in enumerate(items):
        if not number % stride:
            call.check()
        yield item


def stretches(items: Sequence[_Item], size: int) -> Iterator[Sequence[_Item]]:
    """Yield items in pieces of `size`, with a check before each.

    Raises:
        CallCancelledError: the client has gone.
        OperationTimeoutError: the time is over.
    """
    for start in range(0, len(items), size):
        check()
        yield items if len(items) <= size else items[start : start + size]


def collected(
    items: Sequence[_Item], read: Callable[[Sequence[_Item]], list[_Found]], weigh: Callable[[list[_Found]], int]
) -> list[_Found]:
    """Read items for a reply, in pieces with a check before and `grow` after each.

    The first piece is small and tells how large others may be: a thousand payloads can be 1 KB or 1 GB, and `grow`
    comes too late for what one piece holds.

    Args:
        items: what to read.
        read: reads a piece.
        weigh: bytes of what was read for the reply.

    Raises:
        CallCancelledError: the client has gone.
        OperationTimeoutError: the time is over.
        MessageTooLargeError: the reply could not be sent.
        OverloadedError: there is no memory for it now.
    """
    found: list[_Found] = []
    start, size = 0, _FIRST
    while start < len(items):
        check()
        piece = read(items[start : start + size])
        weight = weigh(piece)
        grow(weight)
        found += piece
        start += size
        size = max(1, min(_BYTES * size // max(weight, 1), _GROWTH * size, _ITEMS_MAX))
    return found
