"""A field index in memory: chunks of entries, and the slots whose entries fulfil a predicate.

A chunk covers some slots and replaces what older chunks say of them. Its entries are sorted by value on first use, so
that equality and ranges are two binary searches and one scatter into a byte a slot. Chunks are merged on a geometric
schedule. Slots of dead points stay until the stored blocks are compacted; callers intersect with the live set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from pointstore.core.field_block import FieldBlock, FieldColumn, Flag
from pointstore.index import slots as slot_sets
from pointstore.index.slots import SlotSet

SlotArray = NDArray[np.int64]
Pick = Callable[["FieldChunk"], Iterable[SlotArray]]
"""Choose slots of a chunk; the same slot may come several times."""

_MERGE_SHARE = 0.5


class FieldChunk:
    """Entries of a set of slots. Immutable, except that sorted forms are made once, when they are first asked for."""

    def __init__(self, block: FieldBlock) -> None:
        self.block = block
        self._sorted: dict[int, tuple[NDArray[np.generic], SlotArray]] = {}

    def __len__(self) -> int:
        """Return the number of slots covered."""
        return len(self.block.slots)

    @property
    def first_slot(self) -> int:
        """The lowest slot covered."""
        return int(self.block.slots[0])

    @property
    def last_slot(self) -> int:
        """The highest slot covered."""
        return int(self.block.slots[-1])

    def column(self, place: int) -> tuple[NDArray[np.generic], SlotArray]:
        """Return values and slots of a column in slot order."""
        column = self.block.columns[place]
        return column.values, self.block.slots[column.positions]

    def sorted(self, place: int) -> tuple[NDArray[np.generic], SlotArray]:
        """Return values, ascending, and their slots (ascending among equal values)."""
        found = self._sorted.get(place)
        if found is None:
            values, slots = self.column(place)
            order = np.argsort(values, kind="stable")
            found = self._sorted[place] = values[order], slots[order]
        return found

    def between(self, place: int, start: int, stop: int) -> SlotArray:
        """Return the slots of a range of the sorted entries."""
        found: SlotArray = self.sorted(place)[1][start:stop]
        return found

    def equal(self, place: int, value: float) -> SlotArray:
        """Return the slots of the entries with a value."""
        values, slots = self.sorted(place)
        target = values.dtype.type(value)
        start, stop = np.searchsorted(values, target, "left"), np.searchsorted(values, target, "right")
        found: SlotArray = slots[int(start) : int(stop)]
        return found

    def flagged(self, flag: Flag) -> SlotArray:
        """Return the slots that have any of the flags."""
        found: SlotArray = self.block.slots[(self.block.flags & np.uint8(flag)) != 0]
        return found


@dataclass(frozen=True, slots=True)
class _Layer:
    chunk: FieldChunk
    masked: SlotSet | None
    """Slots of the chunk that a newer one covers, and others between its first and last."""


@dataclass(frozen=True, slots=True)
class FieldEntries:
    """All of a field index, as of one version.

    Attributes:
        layers: oldest first.
        through: (level, seq) of the last block contained.
    """

    layers: tuple[_Layer, ...] = ()
    through: tuple[int, int] = (0, -1)

    def extended(self, blocks: Sequence[FieldBlock], through: tuple[int, int]) -> FieldEntries:
        """Return the entries with newer blocks on top, in order."""
        merged = merge_blocks(blocks)
        if not len(merged.slots):
            return FieldEntries(self.layers, through)
        first = int(merged.slots[0])
        covered = slot_sets.set_of(merged.slots.astype(np.uint64))
        layers = [layer if layer.chunk.last_slot < first else _masked(layer, covered) for layer in self.layers]
        newest = FieldChunk(merged)
        while layers and len(newest) >= _MERGE_SHARE * len(layers[-1].chunk):
            older = layers.pop()
            newest = FieldChunk(merge_blocks([_unmasked(older), newest.block]))
        return FieldEntries((*layers, _Layer(newest, None)), through)

    @property
    def covered(self) -> int:
        """How many slots there are entries for, those of dead points and of masked chunks included."""
        return sum(len(layer.chunk) for layer in self.layers)

    @property
    def first_slot(self) -> int | None:
        """The lowest slot there is an entry for, None for none."""
        return min((layer.chunk.first_slot for layer in self.layers), default=None)

    def only_live(self, live: SlotSet) -> FieldEntries:
        """Return the entries of the slots in the set alone; a slot that died never comes back."""
        kept = only_live(self.whole(), live)
        return FieldEntries((_Layer(FieldChunk(kept), None),) if len(kept.slots) else (), self.through)

    def matching(self, window: SlotSet, pick: Pick) -> SlotSet:
        """Return the chosen slots as a set.

        Args:
            window: a set with the window of the result, in which all slots of the index lie.
            pick: chooses slots of each chunk; what newer chunks cover is taken out afterwards.
        """
        first = window.first
        flags = np.zeros(window.bits.size << 3, np.uint8)
        for layer in self.layers:
            for slots in pick(layer.chunk):
                visible = _visible(layer, slots)
                flags[visible - first if first else visible] = 1
        return SlotSet(first, np.packbits(flags, bitorder="little"))

    def pairs(self, place: int) -> Iterable[tuple[NDArray[np.generic], SlotArray]]:
        """Yield values, ascending, and slots of each chunk's valid entries."""
        for layer in self.layers:
            values, slots = layer.chunk.sorted(place)
            if layer.masked is None:
                yield values, slots
            else:
                valid = ~slot_sets.test(layer.masked, slots.astype(np.uint64))
                yield values[valid], slots[valid]

    def whole(self) -> FieldBlock:
        """Return everything as one block."""
        return merge_blocks([_unmasked(layer) for layer in self.layers])


def merge_blocks(blocks: Sequence[FieldBlock]) -> FieldBlock:
    """Return one block that says what the blocks say one after the other: later ones replace slots of earlier ones."""
    kept = _last_word(blocks)
    if len(kept) == 1:
        return kept[0]
    if not kept:
        return FieldBlock(np.zeros(0, np.int64), np.zeros(0, np.uint8), ())
    slots = np.concatenate([block.slots for block in kept])
    flags = np.concatenate([block.flags for block in kept])
    starts = np.cumsum([0, *(len(block.slots) for block in kept)])
    columns = tuple(
        FieldColumn(
            np.concatenate(
                [block.columns[i].positions + np.uint32(start) for block, start in zip(kept, starts, strict=False)]
            ),
            np.concatenate([block.columns[i].values for block in kept]),
        )
        for i in range(len(kept[0].columns))
    )
    merged = FieldBlock(slots, flags, columns)
    ascending = bool(np.all(slots[1:] > slots[:-1]))
    return merged if ascending else _by_slot(merged)


def _last_word(blocks: Sequence[FieldBlock]) -> list[FieldBlock]:
    """Drop from each block the slots that a later one covers; empty blocks disappear."""
    blocks = [block for block in blocks if len(block.slots)]
    if all(int(left.slots[-1]) < int(right.slots[0]) for left, right in pairwise(blocks)):
        return list(blocks)
    first = min(int(block.slots[0]) for block in blocks)
    seen = np.zeros(max(int(block.slots[-1]) for block in blocks) + 1 - first, np.bool_)
    kept: list[FieldBlock] = []
    for block in reversed(blocks):
        places = block.slots - first
        fresh = ~seen[places]
        seen[places] = True
        kept.append(block if fresh.all() else _only(block, fresh))
    return [block for block in reversed(kept) if len(block.slots)]


def _only(block: FieldBlock, keep: NDArray[np.bool_]) -> FieldBlock:
    """Return the block with the kept ones of its slots."""
    places = (np.cumsum(keep) - 1).astype(np.uint32)
    columns = []
    for column in block.columns:
        wanted = keep[column.positions]
        columns.append(FieldColumn(places[column.positions[wanted]], column.values[wanted]))
    return FieldBlock(block.slots[keep], block.flags[keep], tuple(columns))


def _by_slot(block: FieldBlock) -> FieldBlock:
    order = np.argsort(block.slots, kind="stable")
    rank = np.empty(len(order), np.uint32)
    rank[order] = np.arange(len(order), dtype=np.uint32)
    columns = []
    for column in block.columns:
        positions = rank[column.positions]
        moved = np.argsort(positions, kind="stable")
        columns.append(FieldColumn(positions[moved], column.values[moved]))
    return FieldBlock(block.slots[order], block.flags[order], tuple(columns))


def only_live(block: FieldBlock, live: SlotSet) -> FieldBlock:
    """Return the block without the slots that are not in the set."""
    return _only(block, slot_sets.test(live, block.slots.astype(np.uint64)))


def _unmasked(layer: _Layer) -> FieldBlock:
    block = layer.chunk.block
    if layer.masked is None:
        return block
    return _only(block, ~slot_sets.test(layer.masked, block.slots.astype(np.uint64)))


def _visible(layer: _Layer, slots: SlotArray) -> SlotArray:
    if layer.masked is None:
        return slots
    return slots[~slot_sets.test(layer.masked, slots.astype(np.uint64))]


def _masked(layer: _Layer, covered: SlotSet) -> _Layer:
    masked = layer.masked
    if masked is None:
        masked = slot_sets.none_between(layer.chunk.first_slot, layer.chunk.last_slot + 1)
    return _Layer(layer.chunk, masked | covered.within(masked))
