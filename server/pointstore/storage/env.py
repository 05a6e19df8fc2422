"""One LMDB environment: how it is opened, and how its failures become errors of ours.

Default durability flags only: every other setting was measured to lose acknowledged transactions. The first I/O error
of a commit poisons the environment, since a later commit would succeed although pages may be gone; only reopening,
through the checks of a start, clears it. An environment must not be opened twice in a process nor carried across a
fork.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NewType, Protocol, cast

import lmdb

from pointstore.core.errors import InsufficientStorageError, StorageError, UnavailableError

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
_FULL_BYTES = 1 << 20
_NO_SPACE_TEXT = "No space left on device"
_NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT})
_IO_ERRORS = frozenset({errno.EIO, errno.EROFS})


class Environment:
    """An open environment with named databases.

    Thread-safe; a transaction belongs to the thread that began it.

    Args:
        path: its directory.
        map_size: bound of the data file in bytes; reserved as address space only.
        databases: names of the databases to open.
        create: make what is missing; otherwise a missing environment is an error.

    Raises:
        InsufficientStorageError: no space for a new environment.
        StorageError: it cannot be opened.
    """

    def __init__(self, path: Path, map_size: int, databases: tuple[str, ...], *, create: bool = True) -> None:
        self.path = path
        self._poison: str | None = None
        try:
            created = create and not path.exists()
            if created:
                path.mkdir(parents=True, exist_ok=True)
            if not create:
                # LMDB would make the file; its own option is about the directory.
                (path / _DATA_FILE).stat()
            _allocate_lock_file(path / _LOCK_FILE)
            self._env = lmdb.open(
                str(path),
                map_size=map_size,
                max_dbs=len(databases),
                max_readers=MAX_READERS,
                max_spare_txns=_SPARE_READERS,
            )
            self._env.reader_check()
            self._databases = {name: Database(self._env.open_db(name.encode())) for name in databases}
            if created:
                sync_directory(path.parent)
        except (lmdb.Error, OSError) as error:
            if _errno_of(error) in _NO_SPACE:
                raise InsufficientStorageError(_NO_SPACE_TEXT) from error
            msg = f"cannot open {path}: {error}"
            raise StorageError(msg) from error

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
        """Begin a read transaction: one consistent state for as long as it is open."""
        return cast("AbstractContextManager[Txn]", self._env.begin(buffers=False))

    @contextmanager
    def write(self) -> Iterator[Txn]:
        """Begin the write transaction, waiting for any other process; commit (synced) at the end, abort on an error.

        Raises:
            InsufficientStorageError: disk or map full; rolled back.
            UnavailableError: poisoned by an earlier I/O error.
        """
        if self._poison is not None:
            raise UnavailableError(self._poison)
        with self._translated(), self._env.begin(write=True, buffers=False) as txn:
            yield cast("Txn", txn)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except lmdb.MapFullError as error:
            raise map_full() from error
        except lmdb.Error as error:
            raise self._failure(error) from error

    def _failure(self, error: lmdb.Error) -> Exception:
        number = _errno_of(error)
        # LMDB calls a write that was cut short, as the last one before a disk is full, an I/O error.
        if number in _NO_SPACE or (number == errno.EIO and is_full(self.path)):
            return InsufficientStorageError(_NO_SPACE_TEXT)
        if number in _IO_ERRORS:
            self._poison = f"{self.path} refuses writes until restarted after an I/O error: {error}"
            return UnavailableError(self._poison)
        return StorageError(f"{self.path}: {error}")

    def copy(self, txn: Txn, path: Path) -> None:
        """Write what a read transaction sees to a new data file, without free pages; not synced.

        Nobody waits for it, but pages that are freed meanwhile stay taken until the transaction ends.

        Raises:
            InsufficientStorageError: disk full.
            StorageError: an input or output error.
        """
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            self._env.copyfd(descriptor, compact=True, txn=cast("lmdb.Transaction", txn))
        except lmdb.Error as error:
            # Unlike a failed commit this leaves no doubt about the environment itself.
            if _errno_of(error) in _NO_SPACE or is_full(path.parent):
                raise InsufficientStorageError(_NO_SPACE_TEXT) from error
            msg = f"cannot copy {self.path}: {error}"
            raise StorageError(msg) from error
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Close; no transaction may be open in any thread."""
        self._env.close()


def _allocate_lock_file(path: Path) -> None:
    """Give the lock file its blocks at once: LMDB maps it with holes, and a hole on a full disk kills the process."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        os.posix_fallocate(descriptor, 0, _LOCK_FILE_BYTES)
    finally:
        os.close(descriptor)


def is_full(path: Path) -> bool:
    """Tell whether the file system of a path has no room left to speak of."""
    disk = os.statvfs(path)
    return disk.f_bavail * disk.f_frsize < _FULL_BYTES


@contextmanager
def space_errors() -> Iterator[None]:
    """Turn the errors of a full disk, met in plain files, into the one for the client.

    Raises:
        InsufficientStorageError: disk or quota full.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise InsufficientStorageError(_NO_SPACE_TEXT) from error
        raise


def map_full() -> InsufficientStorageError:
    """Return the error for a store that takes no more."""
    return InsufficientStorageError("the storage map of the collection is full")


def _errno_of(error: lmdb.Error | OSError) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    # The binding tells the number in the text only.
    text = str(error)
    return next((number for number in _NO_SPACE | _IO_ERRORS if os.strerror(number) in text), None)


def sync_directory(path: Path) -> None:
    """Make the entries of a directory durable: creations, renames, removals."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
