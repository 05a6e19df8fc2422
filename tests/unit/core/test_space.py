"""Tests of vector spaces: storage transforms and similarities (specification part 1, 6.5; part 3, 3)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pointstore.core.schema import Datatype, Distance, VectorParams
from pointstore.core.space import Floats, Space, normalize, space_of, to_uint8

_F4 = np.float32


def _space(distance: Distance, datatype: Datatype | None = None, dim: int = 2) -> Space:
    return space_of(VectorParams(dim, distance, datatype=datatype))


def _rows(*rows: list[float]) -> Floats:
    return np.array(rows, _F4)


@pytest.mark.parametrize("row", [[0.0, 0.0], [1e-4, 1e-4], [0.6, 0.8], [1.0, 0.0], [math.sqrt(1 + 9e-7), 0.0]])
def test_rows_near_zero_or_unit_length_stay_bit_identical(row: list[float]) -> None:
    rows = _rows(row, [3.0, 4.0])
    result = normalize(rows)
    assert result[0].tobytes() == rows[0].tobytes()
    assert result[1] == pytest.approx([0.6, 0.8])


@given(st.lists(st.floats(-1000, 1000, width=32), min_size=3, max_size=3))
def test_normalising_twice_does_not_drift(row: list[float]) -> None:
    once = normalize(_rows(row))
    assert normalize(once).tobytes() == once.tobytes()


def test_normalising_a_row_does_not_depend_on_its_neighbours() -> None:
    rows = np.random.default_rng(1).normal(size=(50, 33)).astype(_F4)
    alone = np.concatenate([normalize(rows[i : i + 1]) for i in range(50)])
    # The order of numpy's summation depends on memory alignment, so the last bit may differ.
    assert np.allclose(normalize(rows), alone, rtol=3e-7, atol=0)


def test_uint8_truncates_and_saturates() -> None:
    given_row = np.array([[3.9, -0.5, -7.0, 255.9, 256.0, 1e30, math.nan, math.inf, -math.inf, 0.999]], _F4)
    assert to_uint8(given_row).tolist() == [[3, 0, 0, 255, 255, 255, 0, 255, 0, 0]]


def test_what_is_stored() -> None:
    row = _rows([3.0, 4.0])
    assert _space(Distance.COSINE).stored(row)[0] == pytest.approx([0.6, 0.8])
    assert _space(Distance.COSINE, Datatype.UINT8).stored(row).tolist() == [[3, 4]]
    assert _space(Distance.COSINE, Datatype.UINT8).stored(row).dtype == np.uint8
    for distance in (Distance.DOT, Distance.EUCLID, Distance.MANHATTAN):
        assert _space(distance).stored(row).tobytes() == row.tobytes()
    half = _space(Distance.COSINE, Datatype.FLOAT16).stored(row)
    assert half.dtype == np.float16
    assert half[0].tolist() == np.array([0.6, 0.8], np.float16).tolist()


@pytest.mark.parametrize("datatype", [None, Datatype.DEFAULT, Datatype.FLOAT32, Datatype.TURBO4, Datatype.TURBO16])
def test_other_datatypes_are_float32(datatype: Datatype | None) -> None:
    space = _space(Distance.DOT, datatype, dim=3)
    assert (space.dtype, space.row_bytes) == (np.dtype("<f4"), 12)


@pytest.mark.filterwarnings("error")
def test_extreme_components_are_stored_without_a_warning() -> None:
    row = _rows([1e30, math.inf], [math.nan, 1e38])
    for datatype in (Datatype.FLOAT16, Datatype.FLOAT32, Datatype.UINT8):
        for distance in Distance:
            assert _space(distance, datatype).stored(row).shape == (2, 2)


_TABLE = {
    Distance.COSINE: ([0.8, 0.96, 0.6, 0.96], False),
    Distance.DOT: ([0.8, 0.96, 0.6, 4.8], False),
    Distance.EUCLID: ([0.632456, 0.282843, 0.894427, 4.049691], True),
    Distance.MANHATTAN: ([0.8, 0.4, 1.2, 5.6], True),
}


@pytest.mark.parametrize("distance", list(Distance))
def test_worked_example(distance: Distance) -> None:
    space = _space(distance)
    rows = space.stored(_rows([1, 0], [0.6, 0.8], [0, 1], [3, 4]))
    scores = space.score_of(space.similarity(space.query(_rows([0.8, 0.6]))[0], rows))
    expected, ascending = _TABLE[distance]
    assert scores == pytest.approx(expected, abs=1e-6)
    assert space.ascending is ascending


def _naive(distance: Distance, query: NDArray[np.float64], row: NDArray[np.float64], *, integral: bool) -> float:
    if distance is Distance.DOT or (distance is Distance.COSINE and not integral):
        return float(sum(a * b for a, b in zip(query, row, strict=True)))
    if distance is Distance.COSINE:
        lengths = math.sqrt(sum(a * a for a in query)) * math.sqrt(sum(a * a for a in row))
        return float(sum(a * b for a, b in zip(query, row, strict=True))) / lengths if lengths else 0.0
    if distance is Distance.EUCLID:
        return -float(sum((a - b) ** 2 for a, b in zip(query, row, strict=True)))
    return -float(sum(abs(a - b) for a, b in zip(query, row, strict=True)))


@pytest.mark.parametrize("datatype", [Datatype.FLOAT32, Datatype.FLOAT16, Datatype.UINT8])
@pytest.mark.parametrize("distance", list(Distance))
def test_similarity_is_the_formula_on_stored_values(distance: Distance, datatype: Datatype) -> None:
    random = np.random.default_rng(int(distance))
    space = _space(distance, datatype, dim=7)
    scale = 200.0 if datatype is Datatype.UINT8 else 2.0
    rows = space.stored((random.normal(size=(20, 7)) * scale).astype(_F4))
    query = space.query((random.normal(size=(1, 7)) * scale).astype(_F4))[0]
    integral = datatype is Datatype.UINT8
    expected = [_naive(distance, query.astype(float), row.astype(float), integral=integral) for row in rows]
    assert space.similarity(query, rows) == pytest.approx(expected, rel=1e-5, abs=1e-5)


def test_uint8_cosine_of_the_specification() -> None:
    space = _space(Distance.COSINE, Datatype.UINT8)
    stored = space.stored(_rows([1.0, 2.0], [0.0, 0.0]))
    found = space.similarity(space.query(_rows([3.9, 4.2]))[0], stored)
    assert found == pytest.approx([0.983870, 0.0], abs=1e-6)


def test_thresholds_are_strict() -> None:
    assert _space(Distance.DOT).passes(0.9, 0.8)
    assert not _space(Distance.DOT).passes(0.8, 0.8)
    assert _space(Distance.EUCLID).passes(4.9, 5.0)
    assert not _space(Distance.EUCLID).passes(5.0, 5.0)
