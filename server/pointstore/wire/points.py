"""The service `qdrant.Points`: one table of its methods."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pointstore.wire.points_indexes import index_methods
from pointstore.wire.points_reads import read_methods
from pointstore.wire.points_writes import write_methods

if TYPE_CHECKING:
    from pointstore.engine.engine import Engine
    from pointstore.wire.unary import Handler

SERVICE: Final = "qdrant.Points"


def point_methods(engine: Engine) -> dict[str, Handler]:
    """Return the handlers by full path; the methods that are missing here are not implemented."""
    methods = {**write_methods(engine), **read_methods(engine), **index_methods(engine)}
    return {f"/{SERVICE}/{method}": handler for method, handler in methods.items()}
