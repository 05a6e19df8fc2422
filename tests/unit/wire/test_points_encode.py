"""Replies put together from bytes are the messages they stand for."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
import pytest
from google.protobuf import text_format

from pointstore.core.payload import pack_payload
from pointstore.core.point import point_id_from_number, point_id_from_text
from pointstore.core.query import Page, Record, ScoredRecord
from pointstore.core.vector import Dense, Multi, Sparse
from pointstore.wire.encode_points import encode_facets, encode_hits, encode_page, encode_records, encode_scored
from qdrant_grpc import points_pb2
from qdrant_grpc.qdrant_common_pb2 import PointId

if TYPE_CHECKING:
    from pointstore.core.point import PointId as PackedId
    from pointstore.core.schema import Json
    from pointstore.core.vector import NamedVectors

UUID = "550e8400-e29b-41d4-a716-446655440000"
IDS = [
    (point_id_from_number(0), PointId(num=0)),
    (point_id_from_number(127), PointId(num=127)),
    (point_id_from_number(128), PointId(num=128)),
    (point_id_from_number(2**64 - 1), PointId(num=2**64 - 1)),
    (point_id_from_text(UUID), PointId(uuid=UUID)),
]
PAYLOAD: dict[str, Json] = {"a": 1, "b": 1.0, "c": [None, "x" * 300, {"d": True}], "": {}}


def _dense(values: list[float]) -> Dense:
    return Dense(np.array(values, "<f4").tobytes())


@pytest.mark.parametrize(("packed", "expected"), IDS)
def test_ids(packed: PackedId, expected: PointId) -> None:
    reply = points_pb2.GetResponse.FromString(encode_records([Record(packed, b"", None)], perf_counter()))
    assert list(reply.result) == [points_pb2.RetrievedPoint(id=expected)]
    assert reply.time > 0
    assert not reply.HasField("usage")


SPARSE = Sparse(np.array([1, 300, 2**32 - 1], np.uint32), np.array([0.5, -1, 0], np.float32))
EMPTY_SPARSE = Sparse(np.array([], np.uint32), np.array([], np.float32))


@pytest.mark.parametrize(
    ("vectors", "expected"),
    [
        ({"": _dense([1, 2])}, "vector { dense { data: [1, 2] } }"),
        ({"": _dense([])}, "vector { dense {} }"),
        ({"": _dense([0.5] * 70_000)}, f"vector {{ dense {{ data: {[0.5] * 70_000} }} }}"),
        (
            {"": Multi(_dense([1, 2, 3, 4]).data, 2)},
            "vector { multi_dense { vectors { data: [1, 2] } vectors { data: [3, 4] } } }",
        ),
        ({"a": _dense([1] * 384)}, f"vectors {{ vectors {{ key: 'a' value {{ dense {{ data: {[1] * 384} }} }} }} }}"),
        (
            {"": _dense([1]), "text": SPARSE},
            """vectors {
                vectors { key: '' value { dense { data: 1 } } }
                vectors { key: 'text' value { sparse { indices: [1, 300, 4294967295] values: [0.5, -1, 0] } } }
            }""",
        ),
        ({"s": EMPTY_SPARSE}, "vectors { vectors { key: 's' value { sparse {} } } }"),
        ({}, "vectors {}"),
    ],
)
def test_vectors(vectors: NamedVectors, expected: str) -> None:
    output = text_format.Parse(expected, points_pb2.VectorsOutput())
    point_id = point_id_from_number(1)
    got = points_pb2.GetResponse.FromString(encode_records([Record(point_id, b"", vectors)], perf_counter()))
    assert got.result[0].vectors == output
    hits = [ScoredRecord(point_id, 0.5, 1, b"", vectors)]
    assert points_pb2.QueryResponse.FromString(encode_hits(hits, perf_counter())).result[0].vectors == output


def test_vectors_that_were_not_requested_are_absent() -> None:
    body = encode_records([Record(point_id_from_number(1), b"", None)], perf_counter())
    assert not points_pb2.GetResponse.FromString(body).result[0].HasField("vectors")


def test_payload_bytes_become_the_payload() -> None:
    reply = points_pb2.GetResponse.FromString(
        encode_records([Record(point_id_from_number(1), pack_payload(PAYLOAD), None)], perf_counter())
    )
    payload = reply.result[0].payload
    assert set(payload) == set(PAYLOAD)
    assert payload["a"].WhichOneof("kind") == "integer_value"
    assert payload["b"].WhichOneof("kind") == "double_value"
    assert payload["c"].list_value.values[1].string_value == "x" * 300
    assert payload[""].WhichOneof("kind") == "struct_value"


@pytest.mark.parametrize("version", [0, 1, 127, 128, 2**40])
@pytest.mark.parametrize("score", [0.0, -1.5, float("inf")])
def test_hits(version: int, score: float) -> None:
    hits = [ScoredRecord(point_id, score, version, pack_payload({"n": n}), None) for n, (point_id, _) in enumerate(IDS)]
    reply = points_pb2.SearchResponse.FromString(encode_hits(hits, perf_counter()))
    assert [hit.id for hit in reply.result] == [expected for _, expected in IDS]
    assert [hit.payload["n"].integer_value for hit in reply.result] == list(range(len(IDS)))
    assert {(hit.score, hit.version) for hit in reply.result} == {(score, version)}
    assert reply.time > 0


def test_batches_keep_empty_results() -> None:
    hit = ScoredRecord(point_id_from_number(7), 1.0, 1, b"", None)
    reply = points_pb2.QueryBatchResponse.FromString(encode_scored([[], [hit, hit], []], perf_counter()))
    assert [len(batch.result) for batch in reply.result] == [0, 2, 0]
    assert reply.time > 0
    assert points_pb2.QueryBatchResponse.FromString(encode_scored([], perf_counter())).time > 0


def test_pages() -> None:
    record = Record(point_id_from_number(3), pack_payload({"a": 1}), {})
    following = points_pb2.ScrollResponse.FromString(encode_page(Page([record], IDS[4][0]), perf_counter()))
    assert following.next_page_offset.uuid == UUID
    assert following.result[0].id.num == 3
    assert following.result[0].payload["a"].integer_value == 1
    assert following.time > 0
    last = points_pb2.ScrollResponse.FromString(encode_page(Page([], None), perf_counter()))
    assert not last.HasField("next_page_offset")
    assert not last.result


@pytest.mark.parametrize("value", [0, 1, 127, 128, 2**63 - 1, -1, -(2**63), 0.0, -0.0, 1.0, 1e300, float("-inf")])
def test_order_values(value: float) -> None:
    record = Record(point_id_from_number(1), b"", {"": _dense([1])}, value)
    reply = points_pb2.ScrollResponse.FromString(encode_page(Page([record], None), perf_counter()))
    order = points_pb2.OrderValue(int=value) if isinstance(value, int) else points_pb2.OrderValue(float=value)
    vectors = text_format.Parse("vector { dense { data: 1 } }", points_pb2.VectorsOutput())
    expected = points_pb2.RetrievedPoint(id=PointId(num=1), vectors=vectors, order_value=order)
    assert list(reply.result) == [expected]
    assert reply.result[0].SerializeToString() == expected.SerializeToString()


def test_facets() -> None:
    hits: list[tuple[str | int | bool, int]] = [("", 3), (0, 2), (-1, 2), (False, 1), (True, 1)]
    reply = points_pb2.FacetResponse.FromString(encode_facets(hits, perf_counter()))
    variants = [hit.value.WhichOneof("variant") for hit in reply.hits]
    assert variants == ["string_value", "integer_value", "integer_value", "bool_value", "bool_value"]
    assert [
        (getattr(hit.value, str(variant)), hit.count) for hit, variant in zip(reply.hits, variants, strict=True)
    ] == hits
    assert reply.time > 0
