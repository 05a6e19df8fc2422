"""The search for damage after a process died in a way that damaged data explains, while the others go on.

Every collection is verified whole, in a read transaction, beside whoever reads and writes it. One that is damaged is
quarantined, and the catalog gets a new version so that all processes let go of it. A process that dies of the search
itself has noted what it was at. It looks when no other process wants the processor, and takes locks that others wait
for in a thread that has their priority.
"""

from __future__ import annotations

from pathlib import Path

import structlog

from pointstore.core.errors import (
    CorruptionError,
    InsufficientStorageError,
    ReadOnlyError,
    StorageError,
    UnavailableError,
)
from pointstore.core.priority import PromptThread
from pointstore.engine.progress import Progress
from pointstore.engine.recover import quarantine
from pointstore.storage.catalog import Catalog
from pointstore.storage.collection import CollectionStore
from pointstore.storage.faults import fault
from pointstore.storage.layout import CATALOG, COLLECTIONS, QUARANTINE
from pointstore.storage.segments import repair_segment
from pointstore.storage.verify import verify_snapshot

_SNAPSHOT_TRIES = 100

_log = structlog.stdlib.get_logger(__name__)


def recheck(
    data_dir: Path,
    *,
    map_size: int,
    catalog_map_size: int,
    promptly: PromptThread,
    progress: Progress | None = None,
) -> list[str]:
    """Verify every collection of a data directory that is in use; return the names of those that are damaged.

    Args:
        data_dir: a server runs on it.
        map_size: bound of one collection's store in bytes.
        catalog_map_size: bound of the catalog in bytes.
        promptly: made before this process gave way to the others.
        progress: knows what processes that looked before have died of, which is quarantined.

    Raises:
        StorageError: the catalog cannot be used.
    """
    root = data_dir / COLLECTIONS
    progress = progress or Progress()
    progress.begin(CATALOG, data_dir / CATALOG)
    catalog = promptly(Catalog, data_dir / CATALOG, catalog_map_size)
    damaged: list[str] = []
    try:
        for name, uid in catalog.names(None).collections.items():
            if (root / uid / QUARANTINE).exists():
                continue
            try:
                progress.begin(uid, root / uid)
                _verify(root / uid, map_size, promptly)
            except (StorageError, OSError) as error:
                if uid not in catalog.names(None).collections.values():
                    # Dropped meanwhile.
                    continue
                if _may_pass(error, root / uid):
                    _log.warning("cannot look for damage", collection=name, directory=uid, reason=str(error))
                    continue
                _log.error("collection is quarantined", collection=name, directory=uid, reason=str(error))
                quarantine(root / uid, str(error))
                promptly(catalog.announce)
                damaged.append(name)
    finally:
        catalog.close()
    progress.end()
    _log.info("looked for damaged data", found=damaged)
    return damaged


def _may_pass(error: StorageError | OSError, path: Path) -> bool:
    """Tell whether an error says something of the machine at this moment, and nothing of the data."""
    failure = fault(error, path) if isinstance(error, OSError) else error
    return isinstance(failure, UnavailableError | InsufficientStorageError) and not isinstance(failure, ReadOnlyError)


def _verify(path: Path, map_size: int, promptly: PromptThread) -> None:
    # To open one takes the lock of its writers.
    store = promptly(CollectionStore, path, map_size)
    try:
        for _ in range(_SNAPSHOT_TRIES):
            with store.read() as txn:
                survey = verify_snapshot(store, txn)
            if survey is not None:
                break
        else:
            return
        if survey.damage:
            msg = f"damaged store: {survey.damage[0]}"
            raise CorruptionError(msg)
        _verify_segments(store)
    finally:
        store.close()


def _verify_segments(store: CollectionStore) -> None:
    verified: set[str] = set()
    while True:
        with store.read() as txn:
            left = [meta for meta in store.meta.segments(txn) if meta.uid not in verified]
        if not left:
            return
        for meta in left:
            try:
                repair_segment(store.segments_dir, meta)
            except (CorruptionError, FileNotFoundError):
                # Its directory, or one file after the other, may have been removed since another segment replaced it.
                with store.read() as txn:
                    if meta in store.meta.segments(txn):
                        raise
            verified.add(meta.uid)
