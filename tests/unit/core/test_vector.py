"""Tests of vectors as clients send them."""

from __future__ import annotations

import numpy as np

from pointstore.core.vector import Dense, sparse


def test_the_dimension_of_packed_floats() -> None:
    assert Dense(b"").dim == 0
    assert Dense(np.zeros(3, "<f4").tobytes()).dim == 3


def test_sparse_vectors_are_sorted_with_their_values() -> None:
    vector = sparse(np.array([7, 2**32 - 1, 0], np.uint32), np.array([1.0, np.inf, -3.0], np.float32))
    assert vector.indices.tolist() == [0, 7, 2**32 - 1]
    assert vector.values.tolist() == [-3.0, 1.0, np.inf]
    assert vector.indices.dtype == np.uint32


def test_sorted_sparse_vectors_are_not_copied() -> None:
    indices, values = np.array([1, 2], np.uint32), np.array([0.5, 0.25], np.float32)
    assert sparse(indices, values).indices is indices
    empty = sparse(indices[:0], values[:0])
    assert empty.indices.size == 0
