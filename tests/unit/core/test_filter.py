"""Tests of taking points out of a filter."""

from __future__ import annotations

from pointstore.core.filter import Filter, HasId, excluding
from pointstore.core.point import point_id_from_number

_ONE = frozenset((point_id_from_number(1),))


def test_excluding_nothing_keeps_the_filter() -> None:
    condition = Filter(must=(HasId(_ONE),))
    assert excluding(condition, frozenset()) is condition
    assert excluding(None, frozenset()) is None


def test_excluding_keeps_the_clauses_of_the_filter_apart() -> None:
    condition = Filter(should=(HasId(_ONE),))
    assert excluding(None, _ONE) == Filter(must_not=(HasId(_ONE),))
    assert excluding(condition, _ONE) == Filter(must=(condition,), must_not=(HasId(_ONE),))
