"""Upserts through the wire view hold what the public message holds, however they are encoded."""

from __future__ import annotations

import struct
from random import Random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from google.protobuf.message import DecodeError

from pointstore.core.errors import ConversionError
from pointstore.core.payload import decode_value, unpack_payload
from pointstore.core.point import format_point_id
from pointstore.core.vector import Dense, Multi, Sparse
from pointstore.wire.decode_upserts import decode_upsert, view_upsert
from pointstore.wire.points_view_pb2 import UpsertPointsView
from qdrant_grpc.json_with_int_pb2 import Value
from qdrant_grpc.points_pb2 import PointStruct, UpsertPoints, Vector
from tests.unit.wire.unusual_encoding import unusual, varint

if TYPE_CHECKING:
    from pointstore.core.schema import Json
    from pointstore.core.vector import Vector as DecodedVector

Content = tuple[str, "dict[str, Json]", dict[str, object]]


def _random_value(rng: Random, depth: int = 0) -> Value:
    match rng.randrange(8 if depth < 3 else 6):
        case 0:
            return Value(null_value=0)  # type: ignore[arg-type]
        case 1:
            return Value(bool_value=rng.random() < 0.5)
        case 2:
            return Value(integer_value=rng.randrange(-(1 << 63), 1 << 63))
        case 3:
            return Value(double_value=rng.uniform(-1e9, 1e9))
        case 4:
            return Value(string_value="ключ\x7f" * rng.randrange(60))
        case 5:
            return Value()
        case 6:
            value = Value()
            value.list_value.SetInParent()
            value.list_value.values.extend([_random_value(rng, depth + 1) for _ in range(rng.randrange(4))])
            return value
        case _:
            value = Value()
            value.struct_value.SetInParent()
            for _ in range(rng.randrange(4)):
                value.struct_value.fields[str(rng.randrange(9))].CopyFrom(_random_value(rng, depth + 1))
            return value


def _random_vector(rng: Random, *, named: bool) -> Vector:
    floats = [rng.uniform(-2, 2) for _ in range(rng.randrange(1, 6))]
    vector = Vector()
    match rng.randrange(6 if named else 4):
        case 0:
            vector.dense.data.extend(floats)
        case 1:
            vector.data.extend(floats)
        case 2:
            for _ in range(rng.randrange(1, 4)):
                vector.multi_dense.vectors.add().data.extend(floats)
        case 3:
            vector.data.extend(floats * 3)
            vector.vectors_count = 3
        case 4:
            vector.sparse.values.extend(floats)
            vector.sparse.indices.extend(rng.sample(range(1 << 32), len(floats)))
        case _:
            vector.data.extend(floats)
            vector.indices.data.extend(rng.sample(range(1000), len(floats)))
    return vector


def _random_point(rng: Random) -> PointStruct:
    point = PointStruct()
    if rng.random() < 0.5:
        point.id.num = rng.choice((0, 1, (1 << 64) - 1))
    else:
        point.id.uuid = "550e8400e29b41d4a716446655440000"
    for _ in range(rng.randrange(5)):
        point.payload["k" * rng.choice((0, 1, 200))].CopyFrom(_random_value(rng))
    if rng.random() < 0.5:
        point.vectors.vector.CopyFrom(_random_vector(rng, named=False))
    else:
        point.vectors.vectors.SetInParent()
        for name in rng.sample(("", "a", "img"), rng.randrange(4)):
            point.vectors.vectors.vectors[name].CopyFrom(_random_vector(rng, named=True))
    return point


def _plain(vector: DecodedVector) -> object:
    match vector:
        case Dense(data):
            return data
        case Sparse(indices, values):
            return indices.tolist(), values.tolist()
        case Multi(data, dim):
            return data, dim


def _decoded(body: bytes) -> list[Content]:
    update = decode_upsert(view_upsert(body))
    return [
        (format_point_id(point_id), unpack_payload(payload), {name: _plain(each) for name, each in vectors.items()})
        for point_id, payload, vectors in zip(update.ids, update.payloads, update.vectors, strict=True)
    ]


def _floats(values: object) -> bytes:
    return np.array(values, dtype="<f4").tobytes()


def _expected_vector(vector: Vector) -> object:
    match vector.WhichOneof("vector"):
        case "dense":
            return _floats(vector.dense.data)
        case "multi_dense":
            rows = [_floats(row.data) for row in vector.multi_dense.vectors]
            return b"".join(rows), len(rows[0]) // 4
        case "sparse":
            pairs = sorted(zip(vector.sparse.indices, vector.sparse.values, strict=True))
            return [index for index, _ in pairs], [value for _, value in pairs]
    if vector.HasField("indices"):
        pairs = sorted(zip(vector.indices.data, vector.data, strict=True))
        return [index for index, _ in pairs], [value for _, value in pairs]
    if vector.HasField("vectors_count"):
        return _floats(vector.data), len(vector.data) // vector.vectors_count
    return _floats(vector.data)


def _expected(request: UpsertPoints) -> list[Content]:
    """Decode the public message element by element."""
    contents: list[Content] = []
    for point in request.points:
        text = str(point.id.num) if point.id.HasField("num") else "550e8400-e29b-41d4-a716-446655440000"
        payload = {key: decode_value(value) for key, value in point.payload.items()}
        if point.vectors.HasField("vector"):
            vectors = {"": _expected_vector(point.vectors.vector)}
        else:
            vectors = {name: _expected_vector(vector) for name, vector in point.vectors.vectors.vectors.items()}
        contents.append((text, payload, vectors))
    return contents


@pytest.mark.parametrize("seed", range(300))
def test_any_encoding_decodes_like_the_public_message(seed: int) -> None:
    rng = Random(seed)
    request = UpsertPoints(collection_name="c", wait=True, timeout=rng.randrange(1 << 40))
    request.points.extend([_random_point(rng) for _ in range(rng.randrange(1, 5))])
    body = unusual(request, rng)
    parsed = UpsertPoints.FromString(body)
    parsed.DiscardUnknownFields()
    assert parsed == request
    expected = _expected(request)
    assert _decoded(body) == expected
    assert _decoded(request.SerializeToString()) == expected


def test_common_encoding_is_not_parsed_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    request = UpsertPoints(collection_name="c", points=[_random_point(Random(1)) for _ in range(3)])

    class Refuse:
        @staticmethod
        def FromString(_body: bytes) -> UpsertPoints:  # noqa: N802
            raise AssertionError

    monkeypatch.setattr("pointstore.wire.decode_upserts.UpsertPoints", Refuse)
    assert len(view_upsert(request.SerializeToString()).points) == 3


def test_components_keep_their_bits() -> None:
    """NaN payloads, negative zero and denormals are not touched."""
    data = struct.pack("<4I", 0x7FC0_0001, 0x8000_0000, 1, 0xFF80_0000)
    view = UpsertPointsView(collection_name="c")
    point = view.points.add()
    point.id.num = 1
    point.vectors.vector.dense.data = data
    update = decode_upsert(view_upsert(view.SerializeToString()))
    assert update.vectors == [{"": Dense(data)}]


def _with_payload(entry: bytes) -> bytes:
    point = b"\x0a\x02\x08\x01" + b"\x1a" + varint(len(entry)) + entry + b"\x22\x02\x12\x00"
    return b"\x0a\x01c" + b"\x1a" + varint(len(point)) + point


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (b"\x0a\x01\xff\x12\x00", "payload cannot be decoded: "),
        (b"\x0a\x05a", "payload cannot be decoded: "),
        (b"\x0a\x01a\x12\x04\x22\x02\xc3\x28", "payload cannot be decoded: "),
        (b"\x0a\x01a\x12\x09\x11" + struct.pack("<d", float("nan")), "cannot convert to json number"),
        (b"\x0a\x01a\x12\x09\x11" + struct.pack("<d", float("-inf")), "cannot convert to json number"),
    ],
)
def test_payload_that_the_view_did_not_look_at_is_refused(entry: bytes, text: str) -> None:
    with pytest.raises((ConversionError, DecodeError)) as caught:
        _decoded(_with_payload(entry))
    assert str(caught.value).startswith(text)


@pytest.mark.parametrize("kind", ["list", "struct"])
def test_nesting_is_bounded(kind: str) -> None:
    deepest = {"list": 47, "struct": 31}[kind]
    for depth, accepted in ((deepest, True), (deepest + 1, False)):
        request = UpsertPoints(collection_name="c")
        point = request.points.add()
        point.id.num = 1
        point.vectors.vectors.SetInParent()
        value = point.payload["a"]
        for _ in range(depth):
            value = value.list_value.values.add() if kind == "list" else value.struct_value.fields["a"]
        if accepted:
            assert len(_decoded(request.SerializeToString())) == 1
        else:
            with pytest.raises(ConversionError, match="payload is nested too deeply"):
                _decoded(request.SerializeToString())
