"""`pointstore check`: exit status, report for people and programs, refusal beside a server."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from pointstore.cli import app
from tests.building import dense, running_engine, seal, upsert, vector_config, write
from tests.conftest import server_environment

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Server


def check(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    return subprocess.run(
        [sys.executable, "-m", "pointstore", "check", *arguments],
        env={**server_environment(), **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Return a data directory with two collections, as a server that has ended leaves it."""
    with running_engine(tmp_path) as engine:
        for name in ("bad", "good"):
            engine.create_collection(name, vector_config())
            write(engine.collection(name), upsert(*[(n, {"": dense(n, 1)}, {"n": n}) for n in range(20)]))
            seal(engine.collection(name))
    (tmp_path / "LOCK").touch()
    return tmp_path


def _store_of(data_dir: Path, name: str) -> Path:
    with running_engine(data_dir) as engine:
        return engine.collection(name).segments_dir.parent / "store" / "data.mdb"


def test_a_clean_directory(data_dir: Path) -> None:
    ended = check(str(data_dir))
    lines = ended.stdout.splitlines()
    assert (ended.returncode, ended.stderr) == (0, "")
    assert lines[:3] == ["catalog: clean", "collection bad: clean", "collection good: clean"]
    assert lines[3].endswith("records verified, no damage")


def test_damage_is_reported_a_line_a_finding_and_as_json(data_dir: Path) -> None:
    store = _store_of(data_dir, "bad")
    content = bytearray(store.read_bytes())
    place = content.rindex(b"\x0a\x01n")
    content[place] ^= 4
    store.write_bytes(content)
    ended = check(str(data_dir))
    assert ended.returncode == 1
    assert "collection bad: DAMAGED" in ended.stdout
    assert "collection good: clean" in ended.stdout
    assert "  lost      store: database " in ended.stdout
    told = check(str(data_dir), "--json")
    assert told.returncode == 1
    report = json.loads(told.stdout)
    assert report["clean"] is False
    assert report["catalog"] == report["collections"]["good"] == []
    assert report["collections"]["bad"][0]["kind"] == "lost"


def test_a_store_that_ends_processes_is_a_finding(data_dir: Path) -> None:
    store = _store_of(data_dir, "bad")
    store.write_bytes(store.read_bytes()[: 2 * 4096])
    ended = check(str(data_dir), "--repair")
    assert ended.returncode == 1
    assert "collection bad: DAMAGED" in ended.stdout
    assert "collection good: clean" in ended.stdout


def test_a_repair_mends_what_is_derived(data_dir: Path) -> None:
    (data_dir / "collections" / "left over").mkdir()
    assert "left over: belongs to no collection" in check(str(data_dir)).stdout
    ended = check(str(data_dir), "--repair")
    assert ended.returncode == 0
    assert "is removed" in ended.stdout
    assert not (data_dir / "collections" / "left over").exists()


def test_what_cannot_be_checked_ends_with_2(tmp_path: Path, server: Server) -> None:
    held = check(str(server.data_dir))
    text = f"pointstore: data directory {server.data_dir} is in use by a server\n"
    assert (held.returncode, held.stderr) == (2, text)
    missing = check(str(tmp_path / "nothing"))
    assert missing.returncode == 2
    assert "is no data directory" in missing.stderr
    assert not (tmp_path / "nothing").exists()
    assert check().returncode == 2
    unknown = check(str(tmp_path), POINTSTORE__MAP_SIZE_GB="large")
    assert unknown.returncode == 2
    assert unknown.stderr.startswith("pointstore: invalid settings: map_size_gb: ")


def test_an_incomplete_check_ends_with_2_unless_it_finds_damage(data_dir: Path) -> None:
    store = _store_of(data_dir, "bad")
    store.unlink()
    store.symlink_to(store)
    ended = check(str(data_dir))
    assert ended.returncode == 2
    assert "collection bad: NOT CHECKED\n  unchecked store: " in ended.stdout
    assert ended.stdout.endswith("records verified, no damage found, NOT ALL IS CHECKED\n")
    assert json.loads(check(str(data_dir), "--json").stdout)["clean"] is False
    shutil.rmtree(_store_of(data_dir, "good").parent)
    assert check(str(data_dir)).returncode == 1


def test_a_directory_that_cannot_be_read_is_one_line(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", "collections")

    monkeypatch.setattr("pointstore.engine.check.check", refuse)
    ended = CliRunner().invoke(app, ["check", str(data_dir)])
    assert (ended.exit_code, ended.stderr) == (2, "pointstore: collections cannot be checked: Permission denied\n")
