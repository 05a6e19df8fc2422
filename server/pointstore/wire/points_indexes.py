"""The RPCs of payload indexes: writes like those of points, except that a collection without shards takes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from pointstore.core.path import parse_path
from pointstore.core.update import CreateField, DropField
from pointstore.wire.decode_routing import check_ordering
from pointstore.wire.field_schema import decode_field_schema
from pointstore.wire.unary import unary
from qdrant_grpc import collections_pb2, points_pb2

if TYPE_CHECKING:
    from pointstore.core.update import Update
    from pointstore.engine.engine import Engine
    from pointstore.wire.unary import Handler

    _Request = points_pb2.CreateFieldIndexCollection | points_pb2.DeleteFieldIndexCollection


def index_methods(engine: Engine) -> dict[str, Handler]:
    """Return the handlers by method name."""
    indexes = _Indexes(engine)
    return {
        "CreateFieldIndex": unary(points_pb2.CreateFieldIndexCollection, indexes.create),
        "DeleteFieldIndex": unary(points_pb2.DeleteFieldIndexCollection, indexes.delete),
    }


class _Indexes:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(self, request: points_pb2.CreateFieldIndexCollection) -> points_pb2.PointsOperationResponse:
        path = parse_path(request.field_name)
        schema = decode_field_schema(request)
        return self._written(request, CreateField(path, schema))

    def delete(self, request: points_pb2.DeleteFieldIndexCollection) -> points_pb2.PointsOperationResponse:
        return self._written(request, DropField(parse_path(request.field_name)))

    def _written(self, request: _Request, update: Update) -> points_pb2.PointsOperationResponse:
        check_ordering(request.ordering)
        collection = self._engine.collection(request.collection_name)
        timeout_s = request.timeout if request.HasField("timeout") else None
        (result,) = collection.write([update], wait=request.wait, timeout_s=timeout_s)
        if collection.config().sharding_method == collections_pb2.Custom:
            # The reference keeps the definition for the shards to come, and no shard has a log yet.
            message = points_pb2.UpdateResult(status=points_pb2.Acknowledged)
        else:
            status = cast("points_pb2.UpdateStatus.ValueType", result.status)
            message = points_pb2.UpdateResult(operation_id=result.seq, status=status)
        return points_pb2.PointsOperationResponse(result=message, usage=points_pb2.Usage())
