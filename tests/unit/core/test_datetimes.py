"""Texts that are instants and texts that are not (specification part 2, 5.7.1)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointstore.core.datetimes import NANOS, parse_datetime

DAY = 1_718_409_600 * NANOS
"""2024-06-15T00:00:00Z."""
MOMENT = DAY + (12 * 3600 + 30 * 60 + 45) * NANOS
"""2024-06-15T12:30:45Z."""
HOUR = 3600 * NANOS
DAY_NS = 24 * HOUR

ACCEPTED = [
    # RFC 3339
    ("2024-06-15T12:30:45Z", MOMENT),
    ("2024-06-15t12:30:45z", MOMENT),
    ("2024-06-15 12:30:45Z", MOMENT),
    ("2024-06-15T12:30:45.123456789+02:00", MOMENT - 2 * HOUR + 123_456_789),
    ("2024-06-15T12:30:45.5Z", MOMENT + 500_000_000),
    ("2024-06-15T12:30:45-23:59", MOMENT + 24 * HOUR - 60 * NANOS),
    # offsets
    ("2024-06-15T12:30:45+0200", MOMENT - 2 * HOUR),
    ("2024-06-15T12:30:45+02", MOMENT - 2 * HOUR),
    ("2024-06-15 12:30:45+02", MOMENT - 2 * HOUR),
    ("2024-06-15 12:30:45 +02:00", MOMENT - 2 * HOUR),
    ("2024-06-15T12:30:45 Z", MOMENT),
    ("2024-06-15 12:30:45 UTC", MOMENT),
    ("2024-06-15T12:30:45UTC", MOMENT),
    ("2024-06-15T12:30:45-00:00", MOMENT),
    ("2024-06-15T12:30:45\N{MINUS SIGN}02:00", MOMENT + 2 * HOUR),
    # no offset
    ("2024-06-15T12:30:45", MOMENT),
    ("2024-06-15 12:30:45.5", MOMENT + 500_000_000),
    ("2024-06-15T12:30", MOMENT - 45 * NANOS),
    ("2024-06-15 12:30", MOMENT - 45 * NANOS),
    ("2024-06-15", DAY),
    # one digit
    ("2024-6-5", DAY - 10 * DAY_NS),
    ("2024-6-5T1:2:3", DAY - 10 * DAY_NS + (3600 + 2 * 60 + 3) * NANOS),
    # white space
    (" 2024-06-15", DAY),
    ("\N{NO-BREAK SPACE}2024-06-15", DAY),
    (" 2024-06-15T12:30:45Z", MOMENT),
    ("2024-06-15T12:30:45Z  ", MOMENT),
    ("2024-06-15T12:30:45+02:00 ", MOMENT - 2 * HOUR),
    ("2024-06-15   12:30:45Z", MOMENT),
    ("2024-06-15\t12:30:45", MOMENT),
    ("2024-06- 15T 12: 30:45Z", MOMENT),
    # short years
    ("24-06-15", DAY - 5 * 146_097 * DAY_NS),
    # leap seconds, long fractions
    ("2024-06-15T23:59:60Z", DAY + DAY_NS),
    ("2024-06-15T12:30:60", MOMENT + 15 * NANOS),
    ("2024-06-15T12:30:45.1234567899Z", MOMENT + 123_456_789),
    # years beyond those of Python
    ("0000-01-01", -62_167_219_200 * NANOS),
    ("-0001-12-31", -62_167_219_200 * NANOS - DAY_NS),
    ("+2024-06-15", DAY),
    ("+12024-06-15", DAY + 25 * 146_097 * DAY_NS),
    ("-2024-06-15", 203_644_800 * NANOS - 10 * 146_097 * DAY_NS),
    ("9999-12-31T23:59:60Z", 253_402_300_800 * NANOS),
]

REJECTED = [
    "2024-06-15T12",
    "2024-06-15 12",
    "2024-06",
    "2024",
    "20240615",
    "20240615T123045Z",
    "2024-W24-6",
    "2024/06/15",
    "June 15, 2024",
    "2024-06-15T12:30Z",
    "2024-06-15T12:30+02:00",
    "2024-06-15Z",
    "2024-06-15 ",
    "2024-06-15T12:30:45 ",
    "2024-06-15T12:30 ",
    "2024-02-30",
    "2023-02-29",
    "-2023-02-29",
    "2024-00-10",
    "2024-13-01",
    "2024-06-15T24:00:00",
    "2024-06-15T24:00:00Z",
    "2024-06-15T23:60:00Z",
    "2024-06-15T12:30:45.",
    "2024-06-15T12:30:45.Z",
    "2024-06-15T12:30:45,123Z",
    "2024-06-15 12:30:45 GMT",
    "2024-06-15 12:30:45 utc",
    "2024-06-15T12:30:45+25:00",
    "2024-06-15T12:30:45+24:00",
    "2024-06-15T12:30:45+02:60",
    "2024-06-15T12:30:45+2",
    "2024-06-15T12:30:45+0:00",
    "2024-06-15T12:30:45+02:00:30",
    "2024-06-15T12:30:61Z",
    "2024-06-15x12:30:45",
    "2024-06-15t12:30:45",
    "2024-06-15t12:30",
    "2024-06-15 T12:30:45Z",
    "2024-06-15\x1c12:30:45",
    "12024-06-15",
    "+262144-01-01",
    "+" + "9" * 5000 + "-01-01",
    "\N{ARABIC-INDIC DIGIT TWO}024-06-15",
    "1718454645",
    "",
    " ",
]


@pytest.mark.parametrize(("text", "instant"), ACCEPTED)
def test_accepted(text: str, instant: int) -> None:
    assert parse_datetime(text) == instant


@pytest.mark.parametrize("text", REJECTED)
def test_rejected(text: str) -> None:
    assert parse_datetime(text) is None


@given(
    st.datetimes(
        datetime(1, 1, 3),  # noqa: DTZ001  the time zone comes from the next argument
        datetime(9999, 12, 29),  # noqa: DTZ001
        timezones=st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes))),
    )
)
def test_texts_of_python(moment: datetime) -> None:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    assert parse_datetime(moment.isoformat()) == since // timedelta(microseconds=1) * 1000


@given(st.text("0123456789-+:.TtZzUC \t/W", max_size=40) | st.text())
def test_any_text_is_an_instant_or_nothing(text: str) -> None:
    instant = parse_datetime(text)
    assert instant is None or (type(instant) is int and -(2**63) <= instant // 1000 < 2**63)
