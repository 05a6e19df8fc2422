"""Configurations on the wire: Create and Update to domain types, the echo of Get back to messages.

Pure functions. What is echoed, and what stays absent, is specification part 1, 7.3.1.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from pointstore.core.catalog import CollectionChange, QuantizationChange, VectorChange
from pointstore.core.errors import ConversionError
from pointstore.core.payload import encode_value, metadata_of
from pointstore.core.schema import (
    HNSW_DEFAULTS,
    OPTIMIZERS_DEFAULTS,
    WAL_DEFAULTS,
    CollectionConfig,
    HnswConfig,
    OptimizersConfig,
    QuantizationConfig,
    SparseVectorParams,
    StorageParams,
    StrictModeConfig,
    VectorParams,
    WalConfig,
    merge,
)
from pointstore.wire import mirror
from qdrant_grpc import collections_pb2

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from qdrant_grpc.collections_pb2 import (
        CreateCollection,
        QuantizationConfigDiff,
        SparseVectorConfig,
        UpdateCollection,
        VectorParamsDiff,
        VectorsConfig,
        VectorsConfigDiff,
    )

_Mirror = TypeVar("_Mirror")


def collection_config_of(request: CreateCollection) -> CollectionConfig:
    """Convert the request for a new collection.

    Raises:
        ConversionError: an enum number, an empty oneof or a number in the metadata that cannot be converted.

    """
    vectors, single = _vectors(request.vectors_config)
    return CollectionConfig(
        vectors=vectors,
        single_vector=single,
        sparse_vectors=_sparse(request.sparse_vectors_config) if request.HasField("sparse_vectors_config") else None,
        hnsw_config=mirror.read(request.hnsw_config, HnswConfig),
        wal_config=mirror.read(request.wal_config, WalConfig),
        optimizers_config=mirror.read(request.optimizers_config, OptimizersConfig),
        quantization_config=_quantization(request),
        shard_number=request.shard_number if request.HasField("shard_number") else 1,
        sharding_method=_sharding_method(request.sharding_method) if request.HasField("sharding_method") else None,
        replication_factor=request.replication_factor if request.HasField("replication_factor") else 1,
        write_consistency_factor=(
            request.write_consistency_factor if request.HasField("write_consistency_factor") else 1
        ),
        on_disk_payload=request.on_disk_payload if request.HasField("on_disk_payload") else True,
        payload=_given(request, "payload", StorageParams),
        id_tracker=_given(request, "id_tracker", StorageParams),
        strict_mode_config=_given(request, "strict_mode_config", StrictModeConfig),
        metadata=metadata_of(request.metadata.items()),
    )


def collection_change_of(request: UpdateCollection) -> CollectionChange:
    """Convert the request to change a collection.

    Raises:
        ConversionError: an enum number, an empty oneof or a number in the metadata that cannot be converted.

    """
    change = mirror.read(request.params, CollectionChange)
    return replace(
        change,
        optimizers_config=_given(request, "optimizers_config", OptimizersConfig),
        hnsw_config=_given(request, "hnsw_config", HnswConfig),
        vectors=_vector_changes(request.vectors_config) if request.HasField("vectors_config") else None,
        quantization=_quantization_change(request.quantization_config)
        if request.HasField("quantization_config")
        else None,
        sparse_vectors=_sparse(request.sparse_vectors_config) if request.HasField("sparse_vectors_config") else None,
        strict_mode_config=_given(request, "strict_mode_config", StrictModeConfig),
        metadata=metadata_of(request.metadata.items()) or None,
    )


def write_config(config: CollectionConfig, message: collections_pb2.CollectionConfig) -> None:
    """Fill the echo of a configuration: defaults in the three sections that show them, otherwise what was given."""
    params = message.params
    _write_vectors(config, params.vectors_config)
    for name, space in config.sparse.items():
        mirror.write(space, params.sparse_vectors_config.map[name])
    params.shard_number = config.shard_number
    params.replication_factor = config.replication_factor
    params.write_consistency_factor = config.write_consistency_factor
    params.on_disk_payload = config.on_disk_payload
    if config.read_fan_out_factor is not None:
        params.read_fan_out_factor = config.read_fan_out_factor
    if config.read_fan_out_delay_ms is not None:
        params.read_fan_out_delay_ms = config.read_fan_out_delay_ms
    if config.sharding_method is not None:
        params.sharding_method = collections_pb2.ShardingMethod.ValueType(config.sharding_method)
    _write_given(config.payload, params.payload)
    _write_given(config.id_tracker, params.id_tracker)
    mirror.write(merge(HNSW_DEFAULTS, config.hnsw_config), message.hnsw_config)
    mirror.write(merge(OPTIMIZERS_DEFAULTS, config.optimizers_config), message.optimizer_config)
    mirror.write(merge(WAL_DEFAULTS, config.wal_config), message.wal_config)
    _write_given(config.quantization_config, message.quantization_config)
    _write_given(config.strict_mode_config, message.strict_mode_config)
    for key, value in config.metadata.items():
        encode_value(value, message.metadata[key])


def warnings_of(config: CollectionConfig) -> list[str]:
    """Return what is accepted but cannot work: vectors kept inside a graph that has no use for them."""
    found: list[str] = []
    for name, space in config.vectors.items():
        own = space.hnsw_config.inline_storage if space.hnsw_config else None
        if not (config.hnsw_config.inline_storage if own is None else own):
            continue
        if space.multivector_config is not None:
            found.append(f"inline_storage of vector '{name}' has no effect: it is a multi-vector")
        elif space.quantization_config is None and config.quantization_config is None:
            found.append(f"inline_storage of vector '{name}' has no effect: it is not quantized")
    return found


def _given(request: Any, name: str, kind: type[_Mirror]) -> _Mirror | None:  # noqa: ANN401  either request
    return mirror.read(getattr(request, name), kind) if request.HasField(name) else None


def _write_given(mirrored: object | None, message: Message) -> None:
    if mirrored is not None:
        mirror.write(mirrored, message)


def _vectors(config: VectorsConfig) -> tuple[dict[str, VectorParams], bool]:
    match config.WhichOneof("config"):
        case "params":
            return {"": mirror.read(config.params, VectorParams)}, True
        case "params_map":
            spaces = config.params_map.map.items()
            return {name: mirror.read(params, VectorParams) for name, params in sorted(spaces)}, False
        case _:
            return {}, False


def _sparse(config: SparseVectorConfig) -> dict[str, SparseVectorParams]:
    return {name: mirror.read(params, SparseVectorParams) for name, params in sorted(config.map.items())}


def _quantization(request: CreateCollection) -> QuantizationConfig | None:
    if not request.HasField("quantization_config"):
        return None
    if request.quantization_config.WhichOneof("quantization") is None:
        raise ConversionError("Unable to convert quantization config")
    return mirror.read(request.quantization_config, QuantizationConfig)


def _sharding_method(number: int) -> int:
    if number not in collections_pb2.ShardingMethod.values():
        raise ConversionError(f"Cannot convert ShardingMethod: {number}")
    return number


def _vector_changes(config: VectorsConfigDiff) -> dict[str, VectorChange]:
    match config.WhichOneof("config"):
        case "params":
            return {"": _vector_change(config.params)}
        case "params_map":
            return {name: _vector_change(params) for name, params in sorted(config.params_map.map.items())}
        case _:
            return {}


def _vector_change(params: VectorParamsDiff) -> VectorChange:
    quantization = _quantization_change(params.quantization_config) if params.HasField("quantization_config") else None
    return replace(mirror.read(params, VectorChange), quantization=quantization)


def _quantization_change(config: QuantizationConfigDiff) -> QuantizationChange:
    match config.WhichOneof("quantization"):
        case None:
            raise ConversionError("Quantization type is not specified")
        case "disabled":
            return QuantizationChange(None)
        case _:
            return QuantizationChange(mirror.read(config, QuantizationConfig))


def _write_vectors(config: CollectionConfig, message: VectorsConfig) -> None:
    # Only a collection that was created so and still has nothing but its one unnamed space shows the short form.
    if config.single_vector and config.vectors.keys() == {""}:
        mirror.write(config.vectors[""], message.params)
        return
    message.params_map.SetInParent()
    for name, space in config.vectors.items():
        mirror.write(space, message.params_map.map[name])
