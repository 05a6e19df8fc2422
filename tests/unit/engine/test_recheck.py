"""Tests of the search for damage beside a running server, and of what a process notes before it dies."""

from __future__ import annotations

import errno
import os
import threading
from contextlib import closing, nullcontext
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from pointstore.core.errors import CorruptionError, QuarantinedError, StorageError, UnavailableError
from pointstore.core.priority import PromptThread
from pointstore.engine import recheck as recheck_module
from pointstore.engine.apart import Apart
from pointstore.engine.progress import STEP_S, Progress, create_note
from pointstore.engine.recheck import recheck
from pointstore.engine.recover import recover
from pointstore.storage.env import Environment
from pointstore.storage.layout import QUARANTINE
from pointstore.storage.segments import SegmentGoneError, SegmentMeta
from pointstore.storage.write_lock import WriteLock
from tests.building import MAP_SIZE, contents, dense, running_engine, seal, upsert, vector_config, write

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pointstore.engine.engine import Engine
    from pointstore.storage.collection import CollectionStore


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Return a data directory with collections `good` and `bad`."""
    with running_engine(tmp_path) as engine:
        for name in ("bad", "good"):
            engine.create_collection(name, vector_config())
            write(engine.collection(name), upsert(*[(n, {"": dense(n, 1)}, {"name": name}) for n in range(20)]))
            seal(engine.collection(name))
    return tmp_path


def _directory(engine: Engine, name: str) -> Path:
    return engine.collection(name).segments_dir.parent


def _recheck(data_dir: Path, progress: Progress | None = None) -> list[str]:
    with closing(PromptThread()) as promptly:
        return recheck(data_dir, map_size=MAP_SIZE, catalog_map_size=MAP_SIZE, promptly=promptly, progress=progress)


def _recover(data_dir: Path, progress: Progress | None = None, check_s: float = 10.0) -> None:
    recover(data_dir, map_size=MAP_SIZE, catalog_map_size=MAP_SIZE, progress=progress, check_s=check_s)


@pytest.fixture
def note() -> Iterator[int]:
    """Return an empty note of what checks are at."""
    descriptor = create_note()
    yield descriptor
    os.close(descriptor)


def _flip_text(store: Path, text: bytes = b"name") -> None:
    content = bytearray(store.read_bytes())
    for place in range(len(content) - 4):
        if content[place : place + 4] == text:
            content[place] ^= 1
    store.write_bytes(content)


def _damage(data_dir: Path, name: str) -> Path:
    with running_engine(data_dir) as engine:
        directory = _directory(engine, name)
    _flip_text(directory / "store" / "data.mdb")
    return directory


def test_nothing_is_found_in_what_is_whole(data_dir: Path) -> None:
    assert _recheck(data_dir) == []


def test_processes_let_go_of_what_is_found(data_dir: Path) -> None:
    _damage(data_dir, "bad")
    with running_engine(data_dir) as engine:
        engine.collection("bad")
        assert len(contents(engine.collection("good"))) == 20
        # LMDB does not open an environment twice in one process.
        apart = Apart(60.0)
        assert apart.run(_recheck, data_dir) == ["bad"]
        apart.close()
        with pytest.raises(QuarantinedError, match="damaged store: database "):
            engine.collection("bad")
        assert len(contents(engine.collection("good"))) == 20


def test_nobody_waits_for_a_lock_that_the_search_holds(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: set[str] = set()
    _damage(data_dir, "bad")

    def watch(kind: type, name: str) -> None:
        original = getattr(kind, name)

        def watched(*args: object) -> object:
            found.add(threading.current_thread().name.split("_")[0])
            return original(*args)

        monkeypatch.setattr(kind, name, watched)

    watch(WriteLock, "locate")
    watch(Environment, "write")
    assert _recheck(data_dir) == ["bad"]
    assert found == {"prompt"}


def _segment(uid: str) -> SegmentMeta:
    return SegmentMeta(uid=uid, vector=0, rows=1, first_slot=0, last_slot=0, row_bytes=8)


@pytest.mark.parametrize(
    "error",
    [SegmentGoneError("old"), CorruptionError("old: damaged slots.npy"), FileNotFoundError("old")],
)
def test_segments_that_are_replaced_meanwhile_are_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    old, new = _segment("old"), _segment("new")
    listed, verified = [old], []

    def repair(_root: Path, meta: SegmentMeta) -> bool:
        verified.append(meta)
        if meta == old:
            listed[:] = [new]
            raise error
        return True

    monkeypatch.setattr(recheck_module, "repair_segment", repair)
    meta = SimpleNamespace(segments=lambda _: list(listed))
    store = cast("CollectionStore", SimpleNamespace(read=nullcontext, segments_dir=tmp_path, meta=meta))
    recheck_module._verify_segments(store)
    assert verified == [old, new]
    listed, new = [old], old
    with pytest.raises(type(error)):
        recheck_module._verify_segments(store)


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (OSError(errno.EIO, "Input/output error"), ["bad", "good"]),
        (OSError(errno.EMFILE, "Too many open files"), []),
        (UnavailableError("Too many open files"), []),
    ],
)
def test_what_the_disk_does_not_give_is_quarantined_and_what_the_machine_refuses_is_not(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, found: list[str]
) -> None:
    seen: list[str] = []

    def repair(_root: Path, meta: SegmentMeta) -> bool:
        seen.append(meta.uid)
        raise error

    monkeypatch.setattr(recheck_module, "repair_segment", repair)
    assert _recheck(data_dir) == found
    assert len(seen) == 2


def test_what_is_removed_while_it_is_measured_has_no_size(tmp_path: Path) -> None:
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "file").write_bytes(bytes(10))
    limits: list[int] = []
    Progress(limit=limits.append).begin("step", tmp_path)
    assert limits == [STEP_S]


def test_what_ended_the_search_is_quarantined(data_dir: Path, note: int) -> None:
    with running_engine(data_dir) as engine:
        directory = _directory(engine, "bad")
    Progress(note).begin(directory.name, directory)
    assert _recheck(data_dir, Progress(note, "SIGBUS")) == ["bad"]
    assert (directory / QUARANTINE).read_text() == f"checking {directory} ended the process with SIGBUS"
    # Only as long as nobody starts anew.
    _recover(data_dir)
    assert not (directory / QUARANTINE).exists()


def test_what_ended_recovery_is_quarantined_and_stays_so_in_the_next_attempts(data_dir: Path, note: int) -> None:
    with running_engine(data_dir) as engine:
        bad, good = _directory(engine, "bad"), _directory(engine, "good")
    Progress(note).begin(bad.name, bad)
    # The second process dies, too, and of another one.
    Progress(note, "SIGBUS").begin(good.name, good)
    _recover(data_dir, Progress(note, "SIGABRT"))
    assert (bad / QUARANTINE).read_text().endswith("ended the process with SIGBUS")
    assert (good / QUARANTINE).read_text().endswith("ended the process with SIGABRT")
    _recover(data_dir)
    with running_engine(data_dir) as engine:
        assert len(contents(engine.collection("bad"))) == 20


def test_a_catalog_that_ends_recovery_stops_the_start(data_dir: Path, note: int) -> None:
    Progress(note).begin("catalog", data_dir / "catalog")
    with pytest.raises(StorageError, match="catalog ended the process with SIGBUS"):
        _recover(data_dir, Progress(note, "SIGBUS"))


def test_a_death_outside_of_any_step_stops_the_start(data_dir: Path, note: int) -> None:
    with pytest.raises(StorageError, match="ended with SIGBUS outside of any collection"):
        Progress(note, "SIGBUS")
    Progress(note).begin("catalog", data_dir / "catalog")
    Progress(note, "SIGBUS")
    with pytest.raises(StorageError, match="ended with SIGBUS outside of any collection"):
        Progress(note, "SIGBUS")
    os.truncate(note, 0)
    _recover(data_dir, Progress(note))
    with pytest.raises(StorageError, match="ended with SIGBUS outside of any collection"):
        Progress(note, "SIGBUS")


def test_a_start_without_time_leaves_damaged_records_to_their_readers(data_dir: Path) -> None:
    directory = _damage(data_dir, "bad")
    _recover(data_dir, check_s=0.0)
    assert not (directory / QUARANTINE).exists()
    with running_engine(data_dir) as engine, pytest.raises(StorageError, match="checksum mismatch"):
        contents(engine.collection("bad"))
    _recover(data_dir)
    assert (directory / QUARANTINE).read_text().startswith("damaged store: database ")


def test_a_start_without_time_believes_no_known_damage(data_dir: Path) -> None:
    directory = _damage(data_dir, "bad")
    assert _recheck(data_dir) == ["bad"]
    _recover(data_dir, check_s=0.0)
    assert (directory / QUARANTINE).read_text().startswith("damaged store: database ")
    # Put back from a backup.
    _flip_text(directory / "store" / "data.mdb", b"oame")
    _recover(data_dir, check_s=0.0)
    assert not (directory / QUARANTINE).exists()


def test_a_missing_catalog_removes_nothing(data_dir: Path) -> None:
    (data_dir / "catalog" / "data.mdb").rename(data_dir / "kept")
    with pytest.raises(StorageError, match="is missing, but there are collections"):
        _recover(data_dir)
    (data_dir / "kept").rename(data_dir / "catalog" / "data.mdb")
    _recover(data_dir)
    with running_engine(data_dir) as engine:
        assert len(contents(engine.collection("good"))) == 20
