"""What a condition means on a payload: the normative evaluation, without any index.

`predicate` compiles a condition once a request, and the result is called once a point. A payload is a plain JSON tree
in which the kind of a value is its exact type: `True`, `1` and `1.0` are three different values, although Python
compares them as equal. Conditions on the point itself are answered by the caller. Indexes answer some conditions
differently (specification part 2, 7); the only difference known here is full text, by `TextLookup`. What an index has
to hold of a payload is in `core/values.py`. Sections are those of part 2.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import assert_never

from pointstore.core.checks import ElementTest, element_test, within
from pointstore.core.filter import (
    Check,
    Condition,
    Field,
    Filter,
    HasId,
    HasVector,
    IsEmpty,
    IsNull,
    MatchPhrase,
    MatchText,
    MatchTextAny,
    MinShould,
    Nested,
    PayloadCondition,
    PointCondition,
    Slice,
    TextCheck,
    ValuesCount,
    joined,
)
from pointstore.core.path import Key, Path
from pointstore.core.schema import Json
from pointstore.core.values import Payload, count, elements, is_empty, is_null, reacher, unwrapped

AboutPoint = Callable[[PointCondition], bool]
"""Answers a condition on the point whose payload is looked at."""

Predicate = Callable[[Payload, AboutPoint], bool]
"""Whether a condition holds for a payload, and a point that the second argument knows about."""

TextTest = Callable[[list[str]], bool]
"""Whether a text check holds for the strings that one field has in one payload, or in one element of a nested array."""

TextLookup = Callable[[Path, Path | None, TextCheck], TextTest | None]
"""Finds how the text index of a field answers a check; None without such an index. Inside `Nested` the path is
`key[].inner`, and the second argument is `key[]`."""


def no_text_index(_path: Path, _base: Path | None, _check: TextCheck) -> TextTest | None:
    """Look up nothing: every string is judged on its own by its words (8.1)."""
    return None


def never(_condition: PointCondition) -> bool:
    """Answer as inside `Nested`, where elements have no id and no vectors."""
    return False


def holds(
    condition: Condition, payload: Payload, about_point: AboutPoint = never, text_lookup: TextLookup = no_text_index
) -> bool:
    """Return whether a condition holds for one payload; `predicate` is for many."""
    return predicate(condition, text_lookup)(payload, about_point)


def predicate(condition: Condition, text_lookup: TextLookup = no_text_index) -> Predicate:
    """Compile a condition. The result keeps no state: any number of threads may call it."""
    return _compile(condition, text_lookup, None)


def _compile(condition: Condition, text_lookup: TextLookup, base: Path | None) -> Predicate:
    """Compile a condition whose paths are relative to the elements at `base`."""
    match condition:
        case Filter():
            return _compile_filter(condition, text_lookup, base)
        case Nested(path, inner):
            return _compile_nested(path, _compile_filter(inner, text_lookup, joined(base, path)))
        case Field() | ValuesCount() | IsEmpty() | IsNull():
            return _compile_payload(condition, text_lookup, base)
        case HasId() | HasVector() | Slice():
            return lambda _, about_point: about_point(condition)
        case _:
            assert_never(condition)


def _compile_payload(condition: PayloadCondition, text_lookup: TextLookup, base: Path | None) -> Predicate:
    match condition:
        case Field(path, checks):
            tests = [_compile_check(check, path, text_lookup, base) for check in checks]
            return tests[0] if len(tests) == 1 else partial(_any, tests)
        case ValuesCount(path):
            return _compile_count(path, within(condition))
        case IsEmpty(path, wanted):
            return _compile_reached(path, is_empty, wanted=wanted)
        case IsNull(path, wanted):
            return _compile_reached(path, is_null, wanted=wanted)
        case _:
            assert_never(condition)


def _compile_filter(condition: Filter, text_lookup: TextLookup, base: Path | None) -> Predicate:
    def compiled(conditions: Iterable[Condition]) -> list[Predicate]:
        return [_compile(part, text_lookup, base) for part in conditions]

    parts = compiled(condition.must)
    if condition.should:
        parts.append(partial(_any, compiled(condition.should)))
    if condition.must_not:
        parts.append(partial(_none, compiled(condition.must_not)))
    match condition.min_should:
        case MinShould(conditions, min_count):
            parts.append(partial(_at_least, min_count, compiled(conditions)))
    return parts[0] if len(parts) == 1 else partial(_all, parts)


def _all(parts: list[Predicate], payload: Payload, about_point: AboutPoint) -> bool:
    for part in parts:  # noqa: SIM110  a generator costs more than the conditions, here and below
        if not part(payload, about_point):
            return False
    return True


def _any(parts: list[Predicate], payload: Payload, about_point: AboutPoint) -> bool:
    for part in parts:  # noqa: SIM110
        if part(payload, about_point):
            return True
    return False


def _none(parts: list[Predicate], payload: Payload, about_point: AboutPoint) -> bool:
    return not _any(parts, payload, about_point)


def _at_least(min_count: int, parts: list[Predicate], payload: Payload, about_point: AboutPoint) -> bool:
    return sum(part(payload, about_point) for part in parts) >= min_count


def _compile_nested(path: Path, inner: Predicate) -> Predicate:
    return lambda payload, _: any(inner(element, never) for element in elements(payload, path))


def _compile_reached(path: Path, test: Callable[[list[Json]], bool], *, wanted: bool) -> Predicate:
    reach = reacher(path)
    return lambda payload, _: test(reach(payload)) is wanted


def _compile_count(path: Path, fits: Callable[[int], bool]) -> Predicate:
    reach = reacher(path)

    def test(payload: Payload, _: AboutPoint) -> bool:
        values = reach(payload)
        return any(fits(count(value)) for value in values) if values else fits(0)

    return test


def _compile_check(check: Check, path: Path, text_lookup: TextLookup, base: Path | None) -> Predicate:
    reach = reacher(path)
    if isinstance(check, MatchText | MatchTextAny | MatchPhrase):
        by_index = text_lookup(joined(base, path), base, check)
        if by_index is not None:
            return lambda payload, _: by_index(_strings(reach(payload)))
    passes = element_test(check)
    match path.steps:
        case (Key(name),):
            # The most frequent kind of path; absent is as good as null for every check.
            return lambda payload, _: _some_element(payload.get(name), passes)
        case _:
            return lambda payload, _: any(_some_element(value, passes) for value in reach(payload))


def _some_element(value: Json, passes: ElementTest) -> bool:
    return any(map(passes, value)) if isinstance(value, list) else passes(value)


def _strings(values: list[Json]) -> list[str]:
    return [value for value in unwrapped(values) if isinstance(value, str)]
