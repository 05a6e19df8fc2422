"""The `ids` and `points` databases.

A cursor over `ids` is scroll order. A point record holds its own id, so that a wrong slot is noticed when it is read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, NewType, cast

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from pointstore.core.errors import CorruptionError
from pointstore.core.point import PointId, format_point_id
from pointstore.storage import keys
from pointstore.storage.env import Database, Txn

SlotKey = NewType("SlotKey", bytes)
"""A slot as the key of its record."""

_HEADER = struct.Struct("<BQ")
_PREFIX = struct.Struct("<IBQ")
"""Checksum and header."""
_CRC_BYTES = 4
_ID_START = _PREFIX.size
_NEW = tuple.__new__


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


def pack_point(point_id: PointId, seq: int, payload: bytes) -> bytes:
    """Encode a point record."""
    return keys.seal(_HEADER.pack(len(point_id), seq) + point_id + payload)


class Points:
    """Typed access to both databases; every method takes the transaction first."""

    def __init__(self, ids: Database, points: Database) -> None:
        self._ids = ids
        self._points = points

    def slot_of(self, txn: Txn, point_id: PointId) -> int | None:
        """Return the slot of a point, None when it does not exist."""
        raw = txn.get(point_id, db=self._ids)
        return None if raw is None else keys.of_u64(raw)

    def slots_of(self, txn: Txn, ids: Iterable[PointId]) -> list[int | None]:
        """Return the slots of many points, in order."""
        get, database = txn.get, self._ids
        found = (get(point_id, db=database) for point_id in ids)
        return [None if raw is None else int.from_bytes(raw, "big") for raw in found]

    def record(self, txn: Txn, slot: int) -> PointRecord:
        """Return the record of a live slot.

        Raises:
            CorruptionError: there is none, or it is damaged.
        """
        return _unpack(txn.get(keys.u64(slot), db=self._points), slot)

    def records(self, txn: Txn, places: Sequence[SlotKey]) -> list[PointRecord]:
        """Return the records of live slots, in order; ten at a time this is what a search spends its time on.

        Raises:
            CorruptionError: one is missing or damaged.
        """
        found = txn.cursor(db=self._points).getmulti(places)
        crc, unpack = google_crc32c.value, _PREFIX.unpack_from
        # `_unpack` without its calls.
        try:
            records = [
                _NEW(PointRecord, (record[_ID_START : (start := _ID_START + length)], seq, record[start:]))
                for _, record in found
                for checksum, length, seq in (unpack(record),)
                if checksum == crc(record[_CRC_BYTES:])
            ]
        except struct.error:
            # A record that lost its end.
            records = []
        if len(records) != len(places):
            # Whichever it is, reading it alone says what is wrong with it.
            for place in places:
                self.record(txn, keys.of_u64(place))
        return records

    def payloads_at(self, txn: Txn, places: Sequence[tuple[PointId, SlotKey]]) -> list[bytes]:
        """Return the payloads of points by id and slot, in order.

        Raises:
            CorruptionError: a record is missing, damaged or that of another point.
        """
        found = txn.cursor(db=self._points).getmulti([place for _, place in places])
        crc, unpack = google_crc32c.value, _PREFIX.unpack_from
        # `_unpack` and `check_id` without their calls.
        try:
            payloads = [
                record[start:]
                for (point_id, _), (_, record) in zip(places, found, strict=False)
                for checksum, length, _ in (unpack(record),)
                if checksum == crc(record[_CRC_BYTES:])
                and record[_ID_START : (start := _ID_START + length)] == point_id
            ]
        except struct.error:
            # A record that lost its end.
            payloads = []
        if len(payloads) != len(places):
            for point_id, place in places:
                check_id(self.record(txn, keys.of_u64(place)), point_id)
        return payloads

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

    def scan(self, txn: Txn, start: PointId | None) -> Iterator[tuple[PointId, SlotKey]]:
        """Return an iterator over ids and slots in id order, from the first id >= start."""
        cursor = txn.cursor(db=self._ids)
        if not (cursor.first() if start is None else cursor.set_range(start)):
            return iter(())
        # Keys and values of the database are those types as they are; nothing of ours runs for each of them.
        return cast("Iterator[tuple[PointId, SlotKey]]", cursor.iternext())

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
        ids_cursor.putmulti(list(zip(ids, slots, strict=True)), overwrite=True)
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


def _unpack(record: bytes | None, slot: int) -> PointRecord:
    if record is None:
        msg = f"no record of slot {slot}"
        raise CorruptionError(msg)
    body = keys.unseal(record, "point of slot", slot)
    length, seq = _HEADER.unpack_from(body)
    start = _HEADER.size + length
    return PointRecord(PointId(body[_HEADER.size : start]), seq, body[start:])


def slot_keys(slots: NDArray[np.uint64]) -> list[SlotKey]:
    """Return (m,) slots as keys of their records."""
    packed = slots.astype(">u8").tobytes()
    return [SlotKey(packed[start : start + 8]) for start in range(0, len(packed), 8)]


def of_slot_keys(places: Iterable[SlotKey]) -> NDArray[np.uint64]:
    """Invert `slot_keys`."""
    return np.frombuffer(b"".join(places), ">u8").astype(np.uint64)


def check_id(record: PointRecord, point_id: PointId) -> PointRecord:
    """Return the record if it belongs to the id.

    Raises:
        CorruptionError: `ids` led to the slot of another point.
    """
    if record.point_id != point_id:
        msg = f"id {format_point_id(point_id)} leads to the record of {format_point_id(record.point_id)}"
        raise CorruptionError(msg)
    return record
