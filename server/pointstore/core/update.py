"""What a client asks to be written. May hold filters and conditions; `engine/resolve.py` turns it into an operation.

Payloads are in wire encoding (see `core/payload.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from pointstore.core.fields import FieldSchema
from pointstore.core.filter import Filter
from pointstore.core.path import Path
from pointstore.core.point import PointId
from pointstore.core.schema import SparseVectorParams, VectorParams
from pointstore.core.vector import NamedVectors

Selector = tuple[PointId, ...] | Filter
"""The points an update is about: a list of ids (never empty), or all that match a filter."""


class UpdateMode(IntEnum):
    """Which of the points of an upsert are written."""

    UPSERT = 0
    INSERT_ONLY = 1
    UPDATE_ONLY = 2


@dataclass(frozen=True, slots=True)
class Upsert:
    """Replace whole points. Parallel lists of n points; of an id that occurs several times the last one counts.

    Attributes:
        ids: n ids.
        payloads: n payloads.
        vectors: n maps of vectors by name.
        named: whether the vectors of a point came through the map of names (only error texts depend on it).
        mode: which points are written.
        condition: with modes UPSERT and UPDATE_ONLY, existing points are replaced only where it holds.
    """

    ids: list[PointId]
    payloads: list[bytes]
    vectors: list[NamedVectors]
    named: list[bool]
    mode: UpdateMode = UpdateMode.UPSERT
    condition: Filter | None = None


@dataclass(frozen=True, slots=True)
class DeletePoints:
    """Remove points with everything they have."""

    selector: Selector


@dataclass(frozen=True, slots=True)
class UpdateVectors:
    """Set some vectors of existing points, keep the others. Parallel lists; entries of one id are merged in order."""

    ids: list[PointId]
    vectors: list[NamedVectors]
    condition: Filter | None = None


@dataclass(frozen=True, slots=True)
class DeleteVectors:
    """Make the named vectors absent."""

    selector: Selector
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SetPayload:
    """Merge into the payload, at its top level or at a path; null removes a key."""

    selector: Selector
    payload: bytes
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class OverwritePayload:
    """Replace the payload."""

    selector: Selector
    payload: bytes


@dataclass(frozen=True, slots=True)
class DeletePayload:
    """Remove what the paths name, one after the other."""

    selector: Selector
    keys: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class ClearPayload:
    """Make the payload empty."""

    selector: Selector


@dataclass(frozen=True, slots=True)
class CreateVector:
    """Add a vector space to the collection."""

    name: str
    params: VectorParams | SparseVectorParams


@dataclass(frozen=True, slots=True)
class DropVector:
    """Remove a vector space and its vectors from all points; an unknown name is fine."""

    name: str


@dataclass(frozen=True, slots=True)
class CreateField:
    """Index a field of the payload; another index on the same path is replaced."""

    path: Path
    schema: FieldSchema


@dataclass(frozen=True, slots=True)
class DropField:
    """Remove the index on a path; that there is none is fine."""

    path: Path


Update = (
    Upsert
    | DeletePoints
    | UpdateVectors
    | DeleteVectors
    | SetPayload
    | OverwritePayload
    | DeletePayload
    | ClearPayload
    | CreateVector
    | DropVector
    | CreateField
    | DropField
)


class UpdateStatus(IntEnum):
    """Outcome of a write as the wire numbers it."""

    ACKNOWLEDGED = 1
    COMPLETED = 2
    WAIT_TIMEOUT = 4


@dataclass(frozen=True, slots=True)
class UpdateResult:
    """Log position of an operation and how far it got."""

    seq: int
    status: UpdateStatus
