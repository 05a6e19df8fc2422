"""Filters: a tree of clauses over conditions, each about the payload of a point or about the point itself.

Every condition is immutable and hashable, so that a filter or a part of one can be the key of a cache. What the
conditions mean on a payload is in `core/truth.py`; sections below are those of specification part 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import assert_never

from siphashc import siphash

from pointstore.core.path import Each, Key, Path
from pointstore.core.point import PointId, point_id_number

_SLICE_KEY = bytes(16)


@dataclass(frozen=True, slots=True)
class MatchKeyword:
    """A string equal to `text`, code point by code point (5.2)."""

    text: str


@dataclass(frozen=True, slots=True)
class MatchInteger:
    """An integer equal to `number`; never a double or a bool (5.2)."""

    number: int


@dataclass(frozen=True, slots=True)
class MatchBoolean:
    """The bool `flag` (5.2)."""

    flag: bool


@dataclass(frozen=True, slots=True)
class MatchAnyKeywords:
    """A string out of `texts` (5.3)."""

    texts: frozenset[str]


@dataclass(frozen=True, slots=True)
class MatchAnyIntegers:
    """An integer out of `numbers` (5.3)."""

    numbers: frozenset[int]


@dataclass(frozen=True, slots=True)
class MatchExceptKeywords:
    """Any value but null and the strings of `texts`; not the negation of `MatchAnyKeywords` (5.4)."""

    texts: frozenset[str]


@dataclass(frozen=True, slots=True)
class MatchExceptIntegers:
    """Any value but null and the integers of `numbers`; not the negation of `MatchAnyIntegers` (5.4)."""

    numbers: frozenset[int]


@dataclass(frozen=True, slots=True)
class MatchText:
    """A string with every token of `query` (8)."""

    query: str


@dataclass(frozen=True, slots=True)
class MatchTextAny:
    """A string with at least one token of `query` (8)."""

    query: str


@dataclass(frozen=True, slots=True)
class MatchPhrase:
    """A string with the tokens of `query` one after the other (8)."""

    query: str


@dataclass(frozen=True, slots=True)
class MatchPrefix:
    """A string that begins with `text` (5.5)."""

    text: str


@dataclass(frozen=True, slots=True)
class MatchSubstring:
    """A string that contains `text` (5.5)."""

    text: str


@dataclass(frozen=True, slots=True)
class Range:
    """A number within all bounds that are given, compared as double (5.6)."""

    lt: float | None = None
    gt: float | None = None
    gte: float | None = None
    lte: float | None = None


@dataclass(frozen=True, slots=True)
class DatetimeRange:
    """A string that parses as an instant within all given bounds, nanoseconds since the epoch (5.7)."""

    lt: int | None = None
    gt: int | None = None
    gte: int | None = None
    lte: int | None = None


@dataclass(frozen=True, slots=True)
class GeoPoint:
    """Degrees."""

    lon: float
    lat: float


Ring = tuple[GeoPoint, ...]
"""At least four points, the last equal to the first."""


@dataclass(frozen=True, slots=True)
class GeoBoundingBox:
    """A point strictly inside; west of `bottom_right` to east of `top_left` across the antimeridian (5.8.1)."""

    top_left: GeoPoint
    bottom_right: GeoPoint


@dataclass(frozen=True, slots=True)
class GeoRadius:
    """A point less than `radius` metres from `center` (5.9)."""

    center: GeoPoint
    radius: float


@dataclass(frozen=True, slots=True)
class GeoPolygon:
    """A point strictly inside `exterior`, and outside all `interiors` (5.10)."""

    exterior: Ring
    interiors: tuple[Ring, ...] = ()


TextCheck = MatchText | MatchTextAny | MatchPhrase
"""Checks whose meaning depends on the text index of the field."""

Check = (
    MatchKeyword
    | MatchInteger
    | MatchBoolean
    | MatchAnyKeywords
    | MatchAnyIntegers
    | MatchExceptKeywords
    | MatchExceptIntegers
    | MatchPrefix
    | MatchSubstring
    | TextCheck
    | Range
    | DatetimeRange
    | GeoBoundingBox
    | GeoRadius
    | GeoPolygon
)
"""What is asked of one value; arrays are unwrapped once and any element will do (3.2)."""


@dataclass(frozen=True, slots=True)
class Field:
    """True where any value at `path` passes any of `checks`; there is at least one check, nearly always just one."""

    path: Path
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class ValuesCount:
    """True where one value at `path` has a number of elements within all given bounds; nothing counts 0 (5.11)."""

    path: Path
    lt: int | None = None
    gt: int | None = None
    gte: int | None = None
    lte: int | None = None


@dataclass(frozen=True, slots=True)
class IsEmpty:
    """True where no value is reached, or only nulls and empty arrays (5.12).

    Attributes:
        path: the field.
        wanted: False asks for the opposite. It is kept apart from a negation because the two differ on a field whose
            index has the `nested` option (10.1).
    """

    path: Path
    wanted: bool = True


@dataclass(frozen=True, slots=True)
class IsNull:
    """True where a value is null or directly holds a null (5.13); `wanted` as in `IsEmpty`."""

    path: Path
    wanted: bool = True


@dataclass(frozen=True, slots=True)
class HasId:
    """True for the points with one of these ids."""

    ids: frozenset[PointId]


@dataclass(frozen=True, slots=True)
class HasVector:
    """True for the points that store a vector of this name; "" is the default vector."""

    name: str


@dataclass(frozen=True, slots=True)
class Slice:
    """True for one of `total` parts of all possible ids, equal in size and disjoint (5.14); `index` < `total`."""

    total: int
    index: int

    def contains(self, point_id: PointId) -> bool:
        """Return whether a point is in this part, by SipHash-2-4 of its id under the zero key."""
        number = point_id_number(point_id)
        # A packed id is a tag and then big-endian.
        hashed = point_id[1:] if number is None else number.to_bytes(8, "little")
        return siphash(_SLICE_KEY, hashed) % self.total == self.index


@dataclass(frozen=True, slots=True)
class Nested:
    """True where one object in the array at `path` satisfies the whole `filter`, with keys relative to it (5.15).

    `path` ends in `[]`; make it with `elements_of`. Conditions on the point itself are false inside.
    """

    path: Path
    filter: Filter


@dataclass(frozen=True, slots=True)
class MinShould:
    """At least `min_count` of the conditions, counted as list entries."""

    conditions: tuple[Condition, ...]
    min_count: int


@dataclass(frozen=True, slots=True)
class Filter:
    """Holds where all present clauses hold; an empty clause is absent, an empty filter matches every point.

    Attributes:
        must: every condition.
        should: at least one condition.
        must_not: no condition.
        min_should: None when absent; without conditions it matches nothing.
    """

    must: tuple[Condition, ...] = ()
    should: tuple[Condition, ...] = ()
    must_not: tuple[Condition, ...] = ()
    min_should: MinShould | None = None

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The conditions of all clauses."""
        counted = () if self.min_should is None else self.min_should.conditions
        return self.must + self.should + self.must_not + counted


PointCondition = HasId | HasVector | Slice
"""Conditions on the point itself."""

PayloadCondition = Field | ValuesCount | IsEmpty | IsNull
"""Conditions on one field of the payload."""

Leaf = PointCondition | PayloadCondition
Condition = Leaf | Nested | Filter


def excluding(condition: Filter | None, ids: frozenset[PointId]) -> Filter | None:
    """Return the filter with the points of `ids` taken out."""
    if not ids:
        return condition
    if condition is None:
        return Filter(must_not=(HasId(ids),))
    return Filter(must=(condition,), must_not=(HasId(ids),))


def elements_of(path: Path) -> Path:
    """Return the path to the elements of the array at `path`, which may say so already by a final `[]`."""
    return path if path.steps[-1] == Each() else Path((*path.steps, Each()))


def joined(base: Path | None, path: Path) -> Path:
    """Return the whole path of a key that is relative to the elements at `base`."""
    return path if base is None else Path(base.steps + path.steps)


def leaves(condition: Condition, base: Path | None = None) -> Iterator[tuple[Leaf, Path | None]]:
    """Yield every leaf of the tree, with the elements that its path is relative to: None outside `Nested`."""
    match condition:
        case Filter():
            for part in condition.conditions:
                yield from leaves(part, base)
        case Nested(path, inner):
            yield from leaves(inner, joined(base, path))
        case _:
            yield condition, base


def leaf_count(condition: Condition) -> int:
    """Return the number of leaves, as strict mode counts conditions (17.2)."""
    return sum(1 for _ in leaves(condition))


def list_size_max(condition: Condition) -> int:
    """Return the number of distinct entries of the longest list of values or ids, 0 without lists (17.2)."""
    return max((_list_size(leaf) for leaf, _ in leaves(condition)), default=0)


def _list_size(leaf: Leaf) -> int:
    match leaf:
        case HasId(ids):
            return len(ids)
        case Field(_, checks):
            return max(_check_size(check) for check in checks)
        case HasVector() | Slice() | ValuesCount() | IsEmpty() | IsNull():
            return 0
        case _:
            assert_never(leaf)


def _check_size(check: Check) -> int:
    match check:
        case MatchAnyKeywords(entries) | MatchExceptKeywords(entries):
            return len(entries)
        case MatchAnyIntegers(numbers) | MatchExceptIntegers(numbers):
            return len(numbers)
        case _:
            return 0


def payload_paths(condition: Condition) -> frozenset[Path]:
    """Return the fields that the conditions look at; inside `Nested` as `key[].inner`, the path of an index on them."""
    return frozenset(
        joined(base, leaf.path) for leaf, base in leaves(condition) if not isinstance(leaf, HasId | HasVector | Slice)
    )


def member_names(condition: Condition) -> frozenset[str]:
    """Return the names of the top-level members of a payload that decide about a condition."""
    match condition:
        case Filter():
            return frozenset().union(*(member_names(part) for part in condition.conditions))
        case HasId() | HasVector() | Slice():
            return frozenset()
        case _:
            # All that is inside `Nested` is below its path, and elements count even where it is empty.
            return frozenset(step.name for step in condition.path.steps[:1] if isinstance(step, Key))
