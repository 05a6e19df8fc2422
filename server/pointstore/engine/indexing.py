"""Payloads to blocks of field indexes: which values of a payload an index holds.

One level of arrays is opened, as everywhere (specification part 2, 3.2 and 9.3). A value that does not fit the type is
skipped, it is never an error.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from pointstore.core.checks import words
from pointstore.core.datetimes import parse_datetime
from pointstore.core.field_block import FieldBlock, FieldColumn, Flag
from pointstore.core.fields import FieldIndex, FieldParams, FieldType, RawKind
from pointstore.core.filter import elements_of
from pointstore.core.path import Key, Path, get, parse_path
from pointstore.core.payload import unpack_members
from pointstore.core.point import parse_uuid
from pointstore.core.schema import Json
from pointstore.core.values import Payload, count, elements, geo_of, is_empty, is_null, reacher, unwrapped
from pointstore.text.analyzer import analyzer_of

Codes = Callable[[int, Sequence[bytes]], list[int]]
"""Codes of terms of a field, by the field's number."""

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
_MICRO = 1000
_TIMES_BITS = 32
_TIMES_MASK = (1 << _TIMES_BITS) - 1
_CODES = np.dtype("<u4")
_INTEGERS = np.dtype("<i8")
_DOUBLES = np.dtype("<f8")
_PAIRS = np.dtype(("<f8", (2,)))
# Flags as plain integers: an operation on members of an enum costs as much as reading a value.
_NOTHING = 0
_NONEMPTY, _NULL, _OTHER = int(Flag.NONEMPTY), int(Flag.NULL), int(Flag.OTHER)
_STRING, _INTEGER, _DOUBLE = int(Flag.STRING), int(Flag.INTEGER), int(Flag.DOUBLE)
_TRUE, _FALSE = int(Flag.TRUE), int(Flag.FALSE)
_SCALARS = frozenset({bool, int, float, str})


@dataclass(slots=True)
class _Found:
    """Values of one kind, collected over the slots of a block."""

    positions: list[int] = field(default_factory=list)
    values: list[object] = field(default_factory=list)

    def add(self, position: int, value: object) -> None:
        self.positions.append(position)
        self.values.append(value)


Read = Callable[[list[Json], int, list[_Found]], int]
"""Collect what the reached values hold for the slot at a position; return further flags."""


ReadElements = Callable[[Payload, int, list[_Found]], None]
"""Collect what the elements of an array in a payload hold, each by itself."""


@dataclass(frozen=True, slots=True)
class Reader:
    """How an index of some kind reads payloads.

    Attributes:
        dtypes: of its columns.
        read: fills the columns.
        read_elements: does it instead where the index keeps the elements of an array apart (10.1).
    """

    dtypes: tuple[np.dtype[np.generic], ...]
    read: Read
    read_elements: ReadElements | None = None


def reader_of(index: FieldIndex) -> Reader:
    """Return the reader of an index."""
    if index.schema is None:
        assert index.raw is not None
        return _RAW_READERS[index.raw]
    if index.schema.type is FieldType.TEXT:
        return _text_reader(index.schema.effective, parse_path(index.path))
    return _READERS[index.schema.type]


def build_blocks(
    fields: Sequence[FieldIndex], slots: NDArray[np.int64], payloads: Sequence[bytes], codes: Codes
) -> list[tuple[int, FieldBlock]]:
    """Return what the payloads of some slots hold for each field, by the fields' numbers.

    Args:
        fields: the indexes.
        slots: (n,) ascending.
        payloads: n payloads in wire encoding.
        codes: gives codes to strings.
    """
    plans = [(_plan(index.path), reader_of(index)) for index in fields]
    collected: list[list[_Found]] = [[_Found() for _ in reader.dtypes] for _, reader in plans]
    flags = [bytearray(len(payloads)) for _ in fields]
    names = list(dict.fromkeys(name for (name, _), _ in plans))
    for position, payload in enumerate(payloads):
        if not payload:
            continue
        members = unpack_members(payload, names)
        for place, ((name, rest), reader) in enumerate(plans):
            if name in members:
                reached = get(members[name], rest) if rest.steps else [members[name]]
                if reached:
                    flags[place][position] = _presence(reached)
                    if reader.read_elements is None:
                        flags[place][position] |= reader.read(reached, position, collected[place])
                    else:
                        reader.read_elements(members, position, collected[place])
    return [
        (index.number, _block(index.number, slots, flags[place], collected[place], reader, codes))
        for place, (index, (_, reader)) in enumerate(zip(fields, plans, strict=True))
    ]


@lru_cache(maxsize=1024)
def _plan(path: str) -> tuple[str, Path]:
    """Split a path into the member of the payload and the rest."""
    first, *rest = parse_path(path).steps
    assert isinstance(first, Key)
    return first.name, Path(tuple(rest))


def _presence(reached: list[Json]) -> int:
    """Return the flags that `is_empty` and `is_null` need."""
    if len(reached) == 1 and type(reached[0]) in _SCALARS:
        return _NONEMPTY
    flags = _NOTHING if is_empty(reached) else _NONEMPTY
    return flags | _NULL if is_null(reached) else flags


def _block(  # noqa: PLR0913  the parts of a block
    number: int,
    slots: NDArray[np.int64],
    flags: bytearray,
    collected: list[_Found],
    reader: Reader,
    codes: Codes,
) -> FieldBlock:
    columns: list[FieldColumn] = []
    for found, dtype in zip(collected, reader.dtypes, strict=True):
        values = codes(number, found.values) if dtype == _CODES else found.values  # type: ignore[arg-type]
        array = np.array(values, _DOUBLES).reshape(-1, 2) if dtype is _PAIRS else np.array(values, dtype)
        columns.append(FieldColumn(np.array(found.positions, np.uint32), array))
    return FieldBlock(slots, np.frombuffer(bytes(flags), np.uint8), tuple(columns))


def _read_keywords(reached: list[Json], position: int, columns: list[_Found]) -> int:
    for text in {element for element in unwrapped(reached) if isinstance(element, str)}:
        columns[0].add(position, text.encode())
    return _NOTHING


def _read_uuids(reached: list[Json], position: int, columns: list[_Found]) -> int:
    parsed = {parse_uuid(element) for element in unwrapped(reached) if isinstance(element, str)}
    for raw in parsed - {None}:
        columns[0].add(position, raw)
    return _NOTHING


def _read_integers(reached: list[Json], position: int, columns: list[_Found]) -> int:
    numbers: set[int] = set()
    for element in unwrapped(reached):
        # bool is an int to Python, but not a number to a payload.
        if type(element) is int:
            numbers.add(element)
        elif type(element) is float and element.is_integer() and INT64_MIN <= element < 2.0**63:
            numbers.add(int(element))
    for number in numbers:
        columns[0].add(position, number)
    return _NOTHING


def _read_doubles(reached: list[Json], position: int, columns: list[_Found]) -> int:
    for number in {float(element) for element in unwrapped(reached) if type(element) in {int, float}}:  # type: ignore[arg-type]
        columns[0].add(position, number)
    return _NOTHING


def _read_bools(reached: list[Json], position: int, columns: list[_Found]) -> int:
    for flag in {element for element in unwrapped(reached) if isinstance(element, bool)}:
        columns[0].add(position, int(flag))
    return _NOTHING


def _read_datetimes(reached: list[Json], position: int, columns: list[_Found]) -> int:
    parsed = [parse_datetime(element) for element in unwrapped(reached) if isinstance(element, str)]
    for micros in {nanos // _MICRO for nanos in parsed if nanos is not None}:
        columns[0].add(position, micros)
    return _NOTHING


def _read_nanos(reached: list[Json], position: int, columns: list[_Found]) -> int:
    for element in unwrapped(reached):
        nanos = parse_datetime(element) if isinstance(element, str) else None
        if nanos is not None:
            # What does not fit, before 1677 and after 2262, stands at the ends and is compared on the payload.
            columns[0].add(position, min(max(nanos, INT64_MIN), INT64_MAX))
    return _NOTHING


def _read_geo(reached: list[Json], position: int, columns: list[_Found]) -> int:
    for element in unwrapped(reached):
        point = geo_of(element)
        if point is not None and abs(point[0]) <= 180 and abs(point[1]) <= 90:  # noqa: PLR2004  degrees
            columns[0].add(position, point)
    return _NOTHING


def _read_any_geo(reached: list[Json], position: int, columns: list[_Found]) -> int:
    for element in unwrapped(reached):
        point = geo_of(element)
        if point is not None:
            columns[0].add(position, point)
    return _NOTHING


def _read_counts(reached: list[Json], position: int, columns: list[_Found]) -> int:
    for value in reached:
        columns[0].add(position, count(value))
    return _NOTHING


def _read_values(reached: list[Json], position: int, columns: list[_Found]) -> int:
    flags = _NOTHING
    strings: set[str] = set()
    for element in unwrapped(reached):
        match element:
            case None:
                pass
            case bool():
                flags |= _TRUE if element else _FALSE
            case str():
                strings.add(element)
            case int():
                columns[1].add(position, element)
                flags |= _INTEGER
            case float():
                columns[2].add(position, element)
                flags |= _DOUBLE
            case _:
                flags |= _OTHER
    for text in strings:
        columns[0].add(position, text.encode())
        flags |= _STRING
    return flags


def _read_words(reached: list[Json], position: int, columns: list[_Found]) -> int:
    strings = [element for element in unwrapped(reached) if isinstance(element, str)]
    for word in {word for text in strings for word in words(text)}:
        columns[0].add(position, word.encode())
    # Words must come from one string: with several, a match on the index is only a candidate.
    return _OTHER if len(strings) > 1 else _NOTHING


def _text_reader(params: FieldParams, path: Path) -> Reader:
    analyzer = analyzer_of(params)

    def add(number: int, values: list[Json], position: int, columns: list[_Found]) -> None:
        counts = Counter(
            token for element in unwrapped(values) if isinstance(element, str) for token in analyzer.documents(element)
        )
        for token, times in counts.items():
            columns[0].add(position, token.encode())
            columns[1].add(position, pack_occurrences(number, times))

    def read(reached: list[Json], position: int, columns: list[_Found]) -> int:
        add(0, reached, position, columns)
        return _NOTHING

    if params.nested is None:
        return Reader((_CODES, _INTEGERS), read)
    array = elements_of(parse_path(params.nested))
    reach = reacher(Path(path.steps[len(array.steps) :]))

    def read_elements(payload: Payload, position: int, columns: list[_Found]) -> None:
        for number, element in enumerate(elements(payload, array)):
            add(number, reach(element), position, columns)

    return Reader((_CODES, _INTEGERS), read, read_elements)


def pack_occurrences(number: int, times: int) -> int:
    """Return how often a token occurs in a document of a point as a text index keeps it.

    Args:
        number: of the element among those of the array that the index keeps apart; 0 without that option.
        times: at least 1.
    """
    return number << _TIMES_BITS | times


def unpack_occurrences(packed: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Invert `pack_occurrences`: return numbers and times."""
    return packed >> _TIMES_BITS, packed & _TIMES_MASK


_READERS = {
    FieldType.KEYWORD: Reader((_CODES,), _read_keywords),
    FieldType.UUID: Reader((_CODES,), _read_uuids),
    FieldType.INTEGER: Reader((_INTEGERS,), _read_integers),
    FieldType.FLOAT: Reader((_DOUBLES,), _read_doubles),
    FieldType.BOOL: Reader((_INTEGERS,), _read_bools),
    FieldType.DATETIME: Reader((_INTEGERS,), _read_datetimes),
    FieldType.GEO: Reader((_PAIRS,), _read_geo),
}
_RAW_READERS = {
    RawKind.VALUES: Reader((_CODES, _INTEGERS, _DOUBLES), _read_values),
    RawKind.COUNTS: Reader((_INTEGERS,), _read_counts),
    RawKind.DATETIMES: Reader((_INTEGERS,), _read_nanos),
    RawKind.GEO: Reader((_PAIRS,), _read_any_geo),
    RawKind.WORDS: Reader((_CODES,), _read_words),
}
