"""Files that were lost or damaged while the server was down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest

from qdrant_grpc import collections_pb2, points_pb2
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from tests.conftest import wait_until
from tests.crash.driver import TIMEOUT_S, Writer, channel_to, create, verify, wait_for_green, writing
from tests.crash.model import creation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Server

    Start = Callable[..., Server]

SETTINGS = {"POINTSTORE__OPTIMIZER__SEAL_BYTES": "2048", "POINTSTORE__OPTIMIZER__POLL_INTERVAL_S": "0.05"}


def fill(server: Server, name: str, calls: int = 60) -> list[Writer]:
    """Create a collection, write to it until it has indexes, return the writers that know what it holds."""
    create(server.address, creation(name))
    writers: list[Writer] = []
    with writing(server.address, name, writers, count=2, seed=7):
        wait_until(lambda: min(len(writer.calls) for writer in writers) > calls, "enough was written")
    assert wait_for_green(server.address, name).indexed_vectors_count > 0
    return writers


def indexes(server: Server) -> list[Path]:
    """Return all index files."""
    return sorted(server.data_dir.glob("collections/*/segments/*/index.faiss"))


def flip(path: Path, position: int) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[position] ^= 0x10
    path.write_bytes(content)


def test_indexes_are_rebuilt(start_server: Start) -> None:
    """Deleting every index file, or damaging one, loses nothing."""
    server = start_server(**SETTINGS)
    writers = fill(server, "rebuilt")
    for damage in ("delete", "flip", "truncate"):
        assert server.terminate() == 0
        before = indexes(server)
        assert before
        for path in before:
            match damage:
                case "delete":
                    path.unlink()
                case "flip":
                    flip(path, path.stat().st_size // 2)
                case _:
                    path.write_bytes(path.read_bytes()[:-100])
        server.start()
        verify(server.address, "rebuilt", writers)
        wait_for_green(server.address, "rebuilt")
        rebuilt = indexes(server)
        assert rebuilt
        assert not set(rebuilt) & set(before)
        verify(server.address, "rebuilt", writers)


@pytest.mark.parametrize("damage", ["rows", "slots", "store"])
def test_damaged_rows_quarantine_their_collection(start_server: Start, damage: str) -> None:
    server = start_server(**SETTINGS)
    damaged_writers = fill(server, "damaged", calls=30)
    directory = next((server.data_dir / "collections").iterdir())
    assert server.terminate() == 0
    victim = {
        "rows": next(directory.glob("segments/*/vectors.npy")),
        "slots": next(directory.glob("segments/*/slots.npy")),
        "store": directory / "store" / "data.mdb",
    }[damage]
    content = victim.read_bytes()
    if damage == "store":
        victim.write_bytes(b"\x5a" * 8192 + content[8192:])
    else:
        flip(victim, len(content) - 5)
    server.start()
    assert "collection is quarantined" in server.log
    with channel_to(server.address) as channel:
        for call in (
            lambda: PointsStub(channel).Count(points_pb2.CountPoints(collection_name="damaged"), timeout=TIMEOUT_S),
            lambda: CollectionsStub(channel).Get(
                collections_pb2.GetCollectionInfoRequest(collection_name="damaged"), timeout=TIMEOUT_S
            ),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                call()
            assert refused.value.code() is grpc.StatusCode.DATA_LOSS
            assert "collection `damaged` is quarantined" in str(refused.value.details())
        if damage == "slots":
            drop = collections_pb2.DeleteCollection(collection_name="damaged")
            assert CollectionsStub(channel).Delete(drop, timeout=TIMEOUT_S).result
            assert not directory.exists()
    # The others serve, and the optimizer looks after them.
    healthy_writers = fill(server, "healthy", calls=30)
    if damage == "rows":
        assert server.terminate() == 0
        victim.write_bytes(content)
        server.start()
        verify(server.address, "damaged", damaged_writers)
        verify(server.address, "healthy", healthy_writers)
