"""The work of the optimizer process: does what `engine/plan.py` says is next.

Every task has the same shape: read rows, write a segment durably, publish it in one short transaction, delete what it
replaced. Readers never wait for any of it; a task that is interrupted anywhere leaves at most an unpublished directory,
which the next optimizer removes. A collection that takes no writes after an I/O error is left alone.
Seals run in the loop's own thread; the long tasks run one after the other in a second thread, so that unsealed rows
do not pile up during a build. What takes the store's write lock runs in a third, which has the priority of a worker:
writers would wait for as long as it takes a process of the lowest priority to get some time.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
import structlog

from pointstore.core.errors import InsufficientStorageError, NotFoundError, QuarantinedError
from pointstore.core.priority import PromptThread
from pointstore.engine.graphs import Graphs, Sources, StoppedError
from pointstore.engine.plan import Compact, Limits, OptimizerState, Seal, SpaceState, plan
from pointstore.storage.segments import (
    SegmentMeta,
    remove_segment,
    repair_segment,
    write_segment,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from numpy.typing import NDArray

    from pointstore.config import OptimizerSettings
    from pointstore.core.space import Rows
    from pointstore.engine.field_upkeep import FieldUpkeep
    from pointstore.engine.view import View
    from pointstore.storage.catalog import Names

IDLE_S: Final = 0.5
"""Seconds without a write after which a collection counts as idle."""

_WATCH_S: Final = 0.1
_BACKOFF_S: Final = (1.0, 300.0)
_FIELDS_S: Final = 1.0
_SLOTS_S: Final = 1.0
_RENEWALS_A_LOOK: Final = 8
_NO_ROOM_S: Final = 60.0

_log = structlog.get_logger(__name__)


class OptimizedCollection(Protocol):
    """What the optimizer needs of a collection; `engine.collection.Collection` is the one there is."""

    name: str

    @property
    def segments_dir(self) -> Path:
        """Directory of the segments."""

    def version(self) -> int:
        """Return the version of the newest committed state, cheaply."""

    def state_for_optimizer(self) -> OptimizerState:
        """Return one consistent state."""

    def unsealed_rows(self, number: int) -> tuple[NDArray[np.uint64], Rows]:
        """Return slots and rows of the live unsealed rows of a space, ascending by slot."""

    def publish(self, number: int, add: SegmentMeta | None, remove: Sequence[str], sealed_through: int | None) -> bool:
        """Replace segments and drop sealed blocks in one transaction; False when they are not there any more."""

    def forget_dead_readers(self) -> None:
        """Give free what reads of processes that were killed keep from being used again."""

    def takes_writes(self) -> bool:
        """Tell whether no I/O error has ended writing."""

    def segment_uids(self) -> set[str]:
        """Return the uids of the published segments."""

    def remove_orphans(self) -> list[str]:
        """Delete the directories of segments that are not published, and return their names."""

    def record_optimizer_error(self, text: str | None) -> None:
        """Record the last failure, or clear it."""

    def truncate_log(self) -> None:
        """Drop the oldest log entries beyond the retained size."""

    def renew_slots(self, spread_slots: int) -> bool:
        """Do a piece of keeping the slots of live points near each other; tell whether there was something to do."""

    @property
    def upkeep(self) -> FieldUpkeep:
        """What tends the field indexes."""

    def view(self) -> AbstractContextManager[View]:
        """Begin a read of the newest state."""


class OptimizedEngine(Protocol):
    """What the optimizer needs of the engine."""

    def names(self) -> Names:
        """Return the catalog as it is now."""

    def collection_of(self, name: str, uid: str) -> OptimizedCollection:
        """Return the collection of an entry of `names`; an error when it is gone, quarantined, or cannot be opened."""


class ServerSettings(Protocol):
    """The part of the settings that matters here."""

    @property
    def optimizer(self) -> OptimizerSettings:
        """Settings of this process."""


@dataclass(slots=True)
class _Watched:
    """What the loop remembers of a collection between two looks.

    Attributes:
        version: the newest version seen; -1 before the first look.
        written_at: when a version was first seen that is not the optimizer's own, in seconds of the monotonic clock.
        settled: nothing was left to do at `version`.
        failures: consecutive failed tasks.
        retry_at: no task before this time.
        failed: an error is recorded in the collection.
        fields_due: field indexes may need something.
        fields_at: when they were last looked after.
        unfilled: field indexes that were not ready then.
        slots_due: slots of live points may lie too far from each other.
        slots_at: nothing is done about that before this time.
    """

    version: int = -1
    written_at: float = 0.0
    settled: bool = False
    failures: int = 0
    retry_at: float = 0.0
    failed: bool = True
    fields_due: bool = False
    fields_at: float = 0.0
    unfilled: set[int] = field(default_factory=set)
    slots_due: bool = False
    slots_at: float = 0.0


class Optimizer:
    """The loop over all collections of a server; to be made before its process gives way to others.

    Args:
        settings: of the server.
        engine: used by this process alone.
    """

    def __init__(self, settings: ServerSettings, engine: OptimizedEngine) -> None:
        self._settings = settings.optimizer
        self._limits = Limits(settings.optimizer.seal_bytes, settings.optimizer.tail_bytes)
        self._engine = engine
        self._watched: dict[str, _Watched] = {}
        self._builder_thread = ThreadPoolExecutor(1, thread_name_prefix="build")
        self._promptly = PromptThread()
        self._running: Future[None] | None = None
        self._graphs = Graphs(settings.optimizer.threads)
        self._stop = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set; a build ends within about a second then."""
        self._stop = stop
        try:
            while not stop.is_set():
                stop.wait(self.step())
        finally:
            self._builder_thread.shutdown()
            self._promptly.close()

    def step(self) -> float:
        """Look once at every collection and do or start what is next; return the seconds until the next look."""
        try:
            collections = self._engine.names().collections
        except Exception:  # noqa: BLE001  the only process that compacts must outlive any failure
            _log.exception("cannot list the collections")
            return self._settings.poll_interval_s
        waits = [self._visit(name, uid) for name, uid in collections.items()]
        present = set(collections.values())
        self._watched = {uid: watched for uid, watched in self._watched.items() if uid in present}
        if self._running is None:
            self._graphs.forget_old()
        return min([self._settings.poll_interval_s, *waits])

    def wait(self) -> None:
        """Wait until the running build has ended."""
        if self._running is not None:
            self._running.result()

    def _visit(self, name: str, uid: str) -> float:
        """Do or start the next task of a collection; return the seconds until the next look."""
        watched = self._watched.setdefault(uid, _Watched())
        if self._running is not None and self._running.done():
            self._running = None
        now = time.monotonic()
        if now < watched.retry_at:
            return watched.retry_at - now
        try:
            collection = self._collection(name, uid, new=watched.version < 0)
        except (QuarantinedError, NotFoundError):
            return self._settings.poll_interval_s
        except Exception as error:  # noqa: BLE001  no reason to do without the others
            self._put_off(name, watched, error)
            return self._settings.poll_interval_s
        try:
            return self._look(collection, watched, now)
        except Exception as error:  # noqa: BLE001  the only process that compacts must outlive any failure
            self._failed(collection, watched, error)
            return self._settings.poll_interval_s

    def _collection(self, name: str, uid: str, *, new: bool) -> OptimizedCollection:
        if new:
            # To open one takes the lock of its writers.
            return self._promptly(self._engine.collection_of, name, uid)
        return self._engine.collection_of(name, uid)

    def _look(self, collection: OptimizedCollection, watched: _Watched, now: float) -> float:
        if not collection.takes_writes():
            return self._settings.poll_interval_s
        version = collection.version()
        if watched.version < 0:
            # What an optimizer that died has left: this one writes all segments, and has written none here yet.
            for orphan in collection.remove_orphans():
                _log.info("removed an unpublished segment", collection=collection.name, directory=orphan)
        if version != watched.version:
            watched.version, watched.written_at, watched.settled = version, now, False
            collection.forget_dead_readers()
            self._promptly(collection.truncate_log)
            watched.fields_due = watched.slots_due = True
        if watched.fields_due and now - watched.fields_at >= _FIELDS_S:
            self._tend_fields(collection, watched)
        if watched.slots_due and now >= watched.slots_at:
            self._renew_slots(collection, watched)
        if watched.settled:
            return self._settings.poll_interval_s
        return self._work(collection, watched, idle=now - watched.written_at >= IDLE_S)

    def _tend_fields(self, collection: OptimizedCollection, watched: _Watched) -> None:
        """Fill indexes whose creator did not, and join blocks of indexes."""
        unfilled = set(collection.upkeep.unfilled())
        for number in unfilled & watched.unfilled:
            self._promptly(collection.upkeep.fill, number)
        self._promptly(collection.upkeep.drop_unused)
        self._promptly(collection.upkeep.compact, collection.view)
        watched.fields_at = time.monotonic()
        # One that is still new gets a second look: whoever created it is probably at it.
        watched.unfilled = unfilled
        watched.fields_due = bool(unfilled)

    def _renew_slots(self, collection: OptimizedCollection, watched: _Watched) -> None:
        try:
            spread = self._settings.spread_slots
            watched.slots_due = all(self._promptly(collection.renew_slots, spread) for _ in range(_RENEWALS_A_LOOK))
            if not watched.slots_due:
                watched.slots_at = time.monotonic() + _SLOTS_S
        except InsufficientStorageError as error:
            # Nothing is wrong with a collection whose filters take longer than they could.
            _log.warning("slots are left as they are for a while", collection=collection.name, reason=str(error))
            watched.slots_at = time.monotonic() + _NO_ROOM_S

    def _work(self, collection: OptimizedCollection, watched: _Watched, *, idle: bool) -> float:
        state = collection.state_for_optimizer()
        settled = idle and state.version == watched.version
        wait = _WATCH_S
        for space in state.spaces:
            task = plan(state.config, space, self._limits, idle=idle)
            if task is None:
                continue
            settled = False
            if isinstance(task, Seal):
                self._seal(collection, space, state.next_slot)
                self._succeeded(collection, watched)
                wait = 0.0
            elif self._running is None:
                self._running = self._builder_thread.submit(self._compact_safely, collection, watched, space, task)
        watched.settled = settled and self._running is None
        if watched.settled and watched.failed:
            # The task that failed in an earlier process is not needed any more.
            self._promptly(collection.record_optimizer_error, None)
            watched.failed = False
        return self._settings.poll_interval_s if watched.settled else wait

    def _seal(self, collection: OptimizedCollection, space: SpaceState, next_slot: int) -> None:
        """Write the unsealed rows of a space to a flat segment."""
        slots, rows = collection.unsealed_rows(space.number)
        meta = None
        sealed_through = next_slot - 1
        if slots.size:
            # Blocks whose rows are all dead go too: what was unsealed at `next_slot` is in `slots` or dead.
            sealed_through = max(sealed_through, int(slots[-1]))
            meta = write_segment(collection.segments_dir, space.number, space.space, slots, [rows])
        self._publish(collection, space.number, meta, (), sealed_through)
        _log.debug("sealed", collection=collection.name, vector=space.name, rows=int(slots.size))

    def _compact_safely(
        self, collection: OptimizedCollection, watched: _Watched, space: SpaceState, task: Compact
    ) -> None:
        try:
            started = time.monotonic()
            self._compact(collection, space, task)
            _log.info(
                "compacted",
                collection=collection.name,
                vector=space.name,
                reason=task.reason,
                rows=sum(source.rows for source in task.sources),
                seconds=round(time.monotonic() - started, 3),
            )
            self._succeeded(collection, watched)
        except StoppedError:
            _log.info("a build was interrupted", collection=collection.name, vector=space.name)
        except Exception as error:  # noqa: BLE001  the only process that compacts must outlive any failure
            self._failed(collection, watched, error)

    def _compact(self, collection: OptimizedCollection, space: SpaceState, task: Compact) -> None:
        """Replace segments by one that holds their rows."""
        root = collection.segments_dir
        # Damage must not be copied under a fresh checksum.
        usable = [repair_segment(root, source) for source in task.sources]
        rows = Sources(root, space, task, extend=task.extend and usable[0])
        removed = [source.uid for source in task.sources]
        meta = None
        builder = None
        if rows.slots.size:
            index = None
            if task.index:
                index, builder = self._graphs.index(root, space, rows, self._stop)
            meta = write_segment(root, space.number, space.space, rows.slots, rows.blocks(), index)
        if not self._publish(collection, space.number, meta, removed, None):
            return
        for uid in removed:
            remove_segment(root, uid)
        if builder is not None and meta is not None:
            self._graphs.keep(meta, builder)

    def _publish(
        self,
        collection: OptimizedCollection,
        number: int,
        add: SegmentMeta | None,
        remove: Sequence[str],
        sealed_through: int | None,
    ) -> bool:
        """Publish a segment, or remove it when it is not: each retry would leave another one."""
        try:
            published = self._promptly(collection.publish, number, add, remove, sealed_through)
        except Exception:
            # A commit that seemed to fail may have named it after all. Who cannot tell leaves it to the next optimizer.
            if add is not None and add.uid not in collection.segment_uids():
                with suppress(OSError):
                    remove_segment(collection.segments_dir, add.uid)
            raise
        if not published and add is not None:
            remove_segment(collection.segments_dir, add.uid)
        return published

    def _succeeded(self, collection: OptimizedCollection, watched: _Watched) -> None:
        """Note a published task: its own change of the version is no write."""
        watched.failures, watched.retry_at = 0, 0.0
        if watched.failed:
            self._promptly(collection.record_optimizer_error, None)
            watched.failed = False
        watched.version = collection.version()

    def _failed(self, collection: OptimizedCollection, watched: _Watched, error: Exception) -> None:
        """Record a failure and put off the next attempt, unless the collection was dropped meanwhile."""
        if _is_gone(collection.segments_dir.parent):
            return
        self._put_off(collection.name, watched, error)
        try:
            self._promptly(collection.record_optimizer_error, f"{type(error).__name__}: {error}")
            watched.failed = True
        except Exception:  # noqa: BLE001  the only process that compacts must outlive any failure
            _log.exception("cannot record an optimizer error", collection=collection.name)

    def _put_off(self, name: str, watched: _Watched, error: Exception) -> None:
        """Put off the next attempt, each time for twice as long."""
        wait = min(_BACKOFF_S[0] * 2**watched.failures, _BACKOFF_S[1])
        watched.failures += 1
        watched.retry_at = time.monotonic() + wait
        watched.settled = False
        _log.error("an optimizer task failed", collection=name, retry_in_s=wait, exc_info=error)


def _is_gone(path: Path) -> bool:
    with suppress(OSError):
        return not path.is_dir()
    # A file system that does not even answer.
    return False
