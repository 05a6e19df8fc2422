"""The descriptor pool that holds every message type of this package.

Protobuf keeps one default pool a process, and a file name or a full message name may be registered in it only once.
The official client registers the same names (``points.proto``, ``qdrant.PointId``), so generated code of both cannot
live in the default pool. The generated modules here register in :data:`POOL` instead and never touch the default one.

A message type belongs to its pool: a ``google.protobuf.timestamp_pb2.Timestamp`` is not accepted where a field of this
package expects a timestamp. Use :class:`Timestamp` from here, or fill the field in place (``field.FromDatetime(...)``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf import descriptor_pool, message_factory, timestamp_pb2

if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp
else:
    Timestamp = None

__all__ = ["POOL", "Timestamp"]

POOL = descriptor_pool.DescriptorPool()

# The google files that proto/*.proto import must be in the pool before the first file that refers to them.
POOL.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)

if not TYPE_CHECKING:
    Timestamp = message_factory.GetMessageClass(POOL.FindMessageTypeByName("google.protobuf.Timestamp"))
