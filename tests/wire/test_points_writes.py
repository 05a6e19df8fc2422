"""The write RPCs against a server: what they refuse and in which words, and what they do."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING

import pytest

from qdrant_grpc import points_pb2
from tests.wire.points_calls import ACKNOWLEDGED, COMPLETED, UUID, Calls, connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Server

DENSE = "vectors_config { params { size: 2 distance: Dot } }"
MIXED = """
    vectors_config { params_map {
        map { key: 'img' value { size: 2 distance: Cosine } }
        map { key: 'rows' value { size: 2 distance: Dot multivector_config {} } }
        map { key: 'bytes' value { size: 2 distance: Cosine datatype: Uint8 } }
        map { key: 'half' value { size: 2 distance: Euclid datatype: Float16 } }
    } }
    sparse_vectors_config { map { key: 'text' value {} } }
"""
POINT = "vectors { vector { dense { data: [1, 2] } } }"
NO_VECTORS = "vectors { vectors {} }"
ABSENT_ID = "00000000-0000-0000-0000-00000000002a"


@pytest.fixture(scope="module")
def server(shared_server: Server) -> Iterator[Calls]:
    yield from connect(shared_server.address)


@pytest.fixture
def dense(server: Calls) -> Calls:
    calls = server.create(DENSE)
    calls.write("Upsert", f"points {{ id {{ num: 1 }} {POINT} payload {{ key: 'a' value {{ integer_value: 1 }} }} }}")
    calls.write("Upsert", f"points {{ id {{ num: 2 }} {POINT} }}")
    return calls


@pytest.fixture
def mixed(server: Calls) -> Calls:
    return server.create(MIXED)


def _points(inner: str) -> str:
    return f"points {{ id {{ num: 1 }} {inner} }}"


def _vector(inner: str) -> str:
    return _points(f"vectors {{ vector {{ {inner} }} }}")


def _named(inner: str) -> str:
    return _points(f"vectors {{ vectors {{ vectors {{ key: 'a' value {{ {inner} }} }} }} }}")


BODY = "Validation error in body: "
PATH = "points[0].vectors.vectors_options.vectors.[]."
PREFIX_EMPTY = "Bad request: Empty update request"
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
    ("Upsert", "", PREFIX_EMPTY),
    ("UpdateVectors", "", PREFIX_EMPTY),
    ("Upsert", f"points {{ {POINT} }}", "Empty ID is not allowed"),
    ("Upsert", f"points {{ id {{}} {POINT} }}", "No ID options provided"),
    ("Upsert", "points { id { num: 1 } }", "Expected some vectors"),
    ("Upsert", _points("vectors {}"), "No Vector Provided"),
    *(
        ("Upsert", f"points {{ id {{ uuid: '{text}' }} {POINT} }}", f"Unable to parse UUID: {text}")
        for text in ("", "abc", "123", f" {UUID}", f"{{{UUID}", f"URN:UUID:{UUID}", "550e8400-e29b41d4a716446655440000")
    ),
    ("Upsert", _vector(""), "Wrong input: points[0].vector.vector: dense vector must not be empty"),
    ("Upsert", _vector("dense {}"), "Wrong input: points[0].vector.vector: dense vector must not be empty"),
    ("Upsert", _named("dense {}"), "Wrong input: points[0].vector.?.vector: dense vector must not be empty"),
    (
        "Upsert",
        f"points {{ id {{ num: 3 }} {POINT} }} {_named('')}",
        "Wrong input: points[1].vector.?.vector: dense vector must not be empty",
    ),
    ("Upsert", _vector("sparse { values: 1 indices: 1 }"), "Sparse vector must be named"),
    ("Upsert", _vector("data: 1 indices { data: 1 }"), "Sparse vector must be named"),
    ("Upsert", _vector("image { model: 'clip' }"), "Empty image is not allowed"),
    ("Upsert", _vector("object { model: 'x' }"), "Empty object is not allowed"),
    (
        "Upsert",
        _points(f"{NO_VECTORS} payload {{ key: 'a' value {{ double_value: nan }} }}"),
        "cannot convert to json number",
    ),
    (
        "Upsert",
        _points(f"{NO_VECTORS} payload {{ key: 'a' value {{ list_value {{ values {{ double_value: inf }} }} }} }}"),
        "cannot convert to json number",
    ),
    ("Upsert", _points(f"{POINT}") + " ordering { type: 3 }", "cannot convert ordering: 3"),
    ("UpdateVectors", f"points {{ {POINT} }}", "id is expected"),
    ("UpdateVectors", "points { id { num: 1 } }", "vectors is expected"),
    ("UpdateVectors", _points("vectors {}"), "No Vector Provided"),
    ("UpdateVectors", _vector("sparse { values: 1 indices: 1 }"), "Sparse vector must be named"),
    (
        "UpdateVectors",
        _vector("document { model: 'bm25' text: 'a' }"),
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
        _points(POINT)
        + " shard_key_selector { shard_keys { keyword: 'a' } shard_keys { number: 2 } fallback { number: 3 } }",
        "Fallback shard key 3 can only be set when a single shard key is provided",
    ),
    ("Upsert", _points(POINT) + " shard_key_selector { shard_keys {} }", "Shard key is not specified"),
    *(
        row
        for method, field, rest, text in OPERATIONS
        for row in (
            (method, rest, text),
            (method, f"{field} {{}} {rest}", "Malformed PointsSelector type"),
            (method, f"{field} {{ points {{}} }} {rest}", PREFIX_EMPTY),
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
        _named("sparse { values: [1, 2, 3] indices: [1, 2, 3, 4] }"),
        f"{BODY}[{PATH}values: Validation error: must be the same length as indices [{{}}]]",
    ),
    (
        "Upsert",
        _named("sparse { values: [1, 2] indices: [4, 4] }"),
        f"{BODY}[{PATH}indices: Validation error: must be unique [{{}}]]",
    ),
    (
        "Upsert",
        "points { " + _named("sparse { values: 1 }")[len("points { id { num: 1 }") :],
        f"{BODY}[{PATH}values: Validation error: must be the same length as indices [{{}}]]",
    ),
    (
        "UpdateVectors",
        _named("sparse { values: [1, 2] indices: [4, 4] }"),
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
    server: Calls, method: str, request_text: str, text: str
) -> None:
    assert server.refused(method, request_text) == ("INVALID_ARGUMENT", text)


CONTAINING = [
    ("Upsert", _named("multi_dense {}"), "multi vector must not be empty"),
    ("Upsert", _named("multi_dense { vectors { data: 1 } vectors {} }"), "all vectors must be non-empty"),
    (
        "Upsert",
        _named("multi_dense { vectors { data: 1 } vectors { data: [1, 2] } }"),
        "all vectors must have the same dimension, found vector with dimension 2",
    ),
    ("Upsert", _named("data: 1 vectors_count: 0"), "Validation error: invalid_vector_count ["),
    ("Upsert", _named("vectors_count: 2"), "multi vector must not be empty"),
    (
        "Upsert",
        _named("data: [1, 2, 3] vectors_count: 2"),
        "Validation error: invalid dense vector length for vectors count [",
    ),
    (
        "Upsert",
        _named("data: 1 vectors_count: 1 indices { data: 1 }"),
        "`indices` and `vectors_count` cannot be both specified",
    ),
    ("Upsert", _named("dense { data: 1 } indices { data: 1 }"), "must be the same length as indices"),
    ("Upsert", _named("data: [1, 2] indices { data: [3, 3] }"), "must be unique"),
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
def test_declarative_validation(server: Calls, method: str, request_text: str, part: str) -> None:
    code, text = server.refused(method, request_text)
    assert code == "INVALID_ARGUMENT"
    assert text.startswith(BODY)
    assert part in text


def test_a_multi_vector_has_less_than_a_million_floats(server: Calls) -> None:
    request = points_pb2.UpsertPoints(collection_name="missing")
    point = request.points.add()
    point.id.num = 1
    point.vectors.vectors.vectors["a"].multi_dense.vectors.add().data.extend([0.5] * 1_048_576)
    code, text = server.refused("Upsert", request)
    assert code == "INVALID_ARGUMENT"
    assert "Total size of all vectors (1048576) must be less than 1048576" in text


WRITES = [
    ("Upsert", _points(POINT)),
    ("UpdateVectors", _points(POINT)),
    ("Delete", "points { points { ids { num: 1 } } }"),
    ("ClearPayload", "points { filter {} }"),
    ("SetPayload", "points_selector { filter {} }"),
    ("OverwritePayload", "points_selector { filter {} }"),
    ("DeletePayload", "points_selector { filter {} }"),
    ("DeleteVectors", "points_selector { filter {} } vectors {}"),
    ("UpdateBatch", f"operations {{ upsert {{ {_points(POINT)} }} }}"),
    ("CreateVectorName", "vector_name: 'x' sparse_config {}"),
    ("DeleteVectorName", "vector_name: 'x'"),
    ("Upsert", _vector("document { model: 'clip' text: 'a' }")),
    ("Upsert", _named("document { model: 'other' text: 'a' }")),
]


@pytest.mark.parametrize(("method", "request_text"), WRITES)
@pytest.mark.parametrize("wait", [True, False])
def test_missing_collection(server: Calls, method: str, request_text: str, wait: bool) -> None:  # noqa: FBT001
    expected = ("NOT_FOUND", "Not found: Collection `missing` doesn't exist!")
    assert server.refused(method, request_text, wait=wait) == expected


@pytest.mark.parametrize("name", ["", "a/b", "x" * 256])
@pytest.mark.parametrize("method", ["Upsert", "Delete", "UpdateBatch", "SetPayload"])
def test_collection_name_is_validated(server: Calls, method: str, name: str) -> None:
    code, text = server.refused(method, f"collection_name: '{name}'")
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


def test_custom_sharding_needs_a_shard_key(server: Calls) -> None:
    calls = server.create(f"{DENSE} sharding_method: Custom")
    assert calls.refused("Upsert", _points(POINT)) == ("INVALID_ARGUMENT", "Wrong input: Shard key not specified")
    refused = calls.refused("Upsert", f"{_points(POINT)} shard_key_selector {{ shard_keys {{ keyword: 'k' }} }}")
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
        "document { model: 'Qdrant/BM25' text: 'a' }",
        "UNIMPLEMENTED",
        "inference model `Qdrant/BM25` is not implemented yet",
    ),
]


@pytest.mark.parametrize(("vector", "code", "text"), INFERENCE)
def test_inference(mixed: Calls, vector: str, code: str, text: str) -> None:
    assert mixed.refused("Upsert", _named(vector)) == (code, text)
    assert mixed.refused("UpdateVectors", _named(vector)) == (code, text)


def test_unnamed_sparse_document(dense: Calls) -> None:
    refused = dense.refused("Upsert", _vector("document { model: 'bm25' text: 'a' }"))
    assert refused == ("INVALID_ARGUMENT", "Bad request: Sparse vector from document inference should be named")


def _img(inner: str, name: str = "img") -> str:
    return _points(f"vectors {{ vectors {{ vectors {{ key: '{name}' value {{ {inner} }} }} }} }}")


MISMATCHES = [
    # request, text, whether a client that does not wait is told too
    (_img("dense { data: 1 }"), "Vector dimension error: expected dim: 2, got 1 for vector 'img'", True),
    (
        _img("multi_dense { vectors { data: [1, 2, 3] } }", "rows"),
        "Vector dimension error: expected dim: 2, got 3 for vector 'rows'",
        True,
    ),
    (_img("dense { data: [1, 2] }", "x"), "Not existing vector name error: x", False),
    (_vector("dense { data: [1, 2] }"), "Not existing vector name error: ", False),
    (_img("sparse { values: 1 indices: 1 }"), "Conversion between sparse and regular vectors failed", False),
    (_img("dense { data: [1, 2] }", "text"), "Conversion between sparse and regular vectors failed", False),
    (_img("multi_dense { vectors { data: [1, 2] } }"), "Conversion between multi and regular vectors failed", False),
    (
        _img("multi_dense { vectors { data: [1, 2] } }", "text"),
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
    assert dense.refused("Upsert", _vector("dense { data: [1, 2, 3] }")) == ("INVALID_ARGUMENT", text)
    named = _img("dense { data: [1, 2, 3] }", "")
    assert dense.refused("Upsert", named) == ("INVALID_ARGUMENT", f"{text} for vector ''")
    assert dense.refused("UpdateVectors", named, wait=True) == ("INVALID_ARGUMENT", text)
    assert dense.write("UpdateVectors", named, wait=False) == ACKNOWLEDGED


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


def test_delete_ignores_missing_points(dense: Calls) -> None:
    request = "points { points { ids { num: 1 } ids { num: 42 } ids { num: 1 } } }"
    assert dense.write("Delete", request) == COMPLETED
    assert dense.write("Delete", request) == COMPLETED
    assert dense.ids() == [2]


def test_status_and_operation_ids(server: Calls) -> None:
    calls = server.create(DENSE)
    replies = [
        calls.call("Upsert", _points(POINT)),
        calls.call("Upsert", _points(POINT), wait=True),
        calls.call("Delete", "points { filter {} }", wait=False),
    ]
    assert [reply.result.status for reply in replies] == [ACKNOWLEDGED, COMPLETED, ACKNOWLEDGED]
    assert [reply.result.operation_id for reply in replies] == [1, 2, 3]
    for reply in replies:
        assert reply.time > 0
        assert reply.HasField("usage")
        assert not reply.usage.ListFields()


def test_timeout_is_not_an_error(dense: Calls) -> None:
    result = dense.call("Upsert", _points(POINT), wait=True, timeout=0).result
    assert result.status == points_pb2.UpdateStatus.WaitTimeout
    assert result.operation_id > 0
    assert dense.call("Upsert", _points(POINT), wait=True, timeout=2**63).result.status == COMPLETED


@pytest.mark.parametrize(
    "spelling", [UUID, UUID.upper(), UUID.replace("-", ""), f"urn:uuid:{UUID}", f"{{{UUID}}}", UUID.title()]
)
def test_spellings_of_a_uuid_are_one_point(dense: Calls, spelling: str) -> None:
    dense.write("Upsert", f"points {{ id {{ uuid: '{UUID}' }} {POINT} }}")
    assert dense.write("Upsert", f"points {{ id {{ uuid: '{spelling}' }} {POINT} }}") == COMPLETED
    assert dense.ids() == [1, 2, UUID]
    assert dense.write("Delete", f"points {{ points {{ ids {{ uuid: '{spelling}' }} }} }}") == COMPLETED
    assert dense.ids() == [1, 2]


def test_numbers_come_before_uuids(dense: Calls) -> None:
    nil, full = "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"
    for point_id in (f"uuid: '{full}'", "num: 18446744073709551615", f"uuid: '{nil}'", "num: 0", "num: 256"):
        dense.write("Upsert", f"points {{ id {{ {point_id} }} {POINT} }}")
    assert dense.ids() == [0, 1, 2, 256, 2**64 - 1, nil, full]


def test_upsert_replaces_the_point(mixed: Calls) -> None:
    mixed.write("Upsert", _img("dense { data: [3, 4] }") + " " + _points(NO_VECTORS).replace("1", "2"))
    both = "vectors { vectors { vectors { key: 'half' value { dense { data: [1, 2] } } } } }"
    mixed.write("Upsert", _points(f"{both} payload {{ key: 'a' value {{ bool_value: true }} }}"))
    assert mixed.payload(1) == "a: bool_value: true"
    assert "half" in mixed.vector(1)
    assert "img" not in mixed.vector(1)
    mixed.write("Upsert", _points(NO_VECTORS))
    assert (mixed.payload(1), mixed.vector(1)) == ("", "vectors { }")


def test_last_of_equal_ids_wins(dense: Calls) -> None:
    request = " ".join(
        f"points {{ id {{ num: 7 }} {POINT} payload {{ key: 'n' value {{ integer_value: {n} }} }} }}" for n in range(5)
    )
    dense.write("Upsert", request)
    assert dense.ids() == [1, 2, 7]
    assert dense.payload(7) == "n: integer_value: 4"


OLD = "has_id { has_id { num: 1 } }"
MODES = [
    ("", {1: 9, 2: 9, 3: 9}),
    ("update_mode: 77", {1: 9, 2: 9, 3: 9}),
    ("update_mode: InsertOnly", {1: 0, 2: 0, 3: 9}),
    ("update_mode: UpdateOnly", {1: 9, 2: 9}),
    (f"update_filter {{ must {{ {OLD} }} }}", {1: 9, 2: 0, 3: 9}),
    (f"update_mode: InsertOnly update_filter {{ must {{ {OLD} }} }}", {1: 0, 2: 0, 3: 9}),
    (f"update_mode: UpdateOnly update_filter {{ must {{ {OLD} }} }}", {1: 9, 2: 0}),
    ("update_mode: UpdateOnly update_filter { must_not {} }", {1: 9, 2: 9}),
]


def _numbered(ids: range, number: int) -> str:
    value = f"payload {{ key: 'n' value {{ integer_value: {number} }} }}"
    return " ".join(f"points {{ id {{ num: {i} }} {POINT} {value} }}" for i in ids)


@pytest.mark.parametrize(("condition", "expected"), MODES)
@pytest.mark.parametrize("batch", [False, True])
def test_conditional_upserts(server: Calls, condition: str, expected: dict[int, int], batch: bool) -> None:  # noqa: FBT001
    calls = server.create(DENSE)
    calls.write("Upsert", _numbered(range(1, 3), 0))
    request = f"{_numbered(range(1, 4), 9)} {condition}"
    if batch:
        calls.call("UpdateBatch", f"operations {{ upsert {{ {request} }} }}", wait=True)
    else:
        assert calls.write("Upsert", request) == COMPLETED
    records = calls.call("Scroll", "").result
    assert {record.id.num: record.payload["n"].integer_value for record in records} == expected


def test_payload_round_trip(dense: Calls) -> None:
    """Integers and floats stay what they are at every level, nulls and empty containers stay."""
    request = points_pb2.UpsertPoints(collection_name=dense.name, wait=True)
    point = request.points.add()
    point.id.num = 1
    point.vectors.vectors.SetInParent()
    for key, number in (("int", 1), ("min", -(2**63)), ("max", 2**63 - 1)):
        point.payload[key].integer_value = number
    for key, double in (("one", 1.0), ("neg", -0.0), ("huge", 1e300), ("ff", -1.7976931348623157e308)):
        point.payload[key].double_value = double
    point.payload["null"].null_value = 0  # type: ignore[assignment]
    point.payload[""].string_value = "\x7f\x00 Ключ"
    point.payload['a.b[0] "q"'].bool_value = False
    point.payload["list"].list_value.values.add().double_value = 2.0
    point.payload["list"].list_value.values.add().integer_value = 2
    point.payload["list"].list_value.values.add().list_value.SetInParent()
    point.payload["list"].list_value.values.add().struct_value.SetInParent()
    point.payload["object"].struct_value.fields["x"].struct_value.fields["y"].double_value = 3.0
    dense.call("Upsert", request)
    (record,) = dense.get(1)
    assert dict(record.payload) == dict(point.payload)
    assert math.copysign(1, record.payload["neg"].double_value) == -1


def test_value_without_a_kind_is_null(dense: Calls) -> None:
    dense.write(
        "Upsert",
        _points(f"{NO_VECTORS} payload {{ key: 'a' value {{}} }} payload {{ key: 'b' value {{ null_value: 7 }} }}"),
    )
    kinds = {key: value.WhichOneof("kind") for key, value in dense.get(1)[0].payload.items()}
    assert kinds["b"] == "null_value"
    assert kinds["a"] in ("null_value", None)


def test_deep_payload(dense: Calls) -> None:
    """What is accepted is returned by every RPC; what is deeper is refused with a text that says so."""
    for depth, accepted in ((47, True), (48, False)):
        request = points_pb2.UpsertPoints(collection_name=dense.name, wait=True)
        point = request.points.add()
        point.id.num = 5
        point.vectors.vector.dense.data.extend([9, 9])
        value = point.payload["a"]
        for _ in range(depth):
            value = value.list_value.values.add()
        if not accepted:
            assert dense.refused("Upsert", request) == ("INVALID_ARGUMENT", "payload is nested too deeply")
            continue
        dense.call("Upsert", request)
        query = (
            "query { nearest { dense { data: [1, 1] } } } limit: 1 with_payload { enable: true } collection_name: 'x'"
        )
        batch = dense.call("QueryBatch", f"query_points {{ {query} }}")
        assert "a" in batch.result[0].result[0].payload


def test_path_counts_for_the_depth_of_a_payload(dense: Calls) -> None:
    for path, accepted in ((".".join("a" * 30), True), (".".join("a" * 32), False)):
        request = f"points_selector {{ points {{ ids {{ num: 2 }} }} }} key: '{path}' payload {{ key: 'b' value {{ integer_value: 1 }} }}"
        if accepted:
            assert dense.write("SetPayload", request) == COMPLETED
            assert "a" in dense.get(2)[0].payload
        else:
            assert dense.refused("SetPayload", request) == ("INVALID_ARGUMENT", "payload is nested too deeply")


A_ONE = "a: integer_value: 1"
PAYLOAD_CHANGES = [
    ("SetPayload", "payload { key: 'b' value { integer_value: 2 } }", f"{A_ONE}; b: integer_value: 2"),
    ("SetPayload", "payload { key: 'a' value { null_value: NULL_VALUE } }", ""),
    ("SetPayload", "", A_ONE),
    ("SetPayload", "payload { key: 'a.b' value { integer_value: 5 } }", f"{A_ONE}; a.b: integer_value: 5"),
    (
        "SetPayload",
        "key: 'a' payload { key: 'q' value { integer_value: 5 } }",
        'a: struct_value {   fields {     key: "q"     value {       integer_value: 5     }   } }',
    ),
    ("OverwritePayload", "payload { key: 'b' value { null_value: NULL_VALUE } }", "b: null_value: NULL_VALUE"),
    ("OverwritePayload", "key: 'a[' payload { key: 'b' value { integer_value: 5 } }", "b: integer_value: 5"),
    ("OverwritePayload", "", ""),
    ("DeletePayload", "keys: ['x', 'a']", ""),
    ("DeletePayload", "keys: 'a[0]'", A_ONE),
    ("DeletePayload", "", A_ONE),
]
SELECTORS = [
    "points { ids { num: 1 } ids { num: 1 } }",
    "filter { must { has_id { has_id { num: 1 } } } }",
    "filter {}",
]


@pytest.mark.parametrize("selector", SELECTORS)
@pytest.mark.parametrize(("method", "change", "expected"), PAYLOAD_CHANGES)
def test_payload_changes(dense: Calls, method: str, change: str, expected: str, selector: str) -> None:
    assert dense.write(method, f"points_selector {{ {selector} }} {change}") == COMPLETED
    assert dense.payload(1) == expected
    assert dense.vector(1) == "vector { dense { data: 1 data: 2 } }"


@pytest.mark.parametrize("selector", SELECTORS)
def test_clear_payload(dense: Calls, selector: str) -> None:
    assert dense.write("ClearPayload", f"points {{ {selector} }}") == COMPLETED
    assert dense.payload(1) == ""


def test_literal_keys_and_paths(dense: Calls) -> None:
    one = "points_selector { points { ids { num: 2 } } }"
    dense.write("SetPayload", f"{one} payload {{ key: 'a.b' value {{ integer_value: 1 }} }}")
    dense.write("DeletePayload", f"{one} keys: 'a.b'")
    assert dense.payload(2) == "a.b: integer_value: 1"
    dense.write("DeletePayload", one + r" keys: '\"a.b\"'")
    assert dense.payload(2) == ""


ENCODINGS = [
    # name, input, output
    ("img", "dense { data: [3, 4] }", "dense { data: 0.6 data: 0.8 }"),
    ("img", "data: [3, 4]", "dense { data: 0.6 data: 0.8 }"),
    ("img", "dense { data: [0, 0] }", "dense { data: 0 data: 0 }"),
    ("img", "data: [9, 9] dense { data: [0, 2] }", "dense { data: 0 data: 1 }"),
    (
        "rows",
        "multi_dense { vectors { data: [1, 2] } vectors { data: [3, 4] } }",
        "multi_dense { vectors { data: 1 data: 2 } vectors { data: 3 data: 4 } }",
    ),
    (
        "rows",
        "data: [1, 2, 3, 4] vectors_count: 2",
        "multi_dense { vectors { data: 1 data: 2 } vectors { data: 3 data: 4 } }",
    ),
    ("rows", "dense { data: [1, 2] }", "multi_dense { vectors { data: 1 data: 2 } }"),
    ("bytes", "dense { data: [1.9, 300] }", "dense { data: 1 data: 255 }"),
    ("bytes", "dense { data: [-3, nan] }", "dense { data: 0 data: 0 }"),
    ("half", "dense { data: [0.1, 2048.4] }", "dense { data: 0.0999755859 data: 2048 }"),
    (
        "text",
        "sparse { indices: [9, 4294967295, 2] values: [0.5, -1, 0] }",
        "sparse { values: 0 values: 0.5 values: -1 indices: 2 indices: 9 indices: 4294967295 }",
    ),
    ("text", "data: [0.5, 1] indices { data: [7, 3] }", "sparse { values: 1 values: 0.5 indices: 3 indices: 7 }"),
    ("text", "sparse {}", "sparse { }"),
]


@pytest.mark.parametrize("method", ["Upsert", "UpdateVectors", "upsert", "update_vectors"])
@pytest.mark.parametrize(("name", "vector", "output"), ENCODINGS)
def test_vectors_in_every_encoding(mixed: Calls, method: str, name: str, vector: str, output: str) -> None:
    mixed.write("Upsert", _points(NO_VECTORS))
    if method.islower():
        mixed.call("UpdateBatch", f"operations {{ {method} {{ {_img(vector, name)} }} }}", wait=True)
    else:
        mixed.write(method, _img(vector, name))
    expected = f'vectors {{ vectors {{ key: "{name}" value {{ {output} }} }} }}'
    assert mixed.vector(1) == expected


def test_returned_vectors_are_stable(mixed: Calls) -> None:
    mixed.write("Upsert", _img("dense { data: [0.3, 0.7] }"))
    once = mixed.get(1)[0].vectors.vectors.vectors["img"].dense.data
    mixed.write("Upsert", _img(f"dense {{ data: [{once[0]!r}, {once[1]!r}] }}"))
    assert mixed.get(1)[0].vectors.vectors.vectors["img"].dense.data == once


def test_nan_and_infinity_are_legal_components(dense: Calls) -> None:
    dense.write("Upsert", _vector("dense { data: [nan, -inf] }"))
    data = dense.get(1)[0].vectors.vector.dense.data
    assert math.isnan(data[0])
    assert data[1] == -math.inf


@pytest.mark.parametrize(
    "config", [DENSE, "vectors_config { params_map { map { key: '' value { size: 2 distance: Dot } } } }"]
)
def test_default_vector_alone_is_unnamed(server: Calls, config: str) -> None:
    calls = server.create(config)
    for request in (_vector("dense { data: [1, 2] }"), _img("dense { data: [1, 2] }", "")):
        calls.write("Upsert", request)
        assert calls.vector(1) == "vector { dense { data: 1 data: 2 } }"


def test_update_vectors_keeps_the_rest(mixed: Calls) -> None:
    mixed.write("Upsert", _img("dense { data: [0, 1] }")[:-1] + " payload { key: 'a' value { integer_value: 1 } } }")
    changes = [_img("dense { data: [1, 1] }", "half"), _img("dense { data: [2, 2] }", "half"), _points(NO_VECTORS)]
    assert mixed.write("UpdateVectors", " ".join(changes)) == COMPLETED
    vectors = mixed.get(1)[0].vectors.vectors.vectors
    assert {name: list(vectors[name].dense.data) for name in vectors} == {"img": [0, 1], "half": [2, 2]}
    assert mixed.payload(1) == A_ONE


def test_update_vectors_where_a_filter_holds(dense: Calls) -> None:
    points = f"points {{ id {{ num: 1 }} {POINT} }} points {{ id {{ num: 2 }} {POINT} }}".replace("[1, 2]", "[5, 5]")
    assert dense.write("UpdateVectors", f"{points} update_filter {{ must {{ {OLD} }} }}") == COMPLETED
    assert [list(record.vectors.vector.dense.data) for record in dense.get(1, 2)] == [[5, 5], [1, 2]]


def test_delete_vectors(mixed: Calls) -> None:
    mixed.write("Upsert", _img("dense { data: [0, 1] }"))
    one = "points_selector { points { ids { num: 1 } } }"
    assert mixed.write("DeleteVectors", f"{one} vectors {{}}") == COMPLETED
    assert "img" in mixed.vector(1)
    for _ in range(2):
        assert mixed.write("DeleteVectors", f"{one} vectors {{ names: ['img', 'img'] }}") == COMPLETED
        assert mixed.vector(1) == "vectors { }"
    refused = mixed.refused("DeleteVectors", f"{one} vectors {{ names: 'x' }}", wait=True)
    assert refused == ("INVALID_ARGUMENT", "Wrong input: Not existing vector name error: x")
    assert mixed.ids() == [1]


def test_points_without_vectors_in_a_collection_without_vectors(server: Calls) -> None:
    calls = server.create("")
    assert calls.write("Upsert", _points(NO_VECTORS)) == COMPLETED
    assert calls.vector(1) == "vectors { }"


def test_filtered_writes_see_what_was_acknowledged(dense: Calls) -> None:
    for i in range(10, 30):
        assert dense.write("Upsert", f"points {{ id {{ num: {i} }} {POINT} }}", wait=False) == ACKNOWLEDGED
    assert dense.write("Delete", "points { filter { must_not { has_id { has_id { num: 1 } } } } }") == COMPLETED
    assert dense.ids() == [1]


BATCH = [
    "upsert { points { id { num: 1 } VEC } points { id { num: 2 } VEC } points { id { num: 3 } VEC } }",
    "set_payload { points_selector { points { ids { num: 1 } } } payload { key: 'a' value { integer_value: 1 } } }",
    "overwrite_payload { points_selector { filter {} } payload { key: 'b' value { integer_value: 2 } } key: 'a[' }",
    "set_payload { points_selector { points { ids { num: 1 } } } payload { key: 'c' value { integer_value: 3 } } key: 'd' }",
    "delete_payload { points_selector { points { ids { num: 1 } } } keys: 'b' }",
    "update_vectors { points { id { num: 1 } vectors { vector { dense { data: [7, 7] } } } } }",
    "delete_vectors { points_selector { points { ids { num: 2 } } } vectors { names: '' } }",
    "clear_payload { points { points { ids { num: 2 } } } }",
    "clear_payload_deprecated { points { ids { num: 3 } } }",
    "delete_points { points { points { ids { num: 42 } } } }",
    "delete_deprecated { filter { must { has_id { has_id { num: 3 } } } } }",
]


def _batch(*operations: str) -> str:
    return " ".join(f"operations {{ {operation} }}" for operation in operations).replace("VEC", POINT)


@pytest.mark.parametrize("wait", [True, False])
def test_batch_of_all_operations(server: Calls, wait: bool) -> None:  # noqa: FBT001
    calls = server.create(DENSE)
    reply = calls.call("UpdateBatch", _batch(*BATCH), wait=wait)
    assert [result.status for result in reply.result] == [COMPLETED if wait else ACKNOWLEDGED] * len(BATCH)
    assert [result.operation_id for result in reply.result] == list(range(1, len(BATCH) + 1))
    assert reply.time > 0
    assert not reply.HasField("usage")
    assert calls.ids() == [1, 2]
    assert set(calls.get(1)[0].payload) == {"d"}
    assert calls.vector(1) == "vector { dense { data: 7 data: 7 } }"
    assert (calls.payload(2), calls.vector(2)) == ("", "vectors { }")


BAD_OPERATIONS = [
    ("", "INVALID_ARGUMENT", "Operation is missing"),
    ("upsert { points { id { uuid: 'x' } VEC } }", "INVALID_ARGUMENT", "Unable to parse UUID: x"),
    ("upsert {}", "INVALID_ARGUMENT", PREFIX_EMPTY),
    ("delete_deprecated {}", "INVALID_ARGUMENT", "Malformed PointsSelector type"),
    ("delete_points {}", "INVALID_ARGUMENT", "PointSelector is missing"),
    ("clear_payload {}", "INVALID_ARGUMENT", "PointSelector is missing"),
    ("set_payload {}", "INVALID_ARGUMENT", "points_selector is expected"),
    (
        "delete_points { points { filter {} } shard_key_selector { shard_keys { number: 1 } } }",
        "INVALID_ARGUMENT",
        "Wrong input: Shard key 1 not found",
    ),
    (
        "upsert { points { id { num: 9 } vectors { vector { dense { data: 1 } } } } }",
        "INVALID_ARGUMENT",
        "Wrong input: Vector dimension error: expected dim: 2, got 1",
    ),
    (
        "set_payload { points_selector { points { ids { num: 42 } } } }",
        "NOT_FOUND",
        "Not found: No point with id 42 found",
    ),
    (
        "delete_points { points { filter { must { is_null { key: 'a' } } } } }",
        "UNIMPLEMENTED",
        "filter condition `is_null` is not implemented yet",
    ),
]


@pytest.mark.parametrize(("operation", "code", "text"), BAD_OPERATIONS)
def test_batch_keeps_what_comes_before_the_failure(dense: Calls, operation: str, code: str, text: str) -> None:
    batch = _batch("upsert { points { id { num: 8 } VEC } }", operation, "upsert { points { id { num: 10 } VEC } }")
    assert dense.refused("UpdateBatch", batch, wait=True) == (code, text)
    assert dense.ids() == [1, 2, 8]


@pytest.mark.parametrize(
    ("vector", "part"),
    [
        ("sparse { values: 1 indices: [1, 2] }", "must be the same length as indices"),
        ("sparse { values: [1, 1] indices: [2, 2] }", "must be unique"),
        ("multi_dense { vectors {} }", "all vectors must be non-empty"),
        ("data: [1, 2, 3] vectors_count: 2", "invalid dense vector length for vectors count"),
    ],
)
def test_structure_is_checked_in_batches_too(mixed: Calls, vector: str, part: str) -> None:
    code, text = mixed.refused("UpdateBatch", f"operations {{ upsert {{ {_named(vector)} }} }}", wait=True)
    assert code == "INVALID_ARGUMENT"
    assert part in text


def test_operations_of_a_batch_see_those_before(server: Calls) -> None:
    calls = server.create(DENSE)
    batch = _batch(BATCH[0], "delete_points { points { filter { must_not { has_id { has_id { num: 2 } } } } } }")
    calls.call("UpdateBatch", batch, wait=False)
    assert calls.ids() == [2]


def test_add_and_drop_a_vector(dense: Calls) -> None:
    create = "vector_name: 'n' dense_config { size: 1 distance: Dot }"
    assert dense.write("CreateVectorName", create) == COMPLETED
    assert dense.write("CreateVectorName", create) == COMPLETED
    dense.write("UpdateVectors", _img("dense { data: 4 }", "n"))
    assert '"n"' in dense.vector(1)
    assert '""' in dense.vector(1)
    assert dense.vector(2) == "vector { dense { data: 1 data: 2 } }"
    conflicts = [
        (
            "vector_name: 'n' dense_config { size: 2 distance: Dot }",
            "Vector `n` already exists with a different configuration",
        ),
        ("vector_name: 'n' sparse_config {}", "Vector `n` already exists as a dense vector"),
    ]
    for request, text in conflicts:
        assert dense.refused("CreateVectorName", request, wait=True) == ("INVALID_ARGUMENT", f"Wrong input: {text}")
    for _ in range(2):
        assert dense.write("DeleteVectorName", "vector_name: 'n'") == COMPLETED
        assert dense.vector(1) == "vector { dense { data: 1 data: 2 } }"
    dense.write("CreateVectorName", create)
    assert '"n"' not in dense.vector(1)


def test_add_a_sparse_vector(dense: Calls) -> None:
    assert dense.write("CreateVectorName", "vector_name: 's' sparse_config { modifier: Idf }") == COMPLETED
    conflicts = [
        ("vector_name: 's' sparse_config {}", "Sparse vector `s` already exists with a different configuration"),
        ("vector_name: 's' dense_config { size: 2 distance: Dot }", "Vector `s` already exists as a sparse vector"),
    ]
    for request, text in conflicts:
        assert dense.refused("CreateVectorName", request, wait=True) == ("INVALID_ARGUMENT", f"Wrong input: {text}")


def test_undecodable_body(server: Calls) -> None:
    broken = server.raw("/qdrant.Points/Upsert", b"\x0a\x05ab")
    assert broken == ("INVALID_ARGUMENT", "the request body of /qdrant.Points/Upsert cannot be decoded")


def test_unpacked_floats(dense: Calls) -> None:
    """Floats may come one by one instead of packed."""
    floats = b"".join(b"\x0d" + struct.pack("<f", value) for value in (7.0, 8.0))
    vectors = b"\x0a" + bytes([len(floats) + 3]) + b"\xaa\x06" + bytes([len(floats)]) + floats
    point = b"\x0a\x02\x08\x01" + b"\x22" + bytes([len(vectors)]) + vectors
    body = (
        b"\x0a" + bytes([len(dense.name)]) + dense.name.encode() + b"\x10\x01" + b"\x1a" + bytes([len(point)]) + point
    )
    assert dense.raw("/qdrant.Points/Upsert", body)[0] == "OK"
    assert dense.vector(1) == "vector { dense { data: 7 data: 8 } }"
