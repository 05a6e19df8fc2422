"""What a generation keeps in memory of field indexes and of conditions that were evaluated on it.

Entries are loaded when a filter first needs them, and continued from those of the generation before: only the blocks
that were written since are read. Both caches die with the generation, so nothing in them is ever out of date.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from pointstore.core.filter import Condition
from pointstore.index import slots as slot_sets
from pointstore.index.field import FieldEntries
from pointstore.index.slots import SlotSet
from pointstore.storage.collection import CollectionStore
from pointstore.storage.env import Txn

_BLOCKS_AT_A_TIME = 4096
_CONDITION_BYTES_MAX = 64 << 20
_DEAD_SLOTS = 4096


class FieldCache:
    """Entries of field indexes by number, and sets of slots by condition, of one generation. Thread-safe.

    Args:
        older: entries of an earlier version.
    """

    def __init__(self, older: dict[int, FieldEntries] | None = None) -> None:
        self._older = older or {}
        self._entries: dict[int, FieldEntries] = {}
        self._conditions: dict[Condition, SlotSet] = {}
        self._condition_bytes = 0
        self._counts: dict[int, int] = {}
        self._loading = threading.Lock()

    def successor(self) -> FieldCache:
        """Return the cache of the next generation."""
        return FieldCache({**self._older, **self._entries})

    def entries(self, store: CollectionStore, txn: Txn, number: int, live: SlotSet) -> FieldEntries:
        """Return the entries of an index as of the generation.

        Args:
            store: the collection's databases.
            txn: a read transaction of the generation's version.
            number: the index.
            live: the points of the generation.
        """
        found = self._entries.get(number)
        if found is not None:
            return found
        with self._loading:
            found = self._entries.get(number)
            if found is None:
                found = _continued(store, txn, number, self._older.get(number, FieldEntries()))
                if _outlived(found, live):
                    # What is stored is compacted by the optimizer; a process that lives long has to do it as well.
                    found = found.only_live(live)
                self._entries[number] = found
        return found

    def count(self, number: int, counted: Callable[[], int]) -> int:
        """Return the number of points in an index, counting them once."""
        if number not in self._counts:
            self._counts[number] = counted()
        return self._counts[number]

    def known(self, condition: Condition) -> SlotSet | None:
        """Return the set of a condition that was evaluated before."""
        return self._conditions.get(condition)

    def remember(self, condition: Condition, matching: SlotSet) -> None:
        """Keep the set of a condition for as long as there is room."""
        with self._loading:
            if self._condition_bytes + matching.bits.nbytes > _CONDITION_BYTES_MAX:
                self._conditions.clear()
                self._condition_bytes = 0
            self._conditions[condition] = matching
            self._condition_bytes += matching.bits.nbytes


def _outlived(entries: FieldEntries, live: SlotSet) -> bool:
    """Tell whether most entries, or some that lie before all live slots, are of dead points."""
    first = entries.first_slot
    if first is not None and first < live.first:
        return True
    return entries.covered > _DEAD_SLOTS and entries.covered > 2 * slot_sets.popcount(live)


def _continued(store: CollectionStore, txn: Txn, number: int, entries: FieldEntries) -> FieldEntries:
    blocks = []
    through = entries.through
    for key, block in store.fields.blocks(txn, number, entries.through):
        blocks.append(block)
        through = key
        if len(blocks) == _BLOCKS_AT_A_TIME:
            entries = entries.extended(blocks, through)
            blocks = []
    return entries.extended(blocks, through) if blocks else entries
