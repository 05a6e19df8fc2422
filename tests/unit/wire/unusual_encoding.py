"""Encode a message in ways that are legal and that no generated encoder uses.

A parser must read the result as the same message: fields in any order, floats unpacked or in several chunks, messages
in two parts, scalars sent twice, map entries with the value first, fields nobody knows.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from google.protobuf.descriptor import FieldDescriptor

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from google.protobuf.message import Message

_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5
_KINDS: dict[int, tuple[int, Callable[[Any], bytes]]] = {
    FieldDescriptor.TYPE_FLOAT: (_FOUR, lambda value: struct.pack("<f", value)),
    FieldDescriptor.TYPE_DOUBLE: (_EIGHT, lambda value: struct.pack("<d", value)),
    FieldDescriptor.TYPE_STRING: (_BYTES, lambda value: value.encode()),
    FieldDescriptor.TYPE_BYTES: (_BYTES, lambda value: value),
}


def varint(number: int) -> bytes:
    """Encode a 64-bit number, negative ones as two's complement."""
    number &= (1 << 64) - 1
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def unusual(message: Message, rng: Random) -> bytes:
    """Return a random legal encoding of a message."""
    queues = [_pieces(field, value, rng) for field, value in message.ListFields()]
    if rng.random() < 0.2:
        queues.append([_field(1000 + rng.randrange(1000), _VARINT, varint(rng.randrange(1 << 30)))])
    encoded = []
    while queues:
        queue = rng.choice(queues)
        encoded.append(queue.pop(0))
        queues = [queue for queue in queues if queue]
    return b"".join(encoded)


def _field(number: int, kind: int, content: bytes) -> bytes:
    length = varint(len(content)) if kind == _BYTES else b""
    return varint(number << 3 | kind) + length + content


def _pieces(field: Any, value: Any, rng: Random) -> list[bytes]:  # noqa: ANN401  any message
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return [_field(field.number, _BYTES, _entry(key, value[key], rng)) for key in value]
    if field.is_repeated:
        return _repeated(field, value, rng)
    if field.message_type is not None:
        return _message(field, value, rng)
    return [_scalar(field, value)] * rng.choice((1, 1, 1, 2))


def _entry(key: str, value: Message, rng: Random) -> bytes:
    parts = [_field(1, _BYTES, key.encode()), _field(2, _BYTES, unusual(value, rng))]
    rng.shuffle(parts)
    return b"".join(parts)


def _message(field: Any, value: Message, rng: Random) -> list[bytes]:  # noqa: ANN401  any message
    """Encode a message in one piece, or as two that a parser merges."""
    present = value.ListFields()
    if len(present) < 2 or rng.random() < 0.5:
        return [_field(field.number, _BYTES, unusual(value, rng))]
    pieces = []
    for part in (present[:1], present[1:]):
        half = type(value)()
        half.CopyFrom(value)
        for kept in {other.name for other, _ in present} - {other.name for other, _ in part}:
            half.ClearField(kept)
        pieces.append(_field(field.number, _BYTES, unusual(half, rng)))
    return pieces


def _repeated(field: Any, values: Any, rng: Random) -> list[bytes]:  # noqa: ANN401  any message
    if field.message_type is not None:
        return [_field(field.number, _BYTES, unusual(value, rng)) for value in values]
    kind, encode = _KINDS.get(field.type, (_VARINT, varint))
    elements = [encode(value) for value in values]
    if kind == _BYTES:
        return [_field(field.number, kind, element) for element in elements]
    pieces = []
    while elements:
        count = rng.choice((1, 2, len(elements)))
        chunk, elements = elements[:count], elements[count:]
        if rng.random() < 0.5:
            pieces.append(_field(field.number, _BYTES, b"".join(chunk)))
        else:
            pieces += [_field(field.number, kind, element) for element in chunk]
    return pieces


def _scalar(field: Any, value: Any) -> bytes:  # noqa: ANN401  any message
    kind, encode = _KINDS.get(field.type, (_VARINT, varint))
    return _field(field.number, kind, encode(value))
