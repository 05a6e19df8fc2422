"""The worked examples of filters (specification part 2, 2 to 8 and 10): payloads, and which of them a filter matches.

Conditions are in protobuf text format.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pointstore.core.schema import Json


@dataclass(frozen=True)
class Table:
    """One example.

    Attributes:
        payloads: by id.
        expected: ids by filter.
        indexes: under each of these (field, type, parameters), alone, the answers are the same as without.
        required: indexes without which the answers would be others.
    """

    payloads: Mapping[int, Json]
    expected: Mapping[str, list[int]]
    indexes: tuple[tuple[str, str, str], ...] = ()
    required: tuple[tuple[str, str, str], ...] = ()


def field(key: str, check: str) -> str:
    """Return a condition on a field."""
    return f"field {{ key: '{key}' {check} }}"


def must(*conditions: str) -> str:
    """Return a filter of conditions that must all hold."""
    return " ".join(f"must {{ {condition} }}" for condition in conditions)


def must_not(*conditions: str) -> str:
    """Return a filter of conditions none of which may hold."""
    return " ".join(f"must_not {{ {condition} }}" for condition in conditions)


def should(*conditions: str) -> str:
    """Return a filter of conditions one of which must hold."""
    return " ".join(f"should {{ {condition} }}" for condition in conditions)


def nested(key: str, inner: str) -> str:
    """Return a filter: an element of an array satisfies another one."""
    return must(f"nested {{ key: '{key}' filter {{ {inner} }} }}")


def rows(values: Iterable[Json], columns: Mapping[str, str]) -> tuple[dict[int, Json], dict[str, list[int]]]:
    """Return payloads, numbered from 1, and the ids that each column marks with a T."""
    payloads = dict(enumerate(values, 1))
    marks = {check: marked.replace(" ", "") for check, marked in columns.items()}
    assert all(len(marked) == len(payloads) for marked in marks.values())
    return payloads, {check: [n for n, mark in enumerate(marked, 1) if mark == "T"] for check, marked in marks.items()}


def of_a(check: str) -> str:
    """Return a filter with one check of the field `a`."""
    return must(field("a", check))


KEYWORD = of_a("match { keyword: 'red' }")
INTEGER = of_a("match { integer: 1 }")
NOT_RED = of_a("match { except_keywords { strings: 'red' } }")
NOT_NOTHING = of_a("match { except_keywords {} }")
NOT_ONE = of_a("match { except_integers { integers: 1 } }")
RANGE = of_a("range { gte: 1 lte: 1.5 }")
TRUTHS: list[tuple[dict[str, Json], str]] = [
    # payload, then the answers to CHECKS
    ({"a": 1}, "FTTTFTFTFF"),
    ({"a": 1.0}, "FFTTTTFTFF"),
    ({"a": 1.5}, "FFTTTTFTFF"),
    ({"a": "red"}, "TFFTTFTTFF"),
    ({"a": "Red"}, "FFTTTFTTFF"),
    ({"a": True}, "FFTTTFFTFF"),
    ({"a": None}, "FFFFFFFFTT"),
    ({"a": []}, "FFFFFFFFTF"),
    ({"a": [None]}, "FFFFFFFTFT"),
    ({"a": [1, "red"]}, "TTTTTTTTFF"),
    ({"a": {}}, "FFTTTFFTFF"),
    ({"a": {"x": 1}}, "FFTTTFFTFF"),
    ({"a": [["red"]]}, "FFTTTFFTFF"),
    ({"b": 1}, "FFFFFFFFTF"),
    ({}, "FFFFFFFFTF"),
    ({"a": [1, None]}, "FTTTFTFTFT"),
    ({"a": ["red", "blue"]}, "TFTTTFTTFF"),
    ({"a": [{"x": 1}]}, "FFTTTFFTFF"),
]
CHECKS = [
    KEYWORD,
    INTEGER,
    NOT_RED,
    NOT_NOTHING,
    NOT_ONE,
    RANGE,
    of_a("match { prefix: '' }"),
    of_a("values_count { gte: 1 }"),
    must("is_empty { key: 'a' }"),
    must("is_null { key: 'a' }"),
]
PREFIX = CHECKS[6]
PAYLOADS: dict[int, Json] = {number: payload for number, (payload, _) in enumerate(TRUTHS, 1)}
UNINDEXED: dict[str, list[int]] = {
    check: [number for number, (_, marks) in enumerate(TRUTHS, 1) if marks[column] == "T"]
    for column, check in enumerate(CHECKS)
}
EMPTY_CHECKS = {
    of_a("is_empty: true"): UNINDEXED[CHECKS[8]],
    of_a("is_empty: false"): [number for number in PAYLOADS if number not in UNINDEXED[CHECKS[8]]],
    of_a("is_null: true"): UNINDEXED[CHECKS[9]],
    of_a("is_null: false"): [number for number in PAYLOADS if number not in UNINDEXED[CHECKS[9]]],
    of_a("match { substring: '' }"): UNINDEXED[PREFIX],
    of_a("match { boolean: true }"): [6],
    of_a("values_count { lt: 1 }"): UNINDEXED[CHECKS[8]],
}
WITH_KEYWORD = UNINDEXED | EMPTY_CHECKS | {NOT_RED: [5, 17], NOT_NOTHING: [4, 5, 10, 17]}
WITH_INTEGER = (
    UNINDEXED
    | EMPTY_CHECKS
    | {INTEGER: [1, 2, 10, 16], RANGE: [1, 2, 10, 16], NOT_ONE: [], NOT_NOTHING: UNINDEXED[NOT_NOTHING]}
)
MASTER = {
    "truth": Table(
        PAYLOADS,
        UNINDEXED | EMPTY_CHECKS,
        indexes=(
            ("a", "Float", ""),
            ("a", "Bool", ""),
            ("a", "Text", ""),
            ("a", "Datetime", ""),
            ("a", "Geo", ""),
        ),
    ),
    "truth under keyword": Table(PAYLOADS, WITH_KEYWORD, required=(("a", "Keyword", ""),)),
    "truth under keyword with prefix": Table(PAYLOADS, WITH_KEYWORD, required=(("a", "Keyword", "prefix {}"),)),
    "truth under integer": Table(PAYLOADS, WITH_INTEGER, required=(("a", "Integer", ""),)),
    "truth under integer without range": Table(
        PAYLOADS, WITH_INTEGER | {RANGE: UNINDEXED[RANGE]}, required=(("a", "Integer", "range: false"),)
    ),
    "truth under integer without lookup": Table(
        PAYLOADS,
        UNINDEXED | EMPTY_CHECKS | {RANGE: WITH_INTEGER[RANGE]},
        required=(("a", "Integer", "lookup: false"),),
    ),
    "truth under uuid": Table(PAYLOADS, UNINDEXED | EMPTY_CHECKS | {NOT_NOTHING: []}, required=(("a", "Uuid", ""),)),
}

A = field("a", "match { integer: 1 }")
B = field("b", "match { integer: 1 }")
CLAUSES = Table(
    {1: {"a": 1, "b": 1}, 2: {"a": 1}, 3: {"b": 1}, 4: {}},
    {
        "": [1, 2, 3, 4],
        "should {}": [1, 2, 3, 4],
        "must {} must_not {}": [1, 2, 3, 4],
        must_not(A): [3, 4],
        should(A, B): [1, 2, 3],
        must(B) + " " + should(A): [1],
        must(A) + " " + must_not(B): [2],
        f"min_should {{ conditions {{ {A} }} conditions {{ {B} }} min_count: 1 }}": [1, 2, 3],
        f"min_should {{ conditions {{ {A} }} conditions {{ {B} }} min_count: 2 }}": [1],
        f"min_should {{ conditions {{ {A} }} conditions {{ {B} }} min_count: 3 }}": [],
        f"min_should {{ conditions {{ {A} }} conditions {{ {A} }} min_count: 2 }}": [1, 2],
        f"min_should {{ conditions {{ {A} }} conditions {{}} min_count: 2 }}": [],
        "min_should { min_count: 1 }": [],
        "min_should { conditions {} min_count: 1 }": [],
        must(f"filter {{ {should(A, B)} }}") + " " + must_not(A): [3],
        must("filter {}"): [1, 2, 3, 4],
        must_not("filter {}"): [],
        should("filter {}", A): [1, 2, 3, 4],
        must_not(f"filter {{ {must(A, B)} }}"): [2, 3, 4],
        must("filter { must {} }", A): [1, 2],
    },
    indexes=(("a", "Integer", ""), ("b", "Integer", "")),
)

PATHS = Table(
    {
        1: {"a": {"b": 1}},
        2: {"a.b": 1},
        3: {"a": [{"b": 1}, {"b": 2}]},
        4: {"a": [{"b": 1}, {"c": 2}]},
        5: {"a": [[1, 2], [3]]},
        6: {"été": {"x y": {"": 1}}},
        7: {"1": {"1": 1}},
    },
    {
        must(field(key, f"match {{ integer: {number} }}")): ids
        for key, number, ids in [
            ("a.b", 1, [1]),
            ('"a".b', 1, [1]),
            ('"a.b"', 1, [2]),
            ("a[].b", 1, [3, 4]),
            ("a[].b", 2, [3]),
            ("a[1].b", 2, [3]),
            ("a[0001].b", 2, [3]),
            ("a[1].b", 1, []),
            ("a", 1, []),
            ("a[]", 3, [5]),
            ("a[][]", 1, [5]),
            ("a[0]", 2, [5]),
            ("a[0][]", 2, [5]),
            ("a[1][]", 2, []),
            ('été."x y".""', 1, [6]),
            ("1.1", 1, [7]),
        ]
    },
)

SEVERAL = Table(
    {1: {"a": "s"}, 2: {"a": 5}, 3: {"a": 1}, 4: {}},
    {
        of_a("match { keyword: 's' } range { gt: 4 }"): [1, 2],
        of_a("range { gt: 4 } is_null: true"): [],
        of_a("range { gt: 4 } is_null: false"): [1, 2, 3, 4],
        of_a("range { gt: 4 } is_null: true is_empty: true"): [4],
        of_a("range { gt: 4 } is_empty: true values_count { gte: 1 }"): [1, 2, 3],
        of_a("range {} datetime_range { gt {} }"): [2, 3],
    },
    indexes=(("a", "Keyword", ""), ("a", "Integer", ""), ("a", "Float", "")),
)

MATCHES = Table(
    *rows(
        [
            {"a": "red"},
            {"a": "Red"},
            {"a": 1},
            {"a": 1.0},
            {"a": "1"},
            {"a": True},
            {"a": [1, "red", True]},
            {"a": [["red"]]},
            {"a": {"red": 1}},
            {"a": ""},
        ],
        {
            KEYWORD: "TFFFFFTFFF",
            INTEGER: "FFTFFFTFFF",
            of_a("match { boolean: true }"): "FFFFFTTFFF",
            of_a("match { boolean: false }"): "FFFFFFFFFF",
            of_a("match { keyword: '' }"): "FFFFFFFFFT",
            of_a("match { keywords { strings: ['red', 'x', '1'] } }"): "TFFFTFTFFF",
            of_a("match { integers { integers: [1, 1, 2] } }"): "FFTFFFTFFF",
            of_a("match { keywords {} }"): "FFFFFFFFFF",
            of_a("match { integers {} }"): "FFFFFFFFFF",
            of_a("match { integers { integers: 0 } }"): "FFFFFFFFFF",
            of_a("match { text: 'red' }"): "TTFFFFTFFF",
        },
    ),
    indexes=(("a", "Keyword", ""), ("a", "Bool", ""), ("a", "Float", "")),
)

ONE_LEVEL = Table(
    *rows(
        [{"a": "red"}, {"a": ["blue", "red"]}, {"a": [["red"]]}, {"a": []}, {"a": None}, {}],
        {KEYWORD: "TTFFFF", must(field("a[]", "match { keyword: 'red' }")): "FTTFFF"},
    ),
    indexes=(("a", "Keyword", ""), ("a[]", "Keyword", "")),
)

STRINGS = Table(
    *rows(
        [
            {"s": "Hello"},
            {"s": ["foo", "hello"]},
            {"s": ""},
            {"s": 5},
            {"s": None},
            {"s": [["hello"]]},
            {},
            {"s": "a%b_c*"},
        ],
        {
            must(field("s", "match { prefix: 'he' }")): "FTFFFFFF",
            must(field("s", "match { prefix: '' }")): "TTTFFFFT",
            must(field("s", "match { substring: 'llo' }")): "TTFFFFFF",
            must(field("s", "match { substring: '' }")): "TTTFFFFT",
            must(field("s", "match { substring: 'b_c*' }")): "FFFFFFFT",
            must_not(field("s", "match { prefix: 'he' }")): "TFTTTTTT",
        },
    ),
    indexes=(("s", "Keyword", ""), ("s", "Keyword", "prefix {}"), ("s", "Text", ""), ("s", "Integer", "")),
)

EXCEPT = Table(
    *rows(
        [{"a": "red"}, {"a": "blue"}, {"a": ["red", "blue"]}, {"a": None}, {"a": []}, {}, {"a": [None]}],
        {
            NOT_RED: "FTTFFFF",
            must_not(field("a", "match { keywords { strings: 'red' } }")): "FTFTTTT",
        },
    ),
    indexes=(("a", "Keyword", ""), ("a", "Integer", "")),
)

COUNTS = Table(
    *rows(
        [
            {},
            {"a": None},
            {"a": []},
            {"a": 1},
            {"a": ""},
            {"a": {}},
            {"a": [None]},
            {"a": [[]]},
            {"a": [1, 2]},
            {"a": [1, None]},
            {"o": [{"p": [1]}, {"p": [2, 3]}]},
        ],
        {
            of_a("values_count { gte: 1 }"): "FFFTTTTTTTF",
            of_a("values_count { lt: 1 }"): "TTTFFFFFFFT",
            of_a("values_count { gte: 2 }"): "FFFFFFFFTTF",
            of_a("values_count { gt: 0 lte: 1 }"): "FFFTTTTTFFF",
            of_a("values_count {}"): "TTTTTTTTTTT",
            must(field("o[].p", "values_count { gte: 2 }")): "FFFFFFFFFFT",
            must(field("o[].p", "values_count { gte: 3 }")): "FFFFFFFFFFF",
            must(field("o[].p", "values_count { lte: 1 }")): "TTTTTTTTTTT",
        },
    ),
    indexes=(("a", "Integer", ""), ("o[].p", "Integer", "")),
)

EMPTINESS = Table(
    *rows(
        [
            {},
            {"a": None},
            {"a": []},
            {"a": [None]},
            {"a": [[]]},
            {"a": [[None]]},
            {"a": ""},
            {"a": {}},
            {"a": [1, None]},
            {"a": {"b": None}},
            {"a": 0},
            {"a": False},
        ],
        {
            must("is_empty { key: 'a' }"): "TTTFFFFFFFFF",
            must("is_empty { key: 'a[]' }"): "TTTTTFTTFTTT",
            of_a("is_empty: true"): "TTTFFFFFFFFF",
            of_a("is_empty: false"): "FFFTTTTTTTTT",
            must("is_null { key: 'a' }"): "FTFTFFFFTFFF",
            must("is_null { key: 'a.b' }"): "FFFFFFFFFTFF",
            of_a("is_null: true"): "FTFTFFFFTFFF",
            of_a("is_null: false"): "TFTFTTTTFTTT",
            must_not("is_empty { key: 'a' }"): "FFFTTTTTTTTT",
        },
    ),
    indexes=(("a", "Integer", ""), ("a", "Keyword", ""), ("a", "Text", ""), ("a[]", "Bool", ""), ("a.b", "Geo", "")),
)
EMPTY_PARTS = Table(
    *rows(
        [
            {"o": [{"p": 1}, {"p": None}]},
            {"o": [{"p": 1}, {"x": 1}]},
            {"o": [{"p": None}, {"p": []}]},
            {"o": [{"x": 1}]},
            {"o": []},
            {"o": {"p": 1}},
            {},
        ],
        {
            must("is_empty { key: 'o[].p' }"): "FFTTTTT",
            must(field("o[].p", "is_empty: true")): "FFTTTTT",
            must(field("o[].p", "is_empty: false")): "TTFFFFF",
            must("is_null { key: 'o[].p' }"): "TFTFFFF",
            must(field("o[].p", "is_null: false")): "FTFTTTT",
        },
    ),
    indexes=(("o[].p", "Integer", ""), ("o[].p", "Keyword", "")),
)

UUID = "550e8400-e29b-41d4-a716-446655440000"
UUIDS: dict[int, Json] = {1: {"u": "abc"}, 2: {"u": "550E8400E29B41D4A716446655440000"}}


def of_u(check: str) -> str:
    """Return a filter with one match of the field `u`."""
    return must(field("u", f"match {{ {check} }}"))


UUID_TEXTS = Table(
    UUIDS,
    {
        of_u(f"keyword: '{UUID}'"): [],
        of_u(f"keyword: 'urn:uuid:{UUID}'"): [],
        of_u(f"keywords {{ strings: '{UUID}' }}"): [],
        of_u("keyword: 'abc'"): [1],
        of_u("keyword: '550E8400E29B41D4A716446655440000'"): [2],
        of_u(f"except_keywords {{ strings: '{UUID}' }}"): [1, 2],
    },
    indexes=(("u", "Keyword", ""),),
)
UUID_NUMBERS = Table(
    UUIDS,
    {
        of_u(f"keyword: '{UUID}'"): [2],
        of_u(f"keyword: 'urn:uuid:{UUID}'"): [2],
        of_u(f"keyword: '{{{UUID.upper()}}}'"): [2],
        of_u(f"keywords {{ strings: '{UUID}' }}"): [2],
        of_u(f"keywords {{ strings: ['{UUID}', 'zzz'] }}"): [],
        of_u("keyword: 'abc'"): [1],
        of_u(f"except_keywords {{ strings: '{UUID}' }}"): [],
        of_u("except_keywords { strings: 'zzz' }"): [1, 2],
        of_u("prefix: 'a'"): [1],
    },
    required=(("u", "Uuid", ""),),
)

TABLES: dict[str, Table] = {
    **MASTER,
    "clauses": CLAUSES,
    "paths": PATHS,
    "several checks": SEVERAL,
    "matches": MATCHES,
    "one level": ONE_LEVEL,
    "strings": STRINGS,
    "except": EXCEPT,
    "counts": COUNTS,
    "emptiness": EMPTINESS,
    "empty parts": EMPTY_PARTS,
    "uuid texts": UUID_TEXTS,
    "uuid numbers": UUID_NUMBERS,
}
