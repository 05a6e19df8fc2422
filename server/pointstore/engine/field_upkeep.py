"""What happens to the field indexes of a collection over time: created for filters, filled, joined, dropped.

Filling itself is in `engine/backfill.py`. Nothing here holds a view or the collection: a dropped collection's files
close with the last request that uses it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager

import structlog

from pointstore.core.errors import InsufficientStorageError, UnavailableError
from pointstore.core.fields import FieldIndexes, RawKind
from pointstore.core.filter import Filter
from pointstore.core.update import CreateField, Update
from pointstore.engine.backfill import USE_NOTED_S, define_raw, drop_unused, fill, note_use, unready, wait_ready
from pointstore.engine.field_choice import raw_needs
from pointstore.engine.field_lookup import FieldLookup
from pointstore.engine.view import View
from pointstore.index.field import only_live
from pointstore.storage.collection import CollectionStore

FIELD_BLOCKS_MAX = 512
"""Blocks of one field index from which the optimizer joins them."""

SELF_INDEX_POINTS = 256
"""Collections of fewer points evaluate filters on payloads rather than get indexes of the engine's own."""

_PUT_OFF_S = 60.0
"""Seconds without an attempt after one that the disk refused: filters are answered without the index meanwhile."""

_log = structlog.stdlib.get_logger(__name__)


class FieldUpkeep:
    """Tends the field indexes of one collection. Thread-safe; other processes may tend the same.

    Args:
        store: the collection's databases.
    """

    def __init__(self, store: CollectionStore) -> None:
        self._store = store
        self.self_index_points = SELF_INDEX_POINTS
        self._retry_at = 0.0

    def prepare(self, conditions: Iterable[Filter | None], known: FieldIndexes) -> None:
        """Create and fill the indexes of the engine's own that filters would be answered from, if they are missing.

        A disk that is full or refuses writes is no reason to refuse a read.

        Args:
            conditions: what is about to be evaluated.
            known: the indexes of a recent generation, which tell without a transaction that nothing is missing.
        """
        if time.monotonic() < self._retry_at:
            return
        try:
            self._prepare(conditions, known)
        except (InsufficientStorageError, UnavailableError) as error:
            self._put_off(error)

    def _prepare(self, conditions: Iterable[Filter | None], known: FieldIndexes) -> None:
        wanted: set[tuple[str, RawKind]] = set()
        noted_s = int(time.time()) - USE_NOTED_S
        for condition in conditions:
            for path, kind in raw_needs(condition, known) if condition is not None else ():
                index = known.of_engine(path, kind)
                if index is None or not index.ready:
                    wanted.add((path, kind))
                elif index.used_at_s < noted_s:
                    note_use(self._store, index.number)
        if wanted:
            self._create(wanted)

    def fill_created(self, updates: Sequence[Update]) -> None:
        """Fill the indexes that a client has just created; what the disk refuses the optimizer does later."""
        created = {str(update.path) for update in updates if isinstance(update, CreateField)}
        if not created:
            return
        with self._store.read() as txn:
            indexes = self._store.meta.fields(txn).indexes
        for index in indexes:
            if index.schema is not None and not index.ready and index.path in created:
                try:
                    self.fill(index.number)
                except (InsufficientStorageError, UnavailableError) as error:
                    self._put_off(error)

    def unfilled(self) -> list[int]:
        """Return the numbers of the indexes that are still to be filled."""
        return unready(self._store)

    def fill(self, number: int) -> None:
        """Fill an index from the points that were there before it."""
        fill(self._store, number)

    def drop_unused(self) -> None:
        """Drop the engine's own indexes that no filter has wanted for long."""
        drop_unused(self._store)

    def compact(self, viewing: Callable[[], AbstractContextManager[View]]) -> None:
        """Join the blocks of indexes where they have become many, without the slots of dead points.

        Args:
            viewing: begins a read of the newest state.
        """
        with viewing() as view:
            lookup = FieldLookup(view)
            crowded = [
                index
                for index in view.generation.fields.indexes
                if index.ready and self._store.fields.count_blocks(view.txn, index.number) > FIELD_BLOCKS_MAX
            ]
            compacted = [
                (index.number, entries.through, only_live(entries.whole(), view.generation.live))
                for index in crowded
                for entries in (lookup.entries(index),)
            ]
        for number, through, block in compacted:
            with self._store.write() as txn:
                # Blocks that were written meanwhile lie behind `through` and stay.
                if any(index.number == number for index in self._store.meta.fields(txn).indexes):
                    self._store.fields.replace_blocks(txn, number, through, block if len(block.slots) else None)

    def _put_off(self, error: Exception) -> None:
        _log.warning("field indexes are left as they are for a while", reason=str(error), seconds=_PUT_OFF_S)
        self._retry_at = time.monotonic() + _PUT_OFF_S

    def _create(self, wanted: set[tuple[str, RawKind]]) -> None:
        with self._store.read() as txn:
            fields, points = self._store.meta.fields(txn), self._store.meta.head(txn).points
        if points < self.self_index_points:
            return
        for path, kind in wanted:
            present = fields.of_engine(path, kind)
            if present is not None and present.ready:
                continue
            number = define_raw(self._store, path, kind) if present is None else present.number
            if number is not None and (present is None or not wait_ready(self._store, number)):
                self.fill(number)
