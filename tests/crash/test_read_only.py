"""A data directory where nothing may be created: what needs no new file goes on, the rest is refused."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from typing import TYPE_CHECKING

import grpc
import pytest

from qdrant_grpc import collections_pb2
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from tests.conftest import Server
from tests.crash.driver import EAGER, TIMEOUT_S, channel_to, fill, verify, wait_for_green, writing
from tests.crash.model import creation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "kept"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Return a server that permissions bind, also when root runs the tests."""
    through: list[str] = []
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("permissions do not bind root, and there is no setpriv")
        through = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    made = Server(tmp_path / "data", workers=2, environment=EAGER, through=through)
    try:
        made.start()
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def read_only(directory: Path) -> Iterator[None]:
    """Take the right to create and remove files away, in all directories."""
    directories = [directory, *(found for found in directory.rglob("*") if found.is_dir())]
    for each in directories:
        each.chmod(0o555)
    try:
        yield
    finally:
        for each in directories:
            with contextlib.suppress(FileNotFoundError):
                each.chmod(0o755)


def names(stub: CollectionsStub) -> list[str]:
    """Return the names of the collections."""
    listed = stub.List(collections_pb2.ListCollectionsRequest(), timeout=TIMEOUT_S)
    return [each.name for each in listed.collections]


def test_directory_where_nothing_may_be_created(server: Server) -> None:
    writers = fill(server, NAME)
    with channel_to(server.address) as channel:
        stub = CollectionsStub(channel)
        with read_only(server.data_dir):
            verify(server.address, NAME, writers)
            with pytest.raises(grpc.RpcError) as refused:
                stub.Create(creation("another"), timeout=TIMEOUT_S)
            assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
            assert names(stub) == [NAME]
            # Whatever is acknowledged counts; sealing, which would need files, has to wait.
            with writing(server.address, NAME, writers):
                time.sleep(1)
            verify(server.address, NAME, writers)
        assert stub.Create(creation("another"), timeout=TIMEOUT_S).result
        assert sorted(names(stub)) == ["another", NAME]
    wait_for_green(server.address, NAME)
    server.restart()
    verify(server.address, NAME, writers)
    assert "unexpected error" not in server.log
