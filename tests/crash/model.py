"""The oracle: points as a client expects them, operations on them, and their wire form.

Numbers are multiples of 1/8, so that float32 keeps them exactly; only cosine vectors come back changed (normalized).
"""

from __future__ import annotations

import copy
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from qdrant_grpc import collections_pb2 as collections
from qdrant_grpc import points_pb2 as pb

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

    from qdrant_grpc import json_with_int_pb2, qdrant_common_pb2

    Id = int | str
    """A number, or a UUID in canonical form."""
    Vectors = dict[str, Any]
    """Dense: list of floats; sparse: dict of index to value; multi: list of lists."""

EUCLID, COSINE, SPARSE, MULTI = "euclid", "cosine", "sparse", "multi"
DIMS = {EUCLID: 8, COSINE: 6, MULTI: 3}
NAMES = (EUCLID, COSINE, SPARSE, MULTI)


@dataclass
class Point:
    """One point as it should be read."""

    payload: dict[str, Any] = field(default_factory=dict)
    vectors: Vectors = field(default_factory=dict)

    def matches(self, found: Point) -> bool:
        """Tell whether a point that was read is this one."""
        if self.payload != found.payload or self.vectors.keys() != found.vectors.keys():
            return False
        expected, given = dict(self.vectors), dict(found.vectors)
        if COSINE in expected:
            row = np.array(expected.pop(COSINE), np.float32)
            if not np.allclose(row / np.linalg.norm(row), given.pop(COSINE), atol=1e-6):
                return False
        return expected == given


Points = dict["Id", Point]


def order_key(point_id: Id) -> tuple[int, int]:
    """Return the key of scroll order: numbers, then UUIDs by their bytes."""
    return (0, point_id) if isinstance(point_id, int) else (1, uuid.UUID(point_id).int)


class Operation(Protocol):
    """One operation of a batch."""

    def apply(self, points: Points) -> None:
        """Change the expected points."""

    def message(self) -> pb.PointsUpdateOperation:
        """Return the wire form."""


@dataclass(frozen=True)
class Put:
    """Upsert points."""

    points: Points

    def apply(self, points: Points) -> None:
        points.update(copy.deepcopy(self.points))

    def message(self) -> pb.PointsUpdateOperation:
        structs = [
            pb.PointStruct(id=to_id(i), payload=to_payload(p.payload), vectors=to_vectors(p.vectors))
            for i, p in self.points.items()
        ]
        return pb.PointsUpdateOperation(upsert=pb.PointsUpdateOperation.PointStructList(points=structs))


@dataclass(frozen=True)
class Remove:
    """Delete points."""

    ids: Sequence[Id]

    def apply(self, points: Points) -> None:
        for point_id in self.ids:
            points.pop(point_id, None)

    def message(self) -> pb.PointsUpdateOperation:
        return pb.PointsUpdateOperation(
            delete_points=pb.PointsUpdateOperation.DeletePoints(points=to_selector(self.ids))
        )


@dataclass(frozen=True)
class SetPayload:
    """Merge into payloads, at the top or at a key that holds an object."""

    ids: Sequence[Id]
    payload: dict[str, Any]
    key: str | None

    def apply(self, points: Points) -> None:
        for point_id in self.ids:
            payload = points[point_id].payload
            target = payload if self.key is None else payload.setdefault(self.key, {})
            target.update(copy.deepcopy(self.payload))

    def message(self) -> pb.PointsUpdateOperation:
        return pb.PointsUpdateOperation(
            set_payload=pb.PointsUpdateOperation.SetPayload(
                payload=to_payload(self.payload), points_selector=to_selector(self.ids), key=self.key
            )
        )


@dataclass(frozen=True)
class OverwritePayload:
    """Replace payloads; an empty one is sent as a clearing."""

    ids: Sequence[Id]
    payload: dict[str, Any]

    def apply(self, points: Points) -> None:
        for point_id in self.ids:
            points[point_id].payload = copy.deepcopy(self.payload)

    def message(self) -> pb.PointsUpdateOperation:
        selector = to_selector(self.ids)
        if not self.payload:
            return pb.PointsUpdateOperation(clear_payload=pb.PointsUpdateOperation.ClearPayload(points=selector))
        return pb.PointsUpdateOperation(
            overwrite_payload=pb.PointsUpdateOperation.OverwritePayload(
                payload=to_payload(self.payload), points_selector=selector
            )
        )


@dataclass(frozen=True)
class DeleteKeys:
    """Remove payload keys at the top."""

    ids: Sequence[Id]
    keys: Sequence[str]

    def apply(self, points: Points) -> None:
        for point_id in self.ids:
            for key in self.keys:
                points[point_id].payload.pop(key, None)

    def message(self) -> pb.PointsUpdateOperation:
        return pb.PointsUpdateOperation(
            delete_payload=pb.PointsUpdateOperation.DeletePayload(keys=self.keys, points_selector=to_selector(self.ids))
        )


@dataclass(frozen=True)
class PutVectors:
    """Replace some vectors of points."""

    vectors: Mapping[Id, Vectors]

    def apply(self, points: Points) -> None:
        for point_id, vectors in self.vectors.items():
            points[point_id].vectors.update(copy.deepcopy(vectors))

    def message(self) -> pb.PointsUpdateOperation:
        rows = [pb.PointVectors(id=to_id(i), vectors=to_vectors(v)) for i, v in self.vectors.items()]
        return pb.PointsUpdateOperation(update_vectors=pb.PointsUpdateOperation.UpdateVectors(points=rows))


@dataclass(frozen=True)
class RemoveVectors:
    """Remove some vectors of points."""

    ids: Sequence[Id]
    names: Sequence[str]

    def apply(self, points: Points) -> None:
        for point_id in self.ids:
            for name in self.names:
                points[point_id].vectors.pop(name, None)

    def message(self) -> pb.PointsUpdateOperation:
        return pb.PointsUpdateOperation(
            delete_vectors=pb.PointsUpdateOperation.DeleteVectors(
                points_selector=to_selector(self.ids), vectors=pb.VectorsSelector(names=self.names)
            )
        )


class Generator:
    """Random operations on a set of ids."""

    def __init__(self, rng: random.Random, ids: Sequence[Id]) -> None:
        self.ids = ids
        self._rng = rng

    def operation(self, points: Points) -> Operation:
        """Return an operation that is valid on `points`."""
        rng = self._rng
        present = list(points)
        if not present or rng.random() < 0.35:
            chosen = rng.sample(list(self.ids), rng.randint(1, 6))
            return Put({i: Point(self._payload(), self.vectors()) for i in chosen})
        ids = rng.sample(present, min(len(present), rng.randint(1, 4)))
        match rng.randrange(8):
            case 0 | 1:
                return Remove(ids)
            case 2:
                return SetPayload(ids, self._payload(), None)
            case 3:
                return SetPayload(ids, {f"x{rng.randrange(3)}": rng.randrange(100)}, "nested")
            case 4:
                return OverwritePayload(ids, {} if rng.random() < 0.5 else self._payload())
            case 5:
                return DeleteKeys(ids, rng.sample(["n", "text", "nested"], 2))
            case 6:
                return PutVectors({i: self.vectors(0.6) for i in ids})
            case _:
                return RemoveVectors(ids, rng.sample(NAMES, 2))

    def vectors(self, share: float = 0.9) -> Vectors:
        """Return random vectors, some of the names and at least one."""
        rng = self._rng
        made: Vectors = {
            EUCLID: self.row(8),
            COSINE: self.row(6),
            SPARSE: {i: rng.randint(1, 80) / 8 for i in rng.sample(range(50), 4)},
            MULTI: [self.row(3) for _ in range(rng.randint(1, 3))],
        }
        kept = {name: vector for name, vector in made.items() if rng.random() < share}
        return kept or {EUCLID: made[EUCLID]}

    def row(self, dim: int) -> list[float]:
        """Return a row without zero length."""
        return [self._rng.randint(-80, 80) / 8 or 1.0 for _ in range(dim)]

    def _payload(self) -> dict[str, Any]:
        rng = self._rng
        made = {
            "n": rng.randrange(1 << 40),
            "text": "".join(rng.choices("abcäß€😀", k=rng.randrange(12))),
            "nested": {"x0": rng.random() < 0.5, "list": [rng.randrange(9), None, 1.5]},
        }
        return {key: made[key] for key in rng.sample(list(made), rng.randint(1, 3))}


def to_id(point_id: Id) -> qdrant_common_pb2.PointId:
    """Return the wire form of an id."""
    from qdrant_grpc import qdrant_common_pb2

    if isinstance(point_id, int):
        return qdrant_common_pb2.PointId(num=point_id)
    return qdrant_common_pb2.PointId(uuid=point_id)


def from_id(message: qdrant_common_pb2.PointId) -> Id:
    """Invert `to_id`."""
    return message.num if message.WhichOneof("point_id_options") == "num" else message.uuid


def to_selector(ids: Sequence[Id]) -> pb.PointsSelector:
    """Return a selector of ids."""
    return pb.PointsSelector(points=pb.PointsIdsList(ids=[to_id(point_id) for point_id in ids]))


def to_payload(payload: Mapping[str, Any]) -> dict[str, json_with_int_pb2.Value]:
    """Return the wire form of a payload."""
    return {key: _to_value(value) for key, value in payload.items()}


def _to_value(value: object) -> json_with_int_pb2.Value:
    from qdrant_grpc.json_with_int_pb2 import ListValue, Struct, Value

    match value:
        case None:
            return Value(null_value=0)  # type: ignore[arg-type]
        case bool():
            return Value(bool_value=value)
        case int():
            return Value(integer_value=value)
        case float():
            return Value(double_value=value)
        case str():
            return Value(string_value=value)
        case list():
            return Value(list_value=ListValue(values=[_to_value(item) for item in value]))
        case dict():
            return Value(struct_value=Struct(fields=to_payload(value)))
    raise TypeError(value)


def from_payload(payload: Mapping[str, json_with_int_pb2.Value]) -> dict[str, Any]:
    """Invert `to_payload`."""
    return {key: _from_value(value) for key, value in payload.items()}


def _from_value(value: json_with_int_pb2.Value) -> object:
    kind = value.WhichOneof("kind")
    match kind:
        case None | "null_value":
            return None
        case "list_value":
            return [_from_value(item) for item in value.list_value.values]
        case "struct_value":
            return from_payload(value.struct_value.fields)
        case _:
            found: object = getattr(value, kind)
            return found


def to_vectors(vectors: Vectors) -> pb.Vectors:
    """Return the wire form of named vectors."""
    made: dict[str, pb.Vector] = {}
    for name, vector in vectors.items():
        if name == SPARSE:
            made[name] = pb.Vector(sparse=pb.SparseVector(indices=list(vector), values=list(vector.values())))
        elif name == MULTI:
            made[name] = pb.Vector(multi_dense=pb.MultiDenseVector(vectors=[pb.DenseVector(data=r) for r in vector]))
        else:
            made[name] = pb.Vector(dense=pb.DenseVector(data=vector))
    return pb.Vectors(vectors=pb.NamedVectors(vectors=made))


def from_vectors(message: pb.VectorsOutput) -> Vectors:
    """Return what was read as named vectors."""
    found: Vectors = {}
    for name, vector in message.vectors.vectors.items():
        match vector.WhichOneof("vector"):
            case "sparse":
                found[name] = dict(zip(vector.sparse.indices, vector.sparse.values, strict=True))
            case "multi_dense":
                found[name] = [list(row.data) for row in vector.multi_dense.vectors]
            case _:
                found[name] = list(vector.dense.data)
    return found


def from_point(message: pb.RetrievedPoint) -> Point:
    """Return a point as it was read."""
    return Point(from_payload(message.payload), from_vectors(message.vectors))


def creation(name: str, *, indexing_threshold_kb: int = 1) -> collections.CreateCollection:
    """Return the request for a collection of these points that is sealed and indexed early."""
    params = {
        EUCLID: collections.VectorParams(size=8, distance=collections.Distance.Euclid),
        COSINE: collections.VectorParams(size=6, distance=collections.Distance.Cosine),
        MULTI: collections.VectorParams(
            size=3,
            distance=collections.Distance.Dot,
            multivector_config=collections.MultiVectorConfig(comparator=collections.MultiVectorComparator.MaxSim),
        ),
    }
    return collections.CreateCollection(
        collection_name=name,
        vectors_config=collections.VectorsConfig(params_map=collections.VectorParamsMap(map=params)),
        sparse_vectors_config=collections.SparseVectorConfig(map={SPARSE: collections.SparseVectorParams()}),
        optimizers_config=collections.OptimizersConfigDiff(indexing_threshold=indexing_threshold_kb),
        hnsw_config=collections.HnswConfigDiff(m=8, ef_construct=64),
    )
