"""Which index answers a check (specification part 2, 7.1), and which index of the engine's own would.

A check that no index of the client serves is answered as an evaluation of the payload would: by an index of the
engine's own, which keeps kinds apart and has no quirks. `raw_needs` tells beforehand which of those a filter wants.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from pointstore.core.fields import FieldIndex, FieldIndexes, FieldType, RawKind
from pointstore.core.filter import (
    Check,
    Condition,
    DatetimeRange,
    Field,
    Filter,
    GeoBoundingBox,
    GeoPolygon,
    GeoRadius,
    HasId,
    HasVector,
    IsEmpty,
    IsNull,
    MatchAnyIntegers,
    MatchAnyKeywords,
    MatchBoolean,
    MatchExceptIntegers,
    MatchExceptKeywords,
    MatchInteger,
    MatchKeyword,
    MatchPhrase,
    MatchPrefix,
    MatchSubstring,
    MatchText,
    MatchTextAny,
    Nested,
    Range,
    Slice,
    ValuesCount,
)
from pointstore.core.point import parse_uuid


def client_index(check: Check, path: str, fields: FieldIndexes) -> FieldIndex | None:
    """Return the ready index of a client that answers the check, if there is one."""
    index = fields.of_client(path)
    if index is None or index.schema is None or not index.ready:
        return None
    return index if _serves(index.schema.type, check, index) else None


def _serves(kind: FieldType, check: Check, index: FieldIndex) -> bool:
    assert index.schema is not None
    params = index.schema.effective
    match check:
        case MatchKeyword(text):
            return kind is FieldType.KEYWORD or (kind is FieldType.UUID and parse_uuid(text) is not None)
        case MatchAnyKeywords(texts) | MatchExceptKeywords(texts):
            uuids = kind is FieldType.UUID and all(parse_uuid(text) is not None for text in texts)
            return kind is FieldType.KEYWORD or uuids
        case MatchPrefix() | MatchSubstring():
            return kind is FieldType.KEYWORD
        case MatchInteger() | MatchAnyIntegers() | MatchExceptIntegers():
            return kind is FieldType.INTEGER and params.lookup is not False
        case MatchBoolean():
            return kind is FieldType.BOOL
        case Range():
            return kind is FieldType.FLOAT or (kind is FieldType.INTEGER and params.range is not False)
        case DatetimeRange():
            return kind is FieldType.DATETIME
        case GeoBoundingBox() | GeoRadius() | GeoPolygon():
            return kind is FieldType.GEO
        case MatchText() | MatchTextAny() | MatchPhrase():
            return kind is FieldType.TEXT
        case _:
            assert_never(check)


def raw_kind(check: Check) -> RawKind:
    """Return the kind of index of the engine's own that answers a check."""
    match check:
        case MatchText() | MatchTextAny() | MatchPhrase():
            return RawKind.WORDS
        case DatetimeRange():
            return RawKind.DATETIMES
        case GeoBoundingBox() | GeoRadius() | GeoPolygon():
            return RawKind.GEO
        case _:
            return RawKind.VALUES


def raw_needs(condition: Condition, fields: FieldIndexes) -> Iterator[tuple[str, RawKind]]:
    """Yield path and kind of the engine's own indexes that would answer a filter; present or not.

    Conditions inside `Nested` are answered on payloads; what lies under them is not asked for.
    """
    match condition:
        case Filter():
            for part in condition.conditions:
                yield from raw_needs(part, fields)
        case Field(path, checks):
            for check in checks:
                if client_index(check, str(path), fields) is None:
                    yield str(path), raw_kind(check)
        case ValuesCount(path):
            yield str(path), RawKind.COUNTS
        case IsEmpty(path) | IsNull(path):
            if presence_index(str(path), fields) is None:
                yield str(path), RawKind.VALUES
        case Nested() | HasId() | HasVector() | Slice():
            pass
        case _:
            assert_never(condition)


def presence_index(path: str, fields: FieldIndexes) -> FieldIndex | None:
    """Return a ready index of any type that tells whether the field is empty or null, if there is one."""
    client = fields.of_client(path)
    if client is not None and client.ready:
        return client
    own = fields.of_engine(path, RawKind.VALUES)
    return own if own is not None and own.ready else None


def nested_base(path: str, fields: FieldIndexes) -> str | None:
    """Return the array whose elements the client's index on a path keeps apart (10.1), None without that option."""
    index = fields.of_client(path)
    return index.schema.effective.nested if index is not None and index.schema is not None and index.ready else None
