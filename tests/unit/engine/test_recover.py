"""Tests of what a start repairs: orphans, damaged indexes, damaged rows, lost directories."""

from __future__ import annotations

import errno
import os
import shutil
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from pointstore.core.errors import CorruptionError, StorageError
from pointstore.engine import recover as recover_module
from pointstore.engine.recover import recover
from pointstore.storage import catalog
from pointstore.storage.collection import DATABASES
from pointstore.storage.layout import QUARANTINE
from pointstore.storage.segments import ROWS_FILE, SLOTS_FILE, repair_segment
from pointstore.storage.verify import verify_collection
from tests.building import (
    MAP_SIZE,
    contents,
    dense,
    remove_format,
    rename_database,
    running_engine,
    seal,
    spoil_root,
    upsert,
    vector_config,
    write,
)

if TYPE_CHECKING:
    from pathlib import Path

    from pointstore.storage.segments import SegmentMeta
    from pointstore.storage.survey import Survey


def _recover(data_dir: Path, check_s: float = 10.0) -> None:
    recover(data_dir, map_size=MAP_SIZE, catalog_map_size=MAP_SIZE, check_s=check_s)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Return a data directory with collections `good` and `bad`, each with sealed and unsealed rows."""
    with running_engine(tmp_path) as engine:
        for name in ("good", "bad"):
            engine.create_collection(name, vector_config())
            collection = engine.collection(name)
            write(collection, upsert(*[(n, {"": dense(n, 1)}, {"name": name}) for n in range(20)]))
            seal(collection)
            write(collection, upsert((20, {"": dense(20, 1)}, {})))
    return tmp_path


def _segment(data_dir: Path, name: str) -> Path:
    with running_engine(data_dir) as engine:
        directory = engine.collection(name).segments_dir
    (segment,) = directory.iterdir()
    return segment


def _flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def test_an_empty_directory_can_be_prepared(tmp_path: Path) -> None:
    _recover(tmp_path)
    _recover(tmp_path)
    with running_engine(tmp_path) as engine:
        assert engine.collection_names() == []


def test_a_collection_that_a_full_disk_keeps_shut_is_kept_out(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with running_engine(data_dir) as engine:
        store = engine.collection("bad").segments_dir.parent / "store"
    (store / "lock.mdb").unlink()

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patched:
        patched.setattr(os, "posix_fallocate", full)
        _recover(data_dir)
    with running_engine(data_dir) as engine:
        assert len(contents(engine.collection("good"))) == 21
        with pytest.raises(CorruptionError, match="collection bad is quarantined: No space left on device"):
            engine.collection("bad")
    _recover(data_dir)
    with running_engine(data_dir) as engine:
        assert len(contents(engine.collection("bad"))) == 21


def test_orphans_are_removed_and_the_rest_is_untouched(data_dir: Path) -> None:
    segment = _segment(data_dir, "good")
    (data_dir / "collections" / "0" / "store").mkdir(parents=True)
    (data_dir / "collections" / "0" / "store" / "data.mdb").write_bytes(b"x")
    for name in (".tmp-0", "deadbeef", ".removed-1"):
        (segment.parent / name).mkdir()
        (segment.parent / name / ROWS_FILE).write_bytes(b"x")
    _recover(data_dir)
    assert [path.name for path in segment.parent.iterdir()] == [segment.name]
    assert len(list((data_dir / "collections").iterdir())) == 2
    with running_engine(data_dir) as engine:
        assert len(contents(engine.collection("good"))) == len(contents(engine.collection("bad"))) == 21


@pytest.mark.parametrize("file", [ROWS_FILE, SLOTS_FILE])
def test_damaged_rows_quarantine_their_collection_only(data_dir: Path, file: str) -> None:
    segment = _segment(data_dir, "bad")
    damaged = segment / file
    _flip(damaged, damaged.stat().st_size - 3)
    _recover(data_dir)
    with running_engine(data_dir) as engine:
        assert len(contents(engine.collection("good"))) == 21
        with pytest.raises(CorruptionError, match=rf"collection bad is quarantined: segment .*: damaged {file}"):
            engine.collection("bad")
        assert engine.collection_names() == ["bad", "good"]
    # Restored from a backup, it serves again after the next start.
    _flip(damaged, damaged.stat().st_size - 3)
    _recover(data_dir)
    with running_engine(data_dir) as engine:
        assert len(contents(engine.collection("bad"))) == 21


def test_a_lost_segment_quarantines(data_dir: Path) -> None:
    segment = _segment(data_dir, "bad")
    for file in segment.iterdir():
        file.unlink()
    segment.rmdir()
    _recover(data_dir)
    with running_engine(data_dir) as engine, pytest.raises(CorruptionError, match="quarantined"):
        engine.collection("bad")


def test_a_damaged_store_quarantines(data_dir: Path) -> None:
    store = _segment(data_dir, "bad").parent.parent / "store" / "data.mdb"
    store.write_bytes(b"x" * store.stat().st_size)
    _recover(data_dir)
    with running_engine(data_dir) as engine:
        with pytest.raises(CorruptionError, match="quarantined: damaged store: the meta pages"):
            engine.collection("bad")
        assert len(contents(engine.collection("good"))) == 21
        assert engine.drop_collection("bad")
    _recover(data_dir)
    with running_engine(data_dir) as engine:
        assert engine.collection_names() == ["good"]


def test_damage_that_lmdb_alone_meets_quarantines(data_dir: Path) -> None:
    spoil_root(_segment(data_dir, "bad").parent.parent / "store", "meta")
    _recover(data_dir, check_s=0.0)
    with running_engine(data_dir) as engine:
        assert len(contents(engine.collection("good"))) == 21
        with pytest.raises(CorruptionError, match="collection bad is quarantined"):
            engine.collection("bad")


def test_a_segment_that_the_disk_does_not_give_quarantines(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lost = _segment(data_dir, "bad").name

    def repair(root: Path, meta: SegmentMeta) -> bool:
        if meta.uid == lost:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return repair_segment(root, meta)

    monkeypatch.setattr(recover_module, "repair_segment", repair)
    _recover(data_dir)
    with running_engine(data_dir) as engine:
        assert len(contents(engine.collection("good"))) == 21
        with pytest.raises(CorruptionError, match=r"collection bad is quarantined: .*Input/output error"):
            engine.collection("bad")


def test_time_spent_on_segments_is_not_that_of_stores(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    deadlines = []

    def repair(root: Path, meta: SegmentMeta) -> bool:
        clock.now += 100.0
        return repair_segment(root, meta)

    def verify(path: Path, *, deadline: float, damage_max: int) -> Survey:
        deadlines.append(deadline - clock.now)
        clock.now += 1.0
        return verify_collection(path, damage_max=damage_max)

    monkeypatch.setattr(recover_module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(recover_module, "repair_segment", repair)
    monkeypatch.setattr(recover_module, "verify_collection", verify)
    _recover(data_dir, check_s=10.0)
    assert deadlines == [5.0, 9.0]


def test_what_is_no_directory_does_not_stop_the_start(data_dir: Path) -> None:
    collections = data_dir / "collections"
    (data_dir / "elsewhere").mkdir()
    (collections / "file").write_text("?")
    (collections / "link").symlink_to(data_dir / "elsewhere")
    (collections / "broken").symlink_to(data_dir / "nowhere")
    lost = _segment(data_dir, "bad").parent.parent
    shutil.rmtree(lost)
    lost.write_text("?")
    _recover(data_dir)
    assert {path.name for path in collections.iterdir() if not path.is_dir()} == {lost.name}
    assert (data_dir / "elsewhere").is_dir()
    with running_engine(data_dir) as engine:
        assert engine.collection("good").count(None) == 21
        with pytest.raises(StorageError):
            engine.collection("bad")


@pytest.mark.parametrize("name", DATABASES)
def test_a_database_of_another_name_quarantines(data_dir: Path, name: str) -> None:
    store = _segment(data_dir, "bad").parent.parent / "store"
    rename_database(store, name)
    before = (store / "data.mdb").read_bytes()
    _recover(data_dir)
    assert f"missing are ['{name}'], unknown [" in (store.parent / QUARANTINE).read_text()
    assert (store / "data.mdb").read_bytes() == before
    with running_engine(data_dir) as engine:
        assert engine.collection("good").count(None) == 21


def test_a_database_of_another_name_quarantines_when_there_is_no_time_to_look(data_dir: Path) -> None:
    store = _segment(data_dir, "bad").parent.parent / "store"
    rename_database(store, "terms")
    before = (store / "data.mdb").read_bytes()
    recover(data_dir, map_size=MAP_SIZE, catalog_map_size=MAP_SIZE, check_s=0.0)
    assert (store.parent / QUARANTINE).read_text().endswith("database terms is missing")
    assert (store / "data.mdb").read_bytes() == before


@pytest.mark.parametrize("name", catalog.DATABASES)
def test_a_catalog_whose_database_has_another_name_stops_the_start(data_dir: Path, name: str) -> None:
    rename_database(data_dir / "catalog", name)
    before = sorted(data_dir.rglob("*"))
    with pytest.raises(CorruptionError, match=rf"is damaged: .*missing are \['{name}'\]"):
        _recover(data_dir)
    assert sorted(data_dir.rglob("*")) == before


def test_a_catalog_without_a_format_stops_the_start(data_dir: Path) -> None:
    """It would pass for a new one, which names nothing."""
    remove_format(data_dir / "catalog")
    with pytest.raises(CorruptionError, match="is damaged: there is no record of the format"):
        _recover(data_dir)


def test_a_lost_directory_quarantines_and_can_be_dropped(data_dir: Path) -> None:
    directory = _segment(data_dir, "bad").parent.parent
    directory.rename(data_dir / "elsewhere")
    _recover(data_dir)
    assert (directory / QUARANTINE).read_text() == f"directory {directory.name} is missing"
    _recover(data_dir)
    with running_engine(data_dir) as engine:
        with pytest.raises(CorruptionError, match="quarantined"):
            engine.collection("bad")
        assert engine.drop_collection("bad")
        engine.create_collection("bad", vector_config())
        assert contents(engine.collection("bad")) == {}


def test_a_damaged_catalog_that_names_nothing_is_made_anew(tmp_path: Path) -> None:
    """The power failed during the first start of all."""
    _recover(tmp_path)
    file = tmp_path / "catalog" / "data.mdb"
    file.write_bytes(bytes(512) + file.read_bytes()[512:])
    _recover(tmp_path)
    with running_engine(tmp_path) as engine:
        engine.create_collection("c", vector_config())
    _recover(tmp_path)
    file.write_bytes(bytes(512) + file.read_bytes()[512:])
    with pytest.raises(StorageError):
        _recover(tmp_path)


def test_a_damaged_catalog_is_an_error_of_the_start(data_dir: Path) -> None:
    file = data_dir / "catalog" / "data.mdb"
    file.write_bytes(b"x" * file.stat().st_size)
    with pytest.raises(StorageError):
        _recover(data_dir)
