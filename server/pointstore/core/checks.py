"""What a check asks of one value, without any index.

Tests look at the kind of a value before the value: Python's `True == 1 == 1.0` does not hold here. Sections are those
of specification part 2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import regex

from pointstore.core import geo
from pointstore.core.datetimes import parse_datetime
from pointstore.core.filter import (
    Check,
    DatetimeRange,
    GeoBoundingBox,
    GeoPolygon,
    GeoRadius,
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
    Range,
    TextCheck,
    ValuesCount,
)
from pointstore.core.schema import Json
from pointstore.core.values import geo_of

ElementTest = Callable[[Json], bool]
"""Whether one value passes; an array is a value like any other here."""

_Number = int | float
# Unicode alphanumeric as in paths; "_" separates words.
_WORD = regex.compile(r"[\p{Alphabetic}\p{Nd}\p{Nl}\p{No}]+")


def words(text: str) -> list[str]:
    """Return the tokens of a text by the word tokenizer, in lower case, in their order (8.1, 8.4)."""
    # Each token on its own: the lower case of some letters has a character that would cut the word.
    return [word.lower() for word in _WORD.findall(text)]


def element_test(check: Check) -> ElementTest:
    """Prepare a check for many values."""
    match check:
        case MatchKeyword() | MatchAnyKeywords() | MatchExceptKeywords() | MatchPrefix() | MatchSubstring():
            return _string_test(check)
        case MatchInteger() | MatchBoolean() | MatchAnyIntegers() | MatchExceptIntegers():
            return _exact_test(check)
        case MatchText() | MatchTextAny() | MatchPhrase():
            return _words_test(check)
        case Range():
            fits = within(check)
            # An integer beyond 2^53 is compared as the double nearest to it.
            return lambda value: (type(value) is int or isinstance(value, float)) and fits(float(value))
        case DatetimeRange():
            return _datetime_test(check)
        case GeoBoundingBox() | GeoRadius() | GeoPolygon():
            return _geo_test(check)
        case _:
            assert_never(check)


def _string_test(
    check: MatchKeyword | MatchAnyKeywords | MatchExceptKeywords | MatchPrefix | MatchSubstring,
) -> ElementTest:
    match check:
        case MatchKeyword(text):
            return lambda value: value == text
        case MatchAnyKeywords(texts):
            return lambda value: isinstance(value, str) and value in texts
        case MatchExceptKeywords(texts):
            return lambda value: value is not None and not (isinstance(value, str) and value in texts)
        case MatchPrefix(text):
            return lambda value: isinstance(value, str) and value.startswith(text)
        case MatchSubstring(text):
            return lambda value: isinstance(value, str) and text in value
        case _:
            assert_never(check)


def _exact_test(check: MatchInteger | MatchBoolean | MatchAnyIntegers | MatchExceptIntegers) -> ElementTest:
    match check:
        case MatchInteger(number):
            return lambda value: type(value) is int and value == number
        case MatchBoolean(flag):
            return lambda value: value is flag
        case MatchAnyIntegers(numbers):
            return lambda value: type(value) is int and value in numbers
        case MatchExceptIntegers(numbers):
            return lambda value: value is not None and not (type(value) is int and value in numbers)
        case _:
            assert_never(check)


def _words_test(check: TextCheck) -> ElementTest:
    tokens = words(check.query)
    wanted = frozenset(tokens)
    if not tokens:
        return lambda _: False
    match check:
        case MatchText():
            return lambda value: isinstance(value, str) and wanted.issubset(words(value))
        case MatchTextAny():
            return lambda value: isinstance(value, str) and not wanted.isdisjoint(words(value))
        case MatchPhrase():
            # Words hold no spaces.
            phrase = f" {' '.join(tokens)} "
            return lambda value: isinstance(value, str) and phrase in f" {' '.join(words(value))} "
        case _:
            assert_never(check)


def _datetime_test(check: DatetimeRange) -> ElementTest:
    fits = within(check)

    def test(value: Json) -> bool:
        instant = parse_datetime(value) if isinstance(value, str) else None
        return instant is not None and fits(instant)

    return test


def _geo_test(check: geo.GeoCheck) -> ElementTest:
    inside = geo.tester(check)

    def test(value: Json) -> bool:
        place = geo_of(value)
        return place is not None and bool(inside(*place))

    return test


def within(bounds: Range | DatetimeRange | ValuesCount) -> Callable[[_Number], bool]:
    """Return the test of all bounds that are given; every comparison with NaN is false."""
    lt, gt, gte, lte = bounds.lt, bounds.gt, bounds.gte, bounds.lte

    def test(value: _Number) -> bool:
        return (
            (lt is None or value < lt)
            and (gt is None or value > gt)
            and (gte is None or value >= gte)
            and (lte is None or value <= lte)
        )

    return test
