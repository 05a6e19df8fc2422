"""The RPC table: every method of the protocol by its full path, as a function from request bytes to reply bytes.

A transport needs nothing else (and no method knows which one it is called through). Health and reflection are the
transport's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pointstore.wire.collections import collection_methods
from pointstore.wire.points import point_methods
from pointstore.wire.service import service_methods
from pointstore.wire.snapshots import snapshot_methods
from pointstore.wire.unary import guarded
from pointstore.wire.unimplemented import unimplemented
from qdrant_grpc import POOL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pointstore.engine.engine import Engine
    from pointstore.engine.snapshots import Snapshots
    from pointstore.wire.unary import Handler

SERVICES: Final = ("qdrant.Qdrant", "qdrant.Collections", "qdrant.Points", "qdrant.Snapshots")

_MISSING: Final = {
    "SearchMatrixPairs": "distance matrices",
    "SearchMatrixOffsets": "distance matrices",
    "SearchGroups": "groups",
    "RecommendGroups": "groups",
    "QueryGroups": "groups",
    "Recommend": "recommendations",
    "RecommendBatch": "recommendations",
    "Discover": "discovery searches",
    "DiscoverBatch": "discovery searches",
}


def method_paths() -> Iterator[str]:
    """Yield the full path of every method of the protocol."""
    for service in SERVICES:
        for method in POOL.FindServiceByName(service).methods:
            yield f"/{service}/{method.name}"


def build_methods(engine: Engine, snapshots: Snapshots) -> dict[str, Handler]:
    """Return the handlers of all methods; none of them raises anything but the transport's own abort."""
    served = {
        **service_methods(),
        **collection_methods(engine),
        **point_methods(engine),
        **snapshot_methods(snapshots),
    }
    handlers = {path: served.get(path) or _missing(path) for path in method_paths()}
    return {path: guarded(path, handler) for path, handler in handlers.items()}


def _missing(path: str) -> Handler:
    name = path.rpartition("/")[2]
    return unimplemented(path, _MISSING.get(name, "such requests"))
