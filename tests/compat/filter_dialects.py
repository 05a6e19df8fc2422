"""Filters and field indexes of this project in the words of the official client (gRPC) and of the original engine."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, assert_never
from uuid import UUID

import qdrant_edge as edge
from qdrant_client import grpc, models

from pointstore.core.fields import FieldParams, FieldSchema, FieldType
from pointstore.core.filter import (
    Check,
    Condition,
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
    Nested,
    Range,
    Ring,
    Slice,
    ValuesCount,
)
from pointstore.core.point import PointId, format_point_id, point_id_number

if TYPE_CHECKING:
    from collections.abc import Sequence

_SECOND = 10**9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_BOUNDS = ("lt", "gt", "gte", "lte")
_TOKENIZERS = {2: "whitespace", 3: "word"}


def client_id(point_id: PointId) -> int | str:
    """Return an id as the client takes and gives it."""
    number = point_id_number(point_id)
    return format_point_id(point_id) if number is None else number


def edge_id(point_id: PointId) -> int | UUID:
    """Return an id as the original engine takes and gives it."""
    number = point_id_number(point_id)
    return UUID(format_point_id(point_id)) if number is None else number


def _bounds(of: Range | DatetimeRange | ValuesCount) -> dict[str, Any]:
    return {name: getattr(of, name) for name in _BOUNDS if getattr(of, name) is not None}


def grpc_filter(condition: Filter) -> grpc.Filter:
    """Return a filter as a message."""

    def many(parts: Sequence[Condition]) -> list[grpc.Condition]:
        return [_grpc_condition(part) for part in parts]

    clauses: dict[str, Any] = {
        "must": many(condition.must),
        "should": many(condition.should),
        "must_not": many(condition.must_not),
    }
    if condition.min_should is not None:
        counted = condition.min_should
        clauses["min_should"] = grpc.MinShould(conditions=many(counted.conditions), min_count=counted.min_count)
    return grpc.Filter(**clauses)


def _grpc_condition(condition: Condition) -> grpc.Condition:
    match condition:
        case Filter():
            return grpc.Condition(filter=grpc_filter(condition))
        case Nested(path, inner):
            return grpc.Condition(nested=grpc.NestedCondition(key=str(path), filter=grpc_filter(inner)))
        case HasId(ids):
            found = [client_id(each) for each in sorted(ids)]
            messages = [grpc.PointId(num=each) if isinstance(each, int) else grpc.PointId(uuid=each) for each in found]
            return grpc.Condition(has_id=grpc.HasIdCondition(has_id=messages))
        case HasVector(name):
            return grpc.Condition(has_vector=grpc.HasVectorCondition(has_vector=name))
        case Slice(total, index):
            return grpc.Condition(slice=grpc.SliceCondition(total=total, index=index))
        case Field() | ValuesCount() | IsEmpty() | IsNull():
            return _grpc_field(condition)
        case _:
            assert_never(condition)


def _grpc_field(condition: Field | ValuesCount | IsEmpty | IsNull) -> grpc.Condition:
    key = str(condition.path)
    match condition:
        case IsEmpty(_, True):
            return grpc.Condition(is_empty=grpc.IsEmptyCondition(key=key))
        case IsNull(_, True):
            return grpc.Condition(is_null=grpc.IsNullCondition(key=key))
        case IsEmpty():
            return grpc.Condition(field=grpc.FieldCondition(key=key, is_empty=False))
        case IsNull():
            return grpc.Condition(field=grpc.FieldCondition(key=key, is_null=False))
        case ValuesCount():
            count = grpc.ValuesCount(**_bounds(condition))
            return grpc.Condition(field=grpc.FieldCondition(key=key, values_count=count))
        case Field(_, checks):
            made = grpc.FieldCondition(key=key)
            for check in checks:
                made.MergeFrom(_grpc_check(check))
            return grpc.Condition(field=made)
        case _:
            assert_never(condition)


def _grpc_check(check: Check) -> grpc.FieldCondition:
    match check:
        case Range():
            return grpc.FieldCondition(range=grpc.Range(**_bounds(check)))
        case DatetimeRange():
            made = grpc.FieldCondition()
            made.datetime_range.SetInParent()
            for name, nanos in _bounds(check).items():
                bound = getattr(made.datetime_range, name)
                bound.seconds, bound.nanos = divmod(nanos, _SECOND)
                bound.SetInParent()
            return made
        case GeoBoundingBox(top_left, bottom_right):
            box = grpc.GeoBoundingBox(top_left=_grpc_place(top_left), bottom_right=_grpc_place(bottom_right))
            return grpc.FieldCondition(geo_bounding_box=box)
        case GeoRadius(center, radius):
            return grpc.FieldCondition(geo_radius=grpc.GeoRadius(center=_grpc_place(center), radius=radius))
        case GeoPolygon(exterior, interiors):
            polygon = grpc.GeoPolygon(exterior=_grpc_ring(exterior), interiors=map(_grpc_ring, interiors))
            return grpc.FieldCondition(geo_polygon=polygon)
        case _:
            return grpc.FieldCondition(match=_grpc_match(check))


def _grpc_match(check: Check) -> grpc.Match:
    match check:
        case MatchAnyKeywords(texts):
            return grpc.Match(keywords=grpc.RepeatedStrings(strings=sorted(texts)))
        case MatchExceptKeywords(texts):
            return grpc.Match(except_keywords=grpc.RepeatedStrings(strings=sorted(texts)))
        case MatchAnyIntegers(numbers):
            return grpc.Match(integers=grpc.RepeatedIntegers(integers=sorted(numbers)))
        case MatchExceptIntegers(numbers):
            return grpc.Match(except_integers=grpc.RepeatedIntegers(integers=sorted(numbers)))
        case _:
            name, value = _single(check)
            given: dict[str, Any] = {name: value}
            return grpc.Match(**given)


def _single(check: Check) -> tuple[str, str | int]:
    """Return the name and the value of a check of one value."""
    match check:
        case MatchKeyword(text):
            return "keyword", text
        case MatchInteger(number):
            return "integer", number
        case MatchBoolean(flag):
            return "boolean", flag
        case MatchText(query):
            return "text", query
        case MatchTextAny(query):
            return "text_any", query
        case MatchPhrase(query):
            return "phrase", query
        case MatchPrefix(text):
            return "prefix", text
        case MatchSubstring(text):
            return "substring", text
        case _:
            raise AssertionError(check)


def _grpc_place(place: GeoPoint) -> grpc.GeoPoint:
    return grpc.GeoPoint(lon=place.lon, lat=place.lat)


def _grpc_ring(ring: Ring) -> grpc.GeoLineString:
    return grpc.GeoLineString(points=map(_grpc_place, ring))


def edge_filter(condition: Filter) -> edge.Filter:
    """Return a filter of the original engine's binding; an empty list would count as a clause there."""

    def many(parts: Sequence[Condition]) -> list[Any] | None:
        return [_edge_condition(part) for part in parts] or None

    counted = condition.min_should
    at_least = None if counted is None else edge.MinShould(many(counted.conditions) or [], counted.min_count)
    return edge.Filter(
        must=many(condition.must),
        should=many(condition.should),
        must_not=many(condition.must_not),
        min_should=at_least,
    )


def _edge_condition(condition: Condition) -> Any:
    match condition:
        case Filter():
            return edge_filter(condition)
        case Nested(path, inner):
            return edge.NestedCondition(str(path), edge_filter(inner))
        case HasId(ids):
            return edge.HasIdCondition({edge_id(each) for each in ids})
        case HasVector(name):
            return edge.HasVectorCondition(name)
        case Slice(total, index):
            # The stubs of the package lack it.
            return edge.SliceCondition(total, index)  # type: ignore[attr-defined]
        case IsEmpty(path, wanted):
            empty = edge.IsEmptyCondition(str(path))
            return empty if wanted else edge.FieldCondition(str(path), is_empty=False)
        case IsNull(path, wanted):
            null = edge.IsNullCondition(str(path))
            return null if wanted else edge.FieldCondition(str(path), is_null=False)
        case ValuesCount(path):
            return edge.FieldCondition(str(path), values_count=edge.ValuesCount(**_bounds(condition)))
        case Field(path, checks):
            parts: dict[str, Any] = {}
            for check in checks:
                parts |= _edge_check(check)
            return edge.FieldCondition(str(path), **parts)
        case _:
            assert_never(condition)


def _edge_check(check: Check) -> dict[str, Any]:
    match check:
        case Range():
            return {"range": edge.RangeFloat(**_bounds(check))}
        case DatetimeRange():
            return {"range": edge.RangeDateTime(**{name: _text(nanos) for name, nanos in _bounds(check).items()})}
        case GeoBoundingBox(top_left, bottom_right):
            return {"geo_bounding_box": edge.GeoBoundingBox(_edge_place(top_left), _edge_place(bottom_right))}
        case GeoRadius(center, radius):
            return {"geo_radius": edge.GeoRadius(_edge_place(center), radius)}
        case GeoPolygon(exterior, interiors):
            rings = [[_edge_place(place) for place in ring] for ring in interiors]
            return {"geo_polygon": edge.GeoPolygon([_edge_place(place) for place in exterior], rings or None)}
        case MatchAnyKeywords(texts):
            return {"match": edge.MatchAny(sorted(texts))}
        case MatchExceptKeywords(texts):
            return {"match": edge.MatchExcept(sorted(texts))}
        case MatchAnyIntegers(numbers):
            return {"match": edge.MatchAny(sorted(numbers))}
        case MatchExceptIntegers(numbers):
            return {"match": edge.MatchExcept(sorted(numbers))}
        case _:
            name, value = _single(check)
            made: Any = {
                "text": edge.MatchText,
                "text_any": edge.MatchTextAny,
                "phrase": edge.MatchPhrase,
                "prefix": edge.MatchPrefix,
                "substring": edge.MatchSubstring,
            }.get(name, edge.MatchValue)
            return {"match": made(value)}


def _text(nanos: int) -> str:
    return (_EPOCH + timedelta(microseconds=nanos // 1000)).isoformat()


def _edge_place(place: GeoPoint) -> edge.GeoPoint:
    return edge.GeoPoint(place.lon, place.lat)


def client_index(schema: FieldSchema) -> Any:
    """Return an index as the client creates it."""
    name = schema.type.name.lower()
    if schema.params is None:
        return models.PayloadSchemaType(name)
    params = _params(schema.params)
    if schema.type is FieldType.TEXT:
        params["tokenizer"] = models.TokenizerType(_TOKENIZERS[schema.params.tokenizer or 3])
    return getattr(models, f"{name.capitalize()}IndexParams")(type=name, **params)


def edge_index(schema: FieldSchema) -> Any:
    """Return an index as the original engine creates it."""
    name = schema.type.name.capitalize()
    if schema.params is None:
        return getattr(edge.PayloadSchemaType, name)
    params = _params(schema.params)
    if schema.type is FieldType.TEXT:
        params["tokenizer"] = getattr(edge.TokenizerType, _TOKENIZERS[schema.params.tokenizer or 3].capitalize())
    return getattr(edge, f"{name}IndexParams")(**params)


def _params(params: FieldParams) -> dict[str, Any]:
    names = ("lookup", "range", "lowercase", "phrase_matching", "nested")
    return {name: getattr(params, name) for name in names if getattr(params, name) is not None}
