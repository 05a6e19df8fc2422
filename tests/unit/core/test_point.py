"""Tests of point ids: spellings, refusals, order (specification part 1, 4)."""

from __future__ import annotations

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointstore.core.errors import ConversionError
from pointstore.core.point import (
    format_point_id,
    parse_uuid,
    point_id_from_number,
    point_id_from_text,
    point_id_number,
    point_not_found,
)

_CANONICAL = "550e8400-e29b-41d4-a716-446655440000"


@pytest.mark.parametrize(
    "text",
    [
        _CANONICAL,
        _CANONICAL.upper(),
        "550e8400e29b41d4a716446655440000",
        "550E8400e29b41d4A716446655440000",
        "urn:uuid:" + _CANONICAL,
        "urn:uuid:" + _CANONICAL.upper(),
        "{" + _CANONICAL + "}",
    ],
)
def test_spellings_of_one_uuid_are_one_point(text: str) -> None:
    point_id = point_id_from_text(text)
    assert format_point_id(point_id) == _CANONICAL
    assert point_id == b"\x01" + uuid.UUID(_CANONICAL).bytes
    assert point_id_number(point_id) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "abc",
        "1",
        "URN:UUID:" + _CANONICAL,
        "urn:uuid:550e8400e29b41d4a716446655440000",
        "{550e8400e29b41d4a716446655440000}",
        "{" + _CANONICAL,
        _CANONICAL + "}",
        "urn:uuid:" + _CANONICAL + "}",
        "{urn:uuid:" + _CANONICAL + "}",
        " " + _CANONICAL,
        _CANONICAL + "\n",
        "550e8400-e29b41d4-a716-446655440000",
        "550e8400e29b-41d4-a716-446655440000",
        "550e8400-e29b-41d4-a716-44665544000",
        "550e8400-e29b-41d4-a716-4466554400000",
        "550e8400-e29b-41d4-a716-44665544000g",
        "550e8400_e29b_41d4_a716_446655440000",
        "\u0665" * 32,
    ],
)
def test_other_texts_are_refused_with_the_text(text: str) -> None:
    assert parse_uuid(text) is None
    with pytest.raises(ConversionError) as caught:
        point_id_from_text(text)
    assert caught.value.message == f"Unable to parse UUID: {text}"


@pytest.mark.parametrize("text", ["0" * 32, "f" * 32])
def test_nil_and_all_ones_are_uuids(text: str) -> None:
    assert parse_uuid(text) == bytes.fromhex(text)


@pytest.mark.parametrize("number", [0, 1, 2**63, 2**64 - 1])
def test_numbers_keep_their_value(number: int) -> None:
    point_id = point_id_from_number(number)
    assert len(point_id) == 9
    assert point_id_number(point_id) == number
    assert format_point_id(point_id) == str(number)


_IDS = st.lists(st.one_of(st.integers(0, 2**64 - 1), st.uuids()), max_size=30)


@given(_IDS)
def test_packed_order_is_numbers_then_uuids(ids: list[int | uuid.UUID]) -> None:
    packed = [point_id_from_number(i) if isinstance(i, int) else point_id_from_text(str(i)) for i in ids]
    expected = sorted(ids, key=lambda i: (0, i, b"") if isinstance(i, int) else (1, 0, i.bytes))
    assert [format_point_id(point_id) for point_id in sorted(packed)] == [str(i) for i in expected]


def test_not_found_names_the_point() -> None:
    error = point_not_found(point_id_from_number(7), when_applied=True)
    assert error.message == "Not found: No point with id 7 found"
    assert error.when_applied
