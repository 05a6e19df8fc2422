"""`pointstore restore`: what was in the snapshot is what the next server answers; what does not fit touches nothing."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import grpc
import pytest

from qdrant_grpc import collections_pb2, points_pb2
from qdrant_grpc import snapshots_service_pb2 as s
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from qdrant_grpc.snapshots_service_pb2_grpc import SnapshotsStub
from tests.conftest import server_environment
from tests.crash.driver import EAGER, channel_to, create, fill, info, verify, wait_for_green

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Server
    from tests.crash.driver import Writer

    Start = Callable[..., Server]

CALM = {"POINTSTORE__OPTIMIZER__SEAL_BYTES": str(1 << 30), "POINTSTORE__OPTIMIZER__TAIL_BYTES": str(1 << 30)}
NAME = "sö.urce"


def restore(snapshot: Path, data_dir: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "pointstore", "restore", str(snapshot), "--data-dir", str(data_dir), *arguments],
        env=server_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def refusal(done: subprocess.CompletedProcess[str]) -> str:
    """Return the one line with which the command has refused."""
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("pointstore: nothing was restored: ")
    return line.removeprefix("pointstore: nothing was restored: ")


def change_aliases(channel: grpc.Channel, **aliases: str) -> None:
    """Create aliases."""
    actions = [
        collections_pb2.AliasOperations(
            create_alias=collections_pb2.CreateAlias(collection_name=target, alias_name=alias)
        )
        for alias, target in aliases.items()
    ]
    CollectionsStub(channel).UpdateAliases(collections_pb2.ChangeAliases(actions=actions))


def aliases_of(channel: grpc.Channel) -> dict[str, str]:
    """Return all aliases."""
    reply = CollectionsStub(channel).ListAliases(collections_pb2.ListAliasesRequest(), wait_for_ready=True)
    return {each.alias_name: each.collection_name for each in reply.aliases}


def index_field(channel: grpc.Channel, name: str) -> None:
    """Index the field `n`."""
    request = points_pb2.CreateFieldIndexCollection(
        collection_name=name, field_name="n", field_type=points_pb2.FieldType.FieldTypeInteger, wait=True
    )
    PointsStub(channel).CreateFieldIndex(request)


def counted(channel: grpc.Channel, name: str) -> int:
    """Count the points whose field `n` has a small value, by the index."""
    condition = points_pb2.CountPoints(collection_name=name, exact=True)
    field = condition.filter.must.add().field
    field.key, field.range.lt = "n", 1 << 39
    return PointsStub(channel).Count(condition, wait_for_ready=True).result.count


class Source:
    """A server with a filled collection, an empty one and aliases, and a snapshot of each kind."""

    def __init__(self, start_server: Start) -> None:
        self.server = start_server("source", **EAGER)
        self.writers: list[Writer] = fill(self.server, NAME)
        create(self.server.address, collections_pb2.CreateCollection(collection_name="empty"))
        with channel_to(self.server.address) as channel:
            index_field(channel, NAME)
            change_aliases(channel, one=NAME, two="empty")
            self.counted = counted(channel, NAME)
        wait_for_green(self.server.address, NAME)
        # A Green collection is still sealed and indexed by an eager optimizer; a calm one lets `info` stay true.
        self.server.terminate()
        self.server.start(CALM)
        with channel_to(self.server.address) as channel:
            self.info = info(self.server.address, NAME)
            snapshots = SnapshotsStub(channel)
            snapshots.Create(s.CreateSnapshotRequest(collection_name="one"))
            snapshots.CreateFull(s.CreateFullSnapshotRequest())
        directory = self.server.data_dir / "snapshots"
        (self.single,) = directory.glob("collections/*/*.snapshot")
        (self.full,) = directory.glob("full/*.snapshot")
        self.server.terminate()

    def verify(self, address: str, name: str = NAME) -> None:
        """Compare points, vectors, searches, configuration and indexes with those of the source."""
        verify(address, name, self.writers)
        found = info(address, name)
        assert found.config == self.info.config
        assert found.payload_schema == self.info.payload_schema
        assert found.points_count == self.info.points_count
        assert found.indexed_vectors_count == self.info.indexed_vectors_count
        with channel_to(address) as channel:
            assert counted(channel, name) == self.counted


@pytest.fixture
def source(start_server: Start) -> Source:
    """Return a stopped server with snapshots."""
    return Source(start_server)


def test_everything_on_a_fresh_machine(source: Source, start_server: Start, tmp_path: Path) -> None:
    data_dir = tmp_path / "deep" / "fresh"
    done = restore(source.full, data_dir)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "restored collection `empty` (0 points)",
        f"restored collection `{NAME}` ({source.info.points_count} points)",
        f"restored alias `one` of collection `{NAME}`",
        "restored alias `two` of collection `empty`",
    ]
    assert {path.name for path in data_dir.iterdir()} == {"LOCK", "catalog", "collections"}
    server = start_server("deep/fresh")
    source.verify(server.address)
    with channel_to(server.address) as channel:
        assert aliases_of(channel) == {"one": NAME, "two": "empty"}
        # The directory of snapshots is the new server's own.
        assert not SnapshotsStub(channel).ListFull(s.ListFullSnapshotsRequest()).snapshot_descriptions
    assert info(server.address, "empty").points_count == 0
    assert "warning" not in server.log.lower()
    # It can be written, indexed, and copied again.
    again = fill(server, "more")
    verify(server.address, "more", again)
    with channel_to(server.address) as channel:
        assert SnapshotsStub(channel).CreateFull(s.CreateFullSnapshotRequest()).snapshot_description.size > 0


def test_one_beside_others(source: Source, start_server: Start) -> None:
    server = start_server("target", **EAGER)
    others = fill(server, "other")
    with channel_to(server.address) as channel:
        change_aliases(channel, one="other")
    before = sorted(path.name for path in (server.data_dir / "collections").iterdir())
    assert "is in use by another server" in refusal(restore(source.single, server.data_dir))
    server.terminate()
    assert restore(source.single, server.data_dir).returncode == 0
    text = f"collection `{NAME}` exists; --force replaces it"
    assert refusal(restore(source.single, server.data_dir)) == text
    assert refusal(restore(source.full, server.data_dir)) == text
    assert restore(source.single, server.data_dir, "--collection", "renamed").returncode == 0
    assert refusal(restore(source.single, server.data_dir, "--collection", "other")).startswith("collection `other`")
    text = "an alias has the name of collection `one`; --force removes it"
    assert refusal(restore(source.single, server.data_dir, "--collection", "one")) == text
    assert len(list((server.data_dir / "collections").iterdir())) == len(before) + 2
    assert sorted(path.name for path in server.data_dir.iterdir()) == ["LOCK", "catalog", "collections"]
    server.start()
    for name in (NAME, "renamed"):
        source.verify(server.address, name)
    verify(server.address, "other", others)
    with channel_to(server.address) as channel:
        assert aliases_of(channel) == {"one": "other"}


def test_force_replaces(source: Source, start_server: Start) -> None:
    server = start_server("target", **EAGER)
    with channel_to(server.address) as channel:
        for name in (NAME, "kept"):
            create(server.address, collections_pb2.CreateCollection(collection_name=name))
        change_aliases(channel, one="kept", other="kept", mine=NAME)
    server.terminate()
    assert restore(source.full, server.data_dir, "--force").returncode == 0
    assert restore(source.full, server.data_dir, "--force").returncode == 0
    assert len(list((server.data_dir / "collections").iterdir())) == 3
    server.start()
    source.verify(server.address)
    assert info(server.address, "kept").points_count == 0
    with channel_to(server.address) as channel:
        assert aliases_of(channel) == {"one": NAME, "two": "empty", "other": "kept", "mine": NAME}
    server.terminate()
    # An alias that would hide a collection which is not in the snapshot.
    fresh = start_server("clash")
    create(fresh.address, collections_pb2.CreateCollection(collection_name="one"))
    fresh.terminate()
    text = "a collection has the name of alias `one`"
    for arguments in ([], ["--force"]):
        assert refusal(restore(source.full, fresh.data_dir, *arguments)) == text


def damaged(path: Path, tmp_path: Path, kind: str) -> Path:
    """Return a copy of a snapshot with a fault."""
    whole = path.read_bytes()
    middle = len(whole) // 2
    match kind:
        case "truncated":
            whole = whole[:middle]
        case "flipped":
            whole = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        case "appended":
            whole += b"x"
        case "empty":
            whole = b""
    copy = tmp_path / f"{kind}.snapshot"
    copy.write_bytes(whole)
    return copy


def test_bad_snapshots_touch_nothing(source: Source, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    existing = source.server.data_dir
    before = {path: path.stat().st_mtime_ns for path in existing.rglob("*")}
    for kind in ("truncated", "flipped", "appended", "empty"):
        bad = damaged(source.full, tmp_path, kind)
        for data_dir in (fresh, existing):
            assert refusal(restore(bad, data_dir, "--force")).startswith("not a usable snapshot: ")
    assert refusal(restore(tmp_path / "nothing", fresh)) == f"{tmp_path / 'nothing'}: No such file or directory"
    assert refusal(restore(tmp_path, fresh)) == f"{tmp_path} is no file"
    assert "cannot be given the name" in refusal(restore(source.full, fresh, "--collection", "x"))
    for name in ("a/b", "", "x" * 256):
        assert refusal(restore(source.single, fresh, "--collection", name)).endswith(
            "cannot be the name of a collection"
        )
    assert not fresh.exists()
    assert {path: path.stat().st_mtime_ns for path in existing.rglob("*")} == before
