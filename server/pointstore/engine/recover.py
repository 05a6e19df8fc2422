"""What a start does before any worker runs: remove what a crash left behind, check what must not be trusted.

The state needs no replay: an operation is applied in the transaction that logs it. What remains are directories that no
transaction published, and files whose bits may have rotted. Stores are verified page by page and record by record for
as long as a start may take, segment files whole; a damaged index is deleted and built again, anything else that is
damaged quarantines its collection (a marker file with the reason), so that the others serve and nothing crashes in a
loop. A later start removes the marker once it has verified that store whole, however long that takes.

A process of its own runs this. Should it die of the damage in spite of all, it has noted what it was at, and is started
again with the cause of its death.
"""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from pathlib import Path

import structlog

from pointstore.core.errors import CorruptionError, InsufficientStorageError, StorageError
from pointstore.core.failpoint import visit
from pointstore.engine.progress import Progress
from pointstore.storage.catalog import Catalog
from pointstore.storage.collection import CollectionStore
from pointstore.storage.directories import sync_directory
from pointstore.storage.faults import translated
from pointstore.storage.layout import CATALOG, COLLECTIONS, QUARANTINE
from pointstore.storage.migration import migrate_catalog, migrate_collection
from pointstore.storage.pages import DATA_FILE
from pointstore.storage.poison import MARKS
from pointstore.storage.segments import remove_orphans, repair_segment
from pointstore.storage.verify import verify_catalog, verify_collection

CHECK_S = 1.0
"""Seconds for the verification of all stores together, unless the settings say otherwise."""

_log = structlog.stdlib.get_logger(__name__)


def recover(
    data_dir: Path,
    *,
    map_size: int,
    catalog_map_size: int,
    check_s: float = CHECK_S,
    progress: Progress | None = None,
) -> None:
    """Prepare a data directory that no other process uses.

    Args:
        data_dir: created when missing.
        map_size: bound of one collection's store in bytes.
        catalog_map_size: bound of the catalog in bytes.
        check_s: seconds for the verification of all stores together.
        progress: knows what processes that tried before have died of, which is quarantined.

    Raises:
        StorageError: the catalog cannot be used.
    """
    MARKS.clear()
    root = data_dir / COLLECTIONS
    progress = progress or Progress()
    root.mkdir(parents=True, exist_ok=True)
    progress.begin(CATALOG, data_dir / CATALOG)
    collections = checked_names(data_dir, catalog_map_size)
    visit("recovery.begun")
    for directory in root.iterdir():
        if directory.name not in collections.values():
            _log.warning("removing a directory that no collection owns", directory=directory.name)
            remove_unowned(directory)
    left_s = check_s
    for place, (name, uid) in enumerate(collections.items()):
        mark = root / uid / QUARANTINE
        # Known damage stays known until all of the store has been looked at.
        share_s = None if mark.exists() else left_s / (len(collections) - place)
        try:
            progress.begin(uid, root / uid)
            took_s = _verify_store(name, root / uid, share_s)
            if share_s is not None:
                left_s = max(0.0, left_s - took_s)
            _recover_collection(name, root / uid, map_size)
            mark.unlink(missing_ok=True)
        except (StorageError, InsufficientStorageError, OSError) as error:
            _log.error("collection is quarantined", collection=name, directory=uid, reason=str(error))
            quarantine(root / uid, str(error))
    progress.end()


def remove_unowned(path: Path) -> None:
    """Remove what lies beside the directories of collections: a directory, or whatever someone has put there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def quarantine(path: Path, reason: str) -> None:
    """Mark a collection as not to be used.

    Raises:
        StorageError: the disk refuses.
        InsufficientStorageError: not even an empty file finds room.
    """
    if path.is_file():
        # Nobody can use it anyway, and it may be all that is left of something.
        return
    with translated(path):
        path.mkdir(exist_ok=True)
        (path / QUARANTINE).touch()
    # The mark itself is what counts; its text finds no room on a full disk.
    with suppress(OSError):
        (path / QUARANTINE).write_text(reason, encoding="utf-8")
    with suppress(OSError):
        sync_directory(path)


def checked_names(data_dir: Path, map_size: int) -> dict[str, str]:
    """Verify the catalog and return the directory of every collection by name.

    An earlier format is migrated. A new catalog is made only where there are no collections, since it would name none
    of them, and the next start removes all that no name leads to. So this comes before anything else opens the catalog.

    Args:
        data_dir: no other process uses it; has a directory of collections.
        map_size: bound of the catalog in bytes.

    Raises:
        CorruptionError: the catalog is damaged.
        StorageError: it is missing or cannot be used.
    """
    path, root = data_dir / CATALOG, data_dir / COLLECTIONS
    file = path / DATA_FILE
    fresh = not file.exists() or not file.stat().st_size
    if fresh and any(root.iterdir()):
        msg = f"the catalog {file} is missing, but there are collections: put it back from a backup"
        raise StorageError(msg)
    if not fresh:
        damage = verify_catalog(path, damage_max=1).damage
        if damage and not any(root.iterdir()):
            # The power failed while the very first start made it: there is nothing that it could name.
            _log.warning("a damaged catalog without collections is made anew", reason=damage[0])
            shutil.rmtree(path)
        elif damage:
            msg = f"the catalog {file} is damaged: {damage[0]}"
            raise CorruptionError(msg)
        elif (migrated := migrate_catalog(path, map_size)) is not None:
            _log.info("migrated the catalog", from_format=migrated)
    catalog = Catalog(path, map_size)
    try:
        catalog.settle()
        return catalog.names(None).collections
    finally:
        catalog.close()


def _verify_store(name: str, path: Path, share_s: float | None) -> float:
    """Verify a store for that many seconds, or whole; return how many it took."""
    if not path.is_dir():
        msg = f"directory {path.name} is missing"
        raise StorageError(msg)
    began = time.monotonic()
    survey = verify_collection(path, deadline=None if share_s is None else began + share_s, damage_max=1)
    if survey.damage:
        msg = f"damaged store: {survey.damage[0]}"
        raise CorruptionError(msg)
    if not survey.complete:
        _log.info("the store is too large for a complete check at a start", collection=name, records=survey.records)
    return time.monotonic() - began


def _recover_collection(name: str, path: Path, map_size: int) -> None:
    if (migrated := migrate_collection(path, map_size)) is not None:
        _log.info("migrated a collection", collection=name, from_format=migrated)
    store = CollectionStore(path, map_size)
    try:
        with store.read() as txn:
            store.meta.check_format(txn)
            metas = store.meta.segments(txn)
            # Whatever fails in them fails now.
            store.meta.config(txn), store.meta.fields(txn), store.meta.head(txn), store.meta.created_at(txn)
        store.settle()
        visit("recovery.opened")
        for orphan in remove_orphans(store.segments_dir, {meta.uid for meta in metas}):
            _log.info("removed an unpublished segment", directory=orphan)
        for meta in metas:
            if not repair_segment(store.segments_dir, meta):
                _log.warning("removed a damaged index; it is built again", segment=meta.uid)
        visit("recovery.repaired")
    finally:
        store.close()
