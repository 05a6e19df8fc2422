"""Messages of some 200 MB in both directions: right to the last component, and the memory comes back afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import numpy as np
import pytest

from pointstore.wire.decode_vectors import packed_floats
from pointstore.wire.points_view_pb2 import UpsertPointsView
from qdrant_grpc import points_pb2
from scripts.benchmark.server import private_memory
from tests.conftest import wait_until
from tests.server.connections import UNLIMITED, open_channel, run_server
from tests.wire.points_calls import COMPLETED, DENSE, Calls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tests.conftest import Server

MIB = 1 << 20
POINTS, DIM = 30_000, 1536
# Without an index to build, which is another matter; the rows still go to segments.
CONFIG = f"vectors_config {{ params {{ size: {DIM} distance: Dot }} }} optimizers_config {{ indexing_threshold: 0 }}"
KEPT_MIB = 64
"""Memory by which a worker may have grown when it is over: small against the messages."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server with one worker, so that it is known who answers."""
    yield from run_server(tmp_path_factory, workers=1)


@pytest.fixture
def calls(server: Server) -> Iterator[Calls]:
    """Return the calls on a collection that does not exist, over a channel that takes messages of any size."""
    with open_channel(server, *UNLIMITED) as channel:
        yield Calls(channel)


def upsert_of(name: str, rows: NDArray[np.float32]) -> bytes:
    """Return the request that writes rows as points 0, 1, ..., without a Python object for each component."""
    request = UpsertPointsView(collection_name=name, wait=True)
    for number, row in enumerate(rows):
        point = request.points.add()
        point.id.num = number
        point.vectors.vector.dense.data = row.tobytes()
    return request.SerializeToString()


def memory_mib(server: Server) -> float:
    """Return what the worker has in memory that is nobody else's and in no file."""
    return private_memory(server.worker_pids()[0]).dirty / MIB


@pytest.mark.timeout(600)
def test_upsert_and_scroll_of_200_mb(server: Server, calls: Calls) -> None:
    calls = calls.create(CONFIG)
    calls.write("Upsert", f"points {{ id {{ num: 0 }} vectors {{ vector {{ dense {{ data: {[0.5] * DIM} }} }} }} }}")
    calls.get(0)
    before = memory_mib(server)
    rows = np.random.default_rng(1).random((POINTS, DIM), dtype=np.float32)
    body = upsert_of(calls.name, rows)
    assert len(body) > 180_000_000
    reply = points_pb2.PointsOperationResponse.FromString(calls.reply("/qdrant.Points/Upsert", body))
    assert reply.result.status == COMPLETED
    del body
    scroll = points_pb2.ScrollPoints(collection_name=calls.name, limit=POINTS)
    scroll.with_vectors.enable = True
    page = calls.call("Scroll", scroll).result
    assert [point.id.num for point in page] == list(range(POINTS))
    assert b"".join(packed_floats(point.vectors.vector.dense) for point in page) == rows.tobytes()

    def is_back() -> bool:
        # Rows that are in no segment yet are in memory too, until a read finds that they are.
        calls.get(0)
        return memory_mib(server) < before + KEPT_MIB

    wait_until(is_back, f"the worker's memory is back at about {before:.0f} MiB", 120)


def code_of(calls: Calls, path: str, body: bytes) -> grpc.StatusCode:
    """Return the code of a call that must fail."""
    with pytest.raises(grpc.RpcError) as caught:
        calls.reply(path, body)
    code: grpc.StatusCode = caught.value.code()
    return code


def test_request_over_the_limit_is_resource_exhausted(server: Server, calls: Calls) -> None:
    before = memory_mib(server)
    assert code_of(calls, "/qdrant.Points/Upsert", bytes(400 * MIB)) is grpc.StatusCode.RESOURCE_EXHAUSTED
    # Far beyond the limit it is refused by its announced size, before it is read.
    assert memory_mib(server) < before + KEPT_MIB
    assert calls.create(DENSE).ids() == []


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run a server that takes and sends at most 1 MiB."""
    yield from run_server(tmp_path_factory, workers=1, POINTSTORE__MAX_MESSAGE_MB="1")


def test_reply_over_the_limit_is_resource_exhausted(small: Server) -> None:
    with open_channel(small, *UNLIMITED) as channel:
        calls = Calls(channel).create(DENSE)
        for start in range(0, 400, 200):
            calls.fill({start + number: {"text": "x" * 4000} for number in range(200)})
        request = points_pb2.ScrollPoints(collection_name=calls.name, limit=400)
        body = request.SerializeToString()
        assert code_of(calls, "/qdrant.Points/Scroll", body) is grpc.StatusCode.RESOURCE_EXHAUSTED
        # A page that fits is the way out.
        request.limit = 200
        assert len(calls.call("Scroll", request).result) == 200


def test_client_with_the_libraries_default_limit_is_told_what_it_cannot_take(small: Server) -> None:
    with open_channel(small, ("grpc.max_receive_message_length", 10_000)) as channel:
        calls = Calls(channel).create(DENSE)
        calls.fill({number: {"text": "x" * 4000} for number in range(10)})
        scroll = points_pb2.ScrollPoints(collection_name=calls.name, limit=10).SerializeToString()
        assert code_of(calls, "/qdrant.Points/Scroll", scroll) is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert len(calls.get(1)) == 1
