"""The `vectors` database: rows that are not in a segment.

Rows of a dense space come in blocks, one an operation: the block's slots and its rows as one matrix, keyed by the first
slot, so that a batch costs one record and readers get whole matrices. Blocks are immutable and disjoint; dead rows stay
in them until the optimizer seals the block into a segment. Sparse vectors and multi-vectors are stored one a record and
removed with their slot.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pointstore.core.errors import CorruptionError
from pointstore.core.space import Rows, Space
from pointstore.core.vector import Multi, Sparse
from pointstore.storage import keys
from pointstore.storage.env import Database, Txn
from pointstore.storage.live import drop_prefix

Slots = NDArray[np.uint64]

# 8 bytes each, so that the arrays behind them are aligned.
_COUNT = struct.Struct("<Q")
_SPARSE = 1
_MULTI = 2
_ONE = struct.Struct("<BxxxI")


class Vectors:
    """Typed access to the `vectors` database; every method takes the transaction first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def put_block(self, txn: Txn, space: int, slots: Slots, rows: Rows) -> None:
        """Store (m, dim) rows under ascending slots, all newer than any stored before."""
        key = keys.vector_key(space, int(slots[0]))
        parts = _COUNT.pack(len(slots)), slots.astype("<u8", copy=False), np.ascontiguousarray(rows)
        txn.put(key, keys.seal(key, *parts), db=self._database)

    def blocks(self, txn: Txn, number: int, space: Space, after: int = -1) -> Iterator[tuple[Slots, Rows]]:
        """Yield (slots, rows) of the blocks whose first slot is > `after`, oldest first; read-only arrays."""
        cursor = txn.cursor(db=self._database)
        if not cursor.set_range(keys.vector_key(number, after + 1)):
            return
        for key, record in cursor.iternext():
            found, first = keys.of_vector_key(key)
            if found != number:
                return
            yield _unpack_block(record, number, first, space)

    def row(self, txn: Txn, number: int, space: Space, slot: int) -> Rows | None:
        """Return the (dim,) row of a slot, None when no block holds it."""
        cursor = txn.cursor(db=self._database)
        key = keys.vector_key(number, slot)
        # The block with the last first slot <= slot.
        positioned = cursor.set_range(key)
        if not (positioned and cursor.key() == key) and not (cursor.prev() if positioned else cursor.last()):
            return None
        found, first = keys.of_vector_key(cursor.key())
        if found != number:
            return None
        slots, rows = _unpack_block(cursor.value(), number, first, space)
        position = int(np.searchsorted(slots, np.uint64(slot)))
        return rows[position] if position < len(slots) and int(slots[position]) == slot else None

    def drop_through(self, txn: Txn, number: int, slot: int) -> None:
        """Remove the blocks whose slots are all <= `slot`; a block is never sealed in part."""
        cursor = txn.cursor(db=self._database)
        found = cursor.set_range(keys.vector_key(number, 0))
        while found and cursor.key().startswith(_prefix(number)) and keys.of_vector_key(cursor.key())[1] <= slot:
            found = cursor.delete()

    def put_one(self, txn: Txn, number: int, slot: int, vector: Sparse | Multi) -> None:
        """Store a sparse vector or multi-vector."""
        if isinstance(vector, Sparse):
            header = _ONE.pack(_SPARSE, vector.indices.size)
            body = header + vector.indices.astype("<u4").tobytes() + vector.values.astype("<f4").tobytes()
        else:
            body = _ONE.pack(_MULTI, vector.dim) + vector.data
        key = keys.vector_key(number, slot)
        txn.put(key, keys.seal(key, body), db=self._database)

    def one(self, txn: Txn, number: int, slot: int) -> Sparse | Multi | None:
        """Return the sparse vector or multi-vector of a slot."""
        key = keys.vector_key(number, slot)
        record = txn.get(key, db=self._database)
        if record is None:
            return None
        body = keys.unseal(key, record, "vector", number, "of slot", slot)
        kind, size = _ONE.unpack_from(body)
        if kind == _MULTI:
            return Multi(body[_ONE.size :], size)
        indices = np.frombuffer(body, "<u4", count=size, offset=_ONE.size)
        return Sparse(indices, np.frombuffer(body, "<f4", offset=_ONE.size + 4 * size))

    def stored(self, txn: Txn, number: int, slot: int) -> Sparse | Multi:
        """Return the sparse vector or multi-vector of a slot that has one.

        Raises:
            CorruptionError: it is missing or damaged.
        """
        vector = self.one(txn, number, slot)
        if vector is None:
            msg = f"no vector {number} of slot {slot}"
            raise CorruptionError(msg)
        return vector

    def sizes(self, txn: Txn, number: int, slots: Sequence[int]) -> list[int]:
        """Return sizes in bytes of sparse or multi-vectors, each the first at or behind one of the ascending slots."""
        cursor = txn.cursor(db=self._database)
        sizes: dict[int, int] = {}
        for slot in slots:
            if not cursor.set_range(keys.vector_key(number, slot)):
                break
            space, found = keys.of_vector_key(cursor.key())
            if space != number:
                break
            if found not in sizes:
                body = keys.unseal(cursor.key(), cursor.value(), "vector", number, "of slot", found)
                sizes[found] = len(body) - _ONE.size
        return list(sizes.values())

    def drop_one(self, txn: Txn, number: int, slot: int) -> None:
        """Remove the sparse vector or multi-vector of a slot, if any."""
        txn.delete(keys.vector_key(number, slot), db=self._database)

    def places(self, txn: Txn) -> Iterator[tuple[int, int]]:
        """Yield space and first slot of every record, in order."""
        for key, _ in txn.cursor(db=self._database).iternext():
            yield keys.of_vector_key(key)

    def drop_space(self, txn: Txn, number: int) -> None:
        """Remove everything of a space."""
        drop_prefix(txn, self._database, _prefix(number))


def _prefix(number: int) -> bytes:
    return keys.vector_key(number, 0)[:2]


def _unpack_block(record: bytes, number: int, first: int, space: Space) -> tuple[Slots, Rows]:
    body = keys.unseal(keys.vector_key(number, first), record, "vector block", first, "of space", number)
    count: int = _COUNT.unpack_from(body)[0]
    slots = np.frombuffer(body, "<u8", count=count, offset=_COUNT.size)
    rows = np.frombuffer(body, space.dtype, offset=_COUNT.size + 8 * count)
    return slots, rows.reshape(count, space.dim)
