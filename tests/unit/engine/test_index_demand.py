"""Tests of the table of indexes that filters need (specification part 2, 17.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pointstore.core.errors import BadRequestError
from pointstore.core.fields import FieldIndexes
from pointstore.core.filter import (
    Check,
    DatetimeRange,
    Field,
    Filter,
    GeoPoint,
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
from pointstore.engine.index_demand import Trait, check_indexed, traits_of

if TYPE_CHECKING:
    from pointstore.core.filter import Condition
    from pointstore.core.path import Path

_UUID = "550e8400-e29b-41d4-a716-446655440000"
_KEY = parse_path("key")
_ANY = "bool, datetime, float, geo, integer, keyword, text, uuid"


def _problem(condition: Condition, **indexes: Trait) -> str:
    def traits_at(path: Path) -> set[Trait]:
        return {indexes[str(path)]} if str(path) in indexes else set()

    try:
        check_indexed(Filter(must=(condition,)), traits_at)
    except BadRequestError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("check", "types", "accepted"),
    [
        (MatchKeyword("x"), "keyword", {Trait.KEYWORD}),
        (MatchKeyword(_UUID), "keyword, uuid", {Trait.KEYWORD, Trait.UUID}),
        (MatchAnyKeywords(frozenset({_UUID, "x"})), "keyword", {Trait.KEYWORD}),
        (MatchExceptKeywords(frozenset({_UUID})), "keyword, uuid", {Trait.KEYWORD, Trait.UUID}),
        (MatchInteger(1), "integer", {Trait.INTEGER_LOOKUP}),
        (MatchAnyIntegers(frozenset({1})), "integer", {Trait.INTEGER_LOOKUP}),
        (MatchExceptIntegers(frozenset({1})), "integer", {Trait.INTEGER_LOOKUP}),
        (MatchBoolean(flag=True), "bool", {Trait.BOOL}),
        (MatchText("x"), "text", {Trait.TEXT}),
        (MatchTextAny("x"), "text", {Trait.TEXT}),
        (MatchPhrase("x"), "text (with phrase_matching: true)", {Trait.PHRASE}),
        (MatchPrefix("x"), "keyword (with prefix: true)", {Trait.PREFIX}),
        (MatchSubstring("x"), "keyword (with prefix: true)", {Trait.PREFIX}),
        (Range(gt=1), "float, integer", {Trait.FLOAT, Trait.INTEGER_RANGE}),
        (DatetimeRange(gt=1), "datetime", {Trait.DATETIME}),
        (GeoRadius(GeoPoint(1, 2), 3), "geo", {Trait.GEO}),
    ],
)
def test_a_check_needs_an_index_of_one_of_its_types(check: Check, types: str, accepted: set[Trait]) -> None:
    condition = Field(_KEY, (check,))
    text = (
        f'Index required but not found for "key" of one of the following types: [{types}]. '
        "Help: Create an index for this key or use a different filter."
    )
    assert _problem(condition) == text
    assert {trait for trait in Trait if not _problem(condition, key=trait)} == accepted
    assert _problem(condition, other=next(iter(accepted))) == text


@pytest.mark.parametrize(
    "condition", [ValuesCount(_KEY, gt=1), IsEmpty(_KEY), IsNull(_KEY), IsNull(_KEY, wanted=False)]
)
def test_some_conditions_need_any_index(condition: Condition) -> None:
    assert f'"key" of one of the following types: [{_ANY}]' in _problem(condition)
    assert {trait for trait in Trait if _problem(condition, key=trait)} == {Trait.PREFIX, Trait.PHRASE, Trait.TENANT}


@pytest.mark.parametrize(
    "condition",
    [
        HasId(frozenset()),
        HasVector("x"),
        Slice(2, 1),
        Field(_KEY, (MatchAnyKeywords(frozenset()),)),
        Field(_KEY, (MatchExceptKeywords(frozenset()),)),
        Field(_KEY, (MatchAnyIntegers(frozenset()),)),
        Field(_KEY, (MatchExceptIntegers(frozenset()),)),
    ],
)
def test_some_conditions_need_none(condition: Condition) -> None:
    assert not _problem(condition)


def test_every_clause_and_every_check_counts() -> None:
    leaf = Field(_KEY, (MatchBoolean(flag=True),))
    inner = Field(_KEY, (MatchBoolean(flag=True), Range(gt=1)))
    for condition in (
        Filter(must=(leaf,)),
        Filter(should=(leaf,)),
        Filter(must_not=(Filter(must=(leaf,)),)),
        Filter(min_should=MinShould((leaf,), 1)),
    ):
        with pytest.raises(BadRequestError, match="bool"):
            check_indexed(condition, traits_of(FieldIndexes()))
    assert "[float, integer]" in _problem(inner, key=Trait.BOOL)


def test_fields_of_elements_are_named_with_their_array() -> None:
    condition = Nested(elements_of(parse_path("a")), Filter(must=(Field(parse_path("b.c"), (MatchInteger(1),)),)))
    assert 'for "a[].b.c" of' in _problem(condition)
    assert not _problem(condition, **{"a[].b.c": Trait.INTEGER_LOOKUP})
