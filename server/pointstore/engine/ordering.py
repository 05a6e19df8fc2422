"""Points in the order of a field's values (specification part 2, 12.3)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointstore.core import interruption
from pointstore.core.errors import WrongInputError
from pointstore.core.fields import FieldIndex, FieldIndexes, FieldType
from pointstore.core.path import Path
from pointstore.core.point import PointId
from pointstore.engine.field_lookup import FieldLookup
from pointstore.engine.view import View
from pointstore.index.slots import SlotFlags, SlotSet

_INT64_MIN = -(2**63)


@dataclass(frozen=True, slots=True)
class Ordered:
    """A value of a point; the unit of ordering is the pair, so a point with several values comes several times."""

    value: int | float
    point_id: PointId
    slot: int


def ordered(  # noqa: PLR0913  what an order consists of
    view: View, key: Path, *, descending: bool, start_from: float | None, selected: SlotSet, limit: int
) -> list[Ordered]:
    """Return the first `limit` pairs of value and selected point, ties by id (descending where the values descend).

    Args:
        view: the state.
        key: the field; values of a datetime index are microseconds since the epoch.
        descending: largest first.
        start_from: inclusive; an int or a float, compared as the mathematical number it is.
        selected: the points in question, all of them live.
        limit: any number.

    Raises:
        WrongInputError: the field has no index that could order.
    """
    index = _order_index(str(key), view.generation.fields)
    values, slots = _sorted_pairs(view, index, SlotFlags(selected))
    if start_from is not None:
        values, slots = _from(values, slots, start_from, descending=descending)
    if descending:
        values, slots = values[::-1], slots[::-1]
    stop = min(limit, len(values))
    if stop and stop < len(values):
        # The last value's ties decide by id who is in, so all of them are looked at.
        last = values[stop - 1]
        ties = int(np.argmax(values[stop:] != last)) if (values[stop:] != last).any() else len(values) - stop
        stop += ties
    pairs = [
        Ordered(value, view.record(slot).point_id, slot)
        for value, slot in interruption.checked(zip(values[:stop].tolist(), slots[:stop].tolist(), strict=True))
    ]
    pairs.sort(key=lambda pair: (pair.value, pair.point_id), reverse=descending)
    return pairs[:limit]


def _sorted_pairs(view: View, index: FieldIndex, flags: SlotFlags) -> tuple[NDArray[np.generic], NDArray[np.int64]]:
    """Return values, ascending, and slots of the selected points."""
    chunks = [
        (values[chosen], slots[chosen])
        for values, slots in interruption.checked(FieldLookup(view).entries(index).pairs(0), 1)
        for chosen in (flags.of(slots),)
    ]
    if not chunks:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    values = np.concatenate([chunk[0] for chunk in chunks])
    slots = np.concatenate([chunk[1] for chunk in chunks])
    if len(chunks) == 1:
        return values, slots
    order = np.argsort(values, kind="stable")
    return values[order], slots[order]


def _from(
    values: NDArray[np.generic], slots: NDArray[np.int64], start: float, *, descending: bool
) -> tuple[NDArray[np.generic], NDArray[np.int64]]:
    if math.isnan(start):
        return values[:0], slots[:0]
    if values.dtype.kind == "i":
        if _INT64_MIN <= start < -_INT64_MIN:
            # A fraction lies between two integers.
            start = math.floor(start) if descending else math.ceil(start)
        else:
            start = math.copysign(math.inf, start)
    if descending:
        stop = int(np.searchsorted(values, start, "right"))
        return values[:stop], slots[:stop]
    first = int(np.searchsorted(values, start, "left"))
    return values[first:], slots[first:]


def _order_index(key: str, fields: FieldIndexes) -> FieldIndex:
    index = fields.of_client(key)
    if index is not None and index.schema is not None and index.ready:
        kind = index.schema.type
        if kind in {FieldType.FLOAT, FieldType.DATETIME}:
            return index
        if kind is FieldType.INTEGER and index.schema.effective.range is not False:
            return index
    msg = (
        f"No range index for `order_by` key: `{key}`. Please create one to use `order_by`. Check "
        "https://qdrant.tech/documentation/concepts/indexing/#payload-index to see which payload schemas support Range "
        "conditions"
    )
    raise WrongInputError(msg)
