"""RPCs that would change a cluster: their requests are checked in full, then refused, for this is a single node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from pointstore.core.errors import ConversionError, UnsupportedError

if TYPE_CHECKING:
    from qdrant_grpc.collections_pb2 import (
        CreateShardKey,
        CreateShardKeyRequest,
        DeleteShardKeyRequest,
        ShardKey,
        UpdateCollectionClusterSetupRequest,
    )

_STANDALONE: Final = "Qdrant is running in standalone mode"


def update_cluster_setup(request: UpdateCollectionClusterSetupRequest) -> NoReturn:
    """Refuse to move shards about.

    Raises:
        ConversionError: the operation is missing or malformed.
        UnsupportedError: otherwise.

    """
    match request.WhichOneof("operation"):
        case None:
            raise ConversionError("empty operation")
        case "create_shard_key":
            _check_creation(request.create_shard_key)
        case "delete_shard_key":
            _check_key(request.delete_shard_key.shard_key)
        case "replicate_points":
            _check_key(request.replicate_points.from_shard_key)
            _check_key(request.replicate_points.to_shard_key)
    raise UnsupportedError(_STANDALONE)


def create_shard_key(request: CreateShardKeyRequest) -> NoReturn:
    """Refuse to create a shard key.

    Raises:
        ConversionError: the request is malformed.
        UnsupportedError: otherwise.

    """
    if not request.HasField("request"):
        raise ConversionError("empty request")
    _check_creation(request.request)
    raise UnsupportedError(_STANDALONE)


def delete_shard_key(request: DeleteShardKeyRequest) -> NoReturn:
    """Refuse to delete a shard key.

    Raises:
        ConversionError: the request is malformed.
        UnsupportedError: otherwise.

    """
    if not request.HasField("request"):
        raise ConversionError("empty request")
    _check_key(request.request.shard_key)
    raise UnsupportedError(_STANDALONE)


def _check_creation(creation: CreateShardKey) -> None:
    _check_key(creation.shard_key)
    if creation.HasField("shards_number") and creation.shards_number == 0:
        raise ConversionError("Shard number cannot be zero: shards_number is 0")
    if creation.HasField("replication_factor") and creation.replication_factor == 0:
        raise ConversionError("Replication factor cannot be zero: replication_factor is 0")


def _check_key(key: ShardKey) -> None:
    if key.WhichOneof("key") is None:
        raise ConversionError("Shard key is not specified")
