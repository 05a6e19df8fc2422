"""The catalog environment: names of collections and aliases, identity of the node.

    collections  hash of the name  -> [name, uid of its directory]
    aliases      hash of the alias -> [alias, collection name]
    node         b"format", b"peer_id", b"version" (increases with every change)
Names may be longer than a key of LMDB (511 bytes), hence the hashes.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pointstore.core.errors import CorruptionError
from pointstore.storage import keys
from pointstore.storage.env import Database, Environment, Txn

FORMAT_VERSION = 2
DATABASES = ("collections", "aliases", "node")
_PEER_ID_MAX = 2**53
_FORMAT, _PEER_ID, _VERSION = keys.FORMAT, b"peer_id", b"version"


@dataclass(frozen=True, slots=True)
class Names:
    """One consistent state of the catalog.

    Attributes:
        version: increases with every change.
        collections: directory name (uid) by collection name.
        aliases: collection name by alias.
    """

    version: int
    collections: dict[str, str]
    aliases: dict[str, str]

    def resolve(self, name: str) -> str | None:
        """Return the real collection name of a name or alias; an alias wins over a collection of the same name."""
        target = self.aliases.get(name, name)
        return target if target in self.collections else None


class Catalog:
    """The catalog of a data directory, shared by its processes."""

    def __init__(self, path: Path, map_size: int) -> None:
        self._environment = Environment(path, map_size, DATABASES)
        self._collections = self._environment.database("collections")
        self._aliases = self._environment.database("aliases")
        self._node = self._environment.database("node")
        try:
            self.peer_id = self._prepared()
        except BaseException:
            self._environment.close()
            raise

    def names(self, known: Names | None) -> Names:
        """Return the current names: `known` itself when nothing has changed since."""
        with self._environment.read() as txn:
            version = self._number(txn, _VERSION)
            if known is not None and known.version == version:
                return known
            return self._load(txn, version)

    @contextmanager
    def change(self, *, grows: bool = False) -> Iterator[Names]:
        """Yield the names for changing in place; the changed maps are written when the block ends without an error.

        Args:
            grows: something is added: refused when the disk is full, so that dropping stays possible.
        """
        with self._environment.write() as txn:
            names = self._load(txn, self._number(txn, _VERSION))
            before = Names(names.version, dict(names.collections), dict(names.aliases))
            yield names
            if names == before:
                return
            self._replace(txn, self._collections, before.collections, names.collections)
            self._replace(txn, self._aliases, before.aliases, names.aliases)
            self._put_number(txn, _VERSION, names.version + 1)
            if grows:
                self._environment.reserve(txn)

    def announce(self) -> None:
        """Give the catalog a new version, so that every process looks at its collections anew."""
        with self._environment.write() as txn:
            self._put_number(txn, _VERSION, self._number(txn, _VERSION) + 1)

    def settle(self) -> None:
        """Write over what a failed commit left; see `Environment.settle`."""
        self._environment.settle()

    def close(self) -> None:
        """Close the environment; no transaction may be open."""
        self._environment.close()

    def _prepared(self) -> int:
        """Write the records of a new catalog, check the format, return the node's identity."""
        with self._environment.read() as txn:
            empty = txn.get(_FORMAT, db=self._node) is None
        if empty:
            with self._environment.write() as txn:
                if txn.get(_FORMAT, db=self._node) is None:
                    self._put_number(txn, _FORMAT, FORMAT_VERSION)
                    self._put_number(txn, _PEER_ID, secrets.randbelow(_PEER_ID_MAX) + 1)
                    self._put_number(txn, _VERSION, 1)
        with self._environment.read() as txn:
            found = self._number(txn, _FORMAT)
            if found != FORMAT_VERSION:
                raise keys.unknown_format("catalog", found, FORMAT_VERSION)
            return self._number(txn, _PEER_ID)

    def _load(self, txn: Txn, version: int) -> Names:
        collections, aliases = (
            dict(json.loads(keys.unseal(key, record, "name")) for key, record in txn.cursor(db=database).iternext())
            for database in (self._collections, self._aliases)
        )
        return Names(version, collections, aliases)

    def _replace(self, txn: Txn, database: Database, before: dict[str, str], after: dict[str, str]) -> None:
        for name in before.keys() - after.keys():
            txn.delete(_key(name), db=database)
        for name, target in after.items() - before.items():
            key = _key(name)
            txn.put(key, keys.seal(key, json.dumps([name, target]).encode()), db=database)

    def _number(self, txn: Txn, key: bytes) -> int:
        record = txn.get(key, db=self._node)
        if record is None:
            msg = f"catalog record {key.decode()} is missing"
            raise CorruptionError(msg)
        return keys.of_u64(keys.unseal(keys.framed_as(key), record, key.decode()))

    def _put_number(self, txn: Txn, key: bytes, number: int) -> None:
        txn.put(key, keys.seal(keys.framed_as(key), keys.u64(number)), db=self._node)


def _key(name: str) -> bytes:
    return hashlib.blake2b(name.encode(), digest_size=16).digest()
