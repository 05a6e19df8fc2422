"""The service `qdrant.Collections`: names, configurations, aliases, and what is told about a cluster of one node."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pointstore.core.catalog import CreateAlias, DeleteAlias, RenameAlias
from pointstore.core.errors import ConversionError
from pointstore.wire import cluster
from pointstore.wire.collection_config import collection_change_of, collection_config_of, warnings_of, write_config
from pointstore.wire.field_schema import write_field_info
from pointstore.wire.schema_checks import check_change, check_config
from pointstore.wire.unary import unary
from qdrant_grpc import collections_pb2 as messages

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pointstore.core.catalog import Alias, AliasAction, CollectionInfo
    from pointstore.core.schema import CollectionConfig
    from pointstore.engine.engine import Engine
    from pointstore.wire.unary import Handler


def collection_methods(engine: Engine) -> dict[str, Handler]:
    """Return the handlers by full path."""
    service = Collections(engine)
    handlers = {
        "Get": unary(messages.GetCollectionInfoRequest, service.Get),
        "List": unary(messages.ListCollectionsRequest, service.List),
        "Create": unary(messages.CreateCollection, service.Create),
        "Update": unary(messages.UpdateCollection, service.Update),
        "Delete": unary(messages.DeleteCollection, service.Delete),
        "UpdateAliases": unary(messages.ChangeAliases, service.UpdateAliases),
        "ListCollectionAliases": unary(messages.ListCollectionAliasesRequest, service.ListCollectionAliases),
        "ListAliases": unary(messages.ListAliasesRequest, service.ListAliases),
        "CollectionClusterInfo": unary(messages.CollectionClusterInfoRequest, service.CollectionClusterInfo),
        "CollectionExists": unary(messages.CollectionExistsRequest, service.CollectionExists),
        "UpdateCollectionClusterSetup": unary(
            messages.UpdateCollectionClusterSetupRequest, cluster.update_cluster_setup
        ),
        "CreateShardKey": unary(messages.CreateShardKeyRequest, cluster.create_shard_key),
        "DeleteShardKey": unary(messages.DeleteShardKeyRequest, cluster.delete_shard_key),
        "ListShardKeys": unary(messages.ListShardKeysRequest, service.ListShardKeys),
    }
    return {f"/qdrant.Collections/{name}": handler for name, handler in handlers.items()}


class Collections:
    """The methods that need the engine; their errors are those of the engine and of conversion."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def Get(self, request: messages.GetCollectionInfoRequest) -> messages.GetCollectionInfoResponse:  # noqa: N802
        """Tell all about one collection."""
        reply = messages.GetCollectionInfoResponse()
        write_info(self._engine.collection(request.collection_name).info(), reply.result)
        return reply

    def List(self, _request: messages.ListCollectionsRequest) -> messages.ListCollectionsResponse:  # noqa: N802
        """List the collections, without aliases."""
        names = self._engine.collection_names()
        return messages.ListCollectionsResponse(
            collections=[messages.CollectionDescription(name=name) for name in names]
        )

    def Create(self, request: messages.CreateCollection) -> messages.CollectionOperationResponse:  # noqa: N802
        """Create a collection that does not exist."""
        config = collection_config_of(request)
        check_config(config)
        self._engine.create_collection(request.collection_name, config)
        return messages.CollectionOperationResponse(result=True)

    def Update(self, request: messages.UpdateCollection) -> messages.CollectionOperationResponse:  # noqa: N802
        """Change settings of a collection."""
        change = collection_change_of(request)
        check_change(change, single_vector=request.vectors_config.WhichOneof("config") == "params")
        self._engine.update_collection(request.collection_name, change)
        return messages.CollectionOperationResponse(result=True)

    def Delete(self, request: messages.DeleteCollection) -> messages.CollectionOperationResponse:  # noqa: N802
        """Drop a collection; its absence is no error."""
        dropped = self._engine.drop_collection(request.collection_name)
        return messages.CollectionOperationResponse(result=dropped)

    def UpdateAliases(self, request: messages.ChangeAliases) -> messages.CollectionOperationResponse:  # noqa: N802
        """Run a list of alias actions."""
        self._engine.update_aliases([alias_action_of(action) for action in request.actions])
        return messages.CollectionOperationResponse(result=True)

    def ListCollectionAliases(  # noqa: N802
        self, request: messages.ListCollectionAliasesRequest
    ) -> messages.ListAliasesResponse:
        """List the aliases of a collection, none for an unknown one."""
        return _alias_reply(self._engine.aliases(request.collection_name))

    def ListAliases(self, _request: messages.ListAliasesRequest) -> messages.ListAliasesResponse:  # noqa: N802
        """List all aliases."""
        return _alias_reply(self._engine.aliases())

    def CollectionExists(  # noqa: N802
        self, request: messages.CollectionExistsRequest
    ) -> messages.CollectionExistsResponse:
        """Tell whether a collection or alias of that name exists."""
        exists = self._engine.exists(request.collection_name)
        return messages.CollectionExistsResponse(result=messages.CollectionExists(exists=exists))

    def CollectionClusterInfo(  # noqa: N802
        self, request: messages.CollectionClusterInfoRequest
    ) -> messages.CollectionClusterInfoResponse:
        """Tell about the shards, all on this node; the first one accounts for every point."""
        info = self._engine.collection(request.collection_name).info()
        shards = _shard_count(info.config)
        return messages.CollectionClusterInfoResponse(
            peer_id=self._engine.peer_id,
            shard_count=shards,
            local_shards=[
                messages.LocalShardInfo(
                    shard_id=shard, points_count=0 if shard else info.points_count, state=messages.Active
                )
                for shard in range(shards)
            ],
        )

    def ListShardKeys(self, request: messages.ListShardKeysRequest) -> messages.ListShardKeysResponse:  # noqa: N802
        """List the shard keys of a collection; a single node has none."""
        self._engine.collection(request.collection_name)
        return messages.ListShardKeysResponse()


def alias_action_of(operation: messages.AliasOperations) -> AliasAction:
    """Convert one alias action.

    Raises:
        ConversionError: it has no variant.

    """
    match operation.WhichOneof("action"):
        case "create_alias":
            create = operation.create_alias
            return CreateAlias(collection=create.collection_name, alias=create.alias_name)
        case "rename_alias":
            rename = operation.rename_alias
            return RenameAlias(old=rename.old_alias_name, new=rename.new_alias_name)
        case "delete_alias":
            return DeleteAlias(alias=operation.delete_alias.alias_name)
        case _:
            raise ConversionError("Malformed AliasOperation type")


def write_info(info: CollectionInfo, message: messages.CollectionInfo) -> None:
    """Fill the description of a collection; both counts are present even where 0."""
    message.status = messages.CollectionStatus.ValueType(info.status)
    message.optimizer_status.ok = info.optimizer_error is None
    message.optimizer_status.error = info.optimizer_error or ""
    message.segments_count = info.segments_count if _shard_count(info.config) else 0
    message.points_count = info.points_count
    message.indexed_vectors_count = info.indexed_vectors_count
    write_config(info.config, message.config)
    for field in info.payload_schema:
        write_field_info(field, message.payload_schema[field.path])
    message.warnings.extend(messages.CollectionWarning(message=text) for text in warnings_of(info.config))
    message.update_queue.length = 0
    message.created_at.seconds = info.created_at_s


def _shard_count(config: CollectionConfig) -> int:
    """Shards of a custom-sharded collection are made by key, which a single node refuses."""
    return 0 if config.sharding_method == messages.Custom else config.shard_number


def _alias_reply(aliases: Iterable[Alias]) -> messages.ListAliasesResponse:
    return messages.ListAliasesResponse(
        aliases=[
            messages.AliasDescription(alias_name=alias.alias, collection_name=alias.collection) for alias in aliases
        ]
    )
