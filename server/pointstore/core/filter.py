"""Filters: a tree of clauses over conditions.

Only conditions on ids exist so far; the wire layer refuses every other kind with `UnsupportedError`, so a filter that
reaches the engine is always evaluated whole.
"""

from __future__ import annotations

from dataclasses import dataclass

from pointstore.core.point import PointId


@dataclass(frozen=True, slots=True)
class HasId:
    """True for the points with one of these ids."""

    ids: frozenset[PointId]


@dataclass(frozen=True, slots=True)
class MinShould:
    """At least `min_count` of the conditions, counted as list entries."""

    conditions: tuple[Condition, ...]
    min_count: int


@dataclass(frozen=True, slots=True)
class Filter:
    """Holds where all present clauses hold; an empty clause is absent, an empty filter matches every point.

    Attributes:
        must: every condition.
        should: at least one condition.
        must_not: no condition.
        min_should: None when absent; without conditions it matches nothing.
    """

    must: tuple[Condition, ...] = ()
    should: tuple[Condition, ...] = ()
    must_not: tuple[Condition, ...] = ()
    min_should: MinShould | None = None


Condition = HasId | Filter


def excluding(condition: Filter | None, ids: frozenset[PointId]) -> Filter | None:
    """Return the filter with the points of `ids` taken out."""
    if not ids:
        return condition
    if condition is None:
        return Filter(must_not=(HasId(ids),))
    return Filter(must=(condition,), must_not=(HasId(ids),))
