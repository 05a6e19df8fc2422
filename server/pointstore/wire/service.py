"""The service `qdrant.Qdrant`: who answers here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qdrant_grpc.qdrant_pb2 import HealthCheckReply, HealthCheckRequest

if TYPE_CHECKING:
    from grpc import ServicerContext

    from pointstore.wire.unary import Handler

TITLE: Final = "qdrant - vector search engine"
VERSION: Final = "1.20.0"
"""Level of the protocol, not our version: clients compare it with their own and warn when they differ."""


def service_methods() -> dict[str, Handler]:
    """Return the handlers by full path."""
    return {"/qdrant.Qdrant/HealthCheck": _health_check}


def _health_check(body: bytes, _context: ServicerContext) -> bytes:
    HealthCheckRequest.FromString(body)
    return HealthCheckReply(title=TITLE, version=VERSION).SerializeToString()
