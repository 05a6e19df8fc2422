"""Filters on which the original engine is known to answer otherwise: the rows of docs/differences.md about filters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pointstore.core.fields import FieldSchema, FieldType
from pointstore.core.filter import DatetimeRange, Field, Filter, IsNull, Leaf, Range, leaves
from pointstore.core.path import Each, Path

if TYPE_CHECKING:
    from collections.abc import Mapping

_ORDERED = {FieldType.INTEGER, FieldType.FLOAT, FieldType.DATETIME}


def differs(condition: Filter, indexes: Mapping[str, FieldSchema]) -> bool:
    """Return whether a filter has a condition that the original engine answers in its own way."""
    return any(_differs(leaf, base, indexes) for leaf, base in leaves(condition))


def _differs(leaf: Leaf, base: Path | None, indexes: Mapping[str, FieldSchema]) -> bool:
    match leaf:
        case IsNull(path, False):
            # Without an index one value that is not null is enough, even beside one that is.
            return Each() in path.steps and (base is not None or str(path) not in indexes)
        case Field(path, checks) if base is None and str(path) in indexes:
            # Its indexes of instants and of numbers answer ranges of each other, in microseconds.
            kind = indexes[str(path)].type
            crossed = Range if kind is FieldType.DATETIME else DatetimeRange
            return kind in _ORDERED and any(isinstance(check, crossed) for check in checks)
        case _:
            return False
