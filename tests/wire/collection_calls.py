"""What the tests of the Collections service have in common: requests, and how they are refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest

from qdrant_grpc import collections_pb2 as c

if TYPE_CHECKING:
    from collections.abc import Callable

    from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
EXISTS = grpc.StatusCode.ALREADY_EXISTS
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED

BODY = "Validation error in body: "
ONE = "value 0 invalid, must be 1 or larger"


def params(**fields: Any) -> c.VectorParams:  # noqa: ANN401  fields and requests of any type
    """Return parameters of a space."""
    return c.VectorParams(**{"size": 4, "distance": c.Dot, **fields})


def single(**fields: Any) -> c.VectorsConfig:  # noqa: ANN401  fields and requests of any type
    """Return the parameters of the default space alone."""
    return c.VectorsConfig(params=params(**fields))


def several(**spaces: c.VectorParams) -> c.VectorsConfig:
    """Return those of named spaces."""
    return c.VectorsConfig(params_map=c.VectorParamsMap(map=spaces))


def refusal(call: Callable[[Any], Any], request: Any) -> tuple[grpc.StatusCode, str]:  # noqa: ANN401  fields and requests of any type
    """Return code and text of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        call(request)
    error: Any = caught.value
    return error.code(), error.details()


def config_of(stub: CollectionsStub, name: str) -> c.CollectionConfig:
    """Return a collection's configuration."""
    return stub.Get(c.GetCollectionInfoRequest(collection_name=name)).result.config


def create(stub: CollectionsStub, name: str, **fields: Any) -> None:  # noqa: ANN401  fields and requests of any type
    """Create a collection."""
    reply = stub.Create(c.CreateCollection(collection_name=name, **fields))
    assert reply.result is True
    assert 0 < reply.time < 60


def missing(name: str) -> tuple[grpc.StatusCode, str]:
    """Return how a collection that does not exist is reported."""
    return NOT_FOUND, f"Not found: Collection `{name}` doesn't exist!"


def alias(collection: str, alias_name: str) -> c.AliasOperations:
    """Return the action that creates an alias."""
    return c.AliasOperations(create_alias=c.CreateAlias(collection_name=collection, alias_name=alias_name))


def renamed(old: str, new: str) -> c.AliasOperations:
    """Return the action that renames one."""
    return c.AliasOperations(rename_alias=c.RenameAlias(old_alias_name=old, new_alias_name=new))


def unaliased(alias_name: str) -> c.AliasOperations:
    """Return the action that deletes one."""
    return c.AliasOperations(delete_alias=c.DeleteAlias(alias_name=alias_name))
