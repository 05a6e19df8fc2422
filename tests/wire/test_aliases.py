"""Aliases over a socket: where they resolve, in which order actions apply, and what is refused how."""

from __future__ import annotations

import grpc

from qdrant_grpc import collections_pb2 as c
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from tests.wire.collection_calls import (
    EXISTS,
    INVALID,
    NOT_FOUND,
    alias,
    config_of,
    create,
    missing,
    refusal,
    renamed,
    single,
    unaliased,
)


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
