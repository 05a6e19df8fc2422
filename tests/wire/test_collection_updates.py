"""Updates of a collection's configuration over a socket: what is merged, and what is refused how."""

from __future__ import annotations

from typing import Any

import pytest

from qdrant_grpc import collections_pb2 as c
from qdrant_grpc import json_with_int_pb2 as j
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from tests.wire.collection_calls import (
    BODY,
    INVALID,
    ONE,
    config_of,
    create,
    missing,
    params,
    refusal,
    several,
    single,
)


def test_update_of_nothing(stub: CollectionsStub, name: str) -> None:
    create(stub, name, vectors_config=single(), metadata={"a": j.Value(bool_value=True)})
    before = config_of(stub, name)
    reply = stub.Update(c.UpdateCollection(collection_name=name))
    assert reply.result is True
    assert reply.time > 0
    assert config_of(stub, name) == before
    assert refusal(stub.Update, c.UpdateCollection(collection_name=f"{name}-2")) == missing(f"{name}-2")


def test_update_merges(stub: CollectionsStub, name: str) -> None:
    create(
        stub,
        name,
        vectors_config=several(a=params(hnsw_config=c.HnswConfigDiff(m=8)), b=params()),
        sparse_vectors_config=c.SparseVectorConfig(map={"s": c.SparseVectorParams(modifier=c.Idf)}),
        optimizers_config=c.OptimizersConfigDiff(max_segment_size=5),
        hnsw_config=c.HnswConfigDiff(m=3),
        quantization_config=c.QuantizationConfig(binary=c.BinaryQuantization()),
        strict_mode_config=c.StrictModeConfig(
            enabled=True,
            sparse_config=c.StrictModeSparseConfig(sparse_config={"s": c.StrictModeSparse(max_length=1)}),
        ),
    )
    binary = c.QuantizationConfigDiff(binary=c.BinaryQuantization(always_ram=True))
    stub.Update(
        c.UpdateCollection(
            collection_name=name,
            timeout=1,
            optimizers_config=c.OptimizersConfigDiff(indexing_threshold=0),
            params=c.CollectionParamsDiff(
                replication_factor=4, read_fan_out_factor=0, read_fan_out_delay_ms=7, on_disk_payload=False
            ),
            hnsw_config=c.HnswConfigDiff(payload_m=2),
            vectors_config=c.VectorsConfigDiff(
                params_map=c.VectorParamsDiffMap(
                    map={
                        "a": c.VectorParamsDiff(
                            hnsw_config=c.HnswConfigDiff(ef_construct=9), quantization_config=binary, on_disk=True
                        )
                    }
                )
            ),
            quantization_config=c.QuantizationConfigDiff(disabled=c.Disabled()),
            sparse_vectors_config=c.SparseVectorConfig(
                map={"s": c.SparseVectorParams(index=c.SparseIndexConfig(on_disk=True))}
            ),
            strict_mode_config=c.StrictModeConfig(
                max_timeout=3,
                sparse_config=c.StrictModeSparseConfig(sparse_config={"t": c.StrictModeSparse(max_length=2)}),
            ),
        )
    )
    config = config_of(stub, name)
    assert config.optimizer_config.max_segment_size == 5
    assert config.optimizer_config.indexing_threshold == 0
    assert config.params.replication_factor == 4
    assert config.params.HasField("read_fan_out_factor")
    assert config.params.read_fan_out_delay_ms == 7
    assert config.params.on_disk_payload is False
    assert (config.hnsw_config.m, config.hnsw_config.payload_m) == (3, 2)
    assert config.params.vectors_config == several(
        a=params(
            hnsw_config=c.HnswConfigDiff(m=8, ef_construct=9),
            quantization_config=c.QuantizationConfig(binary=c.BinaryQuantization(always_ram=True)),
            on_disk=True,
        ),
        b=params(),
    )
    assert not config.HasField("quantization_config")
    assert config.params.sparse_vectors_config.map["s"] == c.SparseVectorParams(
        index=c.SparseIndexConfig(on_disk=True), modifier=c.Idf
    )
    assert config.strict_mode_config == c.StrictModeConfig(
        enabled=True,
        max_timeout=3,
        sparse_config=c.StrictModeSparseConfig(sparse_config={"t": c.StrictModeSparse(max_length=2)}),
    )


def test_update_of_the_default_vector_and_of_threads(stub: CollectionsStub, name: str) -> None:
    create(stub, name, vectors_config=single())

    def threads(**variant: Any) -> c.MaxOptimizationThreads:  # noqa: ANN401
        limit = c.MaxOptimizationThreads(**variant)
        stub.Update(
            c.UpdateCollection(
                collection_name=name,
                vectors_config=c.VectorsConfigDiff(params=c.VectorParamsDiff(on_disk=True)),
                optimizers_config=c.OptimizersConfigDiff(max_optimization_threads=limit),
            )
        )
        return config_of(stub, name).optimizer_config.max_optimization_threads

    assert threads(value=3).value == 3
    assert config_of(stub, name).params.vectors_config == single(on_disk=True)
    assert threads(setting=c.MaxOptimizationThreads.Auto).WhichOneof("variant") == "setting"


def test_update_of_metadata(stub: CollectionsStub, name: str) -> None:
    def metadata() -> dict[str, j.Value]:
        return dict(config_of(stub, name).metadata)

    one, two, null = j.Value(integer_value=1), j.Value(integer_value=2), j.Value(null_value=0)  # type: ignore[arg-type]
    create(stub, name, metadata={"a": one, "b": one, "n": null})
    assert metadata() == {"a": one, "b": one, "n": null}
    stub.Update(c.UpdateCollection(collection_name=name, metadata={"a": null, "b": two, "c": one}))
    assert metadata() == {"b": two, "c": one, "n": null}
    stub.Update(c.UpdateCollection(collection_name=name, metadata={}))
    assert metadata() == {"b": two, "c": one, "n": null}


UPDATE_ERRORS: list[tuple[dict[str, Any], str]] = [
    (
        {"vectors_config": c.VectorsConfigDiff(params=c.VectorParamsDiff(on_disk=True))},
        "Wrong input: Not existing vector name error: ",
    ),
    (
        {"vectors_config": c.VectorsConfigDiff(params_map=c.VectorParamsDiffMap(map={"x": c.VectorParamsDiff()}))},
        "Wrong input: Not existing vector name error: x",
    ),
    (
        {"sparse_vectors_config": c.SparseVectorConfig(map={"y": c.SparseVectorParams()})},
        "Wrong input: Not existing vector name error: y",
    ),
    ({"quantization_config": c.QuantizationConfigDiff()}, "Quantization type is not specified"),
    (
        {"params": c.CollectionParamsDiff(write_consistency_factor=0)},
        f"Validation error in body: [params.write_consistency_factor: {ONE}]",
    ),
    (
        {"optimizers_config": c.OptimizersConfigDiff(vacuum_min_vector_number=1)},
        f"{BODY}[optimizers_config.vacuum_min_vector_number: value 1 invalid, must be 100 or larger]",
    ),
    (
        {"hnsw_config": c.HnswConfigDiff(full_scan_threshold=5)},
        f"Wrong input: {BODY}[hnsw_config.full_scan_threshold: value 5 invalid, must be 10 or larger]",
    ),
]


@pytest.mark.parametrize(("fields", "text"), UPDATE_ERRORS)
def test_update_errors(stub: CollectionsStub, name: str, fields: dict[str, Any], text: str) -> None:
    create(stub, name, vectors_config=several(a=params()))
    assert refusal(stub.Update, c.UpdateCollection(collection_name=name, **fields)) == (INVALID, text)
