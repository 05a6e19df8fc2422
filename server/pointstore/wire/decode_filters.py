"""Decode filters.

A condition without a variant is dropped (specification part 2, 4); everything else is decoded or refused, never
ignored: an ignored condition would select points that the client excluded. All that `validate` refuses in a filter is
refused here again, because operations of a batch are not validated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pointstore.core.datetimes import NANOS
from pointstore.core.errors import ConversionError
from pointstore.core.filter import (
    DatetimeRange,
    Field,
    Filter,
    GeoBoundingBox,
    GeoPoint,
    GeoPolygon,
    GeoRadius,
    HasId,
    HasVector,
    IsEmpty,
    IsNull,
    MatchAnyIntegers,
    MatchAnyKeywords,
    MatchBoolean,
    MatchExceptIntegers,
    MatchExceptKeywords,
    MatchInteger,
    MatchKeyword,
    MatchPhrase,
    MatchPrefix,
    MatchSubstring,
    MatchText,
    MatchTextAny,
    MinShould,
    Nested,
    Range,
    Slice,
    ValuesCount,
    elements_of,
)
from pointstore.core.path import parse_path
from pointstore.wire.decode_ids import decode_point_id
from pointstore.wire.rules import geo_point_violations, ring_violations, slice_violations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from google.protobuf.timestamp_pb2 import Timestamp

    from pointstore.core.filter import Check, Condition, Ring
    from pointstore.core.path import Path
    from qdrant_grpc import qdrant_common_pb2

_BOUNDS: Final = ("lt", "gt", "gte", "lte")
# The years 0001 to 9999.
_TIMESTAMP_S: Final = range(-62_135_596_800, 253_402_300_800)

_MATCHES: Final[dict[str, Callable[[qdrant_common_pb2.Match], Check]]] = {
    "keyword": lambda match: MatchKeyword(match.keyword),
    "integer": lambda match: MatchInteger(match.integer),
    "boolean": lambda match: MatchBoolean(match.boolean),
    "text": lambda match: MatchText(match.text),
    "keywords": lambda match: MatchAnyKeywords(frozenset(match.keywords.strings)),
    "integers": lambda match: MatchAnyIntegers(frozenset(match.integers.integers)),
    "except_integers": lambda match: MatchExceptIntegers(frozenset(match.except_integers.integers)),
    "except_keywords": lambda match: MatchExceptKeywords(frozenset(match.except_keywords.strings)),
    "phrase": lambda match: MatchPhrase(match.phrase),
    "text_any": lambda match: MatchTextAny(match.text_any),
    "prefix": lambda match: MatchPrefix(match.prefix),
    "substring": lambda match: MatchSubstring(match.substring),
}


def decode_filter(message: qdrant_common_pb2.Filter) -> Filter:
    """Decode a filter.

    Raises:
        ConversionError: a bad id or path, or a condition that lacks a part.

    """
    should = _conditions(message.should)
    must = _conditions(message.must)
    must_not = _conditions(message.must_not)
    min_should = None
    if message.HasField("min_should"):
        if not message.min_should.min_count:
            raise ConversionError("min_count must be greater than 0")
        min_should = MinShould(_conditions(message.min_should.conditions), message.min_should.min_count)
    return Filter(must=must, should=should, must_not=must_not, min_should=min_should)


def _conditions(messages: Iterable[qdrant_common_pb2.Condition]) -> tuple[Condition, ...]:
    decoded = [_condition(message) for message in messages]
    return tuple([condition for condition in decoded if condition is not None])


def _condition(message: qdrant_common_pb2.Condition) -> Condition | None:
    match message.WhichOneof("condition_one_of"):
        case "field":
            return _field(message.field)
        case "filter":
            return decode_filter(message.filter)
        case "nested":
            return _nested(message.nested)
        case "is_empty":
            return IsEmpty(parse_path(message.is_empty.key))
        case "is_null":
            return IsNull(parse_path(message.is_null.key))
        case _:
            return _about_point(message)


def _about_point(message: qdrant_common_pb2.Condition) -> Condition | None:
    match message.WhichOneof("condition_one_of"):
        case "has_id":
            return HasId(frozenset([decode_point_id(each) for each in message.has_id.has_id]))
        case "has_vector":
            return HasVector(message.has_vector.has_vector)
        case "slice":
            _refuse(slice_violations(message.slice))
            return Slice(message.slice.total, message.slice.index)
        case _:
            return None


def _nested(message: qdrant_common_pb2.NestedCondition) -> Nested:
    if not message.HasField("filter"):
        raise ConversionError("Nested condition must have a filter")
    return Nested(elements_of(parse_path(message.key)), decode_filter(message.filter))


def _field(message: qdrant_common_pb2.FieldCondition) -> Condition:
    """Decode a field condition; every part is decoded, but of several some win over the others (5.1)."""
    path = parse_path(message.key)
    checks = _checks(message)
    if message.HasField("values_count"):
        return _values_count(path, message.values_count)
    if message.HasField("is_empty"):
        return IsEmpty(path, message.is_empty)
    if message.HasField("is_null"):
        return IsNull(path, message.is_null)
    if not checks:
        raise ConversionError("At least one field condition must be specified")
    return Field(path, checks)


def _checks(message: qdrant_common_pb2.FieldCondition) -> tuple[Check, ...]:
    checks: list[Check] = []
    if message.HasField("match"):
        checks.append(_match(message.match))
    datetimes = _datetime_range(message.datetime_range) if message.HasField("datetime_range") else None
    if message.HasField("range"):
        checks.append(_range(message.range))
    elif datetimes is not None:
        checks.append(datetimes)
    if message.HasField("geo_bounding_box"):
        checks.append(_box(message.geo_bounding_box))
    if message.HasField("geo_radius"):
        checks.append(_radius(message.geo_radius))
    if message.HasField("geo_polygon"):
        checks.append(_polygon(message.geo_polygon))
    return tuple(checks)


def _match(message: qdrant_common_pb2.Match) -> Check:
    kind = message.WhichOneof("match_value")
    if kind is None:
        raise ConversionError("Malformed Match condition")
    return _MATCHES[kind](message)


def _range(message: qdrant_common_pb2.Range) -> Range:
    return Range(*(getattr(message, bound) if message.HasField(bound) else None for bound in _BOUNDS))


def _values_count(path: Path, message: qdrant_common_pb2.ValuesCount) -> ValuesCount:
    return ValuesCount(path, *(getattr(message, bound) if message.HasField(bound) else None for bound in _BOUNDS))


def _datetime_range(message: qdrant_common_pb2.DatetimeRange) -> DatetimeRange:
    return DatetimeRange(
        *(decode_timestamp(getattr(message, bound)) if message.HasField(bound) else None for bound in _BOUNDS)
    )


def decode_timestamp(message: Timestamp) -> int:
    """Return an instant in nanoseconds since the epoch.

    Raises:
        ConversionError: it is not within the years 0001 to 9999, or has more nanoseconds than a second.

    """
    if message.seconds not in _TIMESTAMP_S or not 0 <= message.nanos < NANOS:
        raise ConversionError(f"Unable to parse timestamp: {message.seconds}s {message.nanos}ns")
    return message.seconds * NANOS + message.nanos


def _box(message: qdrant_common_pb2.GeoBoundingBox) -> GeoBoundingBox:
    if not (message.HasField("top_left") and message.HasField("bottom_right")):
        raise ConversionError("Malformed GeoBoundingBox type")
    return GeoBoundingBox(_geo_point(message.top_left), _geo_point(message.bottom_right))


def _radius(message: qdrant_common_pb2.GeoRadius) -> GeoRadius:
    if not message.HasField("center"):
        raise ConversionError("Malformed GeoRadius type")
    return GeoRadius(_geo_point(message.center), message.radius)


def _polygon(message: qdrant_common_pb2.GeoPolygon) -> GeoPolygon:
    if not message.HasField("exterior"):
        raise ConversionError("Malformed GeoPolygon type - field `exterior` is required")
    return GeoPolygon(_ring(message.exterior), tuple([_ring(each) for each in message.interiors]))


def _ring(message: qdrant_common_pb2.GeoLineString) -> Ring:
    _refuse(ring_violations(message))
    return tuple([_geo_point(point) for point in message.points])


def _geo_point(message: qdrant_common_pb2.GeoPoint) -> GeoPoint:
    _refuse(geo_point_violations(message))
    return GeoPoint(message.lon, message.lat)


def _refuse(violations: Sequence[tuple[str, str]]) -> None:
    """Raise the first of the reasons, if there is one."""
    if violations:
        raise ConversionError(violations[0][1])
