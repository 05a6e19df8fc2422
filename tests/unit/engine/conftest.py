"""Engines and collections for the tests of the engine layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pointstore.core.schema import (
    CollectionConfig,
    Distance,
    MultiVectorConfig,
    SparseVectorParams,
    VectorParams,
)
from tests.building import running_engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pointstore.engine.collection import Collection
    from pointstore.engine.engine import Engine


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Return an engine on an empty data directory."""
    with running_engine(tmp_path / "data") as opened:
        yield opened


@pytest.fixture
def collection(engine: Engine) -> Collection:
    """Return an empty collection `c` with spaces of every kind: "", dense "b", multi "m", sparse "s"."""
    config = CollectionConfig(
        vectors={
            "": VectorParams(2, Distance.DOT),
            "b": VectorParams(3, Distance.EUCLID),
            "m": VectorParams(2, Distance.COSINE, multivector_config=MultiVectorConfig()),
        },
        sparse_vectors={"s": SparseVectorParams()},
    )
    engine.create_collection("c", config)
    return engine.collection("c")
