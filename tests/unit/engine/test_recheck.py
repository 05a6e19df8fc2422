"""Tests of the search for damage beside a running server, and of what a process notes before it dies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pointstore.core.errors import QuarantinedError, StorageError
from pointstore.engine.apart import Apart
from pointstore.engine.progress import Progress, ignore
from pointstore.engine.recheck import recheck
from pointstore.engine.recover import recover
from pointstore.storage.layout import CHECKING, QUARANTINE
from tests.building import MAP_SIZE, contents, dense, running_engine, seal, upsert, vector_config, write

if TYPE_CHECKING:
    from pathlib import Path

    from pointstore.engine.engine import Engine


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


def _recheck(data_dir: Path, after: str | None = None) -> list[str]:
    return recheck(data_dir, map_size=MAP_SIZE, catalog_map_size=MAP_SIZE, after=after)


def _recover(data_dir: Path, after: str | None = None, check_s: float = 10.0) -> None:
    recover(data_dir, map_size=MAP_SIZE, catalog_map_size=MAP_SIZE, after=after, check_s=check_s)


def _flip_text(store: Path) -> None:
    content = bytearray(store.read_bytes())
    for place in range(len(content) - 4):
        if content[place : place + 4] == b"name":
            content[place] ^= 1
    store.write_bytes(content)


def _damage(data_dir: Path, name: str) -> Path:
    with running_engine(data_dir) as engine:
        directory = _directory(engine, name)
    _flip_text(directory / "store" / "data.mdb")
    return directory


def test_nothing_is_found_in_what_is_whole(data_dir: Path) -> None:
    assert _recheck(data_dir) == []
    assert not (data_dir / CHECKING).exists()


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
        assert [collection.name for collection in engine.open_collections()] == ["good"]
        assert len(contents(engine.collection("good"))) == 20


def test_what_ended_the_search_is_quarantined(data_dir: Path) -> None:
    with running_engine(data_dir) as engine:
        directory = _directory(engine, "bad")
    Progress(data_dir, None, ignore).begin(directory.name, directory)
    assert _recheck(data_dir, after="SIGBUS") == ["bad"]
    assert (directory / QUARANTINE).read_text() == f"checking {directory} ended the process with SIGBUS"
    # Only as long as nobody starts anew.
    _recover(data_dir)
    assert not (directory / QUARANTINE).exists()


def test_what_ended_recovery_is_quarantined_and_stays_so_in_the_next_attempts(data_dir: Path) -> None:
    with running_engine(data_dir) as engine:
        bad, good = _directory(engine, "bad"), _directory(engine, "good")
    for directory in (bad, good):
        Progress(data_dir, None, ignore).begin(directory.name, directory)
        _recover(data_dir, after="SIGALRM")
        assert (directory / QUARANTINE).read_text().endswith("ended the process with SIGALRM")
    assert (bad / QUARANTINE).exists()
    _recover(data_dir)
    with running_engine(data_dir) as engine:
        assert len(contents(engine.collection("bad"))) == 20


def test_a_catalog_that_ends_recovery_stops_the_start(data_dir: Path) -> None:
    Progress(data_dir, None, ignore).begin("catalog", data_dir / "catalog")
    with pytest.raises(StorageError, match="catalog ended the process with SIGBUS"):
        _recover(data_dir, after="SIGBUS")
    (data_dir / CHECKING).unlink()
    with pytest.raises(StorageError, match="ended with SIGBUS outside of any collection"):
        _recover(data_dir, after="SIGBUS")


def test_a_start_without_time_leaves_damaged_records_to_their_readers(data_dir: Path) -> None:
    directory = _damage(data_dir, "bad")
    _recover(data_dir, check_s=0.0)
    assert not (directory / QUARANTINE).exists()
    with running_engine(data_dir) as engine, pytest.raises(StorageError, match="checksum mismatch"):
        contents(engine.collection("bad"))
    _recover(data_dir)
    assert (directory / QUARANTINE).read_text().startswith("damaged store: database ")


def test_a_missing_catalog_removes_nothing(data_dir: Path) -> None:
    (data_dir / "catalog" / "data.mdb").rename(data_dir / "kept")
    with pytest.raises(StorageError, match="is missing, but there are collections"):
        _recover(data_dir)
    (data_dir / "kept").rename(data_dir / "catalog" / "data.mdb")
    _recover(data_dir)
    with running_engine(data_dir) as engine:
        assert len(contents(engine.collection("good"))) == 20
