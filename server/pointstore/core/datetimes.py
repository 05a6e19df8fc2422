"""Instants in payloads: text to nanoseconds since 1970-01-01T00:00:00Z (specification part 2, 5.7.1).

The accepted forms are RFC 3339 with leniencies, and differ from those of `datetime.fromisoformat` in both directions.
Text without an offset is UTC. Instants are integers throughout: doubles do not hold nanoseconds of today.
"""

from __future__ import annotations

import re
from datetime import MAXYEAR, MINYEAR, date
from typing import Final

NANOS: Final = 10**9
_DAY_S: Final = 86_400
_HOUR_S: Final = 3600
_MINUTE_S: Final = 60
_EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_FRACTION_DIGITS: Final = 9
_LEAP_SECOND: Final = 60
# The calendar repeats itself after this many years and days.
_CYCLE_YEARS: Final = 400
_CYCLE_DAYS: Final = 146_097
_YEARS: Final = range(-262_143, 262_143)
"""The years of the reference's calendar: their microseconds fit into 64 bits, as a datetime index needs."""

_YEAR: Final = "([0-9]{1,4}|[+-][0-9]{1,6})"
_NUMBER: Final = "([0-9]{1,2})"
_FRACTION: Final = r"(?:\.([0-9]+))?"
_OFFSET: Final = "(?:[Zz]|UTC|([+\\-\N{MINUS SIGN}])([0-9]{2})(?:W*:?W*([0-9]{2}))?)"


def _grammar(text: str) -> re.Pattern[str]:
    """Compile a grammar in which `W` is Unicode white space."""
    # The class of white space has four separators of information as well.
    return re.compile(text.replace("W", r"[^\S\x1c-\x1f]"))


_DATE: Final = f"W*{_YEAR}-W*{_NUMBER}-W*{_NUMBER}"
# Only the forms with an offset take the letter `t`, and white space at the end.
_WITH_OFFSET: Final = _grammar(
    f"{_DATE}(?:[Tt]|W+)W*{_NUMBER}:W*{_NUMBER}:W*{_NUMBER}{_FRACTION}W*{_OFFSET}W*",
)
_WITHOUT_OFFSET: Final = _grammar(
    f"{_DATE}(?:(?:T|W+)W*{_NUMBER}:W*{_NUMBER}(?::W*{_NUMBER}{_FRACTION})?)?",
)


def parse_datetime(text: str) -> int | None:
    """Return the instant in nanoseconds since the epoch, fractions of nanoseconds cut off; None for any other text."""
    match = _WITH_OFFSET.fullmatch(text) or _WITHOUT_OFFSET.fullmatch(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, fraction, *offset = match.groups()
    days = _days(int(year), int(month), int(day))
    if days is None:
        return None
    if hour is None:
        return days * _DAY_S * NANOS
    seconds = _seconds(hour, minute, second or "0")
    ahead = _ahead(*offset) if offset else 0
    if seconds is None or ahead is None:
        return None
    seconds += days * _DAY_S - ahead
    nanos = int(fraction[:_FRACTION_DIGITS].ljust(_FRACTION_DIGITS, "0")) if fraction else 0
    return seconds * NANOS + nanos


def _ahead(sign: str | None, hour: str, minute: str | None) -> int | None:
    """Return the seconds that an offset is ahead of UTC, None for one of a day or more."""
    if sign is None:
        return 0
    seconds = _seconds(hour, minute or "0", "0")
    return seconds if seconds is None or sign == "+" else -seconds


def _seconds(hour: str, minute: str, second: str) -> int | None:
    """Return the seconds since midnight, None for a time that does not exist; a leap second begins the next minute."""
    hours, minutes, seconds = int(hour), int(minute), int(second)
    within = hours * _HOUR_S < _DAY_S and minutes * _MINUTE_S < _HOUR_S and seconds <= _LEAP_SECOND
    return hours * _HOUR_S + minutes * _MINUTE_S + seconds if within else None


def _days(year: int, month: int, day: int) -> int | None:
    """Return the days since the epoch in the proleptic Gregorian calendar, None for a date that does not exist."""
    if year not in _YEARS:
        return None
    cycles = 0
    if not MINYEAR <= year <= MAXYEAR:
        cycles, year = divmod(year, _CYCLE_YEARS)
        # The first cycle of which Python's calendar has every year.
        cycles, year = cycles - 1, year + _CYCLE_YEARS
    try:
        ordinal = date(year, month, day).toordinal()
    except ValueError:
        return None
    return ordinal + cycles * _CYCLE_DAYS - _EPOCH_DAY
