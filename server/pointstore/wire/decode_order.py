"""Decode the order of a scroll."""

from __future__ import annotations

from typing import Final

from pointstore.core.datetimes import parse_datetime
from pointstore.core.errors import ConversionError
from pointstore.core.path import parse_path
from pointstore.core.query import OrderBy
from pointstore.wire.decode_filters import decode_timestamp
from qdrant_grpc import points_pb2

_MICROSECOND_NS: Final = 1000


def decode_order_by(message: points_pb2.OrderBy) -> OrderBy:
    """Decode an order; an unknown direction is the default one.

    Raises:
        ConversionError: a bad path, or a start that is no instant.

    """
    return OrderBy(
        key=parse_path(message.key),
        descending=message.direction == points_pb2.Desc,
        start_from=_start(message.start_from),
    )


def _start(message: points_pb2.StartFrom) -> int | float | None:
    match message.WhichOneof("value"):
        case "float":
            return message.float
        case "integer":
            return message.integer
        case "timestamp":
            return decode_timestamp(message.timestamp) // _MICROSECOND_NS
        case "datetime":
            instant = parse_datetime(message.datetime)
            if instant is None:
                msg = f"Malformed datetime: {message.datetime}"
                raise ConversionError(msg)
            return instant // _MICROSECOND_NS
        case None:
            return None
