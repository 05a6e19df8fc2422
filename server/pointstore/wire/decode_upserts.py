"""Decode the points of upserts and vector updates, the bulk of what a store is sent.

Both are read through wire views (see `points_view.proto`): payload entries go to the store as the bytes that came, and
dense vectors stay packed floats. A request that a view could misread is first brought into canonical form by the public
message, so there is one decoder for all encodings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pointstore.core import interruption
from pointstore.core.errors import BadRequestError, ConversionError, WrongInputError
from pointstore.core.payload import check_payloads, frame_entries
from pointstore.core.update import UpdateMode, UpdateVectors, Upsert
from pointstore.core.vector import Dense
from pointstore.wire.decode_filters import decode_filter
from pointstore.wire.decode_ids import decode_point_id
from pointstore.wire.decode_vectors import decode_vectors
from pointstore.wire.points_view_pb2 import UpsertPointsView
from qdrant_grpc.points_pb2 import UpsertPoints

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pointstore.core.filter import Filter
    from pointstore.core.point import PointId
    from pointstore.core.vector import NamedVectors
    from pointstore.wire.points_view_pb2 import PointStructListView, PointVectorsView
    from qdrant_grpc import points_pb2

_MODES: Final[dict[int, UpdateMode]] = {mode.value: mode for mode in UpdateMode}


def view_upsert(request: bytes) -> UpsertPointsView:
    """Parse an upsert as a view that holds all that the public message would.

    Raises:
        google.protobuf.message.DecodeError: the bytes are no such message.

    """
    view = UpsertPointsView.FromString(request)
    view.DiscardUnknownFields()
    if view.SerializeToString() == request:
        return view
    return UpsertPointsView.FromString(UpsertPoints.FromString(request).SerializeToString())


def decode_upsert(view: UpsertPointsView | PointStructListView) -> Upsert:
    """Decode an upsert, from its own request or from a batch.

    Raises:
        ConversionError: a malformed id, vector, payload or filter.
        InferenceError: a vector would have to be computed.
        WrongInputError: an empty dense vector.
        BadRequestError: no points.

    """
    ids: list[PointId] = []
    payloads: list[bytes] = []
    vectors: list[NamedVectors] = []
    named: list[bool] = []
    for point in interruption.checked(view.points):
        if not point.HasField("id"):
            msg = "Empty ID is not allowed"
            raise ConversionError(msg)
        ids.append(decode_point_id(point.id))
        if not point.HasField("vectors"):
            msg = "Expected some vectors"
            raise ConversionError(msg)
        own, through_map = decode_vectors(point.vectors, direct_inference=True)
        vectors.append(own)
        named.append(through_map)
        payloads.append(frame_entries(point.payload))
    check_payloads(payloads)
    condition = decode_filter(view.update_filter) if view.HasField("update_filter") else None
    _refuse_empty_vectors(vectors, named)
    refuse_no_points(ids)
    mode = _MODES.get(view.update_mode, UpdateMode.UPSERT)
    # InsertOnly leaves existing points alone whatever they hold.
    return Upsert(ids, payloads, vectors, named, mode, None if mode is UpdateMode.INSERT_ONLY else condition)


def _refuse_empty_vectors(vectors: Sequence[NamedVectors], named: Sequence[bool]) -> None:
    for number, own in enumerate(vectors):
        for vector in own.values():
            if type(vector) is Dense and not vector.data:
                place = ".?" if named[number] else ""
                msg = f"points[{number}].vector{place}.vector: dense vector must not be empty"
                raise WrongInputError(msg)


def refuse_no_points(ids: Sequence[PointId]) -> None:
    """Refuse an update that lists no points (specification part 1, 8.6).

    Raises:
        BadRequestError: the list is empty.

    """
    if not ids:
        msg = "Empty update request"
        raise BadRequestError(msg)


def decode_update_vectors(
    points: Sequence[PointVectorsView],
    request: points_pb2.UpdatePointVectors | points_pb2.PointsUpdateOperation.UpdateVectors,
) -> UpdateVectors:
    """Decode an update of vectors, from its own request or from a batch.

    Args:
        points: the points of the request as views.
        request: the rest of it.

    Raises:
        ConversionError: a malformed id, vector or filter.
        InferenceError: a vector would have to be computed.
        BadRequestError: no points.

    """
    ids: list[PointId] = []
    vectors: list[NamedVectors] = []
    for point in points:
        if not point.HasField("id"):
            msg = "id is expected"
            raise ConversionError(msg)
        ids.append(decode_point_id(point.id))
        if not point.HasField("vectors"):
            msg = "vectors is expected"
            raise ConversionError(msg)
        vectors.append(decode_vectors(point.vectors, direct_inference=False)[0])
    condition: Filter | None = decode_filter(request.update_filter) if request.HasField("update_filter") else None
    refuse_no_points(ids)
    return UpdateVectors(ids, vectors, condition)
