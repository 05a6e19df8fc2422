"""A proxy before a server that forwards every unary call, and gives an empty answer for one method.

It is the control of the walks: a program that asserts its results fails against it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Self, cast

import grpc

if TYPE_CHECKING:
    from collections.abc import Callable

_WORKERS = 8

# What every walk asserts about: methods whose empty answer it must notice.
SPOILED_METHODS = tuple(
    f"/qdrant.Points/{method}"
    for method in ("Upsert", "Get", "Scroll", "Count", "Query", "UpdateVectors", "DeleteVectors", "UpdateBatch")
)
# What every round trip of generated stubs asserts about.
ROUND_TRIP_METHODS = tuple(f"/qdrant.Points/{method}" for method in ("Upsert", "Query", "Scroll"))


class SpoilingProxy(grpc.GenericRpcHandler):
    """Forward calls to `target`, whatever they are; the replies of `method` (`/package.Service/Method`) are empty.

    An empty reply is well-formed: no points, a count of 0, a status that is unset.
    """

    def __init__(self, target: str, method: str) -> None:
        self.calls = 0
        self._channel = grpc.insecure_channel(target)
        self._method = method
        self._server = grpc.server(ThreadPoolExecutor(_WORKERS), handlers=[self])
        self.address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop(None).wait()
        self._channel.close()

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        """Handle any method: bytes in, bytes out."""
        method = handler_call_details.method
        return grpc.unary_unary_rpc_method_handler(self._forward(method))

    def _forward(self, method: str) -> Callable[[bytes, grpc.ServicerContext], bytes]:
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(method)

        def forward(request: bytes, context: grpc.ServicerContext) -> bytes:
            try:
                reply = call(request)
            except grpc.RpcError as error:
                status = cast("grpc.Call", error)
                context.abort(status.code(), status.details() or "")
            if method != self._method:
                return reply
            self.calls += 1
            return b""

        return forward
