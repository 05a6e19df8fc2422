"""The state of a collection within one write transaction, and the one function that applies operations to it.

Live writes, recovery and followers go through `Transition.apply`. Changes of live sets and of the head are collected
and written once, by `finish`; everything else is written at once. Nothing is visible before the transaction commits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Protocol, assert_never

import numpy as np
from numpy.typing import NDArray

from pointstore.core.fields import FieldIndexes, FieldSchema
from pointstore.core.operation import (
    AddField,
    AddVector,
    Column,
    DenseColumn,
    DropField,
    DropVector,
    MergePayload,
    MovePoints,
    MultiColumn,
    Nothing,
    Operation,
    PutPoints,
    PutVectors,
    RemovePayload,
    RemovePoints,
    RemoveVectors,
    ReplacePayload,
    SparseColumn,
)
from pointstore.core.path import Path, delete, merge, merge_at
from pointstore.core.payload import EMPTY, pack_payload, unpack_payload
from pointstore.core.point import PointId
from pointstore.core.schema import CollectionConfig, SparseVectorParams, VectorParams
from pointstore.core.space import Rows, space_of
from pointstore.core.vector import Multi, Sparse
from pointstore.engine.indexing import build_blocks
from pointstore.engine.view import Generation, View
from pointstore.storage.collection import CollectionStore
from pointstore.storage.env import Txn
from pointstore.storage.fields import WRITTEN
from pointstore.storage.keys import POINTS_SPACE
from pointstore.storage.live import BLOCK_SLOTS, Bits
from pointstore.storage.meta import Head, advanced
from pointstore.storage.points import PointRecord, check_id, pack_point

_Slots = NDArray[np.uint64]


class Committed(Protocol):
    """What a transaction needs of the process's view of the collection."""

    def row(self, number: int, slot: int) -> Rows:
        """Return the (dim,) row of a slot of a dense space that is in a segment."""
        ...

    def generation_of(self, txn: Txn, head: Head, previous: Generation | None) -> Generation:
        """Load the generation that a transaction sees, from an earlier one of the same transaction if given."""
        ...


class Transition:
    """One write transaction on a collection.

    Args:
        store: the collection's databases.
        txn: the open write transaction.
        config: the configuration as of this transaction.
        fields: the field indexes as of this transaction.
        committed: the state before this transaction.
    """

    def __init__(  # noqa: PLR0913  what a state consists of
        self,
        store: CollectionStore,
        txn: Txn,
        head: Head,
        config: CollectionConfig,
        fields: FieldIndexes,
        committed: Committed,
    ) -> None:
        self.store = store
        self.txn = txn
        self.head = head
        self.config = config
        self._committed = committed
        self._generation: Generation | None = None
        self._live: dict[tuple[int, int], Bits] = {}
        self._changed: set[tuple[int, int]] = set()
        self.fields = fields
        self._config_changed = False
        self._segments_changed = False
        self.grows = False
        """Whether something is stored besides entries of the log."""

    def append(self, operation: Operation) -> int:
        """Log an operation and apply it; return its number."""
        self.grows = self.grows or _adds(operation)
        # Changes of the schema take two numbers, as in the reference.
        step = 2 if isinstance(operation, AddVector | DropVector | AddField | DropField) else 1
        seq = self.head.seq + step
        size = self.store.log.append(self.txn, seq, operation)
        self.head = replace(self.head, seq=seq, log_bytes=self.head.log_bytes + size)
        self.apply(seq, operation)
        return seq

    def apply(self, seq: int, operation: Operation) -> None:  # noqa: C901, PLR0912  one case an operation
        """Apply a logged operation. Depends on nothing but the state; cannot fail for a client's reason."""
        match operation:
            case PutPoints(ids, payloads, columns):
                self._put_points(seq, ids, payloads, columns)
            case RemovePoints(ids):
                self._remove_points(ids)
            case PutVectors(ids, columns):
                self._rewrite(seq, ids, columns, version=seq)
            case RemoveVectors(ids, numbers):
                self._remove_vectors(seq, ids, numbers)
            case MergePayload(ids, payload, key):
                self._merge_payload(seq, ids, payload, key)
            case ReplacePayload(ids, payload):
                self._replace_payloads(seq, self._records(ids), lambda _: payload)
            case RemovePayload(ids, keys):
                self._remove_payload(seq, ids, keys)
            case AddVector(name, params):
                self._add_vector(name, params)
            case DropVector(name):
                self._drop_vector(name)
            case AddField(path, schema):
                self._add_field(path, schema)
            case DropField(path):
                self._drop_field(path)
            case MovePoints(ids):
                self._rewrite(seq, ids, (), version=None)
            case Nothing():
                pass
            case _:
                assert_never(operation)

    def finish(self) -> Head:
        """Write what was collected; the last call before the commit.

        Raises:
            InsufficientStorageError: something was added and the store holds too much; deletions always pass.
        """
        if self.grows:
            self.store.check_room(self.txn)
        self._write_collected()
        return self.head

    def view(self) -> View:
        """Return the state with the changes of this transaction so far, for filters."""
        self._write_collected()
        self._generation = self._committed.generation_of(self.txn, self.head, self._generation)
        return View(self.store, self.txn, self._generation)

    def _write_collected(self) -> None:
        self.head = advanced(self.head, config=self._config_changed, segments=self._segments_changed)
        for space, block in sorted(self._changed):
            self.store.live.put_block(self.txn, space, block, self._live[space, block], self.head.version)
        if self._config_changed:
            self.store.meta.put_config(self.txn, self.config)
            self.store.meta.put_fields(self.txn, self.fields)
        self.store.meta.put_head(self.txn, self.head)
        self._changed.clear()
        self._config_changed = self._segments_changed = False

    def slots_of(self, ids: Iterable[PointId]) -> list[int | None]:
        """Return the slots of ids, None for those that do not exist."""
        return self.store.points.slots_of(self.txn, ids)

    def has_vector(self, number: int, slot: int) -> bool:
        """Tell whether the live slot has a vector of the space."""
        block, bit = divmod(slot, BLOCK_SLOTS)
        return bool(self._block(number, block)[bit >> 3] >> (bit & 7) & 1)

    def _put_points(
        self, seq: int, ids: Sequence[PointId], payloads: Sequence[bytes], columns: Sequence[Column]
    ) -> None:
        first = self.head.next_slot
        old = [slot for slot in self.slots_of(ids) if slot is not None]
        if old:
            self._release(old)
        points = zip(ids, payloads, strict=True)
        records = [pack_point(slot, point_id, seq, payload) for slot, (point_id, payload) in enumerate(points, first)]
        self._put_records(first, ids, records, added=len(ids) - len(old))
        self._index(seq, np.arange(first, first + len(ids)), payloads)
        for column in columns:
            self._put_column(first, column)

    def _put_records(self, first: int, ids: Sequence[PointId], records: Sequence[bytes], added: int) -> None:
        self.store.points.put_new(self.txn, first, ids, records)
        self._mark(POINTS_SPACE, np.arange(first, first + len(ids), dtype=np.uint64))
        self.head = replace(self.head, next_slot=first + len(ids), points=self.head.points + added)

    def _put_column(self, first: int, column: Column) -> None:
        if not column.positions.size:
            return
        slots = (column.positions + first).astype(np.uint64)
        if isinstance(column, DenseColumn):
            self.store.vectors.put_block(self.txn, column.number, slots, column.rows)
        else:
            vectors: tuple[Sparse | Multi, ...] = column.vectors
            for slot, vector in zip(slots.tolist(), vectors, strict=True):
                self.store.vectors.put_one(self.txn, column.number, slot, vector)
        self._mark(column.number, slots)

    def _remove_points(self, ids: Sequence[PointId]) -> None:
        found = [(point_id, slot) for point_id, slot in zip(ids, self.slots_of(ids), strict=True) if slot is not None]
        if not found:
            return
        self._release([slot for _, slot in found])
        for point_id, _ in found:
            self.store.points.drop_id(self.txn, point_id)
        self.head = replace(self.head, points=self.head.points - len(found))

    def _release(self, slots: Sequence[int]) -> None:
        """Take slots out of every live set and remove what is stored under them, except rows in blocks."""
        freed = np.array(slots, np.uint64)
        for number in self.config.vector_numbers.values():
            for slot in self._unmark(number, freed):
                if number not in self._dense_numbers():
                    self.store.vectors.drop_one(self.txn, number, slot)
        self._unmark(POINTS_SPACE, freed)
        for slot in slots:
            self.store.points.drop_slot(self.txn, slot)

    def _rewrite(self, seq: int, ids: Sequence[PointId], columns: Sequence[Column], *, version: int | None) -> None:
        """Take existing points to new slots with new vectors in some spaces, and a new version unless that is None."""
        first = self.head.next_slot
        records = self._records(ids)
        old = [slot for slot, _ in records]
        kept = [self._kept_column(number, old, columns) for number in self._dense_numbers()]
        moved = self._kept_vectors(old, columns)
        self._release(old)
        packed = [
            pack_point(slot, record.point_id, record.seq if version is None else version, record.payload)
            for slot, (_, record) in enumerate(records, first)
        ]
        self._put_records(first, ids, packed, added=0)
        self._index(seq, np.arange(first, first + len(ids)), [record.payload for _, record in records])
        for column in (*kept, *(column for column in columns if not isinstance(column, DenseColumn)), *moved):
            if column is not None:
                self._put_column(first, column)

    def _kept_column(self, number: int, old: Sequence[int], columns: Sequence[Column]) -> DenseColumn | None:
        """Return the rows of a dense space after the update: given ones, and those that the points had before."""
        given = next((c for c in columns if isinstance(c, DenseColumn) and c.number == number), None)
        updated = set() if given is None else set(given.positions.tolist())
        kept = [i for i, slot in enumerate(old) if i not in updated and self.has_vector(number, slot)]
        if not kept:
            return given
        rows: Rows = np.stack([self._row(number, old[i]) for i in kept])
        positions = np.array(kept, np.int64)
        if given is None:
            return DenseColumn(number, positions, rows)
        # Slots within a block ascend.
        positions = np.concatenate([given.positions, positions])
        order = np.argsort(positions)
        return DenseColumn(number, positions[order], np.concatenate([given.rows, rows])[order])

    def _kept_vectors(self, old: Sequence[int], columns: Sequence[Column]) -> list[Column]:
        """Return the sparse vectors and multi-vectors that the update leaves as they are, one column a vector."""
        kept: list[Column] = []
        for number in set(self.config.vector_numbers.values()) - self._dense_numbers():
            updated = {p for c in columns if c.number == number for p in c.positions.tolist()}
            for position, slot in enumerate(old):
                if position not in updated and self.has_vector(number, slot):
                    kept.append(_single(number, position, self.store.vectors.stored(self.txn, number, slot)))
        return kept

    def _row(self, number: int, slot: int) -> Rows:
        name = next(name for name, found in self.config.vector_numbers.items() if found == number)
        row = self.store.vectors.row(self.txn, number, space_of(self.config.vectors[name]), slot)
        return self._committed.row(number, slot) if row is None else row

    def _remove_vectors(self, seq: int, ids: Sequence[PointId], numbers: Sequence[int]) -> None:
        records = self._records(ids)
        slots = np.array([slot for slot, _ in records], np.uint64)
        for number in numbers:
            for slot in self._unmark(number, slots):
                if number not in self._dense_numbers():
                    self.store.vectors.drop_one(self.txn, number, slot)
        for slot, record in records:
            self._replace(slot, record, seq, record.payload)

    def _merge_payload(self, seq: int, ids: Sequence[PointId], payload: bytes, key: Path | None) -> None:
        changes = unpack_payload(payload)

        def merged(before: bytes) -> bytes:
            tree = unpack_payload(before)
            if key is None:
                merge(tree, changes)
            else:
                merge_at(tree, key, changes)
            return pack_payload(tree)

        self._replace_payloads(seq, self._records(ids), merged)

    def _remove_payload(self, seq: int, ids: Sequence[PointId], keys: Sequence[Path]) -> None:
        def reduced(before: bytes) -> bytes:
            tree = unpack_payload(before)
            for key in keys:
                delete(tree, key)
            return pack_payload(tree)

        self._replace_payloads(seq, self._records(ids), reduced)

    def _replace_payloads(
        self, seq: int, records: Sequence[tuple[int, PointRecord]], change: Callable[[bytes], bytes]
    ) -> None:
        changed = sorted((slot, record.point_id, change(record.payload)) for slot, record in records)
        for slot, point_id, payload in changed:
            self.store.points.replace(self.txn, slot, pack_point(slot, point_id, seq, payload))
        self._index(seq, np.array([slot for slot, _, _ in changed], np.int64), [payload for _, _, payload in changed])

    def _index(self, seq: int, slots: NDArray[np.int64], payloads: Sequence[bytes]) -> None:
        """Note in every field index what the payloads of some slots hold from now on."""
        if not self.fields.indexes or not len(slots):
            return

        def codes(number: int, terms: Sequence[bytes]) -> list[int]:
            return self.store.fields.codes(self.txn, number, terms)

        for number, block in build_blocks(self.fields.indexes, slots, payloads, codes):
            self.store.fields.put_block(self.txn, number, WRITTEN, seq, block)

    def _add_field(self, path: str, schema: FieldSchema) -> None:
        present = self.fields.of_client(path)
        if present is not None and present.schema == schema:
            return
        self._drop_field(path)
        self.fields = self.fields.added(path, schema=schema)
        self._config_changed = True

    def _drop_field(self, path: str) -> None:
        present = self.fields.of_client(path)
        if present is None:
            return
        self.store.fields.drop(self.txn, present.number)
        self.fields = self.fields.without(present.number)
        self._config_changed = True

    def _records(self, ids: Sequence[PointId]) -> list[tuple[int, PointRecord]]:
        """Return slot and record of points; those that are gone are left out."""
        return [
            (slot, check_id(self.store.points.record(self.txn, slot), point_id))
            for point_id, slot in zip(ids, self.slots_of(ids), strict=True)
            if slot is not None
        ]

    def _replace(self, slot: int, record: PointRecord, seq: int, payload: bytes) -> None:
        self.store.points.replace(self.txn, slot, pack_point(slot, record.point_id, seq, payload))

    def _add_vector(self, name: str, params: VectorParams | SparseVectorParams) -> None:
        if name in self.config.vector_numbers:
            return
        number = self.config.next_vector_number
        config = replace(
            self.config,
            vector_numbers={**self.config.vector_numbers, name: number},
            next_vector_number=number + 1,
        )
        if isinstance(params, VectorParams):
            config = replace(config, vectors={**config.vectors, name: params}, single_vector=False)
        else:
            config = replace(config, sparse_vectors={**config.sparse, name: params}, single_vector=False)
        self._set_config(config)

    def _drop_vector(self, name: str) -> None:
        number = self.config.number_of(name)
        if number is None:
            return
        self.store.vectors.drop_space(self.txn, number)
        self.store.live.drop_space(self.txn, number)
        remaining = tuple(meta for meta in self.store.meta.segments(self.txn) if meta.vector != number)
        self.store.meta.put_segments(self.txn, remaining)
        self._segments_changed = True
        for key in [key for key in self._live if key[0] == number]:
            del self._live[key]
            self._changed.discard(key)
        self._set_config(
            replace(
                self.config,
                vectors={key: value for key, value in self.config.vectors.items() if key != name},
                sparse_vectors={key: value for key, value in self.config.sparse.items() if key != name} or None,
                vector_numbers={key: value for key, value in self.config.vector_numbers.items() if key != name},
                single_vector=False,
            )
        )

    def _set_config(self, config: CollectionConfig) -> None:
        self.config = config
        self._config_changed = True

    def _dense_numbers(self) -> set[int]:
        return {
            self.config.vector_numbers[name]
            for name, params in self.config.vectors.items()
            if params.multivector_config is None
        }

    def _block(self, space: int, block: int) -> Bits:
        bits = self._live.get((space, block))
        if bits is None:
            bits = self._live[space, block] = self.store.live.block(self.txn, space, block)
        return bits

    def _mark(self, space: int, slots: _Slots) -> None:
        for block, bits in _by_block(slots):
            target = self._block(space, block)
            np.bitwise_or.at(target, bits >> 3, _masks(bits))
            self._changed.add((space, block))

    def _unmark(self, space: int, slots: _Slots) -> list[int]:
        """Clear bits; return the slots whose bit was set."""
        cleared: list[int] = []
        for block, bits in _by_block(slots):
            target = self._block(space, block)
            marked = bits[(target[bits >> 3] & _masks(bits)) != 0]
            if marked.size:
                np.bitwise_and.at(target, marked >> 3, ~_masks(marked))
                self._changed.add((space, block))
                cleared += (marked + block * BLOCK_SLOTS).tolist()
        return cleared


def _single(number: int, position: int, vector: Sparse | Multi) -> Column:
    positions = np.array([position], np.int64)
    if isinstance(vector, Sparse):
        return SparseColumn(number, positions, (vector,))
    return MultiColumn(number, positions, (vector,))


def _by_block(slots: _Slots) -> list[tuple[int, NDArray[np.int64]]]:
    """Split slots by live block: pairs of block number and bit numbers within it."""
    blocks, bits = np.divmod(slots.astype(np.int64), BLOCK_SLOTS)
    return [(int(block), bits[blocks == block]) for block in np.unique(blocks)]


def _masks(bits: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.uint8(1) << (bits & 7).astype(np.uint8)


def _adds(operation: Operation) -> bool:
    """Tell whether the operation stores anything besides its entry in the log."""
    if isinstance(operation, ReplacePayload):
        return operation.payload != EMPTY
    return isinstance(operation, PutPoints | PutVectors | MergePayload | MovePoints | AddVector)
