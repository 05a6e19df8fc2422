"""The `live` database: which slots are points, and which of them have a vector of each space.

A set is stored in blocks of 65,536 slots, each with the version that last changed it (so that a reader copies only
what changed), cut after its last byte that is not zero.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pointstore.storage import keys
from pointstore.storage.env import Database, Txn

BLOCK_SLOTS: Final = 65_536
BLOCK_BYTES: Final = BLOCK_SLOTS // 8

Bits = NDArray[np.uint8]
"""Packed bits, little bit order: slot s is bit s & 7 of byte s >> 3."""

_VERSION = struct.Struct("<Q")


class Live:
    """Typed access to the `live` database; every method takes the transaction first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def block(self, txn: Txn, space: int, block: int) -> Bits:
        """Return one block as (8192,) writable bytes, zeros when there is none."""
        bits = np.zeros(BLOCK_BYTES, np.uint8)
        record = txn.get(keys.live_key(space, block), db=self._database)
        if record is not None:
            _, stored = _unpack(record, space, block)
            bits[: len(stored)] = stored
        return bits

    def put_block(self, txn: Txn, space: int, block: int, bits: Bits, version: int) -> None:
        """Replace one block; an all-zero one is kept without its zeros."""
        used = np.flatnonzero(bits)
        key = keys.live_key(space, block)
        # A block that became empty stays as an empty record: a reader must see that it changed.
        size = int(used[-1]) + 1 if used.size else 0
        body = _VERSION.pack(version) + bits[:size].tobytes()
        txn.put(key, keys.seal(key, body), db=self._database)

    def changed(self, txn: Txn, space: int, since: int) -> Iterator[tuple[int, Bits]]:
        """Yield (block number, bits of up to 8192 bytes) of the blocks that changed after version `since`."""
        cursor = txn.cursor(db=self._database)
        if not cursor.set_range(keys.live_key(space, 0)):
            return
        for key, record in cursor.iternext():
            number, block = keys.of_live_key(key)
            if number != space:
                return
            version, bits = _unpack(record, space, block)
            if version > since:
                yield block, bits

    def count(self, txn: Txn, space: int) -> int:
        """Count the members of a set."""
        return sum(int(np.bitwise_count(bits).sum()) for _, bits in self.changed(txn, space, -1))

    def drop_before(self, txn: Txn, block: int) -> None:
        """Remove the records of all blocks before one; they must be empty, and never be read again."""
        cursor = txn.cursor(db=self._database)
        for key in [key for key, _ in cursor.iternext() if keys.of_live_key(key)[1] < block]:
            txn.delete(key, db=self._database)

    def spaces(self, txn: Txn) -> set[int]:
        """Return the numbers of all sets."""
        return {keys.of_live_key(key)[0] for key, _ in txn.cursor(db=self._database).iternext()}

    def drop_space(self, txn: Txn, space: int) -> None:
        """Remove the set of a vector space."""
        drop_prefix(txn, self._database, keys.live_key(space, 0)[:2])


def _unpack(record: bytes, space: int, block: int) -> tuple[int, Bits]:
    body = keys.unseal(keys.live_key(space, block), record, "live block", block, "of space", space)
    return _VERSION.unpack_from(body)[0], np.frombuffer(body, np.uint8, offset=_VERSION.size)


def drop_prefix(txn: Txn, database: Database, prefix: bytes) -> None:
    """Remove every record whose key starts with the prefix."""
    cursor = txn.cursor(db=database)
    found = cursor.set_range(prefix)
    while found and cursor.key().startswith(prefix):
        found = cursor.delete()
