"""A tiny corpus on disk, read back and turned into requests."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

from qdrant_grpc.json_with_int_pb2 import NullValue
from qdrant_grpc.points_pb2 import UpsertPoints
from scripts.benchmark.corpus import CorpusError, encode_value, query_request, read_corpus, upsert_batches
from scripts.benchmark.session import renamed

if TYPE_CHECKING:
    from pathlib import Path

POINTS, DIM, QUERIES = 5, 4, 2


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    np.save(tmp_path / "vectors.f16.npy", rng.normal(size=(POINTS, DIM)).astype(np.float16))
    np.save(tmp_path / "queries.f16.npy", rng.normal(size=(QUERIES, DIM)).astype(np.float16))
    np.save(tmp_path / "neighbors.i32.npy", np.zeros((QUERIES, 3), np.int32))
    with gzip.open(tmp_path / "payloads.jsonl.gz", "wt", encoding="utf-8") as lines:
        for number in range(POINTS):
            payload = {"name": f"ünit-{number}", "size": number, "homepage": None, "tags": ["a::b"], "essential": True}
            lines.write(json.dumps(payload) + "\n")
    texts = [json.dumps({"text": f"text {number}", "name": f"name {number}"}) for number in range(QUERIES)]
    (tmp_path / "queries.jsonl").write_text("\n".join(texts) + "\n")
    return tmp_path


def test_read(directory: Path) -> None:
    corpus = read_corpus(directory)
    assert len(corpus) == POINTS
    assert corpus.dim == DIM
    assert corpus.texts == ["text 0", "text 1"]
    assert corpus.names == ["name 0", "name 1"]
    assert corpus.queries.dtype == np.float32


def test_a_corpus_without_neighbors_can_still_be_loaded(directory: Path) -> None:
    (directory / "neighbors.i32.npy").unlink()
    assert read_corpus(directory).neighbors is None


@pytest.mark.parametrize("name", ["vectors.f16.npy", "payloads.jsonl.gz", "queries.jsonl"])
def test_a_missing_file_is_named(directory: Path, name: str) -> None:
    (directory / name).unlink()
    with pytest.raises(CorpusError, match=name):
        read_corpus(directory)


def test_files_that_do_not_fit_together_are_refused(directory: Path) -> None:
    (directory / "queries.jsonl").write_text('{"text": "one", "name": "one"}\n')
    with pytest.raises(CorpusError, match="fit together"):
        read_corpus(directory)


def test_batches_hold_every_point_once_in_order(directory: Path) -> None:
    corpus = read_corpus(directory)
    batches = list(upsert_batches(corpus, "c", 2))
    requests = [UpsertPoints.FromString(batch.body) for batch in batches]
    assert [batch.points for batch in batches] == [2, 2, 1]
    assert [len(request.points) for request in requests] == [2, 2, 1]
    points = [point for request in requests for point in request.points]
    assert [point.id.num for point in points] == list(range(POINTS))
    for number, point in enumerate(points):
        assert np.array_equal(np.array(point.vectors.vector.dense.data, np.float32), corpus.vectors[number])
        assert point.payload["name"].string_value == f"ünit-{number}"
        assert point.payload["size"].WhichOneof("kind") == "integer_value"
        assert point.payload["homepage"].WhichOneof("kind") == "null_value"
        assert point.payload["essential"].bool_value
    assert all(request.wait and request.collection_name == "c" for request in requests)


def test_fewer_points_than_there_are(directory: Path) -> None:
    assert [batch.points for batch in upsert_batches(read_corpus(directory), "c", 2, points_max=3)] == [2, 1]


def test_renamed_changes_nothing_but_the_collection(directory: Path) -> None:
    batch = next(upsert_batches(read_corpus(directory), "c", 2))
    before, after = UpsertPoints.FromString(batch.body), UpsertPoints.FromString(renamed(batch, "d").body)
    assert after.collection_name == "d"
    after.collection_name = "c"
    assert after == before


def test_query_request(directory: Path) -> None:
    corpus = read_corpus(directory)
    request = query_request(corpus, 1, "c", payload=True, limit=7)
    assert np.array_equal(np.array(request.query.nearest.dense.data, np.float32), corpus.queries[1])
    assert (request.limit, request.with_payload.enable) == (7, True)
    assert not request.HasField("params")


def test_values_of_every_kind() -> None:
    value = encode_value({"a": [None, True, 1, 1.5, "s"]}).struct_value.fields["a"].list_value.values
    assert value[0].null_value == NullValue.NULL_VALUE
    assert [each.WhichOneof("kind") for each in value] == [
        "null_value", "bool_value", "integer_value", "double_value", "string_value",
    ]  # fmt: skip
