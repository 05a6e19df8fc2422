"""What the write RPCs do: results, ids, modes of upserts, payloads."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest

from qdrant_grpc import points_pb2
from tests.wire.points_calls import ACKNOWLEDGED, COMPLETED, DENSE, NO_VECTORS, ONLY_1, POINT, UUID, named, one_point

if TYPE_CHECKING:
    from tests.wire.points_calls import Calls

TOO_DEEP = "payload is nested too deeply: lists may be 47 levels deep, objects 31"


def test_delete_ignores_missing_points(dense: Calls) -> None:
    request = "points { points { ids { num: 1 } ids { num: 42 } ids { num: 1 } } }"
    assert dense.write("Delete", request) == COMPLETED
    assert dense.write("Delete", request) == COMPLETED
    assert dense.ids() == [2]


def test_status_and_operation_ids(calls: Calls) -> None:
    calls = calls.create(DENSE)
    replies = [
        calls.call("Upsert", one_point(POINT)),
        calls.call("Upsert", one_point(POINT), wait=True),
        calls.call("Delete", "points { filter {} }", wait=False),
    ]
    assert [reply.result.status for reply in replies] == [ACKNOWLEDGED, COMPLETED, ACKNOWLEDGED]
    assert [reply.result.operation_id for reply in replies] == [1, 2, 3]
    for reply in replies:
        assert reply.time > 0
        assert reply.HasField("usage")
        assert not reply.usage.ListFields()


def test_timeout_is_not_an_error(dense: Calls) -> None:
    result = dense.call("Upsert", one_point(POINT), wait=True, timeout=0).result
    assert result.status == points_pb2.UpdateStatus.WaitTimeout
    assert result.operation_id > 0
    assert dense.call("Upsert", one_point(POINT), wait=True, timeout=2**63).result.status == COMPLETED


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
    mixed.write("Upsert", named("dense { data: [3, 4] }") + " " + one_point(NO_VECTORS).replace("1", "2"))
    both = "vectors { vectors { vectors { key: 'half' value { dense { data: [1, 2] } } } } }"
    mixed.write("Upsert", one_point(f"{both} payload {{ key: 'a' value {{ bool_value: true }} }}"))
    assert mixed.payload(1) == "a: bool_value: true"
    assert "half" in mixed.vector(1)
    assert "img" not in mixed.vector(1)
    mixed.write("Upsert", one_point(NO_VECTORS))
    assert (mixed.payload(1), mixed.vector(1)) == ("", "vectors { }")


def test_last_of_equal_ids_wins(dense: Calls) -> None:
    request = " ".join(
        f"points {{ id {{ num: 7 }} {POINT} payload {{ key: 'n' value {{ integer_value: {n} }} }} }}" for n in range(5)
    )
    dense.write("Upsert", request)
    assert dense.ids() == [1, 2, 7]
    assert dense.payload(7) == "n: integer_value: 4"


MODES = [
    ("", {1: 9, 2: 9, 3: 9}),
    ("update_mode: 77", {1: 9, 2: 9, 3: 9}),
    ("update_mode: InsertOnly", {1: 0, 2: 0, 3: 9}),
    ("update_mode: UpdateOnly", {1: 9, 2: 9}),
    (f"update_filter {{ must {{ {ONLY_1} }} }}", {1: 9, 2: 0, 3: 9}),
    (f"update_mode: InsertOnly update_filter {{ must {{ {ONLY_1} }} }}", {1: 0, 2: 0, 3: 9}),
    (f"update_mode: UpdateOnly update_filter {{ must {{ {ONLY_1} }} }}", {1: 9, 2: 0}),
    ("update_mode: UpdateOnly update_filter { must_not {} }", {1: 9, 2: 9}),
]


def _numbered(ids: range, number: int) -> str:
    value = f"payload {{ key: 'n' value {{ integer_value: {number} }} }}"
    return " ".join(f"points {{ id {{ num: {i} }} {POINT} {value} }}" for i in ids)


@pytest.mark.parametrize(("condition", "expected"), MODES)
@pytest.mark.parametrize("batch", [False, True])
def test_conditional_upserts(calls: Calls, condition: str, expected: dict[int, int], batch: bool) -> None:  # noqa: FBT001
    calls = calls.create(DENSE)
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
        one_point(f"{NO_VECTORS} payload {{ key: 'a' value {{}} }} payload {{ key: 'b' value {{ null_value: 7 }} }}"),
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
            assert dense.refused("Upsert", request) == ("INVALID_ARGUMENT", TOO_DEEP)
            continue
        dense.call("Upsert", request)
        query = (
            "query { nearest { dense { data: [1, 1] } } } limit: 1 with_payload { enable: true } collection_name: 'x'"
        )
        batch = dense.call("QueryBatch", f"query_points {{ {query} }}")
        assert "a" in batch.result[0].result[0].payload


def test_path_counts_for_the_depth_of_a_payload(dense: Calls) -> None:
    for path, accepted in ((".".join("a" * 30), True), (".".join("a" * 32), False)):
        request = f"points_selector {{ filter {{}} }} key: '{path}' payload {{ key: 'b' value {{ bool_value: true }} }}"
        if accepted:
            assert dense.write("SetPayload", request) == COMPLETED
            assert "a" in dense.get(2)[0].payload
        else:
            assert dense.refused("SetPayload", request) == ("INVALID_ARGUMENT", TOO_DEEP)


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


def test_filtered_writes_see_what_was_acknowledged(dense: Calls) -> None:
    for i in range(10, 30):
        assert dense.write("Upsert", f"points {{ id {{ num: {i} }} {POINT} }}", wait=False) == ACKNOWLEDGED
    assert dense.write("Delete", "points { filter { must_not { has_id { has_id { num: 1 } } } } }") == COMPLETED
    assert dense.ids() == [1]
