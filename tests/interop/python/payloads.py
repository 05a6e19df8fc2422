"""Payload: set, overwritten, its keys deleted, cleared; by ids and by filter."""

from __future__ import annotations

from qdrant_client import models

from tests.interop.python.collection import RED, Collection, assert_completed, ids_of


async def walk(points: Collection) -> None:
    """Walk through this part of the page."""
    await points.create(2)
    await points.put(
        *(
            models.PointStruct(id=n, vector=[1.0, float(n)], payload={"color": ("red", "green")[n % 2]})
            for n in range(6)
        )
    )
    await merging(points)
    await removing(points)
    assert_completed(await points.client.delete(points.name, models.FilterSelector(filter=RED)))
    assert ids_of((await points.client.scroll(points.name))[0]) == [0, 1, 3, 5]
    await points.drop()


async def merging(points: Collection) -> None:
    """Set keys, set inside an object, set by filter, overwrite."""
    client, name = points.client, points.name
    box = {"width": 1.5, "sides": [1, "two", None]}
    assert_completed(await client.set_payload(name, {"size": 7, "box": box}, points=[0, 1]))
    assert await points.payload(0) == {"color": "red", "size": 7, "box": box}
    assert await points.payload(1) == {"color": "green", "size": 7, "box": box}
    assert_completed(await client.set_payload(name, {"depth": 2}, points=[0], key="box"))
    assert await points.payload(0) == {"color": "red", "size": 7, "box": {**box, "depth": 2}}
    assert_completed(await client.set_payload(name, {"warm": True}, points=RED))
    assert await points.payload(4) == {"color": "red", "warm": True}
    assert await points.payload(5) == {"color": "green"}
    assert_completed(await client.overwrite_payload(name, {"color": "blue"}, points=[0]))
    assert await points.payload(0) == {"color": "blue"}


async def removing(points: Collection) -> None:
    """Delete keys, clear."""
    client, name = points.client, points.name
    assert_completed(await client.delete_payload(name, ["size", "box.sides"], points=[1]))
    assert await points.payload(1) == {"color": "green", "box": {"width": 1.5}}
    assert_completed(await client.clear_payload(name, models.PointIdsList(points=[3])))
    assert await points.payload(3) == {}
