"""The directory of snapshots: how they are named on disk, and how one becomes visible.

    <snapshots_dir>/LOCK                                                 held while one is made
    <snapshots_dir>/collections/<collection>/<collection>-<peer>-<time>.snapshot   and .snapshot.checksum
    <snapshots_dir>/full/full-snapshot-<time>.snapshot                             and .snapshot.checksum

Clients know a snapshot by the name of its collection, its node and its second. A collection's name may be longer than a
file's and hold almost any character, so on disk it is escaped. A name is looked up only if it is one that
could have been given, which leaves no room for separators.

Crash argument: a snapshot is written under a temporary name and synced, its checksum is put beside it, it is renamed
and the directory is synced. What a crash leaves is a temporary or a checksum without its snapshot; `remove_leftovers`
deletes both.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final
from urllib.parse import quote

import structlog

from pointstore.core.failpoint import visit
from pointstore.core.snapshot import SnapshotInfo
from pointstore.storage.directories import make_directories, sync_directory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_COLLECTIONS: Final = "collections"
_FULL: Final = "full"
_FULL_PREFIX: Final = "full-snapshot"
_LOCK: Final = "LOCK"
_SUFFIX: Final = ".snapshot"
_CHECKSUM: Final = ".checksum"
_TEMPORARY: Final = ".tmp-"
_TIME: Final = "%Y-%m-%d-%H-%M-%S"
_TIME_PATTERN: Final = r"([0-9]{4}(?:-[0-9]{2}){5})\.snapshot"
_FULL_REST: Final = re.compile("-" + _TIME_PATTERN)
_COLLECTION_REST: Final = re.compile(r"-[0-9]{1,20}-" + _TIME_PATTERN)
_SHA256: Final = re.compile("[0-9a-f]{64}")
_ESCAPED_MAX: Final = 160
_KEPT: Final = 120
_LOCK_LOOK_S: Final = 0.02

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Shelf:
    """The snapshots of one collection, or the full ones.

    Attributes:
        directory: where their files are; need not exist.
        name_prefix: what the names of all of them begin with.
        file_prefix: the same of their files.
        rest: what follows; the first group is the time.
    """

    directory: Path
    name_prefix: str
    file_prefix: str
    rest: re.Pattern[str]

    def snapshots(self) -> list[SnapshotInfo]:
        """Return all snapshots, the oldest first."""
        try:
            files = [path.name for path in self.directory.iterdir()]
        except FileNotFoundError:
            return []
        names = [
            self.name_prefix + file[len(self.file_prefix) :] for file in files if file.startswith(self.file_prefix)
        ]
        found = [info for name in names if (info := self._info(name)) is not None]
        return sorted(found, key=lambda info: (info.created_at_s, info.name))

    def path_of(self, name: str) -> Path | None:
        """Return the file of a name that a snapshot here can have, None for any other."""
        if not name.startswith(self.name_prefix) or self.rest.fullmatch(name, len(self.name_prefix)) is None:
            return None
        return self.directory / (self.file_prefix + name[len(self.name_prefix) :])

    def delete(self, name: str) -> bool:
        """Delete a snapshot durably; False when there is none of the name."""
        path = self.path_of(name)
        if path is None:
            return False
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        _checksum_file(path).unlink(missing_ok=True)
        sync_directory(self.directory)
        return True

    def create(self, middle: str, write: Callable[[BinaryIO, int], str], proceed: Callable[[], None]) -> SnapshotInfo:
        """Make a snapshot, named by the second; nothing is left behind when that fails. The caller has the turn.

        Args:
            middle: comes between prefix and time in its name.
            write: gets the file and the time, in seconds since the epoch; returns the SHA-256.
            proceed: called while there is to be waited for another second; may raise to end the work.

        Raises:
            OSError: input or output error, disk full.

        """
        make_directories(self.directory)
        created_at_s = self._free_second(middle, proceed)
        name = self.name_prefix + middle + _time_text(created_at_s) + _SUFFIX
        path = self.path_of(name)
        assert path is not None
        temporary = path.with_name(_TEMPORARY + path.name)
        try:
            with temporary.open("xb") as file:
                checksum = write(file, created_at_s)
                visit("snapshot.written")
                file.flush()
                os.fsync(file.fileno())
            visit("snapshot.synced")
            _write_checksum(path, checksum)
            temporary.rename(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            _checksum_file(path).unlink(missing_ok=True)
            raise
        sync_directory(self.directory)
        visit("snapshot.renamed")
        return SnapshotInfo(name, created_at_s, path.stat().st_size, checksum)

    def _free_second(self, middle: str, proceed: Callable[[], None]) -> int:
        """Wait for a second in which there is no snapshot yet."""
        while True:
            now = time.time()
            path = self.path_of(self.name_prefix + middle + _time_text(int(now)) + _SUFFIX)
            assert path is not None
            if not path.exists():
                return int(now)
            proceed()
            time.sleep(min(0.1, 1 - now % 1))

    def _info(self, name: str) -> SnapshotInfo | None:
        path, found = self.path_of(name), self.rest.fullmatch(name, len(self.name_prefix))
        if path is None or found is None:
            return None
        try:
            created_at = datetime.strptime(found[1], _TIME).replace(tzinfo=UTC)
            size = path.stat().st_size
        except (ValueError, FileNotFoundError):
            return None
        return SnapshotInfo(name, int(created_at.timestamp()), size, _read_checksum(path))


class SnapshotFiles:
    """All snapshots of a server.

    Args:
        root: their directory; need not exist.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def of_collection(self, name: str) -> Shelf:
        """Return the snapshots of the collections that had or have this very name."""
        escaped = _escaped(name)
        return Shelf(self.root / _COLLECTIONS / escaped, name, escaped, _COLLECTION_REST)

    def full(self) -> Shelf:
        """Return the snapshots of everything."""
        return Shelf(self.root / _FULL, _FULL_PREFIX, _FULL_PREFIX, _FULL_REST)

    @contextlib.contextmanager
    def turn(self, proceed: Callable[[], None]) -> Iterator[None]:
        """Wait until no process makes a snapshot here, and keep others waiting.

        Args:
            proceed: called again and again; may raise to end the waiting.

        """
        make_directories(self.root)
        with self._lock() as descriptor:
            while not _locked(descriptor):
                proceed()
                time.sleep(_LOCK_LOOK_S)
            yield

    def remove_leftovers(self) -> list[str]:
        """Delete what was never finished, unless someone makes a snapshot at this moment; return the names.

        Where nothing can be deleted it stays, which does no harm.
        """
        try:
            if not self.root.is_dir():
                return []
            with self._lock() as descriptor:
                return self.remove_unfinished() if _locked(descriptor) else []
        except OSError as error:
            _log.warning("unfinished snapshots are not removed", directory=str(self.root), reason=str(error))
            return []

    def remove_unfinished(self) -> list[str]:
        """Delete what was never finished; return the names. The caller has the turn."""
        removed = [
            path
            for path in [*self.root.glob(f"{_FULL}/*"), *self.root.glob(f"{_COLLECTIONS}/*/*")]
            if path.name.startswith(_TEMPORARY)
            or (path.name.endswith(_SUFFIX + _CHECKSUM) and not path.with_suffix("").exists())
        ]
        for path in removed:
            path.unlink(missing_ok=True)
        return [path.name for path in removed]

    @contextlib.contextmanager
    def _lock(self) -> Iterator[int]:
        descriptor = os.open(self.root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            yield descriptor
        finally:
            os.close(descriptor)


def _locked(descriptor: int) -> bool:
    """Take the lock, which ends with the descriptor; False when someone else has it."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _time_text(seconds: int) -> str:
    return "-" + datetime.fromtimestamp(seconds, UTC).strftime(_TIME)


def _escaped(name: str) -> str:
    """Return a collection's name as part of a file's: no separator, no leading dot, at most 160 bytes; injective."""
    escaped = quote(name, safe=" !#$&'()+,;=@[]^`{}")
    if escaped.startswith("."):
        escaped = "%2E" + escaped[1:]
    if len(escaped) <= _ESCAPED_MAX:
        return escaped
    # "%~" comes from no escaping.
    return f"{escaped[:_KEPT]}%~{hashlib.blake2b(name.encode(), digest_size=16).hexdigest()}"


def _checksum_file(path: Path) -> Path:
    return path.with_name(path.name + _CHECKSUM)


def _write_checksum(path: Path, checksum: str) -> None:
    with _checksum_file(path).open("w", encoding="ascii") as file:
        file.write(checksum)
        file.flush()
        os.fsync(file.fileno())


def _read_checksum(path: Path) -> str | None:
    try:
        text = _checksum_file(path).read_text("ascii")
    except (FileNotFoundError, UnicodeDecodeError):
        return None
    return text if _SHA256.fullmatch(text) else None
