"""The Collections service over a socket: creation, deletion and names; every error code and text, echo and presence."""

from __future__ import annotations

import time
from typing import Any

import grpc
import pytest

from qdrant_grpc import collections_pb2 as c
from qdrant_grpc import json_with_int_pb2 as j
from qdrant_grpc import points_pb2 as p
from qdrant_grpc import qdrant_common_pb2 as q
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from tests.wire.collection_calls import (
    BODY,
    EXISTS,
    INVALID,
    ONE,
    alias,
    config_of,
    create,
    missing,
    params,
    refusal,
    several,
    single,
)

LENGTH = 'Validation error in body: [collection_name: value "" invalid, must be from 1 to 255 characters]'
TURBO = "sparse vectors do not support the `turbo4` datatype"


@pytest.fixture(scope="module")
def points_stub(channel: grpc.Channel) -> PointsStub:
    return PointsStub(channel)


def test_create_is_not_idempotent_and_delete_is(stub: CollectionsStub, name: str) -> None:
    create(stub, name, vectors_config=single())
    assert refusal(stub.Create, c.CreateCollection(collection_name=name)) == (
        EXISTS,
        f"Wrong input: Collection `{name}` already exists!",
    )
    assert stub.Delete(c.DeleteCollection(collection_name=name)).result is True
    assert stub.Delete(c.DeleteCollection(collection_name=name)).result is False
    assert refusal(stub.Get, c.GetCollectionInfoRequest(collection_name=name)) == missing(name)


CREATE_ERRORS: list[tuple[dict[str, Any], str]] = [
    ({"collection_name": ""}, LENGTH),
    (
        {"collection_name": "a:b"},
        'Validation error in body: [collection_name: collection name cannot contain ":" char]',
    ),
    (
        {"vectors_config": single(size=0)},
        "Validation error in body: [vectors_config.config.size: value 0 invalid, must be from 1 to 65536]",
    ),
    (
        {"vectors_config": several(a=params(size=70_000))},
        "Validation error in body: [vectors_config.config.map.[].size: value 70000 invalid, must be from 1 to 65536]",
    ),
    ({"vectors_config": single(distance=0)}, "Malformed distance parameter: UnknownDistance"),
    ({"vectors_config": single(distance=5)}, "Malformed distance parameter, unexpected value: 5"),
    ({"vectors_config": single(datatype=9)}, "Cannot convert datatype: 9"),
    ({"vectors_config": single(memory=9)}, "Cannot convert memory placement: 9"),
    (
        {"vectors_config": single(memory=c.Pinned)},
        f"Wrong input: {BODY}[vectors.memory: `pinned` memory placement is not supported for dense vector storage]",
    ),
    (
        {"payload": c.PayloadStorageParams(memory=c.Pinned)},
        f"Wrong input: {BODY}[payload.memory: `pinned` memory placement is not supported for payload storage]",
    ),
    (
        {"vectors_config": single(quantization_config=c.QuantizationConfig())},
        "QuantizationConfig must contain quantization",
    ),
    ({"quantization_config": c.QuantizationConfig()}, "Unable to convert quantization config"),
    ({"quantization_config": c.QuantizationConfig(scalar=c.ScalarQuantization())}, "Unknown quantization type"),
    (
        {
            "optimizers_config": c.OptimizersConfigDiff(max_optimization_threads=c.MaxOptimizationThreads()),
        },
        "Malformed MaxOptimizationThreads",
    ),
    ({"sharding_method": 3}, "Cannot convert ShardingMethod: 3"),
    (
        {"hnsw_config": c.HnswConfigDiff(full_scan_threshold=9)},
        f"Wrong input: {BODY}[hnsw_config.full_scan_threshold: value 9 invalid, must be 10 or larger]",
    ),
    (
        {"hnsw_config": c.HnswConfigDiff(ef_construct=1)},
        "Validation error in body: [hnsw_config.ef_construct: value 1 invalid, must be 4 or larger]",
    ),
    (
        {"wal_config": c.WalConfigDiff(wal_capacity_mb=0)},
        f"Validation error in body: [wal_config.wal_capacity_mb: {ONE}]",
    ),
    ({"shard_number": 0}, f"Validation error in body: [shard_number: {ONE}]"),
    (
        {"shard_number": (1 << 32) - 1},
        "Validation error in body: [shard_number: value 4294967295 invalid, must be 65536 or smaller]",
    ),
    ({"replication_factor": 0}, f"Validation error in body: [replication_factor: {ONE}]"),
    ({"write_consistency_factor": 0}, f"Validation error in body: [write_consistency_factor: {ONE}]"),
    (
        {"optimizers_config": c.OptimizersConfigDiff(deleted_threshold=1.5)},
        "Validation error in body: [optimizers_config.deleted_threshold: value 1.5 invalid, must be from 0.0 to 1.0]",
    ),
    (
        {"strict_mode_config": c.StrictModeConfig(max_timeout=0)},
        f"Validation error in body: [strict_mode_config.max_timeout: {ONE}]",
    ),
    (
        {
            "sparse_vectors_config": c.SparseVectorConfig(
                map={"s": c.SparseVectorParams(index=c.SparseIndexConfig(datatype=c.Turbo4))}
            )
        },
        f"{BODY}[sparse_vectors_config.map.[].index.datatype: {TURBO}]",
    ),
    (
        {"sparse_vectors_config": c.SparseVectorConfig(map={"": c.SparseVectorParams()})},
        "Wrong input: Sparse vector name cannot be empty",
    ),
    (
        {
            "vectors_config": several(x=params()),
            "sparse_vectors_config": c.SparseVectorConfig(map={"x": c.SparseVectorParams()}),
        },
        "Wrong input: Dense and sparse vector names must be unique - duplicate found with 'x'",
    ),
    (
        {"vectors_config": several(**{"a/b": params()})},
        'Wrong input: Invalid dense vector name `a/b`: vector name cannot contain "/" char',
    ),
    ({"metadata": {"x": j.Value(double_value=float("inf"))}}, "cannot convert to json number"),
]


@pytest.mark.parametrize(("fields", "text"), CREATE_ERRORS)
def test_create_errors(stub: CollectionsStub, name: str, fields: dict[str, Any], text: str) -> None:
    request = c.CreateCollection(**{"collection_name": name, **fields})
    assert refusal(stub.Create, request) == (INVALID, text)
    assert not stub.CollectionExists(c.CollectionExistsRequest(collection_name=name)).result.exists


def test_conversion_precedes_existence(stub: CollectionsStub, name: str) -> None:
    create(stub, name)
    bad = c.CreateCollection(collection_name=name, vectors_config=single(distance=0))
    assert refusal(stub.Create, bad)[0] is INVALID
    update = c.UpdateCollection(collection_name=f"{name}-none", quantization_config=c.QuantizationConfigDiff())
    assert refusal(stub.Update, update) == (INVALID, "Quantization type is not specified")


def test_info_of_a_collection_without_vectors(stub: CollectionsStub, name: str) -> None:
    before = int(time.time())
    create(stub, name, timeout=0)
    reply = stub.Get(c.GetCollectionInfoRequest(collection_name=name))
    info = reply.result
    assert 0 < reply.time < 60
    assert info.status == c.Green
    assert info.optimizer_status == c.OptimizerStatus(ok=True)
    assert info.HasField("optimizer_status")
    assert info.segments_count >= 1
    assert info.HasField("points_count")
    assert info.HasField("indexed_vectors_count")
    assert (info.points_count, info.indexed_vectors_count) == (0, 0)
    assert info.HasField("update_queue")
    assert info.update_queue == c.UpdateQueueInfo(length=0)
    assert before - 1 <= info.created_at.seconds <= time.time() + 1
    assert not info.payload_schema
    assert not info.warnings
    given = info.config.params
    assert given.vectors_config.WhichOneof("config") == "params_map"
    assert not given.vectors_config.params_map.map
    for absent in ("sharding_method", "sparse_vectors_config", "payload", "id_tracker", "read_fan_out_factor"):
        assert not given.HasField(absent)
    assert given.HasField("replication_factor")
    assert given.HasField("write_consistency_factor")
    assert (given.shard_number, given.replication_factor, given.write_consistency_factor) == (1, 1, 1)
    assert given.on_disk_payload is True
    assert not info.config.HasField("quantization_config")
    assert not info.config.HasField("strict_mode_config")
    assert info.config.hnsw_config == c.HnswConfigDiff(
        m=16, ef_construct=100, full_scan_threshold=10_000, max_indexing_threads=0, on_disk=False
    )
    assert info.config.wal_config == c.WalConfigDiff(wal_capacity_mb=32, wal_segments_ahead=0, wal_retain_closed=1)
    assert info.config.optimizer_config.max_optimization_threads.WhichOneof("variant") == "setting"


@pytest.mark.parametrize(
    "vectors",
    [
        single(),
        single(datatype=c.Float16, on_disk=False, memory=c.Cached, multivector_config=c.MultiVectorConfig()),
        single(hnsw_config=c.HnswConfigDiff(m=0)),
        several(**{"": params()}),
        several(a=params(), b=params(size=65_536, distance=c.Cosine)),
        several(),
        single(
            quantization_config=c.QuantizationConfig(
                binary=c.BinaryQuantization(
                    encoding=c.TwoBits,
                    query_encoding=c.BinaryQuantizationQueryEncoding(
                        setting=c.BinaryQuantizationQueryEncoding.Scalar8Bits
                    ),
                )
            )
        ),
    ],
)
def test_vectors_are_echoed_as_given(stub: CollectionsStub, name: str, vectors: c.VectorsConfig) -> None:
    create(stub, name, vectors_config=vectors)
    assert config_of(stub, name).params.vectors_config == vectors


def test_default_datatype_is_dropped(stub: CollectionsStub, name: str) -> None:
    create(stub, name, vectors_config=single(datatype=c.Default))
    assert config_of(stub, name).params.vectors_config == single()


def test_other_sections_are_echoed_as_given(stub: CollectionsStub, name: str) -> None:
    sparse = c.SparseVectorConfig(
        map={
            "s": c.SparseVectorParams(index=c.SparseIndexConfig(full_scan_threshold=7), modifier=c.Idf),
            "t": c.SparseVectorParams(),
        }
    )
    strict = c.StrictModeConfig(
        enabled=False,
        max_query_limit=5,
        sparse_config=c.StrictModeSparseConfig(sparse_config={"s": c.StrictModeSparse(max_length=9)}),
    )
    quantization = c.QuantizationConfig(scalar=c.ScalarQuantization(type=c.Int8, quantile=0.75))
    metadata = {
        "null": j.Value(null_value=0),  # type: ignore[arg-type]
        "integer": j.Value(integer_value=1),
        "double": j.Value(double_value=1.0),
        "tree": j.Value(list_value=j.ListValue(values=[j.Value(struct_value=j.Struct()), j.Value(bool_value=False)])),
    }
    create(
        stub,
        name,
        sparse_vectors_config=sparse,
        strict_mode_config=strict,
        quantization_config=quantization,
        metadata=metadata,
        sharding_method=c.Auto,
        shard_number=3,
        replication_factor=2,
        payload=c.PayloadStorageParams(memory=c.Cold),
        id_tracker=c.IdTrackerParams(memory=c.Cached),
        on_disk_payload=False,
        optimizers_config=c.OptimizersConfigDiff(indexing_threshold=0, deprecated_max_optimization_threads=2),
    )
    config = config_of(stub, name)
    assert config.params.sparse_vectors_config == sparse
    assert config.strict_mode_config == strict
    assert config.quantization_config == quantization
    assert dict(config.metadata) == metadata
    assert config.params.HasField("sharding_method")
    assert (config.params.shard_number, config.params.replication_factor) == (3, 2)
    assert config.params.payload == c.PayloadStorageParams(memory=c.Cold)
    assert config.params.id_tracker == c.IdTrackerParams(memory=c.Cached)
    assert config.params.on_disk_payload is False
    assert config.optimizer_config.indexing_threshold == 0
    assert config.optimizer_config.vacuum_min_vector_number == 1000
    assert config.optimizer_config.max_optimization_threads.value == 2


def test_inline_storage_warns(stub: CollectionsStub, name: str) -> None:
    create(stub, name, vectors_config=single(), hnsw_config=c.HnswConfigDiff(inline_storage=True))
    assert len(stub.Get(c.GetCollectionInfoRequest(collection_name=name)).result.warnings) == 1


def test_points_are_counted_and_forgotten(stub: CollectionsStub, points_stub: PointsStub, name: str) -> None:
    def upsert() -> p.UpdateResult:
        vectors = p.Vectors(vector=p.Vector(dense=p.DenseVector(data=[1, 2, 3, 4])))
        return points_stub.Upsert(
            p.UpsertPoints(
                collection_name=name,
                wait=True,
                points=[p.PointStruct(id=q.PointId(num=number), vectors=vectors) for number in range(3)],
            )
        ).result

    create(stub, name, vectors_config=single(), shard_number=2)
    first = upsert().operation_id
    assert upsert().operation_id > first
    info = stub.Get(c.GetCollectionInfoRequest(collection_name=name)).result
    assert (info.points_count, info.status) == (3, c.Green)
    cluster = stub.CollectionClusterInfo(c.CollectionClusterInfoRequest(collection_name=name))
    assert cluster.shard_count == 2
    assert [shard.shard_id for shard in cluster.local_shards] == [0, 1]
    assert sum(shard.points_count for shard in cluster.local_shards) == 3

    stub.Delete(c.DeleteCollection(collection_name=name))
    create(stub, name, vectors_config=single())
    assert stub.Get(c.GetCollectionInfoRequest(collection_name=name)).result.points_count == 0
    assert upsert().operation_id == first


# --- names


def test_names_that_are_fine(stub: CollectionsStub, name: str) -> None:
    odd = f"{name}-2"
    for chosen in (odd, f"Zwölf. коллекции {name}"):
        create(stub, chosen)
        assert chosen in [entry.name for entry in stub.List(c.ListCollectionsRequest()).collections]
        assert stub.Delete(c.DeleteCollection(collection_name=chosen)).result is True


@pytest.mark.parametrize(
    ("method", "request_type"),
    [
        ("Get", c.GetCollectionInfoRequest),
        ("Update", c.UpdateCollection),
        ("Delete", c.DeleteCollection),
        ("CollectionExists", c.CollectionExistsRequest),
        ("ListCollectionAliases", c.ListCollectionAliasesRequest),
    ],
)
def test_names_are_validated(stub: CollectionsStub, method: str, request_type: Any) -> None:  # noqa: ANN401
    call = getattr(stub, method)
    assert refusal(call, request_type(collection_name="")) == (INVALID, LENGTH)
    assert refusal(call, request_type(collection_name="x" * 256))[0] is INVALID
    assert refusal(call, request_type(collection_name="a/b")) == (
        INVALID,
        'Validation error in body: [collection_name: collection name cannot contain "/" char]',
    )
    # Only creation minds the other characters: with them a name is just unknown.
    if method in {"Get", "Update"}:
        assert refusal(call, request_type(collection_name="a:b")) == missing("a:b")
    else:
        call(request_type(collection_name="a:b"))


@pytest.mark.parametrize("bad", ["", "a/b", "x" * 300])
def test_names_of_cluster_requests_are_not_validated(stub: CollectionsStub, bad: str) -> None:
    assert refusal(stub.CollectionClusterInfo, c.CollectionClusterInfoRequest(collection_name=bad)) == missing(bad)
    assert refusal(stub.ListShardKeys, c.ListShardKeysRequest(collection_name=bad)) == missing(bad)


def test_list_is_sorted_and_without_aliases(stub: CollectionsStub, name: str) -> None:
    create(stub, f"{name}-2")
    create(stub, name)
    stub.UpdateAliases(c.ChangeAliases(actions=[alias(name, f"{name}-a")]))
    reply = stub.List(c.ListCollectionsRequest())
    names = [entry.name for entry in reply.collections]
    assert names == sorted(names)
    assert {name, f"{name}-2"} <= set(names)
    assert f"{name}-a" not in names
    assert reply.time > 0


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("Update", c.UpdateCollection(collection_name="a", timeout=0)),
        ("Delete", c.DeleteCollection(collection_name="a", timeout=0)),
        ("UpdateAliases", c.ChangeAliases(timeout=0)),
        (
            "UpdateCollectionClusterSetup",
            c.UpdateCollectionClusterSetupRequest(timeout=0, drop_replica=c.Replica()),
        ),
    ],
)
def test_timeouts_are_positive(stub: CollectionsStub, method: str, request_: Any) -> None:  # noqa: ANN401
    assert refusal(getattr(stub, method), request_) == (INVALID, f"Validation error in body: [timeout: {ONE}]")
