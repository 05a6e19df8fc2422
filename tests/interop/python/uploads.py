"""The client's own way of loading: batches taken lazily, sent by several processes, tried again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qdrant_client import models

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt
    from qdrant_client import QdrantClient

COUNT = 300
BATCH = 16


def walk(client: QdrantClient, name: str) -> None:
    """Upload columns and records, both twice."""
    rows = np.random.default_rng(3).normal(size=(COUNT, 8)).astype(np.float32)
    if client.collection_exists(name):
        client.delete_collection(name)
    assert client.create_collection(name, models.VectorParams(size=8, distance=models.Distance.EUCLID))
    for parallel in (1, 4):
        client.upload_collection(
            name,
            rows[: COUNT // 2],
            payload=({"n": n} for n in range(COUNT // 2)),
            ids=range(COUNT // 2),
            parallel=parallel,
            max_retries=3,
            batch_size=BATCH,
            wait=True,
        )
        assert client.count(name).count == COUNT // 2
    for parallel in (1, 4):
        records = lazily(rows)
        client.upload_points(name, records, parallel=parallel, max_retries=3, batch_size=BATCH, wait=True)
        assert client.count(name).count == COUNT
    found = client.scroll(name, limit=COUNT + 1, with_vectors=True)[0]
    assert [(record.id, record.payload) for record in found] == [(n, {"n": n}) for n in range(COUNT)]
    np.testing.assert_array_equal(np.array([record.vector for record in found], np.float32), rows)
    assert client.delete_collection(name)


def lazily(rows: npt.NDArray[np.float32]) -> Iterator[models.PointStruct]:
    """Make the points of the second half when they are asked for."""
    for n in range(COUNT // 2, COUNT):
        yield models.PointStruct(id=n, vector=rows[n].tolist(), payload={"n": n})
