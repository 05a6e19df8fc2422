"""The standard health service (`grpc.health.v1`): one state for the whole process, whatever service is asked about.

Both methods have threads of their own, so a worker busy with searches still answers its probes. A watcher holds no
thread: it is a callback that is kept until the call ends, and their number is bounded.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import grpc
from grpc_health.v1.health_pb2 import HealthCheckResponse

if TYPE_CHECKING:
    from collections.abc import Callable

SERVICE: Final = "grpc.health.v1.Health"

_WATCHERS_MAX: Final = 64
_SERVING: Final[bytes] = HealthCheckResponse(status=HealthCheckResponse.SERVING).SerializeToString()
_NOT_SERVING: Final[bytes] = HealthCheckResponse(status=HealthCheckResponse.NOT_SERVING).SerializeToString()


class HealthService:
    """The health of one worker: serving from the start, not serving once it drains. All methods are thread-safe."""

    def __init__(self) -> None:
        """Start out serving."""
        self._lock = threading.Lock()
        self._reply = _SERVING
        self._watchers: set[_Watcher] = set()
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="health")

    def handlers(self) -> dict[str, grpc.RpcMethodHandler[bytes, bytes]]:
        """Return the RPC handlers, on raw bytes, by full method path."""
        return {
            f"/{SERVICE}/Check": grpc.unary_unary_rpc_method_handler(_Check(self, self._pool)),
            f"/{SERVICE}/Watch": grpc.unary_stream_rpc_method_handler(_Watch(self, self._pool)),
        }

    def current(self) -> bytes:
        """Return the present state as a HealthCheckResponse."""
        with self._lock:
            return self._reply

    def drain(self) -> None:
        """Report NOT_SERVING from now on, to watchers too, whose calls end with it."""
        with self._lock:
            self._reply = _NOT_SERVING
            watchers, self._watchers = self._watchers, set()
        for watcher in watchers:
            watcher.send(_NOT_SERVING)
            watcher.end()

    def watch(self, watcher: _Watcher) -> bool:
        """Send the watcher the present state and, later, the change; return False when there are too many."""
        with self._lock:
            serving = self._reply == _SERVING
            if serving and len(self._watchers) >= _WATCHERS_MAX:
                return False
            # Sent under the lock: a drain at this moment must come second.
            watcher.send(self._reply)
            if serving:
                self._watchers.add(watcher)
        if not serving:
            watcher.end()
        return True

    def forget(self, watcher: _Watcher) -> None:
        """Stop informing a watcher."""
        with self._lock:
            self._watchers.discard(watcher)


class _Watcher:
    """One Watch call: grpc's send function, which takes None for the end of the stream."""

    def __init__(self, send: Callable[[bytes | None], None]) -> None:
        self._send = send

    def send(self, response: bytes) -> None:
        """Send a state; does nothing on a call that has ended."""
        self._send(response)

    def end(self) -> None:
        """End the stream with OK."""
        self._send(None)


class _Check:
    """Check, with the attribute by which grpcio picks the threads of a method."""

    def __init__(self, health: HealthService, pool: ThreadPoolExecutor) -> None:
        self._health = health
        self.experimental_thread_pool = pool

    def __call__(self, _request: bytes, _context: grpc.ServicerContext) -> bytes:
        return self._health.current()


class _Watch:
    """Watch, with the attributes by which grpcio lets a stream outlive its handler's return."""

    experimental_non_blocking = True

    def __init__(self, health: HealthService, pool: ThreadPoolExecutor) -> None:
        self._health = health
        self.experimental_thread_pool = pool

    def __call__(
        self,
        _request: bytes,
        context: grpc.ServicerContext,
        send: Callable[[bytes | None], None],
    ) -> None:
        watcher = _Watcher(send)
        if not self._health.watch(watcher):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"more than {_WATCHERS_MAX} health watchers")
        if not context.add_callback(lambda: self._health.forget(watcher)):
            self._health.forget(watcher)
