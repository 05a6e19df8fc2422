"""Named, sparse and multi-vectors: written, some left out, updated, deleted, searched."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
from qdrant_client import models

from tests.interop.python.collection import Collection, assert_completed, assert_refused, ids_of

IMAGE = [0.5, 0.125, 0.25, 0.75]
TEXT = [0.5, 0.75, 0.125, 0.25, 0.125, 0.125, 1.0, 0.25]


async def walk(points: Collection) -> None:
    """Walk through this part of the page."""
    rows = models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM)
    await points.create(
        vectors_config={
            "image": models.VectorParams(size=4, distance=models.Distance.DOT),
            "text": models.VectorParams(size=8, distance=models.Distance.DOT),
            "tokens": models.VectorParams(size=2, distance=models.Distance.DOT, multivector_config=rows),
        },
        sparse_vectors_config={"terms": models.SparseVectorParams()},
    )
    await named(points)
    await sparse_and_multi(points)
    await update(points)
    await deletion(points)
    await points.drop()


def point(number: int, **vectors: Any) -> models.PointStruct:  # noqa: ANN401 # vectors of every kind
    """Return a point with these vectors."""
    return models.PointStruct(id=number, vector=vectors)


async def vectors(points: Collection, number: int) -> dict[str, Any]:
    """Return the vectors of a point by name."""
    found = (await points.read(number)).vector
    return found if isinstance(found, dict) else {}


async def named(points: Collection) -> None:
    """Both vectors, or one of them."""
    await points.put(
        point(1, image=IMAGE, text=TEXT),
        point(2, image=IMAGE, text=TEXT),
        point(3, image=[0.25, 0.125, 0.5, 1.0]),
        point(4, text=TEXT),
    )
    assert await vectors(points, 1) == {"image": IMAGE, "text": TEXT}
    assert set(await vectors(points, 3)) == {"image"}
    assert set(await vectors(points, 4)) == {"text"}
    # Written again with one vector, a point has only that.
    await points.put(point(2, text=TEXT))
    assert set(await vectors(points, 2)) == {"text"}
    (found,) = await points.client.retrieve(points.name, [1], with_vectors=["image"])
    assert found.vector == {"image": IMAGE}
    hits = (await points.client.query_points(points.name, IMAGE, using="image")).points
    assert [(hit.id, hit.score) for hit in hits] == [(3, 1.015625), (1, 0.890625)]
    wrong = points.client.upsert(points.name, [point(5, image=[0.5] * 3)])
    await assert_refused(wrong, grpc.StatusCode.INVALID_ARGUMENT)


async def sparse_and_multi(points: Collection) -> None:
    """Indices come back sorted, rows in their order."""
    terms = models.SparseVector(indices=[7, 1, 6], values=[2.0, 0.5, 1.0])
    rows = [[0.5, 0.25], [0.125, 1.0], [0.75, 0.5]]
    await points.put(point(6, terms=terms), point(7, tokens=rows))
    found = (await vectors(points, 6))["terms"]
    assert (found.indices, found.values) == ([1, 6, 7], [0.5, 1.0, 2.0])
    assert (await vectors(points, 7)) == {"tokens": rows}
    twice = models.SparseVector(indices=[1, 1], values=[0.1, 0.2])
    wrong = points.client.upsert(points.name, [point(8, terms=twice)])
    await assert_refused(wrong, grpc.StatusCode.INVALID_ARGUMENT)


async def update(points: Collection) -> None:
    """Change one vector, leave the others."""
    changed = [
        models.PointVectors(id=1, vector={"image": [0.0, 0.25, 0.5, 0.75]}),
        models.PointVectors(id=2, vector={"image": np.array([0.75, 0.5, 0.25, 0.0], np.float32).tolist()}),
    ]
    assert_completed(await points.client.update_vectors(points.name, changed))
    assert await vectors(points, 1) == {"image": [0.0, 0.25, 0.5, 0.75], "text": TEXT}
    assert await vectors(points, 2) == {"image": [0.75, 0.5, 0.25, 0.0], "text": TEXT}
    missing = [models.PointVectors(id=99, vector={"image": IMAGE})]
    await assert_refused(points.client.update_vectors(points.name, missing), grpc.StatusCode.NOT_FOUND)


async def deletion(points: Collection) -> None:
    """Points stay, even without vectors."""
    await points.put(point(0, text=TEXT), point(10, text=TEXT))
    names = ["text", "image"]
    assert_completed(await points.client.delete_vectors(points.name, names, [0, 3, 10]))
    for number in (0, 3, 10):
        assert not await vectors(points, number)
    assert set(await vectors(points, 1)) == {"image", "text"}
    assert ids_of((await points.client.scroll(points.name))[0]) == [0, 1, 2, 3, 4, 6, 7, 10]
    missing = points.client.delete_vectors(points.name, names, [0, 3, 99])
    await assert_refused(missing, grpc.StatusCode.NOT_FOUND)
