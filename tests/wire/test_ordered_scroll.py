"""Scrolls in the order of a field against a server (specification part 2, 12.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.wire.points_calls import DENSE

if TYPE_CHECKING:
    from pointstore.core.schema import Json
    from tests.wire.points_calls import Calls

NUMBERS: dict[int, Json] = {
    1: {"n": 1},
    2: {"n": [1, 5]},
    3: {"n": 5},
    4: {"n": 1.0},
    7: {"n": [3, 3]},
    8: {"n": 1.5},
    9: {"n": -2},
    11: {},
}
# 2024-06-15T00:00:00Z
DAY_S = 1_718_409_600
DAY_US = DAY_S * 1_000_000
TIMES: dict[int, Json] = {
    1: {"d": "2024-06-15"},
    2: {"d": ["2024-06-15T00:00:00.0000019Z", "x"]},
    3: {"d": "1969-12-31T23:59:59.5Z"},
    4: {"d": DAY_S},
}
Pairs = list[tuple[int, int | float]]


@pytest.fixture(scope="module", params=[0, 300], ids=["small", "padded"])
def integers(calls: Calls, request: pytest.FixtureRequest) -> Calls:
    """Return a collection with an integer index on `n`."""
    calls = calls.create(DENSE)
    calls.fill(NUMBERS, padding=request.param)
    calls.index("n", "Integer")
    return calls


@pytest.fixture(scope="module")
def floats(calls: Calls) -> Calls:
    """Return a collection with a float index on `n`."""
    calls = calls.create(DENSE)
    calls.index("n", "Float")
    calls.fill(NUMBERS, padding=300)
    return calls


@pytest.fixture(scope="module")
def times(calls: Calls) -> Calls:
    """Return a collection with a datetime index on `d`."""
    calls = calls.create(DENSE)
    calls.fill(TIMES)
    calls.index("d", "Datetime")
    return calls


def pairs(calls: Calls, order: str, request: str = "") -> Pairs:
    """Return ids and values of an ordered scroll."""
    reply = calls.call("Scroll", f"order_by {{ {order} }} {request}")
    assert not reply.HasField("next_page_offset")
    return [(each.id.num, getattr(each.order_value, each.order_value.WhichOneof("variant"))) for each in reply.result]


ASCENDING: Pairs = [(9, -2), (1, 1), (2, 1), (4, 1), (7, 3), (2, 5), (3, 5)]
LAST_SEEN = "filter { must_not { has_id { has_id { num: 1 } has_id { num: 2 } } } }"


@pytest.mark.parametrize(
    ("order", "request_text", "expected"),
    [
        ("", "", ASCENDING),
        ("direction: Asc", "", ASCENDING),
        ("direction: Desc", "", ASCENDING[::-1]),
        # An unknown direction is the default one.
        ("direction: 7", "", ASCENDING),
        ("", "limit: 3", ASCENDING[:3]),
        ("", "limit: 1", ASCENDING[:1]),
        ("direction: Desc", "limit: 2", [(3, 5), (2, 5)]),
        ("start_from {}", "", ASCENDING),
        ("start_from { integer: 1 }", "", ASCENDING[1:]),
        ("start_from { float: 1.5 }", "", ASCENDING[4:]),
        ("direction: Desc start_from { float: 1.5 }", "", ASCENDING[3::-1]),
        ("direction: Desc start_from { integer: 1 }", "", [(4, 1), (2, 1), (1, 1), (9, -2)]),
        ("start_from { integer: 6 }", "", []),
        ("start_from { float: -inf }", "", ASCENDING),
        ("start_from { float: inf }", "", []),
        ("direction: Desc start_from { float: 1e300 }", "", ASCENDING[::-1]),
        ("start_from { float: 1e300 }", "", []),
        ("direction: Desc start_from { float: -1e300 }", "", []),
        ("start_from { float: nan }", "", []),
        ("start_from { timestamp {} }", "", ASCENDING[1:]),
        ("start_from { datetime: '1970-01-01T00:00:00.000003Z' }", "", ASCENDING[4:]),
        ("", "filter { must { field { key: 'n' range { gte: 2 } } } }", [(2, 1), (7, 3), (2, 5), (3, 5)]),
        ("start_from { integer: 1 }", LAST_SEEN, [(4, 1), (7, 3), (3, 5)]),
        ("", "filter { must_not {} } limit: 1000", ASCENDING),
        ("", "filter { must { has_id {} } }", []),
    ],
)
def test_order_of_integers(integers: Calls, order: str, request_text: str, expected: Pairs) -> None:
    found = pairs(integers, f"key: 'n' {order}", request_text)
    assert found == expected
    assert all(type(value) is int for _, value in found)


def test_order_of_floats(floats: Calls) -> None:
    ordered: Pairs = [(9, -2.0), (1, 1.0), (2, 1.0), (4, 1.0), (8, 1.5), (7, 3.0), (2, 5.0), (3, 5.0)]
    assert pairs(floats, "key: 'n'") == ordered
    assert pairs(floats, "key: 'n' direction: Desc") == ordered[::-1]
    assert pairs(floats, "key: 'n' start_from { integer: 2 }") == ordered[5:]
    assert pairs(floats, "key: 'n' start_from { float: 1.5 }") == ordered[4:]
    assert pairs(floats, "key: 'n' start_from { float: 1.5 } direction: Desc", "limit: 2") == [(8, 1.5), (4, 1.0)]
    assert all(type(value) is float for _, value in pairs(floats, "key: 'n'"))


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("", [(3, -500_000), (1, DAY_US), (2, DAY_US + 1)]),
        ("direction: Desc", [(2, DAY_US + 1), (1, DAY_US), (3, -500_000)]),
        (f"start_from {{ timestamp {{ seconds: {DAY_S} }} }}", [(1, DAY_US), (2, DAY_US + 1)]),
        (f"start_from {{ timestamp {{ seconds: {DAY_S} nanos: 1999 }} }}", [(2, DAY_US + 1)]),
        ("start_from { datetime: '2024-06-15T02:00:00.000001+02:00' }", [(2, DAY_US + 1)]),
        ("start_from { datetime: '2024-6-15' } direction: Desc", [(1, DAY_US), (3, -500_000)]),
        (f"start_from {{ integer: {DAY_US + 1} }}", [(2, DAY_US + 1)]),
        (f"start_from {{ float: {DAY_US}.5 }}", [(2, DAY_US + 1)]),
    ],
)
def test_order_of_instants(times: Calls, order: str, expected: Pairs) -> None:
    assert pairs(times, f"key: 'd' {order}") == expected


def test_selectors_apply(integers: Calls) -> None:
    (record,) = integers.call("Scroll", "order_by { key: '\"n\"' } limit: 1").result
    assert record.payload["n"].integer_value == -2
    assert not record.HasField("vectors")
    (record,) = integers.call("Scroll", "order_by { key: 'n' } limit: 1 with_payload { enable: false }").result
    assert not record.payload


def test_values_follow_writes(calls: Calls) -> None:
    calls = calls.create(DENSE)
    calls.index("n", "Integer")
    calls.fill({1: {"n": 1}, 2: {"n": 2}, 3: {"n": 3}})
    calls.fill({1: {"n": 7}})
    calls.write("Delete", "points { points { ids { num: 3 } } }")
    calls.write("DeletePayload", "points_selector { points { ids { num: 2 } } } keys: 'n'")
    assert pairs(calls, "key: 'n'") == [(1, 7)]
    calls.write("SetPayload", "points_selector { filter {} } payload { key: 'n' value { integer_value: 0 } }")
    assert pairs(calls, "key: 'n'") == [(1, 0), (2, 0)]


def missing(key: str) -> str:
    """Return the text for a key that cannot order."""
    return (
        f"Wrong input: No range index for `order_by` key: `{key}`. Please create one to use `order_by`. Check "
        "https://qdrant.tech/documentation/concepts/indexing/#payload-index to see which payload schemas support "
        "Range conditions"
    )


@pytest.mark.parametrize(
    ("kind", "params"),
    [("Keyword", ""), ("Bool", ""), ("Geo", ""), ("Text", ""), ("Uuid", ""), ("Integer", "range: false")],
)
def test_an_index_that_orders_is_required(calls: Calls, kind: str, params: str) -> None:
    calls = calls.create(DENSE)
    calls.fill(NUMBERS, padding=300)
    assert calls.refused("Scroll", "order_by { key: 'n' }") == ("INVALID_ARGUMENT", missing("n"))
    calls.index("n", kind, params)
    assert calls.refused("Scroll", "order_by { key: 'n' }") == ("INVALID_ARGUMENT", missing("n"))
    # Nor does an index on another path help.
    calls.index("n[]", "Integer")
    assert calls.refused("Scroll", "order_by { key: '\"n\"' }") == ("INVALID_ARGUMENT", missing("n"))


def test_an_offset_is_refused_before_an_index_is_asked_for(integers: Calls) -> None:
    for key in ("n", "x"):
        code, text = integers.refused("Scroll", f"order_by {{ key: '{key}' }} offset {{ num: 1 }}")
        assert code == "INVALID_ARGUMENT"
        assert text.startswith("Wrong input: Cannot use an `offset` when using `order_by`.")


MALFORMED = [
    ("key: 'n['", "Invalid json path: 'n['"),
    ("", "Invalid json path: ''"),
    ("key: 'n' start_from { datetime: 'June 15, 2024' }", "Malformed datetime: June 15, 2024"),
    ("key: 'n' start_from { datetime: '' }", "Malformed datetime: "),
]


@pytest.mark.parametrize(("order", "text"), MALFORMED)
def test_malformed_orders_are_refused_before_the_lookup(calls: Calls, order: str, text: str) -> None:
    assert calls.refused("Scroll", f"order_by {{ {order} }}") == ("INVALID_ARGUMENT", text)


@pytest.mark.parametrize("timestamp", ["seconds: 253402300800", "nanos: -1", "seconds: -9223372036854775808"])
def test_timestamps_out_of_range(calls: Calls, timestamp: str) -> None:
    code, text = calls.refused("Scroll", f"order_by {{ key: 'n' start_from {{ timestamp {{ {timestamp} }} }} }}")
    assert code == "INVALID_ARGUMENT"
    assert text.startswith("Unable to parse timestamp: ")


def test_order_in_a_missing_collection(calls: Calls) -> None:
    refusal = ("NOT_FOUND", "Not found: Collection `missing` doesn't exist!")
    assert calls.refused("Scroll", "order_by { key: 'n' } offset { num: 1 }") == refusal
