"""Messages and service stubs of the Qdrant gRPC API, generated from ``proto/``.

The message modules are imported with the package; the service modules, which import grpc, only on demand::

    import grpc
    from qdrant_grpc import points_pb2
    from qdrant_grpc.points_service_pb2_grpc import PointsStub

    with grpc.insecure_channel("localhost:6334") as channel:
        request = points_pb2.CountPoints(collection_name="books", exact=True)
        print(PointsStub(channel).Count(request).result.count)

Stubs and servicers: ``Qdrant`` in `qdrant_pb2_grpc`, ``Collections`` in `collections_service_pb2_grpc`, ``Points`` in
`points_service_pb2_grpc`, ``Snapshots`` in `snapshots_service_pb2_grpc`. grpcio and protobuf are all they need.

All types are registered in :data:`POOL`, not in protobuf's default pool, so the official client can be imported in the
same process, before or after. Hand ``POOL`` to whatever looks types up by name, such as ``grpc_reflection`` or
``google.protobuf.json_format``. Timestamps must be of :class:`Timestamp`, for the reason given in `qdrant_grpc._pool`.
"""

from __future__ import annotations

from qdrant_grpc import (
    collections_pb2,
    collections_service_pb2,
    json_with_int_pb2,
    points_pb2,
    points_service_pb2,
    qdrant_common_pb2,
    qdrant_pb2,
    snapshots_service_pb2,
)
from qdrant_grpc._pool import POOL, Timestamp

__all__ = [
    "POOL",
    "Timestamp",
    "collections_pb2",
    "collections_service_pb2",
    "json_with_int_pb2",
    "points_pb2",
    "points_service_pb2",
    "qdrant_common_pb2",
    "qdrant_pb2",
    "snapshots_service_pb2",
]
