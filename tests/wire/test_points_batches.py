"""UpdateBatch: all operations, in order, and what remains when one fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.wire.points_calls import ACKNOWLEDGED, COMPLETED, DENSE, EMPTY, POINT, named

if TYPE_CHECKING:
    from tests.wire.points_calls import Calls

BATCH = [
    "upsert { points { id { num: 1 } VEC } points { id { num: 2 } VEC } points { id { num: 3 } VEC } }",
    "set_payload { points_selector { points { ids { num: 1 } } } payload { key: 'a' value { integer_value: 1 } } }",
    "overwrite_payload { points_selector { filter {} } payload { key: 'b' value { integer_value: 2 } } key: 'a[' }",
    "set_payload { points_selector { points { ids { num: 1 } } } payload { key: 'c' value {} } key: 'd' }",
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
def test_batch_of_all_operations(calls: Calls, wait: bool) -> None:  # noqa: FBT001
    calls = calls.create(DENSE)
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
    ("upsert {}", "INVALID_ARGUMENT", EMPTY),
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
        "delete_points { points { filter { must { is_null { key: 'a[' } } } } }",
        "INVALID_ARGUMENT",
        "Invalid json path: 'a['",
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
    code, text = mixed.refused("UpdateBatch", f"operations {{ upsert {{ {named(vector)} }} }}", wait=True)
    assert code == "INVALID_ARGUMENT"
    assert part in text


def test_operations_of_a_batch_see_those_before(calls: Calls) -> None:
    calls = calls.create(DENSE)
    batch = _batch(BATCH[0], "delete_points { points { filter { must_not { has_id { has_id { num: 2 } } } } } }")
    calls.call("UpdateBatch", batch, wait=False)
    assert calls.ids() == [2]
