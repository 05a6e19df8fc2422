"""Group commit: the writes of many threads in one transaction.

Each thread queues its updates. One of them leads: it takes everything that is queued by then, resolves, logs and
applies it in one synced transaction, hands the lead to the oldest request that has come meanwhile and wakes those
whose results are ready. Without contention that is no more than the transaction itself, on the caller's own thread.
Requests of one group succeed and fail one by one, since resolving happens before anything of an operation is written.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from pointstore.core import interruption
from pointstore.core.errors import InsufficientStorageError, PointstoreError, RequestError, UnavailableError
from pointstore.core.interruption import Interruption
from pointstore.core.operation import Nothing, Operation
from pointstore.core.update import Update
from pointstore.engine.resolve import resolve
from pointstore.engine.transition import Transition

QUEUE_MAX = 1024
"""Requests that may wait for a commit; more are refused."""

_LOOK_S = 0.02
"""Seconds between two looks of a waiting thread at its call."""

_ROOM_S, _ROOM_LOOK_S = 2.0, 0.05
"""Seconds that a leader waits for room for what frees space, and between two attempts."""


Begin = Callable[[], AbstractContextManager[Transition]]
"""Opens a transaction; leaving it without an error finishes and commits."""


Check = Callable[[Update, Transition], None]
Charge = Callable[[Update, Operation | None, Transition], None]


@dataclass(slots=True, eq=False)
class _Request:
    """What one thread wants written.

    Attributes:
        updates: in order.
        wait: as in `Writer.write`.
        call: of the thread.
        seqs: log numbers of the updates that were accepted.
        error: of the first one that was not.
        charged: places of the updates that have been charged, in whatever attempt.
        done: `seqs` and `error` are final.
        leads: its thread is to commit what is queued.
        begun: whoever commits has begun with it, so that it can no longer be withdrawn.
        withdrawn: nobody waits for it.
        asleep: held until its thread is to go on.
    """

    updates: Sequence[Update]
    wait: bool
    call: Interruption | None
    seqs: list[int] = field(default_factory=list)
    error: Exception | None = None
    charged: set[int] = field(default_factory=set)
    done: bool = False
    leads: bool = False
    begun: bool = False
    withdrawn: bool = False
    asleep: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.asleep.acquire()

    def begin_again(self) -> None:
        """Forget what an attempt came to that was not committed."""
        self.seqs.clear()
        self.error = None


class Writer:
    """Commits the updates of one collection in one process; other processes take turns through LMDB's lock.

    Args:
        check: refuses an update before it is resolved (strict mode).
        charge: refuses an update after it is resolved (rates); gets the operation, None if there cannot be one. What it
            has let pass is not charged again when the transaction is repeated.
    """

    def __init__(self, check: Check, charge: Charge | None = None) -> None:
        self._check = check
        self._charge = charge
        self._queue: list[_Request] = []
        self._queue_lock = threading.Lock()
        self._led = False

    def write(self, updates: Sequence[Update], begin: Begin, *, wait: bool) -> list[int]:
        """Commit updates in order, each atomic and independent; return their log numbers once they are on disk.

        With `wait` false an error that is only noticed when applied is dropped, and the update just takes its number.
        `begin` is no attribute: a collection and its writer would keep each other, and a dropped one's files, alive.

        Raises:
            RequestError: an update was refused; those before it are committed, those after it not tried.
            InsufficientStorageError: disk or map full, or too many writes wait; nothing was committed.
            UnavailableError: after an I/O error, or interrupted.
            CallCancelledError: the client went before its turn came.
            OperationTimeoutError: the call's deadline passed before its turn came.
        """
        interruption.hasten()
        request = _Request(updates, wait, interruption.current())
        with self._queue_lock:
            if len(self._queue) >= QUEUE_MAX:
                msg = f"more than {QUEUE_MAX} writes are waiting"
                raise InsufficientStorageError(msg)
            self._queue.append(request)
            request.leads, self._led = not self._led, True
        if not request.leads:
            self._wait(request)
        if request.leads:
            self._lead(begin)
        if not request.done:
            # The thread that committed for this one was ended in the middle, so nothing is known of the outcome.
            msg = "the write was interrupted"
            raise UnavailableError(msg)
        error, request.error = request.error, None
        if error is not None:
            try:
                raise error
            finally:
                # Its traceback holds this frame: the two would keep each other, and the collection, alive.
                del error
        return request.seqs

    def _wait(self, request: _Request) -> None:
        """Sleep until the request is done or is to lead; or withdraw it when its call is to stop before it is begun."""
        while not request.asleep.acquire(timeout=_LOOK_S):
            try:
                interruption.check()
            except PointstoreError:
                with self._queue_lock:
                    if not (request.leads or request.begun):
                        request.withdrawn = True
                        if request in self._queue:
                            self._queue.remove(request)
                        raise

    def _lead(self, begin: Begin) -> None:
        """Commit what is queued.

        The lead is handed on, not left to whoever is fastest: that would be this thread with its next request, again
        and again, while the others sleep.
        """
        with self._queue_lock:
            group, self._queue = self._queue, []
        try:
            self._commit(group, begin, time.monotonic() + _ROOM_S)
        finally:
            with self._queue_lock:
                heirs = self._queue[:1]
                self._led = bool(heirs)
                for heir in heirs:
                    heir.leads = True
            for woken in (*heirs, *group):
                woken.asleep.release()

    def _commit(self, group: list[_Request], begin: Begin, room_by: float) -> None:
        error, grows = self._attempt(group, begin)
        # An open read keeps what was freed before from being used again. What frees space waits for its end.
        while isinstance(error, InsufficientStorageError) and not grows and len(group) == 1:
            if time.monotonic() > room_by:
                break
            time.sleep(_ROOM_LOOK_S)
            group[0].begin_again()
            error, grows = self._attempt(group, begin)
        if error is not None:
            self._isolate(group, begin, error, room_by)
        for request in group:
            request.done = True

    def _attempt(self, group: list[_Request], begin: Begin) -> tuple[Exception | None, bool]:
        """Commit requests in one transaction; return what failed, if anything, and whether it was to store more."""
        transition: Transition | None = None
        try:
            with begin() as transition:
                for request in group:
                    with self._queue_lock:
                        request.begun = not request.withdrawn
                    if request.begun:
                        self._run(request, transition)
        except Exception as error:  # noqa: BLE001  handed to the thread whose request it was
            return error, transition is None or transition.grows
        return None, transition.grows

    def _isolate(self, group: list[_Request], begin: Begin, error: Exception, room_by: float) -> None:
        """After the common transaction failed: give a lone request its error, or let each try by itself."""
        for request in group:
            request.begin_again()
            if len(group) == 1:
                request.error = error
        if len(group) > 1:
            for request in group:
                self._commit([request], begin, room_by)

    def _run(self, request: _Request, transition: Transition) -> None:
        for place, update in enumerate(request.updates):
            try:
                # Filters of an update look at the clock of its own call, not at that of the thread that commits.
                with interruption.acting_for(request.call):
                    interruption.check()
                    self._check(update, transition)
                    operation = self._resolved(request, place, transition)
            except RequestError as error:
                if request.wait or not error.when_applied:
                    request.error = error
                    return
                operation = Nothing()
            # From here on it completes: nothing below looks at any call's clock.
            with interruption.acting_for(None):
                request.seqs.append(transition.append(operation))

    def _resolved(self, request: _Request, place: int, transition: Transition) -> Operation:
        """Resolve and charge an update; the reference charges what it logs, hence also what fails when applied."""
        try:
            operation = resolve(request.updates[place], transition)
        except RequestError as error:
            if error.when_applied:
                self._charge_once(request, place, None, transition)
            raise
        self._charge_once(request, place, operation, transition)
        return operation

    def _charge_once(self, request: _Request, place: int, operation: Operation | None, transition: Transition) -> None:
        if self._charge is not None and place not in request.charged:
            self._charge(request.updates[place], operation, transition)
            request.charged.add(place)
