"""Exact search against a definition in double precision."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pointstore.core.schema import Distance
from pointstore.core.space import Space
from pointstore.index import flat


def defined(space: Space, query: NDArray[np.float32], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    wide = query.astype(np.float64)
    if space.distance is Distance.EUCLID:
        return np.asarray(-np.square(rows - wide).sum(axis=1))
    if space.distance is Distance.MANHATTAN:
        return np.asarray(-np.abs(rows - wide).sum(axis=1))
    products = rows @ wide
    if space.distance is Distance.COSINE:
        return np.asarray(products / (np.linalg.norm(rows, axis=1) * np.linalg.norm(wide)))
    return np.asarray(products)


@pytest.mark.parametrize("distance", Distance)
@pytest.mark.parametrize("dtype", ["<f4", "<f2", "u1"])
@pytest.mark.parametrize("subset", [False, True])
def test_agrees_with_the_definition(distance: Distance, dtype: str, *, subset: bool) -> None:
    rng = np.random.default_rng(3)
    space = Space(300, distance, np.dtype(dtype))
    # More than one block of conversion.
    rows = space.stored(rng.uniform(1, 250, size=(2500, 300)).astype(np.float32))
    query = space.query(rng.uniform(1, 250, size=(1, 300)).astype(np.float32))[0]
    candidates = np.flatnonzero(rng.random(2500) < 0.4) if subset else np.arange(2500)
    expected = defined(space, query, rows.astype(np.float64))
    positions, similarities = flat.search(space, query, rows, 20, candidates if subset else None)
    order = candidates[np.argsort(-expected[candidates], kind="stable")[:20]]
    assert np.allclose(similarities, expected[order], rtol=1e-4)
    assert np.allclose(expected[positions], expected[order], rtol=1e-4)
    assert set(positions) <= set(candidates)


def test_equal_similarities_come_by_position() -> None:
    space = Space(2, Distance.DOT, np.dtype("<f4"))
    rows = np.array([[1, 0], [2, 0], [1, 0], [2, 0], [1, 0], [2, 0]], dtype=np.float32)
    query = np.array([1, 0], dtype=np.float32)
    for k in range(8):
        positions, _ = flat.search(space, query, rows, k)
        assert positions.tolist() == [1, 3, 5, 0, 2, 4][:k]


def test_nothing_to_find() -> None:
    space = Space(2, Distance.DOT, np.dtype("<f4"))
    none = np.empty((0, 2), dtype=np.float32)
    assert flat.search(space, np.ones(2, dtype=np.float32), none, 5)[0].size == 0
    some = np.ones((3, 2), dtype=np.float32)
    assert flat.search(space, np.ones(2, dtype=np.float32), some, 5, np.empty(0, dtype=np.int64))[0].size == 0


def test_not_a_number_is_last() -> None:
    values = np.array([1, np.nan, 3, -np.inf, 2], dtype=np.float32)
    assert flat.top(values, 3).tolist() == [2, 4, 0]
    assert set(flat.top(values, 5).tolist()[3:]) == {1, 3}


def test_every_float16_is_widened_exactly() -> None:
    halves = np.arange(1 << 16, dtype=np.uint16).view(np.float16)
    finite = halves[np.isfinite(halves)]
    assert np.array_equal(flat.widen(finite).view(np.uint32), finite.astype(np.float32).view(np.uint32))
    assert np.array_equal(flat.widen(halves), halves.astype(np.float32), equal_nan=True)
    assert np.isneginf(flat.widen(np.array([-np.inf, 1], dtype=np.float16))[0])
