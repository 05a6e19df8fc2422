"""Payload indexes against a server: their RPCs, what is told about them, and that they follow the points."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.protobuf import text_format

from qdrant_grpc import collections_pb2, points_pb2
from tests.wire import filter_tables, text_tables
from tests.wire.filter_tables import field, must
from tests.wire.points_calls import ACKNOWLEDGED, COMPLETED, DENSE
from tests.wire.text_tables import text

if TYPE_CHECKING:
    from tests.wire.points_calls import Calls

KINDS = ("Keyword", "Integer", "Float", "Geo", "Text", "Bool", "Datetime", "Uuid")
RED = must(field("a", "match { keyword: 'red' }"))


@pytest.fixture
def empty(calls: Calls) -> Calls:
    """Return the calls on an empty collection."""
    return calls.create(DENSE)


def schema(calls: Calls) -> dict[str, str]:
    """Return what is told about the indexes, in text format."""
    told = calls.info().payload_schema
    return {path: " ".join(text_format.MessageToString(told[path]).split()) for path in sorted(told)}


def points(calls: Calls) -> dict[str, int]:
    """Return the number of indexed points by path."""
    return {path: each.points for path, each in calls.info().payload_schema.items()}


@pytest.mark.parametrize("padding", [0, 300], ids=["small", "padded"])
def test_points_of_the_master_table(empty: Calls, padding: int) -> None:
    expected = dict(zip(KINDS, (4, 4, 5, 0, 4, 1, 0, 0), strict=True))
    empty.fill(filter_tables.PAYLOADS, padding=padding)
    for kind, count in expected.items():
        empty.index("a", kind)
        assert points(empty) == {"a": count}


@pytest.mark.parametrize("tokenizer", ["Word", "Whitespace", "Prefix", "Multilingual", "Code"])
def test_points_of_text_indexes(empty: Calls, tokenizer: str) -> None:
    empty.index("t", "Text", f"tokenizer: {tokenizer}")
    empty.fill(dict(enumerate(text_tables.DOCUMENTS, 1)))
    assert points(empty) == {"t": 7}


def test_points_follow_writes(empty: Calls) -> None:
    empty.index("a", "Keyword")
    empty.fill({number: {"a": ["x", "y"]} for number in range(1, 7)})
    assert points(empty) == {"a": 6}
    empty.fill({1: {"a": 5}, 2: {"b": "x"}})
    assert points(empty) == {"a": 4}
    empty.write("Delete", "points { points { ids { num: 3 } } }")
    empty.write("ClearPayload", "points { points { ids { num: 4 } } }")
    assert points(empty) == {"a": 2}
    empty.write("SetPayload", "points_selector { filter {} } payload { key: 'a' value { string_value: 'z' } }")
    assert points(empty) == {"a": 5}
    assert empty.matching(must(field("a", "match { keyword: 'z' }"))) == [1, 2, 4, 5, 6]
    assert empty.matching(must(field("a", "match { keyword: 'x' }"))) == []


def test_schema_is_told(empty: Calls) -> None:
    assert schema(empty) == {}
    empty.fill({1: {"a": {"b": "red"}, "o": [{"c": 1.0}]}})
    empty.index('"a"."b"', "Keyword")
    empty.index('"a b"."c.d"', "Integer")
    empty.index("o[].c", "Integer", "lookup: true nested: 'o'")
    empty.index("o", "Text")
    empty.index("t", "Text", "tokenizer: Word stopwords { languages: ['DE', 'en'] custom: ['b', 'a', 'b'] }")
    words = 'tokenizer: Word stopwords { languages: "english" languages: "german" custom: "a" custom: "b" }'
    assert schema(empty) == {
        "a.b": "data_type: Keyword points: 1",
        '"a b"."c.d"': "data_type: Integer points: 0",
        "o": "data_type: Text points: 0",
        "o[].c": 'data_type: Integer params { integer_index_params { lookup: true nested: "o[]" } } points: 1',
        "t": f"data_type: Text params {{ text_index_params {{ {words} }} }} points: 0",
    }
    # Another spelling of the same path.
    assert empty.write("DeleteFieldIndex", 'field_name: \'"o"[]."c"\'') == COMPLETED
    assert empty.write("DeleteFieldIndex", "field_name: 'a[].b'") == COMPLETED
    assert sorted(schema(empty)) == ['"a b"."c.d"', "a.b", "o", "t"]


@pytest.mark.parametrize("kind", KINDS)
def test_repeated_creation_changes_nothing(empty: Calls, kind: str) -> None:
    empty.fill(filter_tables.PAYLOADS)
    empty.index("a", kind)
    before = schema(empty)
    empty.index("a", kind)
    assert schema(empty) == before
    assert before["a"].startswith(f"data_type: {kind} ")


def test_another_definition_replaces(empty: Calls) -> None:
    empty.fill({1: {"a": "red fox"}, 2: {"a": ["red", "fox"]}, 3: {"a": 7}}, padding=300)
    both = text("red fox", key="a")
    assert empty.matching(both) == [1]
    empty.index("a", "Text")
    assert empty.matching(both) == [1, 2]
    assert points(empty) == {"a": 2}
    empty.index("a", "Keyword")
    assert empty.matching(both) == [1]
    assert schema(empty) == {"a": "data_type: Keyword points: 2"}
    empty.index("a", "Keyword", "is_tenant: true")
    assert schema(empty) == {"a": "data_type: Keyword params { keyword_index_params { is_tenant: true } } points: 2"}
    empty.index("a", "Text", "tokenizer: Whitespace lowercase: false")
    assert empty.matching(both) == [1, 2]
    assert empty.matching(text("RED", key="a")) == []
    empty.write("DeleteFieldIndex", "field_name: 'a'")
    assert empty.matching(both) == [1]
    assert empty.matching(text("RED", key="a")) == [1, 2]
    assert schema(empty) == {}


def test_without_its_index_a_field_does_not_order(empty: Calls) -> None:
    empty.fill({1: {"n": 2}, 2: {"n": 1}})
    empty.index("n", "Integer")
    ordered = empty.call("Scroll", "order_by { key: 'n' }").result
    assert [record.id.num for record in ordered] == [2, 1]
    empty.write("DeleteFieldIndex", "field_name: 'n'")
    assert empty.refused("Scroll", "order_by { key: 'n' }")[0] == "INVALID_ARGUMENT"
    assert empty.refused("Facet", "key: 'n'")[0] == "INVALID_ARGUMENT"
    assert empty.matching(must(field("n", "range { gt: 1 }"))) == [1]


@pytest.mark.parametrize("method", ["CreateFieldIndex", "DeleteFieldIndex"])
def test_replies(empty: Calls, method: str) -> None:
    kind = "field_type: FieldTypeKeyword" if method == "CreateFieldIndex" else ""
    seqs = []
    for wait, status in ((True, COMPLETED), (False, ACKNOWLEDGED), (True, COMPLETED)):
        reply = empty.call(method, f"field_name: 'a' {kind} ordering {{ type: Strong }} timeout: 30", wait=wait)
        assert reply.result.status == status
        assert reply.time > 0
        seqs.append(reply.result.operation_id)
    assert seqs == sorted(set(seqs))


def test_an_index_that_nobody_waited_for(empty: Calls) -> None:
    empty.fill({1: {"a": "red"}, 2: {"a": "blue"}}, padding=300)
    assert empty.write("CreateFieldIndex", "field_name: 'a' field_type: FieldTypeKeyword", wait=False) == ACKNOWLEDGED
    assert empty.matching(RED) == [1]
    # A repetition that waits finds it filled.
    empty.index("a", "Keyword")
    assert points(empty) == {"a": 2}
    assert empty.matching(RED) == [1]
    assert len(empty.call("Facet", "key: 'a'").hits) == 2


def test_custom_sharding(calls: Calls) -> None:
    calls = calls.create(f"{DENSE} sharding_method: Custom")
    for method, kind in (("CreateFieldIndex", "field_type: FieldTypeGeo"), ("DeleteFieldIndex", "")):
        result = calls.call(method, f"field_name: 'a' {kind}", wait=True).result
        assert result == points_pb2.UpdateResult(status=ACKNOWLEDGED)
        assert list(calls.info().payload_schema) == (["a"] if kind else [])


BODY = "Validation error in body: ["
GEO = "field_name: 'a' field_type: FieldTypeGeo"
TEXT = "field_name: 'a' field_type: FieldTypeText field_index_params { text_index_params"
MALFORMED = [
    (
        "CreateFieldIndex",
        GEO.replace("'a'", "''"),
        f'{BODY}field_name: value "" invalid, must be at least 1 characters]',
    ),
    ("DeleteFieldIndex", "", f'{BODY}field_name: value "" invalid, must be at least 1 characters]'),
    ("CreateFieldIndex", f"{TEXT} {{ tokenizer: 77 }} }}", "unknown tokenizer type"),
    ("CreateFieldIndex", f"{TEXT} {{ tokenizer: Word stopwords {{ languages: 'x' }} }} }}", "unknown language: x"),
    (
        "CreateFieldIndex",
        f"{TEXT} {{ tokenizer: Word stemmer {{ snowball {{ language: 'x' }} }} }} }}",
        'Language "x" not found.',
    ),
    (
        "CreateFieldIndex",
        f"{GEO} field_index_params {{ geo_index_params {{ memory: 8 }} }}",
        "Cannot convert memory placement: 8",
    ),
    (
        "CreateFieldIndex",
        f"{GEO} field_index_params {{ geo_index_params {{ nested: 'a..' }} }}",
        "Invalid json path: 'a..'",
    ),
    ("CreateFieldIndex", f"{GEO} ordering {{ type: 9 }}", "cannot convert ordering: 9"),
    ("DeleteFieldIndex", "field_name: 'a' ordering { type: 9 }", "cannot convert ordering: 9"),
]


@pytest.mark.parametrize(("method", "request_text", "message"), MALFORMED)
def test_malformed_requests_are_refused_before_the_lookup(
    calls: Calls, method: str, request_text: str, message: str
) -> None:
    assert calls.refused(method, request_text) == ("INVALID_ARGUMENT", message)


def test_nested_must_be_above_the_field(empty: Calls) -> None:
    request = "field_name: 'o.p' field_type: FieldTypeGeo field_index_params { geo_index_params { nested: 'o' } }"
    code, message = empty.refused("CreateFieldIndex", request)
    assert code == "INVALID_ARGUMENT"
    assert "field `o.p` must be inside the elements of nested `o[]`, like `o[].price`" in message
    assert schema(empty) == {}


@pytest.mark.parametrize("request_text", [GEO, "field_name: 'a'"])
def test_missing_collection(calls: Calls, request_text: str) -> None:
    method = "CreateFieldIndex" if "field_type" in request_text else "DeleteFieldIndex"
    refusal = ("NOT_FOUND", "Not found: Collection `missing` doesn't exist!")
    for wait in (True, False):
        assert calls.refused(method, request_text, wait=wait) == refusal


def test_no_other_message_describes_indexes() -> None:
    members = collections_pb2.PayloadIndexParams.DESCRIPTOR.oneofs_by_name["index_params"].fields
    assert {member.name for member in members} == {f"{kind.lower()}_index_params" for kind in KINDS}


def test_number_of_indexes_is_limited(calls: Calls) -> None:
    calls = calls.create(f"{DENSE} strict_mode_config {{ enabled: true max_payload_index_count: 2 }}")
    calls.index("a", "Keyword")
    calls.index("b", "Keyword")
    message = (
        "Bad request: Collection already has the maximum number of payload indices (2). "
        "Help: Please delete an existing index before creating a new one."
    )
    for name in ("c", "a"):
        request = f"field_name: '{name}' field_type: FieldTypeKeyword"
        assert calls.refused("CreateFieldIndex", request, wait=True) == ("INVALID_ARGUMENT", message)
    calls.write("DeleteFieldIndex", "field_name: 'b'")
    calls.index("c", "Keyword")
    assert sorted(schema(calls)) == ["a", "c"]


UNINDEXED_FILTERS = [
    # check, what is asked for, an index that does not help, one that does
    ("match { keyword: 'x' }", "keyword", ("Integer", ""), ("Keyword", "")),
    ("match { integer: 1 }", "integer", ("Integer", "lookup: false"), ("Integer", "")),
    ("match { boolean: true }", "bool", ("Keyword", ""), ("Bool", "")),
    ("match { text: 'x' }", "text", ("Keyword", ""), ("Text", "")),
    (
        "match { phrase: 'x' }",
        "text (with phrase_matching: true)",
        ("Text", ""),
        ("Text", "tokenizer: Word phrase_matching: true"),
    ),
    ("match { prefix: 'x' }", "keyword (with prefix: true)", ("Keyword", ""), ("Keyword", "prefix {}")),
    ("datetime_range {}", "datetime", ("Float", ""), ("Datetime", "")),
    ("geo_radius { center {} }", "geo", ("Float", ""), ("Geo", "")),
]


@pytest.mark.parametrize(("check", "wanted", "useless", "useful"), UNINDEXED_FILTERS)
def test_filters_that_must_be_indexed(
    calls: Calls, check: str, wanted: str, useless: tuple[str, str], useful: tuple[str, str]
) -> None:
    calls = calls.create(f"{DENSE} strict_mode_config {{ enabled: true unindexed_filtering_retrieve: false }}")
    condition = f"filter {{ {must(field('a', check))} }}"
    for index in (None, useless):
        if index:
            calls.index("a", *index)
        code, message = calls.refused("Count", condition)
        assert code == "INVALID_ARGUMENT"
        assert message.startswith(
            f'Bad request: Index required but not found for "a" of one of the following types: [{wanted}]. Help: '
        )
    calls.index("a", *useful)
    assert calls.call("Count", condition).result.count == 0


def test_limits_of_facets(calls: Calls) -> None:
    limits = "strict_mode_config { enabled: true max_query_limit: 9 search_allow_exact: false read_rate_limit: 10 }"
    calls = calls.create(f"{DENSE} {limits}")
    calls.index("a", "Keyword")
    message = 'Bad request: Limit exceeded 10 > 9 for "limit". Help: Reduce the "limit" parameter to or below 9.'
    assert calls.refused("Facet", "key: 'a'") == ("INVALID_ARGUMENT", message)
    assert not calls.call("Facet", "key: 'a' limit: 9 exact: true").hits
    ten = " ".join([must("has_id {}")] * 10)
    code, message = calls.refused("Facet", f"key: 'a' limit: 9 filter {{ {ten} }}")
    assert code == "RESOURCE_EXHAUSTED"
    assert "request larger than rate limiter capacity" in message
