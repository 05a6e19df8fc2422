"""Ids as numbers and UUIDs in every spelling; records and columns; writing twice; waiting or not."""

from __future__ import annotations

import uuid
from typing import Any

import grpc
from qdrant_client import models

from tests.interop.python.collection import Collection, assert_completed, assert_refused, ids_of

SAME = "f9168c5e-ceb2-4faa-b6bf-329bf39fa1e4"
SPELLINGS = (
    "F9168C5ECEB24faaB6BF329BF39FA1E4",
    SAME,
    SAME.upper(),
    "urn:uuid:F9168C5E-CEB2-4faa-B6BF-329BF39FA1E4",
    "{F9168C5E-CEB2-4faa-B6BF-329BF39FA1E4}",
    uuid.UUID(SAME),
)
GREATEST = 2**64 - 1


async def walk(points: Collection) -> None:
    """Walk through this part of the page."""
    await points.create(3)
    await spellings(points)
    await numbers(points)
    await columns(points)
    await waiting(points)
    gone: list[Any] = [0, 3, SPELLINGS[3]]
    assert_completed(await points.client.delete(points.name, models.PointIdsList(points=gone)))
    assert ids_of((await points.client.scroll(points.name))[0]) == [1, 2, GREATEST]
    await points.drop()


def color(point_id: Any, name: str) -> models.PointStruct:  # noqa: ANN401 # in any spelling
    """Return a point with a color."""
    return models.PointStruct(id=point_id, vector=[0.5, 0.25, 0.125], payload={"color": name})


async def spellings(points: Collection) -> None:
    """Write with each spelling and read with each other: one point."""
    for turn, spelling in enumerate(SPELLINGS):
        await points.put(color(spelling, f"red {turn}"))
        assert await points.count() == 1
        for other in SPELLINGS:
            found = await points.read(other)
            assert (found.id, found.payload) == (SAME, {"color": f"red {turn}"})
            assert found.vector == [0.5, 0.25, 0.125]
    wrong = points.client.upsert(points.name, [color("f9168c5e", "red")])
    await assert_refused(wrong, grpc.StatusCode.INVALID_ARGUMENT)


async def numbers(points: Collection) -> None:
    """Write numbers, twice."""
    for _ in range(2):
        await points.put(color(1, "red"), color(2, "green"), color(GREATEST, "blue"))
        assert await points.count() == 4
        assert (await points.read(GREATEST)).id == GREATEST
    # Written again, a point is replaced as a whole.
    await points.put(models.PointStruct(id=2, vector=[0.0, 0.0, 1.0], payload={"size": 7}))
    assert await points.payload(2) == {"size": 7}


async def columns(points: Collection) -> None:
    """Write the same points by columns, twice."""
    rows = [[0.9, 0.1, 0.1], [0.1, 0.9, 0.1]]
    batch = models.Batch(ids=[1, 2], payloads=[{"color": "red"}, {"color": "green"}], vectors=rows)
    for _ in range(2):
        assert_completed(await points.client.upsert(points.name, batch))
        assert await points.count() == 4
    assert await points.payload(2) == {"color": "green"}


async def waiting(points: Collection) -> None:
    """A write that waits is completed, one that does not is acknowledged; both have ascending numbers."""
    first = await points.client.upsert(points.name, [color(3, "blue")], wait=True)
    second = await points.client.upsert(points.name, [color(3, "grey")], wait=False)
    assert (first.status, second.status) == (models.UpdateStatus.COMPLETED, models.UpdateStatus.ACKNOWLEDGED)
    assert (first.operation_id or 0) < (second.operation_id or 0)
    # A write that waits comes after the one that did not.
    await points.put(color(2, "green"))
    assert await points.payload(3) == {"color": "grey"}
