"""One collection in one process: its store, the cached snapshot, reads and writes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pointstore.core.catalog import CollectionChange, CollectionInfo, CollectionStatus
from pointstore.core.errors import CorruptionError, QuarantinedError
from pointstore.core.failpoint import visit
from pointstore.core.filter import Filter
from pointstore.core.operation import Operation
from pointstore.core.point import PointId
from pointstore.core.query import Page, Record, ScrollRequest, Selectors
from pointstore.core.schema import CollectionConfig, effective_hnsw
from pointstore.core.space import Rows, space_of
from pointstore.core.update import Update, UpdateResult, UpdateStatus
from pointstore.engine import filtering, strict
from pointstore.engine.configure import changed
from pointstore.engine.plan import OptimizerState, SpaceState, settled
from pointstore.engine.rate_limit import TokenBucket
from pointstore.engine.transition import Transition
from pointstore.engine.usage import ReadState
from pointstore.engine.view import Snapshot, View, empty_snapshot, load_snapshot
from pointstore.engine.writer import Writer
from pointstore.index import slots as slot_sets
from pointstore.index.dense import Kind
from pointstore.index.slots import Bits
from pointstore.storage.collection import CollectionStore
from pointstore.storage.env import Txn
from pointstore.storage.keys import POINTS_SPACE
from pointstore.storage.meta import Head, advanced
from pointstore.storage.segments import SegmentGoneError, SegmentMeta

LOG_BYTES_MAX = 32 << 20
"""Size from which the optimizer cuts the log to its half."""
_LOG_SHARE_MAX = 8
"""The same as one part in so many of the store's map, when that is smaller."""

QUARANTINE = "QUARANTINE"
"""File in a collection's directory that tells why it must not be used (see `engine/recover.py`)."""

_FRESH_VIEW_TRIES = 20


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
        self._snapshot = empty_snapshot()
        self._refreshing = threading.Lock()
        self._reads = TokenBucket(path / "read_rate", "Read")
        self._writer = Writer(strict.check_update, partial(_charge_write, TokenBucket(path / "write_rate", "Write")))
        self._config: tuple[int, CollectionConfig] | None = None

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
                snapshot = self._snapshot
                if snapshot.head.version != head.version:
                    with self._refreshing:
                        snapshot = self._snapshot
                        # Another thread may have moved on to a version that this transaction does not see.
                        if snapshot.head.version > head.version:
                            continue
                        if snapshot.head.version < head.version:
                            try:
                                snapshot = load_snapshot(self._store, txn, head, snapshot)
                            except SegmentGoneError:
                                if attempt + 1 == _FRESH_VIEW_TRIES:
                                    raise
                                continue
                            self._snapshot = snapshot
                yield View(self._store, txn, snapshot)
                return
        msg = f"no consistent view of collection {self.name}"
        raise CorruptionError(msg)

    def config(self) -> CollectionConfig:
        """Return the current configuration, without loading a snapshot."""
        with self._store.read() as txn:
            return self._config_of(txn, self._store.meta.head(txn))

    def check(self, update: Update, timeout_s: int | None) -> None:
        """Refuse an update that strict mode forbids, as `write` does, without writing it.

        Raises:
            BadRequestError: a limit is exceeded.
        """
        with self._store.read() as txn:
            head = self._store.meta.head(txn)
            config = self._config_of(txn, head)
            strict.check_timeout(timeout_s, config)
            strict.check_update(update, ReadState(self._store, txn, head, config))

    def check_read(self, read: strict.Read) -> None:
        """Refuse a read that strict mode forbids.

        Raises:
            BadRequestError: a limit is exceeded.
        """
        strict.check_read(read, self.config())

    def check_queries(self, searches: strict.Searches) -> None:
        """Refuse searches one of which strict mode forbids.

        Raises:
            BadRequestError: a limit is exceeded.
        """
        strict.check_searches(searches, self.config())

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
        seqs = self._writer.write(updates, self._transition, wait=wait)
        status = UpdateStatus.COMPLETED if wait else UpdateStatus.ACKNOWLEDGED
        if wait and timeout_s is not None and time.monotonic() - started > timeout_s:
            status = UpdateStatus.WAIT_TIMEOUT
        return [UpdateResult(seq, status) for seq in seqs]

    def get(self, ids: Sequence[PointId], selectors: Selectors) -> list[Record]:
        """Return the points that exist, in the order of the first mention of their ids."""
        with self.view() as view:
            self.charge_read(view.snapshot.config, len(ids))
            distinct = list(dict.fromkeys(ids))
            return [
                _record(view, point_id, slot, selectors)
                for point_id, slot in zip(distinct, view.slots_of(distinct), strict=True)
                if slot is not None
            ]

    def scroll(self, request: ScrollRequest) -> Page:
        """Return a page of matching points in id order."""
        with self.view() as view:
            self.charge_read(view.snapshot.config, strict.read_cost(request.filter))
            matching = None if request.filter is None else _matching(view, request.filter)
            records: list[Record] = []
            for point_id, slot in view.store.points.scan(view.txn, request.offset):
                if matching is not None and not matching[slot >> 3] >> (slot & 7) & 1:
                    continue
                if len(records) == request.limit:
                    return Page(records, point_id)
                records.append(_record(view, point_id, slot, request.selectors))
            return Page(records, None)

    def count(self, condition: Filter | None) -> int:
        """Count the matching points, exactly."""
        with self.view() as view:
            self.charge_read(view.snapshot.config, strict.read_cost(condition))
            if condition is None:
                return view.snapshot.head.points
            return slot_sets.popcount(_matching(view, condition))

    def info(self) -> CollectionInfo:
        """Return what the collection holds and how far the background work is."""
        with self.view() as view:
            snapshot = view.snapshot
            states = self._space_states(snapshot)
            error = self._store.meta.optimizer_error(view.txn)
            indexed = sum(state.live_rows(meta) for state in states for meta in state.segments if meta.index is not None)
            # Sparse vectors are searched through an index from the start, hence count as indexed.
            sparse = sum(slot_sets.popcount(snapshot.others[name]) for name in snapshot.config.sparse)
            return CollectionInfo(
                config=snapshot.config,
                status=_status(snapshot.config, states, error),
                optimizer_error=error,
                segments_count=max(1, len(snapshot.metas)),
                points_count=snapshot.head.points,
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
            snapshot = view.snapshot
            return OptimizerState(
                version=snapshot.head.version,
                config=snapshot.config,
                spaces=tuple(self._space_states(snapshot)),
                next_slot=snapshot.head.next_slot,
            )

    def version(self) -> int:
        """Return the version of the newest committed state, cheaply."""
        with self._store.read() as txn:
            return self._store.meta.head(txn).version

    def unsealed_rows(self, number: int) -> tuple[NDArray[np.uint64], Rows]:
        """Return slots and rows of the live unsealed rows of a dense space, ascending by slot."""
        with self.view() as view:
            dense = next((found for found in view.snapshot.dense.values() if found.number == number), None)
            if dense is None:
                return np.zeros(0, np.uint64), np.zeros((0, 0), np.float32)
            slots, rows = dense.unsealed.slots[: dense.unsealed.count], dense.unsealed.rows[: dense.unsealed.count]
            alive = slot_sets.test(dense.live, slots)
            return slots[alive], rows[alive]

    def publish(
        self, number: int, add: SegmentMeta | None, remove: Sequence[str], sealed_through: int | None
    ) -> bool:
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

    def close(self) -> None:
        """Close the store; no request may be running."""
        self._snapshot = empty_snapshot()
        self._store.close()

    @contextmanager
    def _transition(self) -> Iterator[Transition]:
        with self._store.write() as txn:
            head = self._store.meta.head(txn)
            transition = Transition(self._store, txn, head, self._config_of(txn, head), self)
            yield transition
            if transition.head is head:
                # All that was asked for is refused: a commit of nothing costs nothing, not even the sync.
                return
            visit("write.applied")
            transition.finish()
            visit("write.finished")
        visit("write.committed")

    def _config_of(self, txn: Txn, head: Head) -> CollectionConfig:
        """Return the configuration as of a transaction; a process that only writes never loads a snapshot with it."""
        cached = self._config
        if cached is None or cached[0] != head.config_version:
            cached = self._config = head.config_version, self._store.meta.config(txn)
        return cached[1]

    def row(self, number: int, slot: int) -> Rows:
        """Return the row of a slot that is in a segment (for `Transition`, inside its transaction).

        The writer's transaction excludes every other, so a fresh view shows exactly the state that it builds on.
        """
        with self.view() as view:
            dense = next(found for found in view.snapshot.dense.values() if found.number == number)
            return dense.row(slot)

    def _space_states(self, snapshot: Snapshot) -> list[SpaceState]:
        return [
            SpaceState(
                name=name,
                number=dense.number,
                space=dense.space,
                hnsw=effective_hnsw(snapshot.config, name),
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
            for name, dense in snapshot.dense.items()
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


def _matching(view: View, condition: Filter) -> Bits:
    return filtering.evaluate(condition, view.snapshot.live, view.slots_of)


def _record(view: View, point_id: PointId, slot: int, selectors: Selectors) -> Record:
    vectors = view.vectors(slot, selectors.vectors)
    if not selectors.payload.enable:
        return Record(point_id, b"", vectors)
    return Record(point_id, view.payload(view.record(slot, point_id), selectors.payload), vectors)
