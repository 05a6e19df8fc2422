"""Point ids and slots.

A point id is kept everywhere in its packed form: tag byte 0 and the number as 8 bytes big-endian, or tag byte 1 and the
16 bytes of the UUID. Byte order of packed ids is the order of ids on the wire: numbers ascending, then UUIDs
(specification part 1, 4.3), and a packed id is the key of the `ids` database as it is.
"""

from __future__ import annotations

import re
import struct
from typing import NewType

from pointstore.core.errors import ConversionError, NotFoundError

PointId = NewType("PointId", bytes)
"""A packed point id: 9 bytes (number) or 17 bytes (UUID)."""

Slot = NewType("Slot", int)
"""Internal row number of one version of a point: ascending, never reused."""

Seq = NewType("Seq", int)
"""Place of an operation in a collection's log; the wire calls it operation id."""

_NUMBER = struct.Struct(">BQ")
_NUMBER_TAG = 0
_UUID_TAG = b"\x01"
# The four spellings of 4.1. `uuid.UUID` is too lenient: it drops hyphens and braces anywhere.
_UUID_TEXT = re.compile(
    r"(?:(?P<simple>[0-9a-fA-F]{32})"
    r"|(?P<open>\{|urn:uuid:)?[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}(?P<close>\})?)",
    re.ASCII,
)


def point_id_from_number(number: int) -> PointId:
    """Pack an unsigned 64-bit number."""
    return PointId(_NUMBER.pack(_NUMBER_TAG, number))


def point_id_from_text(text: str) -> PointId:
    """Pack a UUID in any of its four spellings.

    Raises:
        ConversionError: the text is none of them.
    """
    raw = parse_uuid(text)
    if raw is None:
        msg = f"Unable to parse UUID: {text}"
        raise ConversionError(msg)
    return PointId(_UUID_TAG + raw)


def parse_uuid(text: str) -> bytes | None:
    """Return the 16 bytes of a hyphenated, simple, URN or braced UUID, or None."""
    match = _UUID_TEXT.fullmatch(text)
    if match is None or (match["open"] == "{") != (match["close"] is not None):
        return None
    digits = match["simple"] or text.removeprefix("urn:uuid:").strip("{}").replace("-", "")
    return bytes.fromhex(digits)


def point_id_number(point_id: PointId) -> int | None:
    """Return the number of a numeric id, None for a UUID."""
    return int.from_bytes(point_id[1:], "big") if point_id[0] == _NUMBER_TAG else None


def format_point_id(point_id: PointId) -> str:
    """Return the canonical text: decimal number, or lower-case hyphenated UUID."""
    number = point_id_number(point_id)
    if number is not None:
        return str(number)
    digits = point_id[1:].hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def point_not_found(point_id: PointId, *, when_applied: bool = False) -> NotFoundError:
    """Return the error for an id that the collection does not hold."""
    return NotFoundError(f"No point with id {format_point_id(point_id)} found", when_applied=when_applied)
