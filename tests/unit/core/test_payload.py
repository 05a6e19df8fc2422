"""Tests of the payload codec: kinds, framing, refusals (specification part 1, 5.1)."""

from __future__ import annotations

import math
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointstore.core.errors import ConversionError
from pointstore.core.payload import (
    EMPTY,
    NESTING_MAX,
    check_payloads,
    decode_value,
    frame_entries,
    metadata_of,
    pack_payload,
    unpack_payload,
)
from pointstore.core.schema import Json
from qdrant_grpc.json_with_int_pb2 import Value
from qdrant_grpc.points_pb2 import PointStruct, QueryGroupsResponse, RetrievedPoint, ScoredPoint

_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=6),
)
_TREES = st.dictionaries(
    st.text(max_size=4),
    st.recursive(
        _SCALARS,
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
        max_leaves=12,
    ),
    max_size=4,
)


def _same(left: Json, right: Json) -> bool:
    """Compare with kinds: 1, 1.0 and True are three values, -0.0 is not 0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(value, right[key]) for key, value in left.items())
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    if isinstance(left, float) and isinstance(right, float):
        return struct.pack("<d", left) == struct.pack("<d", right)
    return left == right


@given(_TREES)
def test_trees_survive_with_their_kinds(tree: dict[str, Json]) -> None:
    packed = pack_payload(tree)
    check_payloads([packed])
    assert _same(unpack_payload(packed), tree)


def test_one_and_one_point_zero_differ_at_every_depth() -> None:
    tree: dict[str, Json] = {"i": 1, "f": 1.0, "t": True, "l": [1, 1.0, True, {"i": 1, "f": 1.0}], "z": -0.0, "n": None}
    assert _same(unpack_payload(pack_payload(tree)), tree)


def test_unset_kind_and_any_null_number_are_null() -> None:
    assert decode_value(Value()) is None
    assert decode_value(Value.FromString(b"\x08\x05")) is None
    assert metadata_of([("a", Value(integer_value=1)), ("b", Value())]) == {"a": 1, "b": None}


@given(_TREES)
def test_stored_bytes_are_the_payload_field_of_replies(tree: dict[str, Json]) -> None:
    packed = pack_payload(tree)
    assert RetrievedPoint.FromString(packed).SerializeToString(deterministic=True) == packed
    assert dict(ScoredPoint.FromString(packed).payload) == dict(RetrievedPoint.FromString(packed).payload)


@given(_TREES)
def test_entries_of_a_request_frame_to_the_same_payload(tree: dict[str, Json]) -> None:
    reply = RetrievedPoint.FromString(pack_payload(tree))
    entries = []
    for key, value in reply.payload.items():
        point = PointStruct(payload={key: value})
        body = point.SerializeToString()
        entries.append(_only_field(body))
    assert _same(unpack_payload(frame_entries(entries)), tree)


def _only_field(body: bytes) -> bytes:
    """Return the body of the one length-delimited field of a message."""
    position, shift, length = 1, 0, 0
    while True:
        byte = body[position]
        length |= (byte & 0x7F) << shift
        position, shift = position + 1, shift + 7
        if byte < 0x80:
            break
    assert position + length == len(body)
    return body[position:]


@pytest.mark.parametrize("length", [0, 1, 127, 128, 16_383, 16_384, 3_000_000])
def test_frames_of_any_length(length: int) -> None:
    payload = pack_payload({"k": "x" * length})
    entry = _only_field(payload)
    assert frame_entries([entry, entry]) == payload + payload
    assert unpack_payload(payload) == {"k": "x" * length}


def test_no_entries_are_the_empty_payload() -> None:
    assert frame_entries([]) == EMPTY == pack_payload({})
    assert unpack_payload(EMPTY) == {}
    check_payloads([])
    check_payloads([EMPTY, EMPTY])


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", ["top", "list", "object", "deep"])
def test_not_finite_numbers_are_refused(number: float, place: str) -> None:
    trees: dict[str, dict[str, Json]] = {
        "top": {"a": number},
        "list": {"a": [1, number]},
        "object": {"a": {"b": number}},
        "deep": {"x": 1, "a": [{"b": [[number]]}]},
    }
    packed = pack_payload(trees[place])
    with pytest.raises(ConversionError) as caught:
        check_payloads([pack_payload({"fine": 1.0}), packed])
    assert caught.value.message == "cannot convert to json number"


@pytest.mark.parametrize("number", [1e300, -1e-300, 5e-324, 1.7976931348623157e308])
def test_extreme_finite_numbers_pass(number: float) -> None:
    packed = pack_payload({"a": number, "text": "\u00ff\x7f"})
    check_payloads([packed])
    assert unpack_payload(packed)["a"] == number


def _nested(depth: int, *, lists: bool) -> dict[str, Json]:
    value: Json = 1
    for _ in range(depth):
        value = [value] if lists else {"k": value}
    return {"a": value}


@pytest.mark.parametrize(("lists", "depth"), [(True, 47), (False, 31)])
def test_nesting_is_allowed_as_deep_as_every_reply_can_be_parsed(*, lists: bool, depth: int) -> None:
    fine = pack_payload(_nested(depth, lists=lists))
    check_payloads([fine])
    reply = QueryGroupsResponse()
    reply.result.groups.add().hits.add().MergeFromString(fine)
    assert QueryGroupsResponse.FromString(reply.SerializeToString()) == reply
    with pytest.raises(ConversionError, match="nested too deeply"):
        check_payloads([pack_payload(_nested(depth + 1, lists=lists))])
    assert depth < NESTING_MAX


@pytest.mark.parametrize(
    "payload",
    [
        frame_entries([b"\x0a\x02\xff\xfe\x12\x02\x18\x01"]),
        frame_entries([b"\x0a\x01a\x12\x05\x22\x03\xff\xfe\xfd"]),
        frame_entries([b"\x0a\x05a"]),
        frame_entries([b"\x0a\x01a\x12\x09\x18"]),
    ],
)
def test_entries_that_no_client_could_parse_are_refused(payload: bytes) -> None:
    with pytest.raises(ConversionError, match="payload cannot be decoded"):
        check_payloads([payload])
