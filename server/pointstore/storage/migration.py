"""Environments of earlier formats brought to the present one, each in one transaction: whole or not at all.

Format 1 knew no keys in its checksums, and none at all for slots of ids, codes of terms and their counter; the
definitions of field indexes were written only once there were any, and so were the databases of their entries.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pointstore.core.errors import InsufficientStorageError, StorageError
from pointstore.core.point import PointId
from pointstore.storage import catalog, collection, keys, meta
from pointstore.storage.env import Database, Environment, Txn
from pointstore.storage.points import pack_slot

_FIELD_BYTES = 2

Reseal = Callable[[bytes, bytes], bytes]
"""Verify a record of format 1 as far as that is possible, and return that of format 2."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What tells one kind of environment from the other.

    Attributes:
        noun: its name in texts.
        holder: the database with the record of its format.
        version: its present format.
        databases: what to do with records of format 1, by name of the database; these are all there are.
        later: databases that an environment of format 1 may lack.
    """

    noun: str
    holder: str
    version: int
    databases: Mapping[str, Reseal]
    later: tuple[str, ...] = ()


def migrate_collection(path: Path, map_size: int) -> int | None:
    """Bring the environment of a collection to the present format.

    Returns:
        the format it had before, None when there was nothing to do.

    Raises:
        StorageError: a newer format, one that is unknown, or no room for a second copy of the largest database; nothing
            was changed.
        CorruptionError: a record is damaged; nothing was changed.
    """
    return _migrate(path / collection.ENVIRONMENT, map_size, COLLECTION)


def migrate_catalog(path: Path, map_size: int) -> int | None:
    """Bring the catalog to the present format; as `migrate_collection`."""
    return _migrate(path, map_size, CATALOG)


def _migrate(path: Path, map_size: int, kind: Kind) -> int | None:
    with closing(Environment(path, map_size, (kind.holder,), create=False)) as environment, environment.read() as txn:
        found = format_of(txn, environment.database(kind.holder))
    if found is None or found == kind.version:
        return None
    if found != 1:
        raise keys.unknown_format(kind.noun, found, kind.version)
    try:
        with closing(Environment(path, map_size, tuple(kind.databases), create=False, added=kind.later)) as environment:
            _rewrite(environment, kind)
    except InsufficientStorageError as error:
        msg = f"there is no room for bringing {kind.noun} of an earlier format to the present one: {error}"
        raise StorageError(msg) from error
    return found


def _rewrite(environment: Environment, kind: Kind) -> None:
    holder = environment.database(kind.holder)
    with environment.write() as txn:
        for name, reseal in kind.databases.items():
            _seal_again(txn, environment.database(name), reseal)
        if kind is COLLECTION and txn.get(keys.FIELDS, db=holder) is None:
            txn.put(keys.FIELDS, keys.seal(keys.FIELDS, b'{"indexes":[],"next_number":0}'), db=holder)
        txn.put(keys.FORMAT, keys.seal(b"", keys.u64(kind.version)), db=holder)


def format_of(txn: Txn, database: Database) -> int | None:
    """Return the number of the format an environment is in, None when it has none yet."""
    record = txn.get(keys.FORMAT, db=database)
    return None if record is None else keys.of_u64(keys.unseal(b"", record, "format"))


def _seal_again(txn: Txn, database: Database, reseal: Reseal) -> None:
    cursor = txn.cursor(db=database)
    found = cursor.first()
    while found:
        key = cursor.key()
        if key != keys.FORMAT:
            # A put of another cursor or of the transaction would leave this one at the same record.
            txn.put(key, reseal(key, cursor.value()), db=database)
        found = cursor.set_range(key + b"\0")


def _sealed(key: bytes, record: bytes) -> bytes:
    return keys.seal(key, keys.unseal(b"", record, "record", key.hex()))


def _slot(key: bytes, record: bytes) -> bytes:
    return pack_slot(PointId(key), record)


def _term(key: bytes, record: bytes) -> bytes:
    return _sealed(key, record) if key[_FIELD_BYTES : _FIELD_BYTES + 1] == b"c" else keys.seal(key, record)


COLLECTION: Final = Kind(
    "data",
    "meta",
    meta.FORMAT_VERSION,
    {**dict.fromkeys(collection.DATABASES, _sealed), "ids": _slot, "terms": _term},
    later=("fields", "terms"),
)
CATALOG: Final = Kind("catalog", "node", catalog.FORMAT_VERSION, dict.fromkeys(catalog.DATABASES, _sealed))
