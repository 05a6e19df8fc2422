"""The read RPCs against a server: what they refuse and in which words, and what they return."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qdrant_grpc import points_pb2
from tests.wire.points_calls import BODY, NEAREST, PAYLOAD, UUID, UUID_2, ids_of

if TYPE_CHECKING:
    from tests.wire.points_calls import Calls

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
    assert ids_of(points.get(*ids)) == expected


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
    assert ids_of(reply.result) == ids
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
def test_vector_selectors(filled: Calls, method: str, selector: str, names: tuple[str, ...]) -> None:
    request = "ids { num: 1 } ids { num: 2 }" if method == "Get" else ""
    first, second = filled.call(method, f"{request} with_vectors {{ {selector} }}").result
    assert first.vectors == _named(*names)
    assert second.vectors == _named()


@pytest.mark.parametrize("selector", ["", "with_vectors {}", "with_vectors { enable: false }"])
def test_vectors_that_were_not_requested(filled: Calls, selector: str) -> None:
    (point,) = filled.call("Get", f"ids {{ num: 1 }} {selector}").result
    assert not point.HasField("vectors")


def test_the_default_vector_alone(filled: Calls) -> None:
    (point,) = filled.call("Get", "ids { num: 1 } with_vectors { include { names: '' } }").result
    assert str(point.vectors).split() == ["vector", "{", "dense", "{", "data:", "0.6", "data:", "0.8", "}", "}"]


@pytest.mark.parametrize(
    ("method", "request_text"),
    [("Get", "ids { num: 1 }"), ("Scroll", ""), ("Query", ""), ("Search", "vector: [1, 0] limit: 1")],
)
def test_unknown_name_of_requested_vectors(filled: Calls, method: str, request_text: str) -> None:
    refused = filled.refused(method, f"{request_text} with_vectors {{ include {{ names: ['img', 'x'] }} }}")
    assert refused == ("INVALID_ARGUMENT", "Wrong input: Not existing vector name error: x")


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
