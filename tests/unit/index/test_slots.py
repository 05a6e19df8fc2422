"""Packed sets of slots against Python's sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointstore.index import slots as bits

members = st.sets(st.integers(0, 1500))


def packed(slots: set[int]) -> bits.Bits:
    return bits.bits_of(np.array(sorted(slots), dtype=np.uint64))


def unpacked(array: bits.Bits) -> set[int]:
    return {int(slot) for slot in bits.to_slots(array)}


@given(members)
def test_round_trip_and_layout(slots: set[int]) -> None:
    array = packed(slots)
    assert unpacked(array) == slots
    assert all(array[slot >> 3] >> (slot & 7) & 1 for slot in slots)


@given(st.sets(st.integers(0, 100_000), max_size=20), st.integers(0, 110_000), st.integers(0, 110_000))
def test_few_members_in_a_large_set(slots: set[int], start: int, stop: int) -> None:
    array = bits.bits_of(np.array(sorted(slots), dtype=np.uint64), 1 << 17)
    assert bits.to_slots(array).tolist() == sorted(slots)
    assert bits.to_slots(array, start, stop).tolist() == sorted(slot for slot in slots if start <= slot < stop)
    unaligned = np.concatenate((np.zeros(1, np.uint8), array))[1:]
    assert bits.to_slots(unaligned).tolist() == sorted(slots)


@given(members, members)
def test_set_operations(left: set[int], right: set[int]) -> None:
    a, b = packed(left), packed(right)
    before = a.copy(), b.copy()
    assert unpacked(bits.intersect(a, b)) == left & right
    assert unpacked(bits.union(a, b)) == left | right
    assert unpacked(bits.subtract(a, b)) == left - right
    assert np.array_equal(a, before[0])
    assert np.array_equal(b, before[1])


@given(members, st.integers(0, 1700), st.integers(0, 1700))
def test_ranges(slots: set[int], start: int, stop: int) -> None:
    array = packed(slots)
    inside = {slot for slot in slots if start <= slot < stop}
    assert bits.popcount(array, start, stop) == len(inside)
    assert {int(slot) for slot in bits.to_slots(array, start, stop)} == (inside if start < stop else set())
    assert bits.popcount(array) == len(slots)


@given(members, st.lists(st.integers(0, 3000)))
def test_membership(slots: set[int], asked: list[int]) -> None:
    found = bits.test(packed(slots), np.array(asked, dtype=np.uint64))
    assert found.tolist() == [slot in slots for slot in asked]


@given(members, members)
def test_changes_in_place(slots: set[int], changed: set[int]) -> None:
    array = bits.grown(packed(slots), 1501)
    which = np.array(sorted(changed), dtype=np.uint64)
    bits.add(array, which)
    assert unpacked(array) == slots | changed
    bits.discard(array, np.append(which, np.uint64(1 << 50)))
    assert unpacked(array) == slots - changed


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 100])
def test_full_and_empty(size: int) -> None:
    assert unpacked(bits.full(size)) == set(range(size))
    assert unpacked(bits.empty(size)) == set()
    assert unpacked(bits.bits_of(np.arange(200, dtype=np.uint64), size)) == set(range(size))


def test_unaligned_slices_are_counted() -> None:
    array = np.random.default_rng(0).integers(0, 256, 1000, dtype=np.uint8)
    for start in range(9):
        assert bits.popcount(array[start:]) == int(np.unpackbits(array[start:]).sum())
