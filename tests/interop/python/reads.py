"""Retrieving, scrolling, ordering, counting, searching with a filter."""

from __future__ import annotations

from typing import Any

from qdrant_client import models

from tests.interop.python.collection import RED, Collection, assert_completed, ids_of

COUNT = 12


async def walk(points: Collection) -> None:
    """Walk through this part of the page."""
    await points.create(2)
    await points.put(
        *(
            models.PointStruct(
                id=n,
                vector=[1.0, float(n)],
                payload={"color": "green" if n % 3 else "red", "timestamp": time_of(n)},
            )
            for n in range(COUNT)
        )
    )
    await retrieve(points)
    await scroll(points)
    await order(points)
    await count(points)
    await search(points)
    await points.drop()


def time_of(number: int) -> int:
    """Two points share each time, later ones come first."""
    return 128 - number // 2


async def retrieve(points: Collection) -> None:
    """Only what is selected, in the order asked for, without unknown ids."""
    client, name, ids = points.client, points.name, [3, 0, 100]
    found = await client.retrieve(name, ids, with_payload=False)
    assert ids_of(found) == [3, 0]
    assert not any(record.payload or record.vector for record in found)
    include, exclude = (
        models.PayloadSelectorInclude(include=["timestamp"]),
        models.PayloadSelectorExclude(exclude=["timestamp"]),
    )
    assert [record.payload for record in await client.retrieve(name, ids, with_payload=include)] == [
        {"timestamp": 127},
        {"timestamp": 128},
    ]
    assert (await client.retrieve(name, ids, with_payload=exclude))[0].payload == {"color": "red"}
    assert (await client.retrieve(name, ids, with_payload=["color"], with_vectors=True))[1].vector == [1.0, 0.0]


async def scroll(points: Collection) -> None:
    """Page by page, until there is no next page."""
    seen, offset = [], None
    while True:
        page, offset = await points.client.scroll(
            points.name, RED, limit=1, offset=offset, with_payload=True, with_vectors=False
        )
        assert [(record.payload or {})["color"] for record in page] == ["red"]
        assert page[0].vector is None
        seen += ids_of(page)
        if offset is None:
            break
    assert seen == [0, 3, 6, 9]


async def order(points: Collection) -> None:
    """By time, either way, from a value on, and the page after that."""
    client, name = points.client, points.name
    integer = models.PayloadSchemaType.INTEGER
    assert_completed(await client.create_payload_index(name, "timestamp", integer, wait=True))

    async def ordered(order_by: Any, limit: int, seen: list[Any] | None = None) -> list[Any]:  # noqa: ANN401 # either form
        unseen = models.Filter(must_not=[models.HasIdCondition(has_id=seen)]) if seen else None
        page, following = await client.scroll(name, unseen, limit=limit, order_by=order_by)
        assert following is None
        return ids_of(page)

    assert await ordered("timestamp", 15) == [10, 11, 8, 9, 6, 7, 4, 5, 2, 3, 0, 1]
    down = models.OrderBy(key="timestamp", direction=models.Direction.DESC)
    assert await ordered(down, 3) == [1, 0, 3]
    down.start_from = 125
    started = await ordered(down, 3)
    assert sorted(started[:2]) == [6, 7]
    down.start_from = time_of(started[2])
    assert sorted(started + await ordered(down, 15, started)) == [6, 7, 8, 9, 10, 11]


async def count(points: Collection) -> None:
    """Exactly, or about."""
    client, name = points.client, points.name
    assert (await client.count(name, RED, exact=True)).count == 4
    assert (await client.count(name, exact=False)).count == COUNT
    assert 1 <= (await client.count(name, RED, exact=False)).count <= COUNT


async def search(points: Collection) -> None:
    """The nearest among those that match."""
    reply = await points.client.query_points(points.name, [1.0, 1.0], query_filter=RED, limit=3, with_payload=True)
    assert [(hit.id, hit.score) for hit in reply.points] == [(9, 10.0), (6, 7.0), (3, 4.0)]
    assert reply.points[0].payload == {"color": "red", "timestamp": 124}
