"""The `ids` and `points` databases.

A cursor over `ids` is scroll order. A value there is the slot, and behind it (so that it serves as a key in place) the
checksum. A point record holds its own id: who reads it anyway notices a wrong slot without that checksum.
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
"""A slot as the key of its record; what a scan yields has the checksum behind it, still to be verified."""

_HEADER = struct.Struct("<BQ")
_PREFIX = struct.Struct("<IBQ")
"""Checksum and header."""
_CRC_BYTES = 4
_SLOT_BYTES = 8
_ID_START = _PREFIX.size
_NEW = tuple.__new__
_crc, _extend = google_crc32c.value, google_crc32c.extend


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
    return keys.seal(keys.u64(slot), _HEADER.pack(len(point_id), seq) + point_id + payload)


def pack_slot(point_id: PointId, slot: bytes) -> bytes:
    """Encode the slot, given as a key, of an id."""
    return slot + keys.seal(point_id, slot)[:_CRC_BYTES]


def unpack_slot(point_id: PointId, record: bytes) -> int:
    """Return the slot that the record of an id holds.

    Raises:
        CorruptionError: the record is damaged.
    """
    slot = record[:_SLOT_BYTES]
    if record[_SLOT_BYTES:] != _extend(_crc(point_id), slot).to_bytes(_CRC_BYTES, "little"):
        msg = f"checksum mismatch in the record of id {point_id.hex()}"
        raise CorruptionError(msg)
    return int.from_bytes(slot, "big")


class Points:
    """Typed access to both databases; every method takes the transaction first."""

    def __init__(self, ids: Database, points: Database) -> None:
        self._ids = ids
        self._points = points

    def slot_of(self, txn: Txn, point_id: PointId) -> int | None:
        """Return the slot of a point, None when it does not exist."""
        record = txn.get(point_id, db=self._ids)
        return None if record is None else unpack_slot(point_id, record)

    def slots_of(self, txn: Txn, ids: Iterable[PointId]) -> list[int | None]:
        """Return the slots of many points, in order."""
        get, database = txn.get, self._ids
        found = ((point_id, get(point_id, db=database)) for point_id in ids)
        return [None if record is None else unpack_slot(point_id, record) for point_id, record in found]

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
        unpack = _PREFIX.unpack_from
        # `_unpack` without its calls.
        try:
            records = [
                _NEW(PointRecord, (record[_ID_START : (start := _ID_START + length)], seq, record[start:]))
                for key, record in found
                for checksum, length, seq in (unpack(record),)
                if checksum == _extend(_crc(key), record[_CRC_BYTES:])
            ]
        except struct.error:
            # A record that lost its end.
            records = []
        if len(records) != len(places):
            # Whichever it is, reading it alone says what is wrong with it.
            for place in places:
                self.record(txn, slot_in(place))
        return records

    def payloads_at(self, txn: Txn, places: Sequence[tuple[PointId, SlotKey]]) -> list[bytes]:
        """Return the payloads of points by id and slot, in order; checksums behind the slots need not be verified.

        Raises:
            CorruptionError: a record is missing, damaged or that of another point.
        """
        found = txn.cursor(db=self._points).getmulti([place[:_SLOT_BYTES] for _, place in places])
        unpack = _PREFIX.unpack_from
        # `_unpack` and `check_id` without their calls.
        try:
            payloads = [
                record[start:]
                for (point_id, _), (key, record) in zip(places, found, strict=False)
                for checksum, length, _ in (unpack(record),)
                if checksum == _extend(_crc(key), record[_CRC_BYTES:])
                and record[_ID_START : (start := _ID_START + length)] == point_id
            ]
        except struct.error:
            # A record that lost its end.
            payloads = []
        if len(payloads) != len(places):
            for point_id, place in places:
                check_id(self.record(txn, slot_in(place)), point_id)
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
        """Return an iterator over ids and slots, not yet verified, in id order, from the first id >= start."""
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

    def first_slot(self, txn: Txn) -> int | None:
        """Return the lowest live slot, None when there is none."""
        cursor = txn.cursor(db=self._points)
        return keys.of_u64(cursor.key()) if cursor.first() else None

    def every(self, txn: Txn) -> Iterator[tuple[int, PointRecord]]:
        """Yield slot and record of all records, by slot.

        Raises:
            CorruptionError: one is damaged.
        """
        for key, record in txn.cursor(db=self._points).iternext():
            slot = keys.of_u64(key)
            yield slot, _unpack(record, slot)

    def put_new(self, txn: Txn, first_slot: int, ids: Sequence[PointId], records: Sequence[bytes]) -> None:
        """Store points under consecutive new slots; `records` from `pack_point`."""
        slots = [keys.u64(slot) for slot in range(first_slot, first_slot + len(ids))]
        ids_cursor = txn.cursor(db=self._ids)
        ids_cursor.putmulti([(i, pack_slot(i, slot)) for i, slot in zip(ids, slots, strict=True)], overwrite=True)
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
    body = keys.unseal(keys.u64(slot), record, "point of slot", slot)
    length, seq = _HEADER.unpack_from(body)
    start = _HEADER.size + length
    return PointRecord(PointId(body[_HEADER.size : start]), seq, body[start:])


def slot_keys(slots: NDArray[np.uint64]) -> list[SlotKey]:
    """Return (m,) slots as keys of their records."""
    packed = slots.astype(">u8").tobytes()
    return [SlotKey(packed[start : start + 8]) for start in range(0, len(packed), 8)]


def of_slot_keys(places: Iterable[SlotKey]) -> NDArray[np.uint64]:
    """Invert `slot_keys`."""
    return np.frombuffer(b"".join([place[:_SLOT_BYTES] for place in places]), ">u8").astype(np.uint64)


def slot_in(place: SlotKey) -> int:
    """Return the slot of one key."""
    return int.from_bytes(place[:_SLOT_BYTES], "big")


def check_places(places: Iterable[tuple[PointId, SlotKey]]) -> None:
    """Verify the slots that a scan yielded, where no record is read that would tell a wrong one.

    Raises:
        CorruptionError: a record of `ids` is damaged.
    """
    for point_id, place in places:
        if len(place) > _SLOT_BYTES:
            unpack_slot(point_id, place)


def check_id(record: PointRecord, point_id: PointId) -> PointRecord:
    """Return the record if it belongs to the id.

    Raises:
        CorruptionError: `ids` led to the slot of another point.
    """
    if record.point_id != point_id:
        msg = f"id {format_point_id(point_id)} leads to the record of {format_point_id(record.point_id)}"
        raise CorruptionError(msg)
    return record
