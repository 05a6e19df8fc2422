"""What is logged and applied: ids only, vectors in stored form, nothing left to decide.

Applying an operation depends on nothing but the state it is applied to and cannot fail for a client's reason; the same
function applies it for live writes, recovery and, later, followers (`engine/state.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointstore.core.fields import FieldSchema
from pointstore.core.path import Path
from pointstore.core.point import PointId
from pointstore.core.schema import SparseVectorParams, VectorParams
from pointstore.core.space import Rows
from pointstore.core.vector import Multi, Sparse


@dataclass(frozen=True, slots=True)
class DenseColumn:
    """Rows of one dense space.

    Attributes:
        number: internal number of the space.
        positions: (m,) int64, ascending; row i belongs to point `positions[i]` of the operation.
        rows: (m, dim) in the stored dtype, already normalised.
    """

    number: int
    positions: NDArray[np.int64]
    rows: Rows


@dataclass(frozen=True, slots=True)
class SparseColumn:
    """Sparse vectors of one space; `vectors[i]` belongs to point `positions[i]`."""

    number: int
    positions: NDArray[np.int64]
    vectors: tuple[Sparse, ...]


@dataclass(frozen=True, slots=True)
class MultiColumn:
    """Multi-vectors of one space, float32 in stored form; `vectors[i]` belongs to point `positions[i]`."""

    number: int
    positions: NDArray[np.int64]
    vectors: tuple[Multi, ...]


Column = DenseColumn | SparseColumn | MultiColumn


@dataclass(frozen=True, slots=True)
class PutPoints:
    """Insert or replace whole points; ids are distinct, payloads in wire encoding."""

    ids: tuple[PointId, ...]
    payloads: tuple[bytes, ...]
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class RemovePoints:
    """Remove points; ids that do not exist are fine."""

    ids: tuple[PointId, ...]


@dataclass(frozen=True, slots=True)
class PutVectors:
    """Set vectors of existing points; ids are distinct. Spaces without a row for a point keep their vector."""

    ids: tuple[PointId, ...]
    columns: tuple[Column, ...]


@dataclass(frozen=True, slots=True)
class RemoveVectors:
    """Make vectors absent, spaces by internal number."""

    ids: tuple[PointId, ...]
    numbers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class MergePayload:
    """Merge into payloads at the top level (`key` None) or at a path."""

    ids: tuple[PointId, ...]
    payload: bytes
    key: Path | None


@dataclass(frozen=True, slots=True)
class ReplacePayload:
    """Replace payloads; an empty one clears."""

    ids: tuple[PointId, ...]
    payload: bytes


@dataclass(frozen=True, slots=True)
class RemovePayload:
    """Remove paths from payloads, in order."""

    ids: tuple[PointId, ...]
    keys: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class AddVector:
    """Add a vector space, or nothing when the same one exists."""

    name: str
    params: VectorParams | SparseVectorParams


@dataclass(frozen=True, slots=True)
class DropVector:
    """Remove a vector space and all its vectors."""

    name: str


@dataclass(frozen=True, slots=True)
class AddField:
    """Index a field of the payload, replacing another index on the same path; nothing when the same one exists."""

    path: str
    schema: FieldSchema


@dataclass(frozen=True, slots=True)
class DropField:
    """Remove the index on a path, if there is one."""

    path: str


@dataclass(frozen=True, slots=True)
class MovePoints:
    """Take existing points to new slots, as they are and with the versions that they have; ids are distinct."""

    ids: tuple[PointId, ...]


@dataclass(frozen=True, slots=True)
class Nothing:
    """An acknowledged update that came to nothing; it only takes its number in the log."""


Operation = (
    PutPoints
    | RemovePoints
    | PutVectors
    | RemoveVectors
    | MergePayload
    | ReplacePayload
    | RemovePayload
    | AddVector
    | DropVector
    | AddField
    | DropField
    | MovePoints
    | Nothing
)
