"""Snapshots in the engine: one state each, whatever happens meanwhile, and nothing left behind by those that fail."""

from __future__ import annotations

import concurrent.futures
import errno
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pointstore.core.catalog import CreateAlias, RenameAlias
from pointstore.core.errors import (
    CallCancelledError,
    CorruptionError,
    InsufficientStorageError,
    NotFoundError,
    QuarantinedError,
    RateLimitedError,
    StorageError,
    UnavailableError,
)
from pointstore.core.schema import CollectionConfig
from pointstore.core.update import DeletePoints
from pointstore.engine import capture as capturing
from pointstore.engine import snapshots as making
from pointstore.engine.snapshots import WAITING_MAX, Snapshots, remove_leftovers
from pointstore.storage import collection as stored
from pointstore.storage.archive import Manifest, read_archive
from pointstore.storage.env import Environment
from pointstore.storage.layout import QUARANTINE
from pointstore.storage.segments import INDEX_FILE, ROWS_FILE, SegmentGoneError
from pointstore.storage.snapshot_files import Shelf
from tests.building import contents, dense, merge_segments, pids, seal, upsert, vector_config, write

if TYPE_CHECKING:
    from pathlib import Path

    from pointstore.engine.collection import Collection
    from pointstore.engine.engine import Engine
    from pointstore.storage.catalog import Names


@pytest.fixture
def snapshots(engine: Engine, tmp_path: Path) -> Snapshots:
    """Return the snapshots of the engine."""
    return Snapshots(engine, tmp_path / "snapshots", "0.0.0")


@pytest.fixture
def filled(engine: Engine) -> Collection:
    """Return a collection `filled` with sealed and unsealed rows."""
    engine.create_collection("filled", vector_config())
    found = engine.collection("filled")
    write(found, upsert(*[(n, {"": dense(n, 1)}, {"n": n}) for n in range(20)]))
    seal(found)
    write(found, upsert((20, {"": dense(20, 1)}, {})))
    return found


def go_on() -> None:
    """Let the work go on."""


def read(tmp_path: Path, pattern: str = "**/*.snapshot") -> Manifest:
    """Read the only snapshot."""
    (path,) = (tmp_path / "snapshots").glob(pattern)
    return read_archive(path, lambda _: None)


def assert_nothing_left(tmp_path: Path) -> None:
    """Check that there is neither a snapshot nor anything of one."""
    assert not [path for path in (tmp_path / "snapshots").rglob("*") if path.is_file() and path.name != "LOCK"]
    assert not list((tmp_path / "data").glob("captures/*"))


def test_a_snapshot_tells_what_it_holds(
    engine: Engine, snapshots: Snapshots, filled: Collection, tmp_path: Path
) -> None:
    engine.create_collection("other", CollectionConfig())
    engine.update_aliases([CreateAlias("filled", "a"), CreateAlias("other", "b")])
    made = snapshots.create("a")
    assert made.name.startswith(f"filled-{engine.peer_id}-")
    manifest = read(tmp_path)
    (held,) = manifest.collections
    assert (manifest.kind, manifest.version, manifest.aliases) == ("collection", "0.0.0", {"a": "filled"})
    assert manifest.created_at_s == made.created_at_s
    assert (held.name, held.seq, held.points, held.config) == ("filled", 2, 21, filled.config())
    assert [file.path.rpartition("/")[2] for file in held.files] == ["data.mdb", "slots.npy", "vectors.npy"]
    assert not (tmp_path / "data" / "captures").exists()


def test_a_full_snapshot_tells_what_it_holds(
    engine: Engine, snapshots: Snapshots, filled: Collection, tmp_path: Path
) -> None:
    engine.create_collection("other", CollectionConfig())
    engine.update_aliases([CreateAlias("filled", "a"), CreateAlias("other", "b")])
    snapshots.create_full()
    manifest = read(tmp_path)
    assert manifest.kind == "full"
    assert {held.name: held.points for held in manifest.collections} == {"filled": 21, "other": 0}
    assert manifest.aliases == {"a": "filled", "b": "other"}
    assert filled.count(None) == 21


def test_everything_of_nothing(snapshots: Snapshots, tmp_path: Path) -> None:
    snapshots.create_full()
    assert read(tmp_path).collections == ()


def test_an_alias_that_hides_a_collection(engine: Engine, snapshots: Snapshots, filled: Collection) -> None:
    """An alias of a collection's name wins, for snapshots as for everything else."""
    engine.create_collection("hidden", CollectionConfig())
    engine.update_aliases([CreateAlias("filled", "x"), RenameAlias("x", "hidden")])
    assert snapshots.create("hidden").name.startswith("filled-")
    assert filled.name == "filled"
    assert [info.name for info in snapshots.of_collection("hidden")] == [
        info.name for info in snapshots.of_collection("filled")
    ]


def test_segments_that_are_replaced_meanwhile(
    snapshots: Snapshots, filled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The optimizer replaces a segment after the transaction began: the next one sees the new segment."""
    rounds: list[str] = []

    def replace_once(place: str) -> None:
        if place == "snapshot.begun" and not rounds:
            (old,) = filled.state_for_optimizer().spaces[0].segments
            rounds.append(old.uid)
            write(filled, upsert((21, {"": dense(21, 1)}, {})))
            assert seal(filled) is not None
            merge_segments(filled)

    monkeypatch.setattr(capturing, "visit", replace_once)
    snapshots.create("filled")
    (held,) = read(tmp_path).collections
    assert len(rounds) == 1
    assert not [file for file in held.files if rounds[0] in file.path]
    assert (held.seq, held.points) == (3, 22)


def test_a_lost_segment_ends_it(snapshots: Snapshots, filled: Collection, tmp_path: Path) -> None:
    shutil.rmtree(next(filled.segments_dir.iterdir()))
    with pytest.raises(SegmentGoneError):
        snapshots.create("filled")
    assert_nothing_left(tmp_path)


def test_damaged_rows_end_it(snapshots: Snapshots, filled: Collection, tmp_path: Path) -> None:
    rows = next(filled.segments_dir.iterdir()) / ROWS_FILE
    content = bytearray(rows.read_bytes())
    content[-1] ^= 1
    rows.write_bytes(content)
    with pytest.raises(CorruptionError, match=r"vectors\.npy is damaged"):
        snapshots.create("filled")
    with pytest.raises(CorruptionError, match=r"vectors\.npy is damaged"):
        snapshots.create_full()
    assert_nothing_left(tmp_path)


def test_an_operation_of_later_is_not_in_it(
    snapshots: Snapshots, filled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is written between two steps of a capture, the snapshot is of one operation."""

    def write_at(place: str) -> None:
        if place in {"snapshot.begun", "snapshot.linked"}:
            write(filled, DeletePoints(pids(*range(5))), upsert((99, {"": dense(9, 9)}, {})))

    monkeypatch.setattr(capturing, "visit", write_at)
    monkeypatch.setattr(stored, "visit", write_at)
    snapshots.create("filled")
    (held,) = read(tmp_path).collections
    assert (held.seq, held.points) == (2, 21)
    assert filled.count(None) == 17


def test_collections_that_come_and_go_meanwhile(
    engine: Engine, snapshots: Snapshots, filled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alias moves to a new collection and the old one is dropped: the alias is in the snapshot, with its target."""
    engine.update_aliases([CreateAlias("filled", "live")])
    done: list[str] = []

    def switch(place: str) -> None:
        if place == "snapshot.begun" and not done:
            done.append("switched")
            engine.create_collection("next", vector_config())
            write(engine.collection("next"), upsert((1, {"": dense(1, 1)}, {})))
            engine.update_aliases([CreateAlias("next", "live")])
            assert engine.drop_collection("filled")

    monkeypatch.setattr(capturing, "visit", switch)
    snapshots.create_full()
    manifest = read(tmp_path)
    assert [(held.name, held.points) for held in manifest.collections] == [("next", 1)]
    assert manifest.aliases == {"live": "next"}
    assert filled.name == "filled"


def test_endless_changes_of_names_do_not_hold_it_up(
    engine: Engine, snapshots: Snapshots, filled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 0

    def change(place: str) -> None:
        nonlocal count
        if place == "snapshot.begun":
            count += 1
            engine.create_collection(f"more-{count}", CollectionConfig())

    monkeypatch.setattr(capturing, "visit", change)
    monkeypatch.setattr(making, "_ROUNDS", 3)
    snapshots.create_full()
    assert {"filled", "more-1"} <= {held.name for held in read(tmp_path).collections}
    assert filled.name == "filled"


def test_a_collection_that_is_dropped_meanwhile(
    engine: Engine, snapshots: Snapshots, filled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drop(place: str) -> None:
        if place == "snapshot.begun":
            engine.drop_collection("filled")

    monkeypatch.setattr(capturing, "visit", drop)
    with pytest.raises(NotFoundError, match="Collection `filled` doesn't exist!"):
        snapshots.create("filled")
    assert_nothing_left(tmp_path)
    assert filled.name == "filled"


def test_a_collection_that_is_dropped_as_soon_as_its_name_is_known(
    engine: Engine, snapshots: Snapshots, filled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    current, looks = engine.names, 0

    def dropped() -> Names:
        nonlocal looks
        names, looks = current(), looks + 1
        # The first look is before the turn, the second decides.
        if looks == 2:
            engine.drop_collection("filled")
        return names

    monkeypatch.setattr(engine, "names", dropped)
    with pytest.raises(NotFoundError, match="Collection `filled` doesn't exist!"):
        snapshots.create("filled")
    assert looks == 2
    assert_nothing_left(tmp_path)
    assert filled.name == "filled"


def test_a_collection_that_is_replaced_while_its_snapshot_waits(
    engine: Engine, snapshots: Snapshots, filled: Collection, tmp_path: Path
) -> None:
    """The snapshot is of the collection that has the name when its turn comes."""
    waiting = threading.Event()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        with snapshots._files.turn(go_on):
            made = pool.submit(snapshots.create, "filled", waiting.set)
            assert waiting.wait(10)
            engine.drop_collection("filled")
            engine.create_collection("filled", vector_config())
            write(engine.collection("filled"), upsert((1, {"": dense(1, 1)}, {})))
        assert made.result(10).size > 0
    (held,) = read(tmp_path).collections
    assert (held.seq, held.points) == (1, 1)
    assert filled.name == "filled"


CALLS: dict[str, Callable[[Snapshots], object]] = {
    "create": lambda snapshots: snapshots.create("filled"),
    "create_full": lambda snapshots: snapshots.create_full(),
    "of_collection": lambda snapshots: snapshots.of_collection("filled"),
    "full": lambda snapshots: snapshots.full(),
    "delete": lambda snapshots: snapshots.delete("filled", "x"),
    "delete_full": lambda snapshots: snapshots.delete_full("x"),
}


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ENOSPC])
@pytest.mark.parametrize("name", CALLS)
def test_what_the_operating_system_refuses(
    name: str, number: int, snapshots: Snapshots, filled: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        for method in ("snapshots", "delete", "create"):
            patched.setattr(Shelf, method, refuse)
        with pytest.raises((InsufficientStorageError, UnavailableError)) as refused:
            CALLS[name](snapshots)
    # Nothing is in doubt, so it is no ReadOnlyError either.
    assert refused.type is (InsufficientStorageError if number == errno.ENOSPC else UnavailableError)
    write(filled, upsert((50, {"": dense(1, 1)}, {})))
    assert snapshots.create("filled").size > 0


def test_a_quarantined_collection(engine: Engine, snapshots: Snapshots, tmp_path: Path) -> None:
    engine.create_collection("bad", CollectionConfig())
    (directory,) = (tmp_path / "data" / "collections").iterdir()
    (directory / QUARANTINE).write_text("why")
    with pytest.raises(QuarantinedError):
        snapshots.create("bad")
    with pytest.raises(QuarantinedError):
        snapshots.create_full()
    assert_nothing_left(tmp_path)
    assert snapshots.of_collection("bad") == []


@pytest.mark.parametrize("after", range(4))
def test_work_that_is_ended_leaves_nothing(
    engine: Engine, snapshots: Snapshots, filled: Collection, tmp_path: Path, after: int
) -> None:
    left = after

    def proceed() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise CallCancelledError("ended")

    engine.create_collection("other", CollectionConfig())
    with pytest.raises(CallCancelledError):
        snapshots.create_full(proceed)
    assert_nothing_left(tmp_path)
    snapshots.create_full()
    assert filled.count(None) == 21


def test_a_full_disk_while_the_store_is_copied(
    snapshots: Snapshots, filled: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_self: Environment, _txn: object, path: Path) -> None:
        path.write_bytes(b"half")
        raise InsufficientStorageError("No space left on device")

    monkeypatch.setattr(Environment, "copy", full)
    with pytest.raises(InsufficientStorageError):
        snapshots.create("filled")
    assert_nothing_left(tmp_path)
    assert filled.count(None) == 21


def test_no_more_wait_than_a_few(snapshots: Snapshots, filled: Collection) -> None:
    with snapshots._files.turn(go_on):
        ended = threading.Event()
        errors: list[BaseException] = []

        def stop() -> None:
            if ended.is_set():
                raise CallCancelledError("ended")

        def wait() -> None:
            try:
                snapshots.create("filled", stop)
            except CallCancelledError as error:
                errors.append(error)

        threads = [threading.Thread(target=wait) for _ in range(WAITING_MAX)]
        for thread in threads:
            thread.start()
        try:
            while snapshots._slots._value:
                pass
            with pytest.raises(RateLimitedError, match="Too many snapshots"):
                snapshots.create("filled")
            with pytest.raises(RateLimitedError, match="Too many snapshots"):
                snapshots.create_full()
        finally:
            ended.set()
            for thread in threads:
                thread.join(10)
    assert len(errors) == WAITING_MAX
    assert snapshots.create("filled").size > 0
    assert filled.count(None) == 21


def test_what_a_killed_process_left_is_removed_by_the_next_one(
    snapshots: Snapshots, filled: Collection, tmp_path: Path
) -> None:
    snapshots.delete("filled", snapshots.create("filled").name)
    (directory,) = (tmp_path / "snapshots" / "collections").iterdir()
    left = [
        directory / ".tmp-x.snapshot",
        directory / "x.snapshot.checksum",
        tmp_path / "data" / "captures" / "x" / "y",
    ]
    left[2].parent.mkdir(parents=True)
    for path in left:
        path.write_text("x")
    snapshots.create("filled")
    assert not [path for path in left if path.exists()]
    assert filled.count(None) == 21


def test_a_start_removes_what_was_left(tmp_path: Path) -> None:
    data, kept = tmp_path / "data", tmp_path / "snapshots"
    assert remove_leftovers(data, kept) == []
    for path in (data / "captures" / "1" / "x", data / "restores" / "2" / "x", kept / "full" / ".tmp-x"):
        path.parent.mkdir(parents=True)
        path.write_text("x")
    assert remove_leftovers(data, kept) == [".tmp-x"]
    assert list(data.iterdir()) == []


def test_deleting_what_is_not_there(snapshots: Snapshots, filled: Collection) -> None:
    text = r"^Snapshot \.\./x not found$"
    with pytest.raises(NotFoundError, match=text):
        snapshots.delete("filled", "../x")
    with pytest.raises(NotFoundError, match=text):
        snapshots.delete_full("../x")
    with pytest.raises(NotFoundError, match="Collection `nowhere` doesn't exist!"):
        snapshots.delete("nowhere", "x")
    assert contents(filled)


def test_a_damaged_index_is_left_out(filled: Collection, tmp_path: Path) -> None:
    """An index whose bytes are not those that were published is no part of a snapshot, and no reason against one."""
    capture = filled.capture(tmp_path / "data" / "captured")
    (segment,) = capture.segments
    index = capture.directory / "segments" / segment.uid / INDEX_FILE
    index.write_bytes(b"damaged")
    listed = replace(segment, checksums={**segment.checksums, INDEX_FILE: "0" * 64})
    described = replace(capture, segments=(listed,)).described("filled", "collections/0/")
    assert not [file for file in described.files if file.path.endswith(INDEX_FILE)]
    index.unlink()
    assert replace(capture, segments=(listed,)).described("filled", "collections/0/") == described
    (capture.directory / "segments" / segment.uid / ROWS_FILE).unlink()
    with pytest.raises(StorageError, match="is damaged"):
        capture.described("filled", "collections/0/")
