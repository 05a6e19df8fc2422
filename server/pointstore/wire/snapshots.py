"""The service `qdrant.Snapshots`: requests are validated, snapshots are not implemented."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pointstore.wire.unimplemented import unimplemented

if TYPE_CHECKING:
    from pointstore.wire.unary import Handler

_METHODS = ("Create", "List", "Delete", "CreateFull", "ListFull", "DeleteFull")


def snapshot_methods() -> dict[str, Handler]:
    """Return the handlers by full path."""
    return {f"/qdrant.Snapshots/{name}": unimplemented(f"/qdrant.Snapshots/{name}", "snapshots") for name in _METHODS}
