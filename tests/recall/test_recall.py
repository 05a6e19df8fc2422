"""Recall of what a collection does to an index over its life: build, extend, delete, filter.

The data are Gaussian clusters of low intrinsic dimension, a stand-in for embeddings. Bounds are a few points under what
was measured, so that a wrong parameter or selector fails and another thread schedule does not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pointstore.core.schema import Distance
from pointstore.core.space import Floats, Space
from pointstore.index import dense
from pointstore.index import slots as bits
from pointstore.index.dense import DenseIndex, DenseSegment, IndexBuilder, Kind

if TYPE_CHECKING:
    from pathlib import Path

    from pointstore.index.slots import Slots

DIM = 96
LATENT = 24
ROWS = 20_000
QUERIES = 100
K = 10
EF = 100
SPACE = Space(DIM, Distance.COSINE, np.dtype("<f4"))


def sample(count: int, seed: int) -> Floats:
    shared = np.random.default_rng(0)
    centres, directions = shared.normal(size=(200, LATENT)), shared.normal(size=(LATENT, DIM))
    rng = np.random.default_rng(seed)
    latent = centres[rng.integers(0, 200, count)] + 0.7 * rng.normal(size=(count, LATENT))
    return SPACE.stored((latent @ directions).astype(np.float32))  # type: ignore[return-value]  # float32 here


@pytest.fixture(scope="module")
def rows() -> Floats:
    """The stored rows."""
    return sample(ROWS, 1)


@pytest.fixture(scope="module")
def queries() -> Floats:
    """Queries that are no rows."""
    return sample(QUERIES, 2)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, rows: Floats) -> Path:
    """The index of all rows, built at once."""
    return write(tmp_path_factory.mktemp("recall") / "index", [rows])


def write(path: Path, parts: list[Floats]) -> Path:
    builder = IndexBuilder(SPACE, Kind.HALF, 16, 100, 2)
    for part in parts:
        builder.add(part)
    builder.write(path)
    return path


def opened(path: Path, rows: Floats, slots: Slots) -> DenseSegment:
    return DenseSegment(SPACE, slots, rows, DenseIndex(path, SPACE, Kind.HALF, slots))


def recall(segment: DenseSegment, queries: Floats, live: bits.SlotSet | None = None) -> float:
    hits = 0
    for query in queries:
        truth, _ = segment.search(query, K, EF, live, exact=True)
        found, _ = segment.search(query, K, EF, live)
        hits += np.intersect1d(truth, found).size
    return hits / (K * len(queries))


def test_build(built: Path, rows: Floats, queries: Floats) -> None:
    assert recall(opened(built, rows, np.arange(ROWS, dtype=np.uint64)), queries) >= 0.97


def test_extend(tmp_path: Path, rows: Floats, queries: Floats) -> None:
    path = write(tmp_path / "index", [rows[:8000], rows[8000:9000], rows[9000:]])
    assert recall(opened(path, rows, np.arange(ROWS, dtype=np.uint64)), queries) >= 0.97


@pytest.mark.parametrize("share", [0.5, 0.1, 0.03, 0.01, 0.001])
@pytest.mark.parametrize("step", [1, 3])
def test_filter(built: Path, rows: Floats, queries: Floats, share: float, step: int) -> None:
    slots = np.arange(ROWS, dtype=np.uint64) * np.uint64(step) + np.uint64(1)
    live = bits.set_of(slots[np.random.default_rng(3).random(ROWS) < share])
    assert recall(opened(built, rows, slots), queries, live) >= 0.97


@pytest.mark.parametrize("share", [0.5, 0.1, 0.03])
def test_filter_by_the_graph_alone(
    built: Path, rows: Floats, queries: Floats, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dense, "ROWS_PER_EF", 0)
    slots = np.arange(ROWS, dtype=np.uint64)
    live = bits.set_of(slots[np.random.default_rng(3).random(ROWS) < share])
    assert recall(opened(built, rows, slots), queries, live) >= 0.95


@pytest.mark.parametrize("dead", [0.05, 0.2])
def test_delete(built: Path, rows: Floats, queries: Floats, dead: float) -> None:
    slots = np.arange(ROWS, dtype=np.uint64)
    live = bits.set_of(slots[np.random.default_rng(4).random(ROWS) >= dead])
    assert recall(opened(built, rows, slots), queries, live) >= 0.97


def test_deleted_neighbourhood(built: Path, rows: Floats, queries: Floats) -> None:
    """The nearest rows are the deleted ones: a search must get past them."""
    slots = np.arange(ROWS, dtype=np.uint64)
    segment = opened(built, rows, slots)
    hits = 0
    for query in queries[:30]:
        nearest, _ = segment.search(query, 300, EF, exact=True)
        live = bits.full(ROWS) - bits.set_of(nearest)
        truth, _ = segment.search(query, K, EF, live, exact=True)
        hits += np.intersect1d(truth, segment.search(query, K, EF, live)[0]).size
    assert hits / (K * 30) >= 0.9
