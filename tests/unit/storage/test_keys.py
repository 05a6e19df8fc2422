"""Tests of keys and of the framing of records."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointstore.core.errors import CorruptionError
from pointstore.storage import keys

_U16, _U32, _U64 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)


@given(st.lists(st.tuples(_U16, _U64)))
def test_vector_keys_order_by_space_and_slot(pairs: list[tuple[int, int]]) -> None:
    packed = sorted(keys.vector_key(space, slot) for space, slot in pairs)
    assert [keys.of_vector_key(key) for key in packed] == sorted(pairs)


@given(st.lists(st.tuples(_U16, _U32)))
def test_live_keys_order_by_space_and_block(pairs: list[tuple[int, int]]) -> None:
    packed = sorted(keys.live_key(space, block) for space, block in pairs)
    assert [keys.of_live_key(key) for key in packed] == sorted(pairs)


@given(st.lists(_U64))
def test_numbers_order_numerically(numbers: list[int]) -> None:
    assert [keys.of_u64(key) for key in sorted(map(keys.u64, numbers))] == sorted(numbers)


@given(st.binary(max_size=64))
def test_records_round_trip(body: bytes) -> None:
    assert keys.unseal(b"key", keys.seal(b"key", body), "record") == body


@given(st.lists(st.binary(max_size=64)), st.lists(st.floats(width=32)))
def test_a_record_of_parts_is_that_of_the_whole(texts: list[bytes], numbers: list[float]) -> None:
    array = np.array(numbers * 2, "<f4").reshape(2, -1)
    assert keys.seal(b"key", *texts, array, b"end") == keys.seal(b"key", b"".join(texts) + array.tobytes() + b"end")


@given(st.binary(max_size=64), st.data())
def test_any_flipped_bit_is_noticed(body: bytes, data: st.DataObject) -> None:
    record = bytearray(keys.seal(b"key", body))
    bit = data.draw(st.integers(0, len(record) * 8 - 1))
    record[bit >> 3] ^= 1 << (bit & 7)
    with pytest.raises(CorruptionError, match="checksum mismatch in the record"):
        keys.unseal(b"key", bytes(record), "the record")


@pytest.mark.parametrize("length", [0, 3, 4, 11])
def test_truncated_records_are_noticed(length: int) -> None:
    with pytest.raises(CorruptionError):
        keys.unseal(b"key", keys.seal(b"key", b"12345678")[:length], "x")
