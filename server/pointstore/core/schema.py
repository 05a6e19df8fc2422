"""What a collection is configured to be: vector spaces, index and storage settings, metadata.

The dataclasses carry the names of the protocol's messages and fields, so that one generic mapper in `wire/` converts
both ways; `None` always means "not given" and is echoed as absent. Defaults that the server fills in are in the
`*_DEFAULTS` constants below (specification part 1, 7.2).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from typing import Any, TypeVar

from typing_extensions import TypeAliasType

# A named alias, since pydantic has to follow the recursion.
Json = TypeAliasType("Json", "bool | int | float | str | list[Json] | dict[str, Json] | None")
"""A payload or metadata value; int and float are distinct kinds and never converted into each other."""


class Distance(IntEnum):
    """How two dense vectors are compared."""

    COSINE = 1
    EUCLID = 2
    DOT = 3
    MANHATTAN = 4


class Datatype(IntEnum):
    """How components are stored; the turbo kinds are kept as float32 (lossless is allowed)."""

    DEFAULT = 0
    FLOAT32 = 1
    UINT8 = 2
    FLOAT16 = 3
    TURBO4 = 4
    TURBO8 = 5
    TURBO16 = 6


class Memory(IntEnum):
    """Placement hint of a storage or index."""

    COLD = 1
    CACHED = 2
    PINNED = 3


class Modifier(IntEnum):
    """What a sparse vector's scores are multiplied by."""

    NONE = 0
    IDF = 1


@dataclass(frozen=True, slots=True)
class HnswConfig:
    """Graph parameters; `full_scan_threshold` in KB."""

    m: int | None = None
    ef_construct: int | None = None
    full_scan_threshold: int | None = None
    max_indexing_threads: int | None = None
    on_disk: bool | None = None
    payload_m: int | None = None
    inline_storage: bool | None = None
    memory: Memory | None = None


@dataclass(frozen=True, slots=True)
class ScalarQuantization:
    """One byte a component."""

    type: int
    quantile: float | None = None
    always_ram: bool | None = None
    memory: Memory | None = None


@dataclass(frozen=True, slots=True)
class ProductQuantization:
    """Codebooks of 256 centroids; compression x4 to x64 as 0 to 4."""

    compression: int
    always_ram: bool | None = None
    memory: Memory | None = None


@dataclass(frozen=True, slots=True)
class BinaryQuantization:
    """One to two bits a component."""

    always_ram: bool | None = None
    encoding: int | None = None
    query_encoding: int | None = None
    has_query_encoding: bool = False
    memory: Memory | None = None


@dataclass(frozen=True, slots=True)
class TurboQuantization:
    """Rotated quantisation of one to eight bits."""

    always_ram: bool | None = None
    bits: int | None = None
    memory: Memory | None = None


@dataclass(frozen=True, slots=True)
class QuantizationConfig:
    """Exactly one member is set."""

    scalar: ScalarQuantization | None = None
    product: ProductQuantization | None = None
    binary: BinaryQuantization | None = None
    turboquant: TurboQuantization | None = None


@dataclass(frozen=True, slots=True)
class MultiVectorConfig:
    """A matrix a point instead of a row; the comparator is always max-sim (0)."""

    comparator: int = 0


@dataclass(frozen=True, slots=True)
class VectorParams:
    """A dense vector space, as given by the client."""

    size: int
    distance: Distance
    hnsw_config: HnswConfig | None = None
    quantization_config: QuantizationConfig | None = None
    on_disk: bool | None = None
    datatype: Datatype | None = None
    multivector_config: MultiVectorConfig | None = None
    memory: Memory | None = None


@dataclass(frozen=True, slots=True)
class SparseIndexConfig:
    """`full_scan_threshold` counts vectors."""

    full_scan_threshold: int | None = None
    on_disk: bool | None = None
    datatype: Datatype | None = None
    memory: Memory | None = None


@dataclass(frozen=True, slots=True)
class SparseVectorParams:
    """A sparse vector space."""

    index: SparseIndexConfig | None = None
    modifier: Modifier | None = None


@dataclass(frozen=True, slots=True)
class WalConfig:
    """Kept and echoed; the log of this engine lives in LMDB."""

    wal_capacity_mb: int | None = None
    wal_segments_ahead: int | None = None
    wal_retain_closed: int | None = None


AUTO_THREADS = -1
"""The thread limit that a client asked for as "automatic"."""


@dataclass(frozen=True, slots=True)
class OptimizersConfig:
    """Sizes in KB, thresholds as shares.

    `max_optimization_threads` is automatic as None and as AUTO_THREADS, which an update needs to switch back to it.
    """

    deleted_threshold: float | None = None
    vacuum_min_vector_number: int | None = None
    default_segment_number: int | None = None
    max_segment_size: int | None = None
    memmap_threshold: int | None = None
    indexing_threshold: int | None = None
    flush_interval_sec: int | None = None
    deprecated_max_optimization_threads: int | None = None
    max_optimization_threads: int | None = None
    prevent_unoptimized: bool | None = None


@dataclass(frozen=True, slots=True)
class StrictModeSparse:
    """Limit of one sparse vector space."""

    max_length: int | None = None


@dataclass(frozen=True, slots=True)
class StrictModeMultivector:
    """Limit of one multi-vector space."""

    max_vectors: int | None = None


@dataclass(frozen=True, slots=True)
class StrictModeConfig:
    """Limits that apply only while `enabled` is true (specification part 1, 9)."""

    enabled: bool | None = None
    max_query_limit: int | None = None
    max_timeout: int | None = None
    unindexed_filtering_retrieve: bool | None = None
    unindexed_filtering_update: bool | None = None
    search_max_hnsw_ef: int | None = None
    search_allow_exact: bool | None = None
    search_max_oversampling: float | None = None
    upsert_max_batchsize: int | None = None
    search_max_batchsize: int | None = None
    max_collection_vector_size_bytes: int | None = None
    read_rate_limit: int | None = None
    write_rate_limit: int | None = None
    max_collection_payload_size_bytes: int | None = None
    filter_max_conditions: int | None = None
    condition_max_size: int | None = None
    multivector_config: dict[str, StrictModeMultivector] | None = None
    sparse_config: dict[str, StrictModeSparse] | None = None
    max_points_count: int | None = None
    max_payload_index_count: int | None = None
    max_resident_memory_percent: int | None = None


@dataclass(frozen=True, slots=True)
class StorageParams:
    """Placement of payloads or of the id tracker."""

    memory: Memory | None = None


@dataclass(frozen=True, slots=True)
class CollectionConfig:
    """Everything a collection was created or updated with.

    Attributes:
        vectors: dense spaces by name; the default one has the name "".
        single_vector: echoed in the unnamed form (`vectors_config.params`) instead of the map form.
        sparse_vectors: sparse spaces by name; None when the section was never given.
        vector_numbers: internal number of every space, dense and sparse; never reused within a collection, so a name
            that is deleted and created again starts empty.
    """

    vectors: dict[str, VectorParams] = field(default_factory=dict)
    single_vector: bool = False
    sparse_vectors: dict[str, SparseVectorParams] | None = None
    vector_numbers: dict[str, int] = field(default_factory=dict)
    next_vector_number: int = 0
    hnsw_config: HnswConfig = field(default_factory=HnswConfig)
    wal_config: WalConfig = field(default_factory=WalConfig)
    optimizers_config: OptimizersConfig = field(default_factory=OptimizersConfig)
    quantization_config: QuantizationConfig | None = None
    shard_number: int = 1
    sharding_method: int | None = None
    replication_factor: int = 1
    write_consistency_factor: int = 1
    read_fan_out_factor: int | None = None
    read_fan_out_delay_ms: int | None = None
    on_disk_payload: bool = True
    payload: StorageParams | None = None
    id_tracker: StorageParams | None = None
    strict_mode_config: StrictModeConfig | None = None
    metadata: dict[str, Json] = field(default_factory=dict)

    @property
    def sparse(self) -> dict[str, SparseVectorParams]:
        """Sparse spaces by name, empty when there are none."""
        return self.sparse_vectors or {}

    def number_of(self, name: str) -> int | None:
        """Return the internal number of a vector space, None for an unknown name."""
        return self.vector_numbers.get(name)


HNSW_DEFAULTS = HnswConfig(m=16, ef_construct=100, full_scan_threshold=10_000, max_indexing_threads=0, on_disk=False)
WAL_DEFAULTS = WalConfig(wal_capacity_mb=32, wal_segments_ahead=0, wal_retain_closed=1)
OPTIMIZERS_DEFAULTS = OptimizersConfig(
    deleted_threshold=0.2,
    vacuum_min_vector_number=1000,
    default_segment_number=0,
    indexing_threshold=10_000,
    flush_interval_sec=5,
)

_Section = TypeVar("_Section", HnswConfig, WalConfig, OptimizersConfig, StrictModeConfig, SparseIndexConfig)


def merge(base: _Section, override: _Section | None) -> _Section:
    """Return `base` with every field of `override` that is not None."""
    if override is None:
        return base
    given: dict[str, Any] = {
        f.name: value for f in fields(override) if (value := getattr(override, f.name)) is not None
    }
    return replace(base, **given)


def effective_hnsw(config: CollectionConfig, name: str) -> HnswConfig:
    """Return the graph parameters of one dense space: its own over the collection's over the defaults."""
    return merge(merge(HNSW_DEFAULTS, config.hnsw_config), config.vectors[name].hnsw_config)
