"""What a single node says of its shards, and how it refuses to move them."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from qdrant_grpc import collections_pb2 as c
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from tests.wire.collection_calls import (
    INVALID,
    UNIMPLEMENTED,
    create,
    refusal,
    single,
)

STANDALONE = "Qdrant is running in standalone mode"


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
