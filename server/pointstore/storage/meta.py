"""The `meta` database: the head of the state, configuration, segment list.

The head is one small record that every request reads first: when its version equals that of a cached view, nothing else
has changed.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from pydantic import TypeAdapter

from pointstore.core.errors import CorruptionError
from pointstore.core.fields import FieldIndexes
from pointstore.core.schema import CollectionConfig
from pointstore.storage import keys
from pointstore.storage.env import Database, Txn
from pointstore.storage.segments import SegmentMeta, pack_segments, unpack_segments

FORMAT_VERSION = 2

_HEAD = struct.Struct("<7Q")
_CONFIG: TypeAdapter[CollectionConfig] = TypeAdapter(CollectionConfig)
_FIELDS: TypeAdapter[FieldIndexes] = TypeAdapter(FieldIndexes)


@dataclass(frozen=True, slots=True)
class Head:
    """Counters of a collection's state.

    Attributes:
        version: increases with every commit that a reader could notice.
        seq: last number taken in the log; everything up to it is applied.
        next_slot: first slot never used.
        points: number of points.
        config_version, segments_version: value of `version` when that part last changed.
        log_bytes: size of the retained log.
    """

    version: int = 0
    seq: int = 0
    next_slot: int = 0
    points: int = 0
    config_version: int = 0
    segments_version: int = 0
    log_bytes: int = 0


class Meta:
    """Typed access to the `meta` database; every method takes the transaction first."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, txn: Txn, config: CollectionConfig, created_at_s: int) -> None:
        """Write the records of an empty collection."""
        self._put(txn, keys.FORMAT, keys.u64(FORMAT_VERSION))
        self._put(txn, keys.CREATED_AT, keys.u64(created_at_s))
        self.put_config(txn, config)
        self.put_fields(txn, FieldIndexes())
        self.put_segments(txn, ())
        self.put_head(txn, Head())

    def check_format(self, txn: Txn) -> None:
        """Refuse an environment of another format.

        Raises:
            StorageError: the format is unknown to this version.
        """
        version = keys.of_u64(self._get(txn, keys.FORMAT))
        if version != FORMAT_VERSION:
            raise keys.unknown_format("data", version, FORMAT_VERSION)

    def head(self, txn: Txn) -> Head:
        """Return the head."""
        return Head(*_HEAD.unpack(self._get(txn, keys.HEAD)))

    def put_head(self, txn: Txn, head: Head) -> None:
        """Replace the head."""
        body = _HEAD.pack(
            head.version,
            head.seq,
            head.next_slot,
            head.points,
            head.config_version,
            head.segments_version,
            head.log_bytes,
        )
        self._put(txn, keys.HEAD, body)

    def first_slot(self, txn: Txn) -> int:
        """Return a slot before which none is live any more."""
        record = txn.get(keys.FIRST_SLOT, db=self._database)
        return 0 if record is None else keys.of_u64(keys.unseal(keys.FIRST_SLOT, record, "first slot"))

    def put_first_slot(self, txn: Txn, slot: int) -> None:
        """Raise the first slot; live blocks before it may go."""
        self._put(txn, keys.FIRST_SLOT, keys.u64(slot))

    def config(self, txn: Txn) -> CollectionConfig:
        """Return the configuration."""
        return _CONFIG.validate_json(self._get(txn, keys.CONFIG))

    def put_config(self, txn: Txn, config: CollectionConfig) -> None:
        """Replace the configuration; the caller advances the head."""
        self._put(txn, keys.CONFIG, _CONFIG.dump_json(config))

    def segments(self, txn: Txn) -> list[SegmentMeta]:
        """Return the published segments of all spaces."""
        return unpack_segments(self._get(txn, keys.SEGMENTS))

    def put_segments(self, txn: Txn, segments: tuple[SegmentMeta, ...]) -> None:
        """Replace the segment list; the caller advances the head."""
        self._put(txn, keys.SEGMENTS, pack_segments(list(segments)))

    def fields(self, txn: Txn) -> FieldIndexes:
        """Return the definitions of the field indexes."""
        return _FIELDS.validate_json(self._get(txn, keys.FIELDS))

    def put_fields(self, txn: Txn, fields: FieldIndexes) -> None:
        """Replace the definitions of the field indexes; the caller advances the head (they count as configuration)."""
        self._put(txn, keys.FIELDS, _FIELDS.dump_json(fields))

    def created_at(self, txn: Txn) -> int:
        """Return the time of creation in seconds since the epoch."""
        return keys.of_u64(self._get(txn, keys.CREATED_AT))

    def optimizer_error(self, txn: Txn) -> str | None:
        """Return the text of the optimizer's last failure, None when its last task succeeded."""
        record = txn.get(keys.OPTIMIZER_ERROR, db=self._database)
        return None if record is None else keys.unseal(keys.OPTIMIZER_ERROR, record, "optimizer error").decode()

    def put_optimizer_error(self, txn: Txn, text: str | None) -> None:
        """Record or clear the optimizer's failure."""
        if text is None:
            txn.delete(keys.OPTIMIZER_ERROR, db=self._database)
        else:
            self._put(txn, keys.OPTIMIZER_ERROR, text.encode())

    def _get(self, txn: Txn, key: bytes) -> bytes:
        record = txn.get(key, db=self._database)
        if record is None:
            msg = f"record {key.decode()} is missing"
            raise CorruptionError(msg)
        return keys.unseal(keys.framed_as(key), record, key.decode())

    def _put(self, txn: Txn, key: bytes, body: bytes) -> None:
        txn.put(key, keys.seal(keys.framed_as(key), body), db=self._database)


def advanced(head: Head, *, config: bool = False, segments: bool = False) -> Head:
    """Return the head with the next version, marking what changed with it."""
    version = head.version + 1
    return replace(
        head,
        version=version,
        config_version=version if config else head.config_version,
        segments_version=version if segments else head.segments_version,
    )
