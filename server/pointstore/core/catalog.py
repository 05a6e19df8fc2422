"""Names: collections, aliases, and what is told about them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from pointstore.core.fields import FieldSchema
from pointstore.core.schema import (
    CollectionConfig,
    HnswConfig,
    Json,
    Memory,
    OptimizersConfig,
    QuantizationConfig,
    SparseVectorParams,
    StorageParams,
    StrictModeConfig,
)


@dataclass(frozen=True, slots=True)
class CreateAlias:
    """Point an alias at a collection; an existing alias is re-pointed."""

    collection: str
    alias: str


@dataclass(frozen=True, slots=True)
class RenameAlias:
    """Give an alias another name; an existing one of that name is overwritten."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class DeleteAlias:
    """Remove an alias; an unknown one is fine."""

    alias: str


AliasAction = CreateAlias | RenameAlias | DeleteAlias


@dataclass(frozen=True, slots=True)
class Alias:
    """An alias and the collection it stands for."""

    alias: str
    collection: str


@dataclass(frozen=True, slots=True)
class QuantizationChange:
    """A new quantisation setting; `config` None switches it off."""

    config: QuantizationConfig | None


@dataclass(frozen=True, slots=True)
class VectorChange:
    """Change of one dense space; None keeps."""

    hnsw_config: HnswConfig | None = None
    quantization: QuantizationChange | None = None
    on_disk: bool | None = None
    memory: Memory | None = None


@dataclass(frozen=True, slots=True)
class CollectionChange:
    """What an update of a collection changes; None keeps (specification part 1, 7.6)."""

    optimizers_config: OptimizersConfig | None = None
    replication_factor: int | None = None
    write_consistency_factor: int | None = None
    read_fan_out_factor: int | None = None
    read_fan_out_delay_ms: int | None = None
    on_disk_payload: bool | None = None
    payload: StorageParams | None = None
    id_tracker: StorageParams | None = None
    hnsw_config: HnswConfig | None = None
    vectors: dict[str, VectorChange] | None = None
    quantization: QuantizationChange | None = None
    sparse_vectors: dict[str, SparseVectorParams] | None = None
    strict_mode_config: StrictModeConfig | None = None
    metadata: dict[str, Json] | None = None


class CollectionStatus(IntEnum):
    """State of the background work, as the wire numbers it."""

    GREEN = 1
    YELLOW = 2
    RED = 3
    GREY = 4


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """A payload field index as a client sees it: canonical path, definition, points with at least one indexed value."""

    path: str
    schema: FieldSchema
    points: int


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """What Get tells of a collection.

    Attributes:
        created_at_s: seconds since the epoch.
        optimizer_error: text of the last failure, None when all is well.
    """

    config: CollectionConfig
    status: CollectionStatus
    optimizer_error: str | None
    segments_count: int
    points_count: int
    payload_schema: tuple[FieldInfo, ...]
    indexed_vectors_count: int
    created_at_s: int
