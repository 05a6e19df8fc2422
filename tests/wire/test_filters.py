"""Filters against a server: the worked examples, with and without indexes, in small and in larger collections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.wire import filter_tables, geo_tables, nested_tables, range_tables, text_tables
from tests.wire.filter_tables import field, must, must_not
from tests.wire.points_calls import COMPLETED, DENSE, NO_VECTORS, UUID

if TYPE_CHECKING:
    from pointstore.core.schema import Json
    from tests.wire.points_calls import Calls

# Small collections are read point by point; with as many points as these the engine makes indexes of its own.
PADDING = 300
TABLES = filter_tables.TABLES | geo_tables.TABLES | nested_tables.TABLES | range_tables.TABLES | text_tables.TABLES
CASES = [(name, index) for name, table in TABLES.items() for index in (None, *table.indexes)]


@pytest.mark.parametrize("padding", [0, PADDING], ids=["small", "padded"])
@pytest.mark.parametrize(("name", "index"), CASES, ids=[f"{name}-{index}" for name, index in CASES])
def test_worked_examples(calls: Calls, name: str, index: tuple[str, str, str] | None, padding: int) -> None:
    table = TABLES[name]
    calls = calls.create(DENSE)
    # Half of the indexes are made before there are points, half after.
    early = table.required if padding else ()
    for each in early:
        calls.index(*each)
    calls.fill(table.payloads, padding=padding)
    for each in (*(() if padding else table.required), *((index,) if index else ())):
        calls.index(*each)
    assert {condition: calls.matching(condition) for condition in table.expected} == table.expected


METHODS = {
    # Requests with a filter in place of FILTER.
    "Scroll": "FILTER",
    "Count": "FILTER",
    "Query": "query { nearest { dense { data: [1, 0] } } } FILTER limit: 10",
    "Search": "vector: [1, 0] FILTER limit: 10",
}
SELECTED = must(field("c", "match { keyword: 'x' }")) + " " + must_not(field("n", "range { gt: 2 }"))
CITIES: dict[int, Json] = {
    1: {"c": "x", "n": 1},
    2: {"c": "x", "n": 3},
    3: {"c": "y", "n": 1},
    4: {"c": ["y", "x"]},
    5: {},
}
IDS = [1, 4]


@pytest.fixture(params=[0, PADDING], ids=["small", "padded"])
def cities(calls: Calls, request: pytest.FixtureRequest) -> Calls:
    """Return a collection with vectors and payloads."""
    calls = calls.create(DENSE)
    calls.fill(CITIES, padding=request.param)
    for number in CITIES:
        vector = f"vectors {{ vector {{ dense {{ data: [{number}, 1] }} }} }}"
        calls.write("UpdateVectors", f"points {{ id {{ num: {number} }} {vector} }}")
    return calls


@pytest.mark.parametrize("indexed", [False, True])
def test_reads(cities: Calls, *, indexed: bool) -> None:
    if indexed:
        cities.index("c", "Keyword")
        cities.index("n", "Integer")
    condition = f"filter {{ {SELECTED} }}"
    assert cities.matching(SELECTED) == IDS
    assert cities.call("Count", condition).result.count == len(IDS)
    assert cities.call("Count", f"{condition} exact: false").result.count == len(IDS)
    nearest = f"query {{ nearest {{ dense {{ data: [1, 0] }} }} }} {condition}"
    search = f"vector: [1, 0] limit: 10 {condition}"
    for hits in (
        cities.call("Query", nearest).result,
        cities.call("Query", f"{nearest} params {{ exact: true }}").result,
        cities.call("Search", search).result,
        cities.call("QueryBatch", f"query_points {{ collection_name: '{cities.name}' {nearest} }}").result[0].result,
        cities.call("SearchBatch", f"search_points {{ collection_name: '{cities.name}' {search} }}").result[0].result,
    ):
        assert [hit.id.num for hit in hits] == IDS[::-1]
    assert [hit.id.num for hit in cities.call("Query", condition).result] == IDS
    page = cities.call("Scroll", f"{condition} limit: 1")
    assert [page.result[0].id.num, page.next_page_offset.num] == IDS
    page = cities.call("Scroll", f"{condition} limit: 1 offset {{ num: 2 }}")
    assert [each.id.num for each in page.result] == IDS[1:]
    assert not page.HasField("next_page_offset")
    if indexed:
        hits = cities.call("Facet", f"key: 'c' {condition}").hits
        assert [(hit.value.string_value, hit.count) for hit in hits] == [("x", 2), ("y", 1)]


CHANGE = "payload { key: 'new' value { bool_value: true } }"
WRITES = {
    # method: request, the operation of a batch that is the same
    "Delete": ("points { FILTER }", "delete_points { points { FILTER } }"),
    "SetPayload": (
        f"points_selector {{ FILTER }} {CHANGE}",
        f"set_payload {{ points_selector {{ FILTER }} {CHANGE} }}",
    ),
    "OverwritePayload": (
        f"points_selector {{ FILTER }} {CHANGE}",
        f"overwrite_payload {{ points_selector {{ FILTER }} {CHANGE} }}",
    ),
    "DeletePayload": (
        "points_selector { FILTER } keys: 'c'",
        "delete_payload { points_selector { FILTER } keys: 'c' }",
    ),
    "ClearPayload": ("points { FILTER }", "clear_payload { points { FILTER } }"),
    "DeleteVectors": (
        "points_selector { FILTER } vectors { names: '' }",
        "delete_vectors { points_selector { FILTER } vectors { names: '' } }",
    ),
    "UpdateVectors": ("POINTS UPDATE_FILTER", "update_vectors { POINTS UPDATE_FILTER }"),
    "Upsert": ("POINTS UPDATE_FILTER", "upsert { POINTS UPDATE_FILTER }"),
}
POINTS = " ".join(f"points {{ id {{ num: {n} }} vectors {{ vector {{ dense {{ data: [9, 9] }} }} }} }}" for n in CITIES)


def with_filter(request: str, condition: str) -> str:
    """Return a request of the table above with a filter."""
    return (
        request.replace("UPDATE_FILTER", f"update_filter {{ {condition} }}")
        .replace("FILTER", f"filter {{ {condition} }}")
        .replace("POINTS", POINTS)
    )


@pytest.mark.parametrize("batch", [False, True])
@pytest.mark.parametrize("method", WRITES)
def test_writes(cities: Calls, method: str, *, batch: bool) -> None:
    before = {point.id.num: point for point in cities.get(*CITIES)}
    single, operation = WRITES[method]
    if batch:
        request = f"operations {{ {with_filter(operation, SELECTED)} }}"
        (result,) = cities.call("UpdateBatch", request, wait=True).result
        assert result.status == COMPLETED
    else:
        assert cities.write(method, with_filter(single, SELECTED)) == COMPLETED
    after = {point.id.num: point for point in cities.get(*CITIES)}
    changed = [number for number, point in before.items() if after.get(number) != point]
    assert changed == IDS
    assert (IDS[0] in after) == (method != "Delete")


REFUSED = [
    ("must { has_id { has_id {} } }", "No ID options provided"),
    ("should { has_id { has_id { uuid: 'x' } } }", "Unable to parse UUID: x"),
    (must(field("a", "match {}")), "Malformed Match condition"),
    (must(field("a[", "match { keyword: 'x' }")), "Invalid json path: 'a['"),
    (must(field("a", "geo_bounding_box { top_left {} }")), "Malformed GeoBoundingBox type"),
    (must(field("a", "geo_radius {}")), "Malformed GeoRadius type"),
    (must(field("a", "geo_polygon {}")), "Malformed GeoPolygon type - field `exterior` is required"),
    ("must { nested { key: 'a' } }", "Nested condition must have a filter"),
    ("must { nested { key: 'a.' filter {} } }", "Invalid json path: 'a.'"),
    ("must { is_null { key: '[0]' } }", "Invalid json path: '[0]'"),
]
RING = "points {} points { lon: 1 } points { lat: 1 }"
FAR = "Wrong format of GeoPoint payload: expected `lat` = 91.0 within [-90;90] and `lon` = 0.0 within [-180;180]"
WIDE = "Wrong format of GeoPoint payload: expected `lat` = 0.0 within [-90;90] and `lon` = -181.0 within [-180;180]"
INVALID = [
    ("min_should { conditions {} }", "min_count must be greater than 0"),
    (must("field { key: 'a' }"), "At least one field condition must be specified"),
    (must(field("a", "geo_radius { center { lat: 91 } }")), FAR),
    (must(field("a", "geo_bounding_box { top_left { lon: -181 } bottom_right {} }")), WIDE),
    (must(field("a", "geo_polygon { exterior {} }")), "value invalid, must not be empty"),
    (
        must(field("a", f"geo_polygon {{ exterior {{ {RING} }} }}")),
        "value invalid, the size must be at least 4, got 3",
    ),
    (
        must(field("a", f"geo_polygon {{ exterior {{ {RING} points {{ lon: 2 }} }} }}")),
        "value invalid, the first and the last points should be same to form a closed line",
    ),
    (
        must(field("a", f"geo_polygon {{ exterior {{ {RING} points {{}} }} interiors {{ points {{}} }} }}")),
        "value invalid, the size must be at least 4, got 1",
    ),
    ("must { slice {} }", "must be greater than 0"),
    ("must { slice { total: 2 index: 2 } }", "must be less than the total number of slices"),
    (must(field("a", "datetime_range { lt { seconds: 253402300800 } }")), "invalid"),
    (must(field("a", "datetime_range { lt { nanos: 1000000000 } }")), "invalid"),
]


def every_method() -> list[tuple[str, str]]:
    """Return every method that takes a filter, with a request."""
    reads = [*METHODS.items(), ("Facet", "key: 'a' FILTER")]
    return reads + [(method, single) for method, (single, _) in WRITES.items()]


@pytest.mark.parametrize(("method", "request_text"), every_method())
def test_malformed_filters_are_refused_before_the_lookup(calls: Calls, method: str, request_text: str) -> None:
    for condition, text in REFUSED:
        assert calls.refused(method, with_filter(request_text, condition)) == ("INVALID_ARGUMENT", text)
    for condition, part in INVALID:
        inner = f"nested {{ key: 'a' filter {{ {condition} }} }}"
        deep = must_not(f"filter {{ min_should {{ min_count: 1 conditions {{ {inner} }} }} }}")
        for each in (condition, deep):
            code, text = calls.refused(method, with_filter(request_text, each))
            assert code == "INVALID_ARGUMENT"
            assert text.startswith("Validation error in body: [")
            assert part in text


@pytest.mark.parametrize("method", WRITES)
def test_malformed_filters_within_a_batch(cities: Calls, method: str) -> None:
    for condition, text in REFUSED:
        operation = with_filter(WRITES[method][1], condition)
        refusal = cities.refused("UpdateBatch", f"operations {{ {operation} }}", wait=True)
        assert refusal == ("INVALID_ARGUMENT", text)
    # Batches are not validated, so the reasons come without a path; those of instants are the conversion's.
    before = list(cities.get(*CITIES))
    for condition, part in INVALID:
        inner = f"nested {{ key: 'a' filter {{ {condition} }} }}"
        deep = must_not(f"filter {{ min_should {{ min_count: 1 conditions {{ {inner} }} }} }}")
        for each in (condition, deep):
            operation = with_filter(WRITES[method][1], each)
            code, text = cities.refused("UpdateBatch", f"operations {{ {operation} }}", wait=True)
            assert code == "INVALID_ARGUMENT"
            assert text.startswith("Unable to parse timestamp: ") if "datetime" in condition else text == part
    assert list(cities.get(*CITIES)) == before


# SipHash-2-4 of the ids, without a key.
HASHES = {"num: 0": 0xE849E8BB6FFE2567, "num: 42": 0x0FC2553F07619DD3, f"uuid: '{UUID}'": 0xF5D0CA21BA34D504}


@pytest.mark.parametrize("total", [1, 2, 3, 7, 1000])
def test_slices(calls: Calls, total: int) -> None:
    calls = calls.create(DENSE)
    calls.write("Upsert", " ".join(f"points {{ id {{ {each} }} {NO_VECTORS} }}" for each in HASHES))
    for each, number in HASHES.items():
        condition = must(f"slice {{ total: {total} index: {number % total} }}", f"has_id {{ has_id {{ {each} }} }}")
        assert calls.call("Count", f"filter {{ {condition} }}").result.count == 1


def test_ids_and_vectors(calls: Calls) -> None:
    calls = calls.create(
        "vectors_config { params_map { map { key: 'v' value { size: 1 distance: Dot } } } } "
        "sparse_vectors_config { map { key: 's' value {} } }"
    )
    vector = "vectors { vectors { vectors { key: 'v' value { dense { data: 1 } } } } }"
    sparse = "vectors { vectors { vectors { key: 's' value { sparse { indices: 1 values: 1 } } } } }"
    for point in (f"num: 1 }} {vector}", f"num: 2 }} {sparse}", f"uuid: '{UUID}' }} {NO_VECTORS}"):
        calls.write("Upsert", f"points {{ id {{ {point} }}")
    upper = UUID.upper().replace("-", "")
    counts = {
        must(
            f"has_id {{ has_id {{ num: 1 }} has_id {{ num: 1 }} has_id {{ num: 9 }} has_id {{ uuid: '{upper}' }} }}"
        ): 2,
        must("has_id {}"): 0,
        must_not("has_id {}"): 3,
        must("has_vector { has_vector: 'v' }"): 1,
        must("has_vector { has_vector: 's' }"): 1,
        must("has_vector { has_vector: '' }"): 0,
        must("has_vector { has_vector: 'unknown' }"): 0,
        must_not("has_vector { has_vector: 'unknown' }"): 3,
    }
    assert {each: calls.call("Count", f"filter {{ {each} }}").result.count for each in counts} == counts
    calls.write("DeleteVectors", "points_selector { points { ids { num: 1 } } } vectors { names: 'v' }")
    assert calls.matching(must("has_vector { has_vector: 'v' }")) == []


def test_slices_cover_all_points(calls: Calls) -> None:
    calls = calls.create(DENSE)
    calls.fill({number: {} for number in range(100)})
    slices = [calls.matching(f"must {{ slice {{ total: 4 index: {index} }} }}") for index in range(4)]
    assert sorted(number for each in slices for number in each) == list(range(100))
    assert all(slices)
