"""Files that were lost or damaged while the server was down."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest

from qdrant_grpc import collections_pb2, points_pb2
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from tests.conftest import wait_until
from tests.crash.driver import TIMEOUT_S, channel_to, fill, verify, wait_for_green

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Server

    Start = Callable[..., Server]

SETTINGS = {"POINTSTORE__OPTIMIZER__SEAL_BYTES": "2048", "POINTSTORE__OPTIMIZER__POLL_INTERVAL_S": "0.05"}


def flip(path: Path, position: int) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[position] ^= 0x10
    path.write_bytes(content)


def truncate(path: Path) -> None:
    """Cut the end of a file off."""
    path.write_bytes(path.read_bytes()[:-100])


def indexes(directory: Path) -> list[Path]:
    """Return the index files of a collection."""
    return sorted(directory.glob("segments/*/index.faiss"))


def test_indexes_are_rebuilt(start_server: Start) -> None:
    """Deleting every index file, or damaging one, loses nothing."""
    server = start_server(**SETTINGS)
    damages: dict[str, Callable[[Path], None]] = {
        "deleted": lambda path: path.unlink(),
        "flipped": lambda path: flip(path, path.stat().st_size // 2),
        "cut": truncate,
    }
    writers = {}
    before = {}
    directories = {}
    for name in damages:
        known = set((server.data_dir / "collections").iterdir())
        writers[name] = fill(server, name)
        (directories[name],) = set((server.data_dir / "collections").iterdir()) - known
    assert server.terminate() == 0
    for name, damage in damages.items():
        before[name] = indexes(directories[name])
        assert before[name]
        for path in before[name]:
            damage(path)
    server.start()
    for name in damages:
        verify(server.address, name, writers[name])
        wait_for_green(server.address, name)
        rebuilt = indexes(directories[name])
        assert rebuilt
        assert not set(rebuilt) & set(before[name])
        verify(server.address, name, writers[name])


def test_damaged_rows_quarantine_their_collection(start_server: Start) -> None:
    server = start_server(**SETTINGS)
    writers = {}
    directories = {}
    for name in ("rows", "slots", "store"):
        known = set((server.data_dir / "collections").iterdir())
        writers[name] = fill(server, name)
        (directories[name],) = set((server.data_dir / "collections").iterdir()) - known
    assert server.terminate() == 0
    victims = {
        "rows": next(directories["rows"].glob("segments/*/vectors.npy")),
        "slots": next(directories["slots"].glob("segments/*/slots.npy")),
        "store": directories["store"] / "store" / "data.mdb",
    }
    contents = {name: path.read_bytes() for name, path in victims.items()}
    flip(victims["rows"], len(contents["rows"]) - 5)
    flip(victims["slots"], len(contents["slots"]) - 5)
    victims["store"].write_bytes(b"\x5a" * 8192 + contents["store"][8192:])
    server.start()
    assert server.log.count("collection is quarantined") == 3
    with channel_to(server.address) as channel:
        points, collections = PointsStub(channel), CollectionsStub(channel)
        for name in victims:
            with pytest.raises(grpc.RpcError) as refused:
                points.Count(points_pb2.CountPoints(collection_name=name), timeout=TIMEOUT_S)
            assert refused.value.code() is grpc.StatusCode.DATA_LOSS
            assert f"collection `{name}` is quarantined" in str(refused.value.details())
            with pytest.raises(grpc.RpcError, match="DATA_LOSS"):
                collections.Get(collections_pb2.GetCollectionInfoRequest(collection_name=name), timeout=TIMEOUT_S)
        drop = collections_pb2.DeleteCollection(collection_name="slots")
        assert collections.Delete(drop, timeout=TIMEOUT_S).result
    assert not directories["slots"].exists()
    # The others serve, and the optimizer looks after them.
    writers["healthy"] = fill(server, "healthy")
    assert server.terminate() == 0
    for name in ("rows", "store"):
        victims[name].write_bytes(contents[name])
    server.start()
    for name in ("rows", "store", "healthy"):
        verify(server.address, name, writers[name])


def count(server: Server, name: str) -> int | grpc.StatusCode:
    """Count the points of a collection; return the status when that fails."""
    with channel_to(server.address) as channel:
        request = points_pb2.CountPoints(collection_name=name, exact=True)
        try:
            return PointsStub(channel).Count(request, timeout=TIMEOUT_S, wait_for_ready=True).result.count
        except grpc.RpcError as error:
            return error.code()


def test_damage_that_kills_processes_is_found_while_the_server_runs(start_server: Start) -> None:
    """A store that loses its end under a running server ends each process that reads it; soon none does any more."""
    server = start_server(**SETTINGS)
    healthy = fill(server, "healthy")
    known = set((server.data_dir / "collections").iterdir())
    fill(server, "cut")
    (directory,) = set((server.data_dir / "collections").iterdir()) - known
    store = directory / "store" / "data.mdb"
    content = store.read_bytes()
    with store.open("r+b") as file:
        file.truncate(2 * 4096)
    wait_until(lambda: count(server, "cut") is grpc.StatusCode.DATA_LOSS, "the collection is quarantined", 100)
    assert (directory / "QUARANTINE").exists()
    wait_until(lambda: len(server.child_pids()) == 3, "all processes run again", 60)
    died = server.log.count("child died")
    for _ in range(6):
        assert count(server, "cut") is grpc.StatusCode.DATA_LOSS
    verify(server.address, "healthy", healthy)
    assert server.log.count("child died") == died > 0
    assert server.terminate() == 0
    # The next start finds the same, and with the file put back nothing is missing.
    server.start()
    assert count(server, "cut") is grpc.StatusCode.DATA_LOSS
    assert server.terminate() == 0
    store.write_bytes(content)
    server.start()
    assert isinstance(count(server, "cut"), int)
    verify(server.address, "healthy", healthy)


@pytest.mark.parametrize("size", [None, 0, 8192])
def test_a_lost_catalog_stops_the_start_and_nothing_is_removed(start_server: Start, size: int | None) -> None:
    server = start_server(workers=1)
    writers = fill(server, "kept")
    assert server.terminate() == 0
    catalog = server.data_dir / "catalog" / "data.mdb"
    content = catalog.read_bytes()
    if size is None:
        catalog.unlink()
    else:
        catalog.write_bytes(content[:size])
    with pytest.raises(pytest.fail.Exception, match="did not start"):
        server.start()
    assert server.log.count("the catalog ") > 0
    catalog.write_bytes(content)
    server.start()
    verify(server.address, "kept", writers)
