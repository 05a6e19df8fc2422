"""Filters on which the original engine is known to answer otherwise: the rows of docs/differences.md about filters."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from pointstore.core.fields import FieldSchema, FieldType
from pointstore.core.filter import (
    Check,
    Condition,
    DatetimeRange,
    Field,
    Filter,
    IsNull,
    Leaf,
    MatchKeyword,
    Nested,
    Range,
    joined,
    leaves,
)
from pointstore.core.path import Each, Path
from pointstore.core.point import parse_uuid

if TYPE_CHECKING:
    from collections.abc import Mapping

_DOUBLES_EXACT = 2.0**53
_INTEGERS_END = 2.0**63
_ORDERED = {FieldType.INTEGER, FieldType.FLOAT, FieldType.DATETIME}


def differs(condition: Filter, indexes: Mapping[str, FieldSchema]) -> bool:
    """Return whether a filter has a condition that the original engine answers in its own way."""
    return _has_empty_count(condition) or any(_differs(leaf, base, indexes) for leaf, base in leaves(condition))


def differs_locally(condition: Filter) -> bool:
    """Return whether a filter compares integers with bounds that the local mode, unlike doubles, tells apart."""
    checks = [check for leaf, _ in leaves(condition) if isinstance(leaf, Field) for check in leaf.checks]
    ranges = [check for check in checks if isinstance(check, Range)]
    bounds = [bound for each in ranges for bound in (each.lt, each.gt, each.gte, each.lte) if bound is not None]
    return any(_DOUBLES_EXACT <= abs(bound) < inf for bound in bounds)


def _has_empty_count(condition: Condition) -> bool:
    """Return whether a `min_should` without conditions is anywhere; beside other clauses it may be overlooked there."""
    match condition:
        case Nested(_, inner):
            return _has_empty_count(inner)
        case Filter(min_should=counted):
            empty = counted is not None and not counted.conditions
            return empty or any(_has_empty_count(part) for part in condition.conditions)
        case _:
            return False


def _differs(leaf: Leaf, base: Path | None, indexes: Mapping[str, FieldSchema]) -> bool:
    match leaf:
        case IsNull(path, False):
            # Without an index one value that is not null is enough, even beside one that is.
            return Each() in path.steps and (base is not None or str(path) not in indexes)
        case Field(path, checks) if base is not None:
            # An integer index of the elements' values is asked first, and has no fractions.
            index = indexes.get(str(joined(base, path)))
            ranges = any(isinstance(check, Range) for check in checks)
            return ranges and index is not None and index.type is FieldType.INTEGER
        case Field(path, checks) if str(path) in indexes:
            # Its indexes of instants and of numbers answer ranges of each other, in microseconds.
            kind = indexes[str(path)].type
            crossed = Range if kind is FieldType.DATETIME else DatetimeRange
            if kind is FieldType.INTEGER and any(_beyond_integers(check) for check in checks):
                return True
            return kind in _ORDERED and any(isinstance(check, crossed) or _names_uuid(check) for check in checks)
        case _:
            return False


def _names_uuid(check: Check) -> bool:
    """Return whether a check is for one keyword that is a UUID: its indexes of numbers take it for theirs, in vain."""
    return isinstance(check, MatchKeyword) and parse_uuid(check.text) is not None


def _beyond_integers(check: Check) -> bool:
    """Return whether a bound is one that no integer reaches and that its integer indexes take for the last integer."""
    if not isinstance(check, Range):
        return False
    above = (bound is not None and bound >= _INTEGERS_END for bound in (check.lt, check.gte))
    below = (bound is not None and bound < -_INTEGERS_END for bound in (check.gt, check.lte))
    return any(above) or any(below)
