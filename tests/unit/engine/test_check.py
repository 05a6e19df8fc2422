"""Tests of the check of a data directory: damage is found and called what it is; a repair mends what it can."""

from __future__ import annotations

import errno
import os
import signal
import tarfile
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pointstore.core.errors import CorruptionError, InsufficientStorageError, UnavailableError
from pointstore.core.fields import FieldParams, FieldSchema, FieldType
from pointstore.core.filter import Field, Filter, MatchKeyword
from pointstore.core.operation import Nothing
from pointstore.core.path import parse_path
from pointstore.core.schema import CollectionConfig, Distance, MultiVectorConfig, SparseVectorParams, VectorParams
from pointstore.core.update import CreateField
from pointstore.engine import check as check_module
from pointstore.engine.check import _Checker, check
from pointstore.engine.check_collection import compare
from pointstore.engine.findings import Finding, Kind, Report
from pointstore.storage import keys
from pointstore.storage.collection import CollectionStore
from pointstore.storage.fields import WRITTEN
from pointstore.storage.live import BLOCK_SLOTS
from pointstore.storage.log import LmdbLog
from pointstore.storage.pages import PageFile
from pointstore.storage.points import pack_point, pack_slot
from pointstore.storage.survey import newest
from tests.building import (
    MAP_SIZE,
    dense,
    multi,
    pid,
    remove_format,
    rename_database,
    running_engine,
    seal,
    sparse,
    upsert,
    write,
)
from tests.test_formats import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

    from pointstore.storage.env import Database, Txn
    from tests.building import Point

    Damage = Callable[[CollectionStore, Txn], object]

_CITY = Filter(must=(Field(parse_path("city"), (MatchKeyword("b"),)),))


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """Return a data directory with one collection that has a bit of everything."""
    with running_engine(tmp_path) as engine:
        config = CollectionConfig(
            vectors={
                "": VectorParams(2, Distance.DOT),
                "multi": VectorParams(2, Distance.DOT, multivector_config=MultiVectorConfig()),
            },
            sparse_vectors={"sparse": SparseVectorParams()},
        )
        engine.create_collection("c", config)
        collection = engine.collection("c")
        write(collection, CreateField(parse_path("city"), FieldSchema(FieldType.KEYWORD, FieldParams())))
        for start in (0, 20):
            points: list[Point] = [
                (n, {"": dense(n, 1), "multi": multi([n, 1]), "sparse": sparse(_3=1.0)}, {"city": "ab"[n % 2]})
                for n in range(start, start + 20)
            ]
            write(collection, upsert(*points))
            if not start:
                seal(collection)
    return tmp_path


def _directory(data_dir: Path) -> Path:
    (directory,) = (data_dir / "collections").iterdir()
    return directory


def _found(data_dir: Path) -> list[Finding]:
    return compare(_directory(data_dir), MAP_SIZE)


def _check(data_dir: Path, *, repair: bool = False) -> Report:
    return check(data_dir, map_size=MAP_SIZE, repair=repair)


def _change(data_dir: Path, damage: Damage) -> None:
    store = CollectionStore(_directory(data_dir), MAP_SIZE)
    with store.write() as txn:
        damage(store, txn)
    store.close()


def test_a_healthy_directory_is_clean_and_untouched(data_dir: Path) -> None:
    before = {path: path.read_bytes() for path in data_dir.rglob("*") if path.is_file()}
    report = _check(data_dir)
    assert report.clean
    assert report.findings == {"": [], "c": []}
    assert report.records > 100
    assert {path: path.read_bytes() for path in data_dir.rglob("*") if path.is_file()} == before


def _put_id(store: CollectionStore, txn: Txn, point: int, slot: int) -> None:
    txn.put(pid(point), pack_slot(pid(point), keys.u64(slot)), db=store.points._ids)


def _put_live(store: CollectionStore, txn: Txn, space: int, slot: int) -> None:
    bits = store.live.block(txn, space, 0)
    bits[slot >> 3] ^= 1 << (slot & 7)
    store.live.put_block(txn, space, 0, bits, 1)


def _drop_rows(store: CollectionStore, txn: Txn) -> None:
    store.vectors.drop_through(txn, 0, 1000)


def _log(store: CollectionStore) -> Database:
    assert isinstance(store.log, LmdbLog)
    return store.log._database


def _add_entries(store: CollectionStore, txn: Txn) -> None:
    store.log.append(txn, 5, Nothing())
    store.log.append(txn, 7, Nothing())


def _put_nonsense(store: CollectionStore, txn: Txn) -> None:
    txn.put(keys.u64(3), keys.seal(keys.u64(3), b"?\0\0\0\0"), db=_log(store))


_LOST: dict[str, tuple[Damage, str, str]] = {
    "an id is gone": (lambda store, txn: store.points.drop_id(txn, pid(3)), "ids", "no id leads to 1 slots (3)"),
    "two ids, one slot": (lambda store, txn: _put_id(store, txn, 3, 4), "ids", "1 ids share the slot of another: 4"),
    "an id too many": (lambda store, txn: _put_id(store, txn, 99, 70), "live sets", "1 ids lead to slots that are not"),
    "a record is gone": (lambda store, txn: store.points.drop_slot(txn, 3), "points", "no record of 1 slots (3)"),
    "another point's record": (
        lambda store, txn: store.points.replace(txn, 3, pack_point(3, pid(77), 1, b"")),
        "points",
        "records of other points than their ids say: slot 3",
    ),
    "a stray record": (
        lambda store, txn: store.points.replace(txn, 70, pack_point(70, pid(77), 1, b"")),
        "points",
        "records of 1 slots (70) that are not live",
    ),
    "a vector of no point": (
        lambda store, txn: _put_live(store, txn, 0, 50),
        "vector ''",
        "1 slots (50) have it and are no live points",
    ),
    "rows are gone": (_drop_rows, "vector ''", "no row of 20 slots (20, 21, 22 and 17"),
    "a sparse vector is gone": (
        lambda store, txn: store.vectors.drop_one(txn, store.meta.config(txn).vector_numbers["sparse"], 5),
        "vector 'sparse'",
        "no vector of 1 slots (5)",
    ),
    "a stray multi-vector": (
        lambda store, txn: store.vectors.put_one(
            txn, store.meta.config(txn).vector_numbers["multi"], 90, multi([1, 2])
        ),
        "vector 'multi'",
        "vectors of 1 slots (90) that are not live",
    ),
    "a vector of no space": (
        lambda store, txn: store.vectors.put_one(txn, 40, 3, sparse(_1=1.0)),
        "vectors",
        "something of vectors that do not exist: [40]",
    ),
    "a gap in the log": (_add_entries, "log", "entry 5 is followed by 7"),
    "the head is ahead": (
        lambda store, txn: store.meta.put_head(txn, replace(store.meta.head(txn), seq=9)),
        "log",
        "the head is at 9",
    ),
    "no such operation": (
        _put_nonsense,
        "log",
        "unknown operation tag",
    ),
}


@pytest.mark.parametrize("name", _LOST)
def test_damaged_ground_state_is_found_and_never_changed(data_dir: Path, name: str) -> None:
    damage, part, text = _LOST[name]
    _change(data_dir, damage)
    found = _found(data_dir)
    assert [finding for finding in found if finding.part == part and text in finding.text and finding.kind is Kind.LOST]
    if name in {"a record is gone", "rows are gone"}:
        report = _check(data_dir, repair=True)
        assert not report.clean
        assert [finding for finding in report.findings["c"] if finding.part == part and finding.kind is Kind.LOST]


_DERIVED: dict[str, tuple[Damage, str]] = {
    "wrong count": (
        lambda store, txn: store.meta.put_head(txn, replace(store.meta.head(txn), points=3)),
        "counts 3 points",
    ),
    "slots used twice": (
        lambda store, txn: store.meta.put_head(txn, replace(store.meta.head(txn), next_slot=7)),
        "slot 39 is in use, the next one is 7",
    ),
    "points before the first slot": (
        lambda store, txn: store.meta.put_first_slot(txn, BLOCK_SLOTS),
        "slot 0 is in use, the first one is 65536",
    ),
    "size of the log": (
        lambda store, txn: store.meta.put_head(txn, replace(store.meta.head(txn), log_bytes=1)),
        "counts 1 bytes of log",
    ),
    "an index without its blocks": (
        lambda store, txn: store.fields.replace_blocks(txn, 0, (WRITTEN, 2**63), None),
        "differs from the payloads of 40 points",
    ),
    "an index without its codes": (
        lambda store, txn: txn.delete(b"\0\0ta", db=store.fields._terms),
        "differs from the payloads of 20 points",
    ),
    "an index that is gone": (lambda store, txn: store.fields.codes(txn, 8, [b"x"]), "does not exist any more"),
}


@pytest.mark.parametrize("name", _DERIVED)
def test_derived_state_is_made_again(data_dir: Path, name: str) -> None:
    damage, text = _DERIVED[name]
    _change(data_dir, damage)
    assert [finding for finding in _found(data_dir) if text in finding.text and finding.kind is Kind.DERIVED]
    assert not _check(data_dir).clean
    report = _check(data_dir, repair=True)
    assert report.clean, report.lines()
    assert [finding for finding in report.findings["c"] if finding.kind is Kind.REPAIRED]
    assert _check(data_dir).findings == {"": [], "c": []}
    with running_engine(data_dir) as engine:
        assert engine.collection("c").count(_CITY) == 20


def _segment(data_dir: Path) -> Path:
    (segment,) = (_directory(data_dir) / "segments").iterdir()
    return segment


@pytest.mark.parametrize("file", ["slots.npy", "vectors.npy"])
def test_damaged_segments_are_lost(data_dir: Path, file: str) -> None:
    path = _segment(data_dir) / file
    path.write_bytes(path.read_bytes()[:-1] + b"~")
    assert Finding(Kind.LOST, f"segment {path.parent.name}", f"{file} is missing or damaged") in _found(data_dir)


def test_leftovers_are_noted_and_removed_by_a_repair(data_dir: Path) -> None:
    left = _segment(data_dir).parent / ".tmp-1"
    left.mkdir()
    unowned = data_dir / "collections" / "00000000"
    unowned.mkdir()
    file = data_dir / "collections" / "file"
    file.touch()
    report = _check(data_dir)
    assert report.clean
    assert [finding.kind for found in report.findings.values() for finding in found] == [Kind.NOTE] * 3
    assert left.exists()
    _check(data_dir, repair=True)
    assert not left.exists()
    assert not unowned.exists()
    assert not file.exists()


def test_damaged_pages_are_named_and_the_rest_is_left_alone(data_dir: Path) -> None:
    file = _directory(data_dir) / "store" / "data.mdb"
    content = bytearray(file.read_bytes())
    pages = PageFile(file.parent)
    # The root of all databases calls itself another page.
    content[newest(pages).main.root * pages.page_size] ^= 1
    pages.close()
    file.write_bytes(content)
    report = _check(data_dir, repair=True)
    assert not report.clean
    assert file.read_bytes() == bytes(content)
    assert any("database" in line and "page" in line for line in report.lines())


def test_a_store_without_a_format_is_lost(data_dir: Path) -> None:
    _change(data_dir, lambda store, txn: txn.delete(keys.FORMAT, db=store.meta._database))
    finding, *_ = _check(data_dir, repair=True).findings["c"]
    assert finding == Finding(Kind.LOST, "store", "there is no record of the format")


def test_a_catalog_without_a_format_is_lost_and_removes_nothing(data_dir: Path) -> None:
    remove_format(data_dir / "catalog")
    report = _check(data_dir, repair=True)
    (finding,) = report.findings[""]
    assert (finding.kind, finding.text) == (Kind.LOST, "reading it failed: there is no record of the format")
    assert report.findings[f"in directory {_directory(data_dir).name}"] == []


@pytest.mark.parametrize("name", ["fields", "live", "log", "meta"])
def test_a_database_of_another_name_is_damage_that_no_repair_touches(data_dir: Path, name: str) -> None:
    store = _directory(data_dir) / "store"
    rename_database(store, name)
    before = (store / "data.mdb").read_bytes()
    finding, *_ = _check(data_dir, repair=True).findings["c"]
    assert (finding.kind, finding.part) == (Kind.LOST, "store")
    assert f"missing are ['{name}'], unknown [" in finding.text
    assert (store / "data.mdb").read_bytes() == before


@pytest.mark.parametrize("name", ["aliases", "collections", "node"])
def test_a_catalog_whose_database_has_another_name_removes_nothing(data_dir: Path, name: str) -> None:
    rename_database(data_dir / "catalog", name)
    report = _check(data_dir, repair=True)
    assert [finding.kind for finding in report.findings[""]] == [Kind.LOST]
    assert report.findings[f"in directory {_directory(data_dir).name}"] == []


def test_collections_are_checked_without_their_names(data_dir: Path) -> None:
    (data_dir / "catalog" / "data.mdb").write_bytes(b"?" * 8192)
    report = _check(data_dir)
    assert not report.clean
    assert report.findings[""][0].kind is Kind.LOST
    assert report.findings[f"in directory {_directory(data_dir).name}"] == []


def _end(by: signal.Signals) -> None:
    os.kill(os.getpid(), by)


def _fail(error: Exception) -> None:
    raise error


_UNCHECKED: dict[str, tuple[Callable[..., object], object]] = {
    "the kernel ended it, short of memory": (_end, signal.SIGKILL),
    "its process ended itself": (os._exit, 7),
    "permissions": (_fail, PermissionError(errno.EACCES, "Permission denied")),
    "memory": (_fail, MemoryError()),
    "too many open files": (_fail, UnavailableError("too many open files")),
    "a full disk": (_fail, InsufficientStorageError("No space left on device")),
}
_DAMAGED: dict[str, tuple[Callable[..., object], object]] = {
    **{f"a death by {name}": (_end, signal.Signals[name]) for name in ("SIGBUS", "SIGSEGV", "SIGABRT")},
    "damage": (_fail, CorruptionError("checksum mismatch")),
    "a disk that cannot read it": (_fail, OSError(errno.EIO, "Input/output error")),
    "nonsense": (_fail, ValueError("nonsense")),
}


@pytest.mark.parametrize(("causes", "kind"), [(_UNCHECKED, Kind.UNCHECKED), (_DAMAGED, Kind.LOST)])
def test_what_ends_a_step_is_damage_or_tells_nothing(
    causes: dict[str, tuple[Callable[..., object], object]], kind: Kind
) -> None:
    checker = _Checker(MAP_SIZE, repair=False)
    for name, (task, argument) in causes.items():
        found: list[Finding] = []
        checker._tried(found, None, task, argument)
        assert [finding.kind for finding in found] == [kind], name
    checker.apart.close()


def test_nothing_is_touched_that_could_not_be_checked(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_module, "STEP_S", 0.0)
    report = _check(data_dir, repair=True)
    assert (report.clean, report.damaged) == (False, False)
    found = report.findings[f"in directory {_directory(data_dir).name}"]
    assert [finding.kind for finding in found] == [Kind.UNCHECKED, Kind.NOTE]
    assert report.lines()[0] == "catalog: NOT CHECKED"
    assert report.lines()[-1] == "0 records verified, no damage found, NOT ALL IS CHECKED"
    monkeypatch.undo()
    assert _check(data_dir).clean


def test_a_store_that_cannot_be_read_is_not_called_damaged(data_dir: Path) -> None:
    file = _directory(data_dir) / "store" / "data.mdb"
    file.unlink()
    file.symlink_to(file)
    report = _check(data_dir)
    assert (report.clean, report.damaged) == (False, False)
    assert "Too many levels of symbolic links" in report.findings["c"][0].text


def test_an_unknown_format_is_not_called_damaged(data_dir: Path) -> None:
    _change(
        data_dir,
        lambda store, txn: txn.put(keys.FORMAT, keys.seal(b"", keys.u64(99)), db=store.meta._database),
    )
    report = _check(data_dir)
    assert (report.clean, report.damaged) == (False, False)
    assert "data format 99 is not supported" in report.findings["c"][0].text


@pytest.fixture
def earlier(tmp_path: Path) -> Path:
    """Return the directory of the collection with everything of format 1, in a data directory."""
    with tarfile.open(FIXTURES[0]) as tar:
        tar.extractall(tmp_path, filter="data")
    return next(path.parents[1] for path in tmp_path.glob("collections/*/segments/*"))


def _kinds(data_dir: Path, *, repair: bool = False) -> list[tuple[Kind, str]]:
    findings = _check(data_dir, repair=repair).findings["everything"]
    return [(finding.kind, finding.part.split()[0]) for finding in findings]


def test_format_1_cannot_be_checked_as_a_whole_before_it_is_migrated(earlier: Path) -> None:
    data_dir = earlier.parents[1]
    assert _kinds(data_dir) == [(Kind.UNCHECKED, "store")]
    assert _kinds(data_dir, repair=True) == [(Kind.REPAIRED, "store")]
    assert _kinds(data_dir) == []


def test_damaged_records_of_format_1_are_lost(earlier: Path) -> None:
    file = earlier / "store" / "data.mdb"
    # The payload of point 4, in its record and in the log.
    file.write_bytes(file.read_bytes().replace(b"\n\1n\x12\2\x18\4", b"\n\1n\x12\2\x18\5"))
    assert _kinds(earlier.parents[1]) == [(Kind.LOST, "store"), (Kind.LOST, "store"), (Kind.NOTE, "store")]


def test_damaged_segments_of_format_1_are_lost(earlier: Path) -> None:
    (file,) = earlier.glob("segments/*/vectors.npy")
    file.write_bytes(file.read_bytes()[:-1] + b"~")
    assert _kinds(earlier.parents[1])[0] == (Kind.LOST, "segment")


def test_a_lost_directory(data_dir: Path) -> None:
    _directory(data_dir).rename(data_dir / "elsewhere")
    (finding,) = _check(data_dir).findings["c"]
    assert (finding.kind, finding.part) == (Kind.LOST, "directory")
