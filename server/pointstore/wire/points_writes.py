"""The write RPCs of the Points service.

Each is: declarative validation, conversion, one call of `Collection.write`, reply. The order decides which of several
defects a client is told of (specification part 1, 1.2): a malformed request for a missing collection is malformed.
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING, TypeVar, cast

from google.protobuf.message import DecodeError

from pointstore.core.errors import InferenceError, RequestError
from pointstore.core.update import DropVector
from pointstore.wire.decode_routing import check_ordering, check_write_shards
from pointstore.wire.decode_updates import (
    Decoded,
    decode_clear_payload,
    decode_delete,
    decode_delete_payload,
    decode_delete_vectors,
    decode_operation,
    decode_overwrite_payload,
    decode_point_vectors,
    decode_set_payload,
    shard_keys_of,
)
from pointstore.wire.decode_upserts import decode_upsert, view_upsert
from pointstore.wire.decode_vector_names import decode_create_vector
from pointstore.wire.points_view_pb2 import UpsertPointsView
from pointstore.wire.rules import collection_name
from pointstore.wire.validate import validate
from qdrant_grpc import points_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from grpc import ServicerContext

    from pointstore.core.update import Update, UpdateResult
    from pointstore.engine.engine import Engine
    from pointstore.wire.unary import Handler

    _Header = (
        UpsertPointsView
        | points_pb2.DeletePoints
        | points_pb2.UpdatePointVectors
        | points_pb2.DeletePointVectors
        | points_pb2.SetPayloadPoints
        | points_pb2.DeletePayloadPoints
        | points_pb2.ClearPayloadPoints
        | points_pb2.CreateVectorNameRequest
        | points_pb2.DeleteVectorNameRequest
        | points_pb2.UpdateBatchPoints
    )

_Request = TypeVar(
    "_Request",
    points_pb2.DeletePoints,
    points_pb2.UpdatePointVectors,
    points_pb2.DeletePointVectors,
    points_pb2.SetPayloadPoints,
    points_pb2.DeletePayloadPoints,
    points_pb2.ClearPayloadPoints,
    points_pb2.CreateVectorNameRequest,
    points_pb2.DeleteVectorNameRequest,
)


def write_methods(engine: Engine) -> dict[str, Handler]:
    """Return the handlers by method name."""
    writes = _Writes(engine)
    return {
        "Upsert": writes.upsert,
        "UpdateBatch": writes.update_batch,
        "Delete": writes.single(points_pb2.DeletePoints, decode_delete),
        "UpdateVectors": writes.single(points_pb2.UpdatePointVectors, decode_point_vectors),
        "DeleteVectors": writes.single(points_pb2.DeletePointVectors, decode_delete_vectors),
        "SetPayload": writes.single(points_pb2.SetPayloadPoints, decode_set_payload),
        "OverwritePayload": writes.single(points_pb2.SetPayloadPoints, decode_overwrite_payload),
        "DeletePayload": writes.single(points_pb2.DeletePayloadPoints, decode_delete_payload),
        "ClearPayload": writes.single(points_pb2.ClearPayloadPoints, decode_clear_payload),
        "CreateVectorName": writes.single(
            points_pb2.CreateVectorNameRequest, lambda request: Decoded(decode_create_vector(request))
        ),
        "DeleteVectorName": writes.single(
            points_pb2.DeleteVectorNameRequest, lambda request: Decoded(DropVector(request.vector_name))
        ),
    }


class _Writes:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def upsert(self, body: bytes, _context: ServicerContext) -> bytes:
        started = perf_counter()
        header, decoded = self._decode_upsert(body)
        return self._written(header, decoded, started)

    def _decode_upsert(self, body: bytes) -> tuple[UpsertPointsView, Decoded]:
        """Return the request without its points, and the points decoded; of the parsed request nothing is kept."""
        view = view_upsert(body)
        if view.HasField("update_filter") or collection_name(view.collection_name) is not None:
            validate(points_pb2.UpsertPoints.FromString(body))
        try:
            decoded = Decoded(decode_upsert(view), shard_keys_of(view))
            check_ordering(view.ordering)
        except RequestError as error:
            _revalidate(body)
            self._look_up_first(view.collection_name, error)
            raise
        header = UpsertPointsView(collection_name=view.collection_name, wait=view.wait)
        if view.HasField("timeout"):
            header.timeout = view.timeout
        return header, decoded

    def single(self, request_type: type[_Request], decode: Callable[[_Request], Decoded]) -> Handler:
        """Return the handler of an RPC that carries one update."""

        def handler(body: bytes, _context: ServicerContext) -> bytes:
            started = perf_counter()
            request = request_type.FromString(body)
            validate(request)
            try:
                decoded = decode(request)
                check_ordering(request.ordering)
            except RequestError as error:
                self._look_up_first(request.collection_name, error)
                raise
            return self._written(request, decoded, started)

        return handler

    def update_batch(self, body: bytes, _context: ServicerContext) -> bytes:
        """Write the operations before the first malformed one together, and only then report that one."""
        started = perf_counter()
        request = points_pb2.UpdateBatchPoints.FromString(body)
        validate(request)
        updates: list[Update] = []
        refusal: RequestError | None = None
        try:
            for operation in request.operations:
                decoded = decode_operation(operation)
                check_ordering(request.ordering)
                self._check_shards(request, decoded)
                updates.append(decoded.update)
        except RequestError as error:
            self._look_up_first(request.collection_name, error)
            refusal = error
        results = self._write(request, updates) if updates else []
        if refusal is not None:
            raise refusal
        reply = points_pb2.UpdateBatchResponse(result=[_message(result) for result in results])
        reply.time = perf_counter() - started
        return reply.SerializeToString()

    def _written(self, request: _Header, decoded: Decoded, started: float) -> bytes:
        self._check_shards(request, decoded)
        (result,) = self._write(request, [decoded.update])
        # The reference sends `usage` here even though it is empty, and leaves it out of a batch's reply.
        reply = points_pb2.PointsOperationResponse(result=_message(result), usage=points_pb2.Usage())
        reply.time = perf_counter() - started
        return reply.SerializeToString()

    def _write(self, request: _Header, updates: Sequence[Update]) -> list[UpdateResult]:
        collection = self._engine.collection(request.collection_name)
        return collection.write(updates, wait=request.wait, timeout_s=_timeout_s(request))

    def _check_shards(self, request: _Header, decoded: Decoded) -> None:
        collection = self._engine.collection(request.collection_name)
        try:
            check_write_shards(collection.config(), decoded.shard_keys)
        except RequestError:
            # The reference looks at the limits first.
            collection.check(decoded.update, _timeout_s(request))
            raise

    def _look_up_first(self, name: str, error: RequestError) -> None:
        """Let a missing collection win over errors that the reference notices after the lookup."""
        if isinstance(error, InferenceError):
            self._engine.collection(name)


def _timeout_s(request: _Header) -> int | None:
    return request.timeout if request.HasField("timeout") else None


def _revalidate(body: bytes) -> None:
    """Report the violations of a refused upsert, if any.

    The decoder refuses all that declarative validation does, but stops at the first error and words it differently; a
    client is told of violations before anything else.

    Raises:
        ValidationError: there are violations.

    """
    try:
        request = points_pb2.UpsertPoints.FromString(body)
    except DecodeError:
        # What only the view could parse was refused for that reason, in clearer words.
        return
    validate(request)


def _message(result: UpdateResult) -> points_pb2.UpdateResult:
    status = cast("points_pb2.UpdateStatus.ValueType", result.status)
    return points_pb2.UpdateResult(operation_id=result.seq, status=status)
