"""Sizes of request bodies, and compressed ones."""

from __future__ import annotations

import gzip

import pytest

from pointstore.core.errors import ConversionError, MessageTooLargeError
from pointstore.wire.bodies import check_size, is_packed, size_of, unpack

PLAIN = bytes(range(256)) * 20_000


@pytest.mark.parametrize("plain", [b"", b"a", PLAIN])
def test_compressed_body_comes_back(plain: bytes) -> None:
    packed = gzip.compress(plain)
    assert is_packed(packed)
    assert size_of(packed) == len(plain)
    assert unpack(packed, len(plain)) == plain


def test_plain_body_has_its_own_size() -> None:
    assert not is_packed(PLAIN)
    assert not is_packed(b"")
    assert size_of(PLAIN) == len(PLAIN)


PACKED = gzip.compress(PLAIN, mtime=0)


@pytest.mark.parametrize(
    "damaged",
    [
        PACKED[:-4] + (len(PLAIN) - 1).to_bytes(4, "little"),
        PACKED[:-4] + (len(PLAIN) + 1).to_bytes(4, "little"),
        PACKED[:-8] + b"1234" + PACKED[-4:],
        PACKED[:1000] + PACKED[-8:],
        PACKED[:100] + b"\xff\xff\xff" + PACKED[103:],
        PACKED + PACKED,
        PACKED[:12],
        b"\x1f\x8b",
    ],
)
def test_damaged_stream_is_refused(damaged: bytes) -> None:
    with pytest.raises(ConversionError, match="the compressed request body is damaged"):
        unpack(damaged, size_of(damaged))


def test_stream_that_lies_about_its_size_gives_no_more_than_that() -> None:
    bomb = gzip.compress(bytes(50_000_000))
    lying = bomb[:-4] + (1000).to_bytes(4, "little")
    with pytest.raises(ConversionError):
        unpack(lying, size_of(lying))


def test_text_names_size_limit_and_setting() -> None:
    check_size("request", 1 << 20, 1 << 20)
    with pytest.raises(MessageTooLargeError) as error:
        check_size("request", (1 << 20) + 1, 1 << 20)
    assert error.value.message == (
        "Message too large: the request has 1048577 bytes, the limit is 1048576 bytes (setting max_message_mb = 1)"
    )
