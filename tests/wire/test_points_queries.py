"""Queries and searches against a server: hits, their order, batches, and what cannot be executed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.wire.points_calls import NEAREST, UUID, UUID_2, ids_of

if TYPE_CHECKING:
    from tests.wire.points_calls import Calls

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
    assert ids_of(reply.result) == expected
    assert reply.time > 0
    assert not reply.HasField("usage")
    batch = points.call("QueryBatch", f"query_points {{ collection_name: 'other' {request_text} }}")
    assert [ids_of(each.result) for each in batch.result] == [expected]


def test_scores_and_versions(points: Calls) -> None:
    hits = points.call("Query", NEAREST).result
    assert [hit.score for hit in hits] == [4, 3, 2, 1]
    assert [hit.version for hit in hits] == [4, 3, 2, 1]
    scrolled = points.call("Query", "").result
    assert {(hit.score, hit.version) for hit in scrolled} == {(1.0, 0)}


def test_search(points: Calls) -> None:
    request = "vector: [1, 0] limit: 2 offset: 1 score_threshold: 1.5 with_payload { enable: true } vector_name: ''"
    assert ids_of(points.call("Search", request).result) == [UUID, 3]
    second = "search_points { collection_name: 'y' vector: [0, 1] limit: 1 }"
    searches = f"search_points {{ collection_name: 'x' {request} }} {second}"
    batch = points.call("SearchBatch", searches)
    assert [ids_of(each.result) for each in batch.result] == [[UUID, 3], [1]]
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


def test_using_and_lookup(calls: Calls, filled: Calls) -> None:
    """A point's vector may be taken from another collection under another name."""
    target = calls.create("vectors_config { params_map { map { key: 'v' value { size: 2 distance: Euclid } } } }")
    target.write(
        "Upsert",
        "points { id { num: 1 } vectors { vectors { vectors { key: 'v' value { dense { data: [0, 0] } } } } } }",
    )
    lookup = f"lookup_from {{ collection_name: '{filled.name}' vector_name: '' }}"
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
