"""Every key of a collection's environment, and the framing of checked records.

Big-endian numbers, so that byte order is numeric order:

    meta     b"head" | b"config" | b"segments" | b"fields" | b"optimizer_error" | b"format" | b"created_at"
             | b"first_slot"
    log      seq u64                              -> operation
    ids      point id (core/point.py)             -> slot u64, checksum
    points   slot u64                             -> id, seq, payload
    vectors  space u16, first slot u64            -> block of rows (dense), or one vector (sparse, multi)
    live     space u16 (0xFFFF: points), block u32 -> bits of 65,536 slots

    fields, terms                                 see storage/fields.py

Each value starts (in `ids` it ends) with the CRC-32C of its key and the rest, so that neither a damaged value nor a
record that came under another key passes for the right one. `format` alone is framed without its key: every version
must be able to read it.
"""

from __future__ import annotations

import struct
from typing import Final, cast

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from pointstore.core.errors import CorruptionError, StorageError

HEAD: Final = b"head"
CONFIG: Final = b"config"
SEGMENTS: Final = b"segments"
FIELDS: Final = b"fields"
OPTIMIZER_ERROR: Final = b"optimizer_error"
FORMAT: Final = b"format"
CREATED_AT: Final = b"created_at"
FIRST_SLOT: Final = b"first_slot"

POINTS_SPACE: Final = 0xFFFF
"""Number that stands for the points themselves among the live sets."""

Part = bytes | NDArray[np.generic]
"""Bytes, or an array in one piece that counts as its bytes."""

_U64 = struct.Struct(">Q")
_VECTOR = struct.Struct(">HQ")
_LIVE = struct.Struct(">HI")
_CRC = struct.Struct("<I")


def u64(number: int) -> bytes:
    """Key or value of one number."""
    return _U64.pack(number)


def of_u64(raw: bytes) -> int:
    """Invert `u64`."""
    number: int = _U64.unpack(raw)[0]
    return number


def vector_key(space: int, slot: int) -> bytes:
    """Key of the block that starts with `slot`, or of one vector."""
    return _VECTOR.pack(space, slot)


def of_vector_key(raw: bytes) -> tuple[int, int]:
    """Invert `vector_key`."""
    space, slot = _VECTOR.unpack(raw)
    return space, slot


def live_key(space: int, block: int) -> bytes:
    """Key of one block of a live set."""
    return _LIVE.pack(space, block)


def of_live_key(raw: bytes) -> tuple[int, int]:
    """Invert `live_key`."""
    space, block = _LIVE.unpack(raw)
    return space, block


def unknown_format(noun: str, found: int, newest: int) -> StorageError:
    """Return the error for an environment of a format that this version cannot use."""
    return StorageError(f"{noun} format {found} is not supported by this version, which writes format {newest}")


def framed_as(key: bytes) -> bytes:
    """Return what takes the key's place in the checksum of a record of `meta` or of the catalog's `node`."""
    return b"" if key == FORMAT else key


def seal(key: bytes, *parts: Part) -> bytes:
    """Return the record of a key: checksum and body; a body in parts is copied once, however large it is."""
    checksum = google_crc32c.value(key)
    for part in parts:
        checksum = google_crc32c.extend(checksum, part)
    # What has a buffer can be joined; before Python 3.12 types cannot say so of an array.
    return b"".join((_CRC.pack(checksum), *cast("tuple[bytes, ...]", parts)))


def unseal(key: bytes, record: bytes, *what: object) -> bytes:
    """Return the body of the record that was found under a key.

    Raises:
        CorruptionError: the checksum does not match; `what`, words joined by blanks, names the record.
    """
    body = record[4:]
    if record[:4] != google_crc32c.extend(google_crc32c.value(key), body).to_bytes(4, "little"):
        msg = f"checksum mismatch in {' '.join(map(str, what))}"
        raise CorruptionError(msg)
    return body
