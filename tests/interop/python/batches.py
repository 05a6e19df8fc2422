"""A batch of all eight operations, applied in their order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qdrant_client import models

if TYPE_CHECKING:
    from tests.interop.python.collection import Collection

OPERATIONS: list[Any] = [
    models.UpsertOperation(
        upsert=models.PointsList(points=[models.PointStruct(id=1, vector=[1.0, 2.0, 3.0, 4.0], payload={})])
    ),
    models.UpdateVectorsOperation(
        update_vectors=models.UpdateVectors(points=[models.PointVectors(id=1, vector=[4.0, 3.0, 2.0, 1.0])])
    ),
    models.DeleteVectorsOperation(delete_vectors=models.DeleteVectors(points=[1], vector=[""])),
    models.OverwritePayloadOperation(overwrite_payload=models.SetPayload(payload={"first": 1}, points=[1])),
    models.SetPayloadOperation(set_payload=models.SetPayload(payload={"second": 2, "third": 3}, points=[1])),
    models.DeletePayloadOperation(delete_payload=models.DeletePayload(keys=["second"], points=[1])),
    models.ClearPayloadOperation(clear_payload=models.PointIdsList(points=[1])),
    models.DeleteOperation(delete=models.PointIdsList(points=[1])),
]
# What the point has after so many of them.
TRACES: list[tuple[dict[str, int], list[float] | None]] = [
    ({}, [1.0, 2.0, 3.0, 4.0]),
    ({}, [4.0, 3.0, 2.0, 1.0]),
    ({}, None),
    ({"first": 1}, None),
    ({"first": 1, "second": 2, "third": 3}, None),
    ({"first": 1, "third": 3}, None),
    ({}, None),
]


async def walk(points: Collection) -> None:
    """Walk through this part of the page."""
    await points.create(4)
    for taken, (payload, vector) in enumerate(TRACES, start=1):
        await apply(points, taken, wait=True)
        found = await points.read(1)
        assert (found.payload or {}, found.vector or None) == (payload, vector), f"after {taken} operations"
    await apply(points, len(OPERATIONS), wait=True)
    assert await points.count() == 0
    await apply(points, 1, wait=False)
    assert await points.count() == 1
    await points.drop()


async def apply(points: Collection, taken: int, *, wait: bool) -> None:
    """Send the first operations in one request; every one has a result."""
    results = await points.client.batch_update_points(points.name, OPERATIONS[:taken], wait=wait)
    expected = models.UpdateStatus.COMPLETED if wait else models.UpdateStatus.ACKNOWLEDGED
    assert [result.status for result in results] == [expected] * taken
