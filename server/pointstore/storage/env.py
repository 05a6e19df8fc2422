"""One LMDB environment: how it is opened, and how its failures become errors of ours.

Default durability flags only: every other setting was measured to lose acknowledged transactions. The first I/O error
of a commit marks the environment for all processes (`storage/poison.py`), since a later commit would succeed although
pages may be gone; only a start clears it. An environment must not be opened twice in a process nor carried across a
fork.

A data file has blocks to spare that only transactions get which free space: those that store more call `reserve` at
their end, and are refused when the disk has none left for it. So on a full disk points can be deleted and collections
dropped.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from math import inf
from pathlib import Path
from types import TracebackType
from typing import NewType, Protocol, cast

import lmdb

from pointstore.core.errors import (
    CorruptionError,
    InsufficientStorageError,
    PointstoreError,
    ReadOnlyError,
)
from pointstore.storage.directories import sync_directory
from pointstore.storage.faults import NO_SPACE_TEXT, fault, is_full, translated
from pointstore.storage.layout import INTERRUPTED
from pointstore.storage.poison import MARKS
from pointstore.storage.write_lock import WriteLock

Database = NewType("Database", object)
"""Handle of a named database."""


class Cursor(Protocol):
    """What is used of a cursor; keys and values are copies."""

    def first(self) -> bool: ...
    def last(self) -> bool: ...
    def prev(self) -> bool: ...
    def set_range(self, key: bytes) -> bool: ...
    def key(self) -> bytes: ...
    def value(self) -> bytes: ...
    def delete(self) -> bool: ...
    def iternext(self) -> Iterator[tuple[bytes, bytes]]: ...
    def getmulti(self, keys: Sequence[bytes]) -> list[tuple[bytes, bytes]]: ...
    def putmulti(
        self, items: Sequence[tuple[bytes, bytes]], *, overwrite: bool = True, append: bool = False
    ) -> object: ...


class Txn(Protocol):
    """What is used of a transaction; it belongs to the thread that began it, and values are copies."""

    def get(self, key: bytes, *, db: Database) -> bytes | None: ...
    def put(self, key: bytes, value: bytes, *, append: bool = False, db: Database) -> bool: ...
    def delete(self, key: bytes, *, db: Database) -> bool: ...
    def cursor(self, db: Database) -> Cursor: ...
    def stat(self, db: Database) -> dict[str, int]: ...
    def id(self) -> int: ...


MAX_READERS = 4096
_SPARE_READERS = 64
_DATA_FILE = "data.mdb"
_LOCK_FILE = "lock.mdb"
# 64 bytes a reader, and a page for the header.
_LOCK_FILE_BYTES = MAX_READERS * 64 + 4096
_UNUSED_KEY = b"\xff" * 16
_BLOCK_BYTES = 512
_RESERVE_BYTES = 1 << 18
"""What is kept behind the end of the data file: several times the pages that the deletion of a few points changes."""
_REST_SHARE = 16
"""One part in so many of the map is left for what frees space while free pages are still read."""
_PINNED_COMMITS = 16
"""An open read that is so many commits old keeps enough free pages from use to matter."""
_AHEAD_SHARE = 16
_AHEAD_BYTES_MIN = 1 << 16
_AHEAD_BYTES_MAX = 1 << 24
"""More is taken at once, one part in so many of the file, so that not every transaction has to."""
_DAMAGE = (
    lmdb.CorruptedError,
    lmdb.PageNotFoundError,
    lmdb.BadTxnError,
    lmdb.CursorFullError,
    lmdb.PageFullError,
    lmdb.InvalidError,
)
"""What LMDB says of pages that cannot be; of a transaction that has met one it says that it is bad."""


class Environment:
    """An open environment with named databases.

    Thread-safe; a transaction belongs to the thread that began it.

    Args:
        path: its directory.
        map_size: bound of the data file in bytes; reserved as address space only.
        databases: names of the databases to open. They are made with a new environment, and never in another one: there
            a missing one is damage, not a wish.
        create: make the environment if it is missing; that is an error otherwise.
        added: those of the databases that are made in an older environment, too.
        read_only: touch nothing, not even the lock file: only where no other process has it open.

    Raises:
        InsufficientStorageError: no space for a new environment.
        UnavailableError: an I/O error, or too many open files.
        CorruptionError: a database is missing.
        StorageError: it cannot be opened for another reason.
    """

    def __init__(  # noqa: PLR0913  what may be made
        self,
        path: Path,
        map_size: int,
        databases: tuple[str, ...],
        *,
        create: bool = True,
        added: tuple[str, ...] = (),
        read_only: bool = False,
    ) -> None:
        self.path = path
        self._allocated = 0
        try:
            if create:
                path.mkdir(parents=True, exist_ok=True)
            else:
                # LMDB would make the file; its own option is about the directory.
                (path / _DATA_FILE).stat()
            # LMDB maps it with holes, and to fill a hole on a full disk kills the process.
            if not read_only and not _is_allocated(path / _LOCK_FILE, _LOCK_FILE_BYTES):
                _allocate(path / _LOCK_FILE, _LOCK_FILE_BYTES)
            # What was opened of an environment that cannot be is closed, or the next attempt finds it open.
            with ExitStack() as opened:
                self._write_lock = None if read_only else opened.enter_context(closing(WriteLock(path / _LOCK_FILE)))
                self._env = lmdb.open(
                    str(path),
                    map_size=map_size,
                    max_dbs=len(databases),
                    max_readers=MAX_READERS,
                    max_spare_txns=_SPARE_READERS,
                    create=False,
                    readonly=read_only,
                    lock=not read_only,
                )
                opened.callback(self._env.close)
                if self._write_lock is not None:
                    self._env.reader_check()
                    with self._env.begin(write=True):
                        self._write_lock.locate()
                # Or the first process to make it died before it had made any.
                created = create and not self._env.stat()["entries"]
                if missing := databases if created else added:
                    with self._env.begin(write=True) as txn:
                        for name in missing:
                            self._env.open_db(name.encode(), txn=txn)
                self._databases = {name: self._opened(name) for name in databases}
                if created:
                    # LMDB syncs the file, but not its name.
                    sync_directory(path)
                    sync_directory(path.parent)
                self._resources = opened.pop_all()
        except (lmdb.Error, OSError) as error:
            failure = fault(error, path)
            if isinstance(failure, InsufficientStorageError):
                raise failure from error
            raise type(failure)(f"cannot open {path}: {error}") from error

    def _opened(self, name: str) -> Database:
        try:
            return Database(self._env.open_db(name.encode(), create=False))
        except lmdb.NotFoundError as error:
            msg = f"{self.path}: database {name} is missing"
            raise CorruptionError(msg) from error

    def used_bytes(self, txn: Txn) -> int:
        """Return the size of what the databases hold in this transaction, free pages and the list of them left out."""
        sizes = map(txn.stat, self._databases.values())
        return sum(
            (size["branch_pages"] + size["leaf_pages"] + size["overflow_pages"]) * size["psize"] for size in sizes
        )

    def database(self, name: str) -> Database:
        """Return the handle of a database."""
        return self._databases[name]

    def read(self) -> AbstractContextManager[Txn]:
        """Begin a read transaction: one consistent state for as long as it is open.

        Raises:
            CorruptionError: LMDB met a damaged page, here or inside the block.
            ReadOnlyError: not even reading is possible any more, in this process.
        """
        try:
            if self._write_lock is not None and self._write_lock.is_abandoned():
                # Or this read and the next ones would not see what its owner committed with its last breath.
                self._env.begin(write=True).abort()
            return _Reading(self._env.begin(buffers=False), self._failure)
        except lmdb.Error as error:
            raise self._failure(error) from error

    @contextmanager
    def write(self) -> Iterator[Txn]:
        """Begin the write transaction, waiting for any other process; commit (synced) at the end, abort on an error.

        Raises:
            InsufficientStorageError: disk or map full; rolled back.
            CorruptionError: LMDB met a damaged page; rolled back.
            ReadOnlyError: an I/O error, now or earlier, in this process or another of the server.
        """
        self._check_marks()
        try:
            with self._env.begin(write=True, buffers=False) as txn:
                # Another process may have met an error while this one waited for its turn.
                self._check_marks()
                yield cast("Txn", txn)
        except lmdb.MapFullError as error:
            raise map_full() from error
        except lmdb.Error as error:
            raise self._failure(error) from error
        # Or between its failure and the mark, which is no reason to trust what was committed on top of it.
        self._check_marks()

    def reserve(self, txn: Txn) -> None:
        """Make sure, at the end of a write transaction that stores more, that blocks are left for what frees space.

        They are free pages of the file, or lie behind its end. Free pages that an open read still sees are of no use
        yet: when the file has nearly reached the size of the map, what stores more has to wait for the end of the read.

        Raises:
            InsufficientStorageError: the disk has none, or the map.
            UnavailableError: the disk refuses.
        """
        info = self._env.info()
        end = (info["last_pgno"] + 1) * self._env.stat()["psize"]
        rest = info["map_size"] - end
        if rest < info["map_size"] // _REST_SHARE and info["last_txnid"] - self._oldest_read() > _PINNED_COMMITS:
            raise map_full()
        needed = self.used_bytes(txn) + _RESERVE_BYTES
        if max(end, self._allocated) >= needed:
            return
        ahead = min(_AHEAD_BYTES_MIN + end // _AHEAD_SHARE, _AHEAD_BYTES_MAX)
        # Missing when the collection is dropped while its last requests run.
        with suppress(FileNotFoundError), translated(self.path, synced=self.path.parent):
            try:
                self._allocated = _allocate(self.path / _DATA_FILE, needed + ahead)
            except OSError:
                self._allocated = _allocate(self.path / _DATA_FILE, needed)

    def _oldest_read(self) -> float:
        """Return the number of the commit that the oldest open read of any process sees, infinity without one."""
        # A heading, then a line of process, thread and commit for each reader; "-" is one that reads nothing now.
        columns = [line.split() for line in self._env.readers().splitlines()[1:]]
        return min((int(commit) for *_, commit in columns if commit.isdecimal()), default=inf)

    def forget_dead_readers(self) -> None:
        """Give free what reads of processes that were killed keep; costs microseconds.

        LMDB does not look for them by itself: no page that was freed since such a read began would be used again, and
        the file would grow with every write.
        """
        try:
            self._env.reader_check()
        except lmdb.Error as error:
            raise self._failure(error) from error

    def settle(self) -> None:
        """Write over what a commit left that failed at its meta page: a start calls it once it has verified the rest.

        LMDB then restores some fields of that page and not others. It is never read, but looks like damage.
        """
        note = self.path / INTERRUPTED
        if not note.exists():
            return
        database = next(iter(self._databases.values()))
        with self.write() as txn:
            # What changes nothing is not committed.
            txn.put(_UNUSED_KEY, b"", db=database)
            txn.delete(_UNUSED_KEY, db=database)
        note.unlink()
        sync_directory(self.path)

    def _failure(self, error: lmdb.Error) -> PointstoreError:
        """Return the error of ours for one of LMDB, and mark what has to be marked."""
        failure = CorruptionError(f"{self.path}: {error}") if isinstance(error, _DAMAGE) else fault(error, self.path)
        if self._is_broken():
            # It could not write the page that makes a commit: the one error after which it does not even read.
            MARKS.broken.set()
            with suppress(OSError):
                (self.path / INTERRUPTED).touch()
                sync_directory(self.path)
            failure = ReadOnlyError(f"{self.path}: {error}")
        if isinstance(failure, ReadOnlyError):
            MARKS.add(self.path.parent)
        return failure

    def _is_broken(self) -> bool:
        try:
            self._env.begin().abort()
        except lmdb.PanicError:
            return True
        except lmdb.Error:
            return False
        return False

    def takes_writes(self) -> bool:
        """Tell whether no I/O error, in whatever process of the server, has ended writing."""
        return not MARKS.has(self.path.parent)

    def _check_marks(self) -> None:
        if not self.takes_writes():
            msg = f"{self.path} takes no writes after an I/O error, until the server is restarted"
            raise ReadOnlyError(msg)

    def copy(self, txn: Txn, path: Path) -> None:
        """Write what a read transaction sees to a new data file, without free pages; not synced.

        Nobody waits for it, but pages that are freed meanwhile stay taken until the transaction ends.

        Raises:
            InsufficientStorageError: disk full.
            UnavailableError: an I/O error, which unlike that of a commit leaves no doubt about the environment itself.
            StorageError: it cannot be copied for another reason.
            OSError: the file cannot be made.
        """
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            self._env.copyfd(descriptor, compact=True, txn=cast("lmdb.Transaction", txn))
        except lmdb.Error as error:
            if is_full(path):
                raise InsufficientStorageError(NO_SPACE_TEXT) from error
            raise fault(error, path) from error
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Close; no transaction may be open in any thread."""
        self._resources.close()


class _Reading:
    """A read transaction as a context, with errors of ours. A class: a generator would cost every request 2 us more."""

    __slots__ = ("_failure", "_txn")

    def __init__(self, txn: lmdb.Transaction, failure: Callable[[lmdb.Error], PointstoreError]) -> None:
        self._txn = txn
        self._failure = failure

    def __enter__(self) -> Txn:
        return cast("Txn", self._txn.__enter__())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._txn.__exit__(kind, error, trace)
        if isinstance(error, lmdb.Error):
            raise self._failure(error) from error


def _is_allocated(path: Path, size: int) -> bool:
    with suppress(FileNotFoundError):
        status = path.stat()
        return status.st_size >= size and status.st_blocks * _BLOCK_BYTES >= size
    return False


def _allocate(path: Path, size: int) -> int:
    """Give a file its blocks up to a size at once; return the size."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.posix_fallocate(descriptor, 0, size)
    finally:
        os.close(descriptor)
    return size


def map_full() -> InsufficientStorageError:
    """Return the error for a store that takes no more."""
    return InsufficientStorageError("the storage map of the collection is full")
