"""Configurations: numbering the spaces of a new collection, merging a change into an existing one."""

from __future__ import annotations

from dataclasses import replace

from pointstore.core.catalog import CollectionChange, QuantizationChange, VectorChange
from pointstore.core.errors import WrongInputError, unknown_vector_name
from pointstore.core.path import merge as merge_json
from pointstore.core.schema import (
    CollectionConfig,
    HnswConfig,
    QuantizationConfig,
    SparseIndexConfig,
    SparseVectorParams,
    StrictModeConfig,
    VectorParams,
    merge,
)


def numbered(config: CollectionConfig) -> CollectionConfig:
    """Return the configuration of a new collection with a number for every vector space.

    Raises:
        WrongInputError: a name is both dense and sparse.
    """
    for name in config.sparse:
        if name in config.vectors:
            msg = f"Dense and sparse vector names must be unique - duplicate found with '{name}'"
            raise WrongInputError(msg)
    names = [*config.vectors, *config.sparse]
    return replace(
        config,
        vector_numbers={name: number for number, name in enumerate(names)},
        next_vector_number=len(names),
    )


def changed(config: CollectionConfig, change: CollectionChange) -> CollectionConfig:
    """Return the configuration after an update (specification part 1, 7.6).

    Raises:
        WrongInputError: the change names a vector that does not exist.
    """
    config = replace(
        config,
        optimizers_config=merge(config.optimizers_config, change.optimizers_config),
        hnsw_config=merge(config.hnsw_config, change.hnsw_config),
        vectors=_vectors(config.vectors, change.vectors or {}),
        sparse_vectors=_sparse(config.sparse_vectors, change.sparse_vectors or {}),
        quantization_config=_quantization(config.quantization_config, change.quantization),
        strict_mode_config=_strict(config.strict_mode_config, change.strict_mode_config),
    )
    replaced = {
        name: value
        for name in (
            "replication_factor",
            "write_consistency_factor",
            "read_fan_out_factor",
            "read_fan_out_delay_ms",
            "on_disk_payload",
            "payload",
            "id_tracker",
        )
        if (value := getattr(change, name)) is not None
    }
    if change.metadata is not None:
        metadata = dict(config.metadata)
        merge_json(metadata, change.metadata)
        replaced["metadata"] = metadata
    return replace(config, **replaced)


def _vectors(vectors: dict[str, VectorParams], changes: dict[str, VectorChange]) -> dict[str, VectorParams]:
    result = dict(vectors)
    for name, change in changes.items():
        params = result.get(name)
        if params is None:
            raise unknown_vector_name(name)
        hnsw = params.hnsw_config
        if change.hnsw_config is not None:
            hnsw = merge(hnsw or HnswConfig(), change.hnsw_config)
        result[name] = replace(
            params,
            hnsw_config=hnsw,
            quantization_config=_quantization(params.quantization_config, change.quantization),
            on_disk=params.on_disk if change.on_disk is None else change.on_disk,
            memory=params.memory if change.memory is None else change.memory,
        )
    return result


def _sparse(
    spaces: dict[str, SparseVectorParams] | None, changes: dict[str, SparseVectorParams]
) -> dict[str, SparseVectorParams] | None:
    if not changes:
        return spaces
    result = dict(spaces or {})
    for name, change in changes.items():
        params = result.get(name)
        if params is None:
            raise unknown_vector_name(name)
        index = params.index
        if change.index is not None:
            index = merge(index or SparseIndexConfig(), change.index)
        result[name] = SparseVectorParams(index, params.modifier if change.modifier is None else change.modifier)
    return result


def _quantization(current: QuantizationConfig | None, change: QuantizationChange | None) -> QuantizationConfig | None:
    return current if change is None else change.config


def _strict(current: StrictModeConfig | None, change: StrictModeConfig | None) -> StrictModeConfig | None:
    return current if change is None else merge(current or StrictModeConfig(), change)
