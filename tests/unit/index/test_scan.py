"""Scans of selected rows through FAISS against numpy's."""

from __future__ import annotations

import numpy as np
import pytest

from pointstore.core.schema import Distance
from pointstore.core.space import Space
from pointstore.index import flat, scan
from pointstore.index import slots as bits
from pointstore.index.dense import DenseSegment

DIM = 20


def rows_of(space: Space, count: int, seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    made = np.random.default_rng(seed).normal(size=(count, DIM)).astype(np.float32)
    return space.stored(made)  # type: ignore[return-value]


@pytest.mark.parametrize("distance", [Distance.COSINE, Distance.DOT, Distance.EUCLID])
def test_the_nearest_of_the_selected_are_proposed(distance: Distance, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "_ROWS_AT_A_TIME", 64)
    space = Space(DIM, distance, np.dtype("<f4"))
    rows = rows_of(space, 1000, 1)
    assert scan.scannable(space, rows)
    rng = np.random.default_rng(2)
    for query in space.query(rows_of(space, 20, 3)):
        positions = np.sort(rng.choice(len(rows), 300, replace=False))
        expected, _ = flat.search(space, query, rows, 10, positions)
        assert scan.nearest(space, query, rows, positions, 10).tolist() == expected.tolist()


def test_what_faiss_cannot_compare_is_not_tried() -> None:
    space = Space(DIM, Distance.COSINE, np.dtype("<f2"))
    assert not scan.scannable(space, rows_of(space, 10, 1))
    space = Space(DIM, Distance.MANHATTAN, np.dtype("<f4"))
    assert not scan.scannable(space, rows_of(space, 10, 1))
    space = Space(DIM, Distance.COSINE, np.dtype("<f4"))
    assert not scan.scannable(space, rows_of(space, 20, 1)[::2])


@pytest.mark.parametrize("distance", list(Distance))
@pytest.mark.parametrize("dtype", ["<f4", "<f2", "u1"])
def test_a_segment_returns_the_numbers_of_the_reference(distance: Distance, dtype: str) -> None:
    space = Space(DIM, distance, np.dtype(dtype))
    rows = space.stored(np.random.default_rng(4).normal(size=(2000, DIM)).astype(np.float32) * 40 + 100)
    # Equal rows are returned by slot, and rows that cannot be compared last.
    rows[100:120] = rows[7]
    if dtype != "u1":
        rows[200:210] = np.nan
    slots = np.arange(5, 2005, dtype=np.uint64)
    segment = DenseSegment(space, slots, rows, None)
    chosen = np.sort(np.random.default_rng(5).choice(2000, 700, replace=False))
    chosen = np.union1d(chosen, np.r_[7, 100:120, 200:210])
    live = bits.set_of(slots[chosen])
    query = space.query(rows[7:8].astype(np.float32))[0]
    for k in (1, 10, 40, 700):
        positions, similarities = flat.search(space, query, rows, k, chosen)
        found, scores = segment.search(query, k, 100, live)
        assert np.allclose(scores, similarities, rtol=1e-5, atol=1e-3, equal_nan=True)
        assert found[:10].tolist() == slots[positions][:10].tolist()
