"""The log: operations in order, each applied in the transaction that appends it.

This is the seam for a replicated log. An implementation owes its users: `append` is durable when its transaction
commits, sequence numbers ascend without end and are never given twice, `entries` yields in order everything after a
number that was not truncated. State and indexes never read the log to catch up; they read the store.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from pointstore.core.operation import Operation
from pointstore.storage import keys
from pointstore.storage.env import Database, Txn
from pointstore.storage.operations import pack_operation, unpack_operation


class Log(Protocol):
    """What the engine needs of a log."""

    def append(self, txn: Txn, seq: int, operation: Operation) -> int:
        """Add an entry with the next number; return its size in bytes."""
        ...

    def entries(self, txn: Txn, after: int) -> Iterator[tuple[int, Operation]]:
        """Yield (seq, operation) with seq > `after`, in order."""
        ...

    def truncate(self, txn: Txn, bytes_max: int, size: int) -> int:
        """Drop the oldest entries until at most `bytes_max` of `size` bytes are left; return the new size."""
        ...

    def size(self, txn: Txn) -> int:
        """Return the size of all entries in bytes, from the entries themselves."""
        ...


class LmdbLog:
    """The log of a collection on one node, a database of its environment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, txn: Txn, seq: int, operation: Operation) -> int:
        """Add an entry with the next number; return its size in bytes."""
        key = keys.u64(seq)
        record = keys.seal(key, *pack_operation(operation))
        txn.put(key, record, db=self._database, append=True)
        return len(record)

    def entries(self, txn: Txn, after: int) -> Iterator[tuple[int, Operation]]:
        """Yield (seq, operation) with seq > `after`, in order.

        Raises:
            CorruptionError: an entry is damaged.
        """
        cursor = txn.cursor(db=self._database)
        if not cursor.set_range(keys.u64(after + 1)):
            return
        for key, record in cursor.iternext():
            seq = keys.of_u64(key)
            yield seq, unpack_operation(keys.unseal(key, record, "log entry", seq))

    def truncate(self, txn: Txn, bytes_max: int, size: int) -> int:
        """Drop the oldest entries until at most `bytes_max` of `size` bytes are left; return the new size."""
        cursor = txn.cursor(db=self._database)
        found = cursor.first()
        while found and size > bytes_max:
            size -= len(cursor.value())
            found = cursor.delete() and bool(cursor.key())
        return size

    def size(self, txn: Txn) -> int:
        """Return the size of all entries in bytes, from the entries themselves."""
        return sum(len(record) for _, record in txn.cursor(db=self._database).iternext())
