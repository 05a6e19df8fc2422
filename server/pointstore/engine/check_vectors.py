"""Whether the vectors of a collection are where its live sets say: segments against the list, rows, single records."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointstore.core.errors import CorruptionError
from pointstore.core.schema import CollectionConfig
from pointstore.core.space import Space, space_of
from pointstore.engine.check_points import examples, live_set, slots_text
from pointstore.engine.findings import Finding, Kind
from pointstore.index import slots as slot_sets
from pointstore.storage.collection import CollectionStore
from pointstore.storage.env import Txn
from pointstore.storage.keys import POINTS_SPACE
from pointstore.storage.segments import INDEX_FILE, SegmentMeta, open_segment, verify_segment

_Slots = NDArray[np.uint64]


def check_segments(root: Path, metas: list[SegmentMeta]) -> Iterator[Finding]:
    """Yield what is wrong with the segments in a directory against the published list."""
    present = {path.name for path in root.iterdir()} if root.is_dir() else set()
    for name in sorted(present - {meta.uid for meta in metas}):
        yield Finding(Kind.NOTE, f"segment {name}", "is in no list: left over, the next start removes it")
    for meta in metas:
        if meta.uid not in present:
            yield Finding(Kind.LOST, f"segment {meta.uid}", "is missing")
            continue
        for file in verify_segment(root, meta):
            kind = Kind.DERIVED if file == INDEX_FILE else Kind.LOST
            yield Finding(kind, f"segment {meta.uid}", f"{file} is missing or damaged")


def check_vectors(
    store: CollectionStore, txn: Txn, config: CollectionConfig, metas: list[SegmentMeta]
) -> Iterator[Finding]:
    """Yield what is wrong with live sets of vectors against points, rows and records, in both directions."""
    numbers = set(config.vector_numbers.values())
    points = live_set(store, txn, POINTS_SPACE)
    stray = {
        *(store.live.spaces(txn) - numbers - {POINTS_SPACE}),
        *({number for number, _ in store.vectors.places(txn)} - numbers),
        *({meta.vector for meta in metas} - numbers),
    }
    if stray:
        yield Finding(Kind.LOST, "vectors", f"something of vectors that do not exist: {sorted(stray)}")
    if config.vector_numbers and max(numbers) >= config.next_vector_number:
        yield Finding(Kind.LOST, "configuration", "the next vector would get the number of one that exists")
    for name, number in config.vector_numbers.items():
        part = f"vector {name!r}"
        live = live_set(store, txn, number)
        beyond = slot_sets.to_slots(live - points)
        if beyond.size:
            yield Finding(Kind.LOST, part, f"{slots_text(beyond)} have it and are no live points")
        params = config.vectors.get(name)
        if params is not None and params.multivector_config is None:
            rows = _Rows(store, txn, number, [meta for meta in metas if meta.vector == number])
            yield from rows.check(part, space_of(params), slot_sets.to_slots(live))
        else:
            yield from _check_single(store, txn, number, part, slot_sets.to_slots(live))


class _Rows:
    """The slots of all rows of one dense space."""

    def __init__(self, store: CollectionStore, txn: Txn, number: int, metas: list[SegmentMeta]) -> None:
        self._store = store
        self._txn = txn
        self._number = number
        self._metas = metas

    def check(self, part: str, space: Space, live: _Slots) -> Iterator[Finding]:
        parts: list[tuple[str, _Slots]] = []
        for meta in self._metas:
            try:
                slots = np.asarray(open_segment(self._store.segments_dir, meta).slots)
            except CorruptionError as error:
                yield Finding(Kind.LOST, part, str(error))
                continue
            if (int(slots[0]), int(slots[-1])) != (meta.first_slot, meta.last_slot):
                yield Finding(Kind.LOST, part, f"segment {meta.uid} has other slots than the list says")
            parts.append((f"segment {meta.uid}", slots))
        blocks = self._store.vectors.blocks(self._txn, self._number, space)
        parts += [(f"block {int(slots[0])}", slots) for slots, _ in blocks if slots.size]
        unordered = [name for name, slots in parts if bool(np.any(slots[1:] <= slots[:-1]))]
        unordered += [
            f"{before} and {after}" for (before, left), (after, right) in pairwise(parts) if left[-1] >= right[0]
        ]
        if unordered:
            yield Finding(Kind.LOST, part, f"slots do not ascend: {examples(unordered)}")
        every = np.concatenate([slots for _, slots in parts]) if parts else np.zeros(0, np.uint64)
        missing = np.setdiff1d(live, every)
        if missing.size:
            yield Finding(Kind.LOST, part, f"no row of {slots_text(missing)}")


def _check_single(store: CollectionStore, txn: Txn, number: int, part: str, live: _Slots) -> Iterator[Finding]:
    """Compare the records of sparse vectors or multi-vectors with the live set."""
    places = np.array([slot for space, slot in store.vectors.places(txn) if space == number], np.uint64)
    missing, stray = np.setdiff1d(live, places), np.setdiff1d(places, live)
    if missing.size:
        yield Finding(Kind.LOST, part, f"no vector of {slots_text(missing)}")
    if stray.size:
        yield Finding(Kind.LOST, part, f"vectors of {slots_text(stray)} that are not live")
    for slot in np.intersect1d(live, places).tolist():
        try:
            store.vectors.stored(txn, number, slot)
        except CorruptionError as error:
            yield Finding(Kind.LOST, part, str(error))
