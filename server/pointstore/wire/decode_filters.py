"""Decode filters.

A condition without a variant is dropped (specification part 2, 4). A kind that the engine cannot evaluate is refused,
never ignored: an ignored condition would select points that the client excluded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pointstore.core.errors import ConversionError, UnsupportedError
from pointstore.core.filter import Filter, HasId, MinShould
from pointstore.core.path import parse_path
from pointstore.wire.decode_ids import decode_point_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pointstore.core.filter import Condition
    from qdrant_grpc import qdrant_common_pb2

_FIELD_CHECKS: Final = (
    "match",
    "range",
    "geo_bounding_box",
    "geo_radius",
    "values_count",
    "geo_polygon",
    "datetime_range",
    "is_empty",
    "is_null",
)


def decode_filter(message: qdrant_common_pb2.Filter) -> Filter:
    """Decode a filter.

    Raises:
        ConversionError: a bad id or path, or a condition that lacks a part.
        UnsupportedError: a condition that is not implemented.

    """
    should = _conditions(message.should)
    must = _conditions(message.must)
    must_not = _conditions(message.must_not)
    min_should = None
    if message.HasField("min_should"):
        if not message.min_should.min_count:
            msg = "min_count must be greater than 0"
            raise ConversionError(msg)
        min_should = MinShould(_conditions(message.min_should.conditions), message.min_should.min_count)
    return Filter(must=must, should=should, must_not=must_not, min_should=min_should)


def _conditions(messages: Iterable[qdrant_common_pb2.Condition]) -> tuple[Condition, ...]:
    decoded = [_condition(message) for message in messages]
    return tuple([condition for condition in decoded if condition is not None])


def _condition(message: qdrant_common_pb2.Condition) -> Condition | None:
    match message.WhichOneof("condition_one_of"):
        case None:
            return None
        case "has_id":
            return HasId(frozenset([decode_point_id(each) for each in message.has_id.has_id]))
        case "filter":
            return decode_filter(message.filter)
        case "field":
            raise _unsupported_field(message.field)
        case "is_empty":
            parse_path(message.is_empty.key)
            kind = "is_empty"
        case "is_null":
            parse_path(message.is_null.key)
            kind = "is_null"
        case "nested":
            _check_nested(message.nested)
            kind = "nested"
        case "has_vector" | "slice" as kind:
            pass
    raise _unsupported(kind)


def _unsupported(kind: str) -> UnsupportedError:
    return UnsupportedError(f"filter condition `{kind}` is not implemented yet")


def _check_nested(message: qdrant_common_pb2.NestedCondition) -> None:
    if not message.HasField("filter"):
        msg = "Nested condition must have a filter"
        raise ConversionError(msg)
    parse_path(message.key)


def _unsupported_field(message: qdrant_common_pb2.FieldCondition) -> ConversionError | UnsupportedError:
    """Return the error for a field condition: a malformed part, or else that its kind is not implemented."""
    parse_path(message.key)
    if message.HasField("match") and message.match.WhichOneof("match_value") is None:
        return ConversionError("Malformed Match condition")
    box = message.geo_bounding_box
    if message.HasField("geo_bounding_box") and not (box.HasField("top_left") and box.HasField("bottom_right")):
        return ConversionError("Malformed GeoBoundingBox type")
    if message.HasField("geo_radius") and not message.geo_radius.HasField("center"):
        return ConversionError("Malformed GeoRadius type")
    if message.HasField("geo_polygon") and not message.geo_polygon.HasField("exterior"):
        return ConversionError("Malformed GeoPolygon type - field `exterior` is required")
    present = {field.name for field, _ in message.ListFields()}
    for kind in _FIELD_CHECKS:
        if kind in present:
            return _unsupported(kind)
    return ConversionError("At least one field condition must be specified")
