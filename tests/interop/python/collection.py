"""A collection that a part of the walk has for itself, and what all parts do with theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import grpc
from qdrant_client import models

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping, Sequence

    from qdrant_client import AsyncQdrantClient

RED = models.Filter(must=[models.FieldCondition(key="color", match=models.MatchValue(value="red"))])


@dataclass(frozen=True, slots=True)
class Collection:
    """A client and the name of a collection."""

    client: AsyncQdrantClient
    name: str

    async def create(self, size: int = 0, **config: Any) -> None:  # noqa: ANN401 # as create_collection has it
        """Create it, with one unnamed vector unless told otherwise, in place of one that an earlier run has left."""
        if await self.client.collection_exists(self.name):
            await self.drop()
        plain: dict[str, Any] = (
            {} if config else {"vectors_config": models.VectorParams(size=size, distance=models.Distance.DOT)}
        )
        assert await self.client.create_collection(self.name, **plain, **config)

    async def drop(self) -> None:
        """Drop it."""
        assert await self.client.delete_collection(self.name)

    async def put(self, *points: models.PointStruct) -> None:
        """Upsert points and wait, which is this client's default."""
        assert_completed(await self.client.upsert(self.name, list(points)))

    async def read(self, point_id: Any) -> models.Record:  # noqa: ANN401 # in any spelling
        """Read one point with everything it has."""
        (found,) = await self.client.retrieve(self.name, [point_id], with_payload=True, with_vectors=True)
        return found

    async def payload(self, point_id: int) -> Mapping[str, Any]:
        """Return the payload of one point."""
        return (await self.read(point_id)).payload or {}

    async def count(self) -> int:
        """Count all points exactly."""
        return (await self.client.count(self.name)).count


def ids_of(points: Sequence[models.Record] | Sequence[models.ScoredPoint]) -> list[int | str]:
    """Return the ids in their order."""
    return [cast("int | str", point.id) for point in points]


def assert_completed(result: models.UpdateResult) -> None:
    """Want the write to be applied."""
    assert result.status is models.UpdateStatus.COMPLETED


async def assert_refused(call: Awaitable[Any], code: grpc.StatusCode) -> str:
    """Want a call to be refused with this code; return the text."""
    try:
        reply = await call
    except grpc.RpcError as error:
        status = cast("grpc.Call", error)
    else:
        message = f"not refused: {reply}"
        raise AssertionError(message)
    assert status.code() is code, status.details()
    return status.details() or ""
