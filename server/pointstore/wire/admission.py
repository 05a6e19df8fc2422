"""Admission of calls: what a worker holds of requests and replies stays within a budget of bytes.

Small messages pass freely: their number is bounded by the threads. A large one takes credits, by its size and what
working on it multiplies that by, before it is parsed, and waits in line for them, a while; a reply takes them until
its client has it. `transfers.py` watches what is still on its way. An admitted call has an `Interruption`, so that its
work ends with it, and works in turns when it is long.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from threading import get_ident
from time import monotonic, thread_time
from typing import TYPE_CHECKING, Final

import structlog

from pointstore.core import interruption
from pointstore.core.errors import OverloadedError, RequestError
from pointstore.core.interruption import Interruption
from pointstore.core.turns import SLICE_S, Turns
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
        budget: bytes; a single cost above it counts as all of it. Also an attribute.
        waiters_max: how many may wait.
        wait_s: how long.
    """

    def __init__(self, budget: int, waiters_max: int, wait_s: float) -> None:
        self.budget = budget
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
        cost = min(cost, self.budget)
        if self.take_now(cost):
            return cost
        with self._changed:
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

    def take_now(self, cost: int) -> bool:
        """Take credits if there are so many and nobody waits for some."""
        with self._changed:
            if self._line or self._held + cost > self.budget:
                return False
            self._held += cost
            return True

    def give(self, cost: int) -> None:
        """Give credits back."""
        with self._changed:
            self._held -= cost
            self._changed.notify_all()

    def _wait(self, place: object, cost: int, wait_s: float) -> None:
        until = monotonic() + wait_s
        while self._line[0] is not place or self._held + cost > self.budget:
            interruption.check()
            if monotonic() > until:
                raise self._overloaded(cost, f"and stayed so for {wait_s:g} s")
            self._changed.wait(_LOOK_S)

    def _overloaded(self, cost: int, why: str) -> OverloadedError:
        return OverloadedError(
            f"memory for requests is taken, {why}; this message needs {cost} of {self.budget} bytes "
            f"(setting request_memory_mb = {self.budget >> 20}), try again later"
        )


class AdmittedCall(Interruption):
    """A call with the credits that it holds for its reply, as far as that has grown, and its turns of work.

    Attributes:
        held: credits for its reply.
        requested: credits that are held for its request meanwhile.

    Args:
        deadline: on the clock of `time.monotonic`; None for none.
        credits_: where they come from.
        turns: where it gets turns from when it works for longer than one lasts.
        message_bytes: largest reply.
    """

    __slots__ = ("_credits", "_message_bytes", "_size", "_turn_ends", "_turns", "_worked_from_s", "held", "requested")

    def __init__(self, deadline: float | None, credits_: Credits, turns: Turns, message_bytes: int) -> None:
        super().__init__(deadline)
        self._credits = credits_
        self._turns = turns
        self._message_bytes = message_bytes
        self._turn_ends = math.inf
        self._worked_from_s = 0.0
        self._size = 0
        self.held = self.requested = 0

    def check(self) -> None:
        """Raise if the work is to stop, and wait for a turn when it has lasted.

        Raises:
            CallCancelledError: the client has gone.
            OperationTimeoutError: the time is over.
        """
        super().check()
        if monotonic() > self._turn_ends:
            # Time that others had is not its own: short calls must not wait for long ones' turns.
            left_s = SLICE_S - (thread_time() - self._worked_from_s)
            self._turn_ends = monotonic() + left_s if left_s > 0 else self._turns.following(self, super().check)

    def work(self) -> None:
        """Begin to work: beyond the length of a turn only in turns."""
        self._turn_ends = monotonic() + SLICE_S
        self._worked_from_s = thread_time()

    def rest(self, seconds: float) -> None:
        """Sleep without a turn."""
        self._turns.leave(self)
        super().rest(seconds)
        if self._turn_ends < math.inf:
            self._turn_ends = monotonic() + SLICE_S

    def hasten(self) -> None:
        """End the call's turn and need none from now on."""
        self._turns.leave(self)
        self._turn_ends = math.inf

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
        """Hold so many credits, or all that there are besides those of the request.

        Raises:
            OverloadedError: they are taken.
        """
        more = min(cost, self._credits.budget - self.requested) - self.held
        if more <= 0:
            return
        if not self._credits.take_now(more):
            turn_ends = self._turn_ends
            # Who waits has no turn: the others must go on to give credits back.
            self.hasten()
            # Who holds some already must not wait long for more: two of them could wait for each other.
            self._credits.take(more, wait_s=_HOLDER_WAIT_S if self.held or self.requested else None)
            if turn_ends < math.inf:
                self._turn_ends = monotonic()
        self.held += more


class Admission:
    """Admits the calls of one worker.

    Args:
        credits_: the budget.
        turns: of calls that work for long.
        transfers: told when a body has arrived and a large reply begins to leave.
        message_bytes: largest request and reply.
    """

    def __init__(self, credits_: Credits, turns: Turns, transfers: Transfers, message_bytes: int) -> None:
        self._credits = credits_
        self._turns = turns
        self._transfers = transfers
        self._message_bytes = message_bytes

    def admitted(self, handler: Handler) -> Handler:
        """Return the handler of a call with admission before it, and before its reply."""
        arrived, entered = self._transfers.arrived, self._credits.entered

        def admit(body: bytes, context: ServicerContext) -> bytes:
            may_go_on = arrived()
            entered()
            remaining = context.time_remaining()
            deadline = None if remaining is None else monotonic() + remaining
            call = AdmittedCall(deadline, self._credits, self._turns, self._message_bytes)
            if not (context.add_callback(call.cancel) and may_go_on):
                call.cancel()
            interruption.begin(call)
            try:
                call.check()
                if len(body) <= SMALL_BYTES and not is_packed(body):
                    call.work()
                    reply = handler(body, context)
                else:
                    reply = self._large(handler, body, call, context)
                if len(reply) > SMALL_BYTES:
                    self._leave(reply, call, context)
            except RequestError as error:
                abort(context, status_of(error))
            finally:
                interruption.begin(None)
                call.hasten()
                if call.held:
                    self._credits.give(call.held)
                overdue_s = call.overdue_s()
                if overdue_s is not None:
                    _log.debug("interrupted", overdue_ms=round(overdue_s * 1000, 1))
            return reply

        return admit

    def _large(self, handler: Handler, body: bytes, call: AdmittedCall, context: ServicerContext) -> bytes:
        size = size_of(body)
        check_size("request", size, self._message_bytes)
        call.requested = self._credits.take(REQUEST_WEIGHT * size)
        try:
            call.work()
            return handler(unpack(body, size) if is_packed(body) else body, context)
        finally:
            self._credits.give(call.requested)
            call.requested = 0

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
