"""Processes that die, or meet an error, at a named place: what was acknowledged stays, nothing is half applied."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import grpc
import pytest

from qdrant_grpc import collections_pb2
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from tests.conftest import wait_until
from tests.crash.driver import (
    EAGER,
    TIMEOUT_S,
    Writer,
    channel_to,
    create,
    fill,
    info,
    verify,
    wait_for_green,
    writing,
)
from tests.crash.model import creation

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Server

    Start = Callable[..., Server]

NAME = "crashed"


def armed(fired: Path, failpoints: str) -> dict[str, str]:
    """Return settings under which each place fires once in the whole server."""
    fired.mkdir()
    return {**EAGER, "POINTSTORE_FAILPOINTS": failpoints, "POINTSTORE_FAILPOINTS_FIRED": str(fired)}


def places(failpoints: str) -> list[str]:
    """Return the names of the places."""
    return [part.split("=")[0] for part in failpoints.split(",")]


def wait_for_deaths(server: Server, fired: Path, names: list[str]) -> None:
    """Wait until every place has fired, and check that the process there was a child of the server and has died."""
    wait_until(lambda: {path.name for path in fired.iterdir()} == set(names), f"{names} were passed")
    died = {int((fired / name).read_text()) for name in names}
    wait_until(lambda: died.isdisjoint(server.child_pids().values()), f"{died} died")
    wait_until(lambda: server.log.count("ended_with=SIGKILL") >= len(names), "the supervisor noticed the deaths")


def assert_no_leftovers(data_dir: Path) -> None:
    """Check that the start has removed every segment that was not published, or replaced but not removed."""
    names = [path.name for path in data_dir.glob("collections/*/segments/*")]
    assert names
    assert not [name for name in names if name.startswith(".")]


@pytest.mark.parametrize(
    "failpoints",
    [
        "write.applied=kill@5,write.finished=kill@9,write.committed=kill@14",
        "segment.written=kill@2,segment.renamed=kill@2,publish.finished=kill@2,publish.committed=kill@2",
        "index.written=kill,removal.renamed=kill@2",
    ],
)
def test_kill_at_a_place(start_server: Start, tmp_path: Path, failpoints: str) -> None:
    fired = tmp_path / "fired"
    server = start_server(**armed(fired, failpoints))
    create(server.address, creation(NAME))
    writers: list[Writer] = []
    with writing(server.address, NAME, writers):
        wait_for_deaths(server, fired, places(failpoints))
    server.kill9()
    server = start_server(**EAGER)
    verify(server.address, NAME, writers)
    assert wait_for_green(server.address, NAME).indexed_vectors_count > 0
    verify(server.address, NAME, writers)
    if "write" in failpoints:
        assert sum(writer.lost for writer in writers) >= len(places(failpoints))
    assert_no_leftovers(server.data_dir)


def test_kill_while_collections_and_aliases_change(start_server: Start, tmp_path: Path) -> None:
    fired = tmp_path / "fired"
    failpoints = "create.stored=kill@3,create.named=kill@3,drop.unnamed=kill,aliases.changed=kill@2"
    server = start_server(workers=1, **armed(fired, failpoints))
    # "c" is the third creation of the first worker; "f", in the second one, is the third that is named.
    with channel_to(server.address) as channel:
        stub = CollectionsStub(channel)
        assert stub.Create(creation("a"), timeout=TIMEOUT_S).result
        assert stub.Create(creation("b"), timeout=TIMEOUT_S).result
        assert died(lambda: stub.Create(creation("c"), timeout=TIMEOUT_S))
        assert names_of(server) == ["a", "b"]
        assert stub.Create(creation("d"), timeout=TIMEOUT_S, wait_for_ready=True).result
        assert stub.Create(creation("e"), timeout=TIMEOUT_S).result
        assert died(lambda: stub.Create(creation("f"), timeout=TIMEOUT_S))
        assert names_of(server) == ["a", "b", "d", "e", "f"]
        alias(stub, "one", "a")
        assert died(lambda: alias(stub, "two", "b"))
        assert aliases_of(server) == {"one": "a"}
        drop = collections_pb2.DeleteCollection(collection_name="a")
        assert died(lambda: stub.Delete(drop, timeout=TIMEOUT_S, wait_for_ready=True))
        assert names_of(server) == ["b", "d", "e", "f"]
        assert aliases_of(server) == {}
    wait_for_deaths(server, fired, places(failpoints))
    directories = server.data_dir / "collections"
    assert len(list(directories.iterdir())) == 6
    server.kill9()
    server = start_server(workers=1)
    assert len(list(directories.iterdir())) == 4
    assert names_of(server) == ["b", "d", "e", "f"]
    assert info(server.address, "f").points_count == 0


def died(call: Callable[[], object]) -> bool:
    """Make a call; tell whether the server died of it."""
    try:
        call()
    except grpc.RpcError as error:
        return error.code() is grpc.StatusCode.UNAVAILABLE
    return False


def alias(stub: CollectionsStub, name: str, collection: str) -> None:
    """Create an alias."""
    action = collections_pb2.AliasOperations(
        create_alias=collections_pb2.CreateAlias(collection_name=collection, alias_name=name)
    )
    request = collections_pb2.ChangeAliases(actions=[action])
    stub.UpdateAliases(request, timeout=TIMEOUT_S, wait_for_ready=True)


def names_of(server: Server) -> list[str]:
    """Return the names of all collections."""
    request = collections_pb2.ListCollectionsRequest()
    with channel_to(server.address) as channel:
        reply = CollectionsStub(channel).List(request, timeout=TIMEOUT_S, wait_for_ready=True)
    return sorted(each.name for each in reply.collections)


def aliases_of(server: Server) -> dict[str, str]:
    """Return all aliases."""
    request = collections_pb2.ListAliasesRequest()
    with channel_to(server.address) as channel:
        reply = CollectionsStub(channel).ListAliases(request, timeout=TIMEOUT_S, wait_for_ready=True)
    return {each.alias_name: each.collection_name for each in reply.aliases}


def test_kill_during_recovery(start_server: Start, tmp_path: Path) -> None:
    """A start that dies in its own repairs leaves a directory that the next start repairs."""
    server = start_server(**EAGER)
    writers = fill(server, NAME)
    server.kill9()
    index = next(server.data_dir.glob("collections/*/segments/*/index.faiss"))
    index.write_bytes(index.read_bytes()[:-1])
    (server.data_dir / "collections" / "orphan").mkdir()
    failpoints = "recovery.begun=kill,recovery.opened=kill,recovery.repaired=kill"
    settings = armed(tmp_path / "fired", failpoints)
    for name in places(failpoints):
        with pytest.raises(pytest.fail.Exception, match="did not start"):
            start_server(**settings)
        assert (tmp_path / "fired" / name).exists()
    server = start_server(**settings)
    assert server.log.count("failed (SIGKILL)") == len(places(failpoints))
    assert not (server.data_dir / "collections" / "orphan").exists()
    verify(server.address, NAME, writers)
    wait_for_green(server.address, NAME)
    assert list(server.data_dir.glob("collections/*/segments/*/index.faiss"))
    verify(server.address, NAME, writers)


def test_errors_of_the_disk(start_server: Start, tmp_path: Path) -> None:
    """An error at a place fails one call, changes nothing, and the server goes on."""
    fired = tmp_path / "fired"
    failpoints = "write.applied=error@3,write.finished=nospace@5,segment.written=nospace,publish.finished=error@2"
    server = start_server(**armed(fired, failpoints))
    create(server.address, creation(NAME))
    before = server.child_pids()
    failed: list[grpc.StatusCode] = []
    writers: list[Writer] = []
    for seed in range(20):
        with contextlib.suppress(grpc.RpcError), writing(server.address, NAME, writers, count=1, seed=seed):
            wait_until(lambda: not writers[0].is_alive() or len(list(fired.iterdir())) == 4, "the places are passed")
        last = writers[0].calls[-1].code
        if last is None:
            break
        failed.append(last)
    assert {path.name for path in fired.iterdir()} == set(places(failpoints))
    assert len(failed) == 2
    assert server.child_pids() == before
    verify(server.address, NAME, writers)
    wait_for_green(server.address, NAME)
    server.kill9()
    server = start_server()
    verify(server.address, NAME, writers)
