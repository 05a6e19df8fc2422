"""Environments of earlier formats brought to the present one, each in one transaction: whole or not at all.

Format 1 knew no keys in its checksums, and none at all for slots of ids, codes of terms and their counter; the
definitions of field indexes were written only once there were any.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from pointstore.core.errors import InsufficientStorageError, StorageError
from pointstore.core.point import PointId
from pointstore.storage import catalog, collection, keys, meta
from pointstore.storage.env import Database, Environment, Txn
from pointstore.storage.points import pack_slot

_FIELD_BYTES = 2

_Reseal = Callable[[bytes, bytes], bytes]


def migrate_collection(path: Path, map_size: int) -> int | None:
    """Bring the environment of a collection to the present format.

    Returns:
        the format it had before, None when there was nothing to do.

    Raises:
        StorageError: a newer format, one that is unknown, or no room for a second copy of the largest database; nothing
            was changed.
        CorruptionError: a record is damaged; nothing was changed.
    """
    readers: dict[str, _Reseal] = {**dict.fromkeys(collection.DATABASES, _sealed), "ids": _slot, "terms": _term}
    return _migrate(path / collection.ENVIRONMENT, map_size, "meta", "data", meta.FORMAT_VERSION, readers)


def migrate_catalog(path: Path, map_size: int) -> int | None:
    """Bring the catalog to the present format; as `migrate_collection`."""
    readers = dict.fromkeys(catalog.DATABASES, _sealed)
    return _migrate(path, map_size, "node", "catalog", catalog.FORMAT_VERSION, readers)


def _migrate(  # noqa: PLR0913  what tells one kind of environment from the other
    path: Path, map_size: int, holder: str, noun: str, newest: int, readers: Mapping[str, _Reseal]
) -> int | None:
    environment = Environment(path, map_size, tuple(readers), create=False)
    try:
        with environment.read() as txn:
            found = format_of(txn, environment.database(holder))
        if found is None or found == newest:
            return None
        if found != 1:
            raise keys.unknown_format(noun, found, newest)
        with environment.write() as txn:
            for name, reseal in readers.items():
                _seal_again(txn, environment.database(name), reseal)
            if noun == "data" and txn.get(keys.FIELDS, db=environment.database(holder)) is None:
                record = keys.seal(keys.FIELDS, b'{"indexes":[],"next_number":0}')
                txn.put(keys.FIELDS, record, db=environment.database(holder))
            txn.put(keys.FORMAT, keys.seal(b"", keys.u64(newest)), db=environment.database(holder))
    except InsufficientStorageError as error:
        msg = f"there is no room for bringing {noun} of an earlier format to the present one: {error}"
        raise StorageError(msg) from error
    else:
        return found
    finally:
        environment.close()


def format_of(txn: Txn, database: Database) -> int | None:
    """Return the number of the format an environment is in, None when it has none yet."""
    record = txn.get(keys.FORMAT, db=database)
    return None if record is None else keys.of_u64(keys.unseal(b"", record, "format"))


def _seal_again(txn: Txn, database: Database, reseal: _Reseal) -> None:
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
