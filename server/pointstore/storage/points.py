"""The `ids` and `points` databases.

A cursor over `ids` is scroll order. A point record holds its own id, so that a wrong slot is noticed when it is read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import google_crc32c

from pointstore.core.errors import CorruptionError
from pointstore.core.point import PointId, format_point_id
from pointstore.storage import keys
from pointstore.storage.env import Database, Txn

_HEADER = struct.Struct("<BQ")
_U64 = struct.Struct(">Q")


class PointRecord(NamedTuple):
    """What is stored of a live point besides vectors.

    Attributes:
        point_id: packed id.
        seq: last operation that touched it; the version on the wire.
        payload: in wire encoding.
    """

    point_id: PointId
    seq: int
    payload: bytes


def pack_point(slot: int, point_id: PointId, seq: int, payload: bytes) -> bytes:
    """Encode the point record of a slot."""
    return keys.seal(_U64.pack(slot), _HEADER.pack(len(point_id), seq) + point_id + payload)


class Points:
    """Typed access to both databases; every method takes the transaction first."""

    def __init__(self, ids: Database, points: Database) -> None:
        self._ids = ids
        self._points = points

    def slot_of(self, txn: Txn, point_id: PointId) -> int | None:
        """Return the slot of a point, None when it does not exist."""
        record = txn.get(point_id, db=self._ids)
        return None if record is None else _unpack_slot(point_id, record)

    def slots_of(self, txn: Txn, ids: Iterable[PointId]) -> list[int | None]:
        """Return the slots of many points, in order."""
        get, database = txn.get, self._ids
        found = ((point_id, get(point_id, db=database)) for point_id in ids)
        return [None if record is None else _unpack_slot(point_id, record) for point_id, record in found]

    def record(self, txn: Txn, slot: int) -> PointRecord:
        """Return the record of a live slot.

        Raises:
            CorruptionError: there is none, or it is damaged.
        """
        return _unpack(txn.get(keys.u64(slot), db=self._points), slot)

    def records(self, txn: Txn, slots: Sequence[int]) -> list[PointRecord]:
        """Return the records of live slots, in order; ten at a time this is what a search spends its time on.

        Raises:
            CorruptionError: one is missing or damaged.
        """
        get, database, pack, crc, extend = txn.get, self._points, _U64.pack, google_crc32c.value, google_crc32c.extend
        found: list[PointRecord] = []
        for slot in slots:
            key = pack(slot)
            record = get(key, db=database)
            # `_unpack` without its calls.
            if record is None or int.from_bytes(record[:4], "little") != extend(crc(key), record[4:]):
                found.append(_unpack(record, slot))
                continue
            length, seq = _HEADER.unpack_from(record, 4)
            start = 4 + _HEADER.size + length
            found.append(PointRecord(PointId(record[4 + _HEADER.size : start]), seq, record[start:]))
        return found

    def payload_sizes(self, txn: Txn, slots: Sequence[int]) -> list[int]:
        """Return the sizes in bytes of payloads, each of the first record at or behind one of the ascending slots."""
        cursor = txn.cursor(db=self._points)
        sizes: dict[int, int] = {}
        for slot in slots:
            if not cursor.set_range(keys.u64(slot)):
                break
            found = keys.of_u64(cursor.key())
            if found not in sizes:
                sizes[found] = len(_unpack(cursor.value(), found).payload)
        return list(sizes.values())

    def scan(self, txn: Txn, start: PointId | None) -> Iterator[tuple[PointId, int]]:
        """Yield (id, slot) in id order, from the first id >= start."""
        cursor = txn.cursor(db=self._ids)
        if not (cursor.first() if start is None else cursor.set_range(start)):
            return
        for key, record in cursor.iternext():
            point_id = PointId(key)
            yield point_id, _unpack_slot(point_id, record)

    def payloads(self, txn: Txn, after: int, limit: int) -> list[tuple[int, bytes]]:
        """Return slot and payload of the next points by slot, with slots > `after`."""
        cursor = txn.cursor(db=self._points)
        found: list[tuple[int, bytes]] = []
        if not cursor.set_range(keys.u64(after + 1)):
            return found
        for key, record in cursor.iternext():
            slot = keys.of_u64(key)
            found.append((slot, _unpack(record, slot).payload))
            if len(found) == limit:
                break
        return found

    def put_new(self, txn: Txn, first_slot: int, ids: Sequence[PointId], records: Sequence[bytes]) -> None:
        """Store points under consecutive new slots; `records` from `pack_point`."""
        slots = [keys.u64(slot) for slot in range(first_slot, first_slot + len(ids))]
        ids_cursor = txn.cursor(db=self._ids)
        ids_cursor.putmulti([(i, keys.seal(i, slot)) for i, slot in zip(ids, slots, strict=True)], overwrite=True)
        points_cursor = txn.cursor(db=self._points)
        points_cursor.putmulti(list(zip(slots, records, strict=True)), append=True)

    def replace(self, txn: Txn, slot: int, record: bytes) -> None:
        """Replace the record of a slot (its id stays the same)."""
        txn.put(keys.u64(slot), record, db=self._points)

    def drop_slot(self, txn: Txn, slot: int) -> None:
        """Remove the record of a slot."""
        txn.delete(keys.u64(slot), db=self._points)

    def drop_id(self, txn: Txn, point_id: PointId) -> None:
        """Remove an id whose slot was dropped."""
        txn.delete(point_id, db=self._ids)


def _unpack_slot(point_id: PointId, record: bytes) -> int:
    slot = record[4:]
    # As `keys.unseal`, without its calls: a scroll of everything does little else.
    if int.from_bytes(record[:4], "little") != google_crc32c.extend(google_crc32c.value(point_id), slot):
        msg = f"checksum mismatch in id {format_point_id(point_id)}"
        raise CorruptionError(msg)
    return int.from_bytes(slot, "big")


def _unpack(record: bytes | None, slot: int) -> PointRecord:
    if record is None:
        msg = f"no record of slot {slot}"
        raise CorruptionError(msg)
    body = keys.unseal(_U64.pack(slot), record, "point of slot", slot)
    length, seq = _HEADER.unpack_from(body)
    start = _HEADER.size + length
    return PointRecord(PointId(body[_HEADER.size : start]), seq, body[start:])


def check_id(record: PointRecord, point_id: PointId) -> PointRecord:
    """Return the record if it belongs to the id.

    Raises:
        CorruptionError: `ids` led to the slot of another point.
    """
    if record.point_id != point_id:
        msg = f"id {format_point_id(point_id)} leads to the record of {format_point_id(record.point_id)}"
        raise CorruptionError(msg)
    return record
