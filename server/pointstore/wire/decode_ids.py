"""Decode point ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pointstore.core.errors import ConversionError
from pointstore.core.point import point_id_from_number, point_id_from_text

if TYPE_CHECKING:
    from pointstore.core.point import PointId
    from qdrant_grpc import qdrant_common_pb2


def decode_point_id(message: qdrant_common_pb2.PointId) -> PointId:
    """Decode a point id.

    Raises:
        ConversionError: no variant is set, or the text is not a UUID.

    """
    variant = message.WhichOneof("point_id_options")
    if variant == "num":
        return point_id_from_number(message.num)
    if variant == "uuid":
        return point_id_from_text(message.uuid)
    msg = "No ID options provided"
    raise ConversionError(msg)
