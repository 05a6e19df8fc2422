"""Payload field indexes: what they are defined by and which values of a payload they hold.

Indexes that clients create have one of the eight types of the API. The engine also creates indexes of its own, when a
filter asks for a field that has none of a suitable type; they hold values exactly as an evaluation of the payload would
see them ("raw" kinds), and no client is told of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import IntEnum, StrEnum

from pointstore.core.schema import Memory


class FieldType(IntEnum):
    """Types of the API, as `FieldType` numbers them."""

    KEYWORD = 0
    INTEGER = 1
    FLOAT = 2
    GEO = 3
    TEXT = 4
    BOOL = 5
    DATETIME = 6
    UUID = 7


class RawKind(StrEnum):
    """Indexes of the engine's own: one family of conditions each."""

    VALUES = "values"
    """Strings, integers, doubles, booleans, and which other kinds of elements there are."""
    COUNTS = "counts"
    """Number of values of each reached value."""
    DATETIMES = "datetimes"
    """Strings that are datetimes, in nanoseconds."""
    GEO = "geo"
    """Objects with numeric lon and lat, in range or not."""
    WORDS = "words"
    """Lower-case words of strings."""


@dataclass(frozen=True, slots=True)
class Stopwords:
    """Stopwords of languages (full lower-case names) and of the client's own; both sorted, without duplicates."""

    languages: tuple[str, ...] = ()
    custom: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FieldParams:
    """Parameters of an index; each type has some of them, None is "not given" (specification part 2, 9.4).

    Attributes:
        is_tenant, is_principal, on_disk, enable_hnsw, memory: hints, kept and echoed.
        prefix: keyword; a promise of speed.
        lookup, range: integer; both are true unless said otherwise.
        tokenizer: text; prefix 1, whitespace 2, word 3, multilingual 4, code 5.
        stemmer: text; Snowball language, "" for the explicit "disabled".
        scoring: text; BM25 ranking is asked for.
        nested: canonical path of the array whose elements are indexed one by one, with its "[]".
    """

    is_tenant: bool | None = None
    is_principal: bool | None = None
    on_disk: bool | None = None
    enable_hnsw: bool | None = None
    memory: Memory | None = None
    prefix: bool | None = None
    lookup: bool | None = None
    range: bool | None = None
    tokenizer: int | None = None
    lowercase: bool | None = None
    ascii_folding: bool | None = None
    min_token_len: int | None = None
    max_token_len: int | None = None
    stopwords: Stopwords | None = None
    phrase_matching: bool | None = None
    stemmer: str | None = None
    scoring: bool | None = None
    nested: str | None = None


@dataclass(frozen=True, slots=True)
class FieldSchema:
    """What a client asks for; `params` None when only the type was sent, and then none are echoed."""

    type: FieldType
    params: FieldParams | None = None

    @property
    def effective(self) -> FieldParams:
        """The parameters, none given for an index of the type alone."""
        return self.params or FieldParams()


@dataclass(frozen=True, slots=True)
class FieldIndex:
    """An index of a collection.

    Attributes:
        number: internal number, never reused within a collection.
        path: canonical text of the path.
        schema: of an index that a client created.
        raw: kind of an index of the engine's own.
        ready: False while existing points are still being indexed.
        used_at_s: of an index of the engine's own, about when a filter last wanted it, in seconds since the epoch.
    """

    number: int
    path: str
    schema: FieldSchema | None = None
    raw: RawKind | None = None
    ready: bool = field(default=False, compare=False)
    used_at_s: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class FieldIndexes:
    """All indexes of a collection, and the number that the next one gets."""

    indexes: tuple[FieldIndex, ...] = ()
    next_number: int = 0

    def of_client(self, path: str) -> FieldIndex | None:
        """Return the index that a client created on a path."""
        return next((index for index in self.indexes if index.path == path and index.schema is not None), None)

    def of_engine(self, path: str, kind: RawKind) -> FieldIndex | None:
        """Return the engine's own index of a kind on a path."""
        return next((index for index in self.indexes if index.path == path and index.raw is kind), None)

    def added(self, path: str, *, schema: FieldSchema | None = None, raw: RawKind | None = None) -> FieldIndexes:
        """Return the indexes with a new one that is not ready yet."""
        index = FieldIndex(self.next_number, path, schema, raw)
        return FieldIndexes((*self.indexes, index), self.next_number + 1)

    def used(self, number: int, now_s: int) -> FieldIndexes:
        """Return the indexes with one of them marked as used."""
        return replace(
            self,
            indexes=tuple(
                replace(index, used_at_s=now_s) if index.number == number else index for index in self.indexes
            ),
        )

    def unused(self, since_s: int) -> list[int]:
        """Return the numbers of the engine's own indexes that no filter has wanted since then."""
        return [index.number for index in self.indexes if index.raw is not None and index.used_at_s < since_s]

    def without(self, number: int) -> FieldIndexes:
        """Return the indexes without one of them."""
        return replace(self, indexes=tuple(index for index in self.indexes if index.number != number))

    def completed(self, number: int) -> FieldIndexes:
        """Return the indexes with one of them marked as ready."""
        return replace(
            self,
            indexes=tuple(replace(index, ready=True) if index.number == number else index for index in self.indexes),
        )
