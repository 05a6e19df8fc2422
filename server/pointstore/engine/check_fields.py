"""Whether field indexes hold what the payloads hold."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pointstore.core.field_block import FieldBlock
from pointstore.core.fields import FieldIndex, FieldIndexes
from pointstore.engine.check_points import live_set
from pointstore.engine.findings import Finding, Kind
from pointstore.engine.indexing import build_blocks
from pointstore.index.field import merge_blocks, only_live
from pointstore.storage.collection import CollectionStore
from pointstore.storage.env import Txn
from pointstore.storage.keys import POINTS_SPACE

_POINTS_AT_A_TIME = 10_000
_UNKNOWN = 2**32 - 1
"""Stands for the code of a term that the dictionary does not have."""


def part_of(index: FieldIndex) -> str:
    """Return what findings call an index."""
    kind = index.raw if index.schema is None else index.schema.type.name.lower()
    return f"field index {index.number} ({index.path}, {kind})"


def check_fields(store: CollectionStore, txn: Txn, fields: FieldIndexes) -> Iterator[Finding]:
    """Yield which indexes do not say what the payloads say, and what is stored of indexes that do not exist."""
    for number in sorted(store.fields.numbers(txn) - {index.number for index in fields.indexes}):
        yield Finding(Kind.DERIVED, f"field index {number}", "does not exist any more: left over")
    for index in fields.indexes:
        if not index.ready:
            yield Finding(Kind.NOTE, part_of(index), "is still to be filled")
            continue
        if index.number >= fields.next_number:
            yield Finding(Kind.LOST, part_of(index), "the next index would get its number")
        yield from _check_terms(store, txn, index)
        different = _differences(store, txn, index)
        if different:
            yield Finding(Kind.DERIVED, part_of(index), f"differs from the payloads of {different} points")


def _check_terms(store: CollectionStore, txn: Txn, index: FieldIndex) -> Iterator[Finding]:
    wrong = sum(
        store.fields.code(txn, index.number, term) != code for code, term in store.fields.terms(txn, index.number)
    )
    if wrong:
        yield Finding(Kind.DERIVED, part_of(index), f"{wrong} terms have other codes than the other way round")


def _differences(store: CollectionStore, txn: Txn, index: FieldIndex) -> int:
    """Count the live points of which the index says something else than their payloads."""
    live = live_set(store, txn, POINTS_SPACE)
    stored = only_live(merge_blocks([block for _, block in store.fields.blocks(txn, index.number)]), live)
    rows = _by_slot(stored)

    def codes(number: int, terms: Sequence[bytes]) -> list[int]:
        found = (store.fields.code(txn, number, term) for term in terms)
        return [_UNKNOWN if code is None else code for code in found]

    wrong = 0
    after = -1
    while points := store.points.payloads(txn, after, _POINTS_AT_A_TIME):
        after = points[-1][0]
        slots = np.array([slot for slot, _ in points], np.int64)
        ((_, expected),) = build_blocks((index,), slots, [payload for _, payload in points], codes)
        for slot, entry in _by_slot(expected).items():
            wrong += rows.pop(slot, _NOTHING) != entry
    return wrong + sum(entry != _NOTHING for entry in rows.values())


_Entry = tuple[int, tuple[tuple[bytes, ...], ...]]
_NOTHING: _Entry = (0, ())


def _by_slot(block: FieldBlock) -> dict[int, _Entry]:
    """Return flags and values of each slot; values as sorted bytes, so that NaN equals itself."""
    columns = [_values(column.positions, column.values, len(block.slots)) for column in block.columns]
    found: dict[int, _Entry] = {}
    for place, (slot, flags) in enumerate(zip(block.slots.tolist(), block.flags.tolist(), strict=True)):
        values = tuple(column[place] for column in columns)
        found[slot] = (flags, values) if flags or any(values) else _NOTHING
    return found


def _values(positions: NDArray[np.uint32], values: NDArray[np.generic], slots: int) -> list[tuple[bytes, ...]]:
    collected: list[list[bytes]] = [[] for _ in range(slots)]
    width = values.dtype.itemsize * (values.shape[1] if values.ndim > 1 else 1)
    raw = values.tobytes()
    for i, position in enumerate(positions.tolist()):
        collected[position].append(raw[i * width : (i + 1) * width])
    return [tuple(sorted(each)) for each in collected]
