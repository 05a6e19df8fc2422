"""Graphs against the exact scan, for every distance and stored dtype."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest

from pointstore.core.schema import Distance
from pointstore.core.space import Floats, Rows, Space
from pointstore.index import dense
from pointstore.index import slots as bits
from pointstore.index.dense import DenseIndex, DenseSegment, IndexBuilder, IndexRefusedError, Kind

if TYPE_CHECKING:
    from pathlib import Path

    from pointstore.index.slots import Slots

DIM = 24
ROWS = 3000
K = 10
EF = 128
COMBINATIONS = [(distance, dtype) for distance in Distance for dtype in ("<f4", "<f2", "u1")]


class Case(NamedTuple):
    """A built index with everything it was built from."""

    space: Space
    kind: Kind
    rows: Rows
    queries: Floats
    path: Path

    def segment(self, slots: Slots) -> DenseSegment:
        """Open the index from its file."""
        return DenseSegment(self.space, slots, self.rows, DenseIndex(self.path, self.space, self.kind, slots))


def clustered(count: int, seed: int) -> Floats:
    centres = np.random.default_rng(0).normal(size=(30, DIM)) * 40
    rng = np.random.default_rng(seed)
    # Around 100, so that little is cut off in uint8; for Dot, norms differ less than directions.
    return (centres[rng.integers(0, 30, count)] + rng.normal(size=(count, DIM)) * 25 + 100).astype(np.float32)


def built(path: Path, distance: Distance, dtype: str, parts: int = 1) -> Case:
    space = Space(DIM, distance, np.dtype(dtype))
    rows = space.stored(clustered(ROWS, 1))
    kind = dense.choose_kind(space, dense.blocks_of(rows))
    builder = IndexBuilder(space, kind, 16, 100, 2)
    for part in np.array_split(rows, parts):
        builder.add(part)
    builder.write(path)
    return Case(space, kind, rows, space.query(clustered(20, 2)), path)


@pytest.fixture(scope="module")
def euclid(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """One case for the tests that do not depend on the distance."""
    return built(tmp_path_factory.mktemp("dense") / "index", Distance.EUCLID, "<f4")


@pytest.fixture
def _graphs_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away the planner's exact scans, which are what small tests would compare with themselves."""
    monkeypatch.setattr(dense, "ROWS_PER_EF", 0)


def recall(segment: DenseSegment, queries: Floats, live: bits.SlotSet | None) -> float:
    hits = 0
    for query in queries:
        exact, truth = segment.search(query, K, EF, live, exact=True)
        found, similarities = segment.search(query, K, EF, live)
        assert found.size == exact.size
        assert live is None or bits.test(live, found).all()
        # Scores are those of the raw rows, not of the index's store.
        expected = segment.space.similarity(query, segment.rows_of(found))
        assert np.allclose(similarities, expected, rtol=1e-6)
        assert np.all(similarities[:-1] >= similarities[1:])
        # Rows of equal similarity are equally good.
        hits += int((similarities >= truth[-1]).sum())
    return hits / (K * len(queries))


@pytest.mark.usefixtures("_graphs_only")
@pytest.mark.parametrize(("distance", "dtype"), COMBINATIONS)
@pytest.mark.parametrize("step", [1, 3])
def test_finds_what_the_exact_scan_finds(tmp_path: Path, distance: Distance, dtype: str, step: int) -> None:
    case = built(tmp_path / "index", distance, dtype)
    slots = np.arange(ROWS, dtype=np.uint64) * np.uint64(step) + np.uint64(13)
    segment = case.segment(slots)
    # Inner products have no triangle inequality, and large rows attract every path.
    least = 0.85 if distance is Distance.DOT else 0.97
    assert recall(segment, case.queries, None) >= least
    rng = np.random.default_rng(5)
    for share in (0.7, 0.2):
        live = bits.set_of(slots[rng.random(ROWS) < share])
        assert recall(segment, case.queries, live) >= least


@pytest.mark.usefixtures("_graphs_only")
@pytest.mark.parametrize("first", range(9))
@pytest.mark.parametrize("step", [1, 2])
def test_selects_the_right_slots_wherever_they_begin(euclid: Case, first: int, step: int) -> None:
    slots = np.arange(ROWS, dtype=np.uint64) * np.uint64(step) + np.uint64(first)
    segment = euclid.segment(slots)
    chosen = slots[[0, 1, 700, ROWS - 2, ROWS - 1]]
    for selected in (chosen, chosen[2:3], chosen[-1:]):
        live = bits.set_of(selected)
        for query in euclid.queries[:3]:
            found, _ = segment.search(query, K, EF, live)
            assert sorted(found) == sorted(selected)


@pytest.mark.usefixtures("_graphs_only")
def test_live_set_shorter_than_the_segment(euclid: Case) -> None:
    segment = euclid.segment(np.arange(ROWS, dtype=np.uint64) + np.uint64(3))
    live = bits.full(1000)
    for query in euclid.queries[:5]:
        assert segment.search(query, K, EF, live)[0].max() < 1000
    assert segment.search(euclid.queries[0], K, EF, bits.empty())[0].size == 0


def test_result_is_never_short(euclid: Case) -> None:
    slots = np.arange(ROWS, dtype=np.uint64)
    segment = euclid.segment(slots)
    # The farthest rows: the graph visits none of them on its way.
    order, _ = segment.search(euclid.queries[0], ROWS, EF, exact=True)
    for selected in (3, 50, 400, 2500):
        live = bits.set_of(order[-selected:])
        for k in (1, 10, 600, 5000):
            assert segment.search(euclid.queries[0], k, 16, live)[0].size == min(k, selected)
    assert segment.search(euclid.queries[0], 5000, 16)[0].size == ROWS
    assert segment.search(euclid.queries[0], 0, 16)[0].size == 0


@pytest.mark.usefixtures("_graphs_only")
@pytest.mark.parametrize(("distance", "dtype"), COMBINATIONS)
def test_continued_index_is_as_good(tmp_path: Path, distance: Distance, dtype: str) -> None:
    space = Space(DIM, distance, np.dtype(dtype))
    rows = space.stored(clustered(ROWS, 1))
    kind = dense.choose_kind(space, dense.blocks_of(rows))
    builder = IndexBuilder(space, kind, 16, 100, 1)
    builder.add(rows[:1000])
    builder.write(tmp_path / "first")
    for start in range(1000, ROWS, 500):
        builder = IndexBuilder.load(tmp_path / "first", space, kind, 16, 100, 2)
        builder.add(rows[start : start + 500])
        builder.write(tmp_path / "first")
    assert builder.rows == ROWS
    case = Case(space, kind, rows, space.query(clustered(20, 2)), tmp_path / "first")
    least = 0.85 if distance is Distance.DOT else 0.97
    assert recall(case.segment(np.arange(ROWS, dtype=np.uint64)), case.queries, None) >= least


@pytest.mark.usefixtures("_graphs_only")
@pytest.mark.parametrize("step", [1, 2])
def test_many_threads_search_one_index(euclid: Case, step: int) -> None:
    slots = np.arange(ROWS, dtype=np.uint64) * np.uint64(step) + np.uint64(5)
    segment = euclid.segment(slots)
    rng = np.random.default_rng(9)
    lives = [None, *(bits.set_of(slots[rng.random(ROWS) < share]) for share in (0.9, 0.5, 0.3))]
    jobs = [(query, live, k) for query in euclid.queries for live in lives for k in (1, 10, 40)] * 4

    def answer(job: tuple[Floats, bits.SlotSet | None, int]) -> list[int]:
        return [int(slot) for slot in segment.search(job[0], job[2], 64, job[1])[0]]

    alone = [answer(job) for job in jobs]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(answer, jobs)) == alone


def test_rows_of_slots(euclid: Case) -> None:
    for step in (1, 4):
        slots = np.arange(ROWS, dtype=np.uint64) * np.uint64(step) + np.uint64(5)
        segment = euclid.segment(slots)
        assert np.array_equal(segment.rows_of(slots[[7, 3, 2999]]), euclid.rows[[7, 3, 2999]])
        for absent in (4, int(slots[-1]) + 1, 1 << 60):
            with pytest.raises(KeyError):
                segment.rows_of(np.array([5, absent], dtype=np.uint64))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_rows_unfit_for_a_graph(bad: float) -> None:
    space = Space(DIM, Distance.EUCLID, np.dtype("<f4"))
    rows = clustered(100, 1)
    rows[50, 3] = bad
    assert dense.choose_kind(space, [rows]) is Kind.SCAN


def test_float16_is_refused_where_it_would_lose_the_differences() -> None:
    space = Space(DIM, Distance.EUCLID, np.dtype("<f4"))
    rows = np.random.default_rng(1).normal(size=(500, DIM)).astype(np.float32)
    assert dense.choose_kind(space, [rows]) is Kind.HALF
    assert dense.choose_kind(space, [rows + 5000]) is Kind.FLOAT
    assert dense.choose_kind(space, [rows * 1e-7]) is Kind.FLOAT
    assert dense.choose_kind(space, [rows * 1e5]) is Kind.FLOAT
    assert dense.choose_kind(space, [np.ones((5, DIM), dtype=np.float32)]) is Kind.HALF


@pytest.mark.usefixtures("_graphs_only")
@pytest.mark.parametrize("change", [lambda rows: rows + 50_000, lambda rows: rows * 1e4, lambda rows: rows * 1e-6])
def test_rows_beyond_float16_are_still_found(tmp_path: Path, change: object) -> None:
    assert callable(change)
    space = Space(DIM, Distance.EUCLID, np.dtype("<f4"))
    rows, queries = change(clustered(ROWS, 1)).astype(np.float32), change(clustered(20, 2)).astype(np.float32)
    kind = dense.choose_kind(space, dense.blocks_of(rows))
    builder = IndexBuilder(space, kind, 16, 100, 2)
    builder.add(rows)
    builder.write(tmp_path / "index")
    case = Case(space, kind, rows, queries, tmp_path / "index")
    assert recall(case.segment(np.arange(ROWS, dtype=np.uint64)), queries, None) >= 0.97


@pytest.mark.usefixtures("_graphs_only")
def test_query_that_is_not_finite_is_answered_exactly(euclid: Case) -> None:
    segment = euclid.segment(np.arange(ROWS, dtype=np.uint64))
    query = euclid.queries[0].copy()
    for value in (np.nan, np.inf, 1e30):
        query[0] = value
        assert segment.search(query, K, EF)[0].size == K


def test_files_that_are_not_this_index_are_refused(tmp_path: Path, euclid: Case) -> None:
    slots = np.arange(ROWS, dtype=np.uint64)
    other = tmp_path / "other"
    other.write_bytes(euclid.path.read_bytes()[:1000])
    refused = [
        (other, euclid.space, euclid.kind, slots),
        (tmp_path / "missing", euclid.space, euclid.kind, slots),
        (euclid.path, Space(DIM + 1, Distance.EUCLID, np.dtype("<f4")), euclid.kind, slots),
        (euclid.path, Space(DIM, Distance.DOT, np.dtype("<f4")), euclid.kind, slots),
        (euclid.path, euclid.space, Kind.FLOAT, slots),
        (euclid.path, euclid.space, euclid.kind, slots[:-1]),
    ]
    for path, space, kind, its_slots in refused:
        with pytest.raises(IndexRefusedError):
            DenseIndex(path, space, kind, its_slots)
    segment = dense.open_dense(euclid.space, slots, euclid.rows, other, euclid.kind)
    assert not segment.indexed
    assert segment.search(euclid.queries[0], K, EF)[0].size == K
    assert dense.open_dense(euclid.space, slots, euclid.rows, euclid.path, euclid.kind).indexed
    assert not dense.open_dense(euclid.space, slots, euclid.rows, None, Kind.SCAN).indexed


def test_index_file_may_be_unlinked_while_open(tmp_path: Path) -> None:
    case = built(tmp_path / "index", Distance.COSINE, "<f4")
    segment = case.segment(np.arange(ROWS, dtype=np.uint64))
    before = segment.search(case.queries[0], K, EF)[0]
    case.path.unlink()
    assert np.array_equal(segment.search(case.queries[0], K, EF)[0], before)


def test_ef_grows_fast_for_weak_filters_and_less_beyond() -> None:
    assert dense.raised_ef(100, 1.0) == 100
    assert 110 < dense.raised_ef(100, 0.9) < 125
    assert 140 < dense.raised_ef(100, 0.8) < 145
    assert dense.raised_ef(100, 0.5) == 300
    assert dense.raised_ef(100, 0.2) == 300
    assert 300 < dense.raised_ef(100, 0.1) < 1000
