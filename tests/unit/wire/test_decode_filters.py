"""Filters in text format, decoded or refused."""

from __future__ import annotations

import pytest
from google.protobuf import text_format

from pointstore.core.errors import ConversionError
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
    MinShould,
    Nested,
    Range,
    Slice,
    ValuesCount,
)
from pointstore.core.path import parse_path
from pointstore.core.point import point_id_from_number, point_id_from_text
from pointstore.wire.decode_filters import decode_filter
from qdrant_grpc import qdrant_common_pb2

UUID = "550e8400-e29b-41d4-a716-446655440000"
A = parse_path("a")
TRIANGLE = "points { lon: 0 lat: 0 } points { lon: 1 lat: 0 } points { lon: 0 lat: 1 } points { lon: 0 lat: 0 }"
RING = (GeoPoint(0.0, 0.0), GeoPoint(1.0, 0.0), GeoPoint(0.0, 1.0), GeoPoint(0.0, 0.0))


def decode(text: str) -> Filter:
    """Decode a filter in text format."""
    return decode_filter(text_format.Parse(text, qdrant_common_pb2.Filter()))


CHECKS: list[tuple[str, Check]] = [
    ("match { keyword: 'x' }", MatchKeyword("x")),
    ("match { keyword: '' }", MatchKeyword("")),
    ("match { integer: 0 }", MatchInteger(0)),
    ("match { integer: -9223372036854775808 }", MatchInteger(-(2**63))),
    ("match { boolean: false }", MatchBoolean(flag=False)),
    ("match { keywords { strings: ['x', 'y', 'x'] } }", MatchAnyKeywords(frozenset({"x", "y"}))),
    ("match { keywords {} }", MatchAnyKeywords(frozenset())),
    ("match { integers { integers: [1, 1] } }", MatchAnyIntegers(frozenset({1}))),
    ("match { except_keywords { strings: 'x' } }", MatchExceptKeywords(frozenset({"x"}))),
    ("match { except_integers {} }", MatchExceptIntegers(frozenset())),
    ("match { text: 'x y' }", MatchText("x y")),
    ("match { text_any: 'x y' }", MatchTextAny("x y")),
    ("match { phrase: '' }", MatchPhrase("")),
    ("match { prefix: 'x' }", MatchPrefix("x")),
    ("match { substring: 'x' }", MatchSubstring("x")),
    ("range {}", Range()),
    ("range { lt: 0 gt: -1.5 gte: 2 lte: 3 }", Range(lt=0.0, gt=-1.5, gte=2.0, lte=3.0)),
    ("datetime_range {}", DatetimeRange()),
    (
        "datetime_range { lt { seconds: 1 nanos: 5 } gt {} gte { seconds: -1 nanos: 1 } lte { seconds: 9 } }",
        DatetimeRange(lt=1_000_000_005, gt=0, gte=-999_999_999, lte=9_000_000_000),
    ),
    (
        "geo_bounding_box { top_left { lat: 2 } bottom_right { lon: 1 } }",
        GeoBoundingBox(GeoPoint(0.0, 2.0), GeoPoint(1.0, 0.0)),
    ),
    # 0.1 is a float on the wire.
    ("geo_radius { center { lon: 1 lat: 2 } radius: 0.1 }", GeoRadius(GeoPoint(1.0, 2.0), 0.10000000149011612)),
    ("geo_radius { center {} }", GeoRadius(GeoPoint(0.0, 0.0), 0.0)),
    (f"geo_polygon {{ exterior {{ {TRIANGLE} }} }}", GeoPolygon(RING)),
    (
        f"geo_polygon {{ exterior {{ {TRIANGLE} }} interiors {{ {TRIANGLE} }} interiors {{ {TRIANGLE} }} }}",
        GeoPolygon(RING, (RING, RING)),
    ),
]


@pytest.mark.parametrize(("text", "check"), CHECKS)
def test_checks(text: str, check: Check) -> None:
    assert decode(f"must {{ field {{ key: 'a' {text} }} }}") == Filter(must=(Field(A, (check,)),))


CONDITIONS: list[tuple[str, Condition]] = [
    (
        f"has_id {{ has_id {{ num: 7 }} has_id {{ uuid: '{UUID.upper()}' }} has_id {{ num: 7 }} }}",
        HasId(frozenset({point_id_from_number(7), point_id_from_text(UUID)})),
    ),
    ("has_id {}", HasId(frozenset())),
    ("has_vector { has_vector: 'v' }", HasVector("v")),
    ("has_vector {}", HasVector("")),
    ("slice { total: 3 index: 2 }", Slice(3, 2)),
    ("is_empty { key: '\"a\"' }", IsEmpty(A)),
    ("is_null { key: 'a' }", IsNull(A)),
    ("filter {}", Filter()),
    ("filter { should { filter { must { has_id {} } } } }", Filter(should=(Filter(must=(HasId(frozenset()),)),))),
    ("nested { key: 'o' filter {} }", Nested(parse_path("o[]"), Filter())),
    (
        "nested { key: 'o[]' filter { must_not { is_null { key: 'a' } } } }",
        Nested(parse_path("o[]"), Filter(must_not=(IsNull(A),))),
    ),
    ("nested { key: 'o[0]' filter {} }", Nested(parse_path("o[0][]"), Filter())),
    # Several checks (5.1)
    ("field { key: 'a' values_count {} }", ValuesCount(A)),
    ("field { key: 'a' values_count { lt: 0 gt: 1 gte: 2 lte: 3 } }", ValuesCount(A, lt=0, gt=1, gte=2, lte=3)),
    ("field { key: 'a' is_empty: true }", IsEmpty(A)),
    ("field { key: 'a' is_empty: false }", IsEmpty(A, wanted=False)),
    ("field { key: 'a' is_null: false }", IsNull(A, wanted=False)),
    ("field { key: 'a' range { gt: 4 } datetime_range {} }", Field(A, (Range(gt=4.0),))),
    ("field { key: 'a' range {} datetime_range { gt {} } }", Field(A, (Range(),))),
    ("field { key: 'a' match { keyword: 's' } range { gt: 4 } }", Field(A, (MatchKeyword("s"), Range(gt=4.0)))),
    (
        "field { key: 'a' geo_radius { center {} } match { integer: 1 } datetime_range {} }",
        Field(A, (MatchInteger(1), DatetimeRange(), GeoRadius(GeoPoint(0.0, 0.0), 0.0))),
    ),
    ("field { key: 'a' match { keyword: 's' } is_null: true }", IsNull(A)),
    ("field { key: 'a' is_null: true is_empty: false }", IsEmpty(A, wanted=False)),
    ("field { key: 'a' is_empty: true values_count { lt: 1 } range {} }", ValuesCount(A, lt=1)),
]


@pytest.mark.parametrize(("text", "condition"), CONDITIONS)
def test_conditions(text: str, condition: Condition) -> None:
    assert decode(f"should {{ {text} }}") == Filter(should=(condition,))


def test_clauses() -> None:
    one, two = IsNull(A), IsEmpty(A)
    null, empty = "is_null { key: 'a' }", "is_empty { key: 'a' }"
    assert decode("") == Filter()
    assert decode(f"must {{ {null} }} must_not {{ {empty} }} must_not {{ {null} }} should {{ {empty} }}") == Filter(
        must=(one,), must_not=(two, one), should=(two,)
    )
    assert decode(f"min_should {{ conditions {{ {null} }} conditions {{ {null} }} min_count: 2 }}") == Filter(
        min_should=MinShould((one, one), 2)
    )


def test_conditions_without_variant_are_dropped() -> None:
    assert decode("must {} should { is_null { key: 'a' } } should {} must_not {}") == Filter(should=(IsNull(A),))
    assert decode("min_should { conditions {} min_count: 1 }") == Filter(min_should=MinShould((), 1))


REFUSED = [
    ("must { has_id { has_id {} } }", "No ID options provided"),
    ("must { has_id { has_id { uuid: 'x' } } }", "Unable to parse UUID: x"),
    ("must { is_empty {} }", "Invalid json path: ''"),
    ("must { is_null { key: 'a.' } }", "Invalid json path: 'a.'"),
    ("must { field { key: 'a[' match { integer: 1 } } }", "Invalid json path: 'a['"),
    ("must { nested { key: ' o' filter {} } }", "Invalid json path: ' o'"),
    ("must { nested { key: 'o' } }", "Nested condition must have a filter"),
    ("must { nested { key: 'o' filter { must { field { key: 'a' match {} } } } } }", "Malformed Match condition"),
    # A part that another one wins over is decoded nevertheless.
    ("must { field { key: 'a' match {} is_null: true } }", "Malformed Match condition"),
    ("must { field { key: 'a' } }", "At least one field condition must be specified"),
    ("must { field { key: 'a' geo_bounding_box { top_left {} } } }", "Malformed GeoBoundingBox type"),
    ("must { field { key: 'a' geo_bounding_box { bottom_right {} } } }", "Malformed GeoBoundingBox type"),
    ("must { field { key: 'a' geo_radius { radius: 1 } } }", "Malformed GeoRadius type"),
    ("must { field { key: 'a' geo_polygon {} } }", "Malformed GeoPolygon type - field `exterior` is required"),
    (
        "must { field { key: 'a' geo_polygon { exterior { points {} points {} points {} } } } }",
        "value invalid, the size must be at least 4, got 3",
    ),
    (
        "must { field { key: 'a' geo_polygon { exterior { points { lon: 1 } points {} points {} points {} } } } }",
        "value invalid, the first and the last points should be same to form a closed line",
    ),
    (
        "must { field { key: 'a' geo_radius { center { lat: nan } } } }",
        "Wrong format of GeoPoint payload: expected `lat` = nan within [-90;90] and `lon` = 0.0 within [-180;180]",
    ),
    (
        "must { field { key: 'a' datetime_range { lt { seconds: 253402300800 } } } }",
        "Unable to parse timestamp: 253402300800s 0ns",
    ),
    ("must { field { key: 'a' datetime_range { lt { nanos: -1 } } } }", "Unable to parse timestamp: 0s -1ns"),
    ("must { slice {} }", "must be greater than 0"),
    ("must { slice { total: 2 index: 2 } }", "must be less than the total number of slices"),
    ("min_should { conditions { has_id {} } }", "min_count must be greater than 0"),
]


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(ConversionError) as caught:
        decode(text)
    assert caught.value.message == message
