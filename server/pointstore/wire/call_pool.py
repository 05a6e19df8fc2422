"""The threads that execute calls: a pool whose line of waiting calls is bounded, in number and in time.

grpcio hands a call over as soon as its headers are there. Its body is read on the thread, up to then the connection
holds back all but the first kilobytes of it; so the bound of the line also bounds what waiting calls hold in memory.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NoReturn

import grpc
import structlog

from pointstore.core.errors import OverloadedError
from pointstore.wire.status import SHUTTING_DOWN, Status, status_of
from pointstore.wire.transfers import refuse
from pointstore.wire.unary import abort

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pointstore.wire.admission import Credits
    from pointstore.wire.transfers import Transfers

    Method = grpc.RpcMethodHandler[bytes, bytes]

_log = structlog.stdlib.get_logger(__name__)

_EVENT: Final = 1
"""Place of the transport's event among the arguments of what it submits."""


class CallPool(ThreadPoolExecutor):
    """Executes calls; started by the first ones.

    The base class is only what grpcio demands. Its own queue makes a future with a condition and takes two locks for a
    call, which was half of what the transport's only thread did under a flood of calls.

    Args:
        name: prefix of the threads' names.
        threads: calls executed at the same time.
        waiting_max: calls that may wait, for `full`.
        wait_s: seconds after which a waiting call is refused rather than begun.
        transfers: told when a thread waits for a body.
        credits_: asked before a thread does so; None for calls that are read whatever else waits.
    """

    def __init__(  # noqa: PLR0913  what it is made of, once
        self,
        name: str,
        threads: int,
        waiting_max: int,
        wait_s: float,
        transfers: Transfers,
        credits_: Credits | None = None,
    ) -> None:
        super().__init__(threads)
        self._name = name
        self._threads_max = threads
        self._waiting_max = waiting_max
        self._wait_s = wait_s
        self._transfers = transfers
        self._credits = credits_
        self._line = SimpleQueue[_Turn | None]()
        self._workers: list[threading.Thread] = []
        self._at_work: set[_Turn] = set()
        self._closed = False

    @property
    def waiting(self) -> int:
        """Calls that wait for a thread."""
        return self._line.qsize()

    @property
    def busy(self) -> bool:
        """Whether calls are executed or wait."""
        return bool(self._at_work) or self.waiting > 0

    @property
    def full(self) -> bool:
        """Whether no more calls should come."""
        return self.waiting >= self._waiting_max

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> _Turn:  # type: ignore[override]  # noqa: ANN401  the base class's
        """Queue what the transport does for one call; for its one thread only.

        Raises:
            RuntimeError: the pool is shut down.
        """
        if self._closed:
            raise RuntimeError("the pool is shut down")
        turn = _Turn(fn, args, kwargs)
        self._line.put(turn)
        if len(self._workers) < self._threads_max and self._line.qsize():
            worker = threading.Thread(target=self._work, name=f"{self._name}_{len(self._workers)}", daemon=True)
            self._workers.append(worker)
            worker.start()
        return turn

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002  the base class's
        """Let the threads end after what is queued."""
        self._closed = True
        for _ in self._workers:
            self._line.put(None)
        if wait:
            for worker in self._workers:
                worker.join()
        super().shutdown(wait=wait, cancel_futures=cancel_futures)

    def _work(self) -> None:
        while (turn := self._line.get()) is not None:
            try:
                self._run(turn)
            except BaseException:  # noqa: BLE001  the transport's own; the thread goes on
                _log.exception("the transport failed at a call")
            turn.end()
            # A thread without a call must not keep the last one and its messages.
            del turn

    def _run(self, turn: _Turn) -> None:
        event = turn.args[_EVENT]
        until = turn.since + self._wait_s
        self._at_work.add(turn)
        try:
            if monotonic() > until:
                text = f"Overloaded: the call has waited {self._wait_s:g} s for a thread, try again later"
                refuse(event, grpc.StatusCode.RESOURCE_EXHAUSTED, text)
            elif self._credits is not None and not self._credits.enter(until):
                text = f"Overloaded: memory for requests was taken for {self._wait_s:g} s, try again later"
                refuse(event, grpc.StatusCode.RESOURCE_EXHAUSTED, text)
            else:
                self._transfers.arriving(event, self)
            turn.fn(*turn.args, **turn.kwargs)
        finally:
            self._at_work.discard(turn)
            self._transfers.arrived()
            if self._credits is not None:
                self._credits.entered()


class _Turn:
    """A call in a pool: as much of a future as the transport uses, without a lock.

    Whoever comes last of `end` and `add_done_callback` finds both flag and callback there; `pop` lets only one have it.
    """

    __slots__ = ("_callbacks", "_ended", "args", "fn", "kwargs", "since")

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.since = monotonic()
        self.fn = fn
        self.args = args
        self.kwargs = kwargs
        self._callbacks: list[Callable[[_Turn], object]] = []
        self._ended = False

    def add_done_callback(self, callback: Callable[[_Turn], object]) -> None:
        """Have the one callback called when the call is over, or now."""
        self._callbacks.append(callback)
        if self._ended:
            self.end()

    def end(self) -> None:
        """Note that the call is over."""
        self._ended = True
        try:
            callback = self._callbacks.pop()
        except IndexError:
            return
        callback(self)


class CallTable(grpc.GenericRpcHandler):
    """Finds the handler of a method; when its pool is full, or the server ends, one that refuses without reading.

    Args:
        handlers: by full path.
        pools: the pools of those that have one of ours.
    """

    def __init__(self, handlers: Mapping[str, Method], pools: Mapping[str, CallPool]) -> None:
        self._handlers = dict(handlers)
        self._pools = dict(pools)
        text = "too many calls wait for a thread (setting max_waiting_calls), try again later"
        self._full = _refusal(status_of(OverloadedError(text)))
        self._ending = _refusal(SHUTTING_DOWN)
        self._ended = False

    def end(self) -> None:
        """Refuse every further call that one of our pools would execute."""
        self._ended = True

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Method | None:
        """Return the handler of a call, None for a method that does not exist."""
        path = handler_call_details.method
        pool = self._pools.get(path)
        if pool is not None:
            if self._ended:
                return self._ending
            if pool.full:
                return self._full
        return self._handlers.get(path)


def _refusal(status: Status) -> Method:
    method: Method = grpc.stream_unary_rpc_method_handler(_Refusal(status))
    return method


class _Refusal:
    """A handler that takes a stream only because the transport then leaves the request alone."""

    def __init__(self, status: Status) -> None:
        self._status = status
        self.experimental_thread_pool = ThreadPoolExecutor(1, thread_name_prefix="refusal")

    def __call__(self, _requests: Iterator[bytes], context: grpc.ServicerContext) -> NoReturn:
        abort(context, self._status)
