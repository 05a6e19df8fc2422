"""Every form in which the official client sends points, the parallel uploads and the asynchronous client included."""

from __future__ import annotations

import asyncio
import contextlib
import random
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import numpy as np
import pytest
from qdrant_client import AsyncQdrantClient, QdrantClient, models

from tests.compat.comparing import assert_same, create_mixed, point, point_ids, random_point, random_row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

COUNT = 500


def create_plain(client: QdrantClient, name: str, size: int = 4) -> None:
    """Create a collection with one unnamed vector."""
    client.create_collection(name, models.VectorParams(size=size, distance=models.Distance.COSINE))


def test_forms_of_an_upsert(remote: QdrantClient, local: QdrantClient, name: str) -> None:
    rng = random.Random(5)
    rows = [random_row(rng, 4) for _ in range(12)]
    uuid_text = "0b3d2d2e-5f0a-4b6c-9f5e-1d2c3b4a5968"
    forms: list[Any] = [
        [point(1, rows[0], {"a": 1}), point(2, rows[1])],
        models.Batch(ids=[3, 4], vectors=rows[2:4], payloads=[{"b": [1, 2]}, {}]),
        models.Batch(ids=[5, uuid_text.upper().replace("-", "")], vectors=rows[4:6]),
        [point(uuid_text, rows[6], {"again": True})],
        [point(7, {"": rows[7]})],
        # The last one of an id wins.
        [point(1, rows[8], {"n": 1}), point(1, rows[9])],
    ]
    for client in (remote, local):
        create_plain(client, name)
    for form in forms[:2]:
        assert_same(remote, local, lambda c: c.upsert(name, form))  # noqa: B023  called at once
        assert_same(remote, local, lambda c: c.scroll(name, with_vectors=True))
    for form in forms[2:]:
        remote.upsert(name, form)
    found = {record.id: record for record in remote.scroll(name, limit=100, with_vectors=True)[0]}
    assert set(found) == {1, 2, 3, 4, 5, 7, uuid_text}
    for point_id, row in ((1, rows[9]), (5, rows[4]), (7, rows[7]), (uuid_text, rows[6])):
        np.testing.assert_allclose(np.array(found[point_id].vector), np.array(row) / np.linalg.norm(row), rtol=1e-5)
    assert not found[1].payload
    assert found[uuid_text].payload == {"again": True}
    remote.delete_collection(name)


def test_conditional_upserts(remote: QdrantClient, name: str) -> None:
    create_plain(remote, name)
    put: Callable[..., Any] = remote.upsert
    put(name, [point(1, [1, 0, 0, 0], {"v": 1})])
    both = [point(i, [1, 0, 0, 0], {"v": 2}) for i in (1, 2)]
    put(name, both, update_mode=models.UpdateMode.INSERT_ONLY)
    assert versions(remote, name) == {1: 1, 2: 2}
    both[0].payload = both[1].payload = {"v": 3}
    both.append(point(3, [1, 0, 0, 0]))
    put(name, both, update_mode=models.UpdateMode.UPDATE_ONLY)
    assert versions(remote, name) == {1: 3, 2: 3}
    both[0].payload = both[1].payload = {"v": 4}
    put(name, both[:2], update_filter=models.Filter(must=[models.HasIdCondition(has_id=[2])]))
    assert versions(remote, name) == {1: 3, 2: 4}
    remote.delete_collection(name)


def versions(client: QdrantClient, name: str) -> dict[Any, Any]:
    """Return the payload value `v` of every point."""
    return {record.id: (record.payload or {}).get("v") for record in client.scroll(name)[0]}


@pytest.mark.parametrize("parallel", [1, 4])
def test_upload_collection(remote: QdrantClient, name: str, parallel: int) -> None:
    """Several processes of the client, each with a connection of its own, lose nothing and repeat nothing."""
    rows = np.random.default_rng(1).normal(size=(COUNT, 16)).astype(np.float32)
    remote.create_collection(name, models.VectorParams(size=16, distance=models.Distance.EUCLID))
    remote.upload_collection(
        name,
        rows,
        payload=[{"n": n} for n in range(COUNT)],
        ids=range(COUNT),
        parallel=parallel,
        batch_size=32,
        wait=True,
    )
    records = remote.scroll(name, limit=COUNT + 1, with_vectors=True)[0]
    assert [record.id for record in records] == list(range(COUNT))
    assert [record.payload for record in records] == [{"n": n} for n in range(COUNT)]
    np.testing.assert_array_equal(np.array([record.vector for record in records], np.float32), rows)
    hits = remote.query_points(name, rows[77], limit=3).points
    assert (hits[0].id, hits[0].score) == (77, 0.0)
    remote.delete_collection(name)


def test_batches_are_taken_lazily(remote: QdrantClient, name: str) -> None:
    """When a point is made, all batches but the last are stored: the client never holds more than it sends."""
    batch, stored = 10, []

    def lazily() -> Iterator[models.PointStruct]:
        for n in range(5 * batch):
            if n % batch == 0:
                stored.append(remote.count(name).count)
            yield point(n, [1, n, 0, 0])

    create_plain(remote, name)
    remote.upload_points(name, lazily(), batch_size=batch, wait=True)
    assert all(count >= (turn - 1) * batch for turn, count in enumerate(stored))
    assert remote.count(name).count == 5 * batch
    remote.delete_collection(name)


class Flaky(grpc.GenericRpcHandler):
    """Forward calls to a server, but answer the first so many with `UNAVAILABLE`."""

    def __init__(self, target: grpc.Channel, refusals: int) -> None:
        self._target = target
        self._left = refusals

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes]:
        """Handle any method: bytes in, bytes out."""
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._target.unary_unary(handler_call_details.method)

        def forward(request: bytes, context: grpc.ServicerContext) -> bytes:
            if self._left > 0:
                self._left -= 1
                context.abort(grpc.StatusCode.UNAVAILABLE, "come again")
            return call(request)

        return grpc.unary_unary_rpc_method_handler(forward)


@pytest.mark.parametrize(("refusals", "max_retries", "arrives"), [(2, 3, True), (3, 2, False)])
def test_batches_are_sent_again(
    remote: QdrantClient, name: str, refusals: int, max_retries: int, *, arrives: bool
) -> None:
    """A batch that is refused for the moment arrives within `max_retries`, once."""
    create_plain(remote, name)
    points = [point(n, [1, n, 0, 0]) for n in range(20)]
    with grpc.insecure_channel(f"127.0.0.1:{grpc_port(remote)}") as channel:
        proxy = grpc.server(ThreadPoolExecutor(2), handlers=[Flaky(channel, refusals)])
        port = proxy.add_insecure_port("127.0.0.1:0")
        proxy.start()
        client = QdrantClient(host="127.0.0.1", grpc_port=port, port=1, prefer_grpc=True, check_compatibility=False)
        refused = contextlib.nullcontext() if arrives else pytest.raises(grpc.RpcError, match="come again")
        with pytest.warns(UserWarning, match="Retrying"), refused:
            client.upload_points(name, points, batch_size=8, max_retries=max_retries, wait=True)
        client.close()
        proxy.stop(None).wait()
    assert remote.count(name).count == (len(points) if arrives else 0)
    remote.delete_collection(name)


def test_upload_points_of_every_kind(remote: QdrantClient, local: QdrantClient, name: str) -> None:
    rng = random.Random(9)
    points = [random_point(rng, point_id) for point_id in point_ids(rng)]
    for client in (remote, local):
        create_mixed(client, name)
    remote.upload_points(name, points, parallel=4, batch_size=4, wait=True)
    local.upload_points(name, points)
    assert_same(remote, local, lambda c: c.scroll(name, limit=1000, with_vectors=True))
    assert_same(remote, local, lambda c: c.count(name))
    remote.delete_collection(name)


def test_pages_of_a_scroll(remote: QdrantClient, local: QdrantClient, name: str) -> None:
    rng = random.Random(11)
    points = [random_point(rng, point_id) for point_id in point_ids(rng)]
    for client in (remote, local):
        create_mixed(client, name)
        client.upsert(name, points)
    seen: list[list[Any]] = []
    for client in (remote, local):
        offset, ids = None, []
        while True:
            page, offset = client.scroll(name, limit=7, offset=offset)
            ids += [record.id for record in page]
            if offset is None:
                break
        seen.append(ids)
    assert seen[0] == seen[1]
    assert len(seen[0]) == len(set(seen[0])) == len(points)
    remote.delete_collection(name)


def test_asynchronous_client(remote: QdrantClient, name: str) -> None:
    """Many calls at once on one connection."""

    async def run() -> None:
        client = AsyncQdrantClient(
            host="127.0.0.1",
            grpc_port=grpc_port(remote),
            port=1,
            prefer_grpc=True,
            check_compatibility=False,
            timeout=30,
        )
        await client.create_collection(name, models.VectorParams(size=4, distance=models.Distance.DOT))
        rows = [[float(n), 1.0, 0.0, 0.0] for n in range(60)]
        results = await asyncio.gather(*(client.upsert(name, [point(n, rows[n], {"n": n})]) for n in range(60)))
        numbers = [result.operation_id or 0 for result in results]
        assert sorted(numbers) == list(range(1, 61))
        assert (await client.count(name)).count == 60
        hits = await asyncio.gather(*(client.query_points(name, [1.0, 0, 0, 0], limit=k) for k in range(1, 20)))
        assert [[hit.id for hit in response.points] for response in hits] == [
            list(range(59, 59 - k, -1)) for k in range(1, 20)
        ]
        await client.set_payload(name, {"more": True}, points=[5])
        assert (await client.retrieve(name, [5]))[0].payload == {"n": 5, "more": True}
        await client.delete(name, models.PointIdsList(points=list(range(50))))
        records, _ = await client.scroll(name, limit=100)
        assert [record.id for record in records] == list(range(50, 60))
        await client.delete_collection(name)
        await client.close()

    asyncio.run(run())


def grpc_port(client: QdrantClient) -> int:
    """Return the port that a client talks to."""
    port: int = client.init_options["grpc_port"]
    return port
