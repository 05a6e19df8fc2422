"""Decode what routes a request in a cluster: write ordering, read consistency, shard keys.

One node gives every valid ordering and consistency what it asks for. Shard keys cannot be created on one node, so a
request that names one always fails; only the texts and the moment differ between reads and writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pointstore.core.errors import BadRequestError, ConversionError, NotFoundError, WrongInputError
from qdrant_grpc import points_pb2

if TYPE_CHECKING:
    from pointstore.core.schema import CollectionConfig
    from qdrant_grpc import collections_pb2

_CUSTOM_SHARDING: Final = 1


@dataclass(frozen=True, slots=True)
class ShardKeys:
    """A shard key selector; keys as error texts show them, strings in double quotes.

    Attributes:
        keys: any number of keys.
        fallback: the key to take when the only one of `keys` does not exist.

    """

    keys: tuple[str, ...]
    fallback: str | None


def check_ordering(ordering: points_pb2.WriteOrdering) -> None:
    """Check the ordering of a write; an absent message is Weak.

    Raises:
        ConversionError: an unknown number.

    """
    if ordering.type not in points_pb2.WriteOrderingType.values():
        msg = f"cannot convert ordering: {ordering.type}"
        raise ConversionError(msg)


def check_consistency(consistency: points_pb2.ReadConsistency | None) -> None:
    """Check the consistency of a read; None is fine.

    Raises:
        ConversionError: no variant, factor 0 or an unknown type.

    """
    if consistency is None:
        return
    match consistency.WhichOneof("value"):
        case None:
            msg = "invalid read consistency message: `ReadConsistency::value` field is `None`"
        case "factor" if not consistency.factor:
            msg = "invalid read consistency factor value 0"
        case "type" if consistency.type not in points_pb2.ReadConsistencyType.values():
            msg = f"invalid read consistency type value {consistency.type}"
        case _:
            return
    raise ConversionError(msg)


def decode_shard_keys(message: points_pb2.ShardKeySelector | None) -> ShardKeys | None:
    """Decode a shard key selector.

    Raises:
        ConversionError: a key without a variant, or a fallback beside any number of keys but one.

    """
    if message is None:
        return None
    keys = tuple([_key_text(key) for key in message.shard_keys])
    fallback = _key_text(message.fallback) if message.HasField("fallback") else None
    if fallback is not None and len(keys) != 1:
        msg = f"Fallback shard key {fallback} can only be set when a single shard key is provided"
        raise ConversionError(msg)
    return ShardKeys(keys, fallback)


def _key_text(message: collections_pb2.ShardKey) -> str:
    match message.WhichOneof("key"):
        case "keyword":
            return f'"{message.keyword}"'
        case "number":
            return str(message.number)
        case None:
            msg = "Shard key is not specified"
            raise ConversionError(msg)


def check_write_shards(config: CollectionConfig, shard_keys: ShardKeys | None) -> None:
    """Refuse a write whose shard cannot exist (specification part 1, 7.13).

    Raises:
        WrongInputError: a selector at all, or none for a collection with custom sharding.

    """
    if shard_keys is None:
        if config.sharding_method == _CUSTOM_SHARDING:
            msg = "Shard key not specified"
            raise WrongInputError(msg)
        return
    msg = f"Shard key {shard_keys.keys[0]} not found" if shard_keys.keys else "Empty shard keys selection"
    raise WrongInputError(msg)


def check_read_shards(shard_keys: ShardKeys | None) -> None:
    """Refuse a read of shards that cannot exist; a selector without keys passes (specification part 2, 16.2).

    Raises:
        BadRequestError: a key.
        NotFoundError: a key and a fallback.

    """
    if shard_keys is None or not shard_keys.keys:
        return
    if shard_keys.fallback is not None:
        msg = f"Neither shard key {shard_keys.keys[0]} nor fallback {shard_keys.fallback} found"
        raise NotFoundError(msg)
    msg = f"Shard key {shard_keys.keys[0]} not found"
    raise BadRequestError(msg)
