"""BM25 over text indexes: the server ranks as the original engine, by point and by element of an array."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from qdrant_client import models

from tests.compat.comparing import same

pytest.importorskip("qdrant_edge", reason="the embedded original engine has no package for this platform")

import qdrant_edge as edge

from tests.compat.filter_programs import opened

if TYPE_CHECKING:
    from pathlib import Path

    from qdrant_client import QdrantClient

WORDS = ["red", "Fox", "blue", "sky", "over", "the", "sea", "green"]
FIELDS = {"t": None, "o[].t": "o", "o[].deep[].t": "o"}


def text(rng: random.Random) -> object:
    """Return words, or what an index overlooks."""
    draw = rng.random()
    if draw < 0.1:
        return rng.choice([None, "", 5, {"t": "red"}])
    made = [" ".join(rng.choices(WORDS, k=rng.randint(1, 12))) for _ in range(rng.choice([1, 1, 1, 3]))]
    return made if len(made) > 1 else made[0]


def payload(rng: random.Random) -> dict[str, Any]:
    """Return texts at the top and in the elements of an array."""
    objects: list[object] = [
        {"t": text(rng), "deep": [{"t": text(rng)} for _ in range(rng.randint(0, 2))]} for _ in range(rng.randint(0, 3))
    ]
    if rng.random() < 0.2:
        objects.insert(rng.randint(0, len(objects)), rng.choice([1, "red", None, {"u": "red"}]))
    return {"t": text(rng), "o": objects}


@pytest.mark.parametrize("seed", range(3))
def test_ranking(remote: QdrantClient, name: str, tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    remote.create_collection(name, models.VectorParams(size=2, distance=models.Distance.EUCLID))
    with opened(tmp_path / "shard") as shard:

        def index(field: str, nested: str | None) -> None:
            schema = models.TextIndexParams(type=models.TextIndexType.TEXT, scoring=True, nested=nested)
            remote.create_payload_index(name, field, schema, wait=True)
            theirs = edge.TextIndexParams(tokenizer=edge.TokenizerType.Word, scoring=True, nested=nested)
            shard.update(edge.UpdateOperation.create_field_index(field, theirs))

        def upsert(ids: list[int]) -> None:
            payloads = {i: payload(rng) for i in ids}
            remote.upsert(name, [models.PointStruct(id=i, vector={}, payload=payloads[i]) for i in ids])
            shard.update(edge.UpdateOperation.upsert_points([edge.Point(i, {}, payloads[i]) for i in ids]))

        # Some of it is indexed when it is written, some late.
        index("t", None)
        upsert(list(range(60)))
        for field, nested in FIELDS.items():
            index(field, nested)
        for _ in range(6):
            upsert(rng.sample(range(80), 10))
            gone: list[Any] = rng.sample(range(80), 3)
            remote.delete(name, gone)
            shard.update(edge.UpdateOperation.delete_points(gone))
            for field in FIELDS:
                compare(remote, shard, name, field, " ".join(rng.choices([*WORDS, "zebra"], k=rng.randint(1, 3))))
    remote.delete_collection(name)


def compare(remote: QdrantClient, shard: edge.EdgeShard, name: str, field: str, words: str) -> None:
    """Compare the scores of all points."""
    ours = remote.query_points(name, models.TextQuery(text=words), using=field, limit=1000).points
    theirs = shard.query(edge.QueryRequest(1000, query=edge.TextQuery(field, words)))
    assert same({hit.id: hit.score for hit in ours}, {hit.id: hit.score for hit in theirs}), (field, words)
