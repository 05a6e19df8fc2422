"""Sets of slots as packed bits: slot s is bit s & 7 of byte s >> 3 (numpy's bitorder "little").

An array ends where its owner stopped writing; every slot beyond the end is absent. Nothing here modifies an argument
except `add` and `discard`, which say so.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint8]
Slots = NDArray[np.uint64]

_WORDS_FROM = 64
"""Bytes from which counting eight at a time is worth the alignment."""
_SPARSE_SHARE = 4
"""A set is looked at word by word when at most one word in so many has members."""


def empty(slots: int) -> Bits:
    """Return an empty set with room for that many slots."""
    return np.zeros((slots + 7) >> 3, dtype=np.uint8)


def full(slots: int) -> Bits:
    """Return the set of all slots below `slots`."""
    result = np.full((slots + 7) >> 3, 0xFF, dtype=np.uint8)
    if slots & 7:
        result[-1] = (1 << (slots & 7)) - 1
    return result


def bits_of(slots: Slots, size: int | None = None) -> Bits:
    """Return the set of the given slots.

    Args:
        slots: (m,) uint64, in any order.
        size: room for that many slots, 1 + the largest by default; slots from there on are left out.

    """
    if size is None:
        size = int(slots.max()) + 1 if slots.size else 0
    elif slots.size and int(slots.max()) >= size:
        slots = slots[slots < size]
    flags = np.zeros((size + 7) & ~7, dtype=np.uint8)
    flags[slots] = 1
    return np.packbits(flags, bitorder="little")


def to_slots(bits: Bits, start: int = 0, stop: int | None = None) -> Slots:
    """Return the members in [start, stop) ascending as (m,) uint64; the whole set by default."""
    first = start >> 3
    last = bits.size if stop is None else (stop + 7) >> 3
    slots: NDArray[np.int64] = _members(bits[first:last]) + (first << 3)
    if start & 7:
        slots = slots[np.searchsorted(slots, start) :]
    if stop is not None and stop & 7:
        slots = slots[: np.searchsorted(slots, stop)]
    return slots.astype(np.uint64)


def popcount(bits: Bits, start: int = 0, stop: int | None = None) -> int:
    """Count the members in [start, stop); all of them by default."""
    limit = bits.size << 3
    stop = limit if stop is None else min(stop, limit)
    if start >= stop:
        return 0
    first, last = start >> 3, (stop + 7) >> 3
    count = _count(bits[first:last])
    if start & 7:
        count -= (int(bits[first]) & ((1 << (start & 7)) - 1)).bit_count()
    if stop & 7:
        count -= (int(bits[last - 1]) >> (stop & 7)).bit_count()
    return count


def test(bits: Bits, slots: Slots) -> NDArray[np.bool_]:
    """Return for (m,) slots whether each is a member, as (m,) bool."""
    places = slots >> np.uint64(3)
    masks = np.uint8(1) << (slots & np.uint64(7)).astype(np.uint8)
    if slots.size and int(places.max()) >= bits.size:
        inside = places < bits.size
        result = np.zeros(slots.shape, dtype=np.bool_)
        result[inside] = (bits[places[inside]] & masks[inside]) != 0
        return result
    return np.asarray((bits[places] & masks) != 0, dtype=np.bool_)


def intersect(left: Bits, right: Bits) -> Bits:
    """Return the slots that are in both sets."""
    size = min(left.size, right.size)
    return left[:size] & right[:size]


def union(left: Bits, right: Bits) -> Bits:
    """Return the slots that are in one of the sets."""
    if left.size < right.size:
        left, right = right, left
    result = left.copy()
    result[: right.size] |= right
    return result


def subtract(left: Bits, right: Bits) -> Bits:
    """Return the slots of the left set that are not in the right one."""
    result = left.copy()
    size = min(left.size, right.size)
    result[:size] &= ~right[:size]
    return result


def grown(bits: Bits, slots: int) -> Bits:
    """Return the set with room for at least that many slots: itself, or a copy with room to spare."""
    size = (slots + 7) >> 3
    if size <= bits.size:
        return bits
    result = np.zeros(max(size, bits.size + (bits.size >> 1)), dtype=np.uint8)
    result[: bits.size] = bits
    return result


def add(bits: Bits, slots: Slots) -> None:
    """Put slots into a set that has room for them, in place."""
    np.bitwise_or.at(bits, slots >> np.uint64(3), np.uint8(1) << (slots & np.uint64(7)).astype(np.uint8))


def discard(bits: Bits, slots: Slots) -> None:
    """Take slots out of a set, in place; absent ones are ignored."""
    slots = slots[slots < np.uint64(bits.size << 3)]
    np.bitwise_and.at(bits, slots >> np.uint64(3), ~(np.uint8(1) << (slots & np.uint64(7)).astype(np.uint8)))


def _members(bits: Bits) -> NDArray[np.int64]:
    """Return all members, ascending."""
    words = _words(bits)
    if words is not None:
        filled = np.flatnonzero(words)
        if filled.size * _SPARSE_SHARE < words.size:
            found = np.flatnonzero(np.unpackbits(words[filled].view(np.uint8), bitorder="little").view(np.bool_))
            slots: NDArray[np.int64] = (filled[found >> 6] << 6) + (found & 63)
            return slots
    return np.flatnonzero(np.unpackbits(bits, bitorder="little").view(np.bool_))


def _words(bits: Bits) -> NDArray[np.uint64] | None:
    """Return a set as words of 64 slots; None when its memory does not allow it."""
    if bits.size & 7 or bits.ctypes.data & 7:
        return None
    words: NDArray[np.uint64] = bits.view(np.uint64)
    return words


def _count(bits: Bits) -> int:
    """Count all bits, eight bytes at a time where the memory is aligned for it."""
    head = -bits.ctypes.data & 7 if bits.size >= _WORDS_FROM else bits.size
    words = (bits.size - head) >> 3 << 3
    count = int(np.bitwise_count(bits[:head]).sum(dtype=np.int64)) if head else 0
    if words:
        count += int(np.bitwise_count(bits[head : head + words].view(np.uint64)).sum(dtype=np.int64))
        rest = bits[head + words :]
        if rest.size:
            count += int(np.bitwise_count(rest).sum(dtype=np.int64))
    return count
