"""The service `qdrant.Qdrant`: who answers here; and what kind of method each of the protocol is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qdrant_grpc import POOL
from qdrant_grpc.qdrant_pb2 import HealthCheckReply, HealthCheckRequest

if TYPE_CHECKING:
    from grpc import ServicerContext

    from pointstore.wire.unary import Handler

TITLE: Final = "qdrant - vector search engine"
VERSION: Final = "1.20.0"
"""Level of the protocol, not our version: clients compare it with their own and warn when they differ."""

_WRITE_REPLIES: Final = frozenset(
    {
        "PointsOperationResponse",
        "UpdateBatchResponse",
        "CollectionOperationResponse",
        "CreateSnapshotResponse",
        "DeleteSnapshotResponse",
    }
)


def is_write(path: str) -> bool:
    """Tell whether a method, by its full path, changes anything; one that is not of the protocol does not."""
    service, _, method = path.removeprefix("/").rpartition("/")
    try:
        reply = POOL.FindMethodByName(f"{service}.{method}").output_type.name
    except KeyError:
        return False
    return reply in _WRITE_REPLIES


def service_methods() -> dict[str, Handler]:
    """Return the handlers by full path."""
    return {"/qdrant.Qdrant/HealthCheck": _health_check}


def _health_check(body: bytes, _context: ServicerContext) -> bytes:
    HealthCheckRequest.FromString(body)
    return HealthCheckReply(title=TITLE, version=VERSION).SerializeToString()
