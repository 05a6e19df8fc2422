"""Request bodies as they come from the network: their size limit, and compressed ones.

The transport decompresses nothing itself, since it would have the whole message in memory, several times, before
anybody could ask for its size. No protobuf message begins like a gzip stream (a first byte of 0x1f would be a field
of a wire type that does not exist), so a compressed body is known by its begin.
"""

from __future__ import annotations

import zlib
from typing import Final

from pointstore.core import interruption
from pointstore.core.errors import ConversionError, MessageTooLargeError

_MAGIC: Final = b"\x1f\x8b"
_GZIP_BITS: Final = 31
_TRAILER_BYTES: Final = 18
"""Of the smallest stream: header and trailer."""
_PIECE_BYTES: Final = 1 << 20


def is_packed(body: bytes) -> bool:
    """Tell whether a body is a gzip stream."""
    return body[:2] == _MAGIC


def size_of(body: bytes) -> int:
    """Return the bytes of a message: of a compressed one what its stream declares (RFC 1952, ISIZE).

    Nothing is to be believed of it but that `unpack` never gives out more.

    Raises:
        ConversionError: a stream that is cut off.
    """
    if not is_packed(body):
        return len(body)
    if len(body) < _TRAILER_BYTES:
        raise _damaged()
    return int.from_bytes(body[-4:], "little")


def unpack(body: bytes, size: int) -> bytes:
    """Decompress a gzip stream of one member, which must hold `size` bytes.

    Raises:
        ConversionError: damaged, of another size, or with something behind it.
    """
    stream = zlib.decompressobj(_GZIP_BITS)
    unpacked = bytearray()
    rest = body
    try:
        while rest and not stream.eof:
            interruption.check()
            unpacked += stream.decompress(rest, min(_PIECE_BYTES, size - len(unpacked) + 1))
            if len(unpacked) > size:
                raise _damaged()
            rest = stream.unconsumed_tail
    except zlib.error:
        raise _damaged() from None
    if not stream.eof or stream.unused_data or len(unpacked) != size:
        raise _damaged()
    return bytes(unpacked)


def check_size(kind: str, size: int, limit: int, *, so_far: bool = False) -> None:
    """Refuse a message beyond the limit.

    Args:
        kind: what it is, for the text.
        size: its bytes.
        limit: most bytes.
        so_far: it is still growing.

    Raises:
        MessageTooLargeError: it is larger.
    """
    if size > limit:
        least = "at least " if so_far else ""
        raise MessageTooLargeError(
            f"the {kind} has {least}{size} bytes, the limit is {limit} bytes (setting max_message_mb = {limit >> 20})"
        )


def _damaged() -> ConversionError:
    return ConversionError("the compressed request body is damaged")
