"""What a start does before any worker runs: remove what a crash left behind, check what must not be trusted.

The state needs no replay: an operation is applied in the transaction that logs it. What remains are directories that no
transaction published, and files whose bits may have rotted: a damaged index is deleted and built again, damaged rows
quarantine their collection (a marker file with the reason), so that the others serve and nothing crashes in a loop.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import structlog

from pointstore.core.errors import StorageError
from pointstore.core.failpoint import visit
from pointstore.storage.catalog import Catalog
from pointstore.storage.collection import CollectionStore
from pointstore.storage.layout import CATALOG, COLLECTIONS, QUARANTINE
from pointstore.storage.poison import MARKS
from pointstore.storage.segments import remove_orphans, repair_segment

_log = structlog.stdlib.get_logger(__name__)


def recover(data_dir: Path, *, map_size: int, catalog_map_size: int) -> None:
    """Prepare a data directory that no other process uses.

    Raises:
        StorageError: the catalog cannot be read.
    """
    MARKS.clear()
    root = data_dir / COLLECTIONS
    root.mkdir(parents=True, exist_ok=True)
    catalog = Catalog(data_dir / CATALOG, catalog_map_size)
    collections = catalog.names(None).collections
    catalog.close()
    visit("recovery.begun")
    for directory in root.iterdir():
        if directory.name not in collections.values():
            _log.warning("removing a directory that no collection owns", directory=directory.name)
            shutil.rmtree(directory)
    for name, uid in collections.items():
        marker = root / uid / QUARANTINE
        marker.unlink(missing_ok=True)
        try:
            _recover_collection(root / uid, map_size)
        except StorageError as error:
            _log.error("collection is quarantined", collection=name, directory=uid, reason=str(error))
            (root / uid).mkdir(exist_ok=True)
            marker.write_text(str(error), encoding="utf-8")


def _recover_collection(path: Path, map_size: int) -> None:
    if not path.is_dir():
        msg = f"directory {path.name} is missing"
        raise StorageError(msg)
    store = CollectionStore(path, map_size)
    try:
        with store.read() as txn:
            store.meta.check_format(txn)
            metas = store.meta.segments(txn)
        visit("recovery.opened")
        for name in remove_orphans(store.segments_dir, {meta.uid for meta in metas}):
            _log.info("removed an unpublished segment", directory=name)
        for meta in metas:
            if not repair_segment(store.segments_dir, meta):
                _log.warning("removed a damaged index; it is built again", segment=meta.uid)
        visit("recovery.repaired")
    finally:
        store.close()
