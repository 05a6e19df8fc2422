"""What a filter must answer on a payload when some fields have indexes of the client's, by the specification's rules.

`core/truth.py` says what conditions mean without indexes; this adds what an index of the client's changes (part 2, 7.2,
8.2 and 10.1) and nothing else. It is slow, and written apart from what the engine does.
"""

from __future__ import annotations

import math
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from typing import assert_never

from pointstore.core.datetimes import parse_datetime
from pointstore.core.fields import FieldSchema, FieldType
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
    MatchExceptIntegers,
    MatchExceptKeywords,
    MatchInteger,
    MatchKeyword,
    MatchPhrase,
    MatchText,
    MatchTextAny,
    Nested,
    PointCondition,
    Range,
    Slice,
    TextCheck,
    ValuesCount,
    elements_of,
)
from pointstore.core.path import Path, get, parse_path
from pointstore.core.schema import Json
from pointstore.core.truth import holds
from pointstore.text.analyzer import analyzer_of

Payload = dict[str, Json]
Indexes = Mapping[str, FieldSchema]
"""Ready indexes of the client's, by canonical path."""

_MICRO = 1000
FacetValue = str | int | bool


class IndexedTruth:
    """Evaluates filters under some indexes."""

    def __init__(self, indexes: Indexes) -> None:
        self._indexes = indexes

    def holds(self, condition: Condition, payload: Payload, about_point: Callable[[PointCondition], bool]) -> bool:
        """Return whether a condition holds for a point."""
        return self._holds(condition, payload, about_point, None)

    def _holds(
        self, condition: Condition, payload: Payload, about_point: Callable[[PointCondition], bool], base: Path | None
    ) -> bool:
        match condition:
            case Filter(must, should, must_not, min_should):

                def true(parts: tuple[Condition, ...]) -> int:
                    return sum(self._holds(part, payload, about_point, base) for part in parts)

                return (
                    true(must) == len(must)
                    and (not should or true(should) > 0)
                    and true(must_not) == 0
                    and (min_should is None or true(min_should.conditions) >= min_should.min_count)
                )
            case Nested(path, inner):
                whole = path if base is None else Path(base.steps + path.steps)
                found = [element for element in get(payload, path) if isinstance(element, dict)]
                return any(self._holds(inner, element, lambda _: False, whole) for element in found)
            case HasId() | HasVector() | Slice():
                return about_point(condition)
            case ValuesCount():
                return holds(condition, payload)
            case Field(path, checks):
                return any(self._check(check, path, payload, base) for check in checks)
            case IsEmpty(path, wanted) | IsNull(path, wanted):
                nested = self._nested(path) if base is None else None
                if nested is None:
                    return holds(condition, payload)
                made = IsEmpty if isinstance(condition, IsEmpty) else IsNull
                return any(holds(made(nested[1], wanted), element) for element in nested[0](payload))
            case _:
                assert_never(condition)

    def _nested(self, path: Path) -> tuple[Callable[[Payload], list[Payload]], Path] | None:
        """Return how to get the elements that the index of a path keeps apart, and the path within them."""
        schema = self._indexes.get(str(path))
        if schema is None or schema.effective.nested is None:
            return None
        array = elements_of(parse_path(schema.effective.nested))
        rest = Path(path.steps[len(array.steps) :])
        return lambda payload: [each for each in get(payload, array) if isinstance(each, dict)], rest

    def _check(self, check: Check, path: Path, payload: Payload, base: Path | None) -> bool:
        whole = path if base is None else Path(base.steps + path.steps)
        schema = self._indexes.get(str(whole))
        if schema is not None and isinstance(check, MatchText | MatchTextAny | MatchPhrase):
            if schema.type is FieldType.TEXT:
                nested = self._nested(path) if base is None else None
                if nested is None:
                    return _text(check, schema, elements(payload, path), pooled=base is None or _is_nested(schema))
                return any(_text(check, schema, elements(each, nested[1]), pooled=True) for each in nested[0](payload))
        elif schema is not None and base is None:
            found = _by_index(check, schema, elements(payload, path))
            if found is not None:
                return found
        return holds(Field(path, (check,)), payload)


def _is_nested(schema: FieldSchema) -> bool:
    return schema.effective.nested is not None


def elements(payload: Payload, path: Path) -> list[Json]:
    """Return the values that a path reaches, arrays unwrapped once."""
    return [each for value in get(payload, path) for each in (value if isinstance(value, list) else [value])]


def integers(found: list[Json]) -> list[int]:
    """Return what an integer index holds."""
    return [
        int(each)
        for each in found
        if type(each) is int or (type(each) is float and each == math.floor(each) and -(2**63) <= each < 2**63)
    ]


def uuids(found: list[Json]) -> list[uuid.UUID]:
    """Return what a uuid index holds; the strings of `random_filters.UUIDS` are accepted as Python accepts them."""
    parsed: list[uuid.UUID] = []
    for each in found:
        try:
            parsed.append(uuid.UUID(each if isinstance(each, str) else ""))
        except ValueError:
            continue
    return parsed


def indexed(schema: FieldSchema, found: list[Json]) -> list[int | float | bool | str | uuid.UUID]:
    """Return the values that an index holds of some elements; places stand as text."""
    match schema.type:
        case FieldType.KEYWORD:
            return [each for each in found if isinstance(each, str)]
        case FieldType.INTEGER:
            return list(integers(found))
        case FieldType.FLOAT:
            return [float(each) for each in found if type(each) in {int, float}]  # type: ignore[arg-type]
        case FieldType.BOOL:
            return [each for each in found if isinstance(each, bool)]
        case FieldType.DATETIME:
            instants = [parse_datetime(each) for each in found if isinstance(each, str)]
            return [each // _MICRO for each in instants if each is not None]
        case FieldType.UUID:
            return list(uuids(found))
        case FieldType.GEO:
            return [str(each) for each in found if _is_place(each)]
        case FieldType.TEXT:
            documents = analyzer_of(schema.effective).documents
            return [token for each in found if isinstance(each, str) for token in documents(each)]
        case _:
            assert_never(schema.type)


def _is_place(value: Json) -> bool:
    if not isinstance(value, dict):
        return False
    lon, lat = value.get("lon"), value.get("lat")
    return type(lon) in {int, float} and type(lat) in {int, float} and abs(lon) <= 180 and abs(lat) <= 90  # type: ignore[arg-type]


def _by_index(check: Check, schema: FieldSchema, found: list[Json]) -> bool | None:
    """Return the answer of an index; None when it answers as the payload does, or does not serve the check."""
    params = schema.effective
    match schema.type, check:
        case FieldType.KEYWORD, MatchExceptKeywords(texts):
            return any(isinstance(each, str) and each not in texts for each in found)
        case FieldType.UUID, MatchKeyword(text) if uuids([text]):
            return uuids([text])[0] in uuids(found)
        case FieldType.UUID, MatchAnyKeywords(texts) if len(uuids(list(texts))) == len(texts):
            return not set(uuids(found)).isdisjoint(uuids(list(texts)))
        case FieldType.UUID, MatchExceptKeywords(texts) if len(uuids(list(texts))) == len(texts):
            return not set(uuids(found)) <= set(uuids(list(texts)))
        case FieldType.INTEGER, MatchInteger(number) if params.lookup is not False:
            return number in integers(found)
        case FieldType.INTEGER, MatchAnyIntegers(numbers) if params.lookup is not False:
            return not numbers.isdisjoint(integers(found))
        case FieldType.INTEGER, MatchExceptIntegers(numbers) if params.lookup is not False:
            return not set(integers(found)) <= numbers
        case FieldType.INTEGER, Range() if params.range is not False:
            # Python compares integers and doubles as the numbers that they are.
            return any(_fits(check, number) for number in integers(found))
        case FieldType.DATETIME, DatetimeRange(lt, gt, gte, lte):
            cut = Range(*(None if bound is None else bound // _MICRO for bound in (lt, gt, gte, lte)))
            return any(_fits(cut, each) for each in indexed(schema, found) if isinstance(each, int))
        case FieldType.GEO, GeoBoundingBox() | GeoRadius() | GeoPolygon():
            return any(_is_place(each) and holds(Field(parse_path("x"), (check,)), {"x": each}) for each in found)
        case _:
            return None


def _fits(bounds: Range, number: float) -> bool:
    return (
        (bounds.lt is None or number < bounds.lt)
        and (bounds.gt is None or number > bounds.gt)
        and (bounds.gte is None or number >= bounds.gte)
        and (bounds.lte is None or number <= bounds.lte)
    )


def _text(check: TextCheck, schema: FieldSchema, found: list[Json], *, pooled: bool) -> bool:
    """Answer a full-text check from the strings among some elements."""
    analyzer = analyzer_of(schema.effective)
    strings = [each for each in found if isinstance(each, str)]
    if isinstance(check, MatchPhrase):
        wanted = analyzer.phrase(check.query) if schema.effective.phrase_matching else []
        sequences = [analyzer.sequence(each) for each in strings]
        return bool(wanted) and any(
            tokens[start : start + len(wanted)] == wanted for tokens in sequences for start in range(len(tokens))
        )
    tokens = set(analyzer.query(check.query))
    documents = [set(analyzer.documents(each)) for each in strings]
    if pooled:
        documents = [set().union(*documents)]
    if isinstance(check, MatchTextAny):
        return any(document & tokens for document in documents)
    return bool(tokens) and any(tokens <= document for document in documents)


def facet(schema: FieldSchema, path: Path, payloads: list[Payload]) -> list[tuple[FacetValue, int]]:
    """Count points by value, in the order of a facet."""
    counts: Counter[object] = Counter()
    for payload in payloads:
        counts.update(set(indexed(schema, elements(payload, path))))

    def order(pair: tuple[object, int]) -> tuple[int, object]:
        value = pair[0]
        return -pair[1], value.encode() if isinstance(value, str) else value

    hits = sorted(counts.items(), key=order)
    return [(str(value) if isinstance(value, uuid.UUID) else value, count) for value, count in hits]  # type: ignore[misc]
