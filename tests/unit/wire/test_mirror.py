"""Configurations there and back, and what refuses to be converted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pointstore.core.catalog import QuantizationChange
from pointstore.core.errors import ConversionError, RequestError, WrongInputError
from pointstore.core.schema import (
    AUTO_THREADS,
    BinaryQuantization,
    CollectionConfig,
    Datatype,
    Distance,
    HnswConfig,
    Memory,
    Modifier,
    OptimizersConfig,
    QuantizationConfig,
    SparseIndexConfig,
    SparseVectorParams,
    StrictModeConfig,
    StrictModeMultivector,
    StrictModeSparse,
    VectorParams,
)
from pointstore.wire import mirror
from pointstore.wire.collection_config import (
    collection_change_of,
    collection_config_of,
    warnings_of,
    write_config,
)
from pointstore.wire.schema_checks import check_change, check_config, check_vector_name
from qdrant_grpc import collections_pb2 as c
from qdrant_grpc import json_with_int_pb2 as j
from qdrant_grpc import points_pb2 as p

if TYPE_CHECKING:
    from google.protobuf.message import Message

INTERNAL_PREFIX = "Wrong input: Validation error in body: "
PINNED_DENSE = "`pinned` memory placement is not supported for dense vector storage"


def echo(request: c.CreateCollection) -> c.CollectionConfig:
    message = c.CollectionConfig()
    write_config(collection_config_of(request), message)
    return message


def create(**fields: object) -> c.CreateCollection:
    return c.CreateCollection(collection_name="a", **fields)  # type: ignore[arg-type]


def single(**fields: object) -> c.VectorsConfig:
    return c.VectorsConfig(params=c.VectorParams(**{"size": 4, "distance": c.Dot, **fields}))  # type: ignore[arg-type]


def given(message: Message) -> set[str]:
    return {field.name for field, _ in message.ListFields()}


SECTIONS: list[tuple[Message, type]] = [
    (
        c.HnswConfigDiff(m=0, ef_construct=4, payload_m=0, inline_storage=False, on_disk=True, memory=c.Cold),
        HnswConfig,
    ),
    (c.VectorParams(size=3, distance=c.Manhattan, on_disk=False, datatype=c.Turbo8), VectorParams),
    (
        c.VectorParams(
            size=3,
            distance=c.Cosine,
            hnsw_config=c.HnswConfigDiff(),
            multivector_config=c.MultiVectorConfig(),
            quantization_config=c.QuantizationConfig(
                scalar=c.ScalarQuantization(type=c.Int8, quantile=0.75, always_ram=False)
            ),
        ),
        VectorParams,
    ),
    (c.SparseVectorParams(modifier=getattr(c.Modifier, "None")), SparseVectorParams),
    (c.SparseVectorParams(index=c.SparseIndexConfig(full_scan_threshold=0, datatype=c.Uint8)), SparseVectorParams),
    (c.QuantizationConfig(product=c.ProductQuantization(compression=c.x64, memory=c.Cached)), QuantizationConfig),
    (c.QuantizationConfig(product=c.ProductQuantization()), QuantizationConfig),
    (c.QuantizationConfig(turboquant=c.TurboQuantization(bits=c.Bits1)), QuantizationConfig),
    (c.BinaryQuantization(encoding=c.OneBit), BinaryQuantization),
    (c.BinaryQuantization(query_encoding=c.BinaryQuantizationQueryEncoding()), BinaryQuantization),
    (
        c.BinaryQuantization(
            query_encoding=c.BinaryQuantizationQueryEncoding(setting=c.BinaryQuantizationQueryEncoding.Default)
        ),
        BinaryQuantization,
    ),
    (
        c.StrictModeConfig(
            enabled=False,
            search_max_oversampling=0.5,
            sparse_config=c.StrictModeSparseConfig(sparse_config={"s": c.StrictModeSparse(max_length=5)}),
            multivector_config=c.StrictModeMultivectorConfig(),
        ),
        StrictModeConfig,
    ),
]


@pytest.mark.parametrize(("message", "kind"), SECTIONS)
def test_there_and_back(message: Message, kind: type) -> None:
    copy = type(message)()
    mirror.write(mirror.read(message, kind), copy)
    assert copy == message


def test_types_of_the_mirror() -> None:
    params = mirror.read(c.VectorParams(size=3, distance=c.Euclid, datatype=c.Float16, memory=c.Cached), VectorParams)
    assert params.distance is Distance.EUCLID
    assert params.datatype is Datatype.FLOAT16
    assert params.memory is Memory.CACHED
    strict = mirror.read(
        c.StrictModeConfig(
            multivector_config=c.StrictModeMultivectorConfig(multivector_config={"m": c.StrictModeMultivector()})
        ),
        StrictModeConfig,
    )
    assert strict.multivector_config == {"m": StrictModeMultivector()}
    assert strict.sparse_config is None
    limits = c.StrictModeSparseConfig(sparse_config={"s": c.StrictModeSparse(max_length=3)})
    strict = mirror.read(c.StrictModeConfig(sparse_config=limits), StrictModeConfig)
    assert strict.sparse_config == {"s": StrictModeSparse(max_length=3)}


def test_default_numbers_count_as_not_given() -> None:
    params = mirror.read(
        c.VectorParams(size=3, distance=c.Dot, datatype=c.Default, memory=c.MemoryUnknown), VectorParams
    )
    assert params == VectorParams(3, Distance.DOT)
    sparse = c.SparseVectorParams()
    sparse.modifier = 9  # type: ignore[assignment]
    assert mirror.read(sparse, SparseVectorParams) == SparseVectorParams()


def test_vector_creation_messages_are_mirrored_too() -> None:
    dense = p.DenseVectorCreationConfig(size=3, distance=c.Dot, datatype=c.Uint8)
    assert mirror.read(dense, VectorParams) == VectorParams(3, Distance.DOT, datatype=Datatype.UINT8)
    sparse = p.SparseVectorCreationConfig(modifier=c.Idf, datatype=c.Float16)
    assert mirror.read(sparse, SparseVectorParams) == SparseVectorParams(modifier=Modifier.IDF)
    assert mirror.read(sparse, SparseIndexConfig) == SparseIndexConfig(datatype=Datatype.FLOAT16)


@pytest.mark.parametrize(
    ("message", "threads"),
    [
        (c.OptimizersConfigDiff(), None),
        (c.OptimizersConfigDiff(deprecated_max_optimization_threads=3), 3),
        (c.OptimizersConfigDiff(max_optimization_threads=c.MaxOptimizationThreads(value=0)), 0),
        (
            c.OptimizersConfigDiff(
                max_optimization_threads=c.MaxOptimizationThreads(setting=c.MaxOptimizationThreads.Auto)
            ),
            AUTO_THREADS,
        ),
        (
            c.OptimizersConfigDiff(
                deprecated_max_optimization_threads=3,
                max_optimization_threads=c.MaxOptimizationThreads(value=8),
            ),
            3,
        ),
    ],
)
def test_optimization_threads(message: c.OptimizersConfigDiff, threads: int | None) -> None:
    config = mirror.read(message, OptimizersConfig)
    assert config.max_optimization_threads == threads
    copy = c.OptimizersConfigDiff()
    mirror.write(config, copy)
    assert not copy.HasField("deprecated_max_optimization_threads")
    if threads is None or threads == AUTO_THREADS:
        assert copy.max_optimization_threads.WhichOneof("variant") == "setting"
    else:
        assert copy.max_optimization_threads.WhichOneof("variant") == "value"
        assert copy.max_optimization_threads.value == threads


CREATE_ERRORS: list[tuple[c.CreateCollection, str]] = [
    (create(vectors_config=single(distance=0)), "Malformed distance parameter: UnknownDistance"),
    (create(vectors_config=single(distance=9)), "Malformed distance parameter, unexpected value: 9"),
    (create(vectors_config=single(datatype=77)), "Cannot convert datatype: 77"),
    (create(vectors_config=single(memory=5)), "Cannot convert memory placement: 5"),
    (
        create(vectors_config=single(quantization_config=c.QuantizationConfig())),
        "QuantizationConfig must contain quantization",
    ),
    (create(quantization_config=c.QuantizationConfig()), "Unable to convert quantization config"),
    (
        create(quantization_config=c.QuantizationConfig(scalar=c.ScalarQuantization())),
        "Unknown quantization type",
    ),
    (
        create(optimizers_config=c.OptimizersConfigDiff(max_optimization_threads=c.MaxOptimizationThreads())),
        "Malformed MaxOptimizationThreads",
    ),
    (create(sharding_method=7), "Cannot convert ShardingMethod: 7"),
    (create(metadata={"a": j.Value(double_value=float("nan"))}), "cannot convert to json number"),
    (create(payload=c.PayloadStorageParams(memory=4)), "Cannot convert memory placement: 4"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("request_", "text"), CREATE_ERRORS)
def test_create_conversion_errors(request_: c.CreateCollection, text: str) -> None:
    with pytest.raises(ConversionError) as caught:
        collection_config_of(request_)
    assert caught.value.message == text


UPDATE_ERRORS: list[tuple[c.UpdateCollection, str]] = [
    (c.UpdateCollection(quantization_config=c.QuantizationConfigDiff()), "Quantization type is not specified"),
    (
        c.UpdateCollection(
            vectors_config=c.VectorsConfigDiff(
                params=c.VectorParamsDiff(quantization_config=c.QuantizationConfigDiff())
            )
        ),
        "Quantization type is not specified",
    ),
    (
        c.UpdateCollection(
            quantization_config=c.QuantizationConfigDiff(scalar=c.ScalarQuantization(type=c.UnknownQuantization))
        ),
        "Unknown quantization type",
    ),
]


@pytest.mark.parametrize(("request_", "text"), UPDATE_ERRORS)
def test_update_conversion_errors(request_: c.UpdateCollection, text: str) -> None:
    with pytest.raises(ConversionError) as caught:
        collection_change_of(request_)
    assert caught.value.message == text


def test_echo_of_nothing_given() -> None:
    message = echo(create())
    params = message.params
    assert given(params) == {
        "shard_number", "replication_factor", "write_consistency_factor", "on_disk_payload", "vectors_config",
    }  # fmt: skip
    assert params.vectors_config.WhichOneof("config") == "params_map"
    assert (params.shard_number, params.replication_factor, params.write_consistency_factor) == (1, 1, 1)
    assert message.hnsw_config == c.HnswConfigDiff(
        m=16, ef_construct=100, full_scan_threshold=10_000, max_indexing_threads=0, on_disk=False
    )
    assert message.optimizer_config == c.OptimizersConfigDiff(
        deleted_threshold=0.2,
        vacuum_min_vector_number=1000,
        default_segment_number=0,
        indexing_threshold=10_000,
        flush_interval_sec=5,
        max_optimization_threads=c.MaxOptimizationThreads(setting=c.MaxOptimizationThreads.Auto),
    )
    assert message.wal_config == c.WalConfigDiff(wal_capacity_mb=32, wal_segments_ahead=0, wal_retain_closed=1)
    assert not message.HasField("quantization_config")
    assert not message.HasField("strict_mode_config")
    assert not message.metadata


def test_echo_of_everything() -> None:
    vectors = c.VectorsConfig(
        params_map=c.VectorParamsMap(map={"": c.VectorParams(size=2, distance=c.Dot), "b": single().params})
    )
    sparse = c.SparseVectorConfig(map={"s": c.SparseVectorParams()})
    metadata = {"n": j.Value(null_value=0), "i": j.Value(integer_value=1), "d": j.Value(double_value=1.0)}  # type: ignore[arg-type]
    message = echo(
        create(
            vectors_config=vectors,
            sparse_vectors_config=sparse,
            hnsw_config=c.HnswConfigDiff(m=0),
            wal_config=c.WalConfigDiff(wal_capacity_mb=1),
            optimizers_config=c.OptimizersConfigDiff(indexing_threshold=0),
            quantization_config=c.QuantizationConfig(binary=c.BinaryQuantization()),
            shard_number=3,
            sharding_method=c.Auto,
            replication_factor=2,
            write_consistency_factor=2,
            on_disk_payload=False,
            payload=c.PayloadStorageParams(memory=c.Cold),
            id_tracker=c.IdTrackerParams(),
            strict_mode_config=c.StrictModeConfig(),
            metadata=metadata,
        )
    )
    params = message.params
    assert params.vectors_config == vectors
    assert params.sparse_vectors_config == sparse
    assert message.hnsw_config.m == 0
    assert message.hnsw_config.ef_construct == 100
    assert message.wal_config.wal_capacity_mb == 1
    assert message.optimizer_config.indexing_threshold == 0
    assert message.quantization_config.WhichOneof("quantization") == "binary"
    assert (params.shard_number, params.replication_factor, params.write_consistency_factor) == (3, 2, 2)
    assert params.HasField("sharding_method")
    assert not params.on_disk_payload
    assert params.payload.memory == c.Cold
    assert params.HasField("id_tracker")
    assert message.HasField("strict_mode_config")
    assert {key: value.WhichOneof("kind") for key, value in message.metadata.items()} == {
        "n": "null_value", "i": "integer_value", "d": "double_value",
    }  # fmt: skip


def test_single_form_is_kept_and_an_empty_sparse_section_is_not() -> None:
    message = echo(create(vectors_config=single(), sparse_vectors_config=c.SparseVectorConfig()))
    assert message.params.vectors_config == single()
    assert not message.params.HasField("sparse_vectors_config")


def test_change() -> None:
    change = collection_change_of(
        c.UpdateCollection(
            params=c.CollectionParamsDiff(read_fan_out_factor=0, on_disk_payload=False),
            vectors_config=c.VectorsConfigDiff(
                params=c.VectorParamsDiff(
                    on_disk=True,
                    hnsw_config=c.HnswConfigDiff(m=8),
                    quantization_config=c.QuantizationConfigDiff(disabled=c.Disabled()),
                )
            ),
            quantization_config=c.QuantizationConfigDiff(product=c.ProductQuantization(compression=c.x8)),
        )
    )
    assert change.read_fan_out_factor == 0
    assert change.on_disk_payload is False
    assert change.replication_factor is None
    assert change.metadata is None
    assert change.vectors is not None
    assert change.vectors[""].hnsw_config == HnswConfig(m=8)
    assert change.vectors[""].quantization == QuantizationChange(None)
    assert change.vectors[""].on_disk is True
    assert change.quantization is not None
    assert change.quantization.config is not None
    assert change.quantization.config.product is not None
    assert change.quantization.config.product.compression == c.x8


def named(name: str, **fields: object) -> c.VectorsConfig:
    return c.VectorsConfig(params_map=c.VectorParamsMap(map={name: single(**fields).params}))


def sparse_named(name: str) -> c.SparseVectorConfig:
    return c.SparseVectorConfig(map={name: c.SparseVectorParams()})


INTERNAL: list[tuple[c.CreateCollection, str]] = [
    (
        create(hnsw_config=c.HnswConfigDiff(full_scan_threshold=5)),
        f"{INTERNAL_PREFIX}[hnsw_config.full_scan_threshold: value 5 invalid, must be 10 or larger]",
    ),
    (
        create(vectors_config=single(memory=c.Pinned)),
        f"{INTERNAL_PREFIX}[vectors.memory: {PINNED_DENSE}]",
    ),
    (
        create(vectors_config=named("a", memory=c.Pinned)),
        f"{INTERNAL_PREFIX}[vectors.[].memory: {PINNED_DENSE}]",
    ),
    (
        create(payload=c.PayloadStorageParams(memory=c.Pinned)),
        f"{INTERNAL_PREFIX}[payload.memory: `pinned` memory placement is not supported for payload storage]",
    ),
    (
        create(vectors_config=named("ü" * 101)),
        f"Wrong input: Invalid dense vector name `{'ü' * 101}`: vector name must be at most 200 bytes long",
    ),
    (
        create(sparse_vectors_config=sparse_named("a:b")),
        'Wrong input: Invalid sparse vector name `a:b`: vector name cannot contain ":" char',
    ),
    (create(sparse_vectors_config=sparse_named("")), "Wrong input: Sparse vector name cannot be empty"),
    (
        create(vectors_config=named("x"), sparse_vectors_config=sparse_named("x")),
        "Wrong input: Dense and sparse vector names must be unique - duplicate found with 'x'",
    ),
]


@pytest.mark.parametrize(("request_", "text"), INTERNAL)
def test_second_validation(request_: c.CreateCollection, text: str) -> None:
    with pytest.raises(WrongInputError) as caught:
        check_config(collection_config_of(request_))
    assert caught.value.message == text


def test_second_validation_accepts() -> None:
    check_config(CollectionConfig())
    check_config(collection_config_of(create(vectors_config=named(""), sparse_vectors_config=sparse_named("s"))))
    check_change(collection_change_of(c.UpdateCollection()), single_vector=False)


def test_second_validation_of_a_change() -> None:
    diff = c.VectorParamsDiff(memory=c.Pinned)
    change = collection_change_of(c.UpdateCollection(vectors_config=c.VectorsConfigDiff(params=diff)))
    with pytest.raises(RequestError) as caught:
        check_change(change, single_vector=True)
    assert caught.value.message == f"{INTERNAL_PREFIX}[vectors.memory: {PINNED_DENSE}]"


def test_vector_name_of_a_third_kind() -> None:
    with pytest.raises(WrongInputError, match="Invalid vector name `a/b`: "):
        check_vector_name("a/b", "vector")


@pytest.mark.parametrize(
    ("vectors_config", "quantized", "count"),
    [
        (single(), False, 1),
        (single(), True, 0),
        (single(multivector_config=c.MultiVectorConfig()), True, 1),
        (single(hnsw_config=c.HnswConfigDiff(inline_storage=False)), False, 0),
    ],
)
def test_warnings(vectors_config: c.VectorsConfig, quantized: bool, count: int) -> None:  # noqa: FBT001
    quantization = c.QuantizationConfig(binary=c.BinaryQuantization()) if quantized else None
    request = create(
        vectors_config=vectors_config,
        quantization_config=quantization,
        hnsw_config=c.HnswConfigDiff(inline_storage=True),
    )
    assert len(warnings_of(collection_config_of(request))) == count
