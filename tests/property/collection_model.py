"""What a collection shall hold and refuse: a dictionary of points, for the machine in `test_collection_model.py`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import assert_never

import numpy as np

from pointstore.core.errors import NotFoundError, RequestError, WrongInputError
from pointstore.core.filter import Filter, HasId
from pointstore.core.path import Path, delete, merge, merge_at
from pointstore.core.payload import unpack_payload
from pointstore.core.point import PointId
from pointstore.core.schema import (
    Json,
    SparseVectorParams,
    VectorParams,
)
from pointstore.core.space import space_of
from pointstore.core.update import (
    ClearPayload,
    CreateVector,
    DeletePayload,
    DeletePoints,
    DeleteVectors,
    DropVector,
    OverwritePayload,
    Selector,
    SetPayload,
    Update,
    UpdateMode,
    UpdateVectors,
    Upsert,
)
from pointstore.core.vector import Dense, Multi, NamedVectors, Sparse
from tests.building import (
    plain,
)

Params = VectorParams | SparseVectorParams


class RefusedError(Exception):
    """The model's answer to an update that must be refused."""

    def __init__(self, kind: type[RequestError], *, when_applied: bool) -> None:
        super().__init__(kind.__name__)
        self.kind = kind
        self.when_applied = when_applied


@dataclass
class _Point:
    payload: dict[str, Json] = field(default_factory=dict)
    vectors: dict[str, object] = field(default_factory=dict)
    version: int = 0


class Model:
    """What a collection shall hold."""

    def __init__(self, spaces: Mapping[str, Params]) -> None:
        self.points: dict[PointId, _Point] = {}
        self.spaces: dict[str, Params] = dict(spaces)
        self.seq = 0

    def apply(self, update: Update) -> int:
        """Apply an update and return its number, or raise `RefusedError` and leave everything as it is."""
        seq = self.seq + (2 if isinstance(update, CreateVector | DropVector) else 1)
        match update:
            case Upsert():
                self._upsert(update, seq)
            case UpdateVectors():
                self._update_vectors(update, seq)
            case DeletePoints(selector):
                for point_id in self._selected(selector):
                    self.points.pop(point_id, None)
            case DeleteVectors(selector, names):
                self._delete_vectors(selector, names, seq)
            case CreateVector(name, params):
                if self.spaces.setdefault(name, params) != params:
                    raise RefusedError(WrongInputError, when_applied=False)
            case DropVector(name):
                self.spaces.pop(name, None)
                for point in self.points.values():
                    point.vectors.pop(name, None)
            case SetPayload() | OverwritePayload() | DeletePayload() | ClearPayload():
                for point in self._touched(self._existing(update.selector), seq):
                    _change_payload(point, update)
            case _:
                # Field indexes are none of this test's business.
                raise AssertionError(update)
        self.seq = seq
        return seq

    def skip(self) -> int:
        """Take a number for an update that came to nothing."""
        self.seq += 1
        return self.seq

    def matching(self, condition: Filter) -> set[PointId]:
        """Return the points that match a filter of the strategies below."""
        found = set(self.points)
        for part in condition.must:
            assert isinstance(part, HasId)
            found &= part.ids
        for part in condition.must_not:
            assert isinstance(part, HasId)
            found -= part.ids
        return found

    def _selected(self, selector: Selector) -> list[PointId]:
        return list(selector) if isinstance(selector, tuple) else sorted(self.matching(selector))

    def _existing(self, selector: Selector) -> list[PointId]:
        chosen = self._selected(selector)
        if any(point_id not in self.points for point_id in chosen):
            raise RefusedError(NotFoundError, when_applied=True)
        return chosen

    def _touched(self, chosen: Sequence[PointId], seq: int) -> Iterator[_Point]:
        for point_id in dict.fromkeys(chosen):
            self.points[point_id].version = seq
            yield self.points[point_id]

    def _upsert(self, update: Upsert, seq: int) -> None:
        for vectors in update.vectors:
            for name, vector in vectors.items():
                params = self.spaces.get(name)
                if isinstance(params, VectorParams) and not isinstance(vector, Sparse) and vector.dim != params.size:
                    raise RefusedError(WrongInputError, when_applied=False)
        allowed = self.matching(update.condition) if update.condition is not None else set(self.points)
        written: dict[PointId, _Point] = {}
        for point_id, payload, vectors in zip(update.ids, update.payloads, update.vectors, strict=True):
            exists = point_id in self.points
            match update.mode:
                case UpdateMode.INSERT_ONLY:
                    wanted = not exists
                case UpdateMode.UPDATE_ONLY:
                    wanted = exists and point_id in allowed
                case UpdateMode.UPSERT:
                    wanted = not exists or point_id in allowed
                case _:
                    assert_never(update.mode)
            if wanted:
                written[point_id] = _Point(unpack_payload(payload), dict(vectors), seq)
        for point in written.values():
            point.vectors = {name: self._stored(name, vector) for name, vector in point.vectors.items()}
        self.points |= written

    def _update_vectors(self, update: UpdateVectors, seq: int) -> None:
        merged: dict[PointId, NamedVectors] = {}
        for point_id, vectors in zip(update.ids, update.vectors, strict=True):
            merged.setdefault(point_id, {}).update(vectors)
        self._existing(tuple(merged))
        chosen = set(merged) if update.condition is None else set(merged) & self.matching(update.condition)
        stored = {
            point_id: {name: self._stored(name, vector) for name, vector in merged[point_id].items()}
            for point_id in chosen
        }
        for point_id in chosen:
            self.points[point_id].vectors.update(stored[point_id])
            self.points[point_id].version = seq

    def _delete_vectors(self, selector: Selector, names: Sequence[str], seq: int) -> None:
        chosen = self._existing(selector)
        if chosen and set(names) - self.spaces.keys():
            raise RefusedError(WrongInputError, when_applied=True)
        for point in self._touched(chosen, seq):
            for name in names:
                point.vectors.pop(name, None)

    def _stored(self, name: str, vector: object) -> object:
        params = self.spaces.get(name)
        misfit = RefusedError(WrongInputError, when_applied=True)
        if isinstance(params, SparseVectorParams):
            if not isinstance(vector, Sparse):
                raise misfit
            return plain(vector)
        if params is None or not isinstance(vector, Dense | Multi) or vector.dim != params.size:
            raise misfit
        multiple = params.multivector_config is not None
        if isinstance(vector, Multi) and not multiple:
            raise misfit
        rows = space_of(params).stored(np.frombuffer(vector.data, "<f4").reshape(-1, params.size))
        packed = rows.astype("<f4").tobytes()
        return plain(Multi(packed, params.size) if multiple else Dense(packed))


def _change_payload(point: _Point, update: SetPayload | OverwritePayload | DeletePayload | ClearPayload) -> None:
    match update:
        case SetPayload(_, payload, None):
            merge(point.payload, unpack_payload(payload))
        case SetPayload(_, payload, Path() as key):
            merge_at(point.payload, key, unpack_payload(payload))
        case OverwritePayload(_, payload):
            point.payload = unpack_payload(payload)
        case DeletePayload(_, keys):
            for key in keys:
                delete(point.payload, key)
        case ClearPayload():
            point.payload = {}
