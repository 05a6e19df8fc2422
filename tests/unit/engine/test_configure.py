"""Tests of numbering vector spaces and of merging configuration changes (specification part 1, 7.6)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pointstore.core.catalog import CollectionChange, QuantizationChange, VectorChange
from pointstore.core.errors import WrongInputError
from pointstore.core.schema import (
    BinaryQuantization,
    CollectionConfig,
    Datatype,
    Distance,
    HnswConfig,
    Memory,
    Modifier,
    OptimizersConfig,
    QuantizationConfig,
    ScalarQuantization,
    SparseIndexConfig,
    SparseVectorParams,
    StorageParams,
    StrictModeConfig,
    StrictModeMultivector,
    StrictModeSparse,
    VectorParams,
)
from pointstore.engine.configure import changed, numbered
from tests.building import write

if TYPE_CHECKING:
    from pointstore.engine.collection import Collection
    from pointstore.engine.engine import Engine

_SCALAR = QuantizationConfig(scalar=ScalarQuantization(1))
_BINARY = QuantizationConfig(binary=BinaryQuantization())
_CONFIG = numbered(
    CollectionConfig(
        vectors={"": VectorParams(4, Distance.DOT), "v": VectorParams(2, Distance.DOT, HnswConfig(m=8), _SCALAR)},
        sparse_vectors={"s": SparseVectorParams(SparseIndexConfig(10, datatype=Datatype.FLOAT16), Modifier.IDF)},
        metadata={"a": 1, "b": {"x": 1}},
        strict_mode_config=StrictModeConfig(enabled=True, max_timeout=5, sparse_config={"s": StrictModeSparse(3)}),
    )
)


def test_spaces_are_numbered_dense_first() -> None:
    assert _CONFIG.vector_numbers == {"": 0, "v": 1, "s": 2}
    assert _CONFIG.next_vector_number == 3
    assert numbered(CollectionConfig()).vector_numbers == {}


def test_a_name_is_dense_or_sparse() -> None:
    both = CollectionConfig(vectors={"v": VectorParams(4, Distance.DOT)}, sparse_vectors={"v": SparseVectorParams()})
    with pytest.raises(WrongInputError) as caught:
        numbered(both)
    text = "Wrong input: Dense and sparse vector names must be unique - duplicate found with 'v'"
    assert caught.value.message == text


def test_an_empty_change_changes_nothing() -> None:
    assert changed(_CONFIG, CollectionChange()) == _CONFIG
    assert changed(_CONFIG, CollectionChange(metadata={}, vectors={}, sparse_vectors={})) == _CONFIG


def test_sections_are_merged_field_by_field() -> None:
    first = changed(
        _CONFIG,
        CollectionChange(
            optimizers_config=OptimizersConfig(indexing_threshold=0), hnsw_config=HnswConfig(m=0, on_disk=True)
        ),
    )
    second = changed(
        first,
        CollectionChange(
            optimizers_config=OptimizersConfig(deleted_threshold=0.5), hnsw_config=HnswConfig(on_disk=False)
        ),
    )
    assert second.optimizers_config == OptimizersConfig(indexing_threshold=0, deleted_threshold=0.5)
    assert second.hnsw_config == HnswConfig(m=0, on_disk=False)


def test_parameters_are_replaced_if_given() -> None:
    change = CollectionChange(
        replication_factor=2,
        write_consistency_factor=3,
        read_fan_out_factor=0,
        read_fan_out_delay_ms=7,
        on_disk_payload=False,
        payload=StorageParams(Memory.COLD),
        id_tracker=StorageParams(),
    )
    result = changed(_CONFIG, change)
    assert (result.replication_factor, result.write_consistency_factor) == (2, 3)
    assert (result.read_fan_out_factor, result.read_fan_out_delay_ms) == (0, 7)
    assert (result.on_disk_payload, result.payload, result.id_tracker) == (
        False,
        StorageParams(Memory.COLD),
        StorageParams(),
    )
    assert changed(result, CollectionChange()) == result


def test_vectors_are_changed_by_name() -> None:
    change = {
        "": VectorChange(hnsw_config=HnswConfig(ef_construct=50), on_disk=True, memory=Memory.PINNED),
        "v": VectorChange(hnsw_config=HnswConfig(ef_construct=60), quantization=QuantizationChange(None)),
    }
    result = changed(_CONFIG, CollectionChange(vectors=change)).vectors
    assert result[""] == VectorParams(4, Distance.DOT, HnswConfig(ef_construct=50), on_disk=True, memory=Memory.PINNED)
    assert result["v"] == VectorParams(2, Distance.DOT, HnswConfig(m=8, ef_construct=60))


def test_quantization_is_replaced_or_switched_off() -> None:
    result = changed(_CONFIG, CollectionChange(quantization=QuantizationChange(_SCALAR)))
    assert result.quantization_config == _SCALAR
    result = changed(result, CollectionChange(quantization=QuantizationChange(_BINARY)))
    assert result.quantization_config == _BINARY
    assert changed(result, CollectionChange()).quantization_config == _BINARY
    assert changed(result, CollectionChange(quantization=QuantizationChange(None))).quantization_config is None


def test_sparse_vectors_are_merged() -> None:
    change = {"s": SparseVectorParams(SparseIndexConfig(on_disk=True))}
    result = changed(_CONFIG, CollectionChange(sparse_vectors=change)).sparse["s"]
    assert result == SparseVectorParams(SparseIndexConfig(10, True, Datatype.FLOAT16), Modifier.IDF)
    bare = replace(_CONFIG, sparse_vectors={"s": SparseVectorParams()})
    change = {"s": SparseVectorParams(SparseIndexConfig(5), Modifier.NONE)}
    assert changed(bare, CollectionChange(sparse_vectors=change)).sparse == change


def test_strict_mode_is_merged_but_its_maps_are_replaced() -> None:
    change = StrictModeConfig(
        max_timeout=9, sparse_config={"t": StrictModeSparse(1)}, multivector_config={"m": StrictModeMultivector(2)}
    )
    result = changed(_CONFIG, CollectionChange(strict_mode_config=change)).strict_mode_config
    assert result == replace(change, enabled=True)
    fresh = changed(CollectionConfig(), CollectionChange(strict_mode_config=change))
    assert fresh.strict_mode_config == change


def test_metadata_is_merged_by_key() -> None:
    result = changed(_CONFIG, CollectionChange(metadata={"a": None, "b": {"y": 2}, "c": None, "d": 1.0}))
    assert result.metadata == {"b": {"y": 2}, "d": 1.0}
    assert _CONFIG.metadata == {"a": 1, "b": {"x": 1}}


@pytest.mark.parametrize(
    "change",
    [
        CollectionChange(replication_factor=9, vectors={"": VectorChange(on_disk=True), "nope": VectorChange()}),
        CollectionChange(replication_factor=9, vectors={"s": VectorChange()}),
        CollectionChange(replication_factor=9, sparse_vectors={"nope": SparseVectorParams()}),
        CollectionChange(replication_factor=9, sparse_vectors={"v": SparseVectorParams()}),
    ],
)
def test_an_unknown_vector_name_refuses_the_whole_change(engine: Engine, change: CollectionChange) -> None:
    engine.create_collection("c", _CONFIG)
    with pytest.raises(WrongInputError, match="Not existing vector name error: "):
        engine.update_collection("c", change)
    assert engine.collection("c").config() == _CONFIG


def test_a_change_is_seen_by_the_next_write_and_kept(engine: Engine, collection: Collection) -> None:
    write(collection)
    engine.update_collection("c", CollectionChange(metadata={"k": [1, 1.0]}))
    assert repr(collection.config().metadata) == "{'k': [1, 1.0]}"
    version = collection.version()
    engine.update_collection("c", CollectionChange())
    assert collection.version() == version + 1
