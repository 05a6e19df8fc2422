"""One environment verified: the pages of its file, the checksum of every record, its format."""

from __future__ import annotations

import json
from collections.abc import Set as AbstractSet
from errno import EIO
from pathlib import Path
from typing import Final

from pointstore.core.errors import CorruptionError, StorageError
from pointstore.core.point import PointId
from pointstore.storage import keys, meta, migration
from pointstore.storage.collection import ENVIRONMENT, CollectionStore
from pointstore.storage.env import Txn
from pointstore.storage.faults import fault
from pointstore.storage.pages import DamagedPageError, PageFile
from pointstore.storage.pages import Meta as Root
from pointstore.storage.points import unpack_slot
from pointstore.storage.segments import SegmentMeta, unpack_segments
from pointstore.storage.survey import DAMAGE_MAX, Check, Names, Survey, newest, of_transaction, records, survey

_FIRST: Final = ("meta", "node", "live", "ids")
_LAST: Final = ("points", "log")
"""Databases whose missing records are noticed by whoever reads them; of the others a miss may be an answer."""


def verify_collection(path: Path, *, deadline: float | None = None, damage_max: int = DAMAGE_MAX) -> Survey:
    """Verify the environment of a collection that nobody writes to.

    Args:
        path: the collection's directory.
        deadline: time of `time.monotonic` at which to stop.
        damage_max: number of lines of damage after which to stop.

    Raises:
        StorageError: its format is unknown to this version, or the machine refuses to read it.
    """
    return _verify(path / ENVIRONMENT, migration.COLLECTION, deadline, damage_max)


def verify_catalog(path: Path, *, damage_max: int = DAMAGE_MAX) -> Survey:
    """Verify the catalog that nobody writes to; as `verify_collection`."""
    return _verify(path, migration.CATALOG, None, damage_max)


def verify_snapshot(store: CollectionStore, txn: Txn) -> Survey | None:
    """Verify what an open read transaction sees, while others may write; None when its root is gone already."""
    try:
        file = PageFile(store.path / ENVIRONMENT)
        try:
            root = of_transaction(file, txn.id())
            if root is None:
                return None
            names = _names_of(migration.COLLECTION, meta.FORMAT_VERSION)
            return survey(file, root, _check, names=names, damage_max=1)
        finally:
            file.close()
    except DamagedPageError as error:
        return Survey([str(error)], complete=False)


def format_at(path: Path) -> int | None:
    """Return the number of a collection's format, None when it has none yet.

    Raises:
        DamagedPageError: its pages are damaged.
    """
    file = PageFile(path / ENVIRONMENT)
    try:
        return _format(file, newest(file), "meta")
    finally:
        file.close()


def segments_of_format_1(path: Path) -> list[SegmentMeta]:
    """Return the published segments of a collection of format 1, which cannot be opened before it is migrated.

    Raises:
        CorruptionError: the record is missing or damaged.
        DamagedPageError: its pages are damaged.
    """
    file = PageFile(path / ENVIRONMENT)
    try:
        record = records(file, newest(file), "meta").get(keys.SEGMENTS)
    finally:
        file.close()
    if record is None:
        raise CorruptionError("record segments is missing")
    return unpack_segments(keys.unseal(b"", record, "segments"))


def collections_in(path: Path) -> dict[str, str]:
    """Return the directory of every collection by name, from a catalog that nobody writes to.

    Raises:
        CorruptionError: a record is damaged.
        DamagedPageError: its pages are damaged.
    """
    file = PageFile(path)
    try:
        root = newest(file)
        alone = _format(file, root, "node") == 1
        found = records(file, root, "collections")
        return dict(json.loads(keys.unseal(b"" if alone else key, record, "name")) for key, record in found.items())
    finally:
        file.close()


def _verify(path: Path, kind: migration.Kind, deadline: float | None, damage_max: int) -> Survey:
    try:
        file = PageFile(path)
        try:
            root = newest(file)
            found = _format(file, root, kind.holder)
            names, check = _names_of(kind, found), _check_of(kind, found)
            result = survey(file, root, check, names=names, rank=_rank, deadline=deadline, damage_max=damage_max)
            if found is None and not result.damage:
                # The first transaction writes it.
                result.damage.append("there is no record of the format")
            return result
        finally:
            file.close()
    except DamagedPageError as error:
        return Survey([str(error)], complete=False)
    except OSError as error:
        if error.errno == EIO:
            return Survey([f"cannot read {path}: {error.strerror}"], complete=False)
        raise fault(error, path) from error


def _format(file: PageFile, root: Root, holder: str) -> int | None:
    record = records(file, root, holder).get(keys.FORMAT)
    if record is None:
        return None
    try:
        return keys.of_u64(keys.unseal(b"", record, "the record of the format"))
    except CorruptionError as error:
        raise DamagedPageError(str(error)) from error


def _names_of(kind: migration.Kind, version: int | None) -> Names:
    """Return the check of the names of an environment's databases, which nothing else would miss."""
    optional = set(kind.later if version == 1 else ())

    def check(found: AbstractSet[str]) -> str | None:
        missing, unknown = sorted(kind.databases.keys() - found - optional), sorted(found - kind.databases.keys())
        if not missing and not unknown:
            return None
        return f"missing are {missing}, unknown {unknown}"

    return check


def _check_of(kind: migration.Kind, version: int | None) -> Check:
    """Return the check of records; in format 1 some have no checksum."""
    if version is None or version == kind.version:
        return _check
    if version != 1:
        raise keys.unknown_format(kind.noun, version, kind.version)

    def check(database: str, key: bytes, record: bytes) -> str | None:
        try:
            # Of a name that is unknown the walk has told.
            if database in kind.databases:
                kind.databases[database](key, record)
        except StorageError as error:
            return str(error)
        return None

    return check


def _check(database: str, key: bytes, record: bytes) -> str | None:
    try:
        if database == "ids":
            unpack_slot(PointId(key), record)
            return None
        keys.unseal(keys.framed_as(key) if database in {"meta", "node"} else key, record, "record", _shown(key))
    except StorageError as error:
        return str(error)
    return None


def _shown(key: bytes) -> str:
    return key.decode() if key.isascii() and key.decode().isprintable() else key.hex()


def _rank(database: str) -> int:
    if database in _FIRST:
        return _FIRST.index(database)
    return len(_FIRST) + 1 + _LAST.index(database) if database in _LAST else len(_FIRST)
