"""Messages on their way: bodies that a worker is receiving, and large replies that a client has still to take.

A thread waits for a body as long as it arrives, and nobody knows its size before. So a watch looks at those that do
not come at once: it ends what takes too long, what keeps the last thread while calls wait, and, youngest first, what
lets the memory in use outgrow the budget.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from threading import get_ident
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, Protocol

import grpc
import structlog

from pointstore.core.heap import used_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LOOK_S: Final = 0.1
"""Seconds between two looks; what takes less is no one's business."""

_TURN_S: Final = 1.0
"""What a slow body gets at least, however many calls wait for its thread."""

_log = structlog.stdlib.get_logger(__name__)


class Cancellable(Protocol):
    """A call that can be ended from any thread."""

    def cancel(self) -> object:
        """End it."""
        ...


class Line(Protocol):
    """A pool of threads that calls may wait for."""

    @property
    def waiting(self) -> int:
        """How many wait."""
        ...


@dataclass(slots=True, eq=False)
class Arrival:
    """A body that a thread waits for; `event` is the transport's and has the call."""

    event: Any
    line: Line
    began: float = field(default_factory=monotonic)
    refused: bool = False
    _over: bool = False
    _deciding: threading.Lock = field(default_factory=threading.Lock)

    def refuse(self, code: grpc.StatusCode, text: str) -> None:
        """End the call, unless its body has come meanwhile; its thread is free at once."""
        with self._deciding:
            if not (self.refused or self._over):
                self.refused = True
                refuse(self.event, code, text)

    def end(self) -> bool:
        """Note that the body has come, or will not; tell whether the call may go on."""
        with self._deciding:
            self._over = True
            return not self.refused


@dataclass(slots=True, eq=False)
class Departure:
    """A reply that has not reached its client."""

    call: Cancellable
    began: float = field(default_factory=monotonic)


class Transfers:
    """Watches the messages on their way.

    Args:
        budget: bytes of memory for all requests and replies.
        timeout_s: most seconds of a transfer.
        held: bytes of the budget that are given out to what has arrived.
        starved: whether a message waits for memory.
    """

    def __init__(self, *, budget: int, timeout_s: float, held: Callable[[], int], starved: Callable[[], bool]) -> None:
        self._budget = budget
        self._timeout_s = timeout_s
        self._held = held
        self._starved = starved
        self._arriving: dict[int, Arrival] = {}
        self._leaving: dict[int, Departure] = {}
        self._base = used_bytes()
        self._stopping = threading.Event()

    def start(self) -> None:
        """Begin to watch, on a thread of its own."""
        threading.Thread(target=self._watch, name="transfers", daemon=True).start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopping.set()

    def arriving(self, event: object, line: Line) -> None:
        """Note that the calling thread begins to wait for a body."""
        self._arriving[get_ident()] = Arrival(event, line)

    def arrived(self) -> bool:
        """Note that the calling thread has its body, or will not get it; tell whether its call may go on.

        A refused one must not, though its body has come after all: its client is told that nothing was done.
        """
        arrival = self._arriving.pop(get_ident(), None)
        return arrival is None or arrival.end()

    def leaving(self, call: Cancellable) -> Departure:
        """Note that a large reply begins to leave."""
        departure = Departure(call)
        self._leaving[id(departure)] = departure
        return departure

    def left(self, departure: Departure) -> None:
        """Note that a reply has left, or will not."""
        self._leaving.pop(id(departure), None)

    def look(self, now: float) -> None:
        """End what must not go on; the watch does so ten times a second."""
        slow = sorted(
            (each for each in list(self._arriving.values()) if now - each.began > LOOK_S), key=lambda each: each.began
        )
        if slow:
            self._end_slow(slow, now)
            self._end_large(slow)
        else:
            self._base = used_bytes() - self._held()
        for departure in list(self._leaving.values()):
            age_s = now - departure.began
            if age_s > self._timeout_s or (age_s > _TURN_S and self._starved()):
                _log.info("a client does not take its reply", seconds=round(age_s, 1))
                departure.call.cancel()

    def _end_slow(self, slow: Sequence[Arrival], now: float) -> None:
        for arrival in slow:
            age_s = now - arrival.began
            if age_s > self._timeout_s:
                arrival.refuse(
                    grpc.StatusCode.DEADLINE_EXCEEDED,
                    f"the request did not arrive within {self._timeout_s:g} s (setting transfer_timeout_s)",
                )
            elif age_s > _TURN_S and arrival.line.waiting:
                arrival.refuse(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    "Overloaded: the request arrives slowly and other calls wait (setting threads), try again later",
                )

    def _end_large(self, slow: Sequence[Arrival]) -> None:
        """End the youngest body while memory is beyond the budget; the next look sees what that was good for."""
        used = used_bytes() - self._base
        if used > self._budget:
            youngest = next((each for each in reversed(slow) if not each.refused), None)
            if youngest is not None:
                youngest.refuse(
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    f"Overloaded: requests that arrive take {used} bytes of memory together, the limit is "
                    f"{self._budget} bytes (setting request_memory_mb = {self._budget >> 20}), try again later",
                )

    def _watch(self) -> None:
        while not self._stopping.wait(LOOK_S):
            try:
                self.look(monotonic())
            except Exception:  # noqa: BLE001  logged; the watch goes on
                # The watch must live: without it a slow client could hold a thread for good.
                _log.exception("a look at the transfers failed")


def refuse(event: Any, code: grpc.StatusCode, text: str) -> None:  # noqa: ANN401  the transport's own, untyped
    """End a call whose handler has not begun, with a status.

    grpcio has no public way to do that: a handler begins with its request. Its call object is reached through the
    arguments that it gives to a pool; tests/server/test_overload.py fails should that change.
    """
    event.call.cancel(code.value[0], text)
