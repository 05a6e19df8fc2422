"""Names of snapshots on disk: whatever a collection is called, nothing is found outside its directory."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import threading
from typing import TYPE_CHECKING, BinaryIO

import pytest

from pointstore.storage.snapshot_files import SnapshotFiles

if TYPE_CHECKING:
    from pathlib import Path

    from pointstore.core.snapshot import SnapshotInfo
    from pointstore.storage.snapshot_files import Shelf

NAMES = [
    "cities",
    ".",
    "..",
    ".hidden",
    ".tmp-x",
    "-rf",
    "a b",
    "a%b",
    "a%2Eb",
    "%2E",
    "~",
    "%~",
    "ä" * 255,
    "\N{GRINNING FACE}" * 255,
    "x" * 255,
    "x" * 254 + "y",
    "\x01\x7f",
    "a\nb",
    'a"b*c?d|e<f>',
    "a\\b",
    "a:b",
    "CON",
    "full",
    "cities-1-2026-01-01-00-00-00.snapshot",
]


def go_on() -> None:
    """Let the work go on."""


def make(shelf: Shelf, content: bytes = b"content", middle: str = "-7") -> SnapshotInfo:
    """Make a snapshot."""

    def write(file: BinaryIO, _created_at_s: int) -> str:
        file.write(content)
        return hashlib.sha256(content).hexdigest()

    return shelf.create(middle, write, go_on)


@pytest.fixture
def files(tmp_path: Path) -> SnapshotFiles:
    """Return an empty directory of snapshots, which does not exist yet."""
    return SnapshotFiles(tmp_path / "a" / "snapshots")


def test_a_snapshot_is_listed_and_deleted(files: SnapshotFiles) -> None:
    shelf = files.of_collection("cities")
    assert shelf.snapshots() == []
    made = make(shelf)
    assert made.size == 7
    assert made.checksum == hashlib.sha256(b"content").hexdigest()
    assert made.name.startswith("cities-7-2")
    assert made.name.endswith(".snapshot")
    assert shelf.snapshots() == [made]
    path = shelf.path_of(made.name)
    assert path is not None
    assert path.read_bytes() == b"content"
    assert shelf.delete(made.name)
    assert not shelf.delete(made.name)
    assert shelf.snapshots() == []
    assert list(shelf.directory.iterdir()) == []


def test_any_name_has_a_directory_of_its_own(files: SnapshotFiles, tmp_path: Path) -> None:
    made = {name: make(files.of_collection(name)) for name in NAMES}
    full = make(files.full(), middle="")
    for name, info in made.items():
        assert info.name.startswith(f"{name}-7-")
        assert files.of_collection(name).snapshots() == [info]
    assert files.full().snapshots() == [full]
    directories = {files.of_collection(name).directory for name in NAMES}
    assert len(directories) == len(NAMES)
    root = tmp_path / "a" / "snapshots"
    assert {path.parent for path in directories} == {root / "collections"}
    assert {path.name for path in root.iterdir()} == {"collections", "full"}
    for name, info in made.items():
        assert files.of_collection(name).delete(info.name)
    assert files.full().snapshots() == [full]


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../secret",
        "/etc/passwd",
        "cities-7-2026-01-01-00-00-00.snapshot/../../../../secret",
        "cities-7-../../../secret.snapshot",
        "cities-../secret-2026-01-01-00-00-00.snapshot",
        "../cities/cities-7-2026-01-01-00-00-00.snapshot",
        "cities-7-2026-01-01-00-00-00.snapshot\n",
        "cities-7-2026-01-01-00-00-00.snapshot\0",
        "cities-7-2026-01-01-00-00-00.snapshot.checksum",
        ".tmp-cities-7-2026-01-01-00-00-00.snapshot",
        "cities-7-2026-01-01-00-00-0\N{FULLWIDTH DIGIT ZERO}.snapshot",
        "other-7-2026-01-01-00-00-00.snapshot",
        "citie-7-2026-01-01-00-00-00.snapshot",
        "x" * 10_000,
    ],
)
def test_a_name_that_no_snapshot_has_is_not_looked_up(name: str, files: SnapshotFiles, tmp_path: Path) -> None:
    shelf = files.of_collection("cities")
    make(shelf)
    (tmp_path / "secret").write_text("secret")
    assert shelf.path_of(name) is None
    assert not shelf.delete(name)
    assert (tmp_path / "secret").exists()
    assert len(shelf.snapshots()) == 1


def test_a_collection_does_not_see_snapshots_of_another(files: SnapshotFiles) -> None:
    """The names of both begin alike: `a-1` of peer 7, and `a` of a peer that is `1-7`."""
    other = make(files.of_collection("a-1"))
    shelf = files.of_collection("a")
    assert shelf.snapshots() == []
    assert not shelf.delete(other.name)
    assert files.of_collection("a-1").snapshots() == [other]


def test_only_complete_snapshots_are_listed(files: SnapshotFiles) -> None:
    shelf = files.of_collection("cities")
    made = make(shelf)
    for name in ("notes.txt", "cities.snapshot", "other-7-2026-01-01-00-00-00.snapshot", ".tmp-" + made.name):
        (shelf.directory / name).write_text("x")
    (shelf.directory / "cities-7-2026-99-01-00-00-00.snapshot").write_text("no month")
    assert shelf.snapshots() == [made]
    path = shelf.path_of(made.name)
    assert path is not None
    for damaged in ("", "x" * 64, "\xff"):
        (shelf.directory / f"{path.name}.checksum").write_text(damaged, encoding="latin-1")
        (found,) = shelf.snapshots()
        assert found.checksum is None
    (shelf.directory / f"{path.name}.checksum").unlink()
    assert shelf.snapshots()[0].checksum is None


def test_two_within_a_second_get_names_of_two_seconds(files: SnapshotFiles) -> None:
    shelf = files.full()
    first, second = make(shelf, b"1", ""), make(shelf, b"2", "")
    assert first.created_at_s < second.created_at_s
    assert shelf.snapshots() == [first, second]


def test_waiting_for_a_second_can_be_ended(files: SnapshotFiles) -> None:
    shelf = files.full()
    make(shelf, middle="")

    def stop() -> None:
        raise InterruptedError

    def make_many() -> None:
        while True:
            shelf.create("", lambda _file, _at: "0" * 64, stop)

    with pytest.raises(InterruptedError):
        make_many()


def test_a_failed_one_leaves_nothing(files: SnapshotFiles) -> None:
    shelf = files.of_collection("cities")

    def fail(file: BinaryIO, _created_at_s: int) -> str:
        file.write(b"half")
        file.flush()
        raise OSError(28, "no space")

    with pytest.raises(OSError, match="no space"):
        shelf.create("-7", fail, go_on)
    assert list(shelf.directory.iterdir()) == []


def test_leftovers_of_a_crash_are_removed(files: SnapshotFiles) -> None:
    assert files.remove_leftovers() == []
    shelf, full = files.of_collection("cities"), files.full()
    kept, other = make(shelf), make(full, middle="")
    left = [
        shelf.directory / ".tmp-cities-7-2026-01-01-00-00-00.snapshot",
        shelf.directory / "cities-7-2026-01-01-00-00-00.snapshot.checksum",
        full.directory / ".tmp-full-snapshot-2026-01-01-00-00-00.snapshot",
    ]
    for path in left:
        path.write_text("x")
    assert sorted(files.remove_leftovers()) == sorted(path.name for path in left)
    assert (shelf.snapshots(), full.snapshots()) == ([kept], [other])


def test_leftovers_that_cannot_be_removed_stay(files: SnapshotFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = files.of_collection("cities")
    made = make(shelf)
    (shelf.directory / ".tmp-x").write_text("x")

    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    for name in ("open", "unlink"):
        with monkeypatch.context() as patched:
            patched.setattr(os, name, refuse)
            assert files.remove_leftovers() == []
    assert shelf.snapshots() == [made]
    assert files.remove_leftovers() == [".tmp-x"]


def test_leftovers_are_not_those_of_a_server_that_works_here(files: SnapshotFiles) -> None:
    shelf = files.of_collection("cities")
    with files.turn(go_on):
        make(shelf)
        (shelf.directory / ".tmp-x").write_text("x")
        assert files.remove_leftovers() == []
    assert files.remove_leftovers() == [".tmp-x"]


def test_one_at_a_time(files: SnapshotFiles, tmp_path: Path) -> None:
    waited = threading.Event()
    order: list[str] = []

    def second() -> None:
        with files.turn(waited.set):
            order.append("second")

    with files.turn(go_on):
        thread = threading.Thread(target=second)
        thread.start()
        assert waited.wait(10)
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"]
    descriptor = os.open(tmp_path / "a" / "snapshots" / "LOCK", os.O_RDWR)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(descriptor)


def test_waiting_for_the_turn_can_be_ended(files: SnapshotFiles) -> None:
    def stop() -> None:
        raise InterruptedError

    with files.turn(go_on), pytest.raises(InterruptedError), files.turn(stop):
        raise AssertionError
