"""Capturing: the files of one committed state of a collection, for a snapshot, while writes and background work go on.

The store is copied within one read transaction, the segments that this transaction publishes are linked: they are
immutable, and a link outlives their removal. The transaction, which pins freed pages, lasts no longer than that copy;
reading, checking and compressing happen afterwards, on the captured files.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from pointstore.core.errors import CorruptionError
from pointstore.core.failpoint import visit
from pointstore.storage.archive import ArchivedCollection, ArchivedFile, describe_file
from pointstore.storage.collection import ENVIRONMENT, SEGMENTS
from pointstore.storage.meta import FORMAT_VERSION
from pointstore.storage.pages import DATA_FILE
from pointstore.storage.segments import INDEX_FILE, SegmentGoneError, SegmentMeta

if TYPE_CHECKING:
    from pathlib import Path

    from pointstore.core.schema import CollectionConfig
    from pointstore.storage.collection import CollectionStore
    from pointstore.storage.meta import Head

_TRIES = 20

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Capture:
    """The captured state of one collection; its files are below `directory`, as in a data directory."""

    directory: Path
    head: Head
    config: CollectionConfig
    segments: tuple[SegmentMeta, ...]

    def moved(self, directory: Path) -> Capture:
        """Rename the directory of the files."""
        self.directory.rename(directory)
        return replace(self, directory=directory)

    def described(self, name: str, prefix: str) -> ArchivedCollection:
        """Return the manifest's entry, with the checksums of all files; `prefix` goes before their paths.

        Raises:
            CorruptionError: the rows of a segment are damaged; a damaged index is only left out.

        """
        store = f"{ENVIRONMENT}/{DATA_FILE}"
        files = [describe_file(self.directory / store, prefix + store)]
        for segment in self.segments:
            for file, checksum in segment.checksums.items():
                path = f"{SEGMENTS}/{segment.uid}/{file}"
                found = self._file(path, prefix)
                if found is not None and found.blake3 == checksum:
                    files.append(found)
                elif file != INDEX_FILE:
                    msg = f"segment {segment.uid} of collection {name}: {file} is damaged"
                    raise CorruptionError(msg)
                else:
                    _log.warning(
                        "an index that is missing or damaged is left out", collection=name, segment=segment.uid
                    )
        return ArchivedCollection(name, FORMAT_VERSION, self.head.seq, self.head.points, self.config, tuple(files))

    def _file(self, path: str, prefix: str) -> ArchivedFile | None:
        try:
            return describe_file(self.directory / path, prefix + path)
        except FileNotFoundError:
            return None


def capture(store: CollectionStore, directory: Path) -> Capture:
    """Capture the newest committed state into a new directory on the same file system.

    Raises:
        SegmentGoneError: a published segment is missing; also when the collection was dropped.
        InsufficientStorageError: disk full.
    """
    for attempt in range(_TRIES):
        with store.read() as txn:
            visit("snapshot.begun")
            segments = tuple(store.meta.segments(txn))
            try:
                store.capture(txn, segments, directory)
            except SegmentGoneError:
                # Replaced since the transaction began: the next one sees what took its place.
                shutil.rmtree(directory)
                if attempt + 1 == _TRIES:
                    raise
                continue
            return Capture(directory, store.meta.head(txn), store.meta.config(txn), segments)
    raise AssertionError
