"""The grpcio server of a worker: its threads, limits and options over an RPC table.

Calls pass admission (wire/admission.py) and run on a pool of threads for reads or one for writes.
"""

from __future__ import annotations

import os
import threading
import time
from typing import TYPE_CHECKING, Final

import grpc

from pointstore.core.turns import Turns
from pointstore.wire.admission import Admission, Credits
from pointstore.wire.call_pool import CallPool, CallTable
from pointstore.wire.service import is_write
from pointstore.wire.transfers import Transfers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pointstore.config import Settings

    Handler = grpc.RpcMethodHandler[bytes, bytes]
    Method = Callable[[bytes, grpc.ServicerContext], bytes]
    """One RPC: the request's bytes and the call's context to the reply's bytes."""

_CLIENT_PING_MIN_MS: Final = 5_000
"""Clients may ping every 10 s, also without a call; grpc's default is to hang up on them. Half of it, for jitter."""

_TRANSPORT_MESSAGE_MAX: Final = (1 << 31) - 1
_IDENTITY_AND_GZIP: Final = 0b101
_THREADS_PER_WAITER: Final = 4
"""Of so many threads one may wait for memory."""
_REFUSALS_MAX: Final = 1024
_REFUSING_S: Final = 0.2
_REFUSING_MAX_S: Final = 2.0
_REFUSING_LOOK_S: Final = 0.02
_READ_BUFFER_BYTES: Final = 64 << 10
_CLOSE_MARGIN_S: Final = 2.0


class Transport:
    """A grpcio server over an RPC table, with admission (wire/admission.py); replies are not compressed."""

    def __init__(self, settings: Settings, methods: Mapping[str, Method], handlers: Mapping[str, Handler]) -> None:
        """Build a server that is neither bound nor started.

        Args:
            settings: threads and limits.
            methods: unary calls by full path, on raw bytes.
            handlers: ready-made grpc handlers by full path: health and reflection.

        """
        budget = settings.request_memory_bytes
        budget_credits = Credits(budget, max(settings.threads // _THREADS_PER_WAITER, 1), settings.wait_max_s)
        self._transfers = Transfers(
            budget=budget,
            timeout_s=settings.transfer_timeout_s,
            held=lambda: budget_credits.held,
            starved=lambda: budget_credits.waiting > 0,
        )
        turns = Turns(len(os.sched_getaffinity(0)))
        admission = Admission(budget_credits, turns, self._transfers, settings.max_message_bytes)
        # Writes have threads of their own: reads, which are small and short, are not to wait behind uploads.
        self._pools = {
            writes: CallPool(
                name, settings.threads, settings.max_waiting_calls, settings.wait_max_s, self._transfers, large
            )
            for writes, name, large in ((False, "read", None), (True, "write", budget_credits))
        }
        pools = {path: self._pools[is_write(path)] for path in methods}
        unary = {path: _unary_handler(admission.admitted(method), pools[path]) for path, method in methods.items()}
        self.server = grpc.server(
            self._pools[False],
            options=_channel_options(settings),
            # Refusals of our own come long before; this is for when even they pile up.
            maximum_concurrent_rpcs=2 * (settings.threads + settings.max_waiting_calls) + _REFUSALS_MAX,
        )
        self._table = CallTable({**unary, **handlers}, pools)
        self.server.add_generic_rpc_handlers([self._table])

    def listen(self, address: str) -> int:
        """Bind `host:port` next to the other workers, start serving, return the port."""
        port = self.server.add_insecure_port(address)
        self._transfers.start()
        self.server.start()
        return port

    def stop(self, grace_s: float) -> bool:
        """Refuse new calls, let those in flight end, cancel them after `grace_s`.

        Returns:
            whether no handler runs any more, so that what handlers use may be closed.

        """
        deadline = time.monotonic() + grace_s
        self._refuse_for_a_while(min(grace_s, _REFUSING_MAX_S))
        self.server.stop(max(deadline - time.monotonic(), 0)).wait()
        # A cancelled call is over for its client, but its handler may still be at work in this pool.
        waiter = threading.Thread(target=self._shut_down, daemon=True)
        waiter.start()
        waiter.join(_CLOSE_MARGIN_S)
        self._transfers.stop()
        return not waiter.is_alive()

    def _refuse_for_a_while(self, most_s: float) -> None:
        """Refuse further calls until those in flight have ended and their clients have had an answer to the next.

        A call that arrives while the transport shuts down, before its client can know, ends with CANCELLED, which
        nobody tries again. A client that was refused before does not send it.
        """
        self._table.end()
        until = time.monotonic() + most_s
        while any(pool.busy for pool in self._pools.values()) and time.monotonic() < until:
            time.sleep(_REFUSING_LOOK_S)
        time.sleep(_REFUSING_S)

    def _shut_down(self) -> None:
        for pool in self._pools.values():
            pool.shutdown()


class _OnPool:
    """A method with the attribute by which grpcio picks its threads."""

    def __init__(self, method: Method, pool: CallPool) -> None:
        self._method = method
        self.experimental_thread_pool = pool

    def __call__(self, body: bytes, context: grpc.ServicerContext) -> bytes:
        return self._method(body, context)


def _unary_handler(method: Method, pool: CallPool) -> Handler:
    return grpc.unary_unary_rpc_method_handler(_OnPool(method, pool))


def _channel_options(settings: Settings) -> list[tuple[str, int]]:
    # The transport's own texts name no setting, so it refuses only what is far beyond the limit.
    receive_bytes = min(settings.max_message_bytes + settings.max_message_bytes // 2, _TRANSPORT_MESSAGE_MAX)
    return [
        ("grpc.so_reuseport", 1),
        ("grpc.max_receive_message_length", receive_bytes),
        ("grpc.max_send_message_length", -1),
        # wire/bodies.py decompresses; deflate could not be told from an uncompressed message.
        ("grpc.per_message_decompression", 0),
        ("grpc.compression_enabled_algorithms_bitset", _IDENTITY_AND_GZIP),
        ("grpc.max_concurrent_streams", settings.max_concurrent_streams),
        # Beyond these the transport drops calls at random before anybody can give them a status. Calls that their
        # client has taken back count until they are looked at, 10 KB each; at twice the calls that may wait, instead
        # of six times, a flood of such calls had up to 2 % of others' calls dropped on a busy machine.
        ("grpc.server.max_pending_requests", 6 * settings.max_waiting_calls),
        ("grpc.server.max_pending_requests_hard_limit", 8 * settings.max_waiting_calls),
        ("grpc.max_allowed_incoming_connections", settings.max_connections),
        # Probing would grow the windows to megabytes of what no call has asked for yet.
        ("grpc.http2.bdp_probe", 0),
        # Unbounded, the buffer that a connection keeps grows to the size of the largest requests, also under calls
        # that wait: 0.5 MB for each with uploads of 1 MB.
        ("grpc.experimental.tcp_max_read_buffer_size", _READ_BUFFER_BYTES),
        # Left on, it counts calls whose end the client has seen already: a client that keeps to the limit above, as
        # all do, has a third of its waiting calls refused with UNAVAILABLE.
        ("grpc.http.overload_protection", 0),
        ("grpc.server_handshake_timeout_ms", settings.handshake_timeout_ms),
        ("grpc.max_connection_idle_ms", int(settings.idle_timeout_s * 1000)),
        ("grpc.keepalive_time_ms", int(settings.keepalive_s * 1000)),
        ("grpc.keepalive_timeout_ms", int(settings.keepalive_s * 1000)),
        # grpcio 1.85.3 never starts the timer of the option above; this one, by default a minute, ends dead clients.
        ("grpc.http2.ping_timeout_ms", int(settings.keepalive_s * 1000)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", _CLIENT_PING_MIN_MS),
    ]
