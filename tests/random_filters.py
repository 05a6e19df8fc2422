"""Random payloads, filters over them and indexes for their fields: conditions hold for some points and not for others.

Every field has a kind of values that most points keep to; the rest is what a filter must not trip over.
"""

from __future__ import annotations

import re
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pointstore.core.fields import FieldParams, FieldSchema, FieldType
from pointstore.core.filter import (
    Check,
    Condition,
    DatetimeRange,
    Field,
    Filter,
    GeoBoundingBox,
    GeoPoint,
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
    MinShould,
    Nested,
    Range,
    Slice,
    ValuesCount,
    elements_of,
)
from pointstore.core.path import parse_path

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from pointstore.core.point import PointId
    from pointstore.core.schema import Json

KEYWORDS = ["red", "blue", "Red", "green apple", "", "é", "B", "x" * 300]
UUIDS = [
    "550e8400-e29b-41d4-a716-446655440000",
    "550E8400E29B41D4A716446655440000",
    "urn:uuid:550e8400-e29b-41d4-a716-446655440000",
    "{550e8400-e29b-41d4-a716-446655440000}",
    "00000000-0000-0000-0000-000000000001",
    "not a uuid",
]
TEXTS = [
    "red fox jumps",
    "The red FOX",
    "blue sky, over the sea",
    "fox",
    "red-fox_jumps",
    "sea of the blue",
    "fox red",
    "été",
    "!!",
    "",
]
QUERIES = ["red fox", "fox red", "fox", "THE sea", "zebra blue", "the", "!!", "", "été", "over the sea", "re"]
INTEGERS = [0, 1, 2, 3, -3, -1, 1, 2, 2**53 + 1, 2**53, 2**63 - 1, -(2**63)]
DOUBLES = [0.0, 1.0, 1.5, -3.0, -0.5, 2.5, 2.0, 1e300, 2.0**53, 2.0**63, -(2.0**63)]
DATETIMES = [
    "2024-06-15",
    "2024-06-15T12:30:45Z",
    "2024-06-15T12:30:45.123456789Z",
    "2024-06-15 12:30:45.1234565",
    "1969-12-31T23:59:59.9999995Z",
    "1969-12-31T23:59:59.999999Z",
    "2024-06-15T12:30:45.123456Z",
    "2024-06-15T14:30:45+02:00",
    "0900-01-01",
    "1500-02-01T01:02:03",
    "2300-01-01T00:00:00Z",
    "9999-12-31T23:59:59Z",
    "2024-06-15T12",
]
_HUGE = 2.0**63
_SECOND = 10**9
_FINER = re.compile(r"\.[0-9]{7}")
# 2024-06-15, 12:30:45 of that day, the epoch, and years whose nanoseconds do not fit into 64 bits.
_INSTANTS = [1718409600 * _SECOND, 1718454645 * _SECOND, 0, -40_000_000_000 * _SECOND, 12_000_000_000 * _SECOND]
PLACES: list[Json] = [
    {"lon": 5, "lat": 5},
    {"lon": 0.0, "lat": 0.0},
    {"lon": 10, "lat": 10},
    {"lon": 2.5, "lat": 7, "name": "x"},
    {"lon": 179.5, "lat": 0},
    {"lon": -179.25, "lat": 1},
    {"lon": 200, "lat": 5},
    {"lon": 5, "lat": 95.0},
    {"lon": "5", "lat": 5},
    {"lon": 5},
]
OTHERS: list[Json] = [
    None,
    True,
    False,
    [],
    {},
    {"x": 1},
    [None],
    [["red"]],
    [1, "red"],
    [[]],
    [1, None],
    "red",
    1,
    1.0,
]

KINDS = {"k": "keyword", "n": "integer", "f": "double", "b": "bool", "g": "geo", "d": "datetime", "u": "uuid"}
KINDS |= {"t": "text", "m": "mixed"}
INNER = {"a": "integer", "k": "keyword", "t": "text", "d": "datetime"}
OBJECTS = "o"
TYPES = {
    "keyword": FieldType.KEYWORD,
    "integer": FieldType.INTEGER,
    "double": FieldType.FLOAT,
    "bool": FieldType.BOOL,
    "geo": FieldType.GEO,
    "datetime": FieldType.DATETIME,
    "uuid": FieldType.UUID,
    "text": FieldType.TEXT,
}
INDEXED_PATHS = [*KINDS, *KINDS, *(f"{OBJECTS}[].{name}" for name in INNER), "k[]", "m[]", OBJECTS, f"{OBJECTS}[0].a"]
WORD, WHITESPACE = 3, 2


@dataclass
class Chance:
    """Makes random payloads, filters and indexes.

    Attributes:
        rng: where the randomness comes from.
        ids: what `has_id` asks for.
        booleans, several_checks, nanos: whether filters have conditions on booleans, fields with several checks, and
            instants in the middle of a microsecond, as payloads then have.
        huge: whether payloads have the double 2^63, the first beyond the integers.
        depth: how deep filters are nested at most.
    """

    rng: random.Random
    ids: Sequence[PointId] = ()
    booleans: bool = True
    several_checks: bool = True
    nanos: bool = True
    huge: bool = True
    depth: int = 2
    _scalars: dict[str, Sequence[Json]] = field(init=False)

    def __post_init__(self) -> None:
        self._scalars = {
            "keyword": KEYWORDS,
            "integer": [*INTEGERS, *DOUBLES[:5]],
            "double": [*(each for each in DOUBLES if self.huge or each != _HUGE), *INTEGERS[:4]],
            "bool": [True, False],
            "geo": PLACES,
            "datetime": DATETIMES if self.nanos else [text for text in DATETIMES if not _FINER.search(text)],
            "uuid": UUIDS,
            "text": TEXTS,
        }

    def value(self, kind: str) -> Json:
        """Return a value that is mostly of a kind, alone or in an array."""
        draw = self.rng.random()
        scalars = self._scalars.get(kind) or self.rng.choice(list(self._scalars.values()))
        if draw < 0.6:
            return self.rng.choice(scalars)
        if draw < 0.8:
            return [self.rng.choice(scalars) for _ in range(self.rng.randint(0, 3))]
        if draw < 0.88:
            return [self.rng.choice([self.rng.choice(scalars), self.rng.choice(OTHERS)]) for _ in range(2)]
        return self.rng.choice(OTHERS)

    def payload(self) -> dict[str, Json]:
        """Return a payload."""
        made: dict[str, Json] = {key: self.value(kind) for key, kind in KINDS.items() if self.rng.random() < 0.7}
        if self.rng.random() < 0.7:
            made[OBJECTS] = self._objects()
        # No part of it is that of another payload: a model changes payloads in place.
        return deepcopy(made)

    def _objects(self) -> Json:
        if self.rng.random() < 0.1:
            odd: list[Json] = [self._object(), [[self._object()]], 1, None]
            return self.rng.choice(odd)
        made: list[Json] = [self._object() for _ in range(self.rng.randint(0, 3))]
        return [*made, self.rng.choice(OTHERS)] if self.rng.random() < 0.2 else made

    def _object(self) -> Json:
        made: dict[str, Json] = {key: self.value(kind) for key, kind in INNER.items() if self.rng.random() < 0.7}
        if self.rng.random() < 0.3:
            made[OBJECTS] = [{"a": self.value("integer")} for _ in range(self.rng.randint(0, 2))]
        return made

    def filter(self, level: int = 0, *, inner: bool = False) -> Filter:
        """Return a filter; `inner` for the elements of `OBJECTS`."""
        many = [self._conditions(level, inner=inner) for _ in range(4)]
        counted = MinShould(many[3], self.rng.randint(1, 3)) if self.rng.random() < 0.15 else None
        # All three clauses at once let hardly any point through.
        for empty in self.rng.sample(range(3), self.rng.choice([0, 1, 1, 2])):
            many[empty] = ()
        return Filter(many[0], many[1], many[2], counted)

    def _conditions(self, level: int, *, inner: bool) -> tuple[Condition, ...]:
        return tuple(self._condition(level, inner=inner) for _ in range(self.rng.choice([0, 1, 1, 2, 3])))

    def _condition(self, level: int, *, inner: bool) -> Condition:
        draw = self.rng.random()
        if draw < 0.2 and level < self.depth:
            return self.filter(level + 1, inner=inner)
        if draw < 0.3 and level < self.depth:
            key = self.rng.choice([OBJECTS, OBJECTS, f"{OBJECTS}[]", f"{OBJECTS}[0]"])
            return Nested(elements_of(parse_path(key)), self.filter(level + 1, inner=True))
        if draw < 0.38:
            return self._about_point()
        return self.leaf(inner=inner)

    def _about_point(self) -> Condition:
        match self.rng.randrange(3):
            case 0 if self.ids:
                return HasId(frozenset(self.rng.sample(list(self.ids), min(len(self.ids), self.rng.randint(0, 40)))))
            case 1:
                return HasVector(self.rng.choice(["", "", "nope"]))
            case _:
                total = self.rng.randint(1, 4)
                return Slice(total, self.rng.randrange(total))

    def leaf(self, *, inner: bool = False) -> Condition:
        """Return a condition on a field."""
        key, kind = self._key(inner=inner)
        path = parse_path(key)
        match self.rng.randrange(12):
            case 0:
                low, high = self.rng.choice([None, 0, 1, 2]), self.rng.choice([None, 1, 2, 3])
                return ValuesCount(path, gte=low, lt=high) if self.rng.random() < 0.5 else ValuesCount(path, high, low)
            case 1:
                return IsEmpty(path, self.rng.random() < 0.6)
            case 2:
                return IsNull(path, self.rng.random() < 0.6)
            case _:
                checks: tuple[Check, ...] = (self.check(kind),)
                if self.several_checks and self.rng.random() < 0.1:
                    checks = (*checks, self.check("mixed"))
                return Field(path, checks)

    def _key(self, *, inner: bool) -> tuple[str, str]:
        key, kind = self.rng.choice(list((INNER if inner else KINDS).items()))
        if inner or self.rng.random() < 0.75:
            return key + self.rng.choice(["", "", "", "[]"]), kind
        if self.rng.random() < 0.4:
            return key + self.rng.choice(["[]", "[0]", "[].x", ".x"]), kind
        name, kind = self.rng.choice(list(INNER.items()))
        return self.rng.choice([f"{OBJECTS}[].{name}", f"{OBJECTS}[].{name}", f"{OBJECTS}[0].{name}", OBJECTS]), kind

    def check(self, kind: str) -> Check:
        """Return a check that fits a kind of values, mostly."""
        makers: dict[str, Callable[[], Check]] = {
            "keyword": self._string,
            "integer": self.rng.choice([self._integer, self._range]),
            "double": self._range,
            "bool": self._boolean,
            "geo": self._geo,
            "datetime": self._datetimes,
            "uuid": self._uuid,
            "text": self._text,
        }
        if kind not in makers or self.rng.random() < 0.15:
            return self.rng.choice(list(makers.values()))()
        return makers[kind]()

    def _texts(self, known: Sequence[str]) -> frozenset[str]:
        return frozenset(self.rng.sample(list(known), self.rng.choice([0, 1, 1, 2, 3])))

    def _string(self) -> Check:
        word = self.rng.choice(KEYWORDS)
        checks: list[Check] = [
            MatchKeyword(word),
            MatchAnyKeywords(self._texts(KEYWORDS)),
            MatchExceptKeywords(self._texts(KEYWORDS)),
            MatchPrefix(self.rng.choice(["r", "re", "", "x" * 280, "é", "B"])),
            MatchSubstring(self.rng.choice(["e", "ed", "", "appl", "xx", "é"])),
        ]
        return self.rng.choice(checks)

    def _uuid(self) -> Check:
        word = self.rng.choice(UUIDS)
        checks: list[Check] = [
            MatchKeyword(word),
            MatchAnyKeywords(self._texts(UUIDS)),
            MatchExceptKeywords(self._texts(UUIDS)),
        ]
        return self.rng.choice(checks)

    def _integer(self) -> Check:
        numbers = frozenset(self.rng.sample(INTEGERS, self.rng.choice([1, 1, 2, 3])))
        checks: list[Check] = [
            MatchInteger(self.rng.choice(INTEGERS)),
            MatchAnyIntegers(numbers),
            MatchExceptIntegers(numbers),
        ]
        return self.rng.choice(checks)

    def _boolean(self) -> Check:
        return MatchBoolean(self.rng.random() < 0.5) if self.booleans else self._string()

    def _range(self) -> Check:
        bounds = [*map(float, INTEGERS), 0.5, -0.5, 1.5, float("inf"), float("-inf")]

        def bound(share: float) -> float | None:
            return self.rng.choice(bounds) if self.rng.random() < share else None

        return Range(bound(0.25), bound(0.25), bound(0.35), bound(0.35))

    def _datetimes(self) -> Check:
        def bound(share: float) -> int | None:
            if self.rng.random() >= share:
                return None
            beside = self.rng.choice([0, 0, 500, 123_456_500, 123_456_000, 123_456_789, -500, -1000, 1000])
            return self.rng.choice(_INSTANTS) + (beside if self.nanos else beside // 1000 * 1000)

        return DatetimeRange(bound(0.25), bound(0.25), bound(0.4), bound(0.3))

    def _geo(self) -> Check:
        ring = tuple(GeoPoint(*pair) for pair in ((0, 0), (10, 0), (10, 10), (0, 10), (0, 0)))
        hole = tuple(GeoPoint(*pair) for pair in ((4, 4), (6, 4), (6, 6), (4, 6), (4, 4)))
        checks: list[Check] = [
            GeoBoundingBox(GeoPoint(-1.0, 9.0), GeoPoint(7.0, -1.0)),
            GeoBoundingBox(GeoPoint(0.0, 10.0), GeoPoint(10.0, 0.0)),
            GeoBoundingBox(GeoPoint(170.0, 10.0), GeoPoint(-170.0, -10.0)),
            GeoRadius(GeoPoint(179.5, 0.0), 200_000.0),
            GeoRadius(GeoPoint(5.0, 5.0), 500_000.0),
            GeoPolygon(ring),
            GeoPolygon(ring, (hole,)),
        ]
        return self.rng.choice(checks)

    def _text(self) -> Check:
        query = self.rng.choice(QUERIES)
        checks: list[Check] = [MatchText(query), MatchTextAny(query), MatchPhrase(query)]
        return self.rng.choice(checks)

    def index(self) -> tuple[str, FieldSchema]:
        """Return a field and an index for it, mostly of the type that its values are of."""
        path = self.rng.choice(INDEXED_PATHS)
        kind = (INNER if path.startswith(f"{OBJECTS}[") else KINDS).get(path.rpartition(".")[2].removesuffix("[]"))
        fitting = TYPES.get(kind or "")
        chosen = fitting if fitting is not None and self.rng.random() < 0.7 else self.rng.choice(list(FieldType))
        return path, FieldSchema(chosen, self._params(chosen, path))

    def _params(self, kind: FieldType, path: str) -> FieldParams | None:
        # The index option of one element at a time exists for what lies inside the elements of an array.
        nested = f"{OBJECTS}[]" if path.startswith(f"{OBJECTS}[].") and self.rng.random() < 0.3 else None
        match kind:
            case FieldType.INTEGER if self.rng.random() < 0.5:
                lookup, ranges = self.rng.choice([(True, True), (True, False), (False, True)])
                return FieldParams(lookup=lookup, range=ranges, nested=nested)
            case FieldType.TEXT if nested or self.rng.random() < 0.7:
                return FieldParams(
                    tokenizer=self.rng.choice([WORD, WORD, WHITESPACE]),
                    lowercase=self.rng.choice([None, False]),
                    phrase_matching=self.rng.choice([None, True, True]),
                    nested=nested,
                )
            case _:
                return FieldParams(nested=nested) if nested else None
