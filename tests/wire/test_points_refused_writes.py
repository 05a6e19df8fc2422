"""What the write RPCs refuse, with which code and in which words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from qdrant_grpc import points_pb2
from tests.wire.points_calls import (
    ABSENT_ID,
    ACKNOWLEDGED,
    DENSE,
    EMPTY,
    NO_VECTORS,
    POINT,
    UUID,
    named,
    one_point,
    unnamed,
)

if TYPE_CHECKING:
    from tests.wire.points_calls import Calls

BODY = "Validation error in body: "
PATH = "points[0].vectors.vectors_options.vectors.[]."
OPERATIONS = [
    # method, selector that is absent, rest of the request, text of the absent selector
    ("Delete", "points", "", "PointSelector is missing"),
    ("ClearPayload", "points", "", "PointSelector is missing"),
    ("SetPayload", "points_selector", "", "points_selector is expected"),
    ("OverwritePayload", "points_selector", "", "points_selector is expected"),
    ("DeletePayload", "points_selector", "keys: 'a'", "points_selector is expected"),
    ("DeleteVectors", "points_selector", "vectors { names: '' }", "points_selector is expected"),
]


MALFORMED = [
    ("Upsert", "", EMPTY),
    ("UpdateVectors", "", EMPTY),
    ("Upsert", f"points {{ {POINT} }}", "Empty ID is not allowed"),
    ("Upsert", f"points {{ id {{}} {POINT} }}", "No ID options provided"),
    ("Upsert", "points { id { num: 1 } }", "Expected some vectors"),
    ("Upsert", one_point("vectors {}"), "No Vector Provided"),
    *(
        ("Upsert", f"points {{ id {{ uuid: '{text}' }} {POINT} }}", f"Unable to parse UUID: {text}")
        for text in ("", "abc", "123", f" {UUID}", f"{{{UUID}", f"URN:UUID:{UUID}", "550e8400-e29b41d4a716446655440000")
    ),
    ("Upsert", unnamed(""), "Wrong input: points[0].vector.vector: dense vector must not be empty"),
    ("Upsert", unnamed("dense {}"), "Wrong input: points[0].vector.vector: dense vector must not be empty"),
    ("Upsert", named("dense {}"), "Wrong input: points[0].vector.?.vector: dense vector must not be empty"),
    (
        "Upsert",
        f"points {{ id {{ num: 3 }} {POINT} }} {named('')}",
        "Wrong input: points[1].vector.?.vector: dense vector must not be empty",
    ),
    ("Upsert", unnamed("sparse { values: 1 indices: 1 }"), "Sparse vector must be named"),
    ("Upsert", unnamed("data: 1 indices { data: 1 }"), "Sparse vector must be named"),
    ("Upsert", unnamed("image { model: 'clip' }"), "Empty image is not allowed"),
    ("Upsert", unnamed("object { model: 'x' }"), "Empty object is not allowed"),
    (
        "Upsert",
        one_point(f"{NO_VECTORS} payload {{ key: 'a' value {{ double_value: nan }} }}"),
        "cannot convert to json number",
    ),
    (
        "Upsert",
        one_point(f"{NO_VECTORS} payload {{ key: 'a' value {{ list_value {{ values {{ double_value: inf }} }} }} }}"),
        "cannot convert to json number",
    ),
    ("Upsert", one_point(f"{POINT}") + " ordering { type: 3 }", "cannot convert ordering: 3"),
    ("UpdateVectors", f"points {{ {POINT} }}", "id is expected"),
    ("UpdateVectors", "points { id { num: 1 } }", "vectors is expected"),
    ("UpdateVectors", one_point("vectors {}"), "No Vector Provided"),
    ("UpdateVectors", unnamed("sparse { values: 1 indices: 1 }"), "Sparse vector must be named"),
    (
        "UpdateVectors",
        unnamed("document { model: 'bm25' text: 'a' }"),
        "Direct Document processing not supported for PointVectors. Use named vectors.",
    ),
    ("DeleteVectors", "points_selector { points { ids { num: 1 } } }", "vectors is expected"),
    ("DeletePayload", "points_selector { filter {} } keys: ['a', 'b[']", "Invalid json path: 'b['"),
    *(
        ("SetPayload", f"points_selector {{ filter {{}} }} key: '{path}'", f"Invalid json path: '{path}'")
        for path in ("", "a.", ".a", "a..b", "a[", "a[-1]", "a b", "a[*]", "[0]")
    ),
    (
        "SetPayload",
        "points_selector { filter {} } payload { key: 'a' value { double_value: -inf } }",
        "cannot convert to json number",
    ),
    (
        "Upsert",
        one_point(POINT)
        + " shard_key_selector { shard_keys { keyword: 'a' } shard_keys { number: 2 } fallback { number: 3 } }",
        "Fallback shard key 3 can only be set when a single shard key is provided",
    ),
    ("Upsert", one_point(POINT) + " shard_key_selector { shard_keys {} }", "Shard key is not specified"),
    *(
        row
        for method, field, rest, text in OPERATIONS
        for row in (
            (method, rest, text),
            (method, f"{field} {{}} {rest}", "Malformed PointsSelector type"),
            (method, f"{field} {{ points {{}} }} {rest}", EMPTY),
            (method, f"{field} {{ points {{ ids {{}} }} }} {rest}", "No ID options provided"),
            (
                method,
                f"{field} {{ points {{ ids {{ num: 1 }} ids {{ uuid: 'x' }} }} }} {rest}",
                "Unable to parse UUID: x",
            ),
            (
                method,
                f"{field} {{ filter {{ must {{ has_id {{ has_id {{}} }} }} }} }} {rest}",
                "No ID options provided",
            ),
            (method, f"{field} {{ filter {{}} }} {rest} ordering {{ type: 7 }}", "cannot convert ordering: 7"),
        )
    ),
    # Declarative validation, before any conversion.
    (
        "Upsert",
        named("sparse { values: [1, 2, 3] indices: [1, 2, 3, 4] }"),
        f"{BODY}[{PATH}values: Validation error: must be the same length as indices [{{}}]]",
    ),
    (
        "Upsert",
        named("sparse { values: [1, 2] indices: [4, 4] }"),
        f"{BODY}[{PATH}indices: Validation error: must be unique [{{}}]]",
    ),
    (
        "Upsert",
        "points { " + named("sparse { values: 1 }")[len("points { id { num: 1 }") :],
        f"{BODY}[{PATH}values: Validation error: must be the same length as indices [{{}}]]",
    ),
    (
        "UpdateVectors",
        named("sparse { values: [1, 2] indices: [4, 4] }"),
        f"{BODY}[{PATH}indices: Validation error: must be unique [{{}}]]",
    ),
    ("UpdateBatch", "", f"{BODY}[operations: value [] invalid, must be at least 1 characters]"),
    ("UpdateBatch", "operations {}", "Operation is missing"),
    ("CreateVectorName", "vector_name: 'v'", "vector_config is required (dense_config or sparse_config)"),
    ("CreateVectorName", "vector_name: 'v' dense_config { size: 2 }", "Malformed distance parameter: UnknownDistance"),
    (
        "CreateVectorName",
        "vector_name: 'v' dense_config { size: 2 distance: 7 }",
        "Malformed distance parameter, unexpected value: 7",
    ),
    (
        "CreateVectorName",
        "vector_name: 'v' dense_config { size: 2 distance: Dot datatype: 9 }",
        "Cannot convert datatype: 9",
    ),
    (
        "CreateVectorName",
        "vector_name: 'a/b' dense_config { size: 2 distance: Dot }",
        'Wrong input: Invalid vector name `a/b`: vector name cannot contain "/" char',
    ),
    (
        "CreateVectorName",
        f"vector_name: '{'é' * 101}' sparse_config {{}}",
        f"Wrong input: Invalid vector name `{'é' * 101}`: vector name must be at most 200 bytes long",
    ),
    ("CreateFieldIndex", "field_name: 'a.' field_type: FieldTypeKeyword", "Invalid json path: 'a.'"),
    ("CreateFieldIndex", "field_name: 'a' field_index_params { keyword_index_params {} }", "cannot convert field_type"),
    (
        "CreateFieldIndex",
        "field_name: 'a' field_type: 77 field_index_params { keyword_index_params {} }",
        "field type is missing",
    ),
    (
        "CreateFieldIndex",
        "field_name: 'a' field_type: 77",
        "Bad request: Can't auto-detect field type, please specify `field_schema` in the request",
    ),
    (
        "CreateFieldIndex",
        "field_name: 'a' field_type: FieldTypeGeo field_index_params { keyword_index_params {} }",
        "field_type (Geo) and field_index_params do not match",
    ),
    (
        "CreateFieldIndex",
        "field_name: 'a' field_type: FieldTypeText field_index_params { text_index_params {} }",
        "unknown tokenizer type",
    ),
    ("DeleteFieldIndex", "field_name: 'a['", "Invalid json path: 'a['"),
]


@pytest.mark.parametrize(("method", "request_text", "text"), MALFORMED)
def test_malformed_requests_are_refused_before_the_collection_is_looked_up(
    calls: Calls, method: str, request_text: str, text: str
) -> None:
    assert calls.refused(method, request_text) == ("INVALID_ARGUMENT", text)


CONTAINING = [
    ("Upsert", named("multi_dense {}"), "multi vector must not be empty"),
    ("Upsert", named("multi_dense { vectors { data: 1 } vectors {} }"), "all vectors must be non-empty"),
    (
        "Upsert",
        named("multi_dense { vectors { data: 1 } vectors { data: [1, 2] } }"),
        "all vectors must have the same dimension, found vector with dimension 2",
    ),
    ("Upsert", named("data: 1 vectors_count: 0"), "Validation error: invalid_vector_count ["),
    ("Upsert", named("vectors_count: 2"), "multi vector must not be empty"),
    (
        "Upsert",
        named("data: [1, 2, 3] vectors_count: 2"),
        "Validation error: invalid dense vector length for vectors count [",
    ),
    (
        "Upsert",
        named("data: 1 vectors_count: 1 indices { data: 1 }"),
        "`indices` and `vectors_count` cannot be both specified",
    ),
    ("Upsert", named("dense { data: 1 } indices { data: 1 }"), "must be the same length as indices"),
    ("Upsert", named("data: [1, 2] indices { data: [3, 3] }"), "must be unique"),
    ("CreateVectorName", "dense_config { distance: Dot }", "size: value 0 invalid, must be from 1 to 65536"),
    (
        "CreateVectorName",
        "vector_name: 's' sparse_config { datatype: Turbo4 }",
        "sparse vectors do not support the `turbo4` datatype",
    ),
    ("CreateFieldIndex", "", "field_name: value"),
    (
        "CreateFieldIndex",
        "field_name: 'a' field_index_params { integer_index_params { lookup: false range: false } }",
        "the 'lookup' and 'range' capabilities can't be both disabled",
    ),
]


@pytest.mark.parametrize(("method", "request_text", "part"), CONTAINING)
def test_declarative_validation(calls: Calls, method: str, request_text: str, part: str) -> None:
    code, text = calls.refused(method, request_text)
    assert code == "INVALID_ARGUMENT"
    assert text.startswith(BODY)
    assert part in text


def test_a_multi_vector_has_less_than_a_million_floats(calls: Calls) -> None:
    request = points_pb2.UpsertPoints(collection_name="missing")
    point = request.points.add()
    point.id.num = 1
    point.vectors.vectors.vectors["a"].multi_dense.vectors.add().data.extend([0.5] * 1_048_576)
    code, text = calls.refused("Upsert", request)
    assert code == "INVALID_ARGUMENT"
    assert "Total size of all vectors (1048576) must be less than 1048576" in text


WRITES = [
    ("Upsert", one_point(POINT)),
    ("UpdateVectors", one_point(POINT)),
    ("Delete", "points { points { ids { num: 1 } } }"),
    ("ClearPayload", "points { filter {} }"),
    ("SetPayload", "points_selector { filter {} }"),
    ("OverwritePayload", "points_selector { filter {} }"),
    ("DeletePayload", "points_selector { filter {} }"),
    ("DeleteVectors", "points_selector { filter {} } vectors {}"),
    ("UpdateBatch", f"operations {{ upsert {{ {one_point(POINT)} }} }}"),
    ("CreateVectorName", "vector_name: 'x' sparse_config {}"),
    ("DeleteVectorName", "vector_name: 'x'"),
    ("Upsert", unnamed("document { model: 'clip' text: 'a' }")),
    ("Upsert", named("document { model: 'other' text: 'a' }")),
]


@pytest.mark.parametrize(("method", "request_text"), WRITES)
@pytest.mark.parametrize("wait", [True, False])
def test_missing_collection(calls: Calls, method: str, request_text: str, wait: bool) -> None:  # noqa: FBT001
    expected = ("NOT_FOUND", "Not found: Collection `missing` doesn't exist!")
    assert calls.refused(method, request_text, wait=wait) == expected


@pytest.mark.parametrize("name", ["", "a/b", "x" * 256])
@pytest.mark.parametrize("method", ["Upsert", "Delete", "UpdateBatch", "SetPayload"])
def test_collection_name_is_validated(calls: Calls, method: str, name: str) -> None:
    code, text = calls.refused(method, f"collection_name: '{name}'")
    assert code == "INVALID_ARGUMENT"
    assert text.startswith(f"{BODY}[")
    assert "collection_name: " in text


SHARD_KEYS = [
    ("shard_key_selector { shard_keys { keyword: 'k' } }", 'Wrong input: Shard key "k" not found'),
    ("shard_key_selector { shard_keys { number: 7 } }", "Wrong input: Shard key 7 not found"),
    ("shard_key_selector {}", "Wrong input: Empty shard keys selection"),
]


@pytest.mark.parametrize(("selector", "text"), SHARD_KEYS)
@pytest.mark.parametrize(("method", "request_text"), WRITES[:8])
def test_shard_keys_are_refused(dense: Calls, method: str, request_text: str, selector: str, text: str) -> None:
    assert dense.refused(method, f"{request_text} {selector}") == ("INVALID_ARGUMENT", text)


def test_custom_sharding_needs_a_shard_key(calls: Calls) -> None:
    calls = calls.create(f"{DENSE} sharding_method: Custom")
    assert calls.refused("Upsert", one_point(POINT)) == ("INVALID_ARGUMENT", "Wrong input: Shard key not specified")
    refused = calls.refused("Upsert", f"{one_point(POINT)} shard_key_selector {{ shard_keys {{ keyword: 'k' }} }}")
    assert refused == ("INVALID_ARGUMENT", 'Wrong input: Shard key "k" not found')


INFERENCE = [
    (
        "document { model: 'clip' text: 'a' }",
        "INTERNAL",
        "Service internal error: InferenceService URL not configured - please provide valid address in config",
    ),
    (
        "object { model: '' object { string_value: 'a' } }",
        "INTERNAL",
        "Service internal error: InferenceService URL not configured - please provide valid address in config",
    ),
    (
        "image { model: 'BM25' image { string_value: 'a' } }",
        "INVALID_ARGUMENT",
        "Wrong input: Only text input is supported for BM25.",
    ),
    (
        "document { model: 'Qdrant/BM25' text: 'a' options { key: 'k' value { integer_value: -1 } } }",
        "INVALID_ARGUMENT",
        "Wrong input: BM25 k1 must be finite and >= 0, got -1",
    ),
    (
        "document { model: 'bm25' text: 'a' options { key: 'lowercase' value { string_value: 'no' } } }",
        "INVALID_ARGUMENT",
        "Wrong input: Invalid BM25 config: `lowercase` must be a boolean",
    ),
]


@pytest.mark.parametrize(("vector", "code", "text"), INFERENCE)
def test_inference(mixed: Calls, vector: str, code: str, text: str) -> None:
    assert mixed.refused("Upsert", named(vector)) == (code, text)
    assert mixed.refused("UpdateVectors", named(vector)) == (code, text)


def test_unnamed_sparse_document(dense: Calls) -> None:
    refused = dense.refused("Upsert", unnamed("document { model: 'bm25' text: 'a' }"))
    assert refused == ("INVALID_ARGUMENT", "Bad request: Sparse vector from document inference should be named")


MISMATCHES = [
    # request, text, whether a client that does not wait is told too
    (named("dense { data: 1 }"), "Vector dimension error: expected dim: 2, got 1 for vector 'img'", True),
    (
        named("multi_dense { vectors { data: [1, 2, 3] } }", "rows"),
        "Vector dimension error: expected dim: 2, got 3 for vector 'rows'",
        True,
    ),
    (named("dense { data: [1, 2] }", "x"), "Not existing vector name error: x", False),
    (unnamed("dense { data: [1, 2] }"), "Not existing vector name error: ", False),
    (named("sparse { values: 1 indices: 1 }"), "Conversion between sparse and regular vectors failed", False),
    (named("dense { data: [1, 2] }", "text"), "Conversion between sparse and regular vectors failed", False),
    (named("multi_dense { vectors { data: [1, 2] } }"), "Conversion between multi and regular vectors failed", False),
    (
        named("multi_dense { vectors { data: [1, 2] } }", "text"),
        "Conversion between multi and regular vectors failed",
        False,
    ),
]


@pytest.mark.parametrize(("request_text", "text", "always"), MISMATCHES)
def test_vectors_that_do_not_fit(mixed: Calls, request_text: str, text: str, always: bool) -> None:  # noqa: FBT001
    refusal = ("INVALID_ARGUMENT", f"Wrong input: {text}")
    assert mixed.refused("Upsert", request_text, wait=True) == refusal
    if always:
        assert mixed.refused("Upsert", request_text, wait=False) == refusal
    else:
        assert mixed.write("Upsert", request_text, wait=False) == ACKNOWLEDGED
    assert mixed.ids() == []


def test_dimension_of_the_default_vector(dense: Calls) -> None:
    text = "Wrong input: Vector dimension error: expected dim: 2, got 3"
    assert dense.refused("Upsert", unnamed("dense { data: [1, 2, 3] }")) == ("INVALID_ARGUMENT", text)
    empty_name = named("dense { data: [1, 2, 3] }", "")
    assert dense.refused("Upsert", empty_name) == ("INVALID_ARGUMENT", f"{text} for vector ''")
    assert dense.refused("UpdateVectors", empty_name, wait=True) == ("INVALID_ARGUMENT", text)
    assert dense.write("UpdateVectors", empty_name, wait=False) == ACKNOWLEDGED


NOT_FOUND_WRITES = [
    ("UpdateVectors", f"points {{ id {{ num: 1 }} {POINT} }} points {{ id {{ ID }} {POINT} }}"),
    ("DeleteVectors", "points_selector { points { ids { num: 1 } ids { ID } } } vectors { names: '' }"),
    ("SetPayload", "points_selector { points { ids { num: 1 } ids { ID } } }"),
    ("OverwritePayload", "points_selector { points { ids { num: 1 } ids { ID } } }"),
    ("DeletePayload", "points_selector { points { ids { num: 1 } ids { ID } } } keys: 'a'"),
    ("ClearPayload", "points { points { ids { num: 1 } ids { ID } } }"),
]


@pytest.mark.parametrize(("point_id", "shown"), [("num: 42", "42"), (f"uuid: '{ABSENT_ID.upper()}'", ABSENT_ID)])
@pytest.mark.parametrize(("method", "request_text"), NOT_FOUND_WRITES)
def test_missing_points(dense: Calls, method: str, request_text: str, point_id: str, shown: str) -> None:
    request_text = (
        request_text.replace("ID", point_id, 1) if "ids" in request_text else request_text.replace("ID", point_id)
    )
    before = dense.get(1)
    assert dense.refused(method, request_text, wait=True) == ("NOT_FOUND", f"Not found: No point with id {shown} found")
    assert dense.write(method, request_text, wait=False) == ACKNOWLEDGED
    # An operation is all or nothing, also for the points that do exist.
    assert dense.get(1) == before


@pytest.mark.parametrize(("levels", "accepted"), [(45, True), (60, False)])
def test_depth_of_a_filter(dense: Calls, levels: int, accepted: bool) -> None:  # noqa: FBT001
    request = points_pb2.CountPoints(collection_name=dense.name)
    condition = request.filter
    condition.SetInParent()
    for _ in range(levels):
        condition = condition.must.add().filter
    condition.SetInParent()
    if accepted:
        assert dense.call("Count", request).result.count == 2
    else:
        code, text = dense.refused("Count", request)
        assert code == "INVALID_ARGUMENT"
        assert text.startswith("the request of /qdrant.Points/Count is nested too deeply: ")


def test_undecodable_body(calls: Calls) -> None:
    broken = calls.raw("/qdrant.Points/Upsert", b"\x0a\x05ab")
    assert broken == ("INVALID_ARGUMENT", "the request body of /qdrant.Points/Upsert cannot be decoded")
