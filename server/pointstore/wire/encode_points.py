"""Encode replies that hold points, as bytes.

Stored payload bytes are the payload field of `RetrievedPoint` and `ScoredPoint` as they are (see `core/payload.py`), so
a point is put together from encoded fields instead of copying them into a message; tests compare with the messages.
Tags below are field number times 8 plus wire type: 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from time import perf_counter
from typing import TYPE_CHECKING, Final

from pointstore.core import interruption
from pointstore.core.point import format_point_id, point_id_number
from pointstore.core.vector import FLOAT_BYTES, Dense, Sparse
from qdrant_grpc import points_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pointstore.core.point import PointId
    from pointstore.core.query import Page, Record, ScoredRecord
    from pointstore.core.vector import NamedVectors, Vector

_ONE_BYTE_MAX: Final = 0x7F
_ONE_BYTE: Final = tuple(bytes([number]) for number in range(_ONE_BYTE_MAX + 1))

# Fields of messages; those that are called RESULT have number 1 in every reply but that of Scroll.
_RESULT: Final = b"\x0a"
_TIME: Final = struct.Struct("<cd")
_TIME_TAG: Final = b"\x11"
_NEXT_OFFSET: Final = b"\x0a"
_SCROLL_RESULT: Final = b"\x12"
_SCROLL_TIME_TAG: Final = b"\x19"
_ID: Final = b"\x0a"
_ID_NUM: Final = b"\x08"
_ID_UUID: Final = b"\x12"
_SCORE: Final = struct.Struct("<cf")
_SCORE_TAG: Final = b"\x1d"
_VERSION: Final = b"\x28"
_SCORED_VECTORS: Final = b"\x32"
_RETRIEVED_VECTORS: Final = b"\x22"
_ORDER_VALUE: Final = b"\x32"
_ORDER_INT: Final = b"\x08"
_ORDER_FLOAT: Final = struct.Struct("<cd")
_ORDER_FLOAT_TAG: Final = b"\x11"
_RECORDS_A_CHECK: Final = 1024
_UINT64: Final = (1 << 64) - 1
_UNNAMED: Final = b"\x0a"
_NAMED: Final = b"\x12"
_ENTRY: Final = b"\x0a"
_KEY: Final = b"\x0a"
_VALUE: Final = b"\x12"
_DENSE: Final = b"\xaa\x06"
_SPARSE: Final = b"\xb2\x06"
_MULTI: Final = b"\xba\x06"
_FLOATS: Final = b"\x0a"
_INDICES: Final = b"\x12"
_ROW: Final = b"\x0a"


def _varint(number: int) -> bytes:
    if number <= _ONE_BYTE_MAX:
        return _ONE_BYTE[number]
    if number < 1 << 14:
        return bytes((number & _ONE_BYTE_MAX | 0x80, number >> 7))
    if number < 1 << 21:
        return bytes((number & _ONE_BYTE_MAX | 0x80, number >> 7 & _ONE_BYTE_MAX | 0x80, number >> 14))
    encoded = bytearray()
    while number > _ONE_BYTE_MAX:
        encoded.append(number & _ONE_BYTE_MAX | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


_VARINTS_MAX: Final = 1 << 14
_VARINTS: Final = tuple(_varint(number) for number in range(_VARINTS_MAX))
_LOW_BITS: Final = tuple(_varint(number | _VARINTS_MAX)[:2] for number in range(_VARINTS_MAX))
"""The first two bytes of longer varints, by their low 14 bits."""
_LOOKED_UP_MAX: Final = _VARINTS_MAX << 14
_NUMBER_IDS: Final = tuple(_ID + bytes([size + 1]) + _ID_NUM for size in range(11))
"""Begin of the id field of a numeric id, by the size of its varint."""


def _field(tag: bytes, content: bytes) -> bytes:
    return tag + _varint(len(content)) + content


def _time(tag: bytes, started: float) -> bytes:
    return _TIME.pack(tag, perf_counter() - started)


def encode_scored(lists: Iterable[Sequence[ScoredRecord]], started: float) -> bytes:
    """Encode the reply of QueryBatch or SearchBatch.

    Args:
        lists: hits of each request.
        started: `perf_counter` at the begin of the call; the reply tells how long it took.

    """
    results = [_field(_RESULT, _hits(records)) for records in lists]
    return b"".join(results) + _time(_TIME_TAG, started)


def encode_hits(records: Sequence[ScoredRecord], started: float) -> bytes:
    """Encode the reply of Query or Search."""
    return _hits(records) + _time(_TIME_TAG, started)


def encode_records(records: Sequence[Record], started: float) -> bytes:
    """Encode the reply of Get."""
    return b"".join((*_retrieved(_RESULT, records), _time(_TIME_TAG, started)))


def encode_page(page: Page, started: float) -> bytes:
    """Encode the reply of Scroll."""
    following = b"" if page.next_offset is None else _field(_NEXT_OFFSET, _point_id(page.next_offset))
    return b"".join((following, *_retrieved(_SCROLL_RESULT, page.records), _time(_SCROLL_TIME_TAG, started)))


def encode_facets(hits: Iterable[tuple[str | int | bool, int]], started: float) -> bytes:
    """Encode the reply of Facet."""
    reply = points_pb2.FacetResponse()
    for value, count in hits:
        hit = reply.hits.add(count=count)
        match value:
            # True is an int in Python.
            case bool():
                hit.value.bool_value = value
            case int():
                hit.value.integer_value = value
            case str():
                hit.value.string_value = value
    reply.time = perf_counter() - started
    return reply.SerializeToString()


def _hits(records: Sequence[ScoredRecord]) -> bytes:
    return b"".join([_some_hits(some) for some in interruption.stretches(records, _RECORDS_A_CHECK)])


def _some_hits(records: Sequence[ScoredRecord]) -> bytes:
    # One loop without calls for what nearly every hit is: a search spends a tenth of its time here.
    parts: list[bytes] = []
    for point_id, score, version, payload, vectors in records:
        number = _number(int.from_bytes(point_id[1:], "big")) if point_id[0] == 0 else None
        id_field = _field(_ID, _point_id(point_id)) if number is None else _NUMBER_IDS[len(number)] + number
        rest = _SCORE.pack(_SCORE_TAG, score)
        if version:
            rest += _VERSION + _number(version)
        if vectors is not None:
            rest += _field(_SCORED_VECTORS, _vectors(vectors))
        parts += (_RESULT, _number(len(id_field) + len(payload) + len(rest)), id_field, payload, rest)
    return b"".join(parts)


def _number(number: int) -> bytes:
    if number < _VARINTS_MAX:
        return _VARINTS[number]
    if number < _LOOKED_UP_MAX:
        return _LOW_BITS[number & _VARINTS_MAX - 1] + _VARINTS[number >> 14]
    return _varint(number)


def _retrieved(tag: bytes, records: Sequence[Record]) -> list[bytes]:
    """Encode points as elements of the repeated field of a tag, in one loop as `_some_hits`.

    The parts are yet to be joined, and stored vectors are among them as they are: a page can be hundreds of MB.
    """
    parts: list[bytes] = []
    for some in interruption.stretches(records, _RECORDS_A_CHECK):
        parts += _some_retrieved(tag, some)
    return parts


def _some_retrieved(tag: bytes, records: Sequence[Record]) -> list[bytes]:
    parts: list[bytes] = []
    for point_id, payload, vectors, order_value in records:
        if point_id[0] == 0:
            value = int.from_bytes(point_id[1:], "big")
            number = _number(value)
            id_field = _NUMBER_IDS[len(number)] + number
        else:
            id_field = _field(_ID, _point_id(point_id))
        size = len(id_field) + len(payload)
        if vectors is None and order_value is None:
            parts += (tag, _VARINTS[size] if size < _VARINTS_MAX else _varint(size), id_field, payload)
            continue
        before, floats = (b"", b"") if vectors is None else _retrieved_vectors(vectors)
        rest = b"" if order_value is None else _field(_ORDER_VALUE, _order_value(order_value))
        parts += (tag, _number(size + len(before) + len(floats) + len(rest)), id_field, payload, before, floats, rest)
    return parts


def _retrieved_vectors(vectors: NamedVectors) -> tuple[bytes, bytes]:
    """Encode the vectors of a retrieved point as two parts, the second of them the floats of a lone dense vector."""
    vector = vectors.get("")
    if len(vectors) == 1 and isinstance(vector, Dense) and vector.data:
        return _before_floats(len(vector.data)), vector.data
    return _field(_RETRIEVED_VECTORS, _vectors(vectors)), b""


@lru_cache(maxsize=64)
def _before_floats(size: int) -> bytes:
    """Return what stands before so many bytes of floats in the vectors of a retrieved point: tags and lengths."""
    before = b""
    for tag in (_FLOATS, _DENSE, _UNNAMED, _RETRIEVED_VECTORS):
        before = tag + _varint(len(before) + size) + before
    return before


def _order_value(value: float) -> bytes:
    """Encode an int as a varint of 64 bits in two's complement, a float as it is."""
    if isinstance(value, int):
        return _ORDER_INT + _varint(value & _UINT64)
    return _ORDER_FLOAT.pack(_ORDER_FLOAT_TAG, value)


def _point_id(point_id: PointId) -> bytes:
    number = point_id_number(point_id)
    if number is None:
        return _field(_ID_UUID, format_point_id(point_id).encode())
    return _ID_NUM + _varint(number)


def _vectors(vectors: NamedVectors) -> bytes:
    """Encode VectorsOutput: the short form for nothing but the default vector, else a map by name."""
    if len(vectors) == 1 and "" in vectors:
        return _field(_UNNAMED, _vector(vectors[""]))
    entries = [
        _field(_ENTRY, _field(_KEY, name.encode()) + _field(_VALUE, _vector(vector)))
        for name, vector in vectors.items()
    ]
    return _field(_NAMED, b"".join(entries))


def _vector(vector: Vector) -> bytes:
    if isinstance(vector, Dense):
        return _field(_DENSE, _floats(vector.data))
    if isinstance(vector, Sparse):
        indices = b"".join([_varint(index) for index in vector.indices.tolist()])
        values = vector.values.astype("<f4", copy=False).tobytes()
        return _field(_SPARSE, _floats(values) + (_field(_INDICES, indices) if indices else b""))
    row_bytes = vector.dim * FLOAT_BYTES
    rows = [vector.data[start : start + row_bytes] for start in range(0, len(vector.data), row_bytes)]
    return _field(_MULTI, b"".join([_field(_ROW, _floats(row)) for row in rows]))


def _floats(data: bytes) -> bytes:
    return _field(_FLOATS, data) if data else b""
