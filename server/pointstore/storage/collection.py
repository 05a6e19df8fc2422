"""The environment of one collection: its databases, opened together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from pointstore.core.failpoint import visit
from pointstore.core.schema import CollectionConfig
from pointstore.storage.env import Environment, Txn, map_full
from pointstore.storage.fields import Fields
from pointstore.storage.live import Live
from pointstore.storage.log import LmdbLog, Log
from pointstore.storage.meta import Meta
from pointstore.storage.pages import DATA_FILE
from pointstore.storage.points import Points
from pointstore.storage.segments import SegmentMeta, link_segment
from pointstore.storage.vectors import Vectors

DATABASES = ("meta", "log", "ids", "points", "vectors", "live", "fields", "terms")
ENVIRONMENT: Final = "store"
SEGMENTS: Final = "segments"

_RESERVE_SHARE = 8
"""One part in so many of the map is for what frees space: a deletion needs free pages, too."""


class CollectionStore:
    """Databases of a collection; transactions come from `read` and `write` and are the first parameter everywhere.

    Args:
        path: the collection's directory.
        map_size: bound of the store in bytes.
        create: make a new one; a missing one is an error otherwise, since it may just have been dropped.
        read_only: touch nothing; only where no other process has it open.
    """

    def __init__(self, path: Path, map_size: int, *, create: bool = False, read_only: bool = False) -> None:
        self.path = path
        self.segments_dir = path / SEGMENTS
        self._environment = Environment(
            path / ENVIRONMENT, map_size, DATABASES, create=create and not read_only, read_only=read_only
        )
        database = self._environment.database
        self.meta = Meta(database("meta"))
        self.log: Log = LmdbLog(database("log"))
        self.points = Points(database("ids"), database("points"))
        self.vectors = Vectors(database("vectors"))
        self.live = Live(database("live"))
        self.fields = Fields(database("fields"), database("terms"))
        self._quota = map_size - map_size // _RESERVE_SHARE

    def create(self, config: CollectionConfig, created_at_s: int) -> None:
        """Write the records of an empty collection, durably."""
        self.segments_dir.mkdir(exist_ok=True)
        with self.write() as txn:
            self.meta.create(txn, config, created_at_s)

    def read(self) -> AbstractContextManager[Txn]:
        """Begin a read transaction."""
        return self._environment.read()

    def check_room(self, txn: Txn) -> None:
        """Refuse a transaction that stores more when that would take the reserves of the map or of the disk.

        Raises:
            InsufficientStorageError: too much is stored, or no room is left for what frees space.
        """
        if self._environment.used_bytes(txn) > self._quota:
            raise map_full()
        self._environment.reserve(txn)

    def write(self) -> AbstractContextManager[Txn]:
        """Begin the write transaction."""
        return self._environment.write()

    def forget_dead_readers(self) -> None:
        """Give free what reads of processes that were killed keep."""
        self._environment.forget_dead_readers()

    def takes_writes(self) -> bool:
        """Tell whether no I/O error has ended writing."""
        return self._environment.takes_writes()

    def capture(self, txn: Txn, segments: Sequence[SegmentMeta], directory: Path) -> None:
        """Make `directory`, which does not exist, hold what a read transaction sees; nothing is synced.

        Args:
            txn: the read transaction.
            segments: those that it publishes.
            directory: on the file system of the collection: segments are linked.

        Raises:
            SegmentGoneError: one was replaced since the transaction began; begin a new one.
            InsufficientStorageError: disk full.
        """
        (directory / ENVIRONMENT).mkdir(parents=True)
        (directory / SEGMENTS).mkdir()
        for segment in segments:
            link_segment(self.segments_dir, segment, directory / SEGMENTS)
        visit("snapshot.linked")
        self._environment.copy(txn, directory / ENVIRONMENT / DATA_FILE)

    def settle(self) -> None:
        """Write over what a failed commit left; see `Environment.settle`."""
        self._environment.settle()

    def close(self) -> None:
        """Close the environment; no transaction may be open."""
        self._environment.close()
