"""Laws of truth: what holds of any conditions and any payload."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pointstore.core.filter import (
    Check,
    Condition,
    DatetimeRange,
    Field,
    Filter,
    GeoBoundingBox,
    GeoPoint,
    GeoRadius,
    HasId,
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
    ValuesCount,
    elements_of,
)
from pointstore.core.path import Path, parse_path
from pointstore.core.point import point_id_from_number
from pointstore.core.schema import Json
from pointstore.core.truth import AboutPoint, holds, predicate

Payload = dict[str, Json]

RED = MatchKeyword("red")
HAS_1 = HasId(frozenset({point_id_from_number(1)}))


def every(*conditions: Condition) -> Filter:
    """Return a filter of the clause `must`."""
    return Filter(must=conditions)


def texts(*entries: str) -> frozenset[str]:
    """Return the list of a match."""
    return frozenset(entries)


KEYS = ("a", "b", "a[]", "a.b", "a[0]", "a[].b")
scalars = st.sampled_from([None, True, False, 0, 1, 1.0, 1.5, "", "red", "hello world", "2024-06-15"])
trees: st.SearchStrategy[Json] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "lon", "lat"]), inner, max_size=3)
    ),
    max_leaves=8,
)
payloads: st.SearchStrategy[Payload] = st.dictionaries(st.sampled_from(["a", "b"]), trees, max_size=2)
paths = st.sampled_from([parse_path(key) for key in KEYS])
checks: st.SearchStrategy[Check] = st.sampled_from(
    [
        RED,
        MatchInteger(1),
        MatchBoolean(flag=True),
        MatchAnyKeywords(texts("red", "")),
        MatchAnyIntegers(frozenset({0, 1})),
        MatchExceptKeywords(texts("red")),
        MatchExceptIntegers(frozenset({1})),
        MatchPrefix("re"),
        MatchSubstring("o w"),
        MatchText("world"),
        MatchTextAny("red world"),
        MatchPhrase("hello world"),
        Range(gte=1.0),
        DatetimeRange(),
        GeoBoundingBox(GeoPoint(-1, 1), GeoPoint(2, -1)),
        GeoRadius(GeoPoint(0, 0), 1e5),
    ]
)
leaves = (
    st.builds(Field, paths, st.lists(checks, min_size=1, max_size=2).map(tuple))
    | st.builds(ValuesCount, paths, gte=st.integers(0, 2))
    | st.builds(IsEmpty, paths, st.booleans())
    | st.builds(IsNull, paths, st.booleans())
    | st.just(HAS_1)
)


def _inner(conditions: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    clause = st.lists(conditions, max_size=2).map(tuple)
    counted_clause = st.none() | st.builds(MinShould, clause, st.integers(1, 3))
    filters = st.builds(Filter, clause, clause, clause, counted_clause)
    return filters | st.builds(Nested, paths.map(elements_of), filters)


conditions: st.SearchStrategy[Condition] = st.recursive(leaves, _inner, max_leaves=6)
about: st.SearchStrategy[AboutPoint] = st.booleans().map(lambda truth: lambda _: truth)


@given(conditions, conditions, payloads, about)
def test_laws(p: Condition, q: Condition, payload: Payload, about_point: AboutPoint) -> None:
    def true(condition: Condition) -> bool:
        return holds(condition, payload, about_point)

    assert true(Filter(must_not=(p,))) is not true(p)
    assert true(Filter(must=(p, q))) is (true(p) and true(q))
    assert true(Filter(should=(p, q))) is (true(p) or true(q))
    assert true(Filter(must_not=(p, q))) is true(every(Filter(must_not=(p,)), Filter(must_not=(q,))))
    assert true(Filter(must_not=(every(p, q),))) is true(Filter(should=(Filter(must_not=(p,)), Filter(must_not=(q,)))))


@given(st.lists(conditions, max_size=4), st.integers(1, 5), payloads, about)
def test_min_should_counts(parts: list[Condition], least: int, payload: Payload, about_point: AboutPoint) -> None:
    true = sum(holds(part, payload, about_point) for part in parts)
    assert holds(Filter(min_should=MinShould(tuple(parts), least)), payload, about_point) is (true >= least)


@given(conditions, payloads)
def test_equal_conditions_are_one_key(condition: Condition, payload: Payload) -> None:
    tests = {condition: predicate(condition)}
    assert tests[condition](payload, lambda _: False) is holds(condition, payload)


@given(paths, checks, payloads)
def test_several_checks_are_any_of_them(path: Path, check: Check, payload: Payload) -> None:
    either = Field(path, (check, RED))
    assert holds(either, payload) is any(holds(Field(path, (each,)), payload) for each in either.checks)
