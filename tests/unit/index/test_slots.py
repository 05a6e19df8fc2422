"""Packed sets of slots against Python's sets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointstore.index import slots as bits

members = st.sets(st.integers(0, 1500))
# Windows that begin far behind 0, overlap, touch, lie apart and contain each other.
shifted = st.tuples(st.sampled_from([0, 64, 512, 1536, 1 << 40]), st.sets(st.integers(0, 700))).map(
    lambda pair: {pair[0] + slot for slot in pair[1]}
)


def packed(slots: set[int]) -> bits.SlotSet:
    return bits.set_of(np.array(sorted(slots), dtype=np.uint64))


def unpacked(found: bits.SlotSet) -> set[int]:
    return {int(slot) for slot in bits.to_slots(found)}


@given(shifted)
def test_round_trip(slots: set[int]) -> None:
    found = packed(slots)
    assert unpacked(found) == slots
    assert all(bits.contains(found, slot) for slot in slots)
    assert found.first % 64 == 0
    assert found.any() == bool(slots)


def test_a_set_is_as_large_as_its_span() -> None:
    found = packed({1 << 40, (1 << 40) + 1000})
    assert found.bits.size == 128
    assert found.first == 1 << 40


@given(st.sets(st.integers(0, 100_000), max_size=20), st.integers(0, 110_000), st.integers(0, 110_000))
def test_few_members_in_a_large_set(slots: set[int], start: int, stop: int) -> None:
    found = bits.set_of(np.array(sorted(slots), dtype=np.uint64), bits.none_between(0, 1 << 17))
    assert bits.to_slots(found).tolist() == sorted(slots)
    assert bits.to_slots(found, start, stop).tolist() == sorted(slot for slot in slots if start <= slot < stop)
    unaligned = bits.SlotSet(0, np.concatenate((np.zeros(1, np.uint8), found.bits))[1:])
    assert bits.to_slots(unaligned).tolist() == sorted(slots)


@given(shifted, shifted)
def test_set_operations(left: set[int], right: set[int]) -> None:
    if left and right and abs(max(left) - max(right)) > 1 << 20:
        # Their union would have a window of half a terabit.
        right = {slot % 4096 for slot in right}
        left = {slot % 4096 for slot in left}
    a, b = packed(left), packed(right)
    before = a.bits.copy(), b.bits.copy()
    assert unpacked(a & b) == left & right
    assert unpacked(a | b) == left | right
    assert unpacked(a - b) == left - right
    assert unpacked(b.within(a)) == {slot for slot in right if a.first <= slot < a.stop}
    assert unpacked(~a) == set(range(a.first, a.stop)) - left
    for result in (a & b, a - b, ~a, b.within(a), bits.none_of(a)):
        assert (result.first, result.stop) == (a.first, a.stop)
    assert np.array_equal(a.bits, before[0])
    assert np.array_equal(b.bits, before[1])


@given(shifted, st.integers(0, 1700), st.integers(0, 1700))
def test_ranges(slots: set[int], start: int, stop: int) -> None:
    found = packed(slots)
    inside = {slot for slot in slots if start <= slot < stop}
    assert bits.popcount(found, start, stop) == len(inside)
    assert {int(slot) for slot in bits.to_slots(found, start, stop)} == (inside if start < stop else set())
    assert bits.popcount(found) == len(slots)


@given(shifted, st.lists(st.integers(0, 3000)))
def test_membership(slots: set[int], asked: list[int]) -> None:
    found = packed(slots)
    expected = [slot in slots for slot in asked]
    assert bits.test(found, np.array(asked, dtype=np.uint64)).tolist() == expected
    assert bits.SlotFlags(found).of(np.array(asked, dtype=np.int64)).tolist() == expected
    assert [bits.contains(found, slot) for slot in asked] == expected


@given(members, st.integers(0, 20), st.integers(0, 20))
def test_a_given_window(slots: set[int], start: int, words: int) -> None:
    window = bits.none_between(start * 64, (start + words) * 64)
    found = bits.set_of(np.array(sorted(slots), dtype=np.uint64), window)
    assert (found.first, found.stop) == (window.first, window.stop)
    assert unpacked(found) == {slot for slot in slots if window.first <= slot < window.stop}


@pytest.mark.parametrize("size", [0, 1, 7, 8, 9, 100])
def test_full_and_empty(size: int) -> None:
    assert unpacked(bits.full(size)) == set(range(size))
    assert unpacked(bits.empty()) == set()


def test_unaligned_slices_are_counted() -> None:
    array = np.random.default_rng(0).integers(0, 256, 1000, dtype=np.uint8)
    for start in range(9):
        assert bits.popcount(bits.SlotSet(0, array[start:])) == int(np.unpackbits(array[start:]).sum())
