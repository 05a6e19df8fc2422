"""Sets of slots as packed bits over a window of slots.

Slots are never given twice, so those of a collection's points move ever further from 0, and a set begins where its
members do: its size follows the points that there are, not those that there ever were. Bit s & 7 of byte
(s - first) >> 3 is slot s (numpy's bitorder "little"); every slot outside of the window is absent. Nothing here
modifies an argument.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint8]
Slots = NDArray[np.uint64]

_WORD_SLOTS = 64
"""Windows begin with a whole word."""
_WORDS_FROM = 64
"""Bytes from which counting eight at a time is worth the alignment."""
_SPARSE_SHARE = 4
"""A set is looked at word by word when at most one word in so many has members."""


@dataclass(frozen=True, slots=True, eq=False)
class SlotSet:
    """A set of slots, immutable.

    The results of `&`, `-` and `~` have the window of the left operand, those of `|` a window that holds both.

    Attributes:
        first: slot of the first bit, a multiple of 8.
        bits: packed, (window / 8,) uint8.
    """

    first: int
    bits: Bits

    @property
    def stop(self) -> int:
        """The slot behind the window."""
        return self.first + (self.bits.size << 3)

    def __and__(self, other: SlotSet) -> SlotSet:
        """Return the slots that are in both sets."""
        return SlotSet(self.first, self.bits & _over(self, other))

    def __sub__(self, other: SlotSet) -> SlotSet:
        """Return the slots that are not in the other set."""
        return SlotSet(self.first, self.bits & ~_over(self, other))

    def __invert__(self) -> SlotSet:
        """Return the other slots of the window."""
        return SlotSet(self.first, ~self.bits)

    def __or__(self, other: SlotSet) -> SlotSet:
        """Return the slots that are in one of the sets."""
        if not other.bits.size:
            return self
        if not self.bits.size:
            return other
        first, stop = min(self.first, other.first), max(self.stop, other.stop)
        window = self if (first, stop) == (self.first, self.stop) else SlotSet(first, _room(first, stop))
        return SlotSet(first, _over(window, self) | _over(window, other))

    def within(self, window: SlotSet) -> SlotSet:
        """Return the members that lie in the window of another set, in that window."""
        return SlotSet(window.first, _over(window, self))

    def any(self) -> bool:
        """Tell whether there are members."""
        return bool(self.bits.any())


class SlotFlags:
    """A set unpacked for looking up many slots: one byte a slot."""

    def __init__(self, members: SlotSet) -> None:
        # A byte before and one behind: every slot outside of the window is looked up there.
        self._flags = np.zeros((members.bits.size << 3) + 2, np.uint8)
        self._flags[1:-1] = np.unpackbits(members.bits, bitorder="little")
        self._before = members.first - 1

    def of(self, slots: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return for (m,) slots whether each is a member."""
        return self._flags.take(slots - self._before, mode="clip").view(np.bool_)


def empty() -> SlotSet:
    """Return the set without a window."""
    return SlotSet(0, np.zeros(0, np.uint8))


def none_of(window: SlotSet) -> SlotSet:
    """Return the empty set with the window of another set."""
    return SlotSet(window.first, np.zeros_like(window.bits))


def none_between(start: int, stop: int) -> SlotSet:
    """Return the empty set whose window holds [start, stop): whole words."""
    first = start // _WORD_SLOTS * _WORD_SLOTS
    return SlotSet(first, _room(first, -(-stop // _WORD_SLOTS) * _WORD_SLOTS))


def full(slots: int) -> SlotSet:
    """Return the set of all slots below `slots`."""
    bits = np.full((slots + 7) >> 3, 0xFF, dtype=np.uint8)
    if slots & 7:
        bits[-1] = (1 << (slots & 7)) - 1
    return SlotSet(0, bits)


def set_of(slots: Slots, window: SlotSet | None = None) -> SlotSet:
    """Return the set of the given slots.

    Args:
        slots: (m,) uint64, in any order.
        window: a set whose window the result shall have; slots outside of it are left out. By default the result has
            room for all of the slots.

    """
    if window is None:
        window = none_between(int(slots.min()), int(slots.max()) + 1) if slots.size else empty()
    first, stop = window.first, window.stop
    if slots.size and (int(slots.max()) >= stop or int(slots.min()) < first):
        slots = slots[(slots >= np.uint64(first)) & (slots < np.uint64(stop))]
    flags = np.zeros(stop - first, dtype=np.uint8)
    flags[slots - np.uint64(first)] = 1
    return SlotSet(first, np.packbits(flags, bitorder="little"))


def to_slots(members: SlotSet, start: int = 0, stop: int | None = None) -> Slots:
    """Return the members in [start, stop) ascending as (m,) uint64; the whole set by default."""
    start = max(start - members.first, 0)
    stop = max((members.stop if stop is None else stop) - members.first, 0)
    slots: NDArray[np.int64] = _members(members.bits[start >> 3 : (stop + 7) >> 3]) + (start >> 3 << 3)
    if start & 7:
        slots = slots[np.searchsorted(slots, start) :]
    if stop & 7:
        slots = slots[: np.searchsorted(slots, stop)]
    return (slots + members.first).astype(np.uint64)


def popcount(members: SlotSet, start: int = 0, stop: int | None = None) -> int:
    """Count the members in [start, stop); all of them by default."""
    bits = members.bits
    start = max(start - members.first, 0)
    stop = min((members.stop if stop is None else stop) - members.first, bits.size << 3)
    if start >= stop:
        return 0
    first, last = start >> 3, (stop + 7) >> 3
    count = _count(bits[first:last])
    if start & 7:
        count -= (int(bits[first]) & ((1 << (start & 7)) - 1)).bit_count()
    if stop & 7:
        count -= (int(bits[last - 1]) >> (stop & 7)).bit_count()
    return count


def test(members: SlotSet, slots: Slots) -> NDArray[np.bool_]:
    """Return for (m,) slots whether each is a member, as (m,) bool."""
    # Slots before the window wrap around to places far behind it.
    places = (slots - np.uint64(members.first)) >> np.uint64(3)
    masks = np.uint8(1) << (slots & np.uint64(7)).astype(np.uint8)
    if slots.size and int(places.max()) >= members.bits.size:
        inside = places < members.bits.size
        result = np.zeros(slots.shape, dtype=np.bool_)
        result[inside] = (members.bits[places[inside]] & masks[inside]) != 0
        return result
    return np.asarray((members.bits[places] & masks) != 0, dtype=np.bool_)


def contains(members: SlotSet, slot: int) -> bool:
    """Tell whether one slot is a member."""
    place = slot - members.first
    return 0 <= place >> 3 < members.bits.size and bool(members.bits[place >> 3] >> (place & 7) & 1)


def _over(window: SlotSet, members: SlotSet) -> Bits:
    """Return the bits of a set over the window of another one; the set's own ones where the windows are the same."""
    if window.first == members.first and window.bits.size == members.bits.size:
        return members.bits
    first, stop = max(window.first, members.first), min(window.stop, members.stop)
    result = _room(window.first, window.stop)
    if first < stop:
        result[(first - window.first) >> 3 : (stop - window.first) >> 3] = members.bits[
            (first - members.first) >> 3 : (stop - members.first) >> 3
        ]
    return result


def _room(first: int, stop: int) -> Bits:
    return np.zeros((stop - first) >> 3, dtype=np.uint8)


def _members(bits: Bits) -> NDArray[np.int64]:
    """Return the numbers of all bits that are set, ascending."""
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
