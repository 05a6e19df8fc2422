"""Filters on which the original engine is known to answer otherwise: the rows of docs/differences.md about filters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pointstore.core.filter import IsEmpty, IsNull, Leaf, leaves
from pointstore.core.path import Each, Path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pointstore.core.fields import FieldSchema
    from pointstore.core.filter import Filter


def differs(condition: Filter, indexes: Mapping[str, FieldSchema]) -> bool:
    """Return whether a filter has a condition that the original engine answers in its own way."""
    return any(_differs(leaf, base, indexes) for leaf, base in leaves(condition))


def _differs(leaf: Leaf, base: Path | None, indexes: Mapping[str, FieldSchema]) -> bool:
    match leaf:
        case IsNull(path, False) | IsEmpty(path, False):
            # Without an index one value that is not null is enough, even beside one that is.
            return Each() in path.steps and (base is not None or str(path) not in indexes)
        case _:
            return False
