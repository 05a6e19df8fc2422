"""Snapshots: consistent copies of a collection, or of everything, made while writes go on.

One snapshot is made at a time in the whole server: a few more wait in each process, and further ones are refused. A
snapshot of everything holds each collection as of one operation, and names and aliases as they were at one moment at
which all of these collections had been captured. A quarantined collection is in no snapshot, and no snapshot of
everything is made without it: a backup must not lack something that nobody looks for until it is needed.
"""

from __future__ import annotations

import secrets
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from pointstore.core.errors import (
    CorruptionError,
    NotFoundError,
    RateLimitedError,
    collection_not_found,
)
from pointstore.core.failpoint import visit
from pointstore.core.interruption import check, hasten
from pointstore.storage.archive import ArchivedCollection, Manifest, write_archive
from pointstore.storage.faults import translated
from pointstore.storage.layout import CAPTURES, COLLECTIONS, RESTORES
from pointstore.storage.snapshot_files import SnapshotFiles

if TYPE_CHECKING:
    from pointstore.core.snapshot import SnapshotInfo
    from pointstore.engine.capture import Capture
    from pointstore.engine.engine import Engine
    from pointstore.storage.catalog import Names
    from pointstore.storage.snapshot_files import Shelf

WAITING_MAX = 4
"""Snapshots that one process makes or lets wait; each holds one of its threads."""
_RETRY_S = 5
_ROUNDS = 20


def remove_leftovers(data_dir: Path, snapshots_dir: Path) -> list[str]:
    """Delete what snapshots and restores that a crash ended have left; return the names. For the start."""
    remove_captures(data_dir)
    return SnapshotFiles(snapshots_dir).remove_leftovers()


def remove_captures(data_dir: Path) -> None:
    """Delete what was captured or unpacked in a data directory that no server uses."""
    for name in (CAPTURES, RESTORES):
        shutil.rmtree(data_dir / name, ignore_errors=True)


class Snapshots:
    """All snapshots of a server. Thread-safe; every process has one.

    Args:
        engine: gives the collections.
        snapshots_dir: created when it is needed.
        version: of this program, for the archives.
    """

    def __init__(self, engine: Engine, snapshots_dir: Path, version: str) -> None:
        self._engine = engine
        self._version = version
        self._files = SnapshotFiles(snapshots_dir)
        self._captures = engine.data_dir / CAPTURES
        self._slots = threading.BoundedSemaphore(WAITING_MAX)

    def create(self, name: str, proceed: Callable[[], None] = check) -> SnapshotInfo:
        """Make a snapshot of a collection, given by name or alias; every operation completed before is in it.

        Args:
            name: of the collection.
            proceed: called again and again; may raise to end the work, which leaves nothing behind. By default the work
                ends with the call of this thread.

        Raises:
            NotFoundError: there is no such collection.
            QuarantinedError: it must not be used.
            CorruptionError: a file of it is damaged.
            RateLimitedError: too many snapshots are waited for.
            InsufficientStorageError: disk full.
            UnavailableError: an I/O error, or too many open files; the same of every method here.
            BadRequestError: there is more of it than a snapshot may list.
            CallCancelledError, OperationTimeoutError: the call is over.
        """
        # One that there is not need not wait.
        _real_name(self._engine.names(), name)
        with self._work(proceed) as work:
            # What the name stands for when its turn has come.
            names = self._engine.names()
            real = _real_name(names, name)
            captured = self._captured(real, names.collections[real], work)
            if captured is None:
                raise collection_not_found(name)
            aliases = {alias: real for alias, target in names.aliases.items() if target == real}
            content = _Content("collection", [(real, captured)], aliases, work)
            return self._publish(self._files.of_collection(real), f"-{self._engine.peer_id}", content, proceed)

    def create_full(self, proceed: Callable[[], None] = check) -> SnapshotInfo:
        """Make a snapshot of all collections and aliases; every operation completed before is in it.

        Raises:
            QuarantinedError: a collection must not be used; the text names it.
            CorruptionError, RateLimitedError, InsufficientStorageError, BadRequestError, CallCancelledError,
                OperationTimeoutError: as for one collection.
        """
        with self._work(proceed) as work:
            names, captured = self._capture_all(work, proceed)
            found = [(name, captured[uid]) for name, uid in sorted(names.collections.items()) if uid in captured]
            present = {name for name, _ in found}
            aliases = {alias: target for alias, target in names.aliases.items() if target in present}
            return self._publish(self._files.full(), "", _Content("full", found, aliases, work), proceed)

    def of_collection(self, name: str) -> list[SnapshotInfo]:
        """Return the snapshots of a collection, given by name or alias, the oldest first.

        Raises:
            NotFoundError: there is no such collection.
        """
        with self._translated():
            return self._files.of_collection(_real_name(self._engine.names(), name)).snapshots()

    def full(self) -> list[SnapshotInfo]:
        """Return the snapshots of everything, the oldest first."""
        with self._translated():
            return self._files.full().snapshots()

    def delete(self, name: str, snapshot: str) -> None:
        """Delete a snapshot of a collection, given by name or alias.

        Raises:
            NotFoundError: there is no such collection or snapshot.
        """
        with self._translated():
            _delete(self._files.of_collection(_real_name(self._engine.names(), name)), snapshot)

    def delete_full(self, snapshot: str) -> None:
        """Delete a snapshot of everything.

        Raises:
            NotFoundError: there is no such snapshot.
        """
        with self._translated():
            _delete(self._files.full(), snapshot)

    def _translated(self) -> AbstractContextManager[None]:
        """Turn what the operating system refuses into errors of ours; no environment is in doubt after it."""
        return translated(self._files.root)

    @contextmanager
    def _work(self, proceed: Callable[[], None]) -> Iterator[Path]:
        """Wait for the turn; yield a new directory for captured files, which is removed in the end."""
        if not self._slots.acquire(blocking=False):
            raise RateLimitedError("Too many snapshots are being made, try again later", _RETRY_S)
        hasten()
        try:
            with self._translated(), self._files.turn(proceed):
                # Whoever had the turn before and died left its files here.
                self._files.remove_unfinished()
                shutil.rmtree(self._captures, ignore_errors=True)
                work = self._captures / secrets.token_hex(8)
                work.mkdir(parents=True)
                try:
                    yield work
                finally:
                    shutil.rmtree(self._captures, ignore_errors=True)
        finally:
            self._slots.release()

    def _captured(self, name: str, uid: str, work: Path) -> Capture | None:
        """Capture a collection; None when it was dropped."""
        try:
            return self._engine.collection_of(name, uid).capture(work / uid)
        except NotFoundError:
            return None
        except CorruptionError:
            # Its segments go with it.
            if uid in self._engine.names().collections.values():
                raise
            return None

    def _capture_all(self, work: Path, proceed: Callable[[], None]) -> tuple[Names, dict[str, Capture]]:
        """Capture every collection; return the names as they were at a moment after that, and captures by uid."""
        captured: dict[str, Capture] = {}
        for _ in range(_ROUNDS):
            names = self._engine.names()
            for name, uid in names.collections.items():
                proceed()
                if uid not in captured and (found := self._captured(name, uid, work)) is not None:
                    captured[uid] = found
            if self._engine.names().version == names.version:
                break
        return names, captured

    def _publish(self, shelf: Shelf, middle: str, content: _Content, proceed: Callable[[], None]) -> SnapshotInfo:
        """Write the archive of what was captured, and make it visible under the next free name."""
        collections: list[ArchivedCollection] = []
        for number, (name, captured) in enumerate(content.found):
            proceed()
            prefix = f"{COLLECTIONS}/{number}/"
            directory = content.work / prefix
            directory.parent.mkdir(exist_ok=True)
            collections.append(captured.moved(directory).described(name, prefix))
        visit("snapshot.described")

        def write(file: BinaryIO, created_at_s: int) -> str:
            manifest = Manifest(content.kind, self._version, created_at_s, tuple(collections), content.aliases)
            return write_archive(file, manifest, content.work, proceed)

        return shelf.create(middle, write, proceed)


@dataclass(frozen=True, slots=True)
class _Content:
    """What goes into a snapshot: collections by name, in order, captured below `work`."""

    kind: Literal["collection", "full"]
    found: list[tuple[str, Capture]]
    aliases: dict[str, str]
    work: Path


def _real_name(names: Names, name: str) -> str:
    real = names.resolve(name)
    if real is None:
        raise collection_not_found(name)
    return real


def _delete(shelf: Shelf, snapshot: str) -> None:
    if not shelf.delete(snapshot):
        msg = f"Snapshot {snapshot} not found"
        raise NotFoundError(msg)
