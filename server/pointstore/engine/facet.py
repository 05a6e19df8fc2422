"""Counting points by the values of a field (specification part 2, 14)."""

from __future__ import annotations

import uuid

import numpy as np

from pointstore.core import interruption
from pointstore.core.errors import WrongInputError
from pointstore.core.fields import FieldIndex, FieldIndexes, FieldType
from pointstore.core.filter import Filter
from pointstore.core.path import Path
from pointstore.engine.field_lookup import FieldLookup
from pointstore.engine.filtering import matching_slots
from pointstore.engine.view import View
from pointstore.index.slots import SlotFlags

_VALUES_A_CHECK = 4096

FacetValue = str | int | bool


def facet(view: View, key: Path, condition: Filter | None, limit: int) -> list[tuple[FacetValue, int]]:
    """Return the values of a field with the number of matching points that hold them, most frequent first.

    Equal counts go by ascending value: strings by their bytes, false before true, UUIDs numerically.

    Raises:
        WrongInputError: the field has no index that matches values.
    """
    index = _facet_index(str(key), view.generation.fields)
    selected = view.generation.live if condition is None else matching_slots(view, condition)
    flags = SlotFlags(selected)
    counts: dict[int, int] = {}
    for values, slots in interruption.checked(FieldLookup(view).entries(index).pairs(0), 1):
        if not len(values):
            continue
        starts = np.flatnonzero(np.concatenate(([True], values[1:] != values[:-1])))
        sums = np.add.reduceat(flags.of(slots).astype(np.int64), starts)
        for value, count in interruption.checked(
            zip(values[starts].tolist(), sums.tolist(), strict=True), _VALUES_A_CHECK
        ):
            if count:
                counts[value] = counts.get(value, 0) + count
    hits = [(_value(view, index, raw), count) for raw, count in interruption.checked(_most(counts, limit))]
    return sorted(hits, key=lambda hit: (-hit[1], hit[0] if not isinstance(hit[0], str) else hit[0].encode()))[:limit]


def _most(counts: dict[int, int], limit: int) -> list[tuple[int, int]]:
    """Return the values that may be among the first `limit`: those with at least the count of the last of them."""
    if len(counts) <= limit:
        return list(counts.items())
    if not limit:
        return []
    threshold = int(np.partition(np.fromiter(counts.values(), np.int64), -limit)[-limit])
    return [(value, count) for value, count in counts.items() if count >= threshold]


def _value(view: View, index: FieldIndex, raw: int) -> FacetValue:
    assert index.schema is not None
    match index.schema.type:
        case FieldType.KEYWORD:
            return view.store.fields.term(view.txn, index.number, raw).decode()
        case FieldType.UUID:
            return str(uuid.UUID(bytes=view.store.fields.term(view.txn, index.number, raw)))
        case FieldType.BOOL:
            return bool(raw)
        case _:
            return int(raw)


def _facet_index(key: str, fields: FieldIndexes) -> FieldIndex:
    index = fields.of_client(key)
    if index is not None and index.schema is not None and index.ready:
        kind = index.schema.type
        lookup = kind is FieldType.INTEGER and index.schema.effective.lookup is not False
        if lookup or kind in {FieldType.KEYWORD, FieldType.UUID, FieldType.BOOL}:
            return index
    msg = (
        f"No appropriate index for faceting: `{key}`. Please create one to facet on this field. Check "
        "https://qdrant.tech/documentation/concepts/indexing/#payload-index to see which payload schemas support Match "
        "conditions"
    )
    raise WrongInputError(msg)
