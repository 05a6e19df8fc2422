"""Encoding of operations for the log.

An operation is a tag byte and a list of byte fields; a list is its count, the lengths of its items as little-endian u32
and the items joined. Lists nest. Numbers are little-endian, arrays as in memory. Vector space parameters are JSON.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from itertools import chain
from typing import assert_never

import numpy as np
from pydantic import TypeAdapter

from pointstore.core.errors import CorruptionError
from pointstore.core.fields import FieldSchema
from pointstore.core.operation import (
    AddField,
    AddVector,
    Column,
    DenseColumn,
    DropField,
    DropVector,
    MergePayload,
    MovePoints,
    MultiColumn,
    Nothing,
    Operation,
    PutPoints,
    PutVectors,
    RemovePayload,
    RemovePoints,
    RemoveVectors,
    ReplacePayload,
    SparseColumn,
)
from pointstore.core.path import parse_path
from pointstore.core.point import PointId
from pointstore.core.schema import SparseVectorParams, VectorParams
from pointstore.core.vector import Multi, Sparse
from pointstore.storage.keys import Part

_COUNT = struct.Struct("<I")
_COLUMN = struct.Struct("<cHI2s")
_MULTI = struct.Struct("<I")
_PARAMS: TypeAdapter[VectorParams | SparseVectorParams] = TypeAdapter(VectorParams | SparseVectorParams)
_SCHEMA: TypeAdapter[FieldSchema] = TypeAdapter(FieldSchema)

_PUT_POINTS, _REMOVE_POINTS, _PUT_VECTORS, _REMOVE_VECTORS = b"P", b"D", b"V", b"v"
_MERGE_PAYLOAD, _REPLACE_PAYLOAD, _REMOVE_PAYLOAD = b"M", b"R", b"r"
_ADD_VECTOR, _DROP_VECTOR, _ADD_FIELD, _DROP_FIELD = b"A", b"a", b"F", b"f"
_MOVE_POINTS, _NOTHING = b"m", b"0"


def pack_operation(operation: Operation) -> list[Part]:  # noqa: C901, PLR0912  one case an operation
    """Encode an operation, in parts that are yet to be joined: those of a batch can be hundreds of MB."""
    match operation:
        case PutPoints(ids, payloads, columns):
            return [_PUT_POINTS, *_pack(_list(ids), _list(payloads), _pack_columns(columns))]
        case RemovePoints(ids):
            return [_REMOVE_POINTS, *_list(ids)]
        case PutVectors(ids, columns):
            return [_PUT_VECTORS, *_pack(_list(ids), _pack_columns(columns))]
        case RemoveVectors(ids, numbers):
            return [_REMOVE_VECTORS, *_pack(_list(ids), [np.array(numbers, "<u2")])]
        case MergePayload(ids, payload, key):
            keys = () if key is None else (str(key).encode(),)
            return [_MERGE_PAYLOAD, *_pack(_list(ids), [payload], _list(keys))]
        case ReplacePayload(ids, payload):
            return [_REPLACE_PAYLOAD, *_pack(_list(ids), [payload])]
        case RemovePayload(ids, paths):
            return [_REMOVE_PAYLOAD, *_pack(_list(ids), _list([str(path).encode() for path in paths]))]
        case AddVector(name, params):
            kind = b"d" if isinstance(params, VectorParams) else b"s"
            return [_ADD_VECTOR, *_list((name.encode(), kind, _PARAMS.dump_json(params)))]
        case DropVector(name):
            return [_DROP_VECTOR, *_list((name.encode(),))]
        case AddField(path, schema):
            return [_ADD_FIELD, *_list((path.encode(), _SCHEMA.dump_json(schema)))]
        case DropField(path):
            return [_DROP_FIELD, *_list((path.encode(),))]
        case MovePoints(ids):
            return [_MOVE_POINTS, *_list(ids)]
        case Nothing():
            return [_NOTHING]
        case _:
            assert_never(operation)


def unpack_operation(data: bytes) -> Operation:  # noqa: C901, PLR0912  one case an operation
    """Invert `pack_operation`.

    Raises:
        CorruptionError: the bytes are not an operation.
    """
    tag, fields = data[:1], _unpack(data[1:]) if len(data) > 1 else []
    match tag:
        case b"P":
            return PutPoints(_ids(fields[0]), tuple(_unpack(fields[1])), _unpack_columns(fields[2]))
        case b"D":
            return RemovePoints(tuple(map(PointId, fields)))
        case b"V":
            return PutVectors(_ids(fields[0]), _unpack_columns(fields[1]))
        case b"v":
            return RemoveVectors(_ids(fields[0]), tuple(np.frombuffer(fields[1], "<u2").tolist()))
        case b"M":
            keys = _unpack(fields[2])
            return MergePayload(_ids(fields[0]), fields[1], parse_path(keys[0].decode()) if keys else None)
        case b"R":
            return ReplacePayload(_ids(fields[0]), fields[1])
        case b"r":
            return RemovePayload(_ids(fields[0]), tuple(parse_path(key.decode()) for key in _unpack(fields[1])))
        case b"A":
            kind: type[VectorParams | SparseVectorParams] = VectorParams if fields[1] == b"d" else SparseVectorParams
            return AddVector(fields[0].decode(), TypeAdapter(kind).validate_json(fields[2]))
        case b"a":
            return DropVector(fields[0].decode())
        case b"F":
            return AddField(fields[0].decode(), _SCHEMA.validate_json(fields[1]))
        case b"f":
            return DropField(fields[0].decode())
        case b"m":
            return MovePoints(tuple(map(PointId, fields)))
        case b"0":
            return Nothing()
    msg = f"unknown operation tag {tag!r} in the log"
    raise CorruptionError(msg)


def _ids(data: bytes) -> tuple[PointId, ...]:
    return tuple(map(PointId, _unpack(data)))


def _list(items: Sequence[Part]) -> list[Part]:
    """Return the encoding of a list whose items are of one part each."""
    return [_header([_size(item) for item in items]), *items]


def _pack(*items: Sequence[Part]) -> list[Part]:
    """Return the encoding of a list whose items come in parts."""
    return [_header([sum(map(_size, parts)) for parts in items]), *chain.from_iterable(items)]


def _header(lengths: Sequence[int]) -> bytes:
    return struct.pack(f"<{1 + len(lengths)}I", len(lengths), *lengths)


def _size(part: Part) -> int:
    return part.nbytes if isinstance(part, np.ndarray) else len(part)


def _unpack(data: bytes) -> list[bytes]:
    count: int = _COUNT.unpack_from(data)[0]
    lengths = struct.unpack_from(f"<{count}I", data, _COUNT.size)
    items: list[bytes] = []
    position = _COUNT.size * (count + 1)
    for length in lengths:
        items.append(data[position : position + length])
        position += length
    if position != len(data):
        msg = "an operation in the log has the wrong length"
        raise CorruptionError(msg)
    return items


def _pack_columns(columns: Sequence[Column]) -> list[Part]:
    return _pack(*[_pack_column(column) for column in columns])


def _pack_column(column: Column) -> list[Part]:
    positions = column.positions.astype("<i8", copy=False)
    match column:
        case DenseColumn(number, _, rows):
            head = _COLUMN.pack(b"d", number, rows.shape[1], rows.dtype.str[1:].encode())
            return _list((head, positions, np.ascontiguousarray(rows)))
        case SparseColumn(number, _, sparse):
            bodies = [_list((v.indices.astype("<u4"), v.values.astype("<f4"))) for v in sparse]
            return _pack([_COLUMN.pack(b"s", number, 0, b"")], [positions], _pack(*bodies))
        case MultiColumn(number, _, matrices):
            pairs = [(_MULTI.pack(matrix.dim), matrix.data) for matrix in matrices]
            return _pack([_COLUMN.pack(b"m", number, 0, b"")], [positions], _pack(*pairs))
        case _:
            assert_never(column)


def _unpack_columns(data: bytes) -> tuple[Column, ...]:
    return tuple(_unpack_column(item) for item in _unpack(data))


def _unpack_column(data: bytes) -> Column:
    head, raw_positions, body = _unpack(data)
    kind, number, dim, dtype = _COLUMN.unpack(head)
    positions = np.frombuffer(raw_positions, "<i8")
    if kind == b"d":
        return DenseColumn(number, positions, np.frombuffer(body, "<" + dtype.decode()).reshape(-1, dim))
    if kind == b"s":
        pairs = [_unpack(item) for item in _unpack(body)]
        return SparseColumn(
            number, positions, tuple(Sparse(np.frombuffer(i, "<u4"), np.frombuffer(v, "<f4")) for i, v in pairs)
        )
    matrices = tuple(Multi(item[_MULTI.size :], _MULTI.unpack_from(item)[0]) for item in _unpack(body))
    return MultiColumn(number, positions, matrices)
