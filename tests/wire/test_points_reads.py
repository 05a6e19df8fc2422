"""The read RPCs against a server: what they refuse and in which words, and what they return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from qdrant_grpc import points_pb2
from tests.wire.points_calls import UUID

if TYPE_CHECKING:
    from tests.wire.points_calls import Calls

UUID_2 = "550e8400-e29b-41d4-a716-446655440001"
PAYLOAD = """
    payload { key: 'a' value { struct_value {
        fields { key: 'b' value { integer_value: 1 } }
        fields { key: 'c' value { list_value {
            values { struct_value { fields { key: 'd' value { double_value: 1 } } } }
        } } }
    } } }
    payload { key: 'n' value { null_value: NULL_VALUE } }
    payload { key: 'a.b' value { string_value: 'literal' } }
"""


@pytest.fixture(scope="module")
def points(calls: Calls) -> Calls:
    """Dot product with [1, 0] ranks 7, UUID, 3, 1; UUID_2 has no vector."""
    calls = calls.create("vectors_config { params { size: 2 distance: Dot } }")
    vectors = {"num: 1": "[1, 9]", "num: 3": "[2, 0]", f"uuid: '{UUID}'": "[3, 0]", "num: 7": "[4, 0]"}
    for point_id, data in vectors.items():
        payload = PAYLOAD if point_id == "num: 1" else ""
        vector = f"vectors {{ vector {{ dense {{ data: {data} }} }} }}"
        calls.write("Upsert", f"points {{ id {{ {point_id} }} {vector} {payload} }}")
    calls.write("Upsert", f"points {{ id {{ uuid: '{UUID_2}' }} vectors {{ vectors {{}} }} }}")
    return calls


@pytest.fixture(scope="module")
def mixed(calls: Calls) -> Calls:
    """Point 1 has all vectors, point 2 none."""
    calls = calls.create(
        """vectors_config { params_map {
            map { key: '' value { size: 2 distance: Cosine } }
            map { key: 'img' value { size: 3 distance: Euclid } }
            map { key: 'rows' value { size: 2 distance: Dot multivector_config {} } }
        } }
        sparse_vectors_config { map { key: 'text' value {} } }"""
    )
    calls.write(
        "Upsert",
        """points { id { num: 1 } vectors { vectors {
            vectors { key: '' value { dense { data: [3, 4] } } }
            vectors { key: 'img' value { dense { data: [1, 2, 3] } } }
            vectors { key: 'rows' value { dense { data: [1, 2] } } }
            vectors { key: 'text' value { sparse { indices: [5, 2] values: [0.5, 1] } } }
        } } }""",
    )
    calls.write("Upsert", "points { id { num: 2 } vectors { vectors {} } }")
    return calls


def _ids(found: Any) -> list[int | str]:  # noqa: ANN401  retrieved or scored points
    return [point.id.num if point.id.HasField("num") else point.id.uuid for point in found]


NEAREST = "query { nearest { dense { data: [1, 0] } } }"
NONE_CONSISTENCY = "invalid read consistency message: `ReadConsistency::value` field is `None`"
READS = [
    # method, a well-formed request
    ("Get", "ids { num: 1 }"),
    ("Scroll", ""),
    ("Count", ""),
    ("Search", "vector: [1, 0] limit: 3"),
    ("Query", NEAREST),
    ("Query", ""),
]
BAD_FILTERS = [
    ("must { has_id { has_id {} } }", "INVALID_ARGUMENT", "No ID options provided"),
    (
        "must_not { filter { should { has_id { has_id { uuid: 'x' } } } } }",
        "INVALID_ARGUMENT",
        "Unable to parse UUID: x",
    ),
    ("must { field { key: 'a[' match { keyword: 'x' } } }", "INVALID_ARGUMENT", "Invalid json path: 'a['"),
    ("must { field { key: 'a' match {} } }", "INVALID_ARGUMENT", "Malformed Match condition"),
    ("must { field { key: 'a' geo_bounding_box {} } }", "INVALID_ARGUMENT", "Malformed GeoBoundingBox type"),
    ("must { field { key: 'a' geo_radius {} } }", "INVALID_ARGUMENT", "Malformed GeoRadius type"),
    (
        "must { field { key: 'a' geo_polygon {} } }",
        "INVALID_ARGUMENT",
        "Malformed GeoPolygon type - field `exterior` is required",
    ),
    ("must { nested { key: 'a' } }", "INVALID_ARGUMENT", "Nested condition must have a filter"),
    ("must { is_empty { key: '' } }", "INVALID_ARGUMENT", "Invalid json path: ''"),
]


@pytest.mark.parametrize(("condition", "code", "text"), BAD_FILTERS)
@pytest.mark.parametrize(("method", "request_text"), READS[1:])
def test_filters_are_refused_before_the_lookup(  # noqa: PLR0913  two tables
    calls: Calls, method: str, request_text: str, condition: str, code: str, text: str
) -> None:
    assert calls.refused(method, f"{request_text} filter {{ {condition} }}") == (code, text)


BODY = "Validation error in body: ["
INVALID = [
    ("Scroll", "limit: 0", f"{BODY}limit: value 0 invalid, must be 1 or larger]"),
    ("Search", "vector: 1", f"{BODY}limit: value 0 invalid, must be 1 or larger]"),
    ("Query", "limit: 0", f"{BODY}limit: value 0 invalid, must be 1 or larger]"),
    ("Query", "params { hnsw_ef: 0 }", f"{BODY}params.hnsw_ef: value 0 invalid, must be 1 or larger]"),
    ("Query", "timeout: 0", f"{BODY}timeout: value 0 invalid, must be 1 or larger]"),
    (
        "Query",
        "query { nearest { sparse { values: [1, 1] indices: [2, 2] } } }",
        f"{BODY}query.variant.variant.indices: Validation error: must be unique [{{}}]]",
    ),
    (
        "Count",
        "filter { min_should { conditions {} } }",
        f"{BODY}filter.min_should.min_count: min_count must be greater than 0]",
    ),
    (
        "SearchBatch",
        "search_points { vector: 1 limit: 1 }",
        f'{BODY}search_points[0].collection_name: value "" invalid, must be from 1 to 255 characters]',
    ),
    (
        "QueryBatch",
        "query_points { limit: 1 }",
        f'{BODY}query_points[0].collection_name: value "" invalid, must be from 1 to 255 characters]',
    ),
    ("Get", "ids {}", "No ID options provided"),
    ("Get", "ids { num: 1 } ids { uuid: '12' }", "Unable to parse UUID: 12"),
    ("Scroll", "offset {}", "No ID options provided"),
    ("Scroll", "offset { uuid: 'x' }", "Unable to parse UUID: x"),
    ("Scroll", "order_by { key: 'a.' }", "Invalid json path: 'a.'"),
    ("Query", "query {}", "Query variant is missing"),
    ("Query", "query { nearest {} }", "VectorInput variant is missing"),
    ("Query", "query { nearest { id {} } }", "No ID options provided"),
    ("Query", "query { nearest { id { uuid: 'zz' } } }", "Unable to parse UUID: zz"),
    ("Query", "shard_key_selector { shard_keys {} }", "Shard key is not specified"),
    ("QueryBatch", "query_points { collection_name: 'x' query {} }", "Query variant is missing"),
    ("Search", "vector: 1 sparse_indices { data: 1 } limit: 1", "Sparse vector must have a name specified"),
    *(
        row
        for method, request in READS
        if method != "Count"
        for row in (
            (method, f"{request} with_payload {{}}", "No PayloadSelector"),
            (method, f"{request} with_payload {{ include {{ fields: ['a', 'b['] }} }}", "Invalid json path: 'b['"),
            (method, f"{request} with_payload {{ exclude {{ fields: '' }} }}", "Invalid json path: ''"),
        )
    ),
    *(
        row
        for method, request in (READS[0], *READS[3:], ("SearchBatch", ""), ("QueryBatch", ""))
        for row in (
            (method, f"{request} read_consistency {{}}", NONE_CONSISTENCY),
            (method, f"{request} read_consistency {{ type: 5 }}", "invalid read consistency type value 5"),
        )
    ),
]


@pytest.mark.parametrize(("method", "request_text", "text"), INVALID)
def test_malformed_requests_are_refused_before_the_lookup(
    calls: Calls, method: str, request_text: str, text: str
) -> None:
    assert calls.refused(method, request_text) == ("INVALID_ARGUMENT", text)


@pytest.mark.parametrize(
    ("method", "request_text"),
    [
        *READS,
        ("SearchBatch", ""),
        ("QueryBatch", ""),
        ("QueryBatch", f"query_points {{ collection_name: 'x' {NEAREST} }}"),
        ("Scroll", "read_consistency {}"),
        ("Count", "read_consistency {}"),
        ("Scroll", "timeout: 0"),
        ("Query", f"{NEAREST} shard_key_selector {{ shard_keys {{ number: 1 }} }}"),
        ("Query", "score_threshold: 1"),
        ("Query", "query { nearest { dense { data: [1, 2, 3] } } }"),
    ],
)
def test_missing_collection(calls: Calls, method: str, request_text: str) -> None:
    expected = ("NOT_FOUND", "Not found: Collection `missing` doesn't exist!")
    assert calls.refused(method, request_text) == expected


@pytest.mark.parametrize(("method", "request_text"), READS)
def test_read_consistency(points: Calls, method: str, request_text: str) -> None:
    for value in ("type: All", "type: Majority", "type: Quorum", "factor: 1", "factor: 18446744073709551615"):
        points.call(method, f"{request_text} read_consistency {{ {value} }}")
    for value in ("", "type: 3", "factor: 0"):
        code, _ = points.refused(method, f"{request_text} read_consistency {{ {value} }}")
        assert code == "INVALID_ARGUMENT"


@pytest.mark.parametrize(("method", "request_text"), READS)
def test_shard_keys_of_reads(points: Calls, method: str, request_text: str) -> None:
    def refused(selector: str) -> tuple[str, str]:
        return points.refused(method, f"{request_text} shard_key_selector {{ {selector} }}")

    assert refused("shard_keys { keyword: 'k' }") == ("INVALID_ARGUMENT", 'Bad request: Shard key "k" not found')
    assert refused("shard_keys { number: 7 }") == ("INVALID_ARGUMENT", "Bad request: Shard key 7 not found")
    assert refused("shard_keys { number: 7 } fallback { number: 8 }")[0] == "NOT_FOUND"
    code, text = refused("fallback { number: 8 }")
    assert code == "INVALID_ARGUMENT"
    assert "can only be set when a single shard key is provided" in text


def test_a_selector_without_keys_selects_nothing_but_in_queries(points: Calls) -> None:
    nothing = "shard_key_selector {}"
    assert not points.call("Get", f"ids {{ num: 1 }} {nothing}").result
    assert not points.call("Scroll", nothing).result
    assert points.call("Count", nothing).result.count == 0
    assert len(points.call("Query", f"{NEAREST} {nothing}").result) == 4
    assert len(points.call("Search", f"vector: [1, 0] limit: 9 {nothing}").result) == 4


@pytest.mark.parametrize(("method", "operation"), [("Get", "retrieve"), ("Scroll", "scroll"), ("Count", "count")])
def test_no_time_at_all(points: Calls, method: str, operation: str) -> None:
    text = f"Timeout: Timeout error: Operation '{operation}' timed out after 0ns"
    assert points.refused(method, "timeout: 0") == ("DEADLINE_EXCEEDED", text)


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        ([7, 1], [7, 1]),
        ([3, 99, 1, 3], [3, 1]),
        ([99], []),
        ([], []),
        ([UUID.upper(), f"{{{UUID}}}", 1], [UUID, 1]),
    ],
)
def test_get(points: Calls, ids: list[int | str], expected: list[int | str]) -> None:
    assert _ids(points.get(*ids)) == expected


def test_get_returns_bare_ids_by_default(points: Calls) -> None:
    reply = points.call("Get", "ids { num: 1 }")
    assert reply.result[0] == points_pb2.RetrievedPoint(id=reply.result[0].id)
    assert reply.time > 0
    assert not reply.HasField("usage")


PAGES = [
    ("limit: 2", [1, 3], 7),
    ("offset { num: 2 } limit: 2", [3, 7], UUID),
    ("offset { num: 7 } limit: 3", [7, UUID, UUID_2], None),
    (f"offset {{ uuid: '{UUID}' }}", [UUID, UUID_2], None),
    (f"offset {{ uuid: '{UUID_2.upper()}' }}", [UUID_2], None),
    ("limit: 5", [1, 3, 7, UUID, UUID_2], None),
    ("limit: 4294967295", [1, 3, 7, UUID, UUID_2], None),
    ("offset { num: 18446744073709551615 } limit: 1", [UUID], UUID_2),
    ("filter { must { has_id { has_id { num: 1 } has_id { num: 7 } has_id { num: 8 } } } } limit: 1", [1], 7),
    ("filter { must { has_id { has_id { num: 1 } has_id { num: 7 } } } } offset { num: 2 }", [7], None),
]


@pytest.mark.parametrize(("request_text", "ids", "following"), PAGES)
def test_scroll(points: Calls, request_text: str, ids: list[int | str], following: int | str | None) -> None:
    reply = points.call("Scroll", request_text)
    assert _ids(reply.result) == ids
    assert reply.HasField("next_page_offset") == (following is not None)
    if following is not None:
        assert (reply.next_page_offset.num or reply.next_page_offset.uuid) == following
    assert reply.time > 0


def test_scroll_defaults(calls: Calls) -> None:
    calls = calls.create("")
    upserts = " ".join(f"points {{ id {{ num: {i} }} vectors {{ vectors {{}} }} {PAYLOAD} }}" for i in range(11))
    calls.write("Upsert", upserts)
    reply = calls.call("Scroll")
    assert len(reply.result) == 10
    assert reply.next_page_offset.num == 10
    assert set(reply.result[0].payload) == {"a", "n", "a.b"}
    assert not reply.result[0].HasField("vectors")


A = "must { has_id { has_id { num: 1 } has_id { num: 3 } } }"
COUNTED = A.replace("must", "conditions")
FILTERS = [
    ("", 5),
    ("filter {}", 5),
    ("filter { must {} should {} must_not {} }", 5),
    (f"filter {{ {A} }}", 2),
    ("filter { must_not { has_id { has_id { num: 1 } } } }", 4),
    ("filter { must { has_id {} } }", 0),
    (f"filter {{ must {{ has_id {{ has_id {{ uuid: '{UUID.replace('-', '')}' }} }} }} }}", 1),
    ("filter { must { filter {} } }", 5),
    ("filter { must_not { filter {} } }", 0),
    ("filter { should { filter {} } }", 5),
    ("filter { should { has_id { has_id { num: 1 } } } should { has_id { has_id { num: 7 } } } }", 2),
    (f"filter {{ {A} should {{ has_id {{ has_id {{ num: 1 }} has_id {{ num: 7 }} }} }} }}", 1),
    (
        f"filter {{ min_should {{ {COUNTED} {COUNTED} min_count: 2 }} }}",
        2,
    ),
    (f"filter {{ min_should {{ {COUNTED} min_count: 2 }} }}", 0),
    ("filter { min_should { min_count: 1 } }", 0),
    ("filter { min_should { conditions {} min_count: 1 } }", 0),
    (f"filter {{ must_not {{ filter {{ {A} must {{ has_id {{ has_id {{ num: 1 }} }} }} }} }} }}", 4),
]


@pytest.mark.parametrize(("condition", "count"), FILTERS)
def test_count(points: Calls, condition: str, count: int) -> None:
    for exact in ("", "exact: false", "exact: true"):
        reply = points.call("Count", f"{condition} {exact}")
        assert reply.result.count == count
        assert reply.time > 0
    assert len(points.call("Scroll", condition).result) == count


SELECTIONS = [
    ("enable: true", {"a", "n", "a.b"}),
    ("enable: false", set()),
    ("include {}", set()),
    ("include { fields: 'n' }", {"n"}),
    (r"include { fields: '\"a.b\"' }", {"a.b"}),
    ("include { fields: ['a.zz', 'zz'] }", {"a"}),
    ("exclude {}", {"a", "n", "a.b"}),
    ("exclude { fields: ['a', 'zz'] }", {"n", "a.b"}),
]


@pytest.mark.parametrize(("selector", "keys"), SELECTIONS)
@pytest.mark.parametrize(("method", "request_text"), [row for row in READS if row[0] != "Count"])
def test_payload_selectors(points: Calls, method: str, request_text: str, selector: str, keys: set[str]) -> None:
    only = "" if method == "Get" else "filter { must { has_id { has_id { num: 1 } } } }"
    (point,) = points.call(method, f"{request_text} {only} with_payload {{ {selector} }}").result
    assert set(point.payload) == keys
    if selector == "enable: true":
        assert point.payload["a"].struct_value.fields["b"].WhichOneof("kind") == "integer_value"
        inner = point.payload["a"].struct_value.fields["c"].list_value.values[0].struct_value.fields["d"]
        assert inner.WhichOneof("kind") == "double_value"


@pytest.mark.parametrize("method", ["Get", "Scroll", "Query"])
def test_included_parts_of_objects(points: Calls, method: str) -> None:
    request = "ids { num: 1 }" if method == "Get" else ""
    reply = points.call(method, f"{request} with_payload {{ include {{ fields: 'a.c[].d' }} }}")
    assert set(reply.result[0].payload["a"].struct_value.fields) == {"c"}


VECTORS = {
    "": '"" { dense { data: 0.6 data: 0.8 } }',
    "img": '"img" { dense { data: 1 data: 2 data: 3 } }',
    "rows": '"rows" { multi_dense { vectors { data: 1 data: 2 } } }',
    "text": '"text" { sparse { values: 1 values: 0.5 indices: 2 indices: 5 } }',
}


def _named(*names: str) -> points_pb2.VectorsOutput:
    from google.protobuf import text_format

    output = points_pb2.VectorsOutput()
    output.vectors.SetInParent()
    for name in names:
        key, _, value = VECTORS[name].partition(" ")
        text_format.Merge(f"vectors {{ vectors {{ key: {key} value {value} }} }}", output)
    return output


@pytest.mark.parametrize("method", ["Get", "Scroll", "Query"])
@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("enable: true", ("", "img", "rows", "text")),
        ("include { names: ['img', 'text'] }", ("img", "text")),
        ("include { names: ['rows', ''] }", ("rows", "")),
        ("include {}", ()),
    ],
)
def test_vector_selectors(mixed: Calls, method: str, selector: str, names: tuple[str, ...]) -> None:
    request = "ids { num: 1 } ids { num: 2 }" if method == "Get" else ""
    first, second = mixed.call(method, f"{request} with_vectors {{ {selector} }}").result
    assert first.vectors == _named(*names)
    assert second.vectors == _named()


@pytest.mark.parametrize("selector", ["", "with_vectors {}", "with_vectors { enable: false }"])
def test_vectors_that_were_not_requested(mixed: Calls, selector: str) -> None:
    (point,) = mixed.call("Get", f"ids {{ num: 1 }} {selector}").result
    assert not point.HasField("vectors")


def test_the_default_vector_alone(mixed: Calls) -> None:
    (point,) = mixed.call("Get", "ids { num: 1 } with_vectors { include { names: '' } }").result
    assert str(point.vectors).split() == ["vector", "{", "dense", "{", "data:", "0.6", "data:", "0.8", "}", "}"]


@pytest.mark.parametrize(
    ("method", "request_text"),
    [("Get", "ids { num: 1 }"), ("Scroll", ""), ("Query", ""), ("Search", "vector: [1, 0] limit: 1")],
)
def test_unknown_name_of_requested_vectors(mixed: Calls, method: str, request_text: str) -> None:
    refused = mixed.refused(method, f"{request_text} with_vectors {{ include {{ names: ['img', 'x'] }} }}")
    assert refused == ("INVALID_ARGUMENT", "Wrong input: Not existing vector name error: x")


RANKED = [7, UUID, 3, 1]
QUERIES = [
    (NEAREST, RANKED),
    (f"{NEAREST} limit: 2", RANKED[:2]),
    (f"{NEAREST} limit: 2 offset: 1", RANKED[1:3]),
    (f"{NEAREST} offset: 10", []),
    (f"{NEAREST} limit: 18446744073709551615 offset: 18446744073709551615", []),
    (f"{NEAREST} limit: 18446744073709551615 offset: 1", RANKED[1:]),
    (f"{NEAREST} score_threshold: 2", RANKED[:2]),
    (f"{NEAREST} params {{ exact: true hnsw_ef: 9 indexed_only: true acorn {{ enable: true }} }}", RANKED),
    (f"{NEAREST} params {{ quantization {{ ignore: true rescore: false oversampling: 2 }} }}", RANKED),
    (f"{NEAREST} filter {{ must_not {{ has_id {{ has_id {{ num: 7 }} }} }} }}", RANKED[1:]),
    ("query { nearest { id { num: 3 } } }", [7, UUID, 1]),
    (f"query {{ nearest {{ id {{ uuid: '{UUID.upper()}' }} }} }} limit: 1", [7]),
    ("", [1, 3, 7, UUID, UUID_2]),
    ("limit: 2 offset: 1 using: 'x'", [3, 7]),
    ("filter { must_not { has_id { has_id { num: 1 } } } } limit: 2", [3, 7]),
]


@pytest.mark.parametrize(("request_text", "expected"), QUERIES)
def test_query(points: Calls, request_text: str, expected: list[int | str]) -> None:
    reply = points.call("Query", request_text)
    assert _ids(reply.result) == expected
    assert reply.time > 0
    assert not reply.HasField("usage")
    batch = points.call("QueryBatch", f"query_points {{ collection_name: 'other' {request_text} }}")
    assert [_ids(each.result) for each in batch.result] == [expected]


def test_scores_and_versions(points: Calls) -> None:
    hits = points.call("Query", NEAREST).result
    assert [hit.score for hit in hits] == [4, 3, 2, 1]
    assert [hit.version for hit in hits] == [4, 3, 2, 1]
    scrolled = points.call("Query", "").result
    assert {(hit.score, hit.version) for hit in scrolled} == {(1.0, 0)}


def test_search(points: Calls) -> None:
    request = "vector: [1, 0] limit: 2 offset: 1 score_threshold: 1.5 with_payload { enable: true } vector_name: ''"
    assert _ids(points.call("Search", request).result) == [UUID, 3]
    second = "search_points { collection_name: 'y' vector: [0, 1] limit: 1 }"
    searches = f"search_points {{ collection_name: 'x' {request} }} {second}"
    batch = points.call("SearchBatch", searches)
    assert [_ids(each.result) for each in batch.result] == [[UUID, 3], [1]]
    assert batch.time > 0


def test_empty_batches(points: Calls) -> None:
    assert not points.call("QueryBatch").result
    assert not points.call("SearchBatch").result


def test_one_failing_request_fails_the_batch(points: Calls) -> None:
    good = f"query_points {{ collection_name: 'x' {NEAREST} }}"
    bad = "query_points { collection_name: 'x' query { nearest { dense { data: 1 } } } }"
    text = "Wrong input: Vector dimension error: expected dim: 2, got 1"
    assert points.refused("QueryBatch", good + bad) == ("INVALID_ARGUMENT", text)


NO_SERVICE = "InferenceService URL not configured - please provide valid address in config"
NO_QUERY = "A query is needed to use the score_threshold. Can't have score_threshold without defining a query."
EXECUTION = [
    (
        "query { nearest { dense { data: 1 } } }",
        "INVALID_ARGUMENT",
        "Wrong input: Vector dimension error: expected dim: 2, got 1",
    ),
    (
        "query { nearest { dense {} } }",
        "INVALID_ARGUMENT",
        "Wrong input: Vector dimension error: expected dim: 2, got 0",
    ),
    (f"{NEAREST} using: 'x'", "INVALID_ARGUMENT", "Wrong input: Not existing vector name error: x"),
    (
        "query { nearest { sparse { values: 1 indices: 1 } } }",
        "INVALID_ARGUMENT",
        "Wrong input: Conversion between sparse and regular vectors failed",
    ),
    (
        "query { nearest { multi_dense { vectors { data: [1, 2] } } } }",
        "INVALID_ARGUMENT",
        "Wrong input: Conversion between multi and regular vectors failed",
    ),
    ("query { nearest { id { num: 999 } } }", "NOT_FOUND", "Not found: No point with id 999 found"),
    (
        f"query {{ nearest {{ id {{ uuid: '{UUID_2}' }} }} }}",
        "NOT_FOUND",
        'Not found: Vector with name "" for point not found',
    ),
    (f"{NEAREST} lookup_from {{ collection_name: 'missing' }}", "NOT_FOUND", "Not found: Collection missing not found"),
    (
        "query { nearest { document { model: 'clip' text: 'a' } } }",
        "INTERNAL",
        f"Inference error: Service internal error: {NO_SERVICE}",
    ),
    (
        "query { nearest { image { model: 'bm25' image { bool_value: true } } } }",
        "INTERNAL",
        "Inference error: Wrong input: Only text input is supported for bm25.",
    ),
    (
        "query { nearest { document { model: 'bm25' options { key: 'b' value { integer_value: 2 } } } } }",
        "INTERNAL",
        "Inference error: Wrong input: BM25 b must be finite and in [0.0, 1.0], got 2",
    ),
    (
        "score_threshold: 1",
        "INVALID_ARGUMENT",
        f"Bad request: {NO_QUERY}",
    ),
    (
        "prefetch {}",
        "INVALID_ARGUMENT",
        "Bad request: A query is needed to merge the prefetches. Can't have prefetches without defining a query.",
    ),
    (f"{NEAREST} prefetch {{}}", "UNIMPLEMENTED", "`prefetch` is not implemented yet"),
]


@pytest.mark.parametrize(("request_text", "code", "text"), EXECUTION)
def test_queries_that_cannot_be_executed(points: Calls, request_text: str, code: str, text: str) -> None:
    assert points.refused("Query", request_text) == (code, text)


def test_inference_is_noticed_before_the_lookup(calls: Calls) -> None:
    code, text = calls.refused("Query", "query { nearest { document { model: 'clip' text: 'a' } } }")
    assert code == "INTERNAL"
    assert text.startswith("Inference error: ")


def test_using_and_lookup(calls: Calls, mixed: Calls) -> None:
    """A point's vector may be taken from another collection under another name."""
    target = calls.create("vectors_config { params_map { map { key: 'v' value { size: 2 distance: Euclid } } } }")
    target.write(
        "Upsert",
        "points { id { num: 1 } vectors { vectors { vectors { key: 'v' value { dense { data: [0, 0] } } } } } }",
    )
    lookup = f"lookup_from {{ collection_name: '{mixed.name}' vector_name: '' }}"
    query = f"query {{ nearest {{ id {{ num: 1 }} }} }} using: 'v' {lookup}"
    (hit,) = target.call("Query", query).result
    assert hit.id.num == 1
    assert hit.score == pytest.approx(1.0)
    missing = query.replace("''", "'img'")
    text = "Wrong input: Vector dimension error: expected dim: 2, got 3"
    assert target.refused("Query", missing) == ("INVALID_ARGUMENT", text)


@pytest.mark.parametrize(
    "query",
    [
        "recommend {}",
        "discover {}",
        "context {}",
        "order_by { key: 'a' }",
        "fusion: RRF",
        "sample: Random",
        "formula {}",
        "nearest_with_mmr {}",
        "rrf {}",
        "relevance_feedback {}",
    ],
)
def test_other_queries_are_refused_by_name(points: Calls, query: str) -> None:
    kind = query.replace(":", " ").split()[0]
    assert points.refused("Query", f"query {{ {query} }}") == (
        "UNIMPLEMENTED",
        f"query `{kind}` is not implemented yet",
    )


@pytest.mark.parametrize(
    ("method", "request_text"),
    [
        ("SearchGroups", "vector: 1 limit: 1 group_size: 1 group_by: 'a'"),
        ("Recommend", ""),
        ("RecommendBatch", ""),
        ("RecommendGroups", "limit: 1 group_size: 1 group_by: 'a'"),
        ("Discover", "limit: 1"),
        ("DiscoverBatch", ""),
        ("QueryGroups", "group_by: 'a'"),
        ("SearchMatrixPairs", ""),
        ("SearchMatrixOffsets", ""),
    ],
)
def test_methods_that_do_not_exist_yet(points: Calls, method: str, request_text: str) -> None:
    code, text = points.refused(method, request_text)
    assert code == "UNIMPLEMENTED"
    assert method in text
    code, text = points.refused(method, f"{request_text} collection_name: ''")
    assert code == "INVALID_ARGUMENT"
    assert text.startswith(f"{BODY}collection_name: ")
