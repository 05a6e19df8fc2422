"""The service `qdrant.Snapshots`: consistent copies of a collection or of everything (specification part 1, 10.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pointstore.wire.unary import unary
from qdrant_grpc import snapshots_service_pb2 as messages

if TYPE_CHECKING:
    from pointstore.core.snapshot import SnapshotInfo
    from pointstore.engine.snapshots import Snapshots
    from pointstore.wire.unary import Handler


def snapshot_methods(snapshots: Snapshots) -> dict[str, Handler]:
    """Return the handlers by full path."""
    service = SnapshotsService(snapshots)
    handlers = {
        "Create": unary(messages.CreateSnapshotRequest, service.Create),
        "List": unary(messages.ListSnapshotsRequest, service.List),
        "Delete": unary(messages.DeleteSnapshotRequest, service.Delete),
        "CreateFull": unary(messages.CreateFullSnapshotRequest, service.CreateFull),
        "ListFull": unary(messages.ListFullSnapshotsRequest, service.ListFull),
        "DeleteFull": unary(messages.DeleteFullSnapshotRequest, service.DeleteFull),
    }
    return {f"/qdrant.Snapshots/{name}": handler for name, handler in handlers.items()}


class SnapshotsService:
    """The methods; their errors are those of the engine."""

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots

    def Create(self, request: messages.CreateSnapshotRequest) -> messages.CreateSnapshotResponse:  # noqa: N802
        """Make a snapshot of a collection."""
        made = self._snapshots.create(request.collection_name)
        return messages.CreateSnapshotResponse(snapshot_description=description_of(made))

    def List(self, request: messages.ListSnapshotsRequest) -> messages.ListSnapshotsResponse:  # noqa: N802
        """List the snapshots of a collection."""
        found = self._snapshots.of_collection(request.collection_name)
        return messages.ListSnapshotsResponse(snapshot_descriptions=map(description_of, found))

    def Delete(self, request: messages.DeleteSnapshotRequest) -> messages.DeleteSnapshotResponse:  # noqa: N802
        """Delete a snapshot of a collection."""
        self._snapshots.delete(request.collection_name, request.snapshot_name)
        return messages.DeleteSnapshotResponse()

    def CreateFull(self, _request: messages.CreateFullSnapshotRequest) -> messages.CreateSnapshotResponse:  # noqa: N802
        """Make a snapshot of everything."""
        return messages.CreateSnapshotResponse(snapshot_description=description_of(self._snapshots.create_full()))

    def ListFull(self, _request: messages.ListFullSnapshotsRequest) -> messages.ListSnapshotsResponse:  # noqa: N802
        """List the snapshots of everything."""
        return messages.ListSnapshotsResponse(snapshot_descriptions=map(description_of, self._snapshots.full()))

    def DeleteFull(self, request: messages.DeleteFullSnapshotRequest) -> messages.DeleteSnapshotResponse:  # noqa: N802
        """Delete a snapshot of everything."""
        self._snapshots.delete_full(request.snapshot_name)
        return messages.DeleteSnapshotResponse()


def description_of(info: SnapshotInfo) -> messages.SnapshotDescription:
    """Return the wire form of what is told about a snapshot."""
    description = messages.SnapshotDescription(name=info.name, size=info.size, checksum=info.checksum)
    description.creation_time.seconds = info.created_at_s
    return description
