"""The one payload codec.

A stored payload is the concatenation of its map entries in wire encoding, each framed as field 2, the number that the
payload map has in both `RetrievedPoint` and `ScoredPoint`: stored bytes go into replies untouched and are decoded only
to be filtered, indexed or modified. Requests carry the same entries under other field numbers, so a write copies them
without decoding; `check_payloads` makes up for what that skips.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence

from google.protobuf.message import DecodeError

from pointstore.core.errors import ConversionError
from pointstore.core.schema import Json
from qdrant_grpc.json_with_int_pb2 import Value
from qdrant_grpc.points_pb2 import QueryGroupsResponse, RetrievedPoint

EMPTY = b""
NESTING_MAX = 50
"""No payload that `check_payloads` accepts is this deep."""
_LEVELS = "lists may be 47 levels deep, objects 31"
_TAG = b"\x12"
_RESULT_TAG = b"\x0a"
_GROUP_TAG = b"\x0a"
_ONE_BYTE_MAX = 0x7F
# Little-endian NaN and infinity end in these two bytes; valid UTF-8 never holds them in a row, so nearly every payload
# is cleared without looking at its values. The search for either last byte comes first because it is much faster.
_MAYBE_NOT_FINITE = re.compile(rb"[\xf0-\xff][\x7f\xff]")


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > _ONE_BYTE_MAX:
        encoded.append(number & _ONE_BYTE_MAX | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


_FRAMES = tuple(_TAG + _varint(length) for length in range(1024))
"""Tag and length of an entry, by length, for nearly all entries that occur."""


def frame_entries(entries: Iterable[bytes]) -> bytes:
    """Join raw map entries (key and value, as found in a request) into a stored payload."""
    parts: list[bytes] = []
    for entry in entries:
        length = len(entry)
        parts.append(_FRAMES[length] if length < len(_FRAMES) else _TAG + _varint(length))
        parts.append(entry)
    return b"".join(parts)


def check_payloads(payloads: Sequence[bytes]) -> None:
    """Check payloads whose entries were copied undecoded: structure, UTF-8, nesting, finite numbers.

    They are parsed once, all together, as part of the reply that wraps a payload in the most messages: what passes can
    be returned by every RPC and parsed by every client, and what is stored never fails in a reply. Protobuf parsers
    stop at a nesting of 100 messages, which leaves lists 47 and objects 31 levels.

    Raises:
        ConversionError: one could not be returned to a client, or holds NaN or infinity.
    """
    points = frame_entries(payloads)
    groups = _GROUP_TAG + _varint(len(points)) + points
    try:
        reply = QueryGroupsResponse.FromString(_RESULT_TAG + _varint(len(groups)) + groups)
    except DecodeError as error:
        reason = str(error).rpartition(": ")[2]
        msg = (
            f"payload is nested too deeply: {_LEVELS}" if "Depth" in reason else f"payload cannot be decoded: {reason}"
        )
        raise ConversionError(msg) from None
    for number, payload in enumerate(payloads):
        if (b"\x7f" in payload or b"\xff" in payload) and _MAYBE_NOT_FINITE.search(payload):
            for value in reply.result.groups[0].hits[number].payload.values():
                decode_value(value)


def unpack_payload(payload: bytes) -> dict[str, Json]:
    """Decode a stored payload into a tree that the caller may change."""
    parsed = RetrievedPoint.FromString(payload)
    return {key: decode_value(value) for key, value in parsed.payload.items()}


def unpack_members(payload: bytes, names: Iterable[str]) -> dict[str, Json]:
    """Decode only some of the top-level members of a stored payload; those that it lacks are left out."""
    entries = RetrievedPoint.FromString(payload).payload
    return {name: decode_value(entries[name]) for name in names if name in entries}


def pack_payload(tree: dict[str, Json]) -> bytes:
    """Encode a tree as a stored payload."""
    message = RetrievedPoint()
    for key, value in tree.items():
        encode_value(value, message.payload[key])
    return message.SerializeToString(deterministic=True)


def decode_value(value: Value) -> Json:
    """Decode one value; an unset kind is null.

    Raises:
        ConversionError: a number is NaN or infinite.
    """
    kind = value.WhichOneof("kind")
    match kind:
        case "string_value" | "bool_value" | "integer_value":
            plain: Json = getattr(value, kind)
            return plain
        case "double_value":
            if not math.isfinite(value.double_value):
                msg = "cannot convert to json number"
                raise ConversionError(msg)
            return value.double_value
        case "list_value":
            return [decode_value(element) for element in value.list_value.values]
        case "struct_value":
            return {key: decode_value(member) for key, member in value.struct_value.fields.items()}
        case _:
            return None


def encode_value(tree: Json, value: Value) -> None:
    """Write a tree into an empty `Value`; int64 integers and doubles stay distinct kinds."""
    match tree:
        case None:
            value.null_value = 0  # type: ignore[assignment]
        case bool():
            value.bool_value = tree
        case int():
            value.integer_value = tree
        case float():
            value.double_value = tree
        case str():
            value.string_value = tree
        case list():
            value.list_value.SetInParent()
            for element in tree:
                encode_value(element, value.list_value.values.add())
        case dict():
            value.struct_value.SetInParent()
            for key, member in tree.items():
                encode_value(member, value.struct_value.fields[key])


def metadata_of(entries: Iterable[tuple[str, Value]]) -> dict[str, Json]:
    """Decode a map of values, such as a collection's metadata.

    Raises:
        ConversionError: a number is NaN or infinite.
    """
    return {key: decode_value(value) for key, value in entries}
