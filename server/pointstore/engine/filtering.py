"""Filters evaluated to sets of slots.

A set is packed bits over all slots (see `storage/live.py`), always a subset of the live points, so that negation is
exact.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import reduce
from typing import assert_never

import numpy as np

from pointstore.core.errors import UnsupportedError
from pointstore.core.filter import (
    Condition,
    Field,
    Filter,
    HasId,
    HasVector,
    IsEmpty,
    IsNull,
    MinShould,
    Nested,
    Slice,
    ValuesCount,
)
from pointstore.core.point import PointId
from pointstore.index import slots as slot_sets
from pointstore.index.slots import Bits

SlotsOf = Callable[[Iterable[PointId]], list[int | None]]
"""Look up the slots of ids, None for those that do not exist."""


def evaluate(condition: Filter, live: Bits, slots_of: SlotsOf) -> Bits:
    """Return the live slots that match, as bits of the length of `live`.

    Raises:
        UnsupportedError: a condition that is not implemented, wherever in the filter.
    """
    sets: list[Bits] = [_evaluate(part, live, slots_of) for part in condition.must]
    if condition.should:
        sets.append(reduce(np.bitwise_or, [_evaluate(part, live, slots_of) for part in condition.should]))
    if condition.min_should is not None:
        sets.append(_at_least(condition.min_should, live, slots_of))
    matching = reduce(np.bitwise_and, sets, live)
    for part in condition.must_not:
        matching = matching & ~_evaluate(part, live, slots_of)
    return matching


def _evaluate(condition: Condition, live: Bits, slots_of: SlotsOf) -> Bits:
    match condition:
        case Filter():
            return evaluate(condition, live, slots_of)
        case HasId(ids):
            found = [slot for slot in slots_of(ids) if slot is not None]
            return slot_sets.bits_of(np.array(found, np.uint64), live.size << 3)
        case HasVector() | Slice() | Field() | ValuesCount() | IsEmpty() | IsNull() | Nested():
            raise UnsupportedError(f"filter condition `{_kind(condition)}` is not implemented yet")
        case _:
            assert_never(condition)


def _kind(condition: HasVector | Slice | Field | ValuesCount | IsEmpty | IsNull | Nested) -> str:
    """Return the name of a condition in the protocol."""
    kind = type(condition.checks[0] if isinstance(condition, Field) else condition).__name__
    return "match" if kind.startswith("Match") else re.sub(r"(?<!^)(?=[A-Z])", "_", kind).lower()


def _at_least(clause: MinShould, live: Bits, slots_of: SlotsOf) -> Bits:
    counts = np.zeros(live.size * 8, np.uint32)
    for part in clause.conditions:
        counts += np.unpackbits(_evaluate(part, live, slots_of), bitorder="little")
    # The complement of nothing is everything: without conditions, counts stay below any min_count >= 1.
    return np.packbits(counts >= clause.min_count, bitorder="little") & live
