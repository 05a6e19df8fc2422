"""Collections and aliases through the official client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest
from qdrant_client import models

from tests.compat.comparing import assert_same, create_mixed

if TYPE_CHECKING:
    from qdrant_client import QdrantClient


def test_life_of_a_collection(remote: QdrantClient, local: QdrantClient, name: str) -> None:
    for client in (remote, local):
        assert not client.collection_exists(name)
        create_mixed(client, name)
        assert client.collection_exists(name)
    assert name in [each.name for each in remote.get_collections().collections]
    assert_same(remote, local, lambda c: c.get_collection(name).points_count)
    vectors = remote.get_collection(name).config.params.vectors
    assert isinstance(vectors, dict)
    expected = local.get_collection(name).config.params.vectors
    assert isinstance(expected, dict)
    assert {key: (each.size, each.distance) for key, each in vectors.items()} == {
        key: (each.size, each.distance) for key, each in expected.items()
    }
    with pytest.raises(grpc.RpcError, match=f"Collection `{name}` already exists!"):
        create_mixed(remote, name)
    assert remote.delete_collection(name)
    assert not remote.collection_exists(name)
    assert not remote.delete_collection(name)
    with pytest.raises(grpc.RpcError, match=f"Not found: Collection `{name}` doesn't exist!"):
        remote.get_collection(name)


def test_every_setting_is_echoed(remote: QdrantClient, name: str) -> None:
    hnsw = models.HnswConfigDiff(m=24, ef_construct=77, full_scan_threshold=1234, max_indexing_threads=1, payload_m=8)
    remote.create_collection(
        name,
        models.VectorParams(
            size=4,
            distance=models.Distance.MANHATTAN,
            on_disk=True,
            datatype=models.Datatype.FLOAT16,
            hnsw_config=models.HnswConfigDiff(m=4),
            quantization_config=models.ScalarQuantization(
                scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.9, always_ram=True)
            ),
        ),
        sparse_vectors_config={
            "words": models.SparseVectorParams(
                modifier=models.Modifier.IDF, index=models.SparseIndexParams(full_scan_threshold=99, on_disk=True)
            )
        },
        hnsw_config=hnsw,
        optimizers_config=models.OptimizersConfigDiff(indexing_threshold=123, deleted_threshold=0.5),
        wal_config=models.WalConfigDiff(wal_capacity_mb=5),
        on_disk_payload=False,
        metadata={"owner": "tests", "list": [1, {"a": None}]},
    )
    config = remote.get_collection(name).config
    vector = config.params.vectors
    assert isinstance(vector, models.VectorParams)
    assert (vector.size, vector.distance, vector.on_disk) == (4, models.Distance.MANHATTAN, True)
    assert vector.datatype is models.Datatype.FLOAT16
    assert vector.hnsw_config is not None
    assert vector.hnsw_config.m == 4
    assert isinstance(vector.quantization_config, models.ScalarQuantization)
    assert vector.quantization_config.scalar.quantile == pytest.approx(0.9)
    assert config.params.sparse_vectors is not None
    words = config.params.sparse_vectors["words"]
    assert words.modifier is models.Modifier.IDF
    assert words.index is not None
    assert (words.index.full_scan_threshold, words.index.on_disk) == (99, True)
    assert config.hnsw_config.model_dump(include=set(hnsw.model_fields_set)) == hnsw.model_dump(exclude_unset=True)
    assert config.optimizer_config.indexing_threshold == 123
    assert config.optimizer_config.deleted_threshold == 0.5
    assert config.wal_config is not None
    assert config.wal_config.wal_capacity_mb == 5
    assert config.params.on_disk_payload is False
    assert config.metadata == {"owner": "tests", "list": [1, {"a": None}]}

    assert remote.update_collection(
        name,
        optimizers_config=models.OptimizersConfigDiff(indexing_threshold=321),
        hnsw_config=models.HnswConfigDiff(m=20),
        vectors_config={"": models.VectorParamsDiff(hnsw_config=models.HnswConfigDiff(ef_construct=55), on_disk=False)},
        quantization_config=models.BinaryQuantization(binary=models.BinaryQuantizationConfig(always_ram=False)),
        metadata={"owner": "nobody"},
    )
    config = remote.get_collection(name).config
    vector = config.params.vectors
    assert isinstance(vector, models.VectorParams)
    assert vector.hnsw_config is not None
    assert (vector.hnsw_config.m, vector.hnsw_config.ef_construct, vector.on_disk) == (4, 55, False)
    assert (config.hnsw_config.m, config.hnsw_config.ef_construct) == (20, 77)
    assert config.optimizer_config.indexing_threshold == 321
    assert config.optimizer_config.deleted_threshold == 0.5
    assert isinstance(config.quantization_config, models.BinaryQuantization)
    assert config.metadata == {"owner": "nobody", "list": [1, {"a": None}]}
    remote.delete_collection(name)


def test_aliases(remote: QdrantClient, local: QdrantClient, name: str) -> None:
    other = name + "-other"
    first, second, renamed = name + "-1", name + "-2", name + "-3"

    def create(alias: str, collection: str) -> models.CreateAliasOperation:
        return models.CreateAliasOperation(
            create_alias=models.CreateAlias(collection_name=collection, alias_name=alias)
        )

    def aliases(client: QdrantClient, collection: str) -> list[tuple[str, str]]:
        found = client.get_collection_aliases(collection).aliases
        return sorted((each.alias_name, each.collection_name) for each in found)

    for client in (remote, local):
        for each in (name, other):
            client.create_collection(each, models.VectorParams(size=2, distance=models.Distance.DOT))
        client.update_collection_aliases([create(first, name), create(second, name)])
    assert_same(remote, local, lambda c: aliases(c, name))
    assert aliases(remote, name) == [(first, name), (second, name)]
    for client in (remote, local):
        client.upsert(first, [models.PointStruct(id=1, vector=[1.0, 2.0])])
        client.update_collection_aliases(
            [
                models.RenameAliasOperation(
                    rename_alias=models.RenameAlias(old_alias_name=first, new_alias_name=renamed)
                ),
                models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=second)),
                create(second, other),
            ]
        )
    assert_same(remote, local, lambda c: [aliases(c, name), aliases(c, other)])
    assert_same(remote, local, lambda c: [c.count(renamed), c.count(second), c.scroll(renamed, with_vectors=True)])
    every = {each.alias_name: each.collection_name for each in remote.get_aliases().aliases}
    assert (every[renamed], every[second], first in every) == (name, other, False)
    # All or nothing: the second action fails, so the first is not there.
    with pytest.raises(grpc.RpcError, match="NOT_FOUND"):
        remote.update_collection_aliases([create(first, name), create("never", "no-such-collection")])
    assert aliases(remote, name) == [(renamed, name)]
    for each in (name, other):
        remote.delete_collection(each)
    assert not {renamed, second} & {each.alias_name for each in remote.get_aliases().aliases}
