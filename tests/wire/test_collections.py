"""The Collections service over a socket: every error code and text, echo and presence."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from qdrant_grpc import collections_pb2 as c
from qdrant_grpc import json_with_int_pb2 as j
from qdrant_grpc import points_pb2 as p
from qdrant_grpc import qdrant_common_pb2 as q
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from qdrant_grpc.points_service_pb2_grpc import PointsStub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
EXISTS = grpc.StatusCode.ALREADY_EXISTS
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED

LENGTH = 'Validation error in body: [collection_name: value "" invalid, must be from 1 to 255 characters]'
TURBO = "sparse vectors do not support the `turbo4` datatype"
BODY = "Validation error in body: "
ONE = "value 0 invalid, must be 1 or larger"
STANDALONE = "Qdrant is running in standalone mode"


@pytest.fixture(scope="module")
def channel(shared_server: Any) -> Iterator[grpc.Channel]:  # noqa: ANN401  conftest is no module to import from
    with grpc.insecure_channel(shared_server.address) as opened:
        yield opened


@pytest.fixture(scope="module")
def stub(channel: grpc.Channel) -> CollectionsStub:
    return CollectionsStub(channel)


@pytest.fixture(scope="module")
def points(channel: grpc.Channel) -> PointsStub:
    return PointsStub(channel)


@pytest.fixture
def name(request: pytest.FixtureRequest, stub: CollectionsStub) -> Iterator[str]:
    """A collection name of this test; what it and its aliases leave behind is removed."""
    own = f"collections-{abs(hash(request.node.nodeid)):x}"
    yield own
    for other in (own, f"{own}-2"):
        stub.Delete(c.DeleteCollection(collection_name=other))


def params(**fields: Any) -> c.VectorParams:  # noqa: ANN401
    return c.VectorParams(**{"size": 4, "distance": c.Dot, **fields})


def single(**fields: Any) -> c.VectorsConfig:  # noqa: ANN401
    return c.VectorsConfig(params=params(**fields))


def several(**spaces: c.VectorParams) -> c.VectorsConfig:
    return c.VectorsConfig(params_map=c.VectorParamsMap(map=spaces))


def refusal(call: Callable[[Any], Any], request: Any) -> tuple[grpc.StatusCode, str]:  # noqa: ANN401
    with pytest.raises(grpc.RpcError) as caught:
        call(request)
    error: Any = caught.value
    return error.code(), error.details()


def config_of(stub: CollectionsStub, name: str) -> c.CollectionConfig:
    return stub.Get(c.GetCollectionInfoRequest(collection_name=name)).result.config


def create(stub: CollectionsStub, name: str, **fields: Any) -> None:  # noqa: ANN401
    reply = stub.Create(c.CreateCollection(collection_name=name, **fields))
    assert reply.result is True
    assert 0 < reply.time < 60


def missing(name: str) -> tuple[grpc.StatusCode, str]:
    return NOT_FOUND, f"Not found: Collection `{name}` doesn't exist!"


def alias(collection: str, alias_name: str) -> c.AliasOperations:
    return c.AliasOperations(create_alias=c.CreateAlias(collection_name=collection, alias_name=alias_name))


def renamed(old: str, new: str) -> c.AliasOperations:
    return c.AliasOperations(rename_alias=c.RenameAlias(old_alias_name=old, new_alias_name=new))


def unaliased(alias_name: str) -> c.AliasOperations:
    return c.AliasOperations(delete_alias=c.DeleteAlias(alias_name=alias_name))


# --- create, get, delete


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


def test_points_are_counted_and_forgotten(stub: CollectionsStub, points: PointsStub, name: str) -> None:
    def upsert() -> p.UpdateResult:
        vectors = p.Vectors(vector=p.Vector(dense=p.DenseVector(data=[1, 2, 3, 4])))
        return points.Upsert(
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


# --- update


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


# --- aliases


def test_aliases_resolve_where_they_should(stub: CollectionsStub, name: str) -> None:
    other = f"{name}-a"
    create(stub, name, vectors_config=single())
    reply = stub.UpdateAliases(c.ChangeAliases(actions=[alias(name, other)], timeout=1))
    assert reply.result is True
    assert reply.time > 0
    assert config_of(stub, other) == config_of(stub, name)
    assert stub.CollectionExists(c.CollectionExistsRequest(collection_name=other)).result.exists
    assert stub.Update(c.UpdateCollection(collection_name=other)).result
    assert stub.CollectionClusterInfo(c.CollectionClusterInfoRequest(collection_name=other)).shard_count == 1
    assert not stub.ListShardKeys(c.ListShardKeysRequest(collection_name=other)).shard_keys
    assert stub.Delete(c.DeleteCollection(collection_name=other)).result is False
    assert not stub.ListCollectionAliases(c.ListCollectionAliasesRequest(collection_name=other)).aliases
    listed = stub.ListCollectionAliases(c.ListCollectionAliasesRequest(collection_name=name))
    assert list(listed.aliases) == [c.AliasDescription(alias_name=other, collection_name=name)]
    assert listed.time > 0
    assert (
        c.AliasDescription(alias_name=other, collection_name=name) in stub.ListAliases(c.ListAliasesRequest()).aliases
    )
    assert refusal(stub.Create, c.CreateCollection(collection_name=other)) == (
        INVALID,
        f"Wrong input: Can't create collection with name {other}. Alias with the same name already exists",
    )
    stub.Delete(c.DeleteCollection(collection_name=name))
    assert not stub.CollectionExists(c.CollectionExistsRequest(collection_name=other)).result.exists
    assert other not in [entry.alias_name for entry in stub.ListAliases(c.ListAliasesRequest()).aliases]


def test_aliases_of_an_unknown_collection(stub: CollectionsStub, name: str) -> None:
    assert not stub.ListCollectionAliases(c.ListCollectionAliasesRequest(collection_name=name)).aliases


def test_alias_actions(stub: CollectionsStub, name: str) -> None:
    second = f"{name}-2"
    create(stub, name)
    create(stub, second)

    def aliases() -> dict[str, str]:
        found = stub.ListAliases(c.ListAliasesRequest()).aliases
        return {entry.alias_name: entry.collection_name for entry in found if entry.collection_name in {name, second}}

    def change(*actions: c.AliasOperations) -> None:
        assert stub.UpdateAliases(c.ChangeAliases(actions=actions)).result is True

    change()
    change(unaliased(f"{name}-unknown"))
    change(alias(name, f"{name}-a"))
    change(alias(second, f"{name}-a"))
    assert aliases() == {f"{name}-a": second}
    change(unaliased(f"{name}-a"), alias(name, f"{name}-a"), alias(name, f"{name}-b"))
    assert aliases() == {f"{name}-a": name, f"{name}-b": name}
    change(renamed(f"{name}-a", f"{name}-b"), renamed(f"{name}-b", f"{name}-c"))
    assert aliases() == {f"{name}-c": name}


def test_alias_errors(stub: CollectionsStub, name: str) -> None:
    create(stub, name)
    create(stub, f"{name}-2")

    def refused(*actions: c.AliasOperations) -> tuple[grpc.StatusCode, str]:
        return refusal(stub.UpdateAliases, c.ChangeAliases(actions=actions))

    assert refused(alias(f"{name}-none", f"{name}-a")) == missing(f"{name}-none")
    assert refused(alias(name, f"{name}-2")) == (EXISTS, f"Wrong input: Collection `{name}-2` already exists!")
    assert refused(renamed(f"{name}-x", f"{name}-y")) == (NOT_FOUND, f"Not found: Alias {name}-x does not exists!")
    # Converted as a whole before anything is executed.
    assert refused(alias(name, f"{name}-a"), c.AliasOperations()) == (INVALID, "Malformed AliasOperation type")
    assert not stub.ListCollectionAliases(c.ListCollectionAliasesRequest(collection_name=name)).aliases


# --- cluster


def test_cluster_info(stub: CollectionsStub, name: str) -> None:
    create(stub, name)
    reply = stub.CollectionClusterInfo(c.CollectionClusterInfoRequest(collection_name=name))
    assert 1 <= reply.peer_id <= 2**53
    assert list(reply.local_shards) == [c.LocalShardInfo(shard_id=0, points_count=0, state=c.Active)]
    assert not reply.remote_shards
    assert not reply.shard_transfers
    assert not reply.resharding_operations
    assert reply.time > 0
    again = stub.CollectionClusterInfo(c.CollectionClusterInfoRequest(collection_name=name))
    assert again.peer_id == reply.peer_id


def test_custom_sharding_without_shards(stub: CollectionsStub, name: str) -> None:
    create(stub, name, vectors_config=single(), sharding_method=c.Custom)
    info = stub.Get(c.GetCollectionInfoRequest(collection_name=name)).result
    assert (info.status, info.points_count, info.segments_count) == (c.Green, 0, 0)
    assert info.config.params.sharding_method == c.Custom


KEY = c.ShardKey(keyword="k")
CLUSTER_ERRORS: list[tuple[str, Any, grpc.StatusCode, str]] = [
    ("UpdateCollectionClusterSetup", c.UpdateCollectionClusterSetupRequest(), INVALID, "empty operation"),
    (
        "UpdateCollectionClusterSetup",
        c.UpdateCollectionClusterSetupRequest(create_shard_key=c.CreateShardKey()),
        INVALID,
        "Shard key is not specified",
    ),
    (
        "UpdateCollectionClusterSetup",
        c.UpdateCollectionClusterSetupRequest(delete_shard_key=c.DeleteShardKey(shard_key=c.ShardKey())),
        INVALID,
        "Shard key is not specified",
    ),
    (
        "UpdateCollectionClusterSetup",
        c.UpdateCollectionClusterSetupRequest(replicate_shard=c.ReplicateShard(from_peer_id=3, to_peer_id=3)),
        INVALID,
        'cannot transfer shard to itself, "to_peer_id" must be different than 3 in "from_peer_id"',
    ),
    (
        "UpdateCollectionClusterSetup",
        c.UpdateCollectionClusterSetupRequest(move_shard=c.MoveShard(from_peer_id=3, to_peer_id=4)),
        UNIMPLEMENTED,
        STANDALONE,
    ),
    ("CreateShardKey", c.CreateShardKeyRequest(), INVALID, "empty request"),
    (
        "CreateShardKey",
        c.CreateShardKeyRequest(request=c.CreateShardKey(shard_key=KEY, shards_number=0)),
        INVALID,
        "Shard number cannot be zero: ",
    ),
    (
        "CreateShardKey",
        c.CreateShardKeyRequest(request=c.CreateShardKey(shard_key=KEY, replication_factor=0)),
        INVALID,
        "Replication factor cannot be zero: ",
    ),
    ("CreateShardKey", c.CreateShardKeyRequest(request=c.CreateShardKey(shard_key=KEY)), UNIMPLEMENTED, STANDALONE),
    ("DeleteShardKey", c.DeleteShardKeyRequest(), INVALID, "empty request"),
    (
        "DeleteShardKey",
        c.DeleteShardKeyRequest(request=c.DeleteShardKey()),
        INVALID,
        "Shard key is not specified",
    ),
    (
        "DeleteShardKey",
        c.DeleteShardKeyRequest(request=c.DeleteShardKey(shard_key=c.ShardKey(number=0))),
        UNIMPLEMENTED,
        STANDALONE,
    ),
]


@pytest.mark.parametrize(("method", "request_", "code", "text"), CLUSTER_ERRORS)
def test_cluster_requests_are_checked_then_refused(
    stub: CollectionsStub,
    method: str,
    request_: Any,  # noqa: ANN401
    code: grpc.StatusCode,
    text: str,
) -> None:
    found, details = refusal(getattr(stub, method), request_)
    assert found is code
    if code is UNIMPLEMENTED:
        assert details == text
    else:
        assert text in details
