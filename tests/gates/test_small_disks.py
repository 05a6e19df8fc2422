"""R5: file systems of 3 to 64 MB, filled to the last block: told so, readable, deletable, and useful again with room.

Each round, on a file system of its own: fill until writes are refused, read, delete, fill again, let something else
take every block that is left, delete points and drop a collection all the same, start again, and go on writing.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import time
from typing import TYPE_CHECKING, Final

import grpc
import pytest

from pointstore.core.errors import InsufficientStorageError
from pointstore.core.update import DeletePoints
from qdrant_grpc import collections_pb2, points_pb2
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from tests.building import contents, dense, pids, running_engine, upsert, vector_config, write
from tests.crash.driver import TIMEOUT_S, channel_to, create, info, scrolled, verify_points
from tests.crash.model import EUCLID, Point, Put, Remove, creation
from tests.gates.filesystems import mounted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.conftest import Server
    from tests.crash.model import Operation, Points
    from tests.gates.conftest import Budget

    Start = Callable[..., Server]

NAME: Final = "small"
OTHER: Final = "other"


class Collection:
    """A collection and the points that it must hold."""

    def __init__(self, server: Server) -> None:
        self.points: Points = {}
        self._server = server
        self._next = 0

    def write(self, *operations: Operation) -> None:
        """Write operations; the model follows once they are confirmed."""
        request = points_pb2.UpdateBatchPoints(
            collection_name=NAME, wait=True, operations=[operation.message() for operation in operations]
        )
        with channel_to(self._server.address) as channel:
            PointsStub(channel).UpdateBatch(request, timeout=TIMEOUT_S, wait_for_ready=True)
        for operation in operations:
            operation.apply(self.points)

    def put(self, size: int) -> None:
        """Write a new point with a payload of so many bytes."""
        self._next += 1
        self.write(Put({self._next: Point({"text": "x" * size}, {EUCLID: [1.0 + self._next % 50] * 8})}))

    def fill(self, sizes: Sequence[int]) -> int:
        """Write points, ever smaller ones, until each size is refused; return how many were written."""
        written = 0
        for size in sizes:
            with pytest.raises(grpc.RpcError) as refused:  # noqa: PT012  whichever call it is
                while True:
                    self.put(size)
                    written += 1
            assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, refused.value
            assert "No space left on device" in str(refused.value.details())
        return written

    def remove(self, share: int) -> None:
        """Delete one point in so many, one call at a time."""
        for number in list(self.points)[::share]:
            self.write(Remove([number]))

    def verify(self) -> None:
        """Compare everything."""
        verify_points(self._server.address, NAME, self.points)

    def verify_readable(self) -> None:
        """Compare counts and ids."""
        assert info(self._server.address, NAME).points_count == len(self.points)
        with channel_to(self._server.address) as channel:
            assert scrolled(PointsStub(channel), NAME).keys() == self.points.keys()


def take_all(path: Path) -> None:
    """Write a file until not a byte is left."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1 << 9, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def play(server: Server, disk: Path, size: int) -> int:
    """Play a round; return how many points were written in all."""
    create(server.address, creation(OTHER))
    create(server.address, creation(NAME))
    collection = Collection(server)
    sizes = [size, size // 20, 50]
    written = collection.fill(sizes)
    assert written
    collection.verify_readable()
    collection.remove(2)
    collection.verify_readable()
    refilled = collection.fill(sizes)
    assert refilled, "nothing could be written where points were deleted"
    take_all(disk / "foreign")
    collection.verify_readable()
    collection.remove(3)
    collection.verify()
    server.kill9()
    server.start()
    collection.verify()
    with channel_to(server.address) as channel:
        dropped = collections_pb2.DeleteCollection(collection_name=OTHER)
        assert CollectionsStub(channel).Delete(dropped, timeout=TIMEOUT_S, wait_for_ready=True).result
    (disk / "foreign").unlink()
    collection.put(size)
    collection.verify()
    return written + refilled


@pytest.mark.gate("R5", size=3)
@pytest.mark.timeout(0)
def test_full_file_systems_lose_nothing_and_recover(start_server: Start, tmp_path: Path, budget: Budget) -> None:
    rng = random.Random(budget.seed)
    rounds: list[str] = []
    for number in range(budget.size):
        if budget.spent():
            break
        # Small ones at a short size: the large take their time to fill.
        megabytes = rng.choice((3, 4, 6, 8) if budget.size <= 3 else (3, 4, 6, 8, 16, 32, 64))
        kind = "ext4" if number % 2 else "tmpfs"
        with mounted(tmp_path / f"disk{number}", kind, megabytes) as disk:
            server = start_server(f"disk{number}", POINTSTORE__OPTIMIZER__SEAL_BYTES="4096")
            try:
                written = play(server, disk.place, megabytes << 12)
            finally:
                server.close()
        rounds.append(f"{megabytes} MB {kind}: {written} points")
    budget.report(f"{len(rounds)} file systems ({'; '.join(rounds)})")


def test_deletions_wait_for_a_read_that_keeps_freed_pages(tmp_path: Path) -> None:
    """On a full disk every deletion takes pages that the next could use, were it not for the read."""
    with mounted(tmp_path / "disk", "tmpfs", 4) as disk, running_engine(disk.place / "data") as engine:
        engine.create_collection(NAME, vector_config())
        collection = engine.collection(NAME)
        count = 0
        with pytest.raises(InsufficientStorageError):  # noqa: PT012  whichever write it is
            while True:
                write(collection, upsert((count, {"": dense(1, 2)}, {"text": "x" * 5000})))
                count += 1
        reading = threading.Event()

        def read() -> None:
            with collection.view():
                reading.set()
                time.sleep(0.5)

        reader = threading.Thread(target=read)
        reader.start()
        assert reading.wait(5)
        for number in range(count):
            write(collection, DeletePoints(pids(number)))
        reader.join()
        assert contents(collection) == {}
