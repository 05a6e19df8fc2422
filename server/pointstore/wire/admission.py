"""Admission of calls: what a worker holds of requests and replies stays within a budget of bytes.

Small messages pass freely: their number is bounded by the threads. A large one takes credits, by its size and what
working on it multiplies that by, before it is parsed, and waits in line for them, a while; a reply takes them until
its client has it. `transfers.py` watches what is still on its way. An admitted call has an `Interruption`, so that its
work ends with it.
"""

from __future__ import annotations

import threading
from collections import deque
from threading import get_ident
from time import monotonic
from typing import TYPE_CHECKING, Final

import structlog

from pointstore.core import interruption
from pointstore.core.errors import OverloadedError, RequestError
from pointstore.core.interruption import Interruption
from pointstore.wire.bodies import check_size, is_packed, size_of, unpack
from pointstore.wire.status import status_of
from pointstore.wire.unary import abort

if TYPE_CHECKING:
    from grpc import ServicerContext

    from pointstore.wire.transfers import Transfers
    from pointstore.wire.unary import Handler

SMALL_BYTES: Final = 64 << 10
"""Messages up to this size take no credits; it is also what a connection carries of a call before it is asked to."""

REQUEST_WEIGHT: Final = 8
"""Bytes in memory for a byte of an upsert: received, parsed, converted, logged (docs/adr/0012-admission.md)."""

REPLY_WEIGHT: Final = 3
"""Bytes in memory for a byte of a reply: collected, joined, and the transport's copy."""

_LOOK_S: Final = 0.05
_STEP_BYTES: Final = 1 << 20
_HOLDER_WAIT_S: Final = 1.0

_log = structlog.stdlib.get_logger(__name__)


class Credits:
    """Bytes that are given out up to a budget, first come, first served. Thread-safe.

    Args:
        budget: bytes; a single cost above it counts as all of it.
        waiters_max: how many may wait.
        wait_s: how long.
    """

    def __init__(self, budget: int, waiters_max: int, wait_s: float) -> None:
        self._budget = budget
        self._waiters_max = waiters_max
        self._wait_s = wait_s
        self._changed = threading.Condition()
        self._line: deque[object] = deque()
        self._reading: set[int] = set()
        self._held = 0

    @property
    def held(self) -> int:
        """Bytes given out."""
        return self._held

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._line)

    def enter(self, until: float) -> bool:
        """Wait until the calling thread may read a message: while some wait for credits, until one more could.

        Without that, every message that cannot even wait would be read whole only to be refused.

        Args:
            until: when to give up, on the clock of `time.monotonic`.

        Returns:
            whether it may; then `entered` is to follow.
        """
        if not self._line:
            return True
        with self._changed:
            while self._line and len(self._line) + len(self._reading) >= self._waiters_max:
                left_s = until - monotonic()
                if left_s <= 0:
                    return False
                self._changed.wait(left_s)
            if self._line:
                self._reading.add(get_ident())
            return True

    def entered(self) -> None:
        """Note that the calling thread has read its message, or will not."""
        if self._reading:
            with self._changed:
                self._reading.discard(get_ident())
                self._changed.notify_all()

    def take(self, cost: int, *, wait_s: float | None = None) -> int:
        """Take credits, waiting for them if need be; return what is to be given back.

        Args:
            cost: how many.
            wait_s: how long to wait, as everybody by default.

        Raises:
            OverloadedError: too many wait already, or it took too long.
            CallCancelledError: the client has gone meanwhile.
            OperationTimeoutError: the call's deadline has passed meanwhile.
        """
        cost = min(cost, self._budget)
        with self._changed:
            if not self._line and self._held + cost <= self._budget:
                self._held += cost
                return cost
            if len(self._line) >= self._waiters_max:
                raise self._overloaded(cost, "and enough large messages wait already")
            place = object()
            self._line.append(place)
            try:
                self._wait(place, cost, self._wait_s if wait_s is None else wait_s)
            finally:
                self._line.remove(place)
                self._changed.notify_all()
            self._held += cost
            return cost

    def give(self, cost: int) -> None:
        """Give credits back."""
        with self._changed:
            self._held -= cost
            self._changed.notify_all()

    def _wait(self, place: object, cost: int, wait_s: float) -> None:
        until = monotonic() + wait_s
        while self._line[0] is not place or self._held + cost > self._budget:
            interruption.check()
            if monotonic() > until:
                raise self._overloaded(cost, f"and stayed so for {wait_s:g} s")
            self._changed.wait(_LOOK_S)

    def _overloaded(self, cost: int, why: str) -> OverloadedError:
        return OverloadedError(
            f"memory for requests is taken, {why}; this message needs {cost} of {self._budget} bytes "
            f"(setting request_memory_mb = {self._budget >> 20}), try again later"
        )


class AdmittedCall(Interruption):
    """A call with the credits that it holds for its reply, as far as that has grown.

    Args:
        deadline: on the clock of `time.monotonic`; None for none.
        credits_: where they come from.
        message_bytes: largest reply.
    """

    __slots__ = ("_credits", "_message_bytes", "_size", "held")

    def __init__(self, deadline: float | None, credits_: Credits, message_bytes: int) -> None:
        super().__init__(deadline)
        self._credits = credits_
        self._message_bytes = message_bytes
        self._size = 0
        self.held = 0

    def grow(self, size: int) -> None:
        """Take credits for what is collected for the reply.

        Raises:
            MessageTooLargeError: it will be larger than a reply may be.
            OverloadedError: there are no credits.
        """
        self._size += size
        check_size("reply", self._size, self._message_bytes, so_far=True)
        if REPLY_WEIGHT * self._size - self.held > _STEP_BYTES:
            self.hold(REPLY_WEIGHT * self._size)

    def hold(self, cost: int) -> None:
        """Hold so many credits.

        Raises:
            OverloadedError: there are not so many.
        """
        if cost > self.held:
            # Who holds some already must not wait long for more: two of them could wait for each other.
            self.held += self._credits.take(cost - self.held, wait_s=_HOLDER_WAIT_S if self.held else None)


class Admission:
    """Admits the calls of one worker.

    Args:
        credits_: the budget.
        transfers: told when a body has arrived and a large reply begins to leave.
        message_bytes: largest request and reply.
    """

    def __init__(self, credits_: Credits, transfers: Transfers, message_bytes: int) -> None:
        self._credits = credits_
        self._transfers = transfers
        self._message_bytes = message_bytes

    def admitted(self, handler: Handler) -> Handler:
        """Return the handler of a call with admission before it, and before its reply."""
        arrived, entered = self._transfers.arrived, self._credits.entered

        def admit(body: bytes, context: ServicerContext) -> bytes:
            arrived()
            entered()
            remaining = context.time_remaining()
            deadline = None if remaining is None else monotonic() + remaining
            call = AdmittedCall(deadline, self._credits, self._message_bytes)
            if not context.add_callback(call.cancel):
                call.cancel()
            interruption.begin(call)
            try:
                call.check()
                if len(body) <= SMALL_BYTES and not is_packed(body):
                    reply = handler(body, context)
                else:
                    reply = self._large(handler, body, context)
                if len(reply) > SMALL_BYTES:
                    self._leave(reply, call, context)
            except RequestError as error:
                abort(context, status_of(error))
            finally:
                interruption.begin(None)
                if call.held:
                    self._credits.give(call.held)
                overdue_s = call.overdue_s()
                if overdue_s is not None:
                    _log.debug("interrupted", overdue_ms=round(overdue_s * 1000, 1))
            return reply

        return admit

    def _large(self, handler: Handler, body: bytes, context: ServicerContext) -> bytes:
        size = size_of(body)
        check_size("request", size, self._message_bytes)
        cost = self._credits.take(REQUEST_WEIGHT * size)
        try:
            return handler(unpack(body, size) if is_packed(body) else body, context)
        finally:
            self._credits.give(cost)

    def _leave(self, reply: bytes, call: AdmittedCall, context: ServicerContext) -> None:
        """Leave the credits of a reply to its way: a client may read it slowly."""
        check_size("reply", len(reply), self._message_bytes)
        call.hold(REPLY_WEIGHT * len(reply))
        cost, call.held = call.held, 0
        departure = self._transfers.leaving(context)

        def ended() -> None:
            self._transfers.left(departure)
            self._credits.give(cost)

        if not context.add_callback(ended):
            ended()
