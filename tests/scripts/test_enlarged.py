"""The enlarged corpus: exact shares, rows that differ, filters that say what is selected, recall by scores."""

from __future__ import annotations

import numpy as np
import pytest

from qdrant_grpc.points_pb2 import DenseVector, PointStruct
from scripts.benchmark.enlarged import (
    GRADES,
    PLAIN,
    SELECTIONS,
    SHELVES,
    Exact,
    Selection,
    draw_fields,
    encoded_payload,
    enlarge,
    exact_scores,
    packed_floats,
    recall,
)
from scripts.benchmark.filters import Answers, equal_ef

POINTS = 3000


def test_shares_are_exact() -> None:
    fields = draw_fields(POINTS)
    assert set(np.bincount(fields.bucket)) == {POINTS // 1000}
    for grade, permille in GRADES.items():
        assert len(fields.selected(Selection(("grade", grade)), 0)) == POINTS * permille // 1000
    assert len(fields.selected(Selection(("origin", "main")), 0)) == POINTS * 8 // 10
    assert set(np.bincount(fields.shelf)) == {POINTS // SHELVES}


@pytest.mark.parametrize("share", SELECTIONS)
def test_selections_leave_about_their_share(share: str) -> None:
    fields = draw_fields(100_000)
    for kind, selection in SELECTIONS[share].items():
        sizes = [len(fields.selected(selection, number)) for number in range(0, 1000, 100)]
        wanted = 1000 * float(share)
        assert sizes == pytest.approx([wanted] * 10, rel=0.3 if kind == "both" else 1e-9)


def test_a_filter_selects_what_its_payloads_say() -> None:
    fields = draw_fields(POINTS)
    selection = Selection(("grade", "half"), 200)
    number = 123
    condition = selection.encoded(number, PLAIN)
    keyword, bucket = (each.field for each in condition.must)
    assert [keyword.key, bucket.key] == ["grade_plain", "bucket_plain"]
    chosen = [
        point
        for point in range(POINTS)
        if fields.payload(point)[keyword.key] == keyword.match.keyword
        and bucket.range.gte <= fields.payload(point)[bucket.key] < bucket.range.lt  # type: ignore[operator]
    ]
    assert chosen == fields.selected(selection, number).tolist()
    assert 0 < len(chosen) < POINTS


def test_ranges_of_queries_differ_and_fit() -> None:
    starts = [Selection(width=625).start(number) for number in range(1000)]
    assert len(set(starts)) > 300
    assert min(starts) >= 0
    assert max(starts) + 625 <= 1000


def test_no_row_comes_twice_and_all_have_unit_length() -> None:
    vectors = np.random.default_rng(1).normal(size=(40, 8)).astype(np.float16)
    rows = enlarge(vectors, 150)
    assert rows.shape == (150, 8)
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-5)
    assert len(np.unique(rows, axis=0)) == 150
    given = vectors.astype(np.float32)
    nearest = (rows @ (given / np.linalg.norm(given, axis=1, keepdims=True)).T).argmax(axis=1)
    assert (nearest == np.arange(150) % 40).mean() > 0.8


def test_packed_floats_are_a_vector() -> None:
    for size in (1, 31, 32, 384, 5000):
        row = np.arange(size, dtype=np.float32)
        assert DenseVector.FromString(packed_floats(row)) == DenseVector(data=row.tolist())


def test_payloads_one_behind_the_other_are_one_payload() -> None:
    both = PointStruct.FromString(encoded_payload({"a": 1}) + encoded_payload({"b": "two"}))
    assert both == PointStruct.FromString(encoded_payload({"a": 1, "b": "two"}))


def test_exact_scores_and_recall() -> None:
    rng = np.random.default_rng(3)
    rows = enlarge(rng.normal(size=(300, 6)).astype(np.float16), 300)
    queries = rng.normal(size=(20, 6)).astype(np.float32)
    subset = np.arange(0, 300, 3)
    few = np.array([5, 7])
    exact = exact_scores(rows, queries, {"all": [None] * 20, "third": [subset] * 20, "few": [few] * 20}, 10)
    order = np.argsort(-(queries @ rows.T), axis=1)
    best = [row[:10].tolist() for row in order]
    third = [[int(i) for i in row if i % 3 == 0][:10] for row in order]
    assert recall(rows, queries, exact["all"], best) == 1
    assert recall(rows, queries, exact["third"], third) == 1
    assert recall(rows, queries, exact["few"], [[5, 7]] * 20) == 1
    assert recall(rows, queries, exact["few"], [[5]] * 20) == 0.5
    # What is found twice counts once, what is farther than the tenth not at all.
    assert recall(rows, queries, exact["all"], [[row[0]] * 10 for row in best]) == pytest.approx(0.1)
    assert recall(rows, queries, exact["all"], [row[-10:].tolist() for row in order]) == 0


def test_equally_near_points_are_equally_right() -> None:
    rows = np.array([[1, 0], [1, 0], [0, 1]], np.float32)
    query = np.array([[1, 0]], np.float32)
    exact = Exact(np.array([1], np.float32), np.array([1]))
    assert [recall(rows, query, exact, [[point]]) for point in range(3)] == [1, 1, 0]


def test_equal_ef_is_the_lowest_that_reaches_a_recall() -> None:
    answers = {ef: Answers(found, [0.001]) for ef, found in {16: 0.9, 32: 0.98, 64: 0.97, 128: 0.99}.items()}
    assert equal_ef(answers, 0.95) == 32
    assert equal_ef(answers, 0.985) == 128
    assert equal_ef(answers, 1.0) == 128
