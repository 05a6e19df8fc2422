"""Facets against a server (specification part 2, 14)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.wire.points_calls import DENSE

if TYPE_CHECKING:
    from pointstore.core.schema import Json
    from tests.wire.points_calls import Calls

UUID = "550e8400-e29b-41d4-a716-446655440000"
ROWS: dict[int, Json] = {
    1: {"k": "a", "n": 1, "b": True, "u": UUID},
    2: {"k": ["a", "b", "a"], "n": [1, 5], "b": [True, False], "u": UUID.upper()},
    3: {"k": "B", "n": 5, "b": False, "u": "00000000-0000-0000-0000-0000000000ff"},
    4: {"k": "b", "n": 1.0, "b": 1, "u": f"urn:uuid:{UUID}"},
    5: {"k": "é", "b": True, "u": "zzz"},
    6: {"k": 1},
    7: {"k": [], "n": [3, 3], "b": "true"},
    8: {"n": -(2**63), "k": None},
}
Hits = list[tuple[str | int | bool, int]]
KEYWORDS: Hits = [("a", 2), ("b", 2), ("B", 1), ("é", 1)]


@pytest.fixture(scope="module", params=[0, 300], ids=["small", "padded"])
def faceted(calls: Calls, request: pytest.FixtureRequest) -> Calls:
    """Return a collection with an index on every field."""
    calls = calls.create(DENSE)
    calls.index("k", "Keyword")
    calls.index("b", "Bool")
    calls.fill(ROWS, padding=request.param)
    calls.index("n", "Integer")
    calls.index("u", "Uuid")
    return calls


def hits(calls: Calls, request: str) -> Hits:
    """Return values and counts."""
    reply = calls.call("Facet", request)
    assert reply.time > 0
    return [(getattr(hit.value, hit.value.WhichOneof("variant")), hit.count) for hit in reply.hits]


@pytest.mark.parametrize(
    ("request_text", "expected"),
    [
        ("key: 'k'", KEYWORDS),
        ("key: '\"k\"' exact: true", KEYWORDS),
        ("key: 'k' limit: 1", KEYWORDS[:1]),
        ("key: 'k' limit: 3 exact: true", KEYWORDS[:3]),
        ("key: 'k' limit: 18446744073709551615", KEYWORDS),
        ("key: 'k' limit: 0", []),
        ("key: 'k' filter {}", KEYWORDS),
        ("key: 'k' filter { must { field { key: 'k' match { keyword: 'b' } } } }", [("b", 2), ("a", 1)]),
        ("key: 'k' filter { must { has_id {} } }", []),
        ("key: 'k' filter { must_not { field { key: 'n' range {} } } }", [("é", 1)]),
        ("key: 'k' shard_key_selector {}", []),
        ("key: 'k' read_consistency { factor: 3 } timeout: 1", KEYWORDS),
        ("key: 'n'", [(1, 3), (5, 2), (-(2**63), 1), (3, 1)]),
        ("key: 'b'", [(True, 3), (False, 2)]),
        ("key: 'b' filter { must { has_id { has_id { num: 2 } has_id { num: 4 } } } }", [(False, 1), (True, 1)]),
        ("key: 'u'", [(UUID, 3), ("00000000-0000-0000-0000-0000000000ff", 1)]),
    ],
)
def test_values_and_counts(faceted: Calls, request_text: str, expected: Hits) -> None:
    found = hits(faceted, request_text)
    assert found == expected
    assert [type(value) for value, _ in found] == [type(value) for value, _ in expected]


def test_ten_values_by_default(calls: Calls) -> None:
    calls = calls.create(DENSE)
    calls.fill({number: {"n": [number, 0]} for number in range(1, 300)})
    calls.index("n", "Integer")
    assert hits(calls, "key: 'n'") == [(0, 299), *((number, 1) for number in range(1, 10))]


def test_counts_follow_writes(calls: Calls) -> None:
    calls = calls.create(DENSE)
    calls.fill(ROWS)
    calls.index("k", "Keyword")
    calls.fill({1: {"k": "z"}})
    calls.write("Delete", "points { filter { must { field { key: 'k' match { keyword: 'b' } } } } }")
    assert hits(calls, "key: 'k'") == [("B", 1), ("z", 1), ("é", 1)]
    calls.write("ClearPayload", "points { filter {} }")
    assert hits(calls, "key: 'k'") == []


@pytest.mark.parametrize(
    ("kind", "params"),
    [("Float", ""), ("Datetime", ""), ("Geo", ""), ("Text", ""), ("Integer", "lookup: false")],
)
def test_an_index_that_matches_is_required(calls: Calls, kind: str, params: str) -> None:
    calls = calls.create(DENSE)
    calls.fill(ROWS, padding=300)
    text = (
        "Wrong input: No appropriate index for faceting: `k`. Please create one to facet on this field. Check "
        "https://qdrant.tech/documentation/concepts/indexing/#payload-index to see which payload schemas support Match "
        "conditions"
    )
    assert calls.refused("Facet", "key: 'k'") == ("INVALID_ARGUMENT", text)
    calls.index("k", kind, params)
    calls.index("k[]", "Keyword")
    assert calls.refused("Facet", "key: '\"k\"'") == ("INVALID_ARGUMENT", text)


BODY = "Validation error in body: ["


@pytest.mark.parametrize(
    ("request_text", "text"),
    [
        ("", f'{BODY}key: value "" invalid, must be at least 1 characters]'),
        ("key: 'k' timeout: 0", f"{BODY}timeout: value 0 invalid, must be 1 or larger]"),
        ("key: 'k['", "Invalid json path: 'k['"),
        ("key: 'k' filter { must { has_id { has_id {} } } }", "No ID options provided"),
        ("key: 'k' filter { must { is_null { key: '' } } }", "Invalid json path: ''"),
    ],
)
def test_malformed_facets_are_refused_before_the_lookup(calls: Calls, request_text: str, text: str) -> None:
    assert calls.refused("Facet", request_text) == ("INVALID_ARGUMENT", text)


@pytest.mark.parametrize(
    ("request_text", "code", "text"),
    [
        ("read_consistency { factor: 0 }", "INVALID_ARGUMENT", "invalid read consistency factor value 0"),
        ("read_consistency { type: 9 }", "INVALID_ARGUMENT", "invalid read consistency type value 9"),
        (
            "read_consistency {}",
            "INVALID_ARGUMENT",
            "invalid read consistency message: `ReadConsistency::value` field is `None`",
        ),
        (
            "shard_key_selector { shard_keys { keyword: 'x' } }",
            "INVALID_ARGUMENT",
            'Bad request: Shard key "x" not found',
        ),
    ],
)
def test_routing_is_checked_after_the_lookup(
    calls: Calls, faceted: Calls, request_text: str, code: str, text: str
) -> None:
    assert faceted.refused("Facet", f"key: 'k' {request_text}") == (code, text)
    refusal = ("NOT_FOUND", "Not found: Collection `missing` doesn't exist!")
    assert calls.refused("Facet", f"key: 'k' {request_text}") == refusal
