"""The threads that execute calls: a pool whose line of waiting calls is bounded, in number and in time.

grpcio hands a call over as soon as its headers are there. Its body is read on the thread, up to then the connection
holds back all but the first kilobytes of it; so the bound of the line also bounds what waiting calls hold in memory.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NoReturn

import grpc

from pointstore.core.errors import OverloadedError
from pointstore.wire.status import status_of
from pointstore.wire.transfers import refuse
from pointstore.wire.unary import abort

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pointstore.wire.transfers import Transfers

    Method = grpc.RpcMethodHandler[bytes, bytes]

_EVENT: Final = 1
"""Place of the transport's event among the arguments of what it submits."""


class CallPool(ThreadPoolExecutor):
    """Executes calls.

    Args:
        name: prefix of the threads' names.
        threads: calls executed at the same time.
        waiting_max: calls that may wait, for `full`.
        wait_s: seconds after which a waiting call is refused rather than begun.
        transfers: told when a thread waits for a body.
    """

    def __init__(self, name: str, threads: int, waiting_max: int, wait_s: float, transfers: Transfers) -> None:
        super().__init__(threads, thread_name_prefix=name)
        self._waiting_max = waiting_max
        self._wait_s = wait_s
        self._transfers = transfers
        self._count = threading.Lock()
        self._threads_count = threads
        self._present = 0

    @property
    def waiting(self) -> int:
        """Calls that wait for a thread."""
        return max(0, self._present - self._threads_count)

    @property
    def full(self) -> bool:
        """Whether no more calls should come."""
        return self.waiting >= self._waiting_max

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:  # noqa: ANN401  the base class's
        """Queue what the transport does for one call."""
        with self._count:
            self._present += 1
        try:
            return super().submit(self._run, monotonic(), fn, args, kwargs)
        except BaseException:
            self._leave()
            raise

    def _run(self, since: float, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        event = args[_EVENT]
        try:
            if monotonic() - since > self._wait_s:
                text = f"Overloaded: the call has waited {self._wait_s:g} s for a thread, try again later"
                refuse(event, grpc.StatusCode.RESOURCE_EXHAUSTED, text)
            else:
                self._transfers.arriving(event, self)
            fn(*args, **kwargs)
        finally:
            self._transfers.arrived()
            self._leave()

    def _leave(self) -> None:
        with self._count:
            self._present -= 1


class CallTable(grpc.GenericRpcHandler):
    """Finds the handler of a method; that of a full pool refuses at once, without reading the request.

    Args:
        handlers: by full path.
        pools: the pools of those that have one of ours.
    """

    def __init__(self, handlers: Mapping[str, Method], pools: Mapping[str, CallPool]) -> None:
        self._handlers = dict(handlers)
        self._pools = dict(pools)
        self._refusal: Method = grpc.stream_unary_rpc_method_handler(_Refusal())

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Method | None:
        """Return the handler of a call, None for a method that does not exist."""
        path = handler_call_details.method
        pool = self._pools.get(path)
        if pool is not None and pool.full:
            return self._refusal
        return self._handlers.get(path)


class _Refusal:
    """A handler that takes a stream only because the transport then leaves the request alone."""

    def __init__(self) -> None:
        self.experimental_thread_pool = ThreadPoolExecutor(1, thread_name_prefix="refusal")

    def __call__(self, _requests: Iterator[bytes], context: grpc.ServicerContext) -> NoReturn:
        text = "too many calls wait for a thread (setting max_waiting_calls), try again later"
        abort(context, status_of(OverloadedError(text)))
