"""The `fields` and `terms` databases: what payload field indexes hold.

    fields  field u16, level u8, seq u64   -> block: what the payloads of some slots hold under the field's path
    terms   field u16, b"t", term key      -> code u32
            field u16, b"c", code u32      -> term
            field u16, b"n"                -> number of codes given, u32

A block covers a set of slots: for those, and only those, it replaces what blocks before it said (order: level, then
seq). Level 0 is the backfill of an index that was created on a collection with points, level 1 what was written since.
Strings are stored as codes, given in the order of their first use; a code never changes its term.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator, Sequence

import numpy as np

from pointstore.core.errors import CorruptionError
from pointstore.core.field_block import FieldBlock, FieldColumn
from pointstore.storage import keys
from pointstore.storage.env import Database, Txn
from pointstore.storage.live import drop_prefix

BACKFILL, WRITTEN = 0, 1

_BLOCK = struct.Struct(">HBQ")
_FIELD = struct.Struct(">H")
_CODE = struct.Struct(">I")
_HEADER = struct.Struct("<QB7x")
_COLUMN = struct.Struct("<2s6xQ")
_TERM_KEY_MAX = 256
_NEXT_CODE = b"n"


class Fields:
    """Typed access to both databases; every method takes the transaction first."""

    def __init__(self, fields: Database, terms: Database) -> None:
        self._fields = fields
        self._terms = terms

    def put_block(self, txn: Txn, number: int, level: int, seq: int, block: FieldBlock) -> None:
        """Store a block behind all others of its level."""
        key = _BLOCK.pack(number, level, seq)
        txn.put(key, keys.seal(key, _pack(block)), db=self._fields)

    def blocks(
        self, txn: Txn, number: int, after: tuple[int, int] = (BACKFILL, -1)
    ) -> Iterator[tuple[tuple[int, int], FieldBlock]]:
        """Yield ((level, seq), block) behind `after`, in order."""
        level, seq = after
        cursor = txn.cursor(db=self._fields)
        if not cursor.set_range(_BLOCK.pack(number, level, seq + 1)):
            return
        for key, record in cursor.iternext():
            found, level, seq = _BLOCK.unpack(key)
            if found != number:
                return
            yield (level, seq), _unpack(keys.unseal(key, record, "block", seq, "of field", number))

    def replace_blocks(self, txn: Txn, number: int, through: tuple[int, int], block: FieldBlock | None) -> None:
        """Replace every block up to and including `through` by one that says the same."""
        cursor = txn.cursor(db=self._fields)
        last = _BLOCK.pack(number, *through)
        found = cursor.set_range(_BLOCK.pack(number, BACKFILL, 0))
        while found and cursor.key().startswith(_FIELD.pack(number)) and cursor.key() <= last:
            found = cursor.delete()
        if block is not None:
            self.put_block(txn, number, through[0], through[1], block)

    def count_blocks(self, txn: Txn, number: int) -> int:
        """Count the blocks of a field."""
        cursor = txn.cursor(db=self._fields)
        count = 0
        if cursor.set_range(_FIELD.pack(number)):
            for key, _ in cursor.iternext():
                if not key.startswith(_FIELD.pack(number)):
                    break
                count += 1
        return count

    def code(self, txn: Txn, number: int, term: bytes) -> int | None:
        """Return the code of a term, None when no payload ever held it."""
        key = _term_key(number, term)
        record = txn.get(key, db=self._terms)
        return None if record is None else int.from_bytes(keys.unseal(key, record, "code of field", number), "big")

    def codes(self, txn: Txn, number: int, terms: Sequence[bytes]) -> list[int]:
        """Return the codes of terms, giving new ones where needed (in a write transaction)."""
        known: dict[bytes, int] = {}
        counter = _FIELD.pack(number) + _NEXT_CODE
        record = txn.get(counter, db=self._terms)
        given = b"" if record is None else keys.unseal(counter, record, "number of codes of field", number)
        start = following = int.from_bytes(given, "big")
        for term in terms:
            if term in known:
                continue
            code = self.code(txn, number, term)
            if code is None:
                code, following = following, following + 1
                raw = _CODE.pack(code)
                for key, body in ((_term_key(number, term), raw), (_FIELD.pack(number) + b"c" + raw, term)):
                    txn.put(key, keys.seal(key, body), db=self._terms)
            known[term] = code
        if following != start:
            txn.put(counter, keys.seal(counter, _CODE.pack(following)), db=self._terms)
        return [known[term] for term in terms]

    def term(self, txn: Txn, number: int, code: int) -> bytes:
        """Return the term of a code.

        Raises:
            CorruptionError: the code was never given, or the record is damaged.
        """
        key = _FIELD.pack(number) + b"c" + _CODE.pack(code)
        record = txn.get(key, db=self._terms)
        if record is None:
            msg = f"code {code} of field {number} has no term"
            raise CorruptionError(msg)
        return keys.unseal(key, record, "term", code, "of field", number)

    def terms(self, txn: Txn, number: int) -> Iterator[tuple[int, bytes]]:
        """Yield (code, term) of every term of a field, by code."""
        prefix = _FIELD.pack(number) + b"c"
        cursor = txn.cursor(db=self._terms)
        if not cursor.set_range(prefix):
            return
        for key, record in cursor.iternext():
            if not key.startswith(prefix):
                return
            yield int.from_bytes(key[len(prefix) :], "big"), keys.unseal(key, record, "term of field", number)

    def numbers(self, txn: Txn) -> set[int]:
        """Return the numbers of all fields that something is stored of."""
        return {
            _FIELD.unpack_from(key)[0]
            for database in (self._fields, self._terms)
            for key, _ in txn.cursor(db=database).iternext()
        }

    def drop(self, txn: Txn, number: int) -> None:
        """Remove everything of a field."""
        drop_prefix(txn, self._fields, _FIELD.pack(number))
        drop_prefix(txn, self._terms, _FIELD.pack(number))


def _term_key(number: int, term: bytes) -> bytes:
    # Keys of LMDB have at most 511 bytes.
    key = term if len(term) <= _TERM_KEY_MAX else term[:_TERM_KEY_MAX] + hashlib.blake2b(term, digest_size=16).digest()
    return _FIELD.pack(number) + b"t" + key


def _pack(block: FieldBlock) -> bytes:
    parts = [_HEADER.pack(len(block.slots), len(block.columns)), block.slots.astype("<i8", copy=False).tobytes()]
    parts.append(_padded(block.flags.tobytes()))
    for column in block.columns:
        pair = b"2" if column.values.ndim > 1 else b"1"
        kind = column.values.dtype.kind.encode()
        parts += (_COLUMN.pack(kind + pair, len(column.positions)), _padded(column.positions.astype("<u4").tobytes()))
        parts.append(_padded(column.values.tobytes()))
    return b"".join(parts)


def _padded(data: bytes) -> bytes:
    """Fill up to a multiple of 8 bytes, so that every array in a block is aligned."""
    return data + bytes(-len(data) % 8)


_DTYPES: dict[bytes, np.dtype[np.generic]] = {b"u": np.dtype("<u4"), b"i": np.dtype("<i8"), b"f": np.dtype("<f8")}


def _unpack(body: bytes) -> FieldBlock:
    count, columns = _HEADER.unpack_from(body)
    offset = _HEADER.size
    slots = np.frombuffer(body, "<i8", count, offset)
    offset += 8 * count
    flags = np.frombuffer(body, np.uint8, count, offset)
    offset += count + -count % 8
    found: list[FieldColumn] = []
    for _ in range(columns):
        kind, length = _COLUMN.unpack_from(body, offset)
        offset += _COLUMN.size
        positions = np.frombuffer(body, "<u4", length, offset)
        offset += 4 * length + -4 * length % 8
        dtype = _DTYPES[kind[:1]]
        width = int(kind[1:])
        values = np.frombuffer(body, dtype, length * width, offset)
        size = dtype.itemsize * length * width
        offset += size + -size % 8
        found.append(FieldColumn(positions, values.reshape(-1, 2) if width > 1 else values))
    return FieldBlock(slots, flags, tuple(found))
