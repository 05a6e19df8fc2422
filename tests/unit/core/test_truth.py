"""The truth tables of specification part 2."""

from __future__ import annotations

import json

import pytest

from pointstore.core.datetimes import parse_datetime
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
    PointCondition,
    Range,
    Slice,
    TextCheck,
    ValuesCount,
    elements_of,
)
from pointstore.core.path import Path, parse_path
from pointstore.core.point import point_id_from_number
from pointstore.core.schema import Json
from pointstore.core.truth import TextTest, holds, predicate

Payload = dict[str, Json]


def on(key: str, *checks: Check) -> Field:
    """Return a field condition."""
    return Field(parse_path(key), checks)


def every(*conditions: Condition) -> Filter:
    """Return a filter of the clause `must`."""
    return Filter(must=conditions)


def nested(key: str, inner: Filter) -> Nested:
    """Return a nested condition."""
    return Nested(elements_of(parse_path(key)), inner)


def texts(*entries: str) -> frozenset[str]:
    """Return the list of a match."""
    return frozenset(entries)


def nanos(text: str) -> int:
    """Parse a bound."""
    instant = parse_datetime(text)
    assert instant is not None
    return instant


A = on("a", MatchInteger(1))
B = on("b", MatchInteger(1))
RED = MatchKeyword("red")
HAS_1 = HasId(frozenset({point_id_from_number(1)}))
TRUTH = {"T": True, "F": False}


# Section 4.
CLAUSES = [
    (Filter(), "1234"),
    (Filter(must_not=(A,)), "34"),
    (Filter(should=(A, B)), "123"),
    (Filter(must=(B,), should=(A,)), "1"),
    (Filter(must=(A,), must_not=(B,)), "2"),
    (Filter(min_should=MinShould((A, B), 1)), "123"),
    (Filter(min_should=MinShould((A, B), 2)), "1"),
    (Filter(min_should=MinShould((A, B), 3)), ""),
    (Filter(min_should=MinShould((A, A), 2)), "12"),
    (Filter(min_should=MinShould((), 1)), ""),
    (Filter(must=(Filter(should=(A, B)),), must_not=(A,)), "3"),
    (Filter(must=(Filter(),)), "1234"),
    (Filter(must_not=(Filter(),)), ""),
    (Filter(should=(Filter(),)), "1234"),
    (Filter(must_not=(every(A, B),)), "234"),
]


@pytest.mark.parametrize(("condition", "matching"), CLAUSES)
def test_clauses(condition: Filter, matching: str) -> None:
    points: dict[str, Payload] = {"1": {"a": 1, "b": 1}, "2": {"a": 1}, "3": {"b": 1}, "4": {}}
    assert "".join(name for name, payload in points.items() if holds(condition, payload)) == matching


# Section 6: kw int xk x0 xi rng pre vc emp nul.
MASTER_COLUMNS: list[Condition] = [
    on("a", RED),
    on("a", MatchInteger(1)),
    on("a", MatchExceptKeywords(texts("red"))),
    on("a", MatchExceptKeywords(texts())),
    on("a", MatchExceptIntegers(frozenset({1}))),
    on("a", Range(gte=1.0, lte=1.5)),
    on("a", MatchPrefix("")),
    ValuesCount(parse_path("a"), gte=1),
    IsEmpty(parse_path("a")),
    IsNull(parse_path("a")),
]
MASTER = """
1                  | F T T T F T F T F F
1.0                | F F T T T T F T F F
1.5                | F F T T T T F T F F
"red"              | T F F T T F T T F F
"Red"              | F F T T T F T T F F
true               | F F T T T F F T F F
null               | F F F F F F F F T T
[]                 | F F F F F F F F T F
[null]             | F F F F F F F T F T
[1,"red"]          | T T T T T T T T F F
{}                 | F F T T T F F T F F
{"x":1}            | F F T T T F F T F F
[["red"]]          | F F T T T F F T F F
missing            | F F F F F F F F T F
[1,null]           | F T T T F T F T F T
["red","blue"]     | T F T T T F T T F F
[{"x":1}]          | F F T T T F F T F F
"""


@pytest.mark.parametrize("row", MASTER.strip().splitlines())
def test_master_table(row: str) -> None:
    value, _, expected = row.partition("|")
    payload: Payload = {} if value.strip() == "missing" else {"a": json.loads(value)}
    truth = [TRUTH[cell] for cell in expected.split()]
    assert [holds(condition, payload) for condition in MASTER_COLUMNS] == truth
    # A substring as empty as the prefix is in the same strings, and the other spelling is a complement.
    assert holds(on("a", MatchSubstring("")), payload) is truth[6]
    assert holds(IsEmpty(parse_path("a"), wanted=False), payload) is not truth[8]
    assert holds(IsNull(parse_path("a"), wanted=False), payload) is not truth[9]


def emptiness(key: str) -> IsEmpty:
    """Return the condition form."""
    return IsEmpty(parse_path(key))


def nullness(key: str) -> IsNull:
    """Return the condition form."""
    return IsNull(parse_path(key))


def counted(key: str, **bounds: int) -> ValuesCount:
    """Return a count condition."""
    return ValuesCount(parse_path(key), **bounds)


TIMES = on("d", DatetimeRange(gte=nanos("2024-06-15T00:00:00Z"), lt=nanos("2024-06-16T00:00:00Z")))
HELLO = '{"t":"Hello World"}'
BIG = '{"t":"hello, big world!"}'
SPLIT = '{"t":["hello","world"]}'
PARTS = '{"o":[{"p":[1]},{"p":[2,3]}]}'
UUID_TEXT = "550E8400E29B41D4A716446655440000"

# Payload, condition, truth.
CASES: list[tuple[str, Condition, str]] = [
    # 3.2 one level of arrays
    ('{"a":"red"}', on("a", RED), "T"),
    ('{"a":["blue","red"]}', on("a", RED), "T"),
    ('{"a":[["red"]]}', on("a", RED), "F"),
    ('{"a":[["red"]]}', on("a[]", RED), "T"),
    ('{"a":[]}', on("a", RED), "F"),
    ('{"a":null}', on("a", RED), "F"),
    ("{}", on("a", RED), "F"),
    ('{"a":[1,9]}', on("a", Range(gt=2.0, lt=8.0)), "F"),
    ('{"a":[{"b":"red"}]}', on("a.b", RED), "F"),
    ('{"a":[{"b":1},{"b":"red"}]}', on("a[].b", RED), "T"),
    ('{"a":{"b":["red"]}}', on("a.b", RED), "T"),
    # 5.1 several checks
    ('{"a":"s"}', on("a", MatchKeyword("s"), Range(gt=4.0)), "T"),
    ('{"a":5}', on("a", MatchKeyword("s"), Range(gt=4.0)), "T"),
    ('{"a":4}', on("a", MatchKeyword("s"), Range(gt=4.0)), "F"),
    # 5.2 keyword, integer, boolean
    ('{"a":"1"}', A, "F"),
    ('{"a":true}', A, "F"),
    ('{"a":1}', on("a", MatchBoolean(flag=True)), "F"),
    ('{"a":1.0}', on("a", MatchBoolean(flag=True)), "F"),
    ('{"a":true}', on("a", MatchBoolean(flag=True)), "T"),
    ('{"a":false}', on("a", MatchBoolean(flag=True)), "F"),
    ('{"a":0}', on("a", MatchBoolean(flag=False)), "F"),
    ('{"a":[1,"red",true]}', on("a", MatchBoolean(flag=True)), "T"),
    ('{"a":{"red":1}}', on("a", RED), "F"),
    ('{"a":"red"}', on("a", MatchKeyword("")), "F"),
    ('{"a":""}', on("a", MatchKeyword("")), "T"),
    (f'{{"a":"{UUID_TEXT}"}}', on("a", MatchKeyword("550e8400-e29b-41d4-a716-446655440000")), "F"),
    # 5.3 any of
    ('{"a":"red"}', on("a", MatchAnyKeywords(texts("blue", "red"))), "T"),
    ('{"a":["x","red"]}', on("a", MatchAnyKeywords(texts("blue", "red"))), "T"),
    ('{"a":"red"}', on("a", MatchAnyKeywords(texts())), "F"),
    ('{"a":1}', on("a", MatchAnyKeywords(texts("1"))), "F"),
    ('{"a":[["red"],{}]}', on("a", MatchAnyKeywords(texts("red"))), "F"),
    ('{"a":1}', on("a", MatchAnyIntegers(frozenset({1}))), "T"),
    ('{"a":1.0}', on("a", MatchAnyIntegers(frozenset({1}))), "F"),
    ('{"a":true}', on("a", MatchAnyIntegers(frozenset({1}))), "F"),
    ('{"a":"1"}', on("a", MatchAnyIntegers(frozenset({1}))), "F"),
    ('{"a":[[1],{}]}', on("a", MatchAnyIntegers(frozenset({1}))), "F"),
    # 5.4 except
    ('{"a":["red","blue"]}', Filter(must_not=(on("a", MatchAnyKeywords(texts("red"))),)), "F"),
    ('{"a":null}', Filter(must_not=(on("a", MatchAnyKeywords(texts("red"))),)), "T"),
    ('{"a":[1,true]}', on("a", MatchExceptIntegers(frozenset({1}))), "T"),
    ('{"a":[1,1]}', on("a", MatchExceptIntegers(frozenset({1}))), "F"),
    # 5.5 prefix, substring
    *(('{"s":"Hello"}', on("s", check), truth) for check, truth in ((MatchPrefix("he"), "F"), (MatchPrefix(""), "T"))),
    ('{"s":"Hello"}', on("s", MatchSubstring("llo")), "T"),
    ('{"s":["foo","hello"]}', on("s", MatchPrefix("he")), "T"),
    ('{"s":["foo","hello"]}', on("s", MatchSubstring("llo")), "T"),
    ('{"s":""}', on("s", MatchPrefix("he")), "F"),
    ('{"s":""}', on("s", MatchSubstring("llo")), "F"),
    *(
        (payload, on("s", check), "F")
        for payload in ('{"s":5}', '{"s":null}', '{"s":[["hello"]]}', "{}")
        for check in (MatchPrefix("he"), MatchPrefix(""), MatchSubstring("llo"))
    ),
    # 5.6 range
    *(
        (payload, on("a", Range(gte=1.0, lte=1.5)), truth)
        for payload, truth in (('{"a":0}', "F"), ('{"a":[9,1]}', "T"), ('{"a":[0,9]}', "F"), ('{"a":"1"}', "F"))
    ),
    *(
        (payload, on("a", Range(lt=0.5)), truth)
        for payload, truth in (('{"a":1}', "F"), ('{"a":0}', "T"), ('{"a":[9,1]}', "F"), ('{"a":[0,9]}', "T"))
    ),
    *(
        (payload, on("a", Range()), truth)
        for payload, truth in (('{"a":1}', "T"), ('{"a":1.5}', "T"), ('{"a":"1"}', "F"), ('{"a":true}', "F"))
    ),
    ('{"a":9007199254740993}', on("a", Range(lte=9007199254740992.0)), "T"),
    ('{"a":1}', on("a", Range(gt=float("-inf"), lt=float("inf"))), "T"),
    ('{"a":1}', on("a", Range(gt=float("nan"))), "F"),
    ('{"a":1}', on("a", Range(gt=2.0, lt=1.0)), "F"),
    # 5.7 datetime_range
    ('{"d":"2024-06-15"}', TIMES, "T"),
    ('{"d":"2024-06-15T23:59:59.999999Z"}', TIMES, "T"),
    ('{"d":"2024-06-16T01:00:00+02:00"}', TIMES, "T"),
    ('{"d":"2024-06-16"}', TIMES, "F"),
    ('{"d":1718454645}', TIMES, "F"),
    ('{"d":["x","2024-06-15 12:00"]}', TIMES, "T"),
    ('{"d":"1066-10-14"}', on("d", DatetimeRange()), "T"),
    ('{"d":"x"}', on("d", DatetimeRange()), "F"),
    ('{"d":"2024-06-15T00:00:00.000000001Z"}', on("d", DatetimeRange(gt=nanos("2024-06-15"))), "T"),
    # 5.8 geo values
    *(
        (f'{{"g":{value}}}', on("g", GeoBoundingBox(GeoPoint(0, 10), GeoPoint(10, 0))), truth)
        for value, truth in (
            ('{"lon":5,"lat":5}', "T"),
            ('{"lon":5.5,"lat":5,"name":"x"}', "T"),
            ('[{"lon":50,"lat":5},7,{"lon":5,"lat":5}]', "T"),
            ('[[{"lon":5,"lat":5}]]', "F"),
            ('{"lon":"5","lat":"5"}', "F"),
            ('{"lon":true,"lat":true}', "F"),
            ("[5,5]", "F"),
            ('{"lon":5}', "F"),
        )
    ),
    ('{"g":{"lon":500,"lat":5}}', on("g", GeoBoundingBox(GeoPoint(0, 10), GeoPoint(-10, 0))), "T"),
    ('{"g":{"lon":0,"lat":0.001}}', on("g", GeoRadius(GeoPoint(0, 0), 112.0)), "T"),
    ('{"g":{"lon":0,"lat":0.001}}', on("g", GeoRadius(GeoPoint(0, 0), 111.0)), "F"),
    # 5.11 values_count
    *(
        (payload, counted("a", **{bound: number}), cell)
        for payloads, cells in (
            (("{}", '{"a":null}', '{"a":[]}'), "FTF"),
            (('{"a":1}', '{"a":""}', '{"a":{}}'), "TFF"),
            (('{"a":[null]}', '{"a":[[]]}'), "TFF"),
            (('{"a":[1,2]}', '{"a":[1,null]}'), "TFT"),
        )
        for payload in payloads
        for (bound, number), cell in zip((("gte", 1), ("lt", 1), ("gte", 2)), cells, strict=True)
    ),
    (PARTS, counted("o[].p", gte=2), "T"),
    (PARTS, counted("o[].p", gte=3), "F"),
    (PARTS, counted("o[].p", gt=1, lte=1), "F"),
    ("{}", counted("a"), "T"),
    # 5.12 is_empty
    *((payload, emptiness("a"), "T") for payload in ("{}", '{"a":null}', '{"a":[]}')),
    *((payload, emptiness("a[]"), "T") for payload in ("{}", '{"a":null}', '{"a":[]}', '{"a":""}', '{"a":{}}')),
    *((payload, emptiness("a"), "F") for payload in ('{"a":[null]}', '{"a":[[]]}', '{"a":[[null]]}')),
    *((payload, emptiness("a"), "F") for payload in ('{"a":0}', '{"a":false}', '{"a":""}', '{"a":{}}')),
    *((payload, emptiness("a[]"), truth) for payload, truth in (('{"a":[null]}', "T"), ('{"a":[[null]]}', "F"))),
    *((payload, emptiness("o[].p"), "F") for payload in ('{"o":[{"p":1},{"p":null}]}', '{"o":[{"p":1},{"x":1}]}')),
    *(
        (payload, emptiness("o[].p"), "T")
        for payload in ('{"o":[{"p":null},{"p":[]}]}', '{"o":[{"x":1}]}', '{"o":[]}', '{"o":{"p":1}}', "{}")
    ),
    # 5.13 is_null
    *((payload, nullness("a"), "F") for payload in ("{}", '{"a":[]}', '{"a":[[null]]}', '{"a":{"b":null}}')),
    *((payload, nullness("a"), "T") for payload in ('{"a":null}', '{"a":[null]}', '{"a":[1,null]}')),
    ('{"a":{"b":null}}', nullness("a.b"), "T"),
    ('{"a":[[null]]}', nullness("a[]"), "T"),
    # 8.1 text without an index
    (HELLO, on("t", MatchText("HELLO world")), "T"),
    (HELLO, on("t", MatchText("world hello")), "T"),
    (HELLO, on("t", MatchTextAny("zebra world")), "T"),
    (HELLO, on("t", MatchPhrase("hello world")), "T"),
    (HELLO, on("t", MatchPhrase("hello, world!")), "T"),
    (HELLO, on("t", MatchPhrase("world hello")), "F"),
    (HELLO, on("t", MatchPhrase("ello world")), "F"),
    (HELLO, on("t", MatchText("hel")), "F"),
    (BIG, on("t", MatchText("HELLO world")), "T"),
    (BIG, on("t", MatchTextAny("zebra world")), "T"),
    (BIG, on("t", MatchPhrase("hello world")), "F"),
    ('{"t":"helloworld"}', on("t", MatchText("HELLO world")), "F"),
    ('{"t":"helloworld"}', on("t", MatchTextAny("zebra world")), "F"),
    (SPLIT, on("t", MatchText("HELLO world")), "F"),
    (SPLIT, on("t", MatchTextAny("zebra world")), "T"),
    (SPLIT, on("t", MatchPhrase("hello world")), "F"),
    *(('{"t":5}', on("t", check), "F") for check in (MatchText("5"), MatchTextAny("5"), MatchPhrase("5"))),
    *(
        (HELLO, on("t", kind(query)), "F")
        for kind in (MatchText, MatchTextAny, MatchPhrase)
        for query in ("", "  ", "!!!", "_")
    ),
]


@pytest.mark.parametrize(("text", "condition", "truth"), CASES)
def test_conditions(text: str, condition: Condition, truth: str) -> None:
    assert holds(condition, json.loads(text)) is TRUTH[truth]


# 8.7, column "none".
DOCUMENTS: dict[int, Json] = {
    1: "Hello World",
    2: "hello, big world!",
    3: "helloworld",
    4: "café au lait",
    5: "foo-bar_baz",
    6: ["alpha beta", "gamma"],
    7: ["beta gamma"],
    8: "",
    9: 5,
}


@pytest.mark.parametrize(
    ("check", "found"),
    [
        (MatchText("hello"), [1, 2]),
        (MatchText("hel"), []),
        (MatchText("cafe"), []),
        (MatchText("CAFÉ"), [4]),
        (MatchText("foo_bar"), [5]),
        (MatchText("gamma alpha"), []),
        (MatchText("beta gamma"), [7]),
        (MatchPhrase("beta gamma"), [7]),
        (MatchText(""), []),
        (MatchText("!!!"), []),
    ],
)
def test_text_without_index(check: TextCheck, found: list[int]) -> None:
    test = predicate(on("t", check))
    assert [name for name, text in DOCUMENTS.items() if test({"t": text}, lambda _: False)] == found


# 5.15
NESTED_POINTS = {
    "1": '{"o":[{"a":1,"b":"x"},{"a":2,"b":"y"}]}',
    "2": '{"o":{"a":1,"b":"x"}}',
    "3": '{"o":[]}',
    "4": "{}",
    "5": '{"o":[1,{"a":1}]}',
    "6": '{"o":[[{"a":1,"b":"x"}]]}',
    "7": '{"w":{"o":[{"a":1,"b":"x"}]}}',
    "8": '{"o":[{}]}',
}
X, Y = on("b", MatchKeyword("x")), on("b", MatchKeyword("y"))
NESTED = [
    (every(on("o[].a", MatchInteger(1)), on("o[].b", MatchKeyword("y"))), "1"),
    (nested("o", every(A, X)), "1"),
    (nested("o", every(A, Y)), ""),
    (nested("o", every(A)), "15"),
    (nested("o[]", every(A)), "15"),
    (nested("o", Filter(must_not=(A,))), "18"),
    (Filter(must_not=(nested("o", every(A)),)), "234678"),
    (nested("o", Filter()), "158"),
    (nested("o", every(emptiness("b"))), "58"),
    (nested("o[0]", every(on("a", MatchInteger(2)))), ""),
    (nested("o[0]", every(A)), "6"),
    (nested("w.o", every(A)), "7"),
    (nested("o", every(HAS_1)), ""),
    (nested("o", Filter(must_not=(HAS_1,))), "158"),
    (nested("o", Filter(min_should=MinShould((A, X, Y), 2))), "1"),
]


@pytest.mark.parametrize(("condition", "matching"), NESTED)
def test_nested(condition: Condition, matching: str) -> None:
    # The point itself would satisfy every condition on it.
    found = [name for name, text in NESTED_POINTS.items() if holds(condition, json.loads(text), lambda _: True)]
    assert "".join(found) == matching


def test_nested_in_nested() -> None:
    payload: Payload = {"o": [{"p": [{"a": 1}, {"b": 1}]}, {"p": [{"a": 1, "b": 2}]}]}
    assert holds(nested("o", every(nested("p", every(A)), nested("p", every(B)))), payload)
    assert not holds(nested("o", every(nested("p", every(A, B)))), payload)


@pytest.mark.parametrize("condition", [HAS_1, HasVector("v"), Slice(3, 1)])
def test_conditions_on_the_point_are_asked_of_the_caller(condition: PointCondition) -> None:
    assert holds(condition, {}, lambda asked: asked is condition)
    assert not holds(condition, {})
    assert not holds(Filter(must_not=(condition,)), {}, lambda _: True)


def test_text_indexes_decide_by_the_whole_path() -> None:
    asked: list[tuple[str, str, TextCheck]] = []

    def look_up(path: Path, base: Path | None, check: TextCheck) -> TextTest | None:
        asked.append((str(path), str(base), check))
        return (lambda strings: strings == ["alpha", "beta"]) if str(path) == "o[].t" else None

    check = MatchText("nothing like it")
    payload: Payload = {"o": [{"t": ["alpha", 1, "beta"]}], "t": ["alpha", "beta"]}
    assert holds(nested("o", every(on("t", check))), payload, text_lookup=look_up)
    assert not holds(on("t", check), payload, text_lookup=look_up)
    assert asked == [("o[].t", "o[]", check), ("t", "None", check)]
