"""One collection in one process: its store, the cached generation, reads and writes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointstore.core import interruption
from pointstore.core.catalog import CollectionChange, CollectionInfo, CollectionStatus, FieldInfo
from pointstore.core.errors import CorruptionError, QuarantinedError
from pointstore.core.failpoint import visit
from pointstore.core.fields import FieldIndexes
from pointstore.core.filter import Filter
from pointstore.core.operation import Operation
from pointstore.core.path import Path as PayloadPath
from pointstore.core.point import PointId
from pointstore.core.query import Page, Query, Record, ScrollRequest, Selectors
from pointstore.core.schema import CollectionConfig, effective_hnsw
from pointstore.core.space import Rows
from pointstore.core.update import (
    CreateField,
    CreateVector,
    DropField,
    DropVector,
    Update,
    UpdateResult,
    UpdateStatus,
    UpdateVectors,
    Upsert,
)
from pointstore.engine import strict
from pointstore.engine.capture import Capture, capture
from pointstore.engine.configure import changed
from pointstore.engine.facet import FacetValue, facet
from pointstore.engine.field_lookup import FieldLookup
from pointstore.engine.field_upkeep import FieldUpkeep
from pointstore.engine.filtering import matching_slots
from pointstore.engine.index_demand import traits_of
from pointstore.engine.paging import record_of
from pointstore.engine.plan import OptimizerState, SpaceState, settled
from pointstore.engine.rate_limit import TokenBucket
from pointstore.engine.renewal import renew
from pointstore.engine.scroll import page
from pointstore.engine.transition import Transition
from pointstore.engine.usage import ReadState
from pointstore.engine.view import Generation, View, empty_generation, load_generation
from pointstore.engine.writer import Writer
from pointstore.index import slots as slot_sets
from pointstore.index.dense import Kind
from pointstore.storage.collection import CollectionStore
from pointstore.storage.env import Txn
from pointstore.storage.layout import QUARANTINE
from pointstore.storage.meta import Head, advanced
from pointstore.storage.segments import SegmentGoneError, SegmentMeta, remove_orphans

LOG_BYTES_MAX = 32 << 20
"""Size from which the optimizer cuts the log to its half."""
_LOG_SHARE_MAX = 8
"""The same as one part in so many of the store's map, when that is smaller."""

_FRESH_VIEW_TRIES = 20
_RECORDS_A_CHECK = 32


class Collection:
    """An open collection. Thread-safe.

    Args:
        name: its real name (not an alias).
        path: its directory.
        map_size: bound of its store in bytes.
    """

    def __init__(self, name: str, path: Path, map_size: int) -> None:
        marker = path / QUARANTINE
        if marker.exists():
            raise QuarantinedError(name, marker.read_text(encoding="utf-8"))
        self.name = name
        self._store = CollectionStore(path, map_size)
        self._log_bytes_max = min(LOG_BYTES_MAX, map_size // _LOG_SHARE_MAX)
        with self._store.read() as txn:
            self._store.meta.check_format(txn)
        self.upkeep = FieldUpkeep(self._store)
        self._generation = empty_generation()
        self._refreshing = threading.Lock()
        self._reads = TokenBucket(path / "read_rate", "Read")
        self._writer = Writer(strict.check_update, partial(_charge_write, TokenBucket(path / "write_rate", "Write")))
        self._config: tuple[int, CollectionConfig, FieldIndexes] | None = None

    @property
    def segments_dir(self) -> Path:
        """Directory of the segments."""
        return self._store.segments_dir

    @contextmanager
    def view(self) -> Iterator[View]:
        """Begin a read of the newest committed state.

        Raises:
            CorruptionError: a published segment is missing.
        """
        for attempt in range(_FRESH_VIEW_TRIES):
            with self._store.read() as txn:
                head = self._store.meta.head(txn)
                generation = self._generation
                if generation.head.version != head.version:
                    with self._refreshing:
                        generation = self._generation
                        # Another thread may have moved on to a version that this transaction does not see.
                        if generation.head.version > head.version:
                            continue
                        if generation.head.version < head.version:
                            try:
                                generation = load_generation(self._store, txn, head, generation)
                            except SegmentGoneError:
                                if attempt + 1 == _FRESH_VIEW_TRIES:
                                    raise
                                continue
                            self._generation = generation
                yield View(self._store, txn, generation)
                return
        msg = f"no consistent view of collection {self.name}"
        raise CorruptionError(msg)

    def config(self) -> CollectionConfig:
        """Return the current configuration, without loading a generation."""
        return self._definitions()[0]

    def check(self, update: Update, timeout_s: int | None) -> None:
        """Refuse an update that strict mode forbids, as `write` does, without writing it.

        Raises:
            BadRequestError: a limit is exceeded.
        """
        with self._store.read() as txn:
            head = self._store.meta.head(txn)
            config, fields = self._definitions_of(txn, head)
            strict.check_timeout(timeout_s, config)
            strict.check_update(update, ReadState(self._store, txn, head, config, fields))

    def check_read(self, read: strict.Read) -> None:
        """Refuse a read that strict mode forbids.

        Raises:
            BadRequestError: a limit is exceeded.
        """
        config, fields = self._definitions()
        strict.check_read(read, config, traits_of(fields))

    def check_queries(self, searches: strict.Searches) -> None:
        """Refuse searches one of which strict mode forbids.

        Raises:
            BadRequestError: a limit is exceeded.
        """
        config, fields = self._definitions()
        strict.check_searches(searches, config, traits_of(fields))

    def charge_queries(self, config: CollectionConfig, queries: Sequence[Query]) -> None:
        """Count queries against the collection's rate, if it has one.

        Raises:
            RateLimitedError: too many reads.
        """
        if config.strict_mode_config is not None:
            self.charge_read(config, sum(strict.read_cost(query.filter) for query in queries))

    def charge_read(self, config: CollectionConfig, cost: int) -> None:
        """Count a read against the collection's rate, if it has one.

        Raises:
            RateLimitedError: too many reads.
        """
        limits = strict.limits_of(config)
        if limits is not None and limits.read_rate_limit is not None:
            self._reads.take(cost, limits.read_rate_limit)

    def write(self, updates: Sequence[Update], *, wait: bool, timeout_s: int | None) -> list[UpdateResult]:
        """Write updates in order, each atomic and independent; return their results once they are on disk.

        Args:
            updates: what to write.
            wait: whether the client is told of errors that the reference notices only when it applies.
            timeout_s: after so many seconds a waiting client is told WAIT_TIMEOUT, although the update is applied.

        Raises:
            RequestError: an update was refused; those before it are committed.
        """
        started = time.monotonic()
        if timeout_s is not None:
            strict.check_timeout(timeout_s, self.config())
        self.prepare(map(_condition_of, updates))
        seqs = self._writer.write(updates, self._transition, wait=wait)
        status = UpdateStatus.COMPLETED if wait else UpdateStatus.ACKNOWLEDGED
        if wait and timeout_s is not None and time.monotonic() - started > timeout_s:
            status = UpdateStatus.WAIT_TIMEOUT
        if wait:
            self.upkeep.fill_created(updates)
        return [UpdateResult(seq, status) for seq in seqs]

    def get(self, ids: Sequence[PointId], selectors: Selectors) -> list[Record]:
        """Return the points that exist, in the order of the first mention of their ids."""
        with self.view() as view:
            self.charge_read(view.generation.config, len(ids))
            distinct = list(dict.fromkeys(ids))
            return [
                record_of(view, point_id, slot, selectors)
                for point_id, slot in interruption.checked(
                    zip(distinct, view.slots_of(distinct), strict=True), _RECORDS_A_CHECK
                )
                if slot is not None
            ]

    def scroll(self, request: ScrollRequest) -> Page:
        """Return a page of matching points, in id order or in that of a field.

        Raises:
            WrongInputError: the field has no index that could order.
        """
        self.prepare((request.filter,))
        with self.view() as view:
            self.charge_read(view.generation.config, strict.read_cost(request.filter))
            return page(view, request)

    def count(self, condition: Filter | None) -> int:
        """Count the matching points, exactly."""
        self.prepare((condition,))
        with self.view() as view:
            self.charge_read(view.generation.config, strict.read_cost(condition))
            if condition is None:
                return view.generation.head.points
            return slot_sets.popcount(matching_slots(view, condition))

    def facet(self, key: PayloadPath, condition: Filter | None, limit: int) -> list[tuple[FacetValue, int]]:
        """Count matching points by the values of a field, most frequent first.

        Raises:
            WrongInputError: the field has no index that matches values.
        """
        self.prepare((condition,))
        with self.view() as view:
            self.charge_read(view.generation.config, strict.read_cost(condition))
            return facet(view, key, condition, limit)

    def prepare(self, conditions: Iterable[Filter | None]) -> None:
        """Create the indexes of the engine's own that filters would be answered from, before a view is taken."""
        self.upkeep.prepare(conditions, self._generation.fields)

    def info(self) -> CollectionInfo:
        """Return what the collection holds and how far the background work is."""
        with self.view() as view:
            generation = view.generation
            states = self._space_states(generation)
            error = self._store.meta.optimizer_error(view.txn)
            indexed = sum(
                state.live_rows(meta) for state in states for meta in state.segments if meta.index is not None
            )
            # Sparse vectors are searched through an index from the start, hence count as indexed.
            sparse = sum(slot_sets.popcount(generation.others[name]) for name in generation.config.sparse)
            return CollectionInfo(
                config=generation.config,
                status=_status(generation.config, states, error),
                optimizer_error=error,
                segments_count=max(1, len(generation.metas)),
                points_count=generation.head.points,
                payload_schema=_payload_schema(view),
                indexed_vectors_count=indexed + sparse,
                created_at_s=self._store.meta.created_at(view.txn),
            )

    def update_config(self, change: CollectionChange) -> None:
        """Change the configuration, all of it or nothing.

        Raises:
            WrongInputError: the change names a vector that does not exist.
        """
        with self._store.write() as txn:
            head = advanced(self._store.meta.head(txn), config=True)
            self._store.meta.put_config(txn, changed(self._store.meta.config(txn), change))
            self._store.meta.put_head(txn, head)

    def state_for_optimizer(self) -> OptimizerState:
        """Return what the optimizer plans from."""
        with self.view() as view:
            generation = view.generation
            return OptimizerState(
                version=generation.head.version,
                config=generation.config,
                spaces=tuple(self._space_states(generation)),
                next_slot=generation.head.next_slot,
            )

    def version(self) -> int:
        """Return the version of the newest committed state, cheaply."""
        with self._store.read() as txn:
            return self._store.meta.head(txn).version

    def unsealed_rows(self, number: int) -> tuple[NDArray[np.uint64], Rows]:
        """Return slots and rows of the live unsealed rows of a dense space, ascending by slot."""
        with self.view() as view:
            dense = next((found for found in view.generation.dense.values() if found.number == number), None)
            if dense is None:
                return np.zeros(0, np.uint64), np.zeros((0, 0), np.float32)
            slots, rows = dense.unsealed.slots[: dense.unsealed.count], dense.unsealed.rows[: dense.unsealed.count]
            alive = slot_sets.test(dense.live, slots)
            return slots[alive], rows[alive]

    def publish(self, number: int, add: SegmentMeta | None, remove: Sequence[str], sealed_through: int | None) -> bool:
        """Replace segments of a space by one, in one transaction.

        Args:
            number: internal number of the space.
            add: the new segment, already durable; None to add nothing.
            remove: uids of the segments whose live rows it holds.
            sealed_through: the unsealed blocks with slots up to here are dropped; None keeps all.

        Returns:
            False when the space or one of `remove` is gone: nothing was changed, discard the new segment.
        """
        with self._store.write() as txn:
            meta = self._store.meta
            segments = meta.segments(txn)
            present = {segment.uid for segment in segments}
            if number not in meta.config(txn).vector_numbers.values() or not present.issuperset(remove):
                return False
            kept = [segment for segment in segments if segment.uid not in remove]
            if add is not None:
                kept.append(add)
            meta.put_segments(txn, tuple(sorted(kept, key=lambda segment: (segment.vector, segment.first_slot))))
            if sealed_through is not None:
                self._store.vectors.drop_through(txn, number, sealed_through)
            meta.put_head(txn, advanced(meta.head(txn), segments=True))
            visit("publish.finished")
        visit("publish.committed")
        return True

    def forget_dead_readers(self) -> None:
        """Give free what reads of processes that were killed keep from being used again."""
        self._store.forget_dead_readers()

    def takes_writes(self) -> bool:
        """Tell whether no I/O error has ended writing, until the server is restarted."""
        return self._store.takes_writes()

    def segment_uids(self) -> set[str]:
        """Return the uids of the published segments."""
        with self._store.read() as txn:
            return {segment.uid for segment in self._store.meta.segments(txn)}

    def remove_orphans(self) -> list[str]:
        """Delete the directories of segments that are not published, and return their names.

        Only for the process that writes segments, while it writes none.
        """
        return remove_orphans(self.segments_dir, self.segment_uids())

    def record_optimizer_error(self, text: str | None) -> None:
        """Record the optimizer's last failure, or clear it."""
        with self._store.write() as txn:
            self._store.meta.put_optimizer_error(txn, text)

    def truncate_log(self) -> None:
        """Drop the oldest log entries beyond the retained size."""
        with self._store.read() as txn:
            if self._store.meta.head(txn).log_bytes <= self._log_bytes_max:
                return
        with self._store.write() as txn:
            head = self._store.meta.head(txn)
            size = self._store.log.truncate(txn, self._log_bytes_max // 2, head.log_bytes)
            self._store.meta.put_head(txn, replace(head, log_bytes=size))

    def renew_slots(self, spread_slots: int) -> bool:
        """Do a piece of keeping slots near each other, if any is due; tell whether one was (`engine/renewal.py`)."""
        return renew(self._store, self._transition, spread_slots)

    def capture(self, directory: Path) -> Capture:
        """Capture the newest committed state into a new directory (`engine/capture.py`)."""
        return capture(self._store, directory)

    def close(self) -> None:
        """Close the store; no request may be running."""
        self._generation = empty_generation()
        self._store.close()

    @contextmanager
    def _transition(self) -> Iterator[Transition]:
        with self._store.write() as txn:
            head = self._store.meta.head(txn)
            transition = Transition(self._store, txn, head, *self._definitions_of(txn, head), self)
            yield transition
            if transition.head is head:
                # All that was asked for is refused: a commit of nothing costs nothing, not even the sync.
                return
            visit("write.applied")
            transition.finish()
            visit("write.finished")
        visit("write.committed")

    def _definitions(self) -> tuple[CollectionConfig, FieldIndexes]:
        with self._store.read() as txn:
            return self._definitions_of(txn, self._store.meta.head(txn))

    def _definitions_of(self, txn: Txn, head: Head) -> tuple[CollectionConfig, FieldIndexes]:
        """Return configuration and field indexes of a transaction; who only writes loads no generation for them."""
        cached = self._config
        if cached is None or cached[0] != head.config_version:
            cached = self._config = head.config_version, self._store.meta.config(txn), self._store.meta.fields(txn)
        return cached[1], cached[2]

    def row(self, number: int, slot: int) -> Rows:
        """Return the row of a slot that is in a segment (for `Transition`, inside its transaction).

        The writer's transaction excludes every other, so a fresh view shows exactly the state that it builds on.
        """
        with self.view() as view:
            dense = next(found for found in view.generation.dense.values() if found.number == number)
            return dense.row(slot)

    def generation_of(self, txn: Txn, head: Head, previous: Generation | None) -> Generation:
        """Load the generation that a write transaction sees (for `Transition`); no other request gets it.

        It may append unsealed rows to arrays that it shares with the newest generation, behind what that one counts.
        Since no one else can commit, those are the rows that the next generation will append at the same places.
        """
        return load_generation(self._store, txn, head, previous or self._generation)

    def _space_states(self, generation: Generation) -> list[SpaceState]:
        return [
            SpaceState(
                name=name,
                number=dense.number,
                space=dense.space,
                hnsw=effective_hnsw(generation.config, name),
                segments=tuple(segment.meta for segment in dense.segments),
                live=dense.live,
                unsealed_rows=dense.unsealed.count,
                unsealed_bytes=dense.unsealed.count * dense.space.row_bytes,
                unusable=frozenset(
                    segment.meta.uid
                    for segment in dense.segments
                    if segment.meta.index not in {None, Kind.SCAN} and not segment.dense.indexed
                ),
            )
            for name, dense in generation.dense.items()
        ]


def _status(config: CollectionConfig, states: Sequence[SpaceState], error: str | None) -> CollectionStatus:
    if error is not None:
        return CollectionStatus.RED
    return CollectionStatus.GREEN if all(settled(config, state) for state in states) else CollectionStatus.YELLOW


def _charge_write(bucket: TokenBucket, update: Update, operation: Operation | None, state: Transition) -> None:
    """Count a write against the collection's rate, if it has one; no method, since a writer must not keep its owner."""
    limits = strict.limits_of(state.config)
    if limits is not None and limits.write_rate_limit is not None:
        bucket.take(strict.write_cost(update, operation), limits.write_rate_limit)


def _condition_of(update: Update) -> Filter | None:
    """Return the filter that an update depends on, if any."""
    match update:
        case Upsert() | UpdateVectors():
            return update.condition
        case CreateVector() | DropVector() | CreateField() | DropField():
            return None
        case _:
            return update.selector if isinstance(update.selector, Filter) else None


def _payload_schema(view: View) -> tuple[FieldInfo, ...]:
    lookup = FieldLookup(view)
    return tuple(
        FieldInfo(index.path, index.schema, lookup.points(index))
        for index in view.generation.fields.indexes
        if index.schema is not None
    )
