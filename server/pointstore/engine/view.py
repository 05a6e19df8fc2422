"""What one request sees of a collection.

A `Generation` is what a process keeps in memory of one version: configuration, live sets, unsealed rows, opened
segments. Generations are immutable and share what did not change between versions. A `View` is a generation together
with the read transaction of the same version, so everything a request reads belongs to one committed state.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointstore.core import interruption
from pointstore.core.errors import CorruptionError, unknown_vector_name
from pointstore.core.fields import FieldIndexes
from pointstore.core.payload import EMPTY, pack_payload, unpack_payload
from pointstore.core.point import PointId
from pointstore.core.projection import exclude, include
from pointstore.core.query import PayloadSelector, VectorSelector
from pointstore.core.schema import CollectionConfig, effective_hnsw
from pointstore.core.space import Rows, Space, space_of
from pointstore.core.vector import Dense, NamedVectors, Vector
from pointstore.engine.field_cache import FieldCache
from pointstore.index import slots as slot_sets
from pointstore.index.dense import DenseSegment, open_dense
from pointstore.index.slots import SlotSet
from pointstore.storage.collection import CollectionStore
from pointstore.storage.env import Txn
from pointstore.storage.keys import POINTS_SPACE
from pointstore.storage.live import BLOCK_BYTES, BLOCK_SLOTS
from pointstore.storage.meta import Head
from pointstore.storage.points import PointRecord, check_id
from pointstore.storage.segments import SegmentMeta, open_segment

_ROWS_MIN = 256


@dataclass(frozen=True, slots=True)
class Unsealed:
    """Rows of a dense space that are in no segment: (m,) ascending slots and (m, dim) rows, dead ones included.

    Newer generations append behind `count` to the same arrays while they have room.
    """

    slots: NDArray[np.uint64]
    rows: Rows
    count: int

    @property
    def last_slot(self) -> int:
        """Highest slot, -1 when there is none."""
        return int(self.slots[self.count - 1]) if self.count else -1

    def appended(self, slots: NDArray[np.uint64], rows: Rows) -> Unsealed:
        """Return the rows with a block of newer ones behind them."""
        count = self.count + len(slots)
        target = self
        if count > len(self.slots):
            room = max(count, 2 * len(self.slots), _ROWS_MIN)
            target = Unsealed(np.zeros(room, np.uint64), np.zeros((room, rows.shape[1]), rows.dtype), 0)
            target.slots[: self.count] = self.slots[: self.count]
            target.rows[: self.count] = self.rows[: self.count]
        target.slots[self.count : count] = slots
        target.rows[self.count : count] = rows
        return Unsealed(target.slots, target.rows, count)


@dataclass(frozen=True, slots=True)
class OpenSegment:
    """A published segment, mapped and ready for searches, with the number of its live rows in this generation."""

    meta: SegmentMeta
    dense: DenseSegment
    live_rows: int


@dataclass(frozen=True, slots=True)
class DenseView:
    """One dense space in a generation.

    Attributes:
        ef_construct: beam width of graph searches, unless a query says otherwise.
        live: the live slots that have this vector.
        segments: ascending by slot, all older than the unsealed rows.
    """

    number: int
    space: Space
    ef_construct: int
    live: SlotSet
    unsealed: Unsealed
    segments: tuple[OpenSegment, ...]

    def row(self, slot: int) -> Rows:
        """Return the (dim,) row of a slot that has this vector.

        Raises:
            CorruptionError: neither segments nor unsealed rows hold it.
        """
        for segment in self.segments:
            if segment.meta.first_slot <= slot <= segment.meta.last_slot:
                row: Rows = segment.dense.rows_of(np.array([slot], np.uint64))[0]
                return row
        position = int(np.searchsorted(self.unsealed.slots[: self.unsealed.count], np.uint64(slot)))
        if position < self.unsealed.count and int(self.unsealed.slots[position]) == slot:
            unsealed: Rows = self.unsealed.rows[position]
            return unsealed
        msg = f"no row of slot {slot} in space {self.number}"
        raise CorruptionError(msg)


@dataclass(frozen=True, slots=True)
class Generation:
    """One version of a collection in memory.

    Attributes:
        live: the live points.
        dense: dense spaces by name (not the multi-vector ones).
        others: live sets of sparse and multi-vector spaces by name.
        metas: all published segments.
        fields: definitions of the field indexes.
        cache: what was loaded of them.
    """

    head: Head
    config: CollectionConfig
    live: SlotSet
    dense: dict[str, DenseView]
    others: dict[str, SlotSet]
    metas: tuple[SegmentMeta, ...] = ()
    fields: FieldIndexes = field(default_factory=FieldIndexes)
    cache: FieldCache = field(default_factory=FieldCache)

    def live_of(self, name: str) -> SlotSet:
        """Return the live slots that have the named vector.

        Raises:
            WrongInputError: the collection has no such vector.
        """
        if name in self.dense:
            return self.dense[name].live
        if name in self.others:
            return self.others[name]
        raise unknown_vector_name(name)


class View:
    """A generation and its read transaction; valid until the request ends."""

    __slots__ = ("generation", "store", "txn")

    def __init__(self, store: CollectionStore, txn: Txn, generation: Generation) -> None:
        self.store = store
        self.txn = txn
        self.generation = generation

    def slots_of(self, ids: Iterable[PointId]) -> list[int | None]:
        """Return the slots of ids, None for those that do not exist."""
        return self.store.points.slots_of(self.txn, ids)

    def record(self, slot: int, point_id: PointId | None = None) -> PointRecord:
        """Return the record of a live slot; with an id, check that it is that point's."""
        record = self.store.points.record(self.txn, slot)
        return record if point_id is None else check_id(record, point_id)

    def payload(self, record: PointRecord, selector: PayloadSelector) -> bytes:
        """Return the selected part of a payload in wire encoding."""
        if not selector.enable:
            return EMPTY
        if selector.include is None and selector.exclude is None:
            return record.payload
        tree = unpack_payload(record.payload)
        if selector.include is not None:
            tree = include(tree, selector.include)
        if selector.exclude is not None:
            tree = exclude(tree, selector.exclude)
        return pack_payload(tree)

    def vectors(self, slot: int, selector: VectorSelector) -> NamedVectors | None:
        """Return the selected vectors of a live slot; None when none were asked for.

        Raises:
            WrongInputError: the selector names a vector that the collection does not have.
        """
        if not selector.enable:
            return None
        names: Sequence[str] = (
            selector.names if selector.names is not None else tuple(self.generation.config.vector_numbers)
        )
        found = ((name, self.vector(name, slot)) for name in names)
        vectors = {name: vector for name, vector in found if vector is not None}
        interruption.grow(sum(vector.size_bytes for vector in vectors.values()))
        return vectors

    def vector(self, name: str, slot: int) -> Vector | None:
        """Return one vector of a live slot, None when the point has none of that name.

        Raises:
            WrongInputError: the collection has no such vector.
        """
        live = self.generation.live_of(name)
        if not slot_sets.contains(live, slot):
            return None
        dense = self.generation.dense.get(name)
        if dense is not None:
            return Dense(dense.row(slot).astype("<f4", copy=False).tobytes())
        return self.store.vectors.stored(self.txn, self.generation.config.vector_numbers[name], slot)


def empty_generation() -> Generation:
    """Return the generation that every first one is loaded from; its versions precede all others."""
    before = Head(version=-1, config_version=-1, segments_version=-1)
    return Generation(before, CollectionConfig(), slot_sets.empty(), {}, {})


def load_generation(store: CollectionStore, txn: Txn, head: Head, previous: Generation) -> Generation:
    """Return the generation of the transaction's version, taking over from an older one what did not change.

    Raises:
        SegmentGoneError: a segment was replaced since the transaction began; begin a new one.
    """
    config, fields = previous.config, previous.fields
    if head.config_version != previous.head.config_version:
        config, fields = store.meta.config(txn), store.meta.fields(txn)
    resealed = head.segments_version != previous.head.segments_version
    metas = tuple(store.meta.segments(txn)) if resealed else previous.metas
    since = previous.head.version
    window = _window(store, txn, head)
    live = _live(store, txn, POINTS_SPACE, window, previous.live, since)
    known = {view.number: view for view in previous.dense.values()}
    known_others = {previous.config.vector_numbers[name]: bits for name, bits in previous.others.items()}
    dense: dict[str, DenseView] = {}
    others: dict[str, SlotSet] = {}
    reconfigured = config is not previous.config
    for name, number in config.vector_numbers.items():
        params = config.vectors.get(name)
        if params is None or params.multivector_config is not None:
            before = known_others.get(number)
            others[name] = _live(store, txn, number, window, before, since)
        else:
            ef_construct = (
                effective_hnsw(config, name).ef_construct or 0 if reconfigured else previous.dense[name].ef_construct
            )
            dense[name] = _dense(
                store, txn, number, space_of(params), ef_construct, window, known.get(number), metas, since, resealed
            )
    return Generation(head, config, live, dense, others, metas, fields, previous.cache.successor())


def _dense(  # noqa: PLR0913  the parts of one space
    store: CollectionStore,
    txn: Txn,
    number: int,
    space: Space,
    ef_construct: int,
    window: SlotSet,
    previous: DenseView | None,
    metas: tuple[SegmentMeta, ...],
    since: int,
    resealed: bool,  # noqa: FBT001
) -> DenseView:
    live = _live(store, txn, number, window, None if previous is None else previous.live, since)
    unsealed = Unsealed(np.zeros(0, np.uint64), np.zeros((0, space.dim), space.dtype), 0)
    segments: tuple[OpenSegment, ...] = ()
    if previous is not None and not resealed:
        unsealed, segments = previous.unsealed, previous.segments
    else:
        opened = {segment.meta.uid: segment for segment in previous.segments} if previous else {}
        segments = tuple(
            opened.get(meta.uid) or _open(store.segments_dir, space, meta) for meta in metas if meta.vector == number
        )
    if previous is None or resealed or live is not previous.live:
        segments = tuple(
            replace(segment, live_rows=slot_sets.popcount(live, segment.meta.first_slot, segment.meta.last_slot + 1))
            for segment in segments
        )
    for slots, rows in store.vectors.blocks(txn, number, space, after=unsealed.last_slot):
        unsealed = unsealed.appended(slots, rows)
    return DenseView(number, space, ef_construct, live, unsealed, segments)


def _open(root: Path, space: Space, meta: SegmentMeta) -> OpenSegment:
    files = open_segment(root, meta)
    return OpenSegment(meta, open_dense(space, files.slots, files.rows, files.index, meta.index), meta.rows)


def _window(store: CollectionStore, txn: Txn, head: Head) -> SlotSet:
    """Return the empty set whose window is that of every live set: the blocks of all slots that may be live."""
    first = store.meta.first_slot(txn) // BLOCK_SLOTS * BLOCK_SLOTS
    return slot_sets.none_between(first, max(first, -(-head.next_slot // BLOCK_SLOTS) * BLOCK_SLOTS))


def _live(  # noqa: PLR0913  the parts of one set
    store: CollectionStore, txn: Txn, space: int, window: SlotSet, previous: SlotSet | None, since: int
) -> SlotSet:
    """Return a live set; the previous one itself when nothing changed."""
    changed = list(store.live.changed(txn, space, since if previous is not None else -1))
    if previous is None:
        bits = window.bits.copy()
    elif changed or (previous.first, previous.stop) != (window.first, window.stop):
        bits = previous.within(window).bits.copy()
    else:
        return previous
    for block, stored in changed:
        start = (block * BLOCK_SLOTS - window.first) >> 3
        # Blocks before the window hold nothing.
        if start >= 0:
            bits[start : start + stored.size] = stored
            bits[start + stored.size : start + BLOCK_BYTES] = 0
    return SlotSet(window.first, bits)
