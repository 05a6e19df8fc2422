"""Strict mode on the wire: the limits of writes and reads, their texts, their order, and rates across workers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf import text_format

from qdrant_grpc import collections_pb2
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from tests.wire.points_calls import COMPLETED, DENSE, NO_VECTORS, POINT, Calls, named, one_point

if TYPE_CHECKING:
    from tests.conftest import Server

INVALID = "INVALID_ARGUMENT"
VECTOR = "vector: [1, 2]"
NEAREST = "query { nearest { dense { data: [1, 2] } } }"
CITY = "must { field { key: 'city' match { keyword: 'x' } } }"
TWO = "must { has_id { has_id { num: 1 } } } must { has_id { has_id { num: 1 } has_id { num: 2 } } }"
TWO_POINTS = f"points {{ id {{ num: 1 }} {POINT} }} points {{ id {{ num: 2 }} {POINT} }}"
SHARD_KEY = "shard_key_selector { shard_keys { keyword: 'k' } }"

UNINDEXED = (
    'Bad request: Index required but not found for "city" of one of the following types: [keyword]. '
    "Help: Create an index for this key or use a different filter."
)
EXACT = "Bad request: Exact search disabled!. Help: Set exact=false."


def above(value: object, limit: object, what: str) -> str:
    """Return the text for a parameter above its limit."""
    return (
        f'Bad request: Limit exceeded {value} > {limit} for "{what}". '
        f'Help: Reduce the "{what}" parameter to or below {limit}.'
    )


def limit(calls: Calls, limits: str, *, enabled: bool = True) -> None:
    """Merge limits into those of the collection."""
    request = collections_pb2.UpdateCollection(collection_name=calls.name)
    text_format.Merge(limits, request.strict_mode_config)
    request.strict_mode_config.enabled = enabled
    assert CollectionsStub(calls._channel).Update(request).result


@pytest.fixture
def points(calls: Calls) -> Calls:
    """Return the calls on a collection with points 1 to 3."""
    own = calls.create(DENSE)
    own.write("Upsert", " ".join(f"points {{ id {{ num: {n} }} {POINT} }}" for n in (1, 2, 3)))
    return own


WRITES = [
    ("max_timeout: 5", "Upsert", f"{one_point(POINT)} timeout: 6", above(6, 5, "timeout")),
    ("max_timeout: 5", "Delete", "points { filter {} } timeout: 6", above(6, 5, "timeout")),
    (
        "max_timeout: 5",
        "UpdateBatch",
        f"operations {{ upsert {{ {one_point(POINT)} }} }} timeout: 6",
        above(6, 5, "timeout"),
    ),
    ("upsert_max_batchsize: 1", "Upsert", TWO_POINTS, above(2, 1, "upsert limit")),
    ("upsert_max_batchsize: 1", "UpdateVectors", TWO_POINTS, above(2, 1, "update limit")),
    ("max_points_count: 3", "Upsert", one_point(POINT), "Bad request: Max points count limit of 3 reached!"),
    ("max_points_count: 3", "UpdateVectors", one_point(POINT), "Bad request: Max points count limit of 3 reached!"),
    (
        "max_collection_vector_size_bytes: 24",
        "Upsert",
        one_point(POINT),
        "Bad request: Max vector storage size limit of 0.00002288818359375MB reached!",
    ),
    (
        "max_collection_vector_size_bytes: 16",
        "UpdateVectors",
        one_point(POINT),
        "Bad request: Max vector storage size limit of 0.0000152587890625MB reached!",
    ),
    (
        "unindexed_filtering_update: false",
        "SetPayload",
        f"points_selector {{ filter {{ {CITY} }} }}",
        UNINDEXED,
    ),
    ("unindexed_filtering_update: false", "Delete", f"points {{ filter {{ {CITY} }} }}", UNINDEXED),
    ("unindexed_filtering_update: false", "ClearPayload", f"points {{ filter {{ {CITY} }} }}", UNINDEXED),
    (
        "filter_max_conditions: 1",
        "Delete",
        f"points {{ filter {{ {TWO} }} }}",
        "Bad request: Filter condition limit reached (2 > 1). Help: Reduce the amount of conditions of your filter.",
    ),
    (
        "condition_max_size: 1",
        "DeleteVectors",
        f"points_selector {{ filter {{ {TWO} }} }} vectors {{ names: 'x' }}",
        "Bad request: Condition size limit reached (2 > 1). Help: Reduce the size of your condition.",
    ),
]


@pytest.mark.parametrize(("limits", "method", "request_text", "text"), WRITES)
def test_refused_writes(points: Calls, limits: str, method: str, request_text: str, text: str) -> None:
    limit(points, limits)
    for wait in (True, False):
        assert points.refused(method, request_text, wait=wait) == (INVALID, text)
    assert points.ids() == [1, 2, 3]


@pytest.mark.parametrize(
    ("limits", "request_text", "text"),
    [
        (
            "sparse_config { sparse_config { key: 'text' value { max_length: 1 } } }",
            named("sparse { indices: [1, 2] values: [1, 2] }", "text"),
            "Bad request: Sparse vector 'text' has a limit of 1 indices, but 2 were provided!",
        ),
        (
            "multivector_config { multivector_config { key: 'rows' value { max_vectors: 1 } } }",
            named("multi_dense { vectors { data: [1, 2] } vectors { data: [3, 4] } }", "rows"),
            "Bad request: Multivector 'rows' has a limit of 1 vectors, but 2 were provided!",
        ),
    ],
)
@pytest.mark.parametrize("method", ["Upsert", "UpdateVectors"])
def test_refused_vectors(mixed: Calls, limits: str, method: str, request_text: str, text: str) -> None:
    mixed.write("Upsert", one_point(NO_VECTORS))
    limit(mixed, limits)
    assert mixed.refused(method, request_text, wait=True) == (INVALID, text)
    limit(mixed, "", enabled=False)
    assert mixed.write(method, request_text) == COMPLETED


READS = [
    ("max_query_limit: 2", "Scroll", "limit: 3", above(3, 2, "limit")),
    ("max_query_limit: 2", "Search", f"{VECTOR} limit: 3", above(3, 2, "limit")),
    ("max_query_limit: 2", "Query", f"{NEAREST} limit: 3", above(3, 2, "limit")),
    ("max_query_limit: 2", "Query", "", above(10, 2, "limit")),
    ("max_timeout: 5", "Get", "ids { num: 1 } timeout: 6", above(6, 5, "timeout")),
    ("max_timeout: 5", "Scroll", "timeout: 6", above(6, 5, "timeout")),
    ("max_timeout: 5", "Count", "timeout: 6", above(6, 5, "timeout")),
    ("max_timeout: 5", "Search", f"{VECTOR} limit: 3 timeout: 6", above(6, 5, "timeout")),
    ("max_timeout: 5", "Query", f"{NEAREST} timeout: 6", above(6, 5, "timeout")),
    ("max_timeout: 5", "QueryBatch", "timeout: 6", above(6, 5, "timeout")),
    ("search_max_batchsize: 1", "SearchBatch", "SEARCH SEARCH", above(2, 1, "search batch size")),
    ("search_max_batchsize: 0", "SearchBatch", "SEARCH", above(1, 0, "search batch size")),
    ("search_max_batchsize: 1", "QueryBatch", "QUERY QUERY", above(2, 1, "search batch size")),
    ("search_max_hnsw_ef: 9", "Search", f"{VECTOR} limit: 1 params {{ hnsw_ef: 10 }}", above(10, 9, "hnsw_ef")),
    ("search_max_hnsw_ef: 9", "Query", f"{NEAREST} params {{ hnsw_ef: 10 }}", above(10, 9, "hnsw_ef")),
    (
        "search_max_oversampling: 1.5",
        "Query",
        f"{NEAREST} params {{ quantization {{ oversampling: 3 }} }}",
        above(3, 1.5, "oversampling"),
    ),
    ("search_allow_exact: false", "Search", f"{VECTOR} limit: 1 params {{ exact: true }}", EXACT),
    ("search_allow_exact: false", "Query", "params { exact: true }", EXACT),
    ("search_allow_exact: false", "Count", "", EXACT),
    ("search_allow_exact: false", "Count", "exact: true", EXACT),
    ("unindexed_filtering_retrieve: false", "Scroll", f"filter {{ {CITY} }}", UNINDEXED),
    ("unindexed_filtering_retrieve: false", "Count", f"filter {{ {CITY} }}", UNINDEXED),
    ("unindexed_filtering_retrieve: false", "Search", f"{VECTOR} limit: 1 filter {{ {CITY} }}", UNINDEXED),
    (
        "unindexed_filtering_retrieve: false",
        "Query",
        f"{NEAREST} filter {{ must {{ nested {{ key: 'a' filter {{ {CITY} }} }} }} }}",
        UNINDEXED.replace("city", "a[].city"),
    ),
    (
        "unindexed_filtering_retrieve: false",
        "Query",
        f"{NEAREST} params {{ idf {{ corpus {{ {CITY} }} }} }}",
        UNINDEXED,
    ),
    (
        "filter_max_conditions: 1",
        "Scroll",
        f"filter {{ {TWO} }}",
        "Bad request: Filter condition limit reached (2 > 1). Help: Reduce the amount of conditions of your filter.",
    ),
    (
        "condition_max_size: 1",
        "Count",
        f"filter {{ {TWO} }}",
        "Bad request: Condition size limit reached (2 > 1). Help: Reduce the size of your condition.",
    ),
]


def in_batch(calls: Calls, request: str) -> str:
    """Fill in the searches of a batch."""
    name = f"collection_name: '{calls.name}'"
    request = request.replace("SEARCH", f"search_points {{ {name} {VECTOR} limit: 1 }}")
    return request.replace("QUERY", f"query_points {{ {name} {NEAREST} }}")


@pytest.mark.parametrize(("limits", "method", "request_text", "text"), READS)
def test_refused_reads(points: Calls, limits: str, method: str, request_text: str, text: str) -> None:
    limit(points, limits)
    assert points.refused(method, in_batch(points, request_text)) == (INVALID, text)


def outcome(calls: Calls, method: str, request: str) -> str:
    """Call a method and return the text of its refusal, "" if it succeeds."""
    try:
        calls.call(method, request)
    except grpc.RpcError as caught:
        error: Any = caught
        return str(error.details())
    return ""


@pytest.mark.parametrize(("limits", "method", "request_text"), [row[:3] for row in [*READS, *WRITES]])
def test_limits_that_are_not_enabled_have_no_effect(points: Calls, limits: str, method: str, request_text: str) -> None:
    limit(points, limits, enabled=False)
    # What is not implemented or does not fit may fail, but not for a limit.
    assert not outcome(points, method, in_batch(points, request_text)).startswith("Bad request")


@pytest.mark.parametrize(
    ("limits", "method", "request_text"),
    [
        ("max_query_limit: 2", "Scroll", ""),
        ("max_query_limit: 2", "Scroll", "limit: 2"),
        ("max_query_limit: 1", "Get", "ids { num: 1 } ids { num: 2 }"),
        ("max_timeout: 5", "Get", "ids { num: 1 } timeout: 5"),
        ("search_max_batchsize: 1", "SearchBatch", "SEARCH"),
        ("search_max_hnsw_ef: 9", "Query", f"{NEAREST} params {{ hnsw_ef: 9 }}"),
        ("search_max_oversampling: 1.5", "Query", f"{NEAREST} params {{ quantization {{ oversampling: 1.5 }} }}"),
        ("search_allow_exact: false", "Count", "exact: false"),
        ("search_allow_exact: false", "Query", NEAREST),
        ("unindexed_filtering_retrieve: false", "Scroll", "filter { must { has_id { has_id { num: 1 } } } }"),
        (
            "unindexed_filtering_retrieve: false",
            "Delete",
            "points { filter { must { has_id { has_id { num: 1 } } } } }",
        ),
        ("unindexed_filtering_update: false", "Scroll", "filter { must { has_id { has_id { num: 1 } } } }"),
        ("filter_max_conditions: 2 condition_max_size: 2", "Count", f"filter {{ {TWO} }}"),
        ("condition_max_size: 1", "Delete", "points { points { ids { num: 1 } ids { num: 2 } } }"),
        ("upsert_max_batchsize: 1", "Delete", "points { points { ids { num: 1 } ids { num: 2 } } }"),
        ("filter_max_conditions: 1", "Upsert", f"{one_point(POINT)} update_filter {{ {TWO} }}"),
        ("max_points_count: 3", "SetPayload", "points_selector { points { ids { num: 1 } } }"),
        ("max_points_count: 4", "Upsert", one_point(POINT)),
        ("max_collection_vector_size_bytes: 25", "Upsert", one_point(POINT)),
        ("max_collection_vector_size_bytes: 1", "Delete", "points { filter {} }"),
        ("max_collection_payload_size_bytes: 1", "Upsert", one_point(POINT)),
        ("max_resident_memory_percent: 100", "Upsert", one_point(POINT)),
        ("", "Upsert", f"{TWO_POINTS} timeout: 1000"),
        ("", "Query", "limit: 1000 params { exact: true hnsw_ef: 1000 }"),
    ],
)
def test_what_the_limits_allow(points: Calls, limits: str, method: str, request_text: str) -> None:
    limit(points, limits)
    points.call(method, in_batch(points, request_text))


def test_update_filter_needs_no_index(points: Calls) -> None:
    limit(points, "unindexed_filtering_update: false unindexed_filtering_retrieve: false")
    request = f"{one_point(POINT)} update_filter {{ must {{ has_id {{ has_id {{ num: 1 }} }} }} }}"
    assert points.write("Upsert", request) == COMPLETED


@pytest.mark.parametrize(
    ("method", "request_text"),
    [
        ("Upsert", one_point(POINT)),
        ("UpdateVectors", one_point(POINT)),
        ("SetPayload", "points_selector { points { ids { num: 1 } } }"),
        ("OverwritePayload", "points_selector { points { ids { num: 1 } } }"),
    ],
)
def test_the_size_of_payloads_is_limited(points: Calls, method: str, request_text: str) -> None:
    points.write("Upsert", one_point(f"{POINT} payload {{ key: 'a' value {{ string_value: '{'x' * 5000}' }} }}"))
    limit(points, "max_collection_payload_size_bytes: 5000")
    text = "Bad request: Max payload storage size limit of 0.00476837158203125MB reached!"
    assert points.refused(method, request_text, wait=True) == (INVALID, text)
    assert points.write("ClearPayload", "points { points { ids { num: 1 } } }") == COMPLETED
    assert points.write(method, request_text) == COMPLETED


def test_sizes_are_written_in_megabytes(points: Calls) -> None:
    row = ", ".join(["1"] * 65_536)
    large = points.create("vectors_config { params { size: 65536 distance: Dot } }")
    large.write(
        "Upsert",
        " ".join(
            f"points {{ id {{ num: {n} }} vectors {{ vector {{ dense {{ data: [{row}] }} }} }} }}" for n in range(4)
        ),
    )
    for size, shown in ((524_288, "0.5"), (1_048_576, "1")):
        limit(large, f"max_collection_vector_size_bytes: {size}")
        text = f"Bad request: Max vector storage size limit of {shown}MB reached!"
        assert large.refused("Upsert", one_point(NO_VECTORS), wait=True) == (INVALID, text)
    assert large.write("Delete", "points { points { ids { num: 1 } } }") == COMPLETED
    assert large.write("Upsert", one_point(NO_VECTORS)) == COMPLETED


def test_all_kinds_of_vectors_count(mixed: Calls) -> None:
    mixed.write("Upsert", named("sparse { indices: [1, 2, 3] values: [1, 2, 3] }", "text"))
    mixed.write("UpdateVectors", named("multi_dense { vectors { data: [1, 2] } vectors { data: [3, 4] } }", "rows"))
    mixed.write("UpdateVectors", named("dense { data: [1, 2] }", "half"))
    size = 3 * 8 + 4 * 4 + 2 * 2
    limit(mixed, f"max_collection_vector_size_bytes: {size}")
    assert mixed.refused("Upsert", one_point(NO_VECTORS), wait=True)[1].startswith("Bad request: Max vector storage")
    limit(mixed, f"max_collection_vector_size_bytes: {size + 1}")
    assert mixed.write("Upsert", one_point(NO_VECTORS)) == COMPLETED


NO_GRAPH = "vectors_config { params { size: 2 distance: Dot hnsw_config { m: 0 } } }"
NO_NAMED_GRAPH = (
    """vectors_config { params_map { map { key: 'img' value { size: 2 distance: Dot } } } } hnsw_config { m: 0 }"""
)


def test_queries_without_a_graph(calls: Calls) -> None:
    own = calls.create(NO_GRAPH)
    limit(own, "search_allow_exact: false")
    start = "Bad request: Request is forbidden because global vector indexing is disabled (hnsw_config.m = 0). Help: "
    assert own.refused("Query", NEAREST)[1].startswith(start)
    # Searches of the old kind, and queries without a vector, are not concerned.
    assert not own.call("Search", f"{VECTOR} limit: 1").result
    assert not own.call("Query", "").result
    own = calls.create(NO_NAMED_GRAPH)
    assert not own.call("Query", f"{NEAREST} using: 'img'").result
    limit(own, "search_allow_exact: false")
    code, text = own.refused("Query", f"{NEAREST} using: 'img'")
    assert code == INVALID
    assert text.startswith("Bad request: Request is forbidden on 'img' because global vector indexing is disabled")


ALL_LIMITS = """
    max_timeout: 5 upsert_max_batchsize: 1 max_points_count: 3 max_collection_vector_size_bytes: 1
    max_query_limit: 2 unindexed_filtering_retrieve: false unindexed_filtering_update: false
    filter_max_conditions: 1 condition_max_size: 1 search_allow_exact: false search_max_hnsw_ef: 9
    search_max_oversampling: 1.5 search_max_batchsize: 1 read_rate_limit: 1 write_rate_limit: 1
"""
BAD = (
    "filter { must { field { key: 'city' match { keywords { strings: ['x', 'y'] } } } } must { is_null { key: 'b' } } }"
)
PARAMS = "params { exact: true hnsw_ef: 10 quantization { oversampling: 3 } }"


@pytest.mark.parametrize(
    ("method", "request_text", "text"),
    [
        ("Upsert", f"{TWO_POINTS} timeout: 6 {SHARD_KEY}", above(6, 5, "timeout")),
        ("Upsert", f"{TWO_POINTS} {SHARD_KEY}", above(2, 1, "upsert limit")),
        ("Upsert", f"{one_point(POINT)} {SHARD_KEY}", "Bad request: Max points count limit of 3 reached!"),
        ("Delete", f"points {{ {BAD} }} {SHARD_KEY}", UNINDEXED),
        ("Delete", f"points {{ points {{ ids {{ num: 1 }} }} }} {SHARD_KEY}", 'Wrong input: Shard key "k" not found'),
        ("Scroll", f"limit: 3 {BAD} timeout: 6 {SHARD_KEY}", above(3, 2, "limit")),
        ("Scroll", f"{BAD} timeout: 6 {SHARD_KEY}", UNINDEXED),
        ("Scroll", f"filter {{ {TWO} }} timeout: 6", "Bad request: Filter condition limit reached (2 > 1). Help: "),
        (
            "Scroll",
            "filter { must { has_id { has_id { num: 1 } has_id { num: 2 } } } } timeout: 6",
            "Bad request: Cond",
        ),
        ("Scroll", f"timeout: 6 {SHARD_KEY}", above(6, 5, "timeout")),
        ("Scroll", SHARD_KEY, 'Bad request: Shard key "k" not found'),
        ("Scroll", "read_consistency {} timeout: 6", above(6, 5, "timeout")),
        ("Count", "timeout: 6", EXACT),
        ("Query", f"{NEAREST} limit: 3 {BAD} {PARAMS} timeout: 6", above(3, 2, "limit")),
        ("Query", f"{NEAREST} limit: 2 {BAD} {PARAMS} timeout: 6", UNINDEXED),
        ("Query", f"{NEAREST} limit: 2 {PARAMS} timeout: 6", EXACT),
        ("Query", f"{NEAREST} limit: 2 {PARAMS.replace('exact: true', '')} timeout: 6", above(10, 9, "hnsw_ef")),
        (
            "Query",
            f"{NEAREST} limit: 2 lookup_from {{ collection_name: 'missing' }} timeout: 6",
            above(6, 5, "timeout"),
        ),
        ("Query", f"{NEAREST} limit: 2 lookup_from {{ collection_name: 'missing' }}", "Not found: Collection missing"),
        ("QueryBatch", "QUERY QUERY timeout: 6", above(2, 1, "search batch size")),
        ("QueryBatch", "QUERY timeout: 6", above(10, 2, "limit")),
        ("Scroll", "filter { must { has_id { has_id { uuid: 'x' } } } } timeout: 6", "Unable to parse UUID: x"),
    ],
)
def test_order_of_checks(points: Calls, method: str, request_text: str, text: str) -> None:
    limit(points, ALL_LIMITS)
    assert points.refused(method, in_batch(points, request_text))[1].startswith(text)


def test_a_batch_is_checked_operation_by_operation(points: Calls) -> None:
    limit(points, "max_points_count: 4")
    operations = [f"operations {{ upsert {{ points {{ id {{ num: {n} }} {POINT} }} }} }}" for n in (4, 5)]
    refused = points.refused("UpdateBatch", " ".join(operations), wait=True)
    assert refused == (INVALID, "Bad request: Max points count limit of 4 reached!")
    assert points.ids() == [1, 2, 3, 4]


def failure(calls: Calls, method: str, request: str, **header: Any) -> tuple[str, str, dict[str, str]]:  # noqa: ANN401
    """Call a method that must fail; return the code's name, the text and the trailing metadata."""
    with pytest.raises(grpc.RpcError) as caught:
        calls.call(method, request, **header)
    error: Any = caught.value
    return error.code().name, error.details(), dict(error.trailing_metadata() or ())


@pytest.mark.parametrize(
    ("kind", "method", "costs"),
    [
        ("Read", "Get", ("ids { num: 1 }", "ids { num: 1 } " * 3, "ids { num: 1 } " * 11)),
        ("Read", "Scroll", ("", f"filter {{ {TWO} }}", f"filter {{ {TWO * 5} }}")),
        ("Read", "Count", ("", f"filter {{ {TWO} }}", f"filter {{ {TWO * 5} }}")),
        ("Read", "Query", (NEAREST, f"{NEAREST} filter {{ {TWO} }}", f"{NEAREST} filter {{ {TWO * 5} }}")),
        ("Read", "QueryBatch", ("QUERY", "QUERY " * 3, "QUERY " * 11)),
        ("Write", "Upsert", (one_point(POINT), one_point(POINT) * 3, one_point(POINT) * 11)),
        (
            "Write",
            "SetPayload",
            (
                "points_selector { points { ids { num: 1 } } }",
                "points_selector { filter {} }",
                f"points_selector {{ points {{ {'ids { num: 1 } ' * 11} }} }}",
            ),
        ),
    ],
)
def test_rates(points: Calls, kind: str, method: str, costs: tuple[str, str, str]) -> None:
    """Requests that cost 1, 3 and 11."""
    cost_1, cost_3, cost_11 = (in_batch(points, request) for request in costs)
    limit(points, f"{kind.lower()}_rate_limit: 10")
    start = f"Rate limiting exceeded: {kind} rate limit exceeded"
    too_large = failure(points, method, cost_11)
    assert too_large[:2] == (
        "RESOURCE_EXHAUSTED",
        f"{start}, request larger than rate limiter capacity, please try to split your request",
    )
    assert "retry-after" not in too_large[2]
    for _ in range(3):
        points.call(method, cost_3, **({"wait": True} if kind == "Write" else {}))
    code, text, metadata = failure(points, method, cost_3)
    assert code == "RESOURCE_EXHAUSTED"
    assert text.startswith(f"{start}: Operation requires 3 tokens but only 1.")
    seconds = metadata["retry-after"]
    assert text.endswith(f" were available. Retry after {seconds}s")
    assert 6 <= int(seconds) <= 12
    # What was refused has taken nothing.
    points.call(method, cost_1)
    # Another limit takes effect at once, as does none.
    limit(points, f"{kind.lower()}_rate_limit: 11")
    points.call(method, cost_11)
    assert failure(points, method, cost_3)[0] == "RESOURCE_EXHAUSTED"
    limit(points, "", enabled=False)
    points.call(method, cost_11)


def test_a_write_that_fails_when_applied_is_charged(points: Calls) -> None:
    limit(points, "write_rate_limit: 2")
    missing = "points_selector { points { ids { num: 9 } ids { num: 8 } } }"
    assert points.refused("SetPayload", missing, wait=True)[0] == "NOT_FOUND"
    assert points.refused("SetPayload", missing, wait=False)[0] == "RESOURCE_EXHAUSTED"
    limit(points, "write_rate_limit: 3")
    assert points.refused("Upsert", one_point("vectors { vector { dense { data: 1 } } }"))[0] == INVALID
    assert points.write("Upsert", TWO_POINTS) == COMPLETED


def test_reads_do_not_take_from_writes(points: Calls) -> None:
    limit(points, "write_rate_limit: 1 read_rate_limit: 1")
    points.call("Get", "ids { num: 1 }")
    assert points.write("Upsert", one_point(POINT)) == COMPLETED
    assert points.refused("Get", "ids { num: 1 }")[0] == "RESOURCE_EXHAUSTED"


@pytest.mark.parametrize("kind", ["read", "write"])
def test_workers_share_a_rate(points: Calls, shared_server: Server, kind: str) -> None:
    """Sixteen connections spread over two workers, which nothing but the data directory connects."""
    limit(points, f"{kind}_rate_limit: 12")
    options = [("grpc.use_local_subchannel_pool", 1)]
    channels = [grpc.insecure_channel(shared_server.address, options=options) for _ in range(16)]
    clients = [Calls(channel, points.name) for channel in channels]
    method, request = ("Get", "ids { num: 1 }") if kind == "read" else ("Upsert", one_point(POINT))
    try:
        for channel in channels:
            grpc.channel_ready_future(channel).result(10)
        started = time.monotonic()
        texts = [outcome(client, method, request) for client in clients * 2]
        refilled = (time.monotonic() - started) * 12 / 60
        assert 12 <= texts.count("") <= 12 + refilled + 1
        assert all("rate limit exceeded" in text for text in texts if text)
    finally:
        for channel in channels:
            channel.close()
