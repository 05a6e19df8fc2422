"""The Snapshots service over a socket: names, descriptions, every error code and text (specification part 1, 10.1)."""

from __future__ import annotations

import concurrent.futures
import hashlib
import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import grpc
import pytest

from pointstore.engine.snapshots import WAITING_MAX
from qdrant_grpc import collections_pb2 as c
from qdrant_grpc import points_pb2 as p
from qdrant_grpc import qdrant_common_pb2 as q
from qdrant_grpc import snapshots_service_pb2 as s
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from qdrant_grpc.snapshots_service_pb2_grpc import SnapshotsStub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Server

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
NAME_LENGTH = 'collection_name: value "" invalid, must be from 1 to 255 characters'
SNAPSHOT_LENGTH = 'snapshot_name: value "" invalid, must be at least 1 characters'


@pytest.fixture(scope="module")
def channel(shared_server: Server) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(shared_server.address) as opened:
        yield opened


@pytest.fixture(scope="module")
def stub(channel: grpc.Channel) -> SnapshotsStub:
    return SnapshotsStub(channel)


@pytest.fixture
def collections(channel: grpc.Channel) -> CollectionsStub:
    return CollectionsStub(channel)


def create_collection(collections: CollectionsStub, name: str) -> None:
    """Create a small collection."""
    vectors = c.VectorsConfig(params=c.VectorParams(size=2, distance=c.Distance.Dot))
    assert collections.Create(c.CreateCollection(collection_name=name, vectors_config=vectors)).result


def drop(collections: CollectionsStub, stub: SnapshotsStub, name: str) -> None:
    """Remove a collection and its snapshots."""
    for made in listed(stub, name):
        stub.Delete(s.DeleteSnapshotRequest(collection_name=name, snapshot_name=made.name))
    collections.Delete(c.DeleteCollection(collection_name=name))


@pytest.fixture
def name(request: pytest.FixtureRequest, collections: CollectionsStub, stub: SnapshotsStub) -> Iterator[str]:
    """Return the name of a collection of this test with three points."""
    own = f"snapshots-{abs(hash(request.node.nodeid)):x}"
    create_collection(collections, own)
    yield own
    drop(collections, stub, own)


def create(stub: SnapshotsStub, name: str) -> s.SnapshotDescription:
    """Make a snapshot of a collection."""
    return stub.Create(s.CreateSnapshotRequest(collection_name=name), timeout=60).snapshot_description


def listed(stub: SnapshotsStub, name: str) -> list[s.SnapshotDescription]:
    """List the snapshots of a collection."""
    return list(stub.List(s.ListSnapshotsRequest(collection_name=name)).snapshot_descriptions)


def refused(call: Callable[[], object]) -> tuple[grpc.StatusCode, str]:
    """Make a call that must fail; return code and text."""
    with pytest.raises(grpc.RpcError) as error:
        call()
    return error.value.code(), error.value.details() or ""


def metadata_of(error: grpc.RpcError) -> dict[str, str | bytes]:
    """Return the trailing metadata of a failed call."""
    return dict(error.trailing_metadata() or ())  # type: ignore[arg-type]  # pairs, which the types do not say


def test_create_describes_the_snapshot(stub: SnapshotsStub, shared_server: Server, name: str) -> None:
    before = int(time.time())
    reply = stub.Create(s.CreateSnapshotRequest(collection_name=name))
    made = reply.snapshot_description
    assert 0 < reply.time < 60
    found = re.fullmatch(rf"{name}-([0-9]+)-([0-9]{{4}}(?:-[0-9]{{2}}){{5}})\.snapshot", made.name)
    assert found is not None
    created_at = datetime.strptime(found[2], "%Y-%m-%d-%H-%M-%S").replace(tzinfo=UTC)
    assert made.creation_time.seconds == int(created_at.timestamp())
    assert before <= made.creation_time.seconds <= time.time()
    assert made.creation_time.nanos == 0
    (path,) = (shared_server.data_dir / "snapshots" / "collections" / name).glob("*.snapshot")
    assert made.size == path.stat().st_size > 0
    assert made.checksum == hashlib.sha256(path.read_bytes()).hexdigest()
    assert listed(stub, name) == [made]


def test_list_of_none_and_of_several(stub: SnapshotsStub, name: str) -> None:
    reply = stub.List(s.ListSnapshotsRequest(collection_name=name))
    assert list(reply.snapshot_descriptions) == []
    assert 0 < reply.time < 10
    made = [create(stub, name), create(stub, name)]
    assert made[0].name != made[1].name
    assert listed(stub, name) == made


def test_delete(stub: SnapshotsStub, name: str) -> None:
    first, second = create(stub, name), create(stub, name)
    reply = stub.Delete(s.DeleteSnapshotRequest(collection_name=name, snapshot_name=first.name))
    assert 0 < reply.time < 10
    assert listed(stub, name) == [second]
    text = f"Not found: Snapshot {first.name} not found"
    request = s.DeleteSnapshotRequest(collection_name=name, snapshot_name=first.name)
    assert refused(lambda: stub.Delete(request)) == (NOT_FOUND, text)


def test_aliases_name_the_real_collection(stub: SnapshotsStub, collections: CollectionsStub, name: str) -> None:
    alias = f"{name}-alias"
    action = c.AliasOperations(create_alias=c.CreateAlias(collection_name=name, alias_name=alias))
    collections.UpdateAliases(c.ChangeAliases(actions=[action]))
    made = create(stub, alias)
    assert made.name.startswith(f"{name}-")
    assert not made.name.startswith(alias)
    assert listed(stub, alias) == listed(stub, name) == [made]
    stub.Delete(s.DeleteSnapshotRequest(collection_name=alias, snapshot_name=made.name))
    assert listed(stub, name) == []


def test_snapshots_survive_their_collection(stub: SnapshotsStub, collections: CollectionsStub, name: str) -> None:
    made = create(stub, name)
    collections.Delete(c.DeleteCollection(collection_name=name))
    text = f"Not found: Collection `{name}` doesn't exist!"
    assert refused(lambda: listed(stub, name)) == (NOT_FOUND, text)
    create_collection(collections, name)
    assert listed(stub, name) == [made]


def test_a_collection_that_does_not_exist(stub: SnapshotsStub) -> None:
    expected = NOT_FOUND, "Not found: Collection `nowhere` doesn't exist!"
    assert refused(lambda: create(stub, "nowhere")) == expected
    assert refused(lambda: listed(stub, "nowhere")) == expected
    request = s.DeleteSnapshotRequest(collection_name="nowhere", snapshot_name="x")
    assert refused(lambda: stub.Delete(request)) == expected


def test_full_snapshots(stub: SnapshotsStub, name: str) -> None:
    before = list(stub.ListFull(s.ListFullSnapshotsRequest()).snapshot_descriptions)
    reply = stub.CreateFull(s.CreateFullSnapshotRequest())
    made = reply.snapshot_description
    assert 0 < reply.time < 60
    assert re.fullmatch(r"full-snapshot-[0-9]{4}(?:-[0-9]{2}){5}\.snapshot", made.name)
    assert made.size > 0
    assert re.fullmatch("[0-9a-f]{64}", made.checksum)
    listing = stub.ListFull(s.ListFullSnapshotsRequest())
    assert list(listing.snapshot_descriptions) == [*before, made]
    assert 0 < listing.time < 10
    assert listed(stub, name) == []
    request = s.DeleteFullSnapshotRequest(snapshot_name=made.name)
    assert 0 < stub.DeleteFull(request).time < 10
    assert list(stub.ListFull(s.ListFullSnapshotsRequest()).snapshot_descriptions) == before
    assert refused(lambda: stub.DeleteFull(request)) == (NOT_FOUND, f"Not found: Snapshot {made.name} not found")


@pytest.mark.parametrize(
    ("method", "request_", "expected"),
    [
        ("Create", s.CreateSnapshotRequest(), NAME_LENGTH),
        ("List", s.ListSnapshotsRequest(), NAME_LENGTH),
        ("Delete", s.DeleteSnapshotRequest(snapshot_name="x"), NAME_LENGTH),
        ("Delete", s.DeleteSnapshotRequest(collection_name="x"), SNAPSHOT_LENGTH),
        ("DeleteFull", s.DeleteFullSnapshotRequest(), SNAPSHOT_LENGTH),
        (
            "Create",
            s.CreateSnapshotRequest(collection_name="a/b"),
            'collection_name: collection name cannot contain "/" char',
        ),
        (
            "Create",
            s.CreateSnapshotRequest(collection_name="x" * 256),
            f'collection_name: value "{"x" * 256}" invalid, must be from 1 to 255 characters',
        ),
    ],
)
def test_validation(stub: SnapshotsStub, method: str, request_: object, expected: str) -> None:
    assert refused(lambda: getattr(stub, method)(request_)) == (INVALID, f"Validation error in body: [{expected}]")


def test_both_violations_are_told(stub: SnapshotsStub) -> None:
    code, text = refused(lambda: stub.Delete(s.DeleteSnapshotRequest()))
    assert code is INVALID
    assert NAME_LENGTH in text
    assert SNAPSHOT_LENGTH in text


@pytest.mark.parametrize(
    "other",
    [
        "..",
        "../../catalog/data.mdb",
        "../../../data/LOCK",
        "/etc/passwd",
        "a/../b.snapshot",
        "..\\x",
        "{name}-1-2026-01-01-00-00-00.snapshot/../../../../LOCK",
        "%2e%2e%2fLOCK",
        "x" * 5000,
        "nothing.snapshot",
    ],
)
def test_names_that_lead_elsewhere(stub: SnapshotsStub, shared_server: Server, name: str, other: str) -> None:
    other = other.format(name=name)
    create(stub, name)
    before = sorted(shared_server.data_dir.rglob("*"))
    for call in (
        lambda: stub.Delete(s.DeleteSnapshotRequest(collection_name=name, snapshot_name=other)),
        lambda: stub.DeleteFull(s.DeleteFullSnapshotRequest(snapshot_name=other)),
    ):
        code, text = refused(call)
        assert code is NOT_FOUND
        assert text.startswith(f"Not found: Snapshot {other[:1000]}")
    assert {path for path in before if "snapshots" in path.parts or path.name in {"LOCK", "data.mdb"}} <= set(
        shared_server.data_dir.rglob("*")
    )


@pytest.mark.parametrize("own", [".", "..", ".tmp-", "ä" * 255, "a b%2F", "\x01\N{GRINNING FACE}"])
def test_collections_of_unusual_names(stub: SnapshotsStub, collections: CollectionsStub, own: str) -> None:
    create_collection(collections, own)
    try:
        made = create(stub, own)
        assert made.name.startswith(f"{own}-")
        assert listed(stub, own) == [made]
    finally:
        drop(collections, stub, own)
    create_collection(collections, own)
    assert listed(stub, own) == []
    drop(collections, stub, own)


def test_writes_go_on_meanwhile(start_server: Callable[..., Server]) -> None:
    """While a snapshot is in its longest phases writes are acknowledged, and searches answered."""
    server = start_server(
        workers=1, POINTSTORE_FAILPOINTS="snapshot.begun=pause:1,snapshot.linked=pause:1,snapshot.written=pause:1"
    )
    with grpc.insecure_channel(server.address) as channel:
        create_collection(CollectionsStub(channel), "busy")
        points = PointsStub(channel)
        making = SnapshotsStub(channel).Create.future(s.CreateSnapshotRequest(collection_name="busy"))
        written = 0
        while not making.done():
            point = p.PointStruct(id=q.PointId(num=written))
            point.vectors.vector.dense.data.extend([written, 1])
            points.Upsert(p.UpsertPoints(collection_name="busy", wait=True, points=[point]), timeout=10)
            written += 1
        assert making.result().snapshot_description.size > 0
        # One that waits for the snapshot is the only one, and it has three phases of a second each.
        assert written >= 4


def test_more_than_a_few_at_a_time_are_refused(start_server: Callable[..., Server]) -> None:
    server = start_server(workers=1, POINTSTORE_FAILPOINTS="snapshot.begun=pause:1.5")
    with grpc.insecure_channel(server.address) as channel:
        create_collection(CollectionsStub(channel), "wanted")
        stub = SnapshotsStub(channel)
        with concurrent.futures.ThreadPoolExecutor(WAITING_MAX + 3) as pool:
            calls = [pool.submit(lambda: create(stub, "wanted").name) for _ in range(WAITING_MAX + 3)]
            concurrent.futures.wait(calls)
        errors = [call.exception() for call in calls if call.exception() is not None]
        made = {call.result() for call in calls if call.exception() is None}
        assert len(made) == WAITING_MAX
        for error in errors:
            assert isinstance(error, grpc.RpcError)
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert error.details() == "Rate limiting exceeded: Too many snapshots are being made, try again later"
            assert metadata_of(error)["retry-after"] == "5"
        assert {each.name for each in listed(stub, "wanted")} == made


def test_a_quarantined_collection(start_server: Callable[..., Server]) -> None:
    server = start_server(workers=1)
    with grpc.insecure_channel(server.address) as channel:
        for each in ("bad", "good"):
            create_collection(CollectionsStub(channel), each)
        before = create(SnapshotsStub(channel), "bad")
    server.terminate()
    # The settings say which it is: the newer one is "good".
    first = min(server.data_dir.glob("collections/*"), key=lambda path: path.stat().st_ctime_ns)
    (first / "store" / "data.mdb").write_bytes(b"")
    server.restart()
    with grpc.insecure_channel(server.address) as channel:
        stub = SnapshotsStub(channel)
        text = (
            "Service internal error: collection `bad` is quarantined, its stored data failed the checks of the last "
            "start; the reason is in the log"
        )
        assert refused(lambda: create(stub, "bad")) == (grpc.StatusCode.DATA_LOSS, text)
        # Not without it, silently.
        assert refused(lambda: stub.CreateFull(s.CreateFullSnapshotRequest())) == (grpc.StatusCode.DATA_LOSS, text)
        assert list(stub.ListFull(s.ListFullSnapshotsRequest()).snapshot_descriptions) == []
        assert create(stub, "good").size > 0
        assert listed(stub, "bad") == [before]
        stub.Delete(s.DeleteSnapshotRequest(collection_name="bad", snapshot_name=before.name))
        assert listed(stub, "bad") == []


def test_a_full_disk(start_server: Callable[..., Server]) -> None:
    """No space in any phase: the specified error, nothing left behind, and the next one succeeds."""
    phases = ["begun", "linked", "described", "written", "synced"]
    server = start_server(
        workers=1,
        POINTSTORE_FAILPOINTS=",".join(f"snapshot.{phase}=nospace" for phase in phases),
    )
    with grpc.insecure_channel(server.address) as channel:
        create_collection(CollectionsStub(channel), "full")
        stub = SnapshotsStub(channel)
        for _ in phases:
            with pytest.raises(grpc.RpcError) as error:
                create(stub, "full")
            assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert error.value.details() == "Insufficient storage: No space left on device"
            assert metadata_of(error.value)["qdrant-insufficient-storage"] == "1"
            assert listed(stub, "full") == []
            assert not list(server.data_dir.rglob("*.snapshot*"))
            assert not list(server.data_dir.glob("captures/*"))
        assert create(stub, "full").size > 0


def test_the_work_ends_with_the_call(start_server: Callable[..., Server]) -> None:
    """A client that goes, or whose time is over, while it waits or its snapshot is made: nothing is left of it."""
    server = start_server(workers=1, POINTSTORE_FAILPOINTS="snapshot.described=pause:1")
    with grpc.insecure_channel(server.address) as channel:
        create_collection(CollectionsStub(channel), "left")
        stub = SnapshotsStub(channel)
        calls = [stub.Create.future(s.CreateSnapshotRequest(collection_name="left"), timeout=0.8) for _ in range(2)]
        calls.append(stub.Create.future(s.CreateSnapshotRequest(collection_name="left")))
        time.sleep(0.3)
        calls[-1].cancel()
        for call in calls:
            with pytest.raises((grpc.RpcError, grpc.FutureCancelledError)):
                call.result()
        # Its turn comes after theirs.
        assert create(stub, "left").size > 0
        assert len(listed(stub, "left")) == 1
        assert not list(server.data_dir.glob("captures/*"))
        assert not list(server.data_dir.glob("snapshots/**/.tmp-*"))
