"""Names to collections: the catalog of a data directory as one process uses it.

    <data_dir>/catalog/               names, aliases, node identity
    <data_dir>/collections/<uid>/     one directory a collection

A collection exists exactly when the catalog names its directory: creating makes the directory first and dropping
removes it last, so a crash in between leaves at most a directory without a name, which `recover` removes.
"""

from __future__ import annotations

import shutil
import threading
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import structlog

from pointstore.core.catalog import Alias, AliasAction, CollectionChange, CreateAlias, DeleteAlias, RenameAlias
from pointstore.core.errors import (
    AlreadyExistsError,
    NotFoundError,
    StorageError,
    WrongInputError,
    collection_not_found,
)
from pointstore.core.failpoint import visit
from pointstore.core.query import ScoredRecord
from pointstore.core.schema import CollectionConfig
from pointstore.engine import search
from pointstore.engine.collection import Collection
from pointstore.engine.configure import numbered
from pointstore.engine.strict import Searches
from pointstore.storage.catalog import Catalog, Names
from pointstore.storage.collection import CollectionStore
from pointstore.storage.directories import sync_directory
from pointstore.storage.faults import translated
from pointstore.storage.layout import CATALOG, COLLECTIONS, QUARANTINE

_REMOVED = ".removed-"

_log = structlog.stdlib.get_logger(__name__)


class Engine:
    """All collections of a data directory. Thread-safe; many processes may have one each on the same directory.

    Args:
        data_dir: created when missing.
        map_size: bound of one collection's store in bytes.
        catalog_map_size: bound of the catalog in bytes.
    """

    def __init__(self, data_dir: Path, *, map_size: int, catalog_map_size: int) -> None:
        self.data_dir = data_dir
        self._root = data_dir / COLLECTIONS
        with translated(data_dir):
            self._root.mkdir(parents=True, exist_ok=True)
        self._map_size = map_size
        self._catalog = Catalog(data_dir / CATALOG, catalog_map_size)
        self._names: Names | None = None
        self._open: dict[str, Collection] = {}
        self._opening = threading.Lock()
        self.peer_id = self._catalog.peer_id

    def collection(self, name: str) -> Collection:
        """Return the collection of a name or alias.

        Raises:
            NotFoundError: there is none.
        """
        names = self._current_names()
        real = names.resolve(name)
        if real is None:
            raise collection_not_found(name)
        return self.collection_of(real, names.collections[real])

    def collection_of(self, name: str, uid: str) -> Collection:
        """Return the collection of an entry of `names`.

        Raises:
            NotFoundError: it was dropped since.
            QuarantinedError: it is damaged.
            UnavailableError: it cannot be opened now.
        """
        return self._open.get(uid) or self._opened(name, uid)

    def names(self) -> Names:
        """Return the catalog as it is now."""
        return self._current_names()

    def create_collection(self, name: str, config: CollectionConfig) -> None:
        """Create an empty collection, usable by every process at once.

        Raises:
            AlreadyExistsError: a collection has the name.
            WrongInputError: an alias has the name, or a vector name is both dense and sparse.
            InsufficientStorageError: disk full; nothing is left behind.
            UnavailableError: the disk refuses.
        """
        config = numbered(config)
        _check_free(self._current_names(), name)
        uid = uuid.uuid4().hex
        path = self._root / uid
        try:
            with translated(path):
                store = CollectionStore(path, self._map_size, create=True)
                try:
                    store.create(config, int(time.time()))
                finally:
                    store.close()
                sync_directory(path)
                sync_directory(self._root)
            visit("create.stored")
            with self._catalog.change(grows=True) as names:
                _check_free(names, name)
                names.collections[name] = uid
        except BaseException:
            # Not what a commit that seemed to fail has named after all.
            if uid not in self._current_names().collections.values():
                shutil.rmtree(path, ignore_errors=True)
            raise
        visit("create.named")

    def update_collection(self, name: str, change: CollectionChange) -> None:
        """Change a collection's configuration.

        Raises:
            NotFoundError: there is no such collection or alias.
            WrongInputError: the change does not fit; nothing of it is applied.
        """
        self.collection(name).update_config(change)

    def drop_collection(self, name: str) -> bool:
        """Remove a collection and the aliases that point to it; False when there is none of that very name."""
        with self._catalog.change() as names:
            uid = names.collections.pop(name, None)
            if uid is None:
                return False
            for alias in [alias for alias, target in names.aliases.items() if target == name]:
                del names.aliases[alias]
        visit("drop.unnamed")
        # Requests that run on it keep their open files; the last of them frees the space.
        self._current_names()
        # Renamed first: who opens it meanwhile finds all of it or nothing, and puts nothing into it.
        removed = self._root / (_REMOVED + uid)
        try:
            (self._root / uid).rename(removed)
        except FileNotFoundError:
            return True
        except OSError as error:
            # The name is gone for good; the next start removes the directory.
            _log.warning("cannot remove a dropped collection", directory=uid, error=str(error))
            return True
        shutil.rmtree(removed, ignore_errors=True)
        return True

    def collection_names(self) -> list[str]:
        """Return the names of all collections, sorted."""
        return sorted(self._current_names().collections)

    def exists(self, name: str) -> bool:
        """Tell whether a collection or alias has the name."""
        return self._current_names().resolve(name) is not None

    def update_aliases(self, actions: Sequence[AliasAction]) -> None:
        """Execute alias actions in order, all or nothing.

        Raises:
            NotFoundError: a target collection or an alias to be renamed does not exist.
            AlreadyExistsError: a new alias has the name of a collection.
        """
        with self._catalog.change(grows=any(isinstance(action, CreateAlias) for action in actions)) as names:
            for action in actions:
                _change_alias(names, action)
            visit("aliases.changed")

    def aliases(self, collection: str | None = None) -> list[Alias]:
        """Return all aliases, or those of one collection, sorted."""
        found = sorted(self._current_names().aliases.items())
        return [Alias(alias, target) for alias, target in found if collection is None or target == collection]

    def query(self, name: str, searches: Searches) -> list[list[ScoredRecord]]:
        """Answer the queries of a request on one collection, all on the same state.

        Raises:
            RequestError: a query is wrong, or strict mode forbids it; none is answered.
        """
        collection = self.collection(name)
        conditions = [query.filter for query in searches.queries if query.filter is not None]
        if conditions:
            # What strict mode forbids must not get indexes.
            collection.check_queries(searches)
            collection.prepare(conditions)
        return search.answer(collection, searches, self._lookup_collection)

    def close(self) -> None:
        """Close everything; no request may be running."""
        for collection in self._open.values():
            collection.close()
        self._open.clear()
        self._catalog.close()

    def _lookup_collection(self, name: str) -> Collection:
        if not self.exists(name):
            msg = f"Collection {name} not found"
            raise NotFoundError(msg)
        return self.collection(name)

    def _current_names(self) -> Names:
        names = self._catalog.names(self._names)
        if names is not self._names:
            self._names = names
            self._forget(names)
        return names

    def _forget(self, names: Names) -> None:
        """Let go of dropped and quarantined collections; their files close with the last request that uses them."""
        present = {uid for uid in names.collections.values() if not (self._root / uid / QUARANTINE).exists()}
        with self._opening:
            for uid in self._open.keys() - present:
                del self._open[uid]

    def _opened(self, name: str, uid: str) -> Collection:
        with self._opening:
            collection = self._open.get(uid)
            if collection is None:
                path = self._root / uid
                try:
                    collection = self._open[uid] = Collection(name, path, self._map_size)
                except StorageError:
                    if path.exists():
                        raise
                    # Dropped since the names were read.
                    raise collection_not_found(name) from None
            return collection


def _check_free(names: Names, name: str) -> None:
    if name in names.collections:
        msg = f"Collection `{name}` already exists!"
        raise AlreadyExistsError(msg)
    if name in names.aliases:
        msg = f"Can't create collection with name {name}. Alias with the same name already exists"
        raise WrongInputError(msg)


def _change_alias(names: Names, action: AliasAction) -> None:
    match action:
        case CreateAlias(collection, alias):
            if collection not in names.collections:
                raise collection_not_found(collection)
            if alias in names.collections:
                msg = f"Collection `{alias}` already exists!"
                raise AlreadyExistsError(msg)
            names.aliases[alias] = collection
        case RenameAlias(old, new):
            if old not in names.aliases:
                msg = f"Alias {old} does not exists!"
                raise NotFoundError(msg)
            names.aliases[new] = names.aliases.pop(old)
        case DeleteAlias(alias):
            names.aliases.pop(alias, None)
