"""Updates to operations: everything that depends on data is decided here, in the transaction that logs the operation.

What the reference server notices only while it applies a logged operation is marked `when_applied` in the errors,
since a client that does not wait is never told of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never, cast

from pointstore.core.errors import WrongInputError, unknown_vector_name
from pointstore.core.filter import Filter
from pointstore.core.operation import (
    AddField,
    AddVector,
    MergePayload,
    Nothing,
    Operation,
    PutPoints,
    PutVectors,
    RemovePayload,
    RemovePoints,
    RemoveVectors,
    ReplacePayload,
)
from pointstore.core.operation import DropField as DropFieldOperation
from pointstore.core.operation import DropVector as DropVectorOperation
from pointstore.core.path import Key, Path
from pointstore.core.payload import EMPTY, NESTING_MAX, check_payloads, pack_payload, unpack_payload
from pointstore.core.point import PointId, point_not_found
from pointstore.core.schema import CollectionConfig, Json, SparseVectorParams, VectorParams
from pointstore.core.update import (
    ClearPayload,
    CreateField,
    CreateVector,
    DeletePayload,
    DeletePoints,
    DeleteVectors,
    DropField,
    DropVector,
    OverwritePayload,
    Selector,
    SetPayload,
    Update,
    UpdateMode,
    UpdateVectors,
    Upsert,
)
from pointstore.core.vector import NamedVectors
from pointstore.engine.columns import check_dimensions, columns_of
from pointstore.engine.filtering import matching_slots
from pointstore.engine.transition import Transition
from pointstore.index import slots as slot_sets


def resolve(update: Update, state: Transition) -> Operation:  # noqa: C901, PLR0912  one case an update
    """Return the operation that an update comes to in this state.

    Raises:
        RequestError: the update cannot be applied; nothing was changed.
    """
    match update:
        case Upsert():
            return _upsert(update, state)
        case DeletePoints(selector):
            return RemovePoints(_selected(selector, state))
        case UpdateVectors():
            return _update_vectors(update, state)
        case DeleteVectors(selector, names):
            ids = _existing(selector, state)
            numbers = tuple(_number(name, state.config) for name in dict.fromkeys(names)) if ids else ()
            return RemoveVectors(ids, numbers)
        case SetPayload(selector, payload, key):
            if key is not None:
                _check_nesting(payload, key)
            return MergePayload(_existing(selector, state), payload, key)
        case OverwritePayload(selector, payload):
            return ReplacePayload(_existing(selector, state), payload)
        case DeletePayload(selector, keys):
            return RemovePayload(_existing(selector, state), keys)
        case ClearPayload(selector):
            return ReplacePayload(_existing(selector, state), EMPTY)
        case CreateVector(name, params):
            _check_definition(name, params, state.config)
            return AddVector(name, params)
        case DropVector(name):
            return DropVectorOperation(name)
        case CreateField(path, schema):
            return AddField(str(path), schema)
        case DropField(path):
            return DropFieldOperation(str(path))
        case _:
            assert_never(update)


def _upsert(update: Upsert, state: Transition) -> Operation:
    check_dimensions(state.config, update.vectors, update.named)
    last = {point_id: position for position, point_id in enumerate(update.ids)}
    if len(last) == len(update.ids) and update.mode is UpdateMode.UPSERT and update.condition is None:
        return PutPoints(tuple(update.ids), tuple(update.payloads), columns_of(state.config, update.vectors))
    ids = _written(update, tuple(last), state)
    columns = columns_of(state.config, [update.vectors[last[point_id]] for point_id in ids])
    if not ids:
        return Nothing()
    return PutPoints(ids, tuple(update.payloads[last[point_id]] for point_id in ids), columns)


def _written(update: Upsert, ids: tuple[PointId, ...], state: Transition) -> tuple[PointId, ...]:
    """Return the distinct ids of a conditional upsert that are written (specification part 1, 8.9)."""
    slots = dict(zip(ids, state.slots_of(ids), strict=True))
    if update.mode is UpdateMode.INSERT_ONLY:
        return tuple(point_id for point_id in ids if slots[point_id] is None)
    if update.mode is UpdateMode.UPDATE_ONLY:
        ids = tuple(point_id for point_id in ids if slots[point_id] is not None)
    if update.condition is None:
        return ids
    matching = set(_matching(update.condition, state, [slot for slot in slots.values() if slot is not None]))
    return tuple(point_id for point_id in ids if (slot := slots[point_id]) is None or slot in matching)


def _update_vectors(update: UpdateVectors, state: Transition) -> Operation:
    merged: dict[PointId, NamedVectors] = {}
    for point_id, vectors in zip(update.ids, update.vectors, strict=True):
        merged[point_id] = {**merged.get(point_id, {}), **vectors}
    ids = _all_exist(tuple(merged), state)
    if update.condition is not None:
        slots = [slot for slot in state.slots_of(ids) if slot is not None]
        matching = set(_matching(update.condition, state, slots))
        ids = tuple(point_id for point_id, slot in zip(ids, slots, strict=True) if slot in matching)
    columns = columns_of(state.config, [merged[point_id] for point_id in ids])
    return PutVectors(ids, columns) if ids else Nothing()


def _selected(selector: Selector, state: Transition) -> tuple[PointId, ...]:
    """Return the distinct ids of a list, existing or not, or the ids that match a filter."""
    if not isinstance(selector, Filter):
        return tuple(dict.fromkeys(selector))
    matching = matching_slots(state.view(), selector)
    return tuple(state.store.points.record(state.txn, slot).point_id for slot in slot_sets.to_slots(matching).tolist())


def _existing(selector: Selector, state: Transition) -> tuple[PointId, ...]:
    ids = _selected(selector, state)
    return ids if isinstance(selector, Filter) else _all_exist(ids, state)


def _all_exist(ids: tuple[PointId, ...], state: Transition) -> tuple[PointId, ...]:
    for point_id, slot in zip(ids, state.slots_of(ids), strict=True):
        if slot is None:
            raise point_not_found(point_id, when_applied=True)
    return ids


def _matching(condition: Filter, state: Transition, slots: Sequence[int]) -> list[int]:
    """Return those of the live slots that match."""
    matching = matching_slots(state.view(), condition)
    return [slot for slot in slots if slot_sets.contains(matching, slot)]


def _check_nesting(payload: bytes, key: Path) -> None:
    """Refuse a payload that is fine by itself, but too deep for replies where the path puts it."""
    nested: Json = dict(unpack_payload(payload))
    # Steps beyond the limit add nothing to the verdict, but would exhaust the stack.
    for step in reversed(key.steps[:NESTING_MAX]):
        nested = {step.name: nested} if isinstance(step, Key) else [nested]
    # A path begins with a key.
    check_payloads([pack_payload(cast("dict[str, Json]", nested))])


def _number(name: str, config: CollectionConfig) -> int:
    number = config.number_of(name)
    if number is None:
        raise unknown_vector_name(name, when_applied=True)
    return number


def _check_definition(name: str, params: VectorParams | SparseVectorParams, config: CollectionConfig) -> None:
    """Refuse a second, different definition of a vector name; storage and index options do not count."""
    dense, sparse = config.vectors.get(name), config.sparse.get(name)
    if isinstance(params, VectorParams):
        if sparse is not None:
            msg = f"Vector `{name}` already exists as a sparse vector"
            raise WrongInputError(msg)
        if dense is not None and _definition(dense) != _definition(params):
            msg = f"Vector `{name}` already exists with a different configuration"
            raise WrongInputError(msg)
        return
    if dense is not None:
        msg = f"Vector `{name}` already exists as a dense vector"
        raise WrongInputError(msg)
    if sparse is not None and _definition(sparse) != _definition(params):
        msg = f"Sparse vector `{name}` already exists with a different configuration"
        raise WrongInputError(msg)


def _definition(params: VectorParams | SparseVectorParams) -> tuple[object, ...]:
    if isinstance(params, VectorParams):
        multi = params.multivector_config is not None
        return params.size, params.distance, multi, params.datatype or None
    return params.modifier or None, params.index.datatype or None if params.index else None
