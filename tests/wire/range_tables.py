"""The worked examples of ranges of numbers and times (specification part 2, 2 to 8 and 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.wire.filter_tables import RANGE, Table, field, must, of_a, rows

if TYPE_CHECKING:
    from pointstore.core.schema import Json

RANGES = Table(
    *rows(
        [{"a": 1}, {"a": 1.5}, {"a": 0}, {"a": [9, 1]}, {"a": [0, 9]}, {"a": "1"}, {"a": True}, {"a": None}, {}],
        {
            RANGE: "TTFTFFFFF",
            of_a("range { lt: 0.5 }"): "FFTFTFFFF",
            of_a("range {}"): "TTTTTFFFF",
            of_a("range { gt: 2 lt: 8 }"): "FFFFFFFFF",
            of_a("range { gt: 2 lt: 1 }"): "FFFFFFFFF",
            of_a("range { gt: -inf lt: inf }"): "TTTTTFFFF",
            of_a("range { gte: -inf lte: 0 }"): "FFTFTFFFF",
            of_a("range { gt: inf }"): "FFFFFFFFF",
        },
    ),
    indexes=(("a", "Float", ""), ("a", "Keyword", ""), ("a", "Integer", "range: false")),
)

FRACTIONS: dict[str, str] = {
    of_a("range { lt: 0.5 }"): "TTTFFFF",
    of_a("range { lt: -0.5 }"): "TTFFFFF",
    of_a("range { gt: -0.5 }"): "FFTTTTT",
    of_a("range { gte: 0.5 }"): "FFFTTTT",
    of_a("range { lte: 1.5 }"): "TTTTFFF",
    of_a("range { gt: 1 lt: 3 }"): "FFFFTFF",
    of_a("range { lt: inf }"): "TTTTTTT",
    of_a("range { gte: -inf }"): "TTTTTTT",
    of_a("range { gt: 1e300 }"): "FFFFFFF",
}
INTEGERS: list[Json] = [{"a": -(2**63)}, {"a": -1}, {"a": 0}, {"a": 1}, {"a": 2}, {"a": 3}, {"a": 2**63 - 1}]
FRACTIONAL_BOUNDS = Table(*rows(INTEGERS, FRACTIONS), indexes=(("a", "Integer", ""), ("a", "Float", "")))

BIG: dict[int, Json] = {1: {"a": 2**53 + 1}}
AT_BIG = of_a("range { lte: 9007199254740992 }")
ROUNDED = Table(BIG, {AT_BIG: [1]}, indexes=(("a", "Float", ""),))
EXACT = Table(BIG, {AT_BIG: []}, required=(("a", "Integer", ""),))

DAY = "datetime_range { gte { seconds: 1718409600 } lt { seconds: 1718496000 } }"
DATETIMES = Table(
    *rows(
        [
            {"d": "2024-06-15"},
            {"d": "2024-06-15T23:59:59.999999Z"},
            {"d": "2024-06-16T01:00:00+02:00"},
            {"d": "2024-06-16"},
            {"d": 1718454645},
            {"d": ["x", "2024-06-15 12:00"]},
            {"d": "2024-06-15T12"},
            {"d": " 2024-6-15 1:2:3 UTC"},
            {"d": "2024-06-14T23:59:60Z"},
            {"d": "20240615"},
            {},
        ],
        {
            must(field("d", DAY)): "TTTFFTFTTFF",
            must(field("d", "datetime_range {}")): "TTTTFTFTTFF",
            must(field("d", "datetime_range { gt { seconds: 1718496000 } }")): "FFFFFFFFFFF",
            must(field("d", "range {}")): "FFFFTFFFFFF",
        },
    ),
    indexes=(("d", "Datetime", ""), ("d", "Keyword", ""), ("d", "Datetime", "is_principal: true")),
)
SUB_MICROSECOND: dict[int, Json] = {1: {"d": "2024-06-15T00:00:00.0000005Z"}}
AFTER = must(field("d", "datetime_range { gt { seconds: 1718409600 } }"))
NANOSECONDS = Table(SUB_MICROSECOND, {AFTER: [1]})
MICROSECONDS = Table(SUB_MICROSECOND, {AFTER: []}, required=(("d", "Datetime", ""),))

TABLES: dict[str, Table] = {
    "ranges": RANGES,
    "fractional bounds": FRACTIONAL_BOUNDS,
    "rounded bounds": ROUNDED,
    "exact bounds": EXACT,
    "datetimes": DATETIMES,
    "nanoseconds": NANOSECONDS,
    "microseconds": MICROSECONDS,
}
