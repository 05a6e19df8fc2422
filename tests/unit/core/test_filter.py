"""What a filter says about itself; slices of ids."""

from __future__ import annotations

import pytest

from pointstore.core.filter import (
    Condition,
    Field,
    Filter,
    HasId,
    HasVector,
    IsEmpty,
    IsNull,
    MatchAnyKeywords,
    MatchBoolean,
    MatchExceptIntegers,
    MatchInteger,
    MinShould,
    Nested,
    Range,
    Slice,
    ValuesCount,
    elements_of,
    excluding,
    leaf_count,
    list_size_max,
    member_names,
    payload_paths,
)
from pointstore.core.path import parse_path
from pointstore.core.point import PointId, point_id_from_number, point_id_from_text

_ONE = frozenset((point_id_from_number(1),))


def test_excluding_nothing_keeps_the_filter() -> None:
    condition = Filter(must=(HasId(_ONE),))
    assert excluding(condition, frozenset()) is condition
    assert excluding(None, frozenset()) is None


def test_excluding_keeps_the_clauses_of_the_filter_apart() -> None:
    condition = Filter(should=(HasId(_ONE),))
    assert excluding(None, _ONE) == Filter(must_not=(HasId(_ONE),))
    assert excluding(condition, _ONE) == Filter(must=(condition,), must_not=(HasId(_ONE),))


# SipHash-2-4 under the zero key (specification part 2, 5.14).
HASHES = [
    (point_id_from_number(0), 0xE849E8BB6FFE2567),
    (point_id_from_number(42), 0x0FC2553F07619DD3),
    (point_id_from_text("550e8400-e29b-41d4-a716-446655440000"), 0xF5D0CA21BA34D504),
]


@pytest.mark.parametrize(("point_id", "hashed"), HASHES)
@pytest.mark.parametrize("total", [1, 2, 7, 1000, 2**32 - 1])
def test_slices(point_id: PointId, hashed: int, total: int) -> None:
    index = hashed % total
    assert Slice(total, index).contains(point_id)
    assert total == 1 or not Slice(total, (index + 1) % total).contains(point_id)


def test_slices_share_out_all_points() -> None:
    ids = [point_id_from_number(number) for number in range(300)]
    shares = [{point_id for point_id in ids if Slice(3, index).contains(point_id)} for index in range(3)]
    assert sum(len(share) for share in shares) == len(set().union(*shares)) == len(ids)
    assert min(len(share) for share in shares) > 70


def test_kinds_are_not_equal() -> None:
    path = parse_path("a")
    alike: list[Condition] = [
        Field(path, (MatchInteger(1),)),
        Field(path, (MatchBoolean(flag=True),)),
        Field(path, (Range(lt=1.0),)),
        Field(path, (Range(gt=1.0),)),
        ValuesCount(path, lt=1),
        IsEmpty(path),
        IsEmpty(path, wanted=False),
        IsNull(path),
    ]
    assert len(set(alike)) == len(alike)


def test_elements_of() -> None:
    assert elements_of(parse_path("o")) == elements_of(parse_path("o[]")) == parse_path("o[]")
    assert elements_of(parse_path("o[0]")) == parse_path("o[0][]")


KEYWORDS = Field(parse_path("a"), (MatchAnyKeywords(frozenset({"x", "y"})), Range()))
NUMBERS = Field(parse_path("b"), (MatchExceptIntegers(frozenset({1, 2, 3})),))
DEEP = Filter(
    must=(Nested(parse_path("o[]"), Filter(should=(KEYWORDS, Nested(parse_path("p[]"), Filter(must=(NUMBERS,)))))),),
    must_not=(HasId(_ONE), HasVector("v"), Filter(), Slice(2, 1)),
    min_should=MinShould((IsNull(parse_path("c")), IsNull(parse_path("c"))), 1),
)


@pytest.mark.parametrize(
    ("condition", "leaves", "longest", "paths"),
    [
        (Filter(), 0, 0, set()),
        (Filter(must=(KEYWORDS,)), 1, 2, {"a"}),
        (Filter(should=(HasId(_ONE), ValuesCount(parse_path('"x y"')))), 2, 1, {'"x y"'}),
        (Filter(must=(IsEmpty(parse_path("a")),)), 1, 0, {"a"}),
        (DEEP, 7, 3, {"o[].a", "o[].p[].b", "c"}),
    ],
)
def test_measures_of_strict_mode(condition: Filter, leaves: int, longest: int, paths: set[str]) -> None:
    assert leaf_count(condition) == leaves
    assert list_size_max(condition) == longest
    assert {str(path) for path in payload_paths(condition)} == paths


def test_members_that_decide() -> None:
    assert member_names(DEEP) == {"o", "c"}
    # Elements count although nothing is asked of them.
    assert member_names(Nested(parse_path("w.o[]"), Filter())) == {"w"}
    assert member_names(HasVector("v")) == set()
