"""Restores in the engine: an archive whose bytes have no fault but that does not mean what it says is refused."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from pointstore.core.catalog import CreateAlias, RenameAlias
from pointstore.core.errors import CorruptionError, InsufficientStorageError, StorageError
from pointstore.core.schema import CollectionConfig
from pointstore.core.update import DeletePoints
from pointstore.engine import restore as restoring
from pointstore.engine.recover import recover
from pointstore.engine.restore import Restore, RestoreRefusedError, check_unpacked
from pointstore.engine.snapshots import Snapshots
from pointstore.storage import catalog as catalog_module
from pointstore.storage.archive import (
    MANIFEST_FILE,
    ArchivedCollection,
    ArchiveRefusedError,
    Manifest,
    describe_file,
    read_archive,
    write_archive,
)
from pointstore.storage.catalog import Catalog
from pointstore.storage.collection import CollectionStore
from pointstore.storage.segments import INDEX_FILE
from tests.building import MAP_SIZE, contents, dense, pids, running_engine, seal, upsert, vector_config, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STORE = "collections/0/store/data.mdb"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Return a data directory with snapshots: one of `filled`, one of everything."""
    data = tmp_path / "source"
    with running_engine(data) as engine:
        engine.create_collection("filled", vector_config())
        filled = engine.collection("filled")
        write(filled, upsert(*[(n, {"": dense(n, 1)}, {"n": n}) for n in range(20)]))
        seal(filled)
        write(filled, upsert((20, {"": dense(20, 1)}, {})), DeletePoints(pids(3)))
        engine.create_collection("empty", CollectionConfig())
        # An alias with the name of a collection, which it hides.
        engine.update_aliases([CreateAlias("filled", "a"), CreateAlias("filled", "x"), RenameAlias("x", "empty")])
        snapshots = Snapshots(engine, data / "snapshots", "0.0.0")
        snapshots.create("filled")
        snapshots.create_full()
    return data


@pytest.fixture
def single(source: Path) -> Path:
    """Return the snapshot of `filled`."""
    (path,) = source.glob("snapshots/collections/*/*.snapshot")
    return path


@pytest.fixture
def full(source: Path) -> Path:
    """Return the snapshot of everything."""
    (path,) = source.glob("snapshots/full/*.snapshot")
    return path


def asked(snapshot: Path, data_dir: Path, rename: str | None = None, *, replace: bool = False) -> Restore:
    """Ask for a restore."""
    return Restore(snapshot, data_dir, rename, replace, MAP_SIZE, MAP_SIZE)


def check(root: Path) -> None:
    """Check in this process: these stores are damaged, but not on purpose."""
    check_unpacked(root, MAP_SIZE)


def names(data_dir: Path) -> tuple[set[str], dict[str, str]]:
    """Return collections and aliases."""
    catalog = Catalog(data_dir / "catalog", MAP_SIZE)
    try:
        found = catalog.names(None)
        return set(found.collections), found.aliases
    finally:
        catalog.close()


def assert_untouched(data_dir: Path) -> None:
    """Check that a restore that failed has left nothing."""
    assert names(data_dir) == (set(), {})
    assert {path.name for path in data_dir.iterdir()} == {"catalog", "collections"}
    assert not list((data_dir / "collections").iterdir())


def test_everything_comes_back(full: Path, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    restored = asked(full, target).run(check)
    assert restored.points == {"empty": 0, "filled": 20}
    assert restored.aliases == {"a": "filled", "empty": "filled"}
    assert names(target) == ({"empty", "filled"}, restored.aliases)
    recover(target, map_size=MAP_SIZE, catalog_map_size=MAP_SIZE)
    with running_engine(target) as copy, running_engine(source) as original:
        assert contents(copy.collection("filled")) == contents(original.collection("filled"))
        assert copy.collection("filled").config() == original.collection("filled").config()
        write(copy.collection("filled"), upsert((3, {"": dense(3, 1)}, {})))
        assert copy.collection("filled").count(None) == 21


def test_a_snapshot_is_not_changed_by_what_is_restored_from_it(single: Path, tmp_path: Path) -> None:
    before = single.read_bytes()
    for name in ("one", "two"):
        asked(single, tmp_path / "target", name).run(check)
    assert names(tmp_path / "target") == ({"one", "two"}, {})
    assert single.read_bytes() == before


@dataclass
class Unpacked:
    """A snapshot that is taken apart, to be spoilt and packed again with the right checksums."""

    root: Path
    manifest: Manifest

    def pack(self, path: Path) -> Path:
        """Write an archive of the files that are listed, as they are now."""
        files = tuple(describe_file(self.root / each.path, each.path) for each in self.manifest.collections[0].files)
        described = replace(self.manifest, collections=(replace(self.manifest.collections[0], files=files),))
        with path.open("wb") as file:
            write_archive(file, described, self.root, lambda: None)
        return path

    def change(self, **values: object) -> None:
        """Change what the manifest tells of the collection."""
        (held,) = self.manifest.collections
        self.manifest = replace(self.manifest, collections=(replace(held, **values),))  # type: ignore[arg-type]

    def keep(self, condition: Callable[[str], bool]) -> None:
        """List only some of the files."""
        self.change(files=tuple(each for each in self.collection.files if condition(each.path)))

    @property
    def collection(self) -> ArchivedCollection:
        """The collection in the manifest."""
        return self.manifest.collections[0]

    def flip(self, name: str, place: int) -> None:
        """Flip a bit in the first file of a name."""
        path = next(self.root / each.path for each in self.collection.files if each.path.endswith(name))
        content = bytearray(path.read_bytes())
        content[place] ^= 1
        path.write_bytes(content)


def flip_record(unpacked: Unpacked) -> None:
    """Change a payload in the store: the file's checksum is right again, the record's is not."""
    path = unpacked.root / STORE
    content = bytearray(path.read_bytes())
    place = content.index(b"\x0a\x01n\x12")
    content[place + 2] ^= 1
    path.write_bytes(content)


def add_segment(unpacked: Unpacked) -> None:
    """Add files that no list of segments names."""
    original = unpacked.root / "collections/0/segments"
    (segment,) = original.iterdir()
    shutil.copytree(segment, original / ("0" * 16))
    extra = [
        replace(each, path=each.path.replace(segment.name, "0" * 16))
        for each in unpacked.collection.files
        if segment.name in each.path
    ]
    unpacked.change(files=(*unpacked.collection.files, *extra))


def lead_elsewhere(**values: object) -> Callable[[Unpacked], None]:
    """Return what changes the segment in the list that the store holds."""

    def spoil(unpacked: Unpacked) -> None:
        store = CollectionStore(unpacked.root / "collections/0", MAP_SIZE)
        with store.write() as txn:
            (segment,) = store.meta.segments(txn)
            store.meta.put_segments(txn, (replace(segment, **values),))  # type: ignore[arg-type]
        store.close()

    return spoil


FAULTS: dict[str, tuple[Callable[[Unpacked], object], str]] = {
    "other seq": (lambda u: u.change(seq=99), "another state"),
    "other count": (lambda u: u.change(points=99), "another state"),
    "other configuration": (lambda u: u.change(config=CollectionConfig()), "another state"),
    "store of nothing": (lambda u: (u.root / STORE).write_bytes(b""), "data.mdb"),
    "store of zeros": (lambda u: (u.root / STORE).write_bytes(bytes(1 << 16)), "."),
    "store of noise": (lambda u: (u.root / STORE).write_bytes(b"x" * (1 << 16)), "."),
    "store cut": (lambda u: (u.root / STORE).write_bytes((u.root / STORE).read_bytes()[: 1 << 14]), "."),
    "record": (flip_record, "checksum"),
    "no store": (lambda u: u.keep(lambda path: "store" not in path), "."),
    "no segment": (lambda u: u.keep(lambda path: "segments" not in path), "."),
    "no slots": (lambda u: u.keep(lambda path: "slots" not in path), "slots.npy"),
    "no rows": (lambda u: u.keep(lambda path: "vectors" not in path), "vectors.npy"),
    "rows": (lambda u: u.flip("vectors.npy", -1), "vectors.npy"),
    "slots": (lambda u: u.flip("slots.npy", -1), "slots.npy"),
    "segment of no list": (add_segment, "in no list of segments"),
    "segment of another directory": (lead_elsewhere(uid="../../../../../victim"), "there is no segment"),
    "segment that is nowhere": (lead_elsewhere(uid="0" * 16), "in no list of segments"),
    "segment without checksums": (lead_elsewhere(checksums={}), "not one checksum a file"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_an_archive_does_not_mean_is_refused(name: str, single: Path, tmp_path: Path) -> None:
    spoil, text = FAULTS[name]
    root = tmp_path / "unpacked"
    root.mkdir()
    unpacked = Unpacked(root, read_archive(single, lambda _: None, root))
    spoil(unpacked)
    spoilt = unpacked.pack(tmp_path / "spoilt")
    restore = asked(spoilt, tmp_path / "target")
    # Its bytes are those of its manifest.
    restore.inspect()
    with pytest.raises(CorruptionError, match=f"^not a usable snapshot: collection `filled`: .*{text}") as error:
        restore.run(check)
    assert "\n" not in str(error.value)
    assert_untouched(tmp_path / "target")


def test_no_file_elsewhere_is_repaired_away(single: Path, tmp_path: Path) -> None:
    """A segment of an absolute path, whose only file has not the checksum that the list gives."""
    victim = tmp_path / "victim" / INDEX_FILE
    victim.parent.mkdir()
    victim.write_bytes(b"precious")
    root = tmp_path / "unpacked"
    root.mkdir()
    unpacked = Unpacked(root, read_archive(single, lambda _: None, root))
    lead_elsewhere(uid=str(victim.parent), checksums={INDEX_FILE: "00"}, sizes={INDEX_FILE: 8})(unpacked)
    with pytest.raises(CorruptionError, match="not a usable snapshot"):
        asked(unpacked.pack(tmp_path / "packed"), tmp_path / "target").run(check)
    assert victim.read_bytes() == b"precious"
    assert_untouched(tmp_path / "target")


def test_an_unspoilt_one_is_restored(single: Path, tmp_path: Path) -> None:
    root = tmp_path / "unpacked"
    root.mkdir()
    packed = Unpacked(root, read_archive(single, lambda _: None, root)).pack(tmp_path / "packed")
    assert asked(packed, tmp_path / "target").run(check).points == {"filled": 20}


def test_a_snapshot_without_its_indexes_is_restored(single: Path, tmp_path: Path) -> None:
    root = tmp_path / "unpacked"
    root.mkdir()
    unpacked = Unpacked(root, read_archive(single, lambda _: None, root))
    unpacked.keep(lambda path: not path.endswith("index.faiss"))
    assert asked(unpacked.pack(tmp_path / "packed"), tmp_path / "target").run(check).points == {"filled": 20}


def test_a_disk_without_room(single: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(restoring, "_SPARE_BYTES", 1 << 62)
    with pytest.raises(InsufficientStorageError, match=r"^the snapshot takes [0-9]+ bytes, .* has [0-9]+ free$"):
        asked(single, tmp_path / "deep" / "target").inspect()
    assert not (tmp_path / "deep").exists()


@pytest.mark.parametrize("place", ["snapshot.unpacked", "snapshot.verified", "snapshot.moved"])
def test_a_restore_that_fails_leaves_nothing(
    place: str, full: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> None:
        if name == place:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(restoring, "visit", fail)
    with pytest.raises(InsufficientStorageError):
        asked(full, tmp_path / "target").run(check)
    assert_untouched(tmp_path / "target")


def test_leftovers_of_a_restore_that_was_killed(full: Path, tmp_path: Path) -> None:
    left = tmp_path / "target" / "restores" / "1" / MANIFEST_FILE
    left.parent.mkdir(parents=True)
    left.write_text("x")
    asked(full, tmp_path / "target").run(check)
    assert not (tmp_path / "target" / "restores").exists()


def test_names_that_are_taken(full: Path, single: Path, tmp_path: Path) -> None:
    target = tmp_path / "target"
    asked(full, target).run(check)
    for restore, text in [
        (asked(single, target), "collection `filled` exists; --force replaces it"),
        (asked(single, target, "a"), "an alias has the name of collection `a`; --force removes it"),
        (asked(full, target), "collection `empty` exists; --force replaces it"),
    ]:
        with pytest.raises(RestoreRefusedError, match=f"^{text}$"):
            restore.run(check)
    asked(single, target, "a", replace=True).run(check)
    assert names(target) == ({"a", "empty", "filled"}, {"empty": "filled"})
    # A collection of the alias's name that is not in the snapshot.
    with pytest.raises(RestoreRefusedError, match=r"^a collection has the name of alias `a`$"):
        asked(full, target, replace=True).run(check)
    asked(single, target, replace=True).run(check)
    assert len(list((target / "collections").iterdir())) == 3


@pytest.mark.parametrize("name", ["", "a/b", "a\0b", "x" * 256, "a?", "\udcff"])
def test_names_that_no_collection_can_have(name: str, single: Path, tmp_path: Path) -> None:
    with pytest.raises(RestoreRefusedError, match="cannot be the name of a collection"):
        asked(single, tmp_path / "target", name).inspect()
    root = tmp_path / "unpacked"
    root.mkdir()
    unpacked = Unpacked(root, read_archive(single, lambda _: None, root))
    if name != "\udcff":
        unpacked.manifest = replace(unpacked.manifest, aliases={})
        unpacked.change(name=name)
        with pytest.raises(RestoreRefusedError, match="cannot be the name of a collection"):
            asked(unpacked.pack(tmp_path / "packed"), tmp_path / "target").inspect()
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize("alias", ["", "a/b", "a\0b", "..", "x" * 10_000, "a?", "\N{GRINNING FACE}"])
def test_every_alias_comes_back(alias: str, source: Path, tmp_path: Path) -> None:
    """The API checks no name of an alias (specification part 1, 7.1), so none makes a snapshot useless."""
    with running_engine(source) as engine:
        engine.update_aliases([CreateAlias("filled", alias)])
        Snapshots(engine, tmp_path, "0.0.0").create_full()
    (made,) = tmp_path.glob("full/*.snapshot")
    assert asked(made, tmp_path / "target").run(check).aliases[alias] == "filled"
    assert names(tmp_path / "target")[1][alias] == "filled"
    recover(tmp_path / "target", map_size=MAP_SIZE, catalog_map_size=MAP_SIZE)


def test_everything_has_no_other_name(full: Path, tmp_path: Path) -> None:
    with pytest.raises(RestoreRefusedError, match="a snapshot of everything cannot be given the name of a collection"):
        asked(full, tmp_path / "target", "x").inspect()


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name in ("fifo", "."):
        with pytest.raises(RestoreRefusedError, match="is no file"):
            asked(tmp_path / name, tmp_path / "target").inspect()
    with pytest.raises(FileNotFoundError):
        asked(tmp_path / "nothing", tmp_path / "target").inspect()


def test_a_directory_of_an_unknown_format(single: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "target"
    asked(single, target).run(check)
    monkeypatch.setattr(catalog_module, "FORMAT_VERSION", 99)
    with pytest.raises(StorageError, match="format"):
        asked(single, target, "x").run(check)


@pytest.mark.parametrize("damage", ["missing", "empty", "damaged"])
def test_a_directory_whose_catalog_names_nothing_any_more(
    damage: str, full: Path, single: Path, source: Path, tmp_path: Path
) -> None:
    """As a start, a restore makes no new catalog beside collections: the next start would remove them all."""
    target = tmp_path / "target"
    asked(full, target).run(check)
    file = target / "catalog" / "data.mdb"
    whole = file.read_bytes()
    match damage:
        case "missing":
            shutil.rmtree(file.parent)
        case "empty":
            file.write_bytes(b"")
        case _:
            file.write_bytes(b"x" * len(whole))
    with pytest.raises(StorageError, match=r"^the catalog .*data\.mdb is (missing, but there are|damaged)"):
        asked(single, target, "more").run(check)
    with pytest.raises(StorageError, match="the catalog"):
        recover(target, map_size=MAP_SIZE, catalog_map_size=MAP_SIZE)
    # Put back from a backup.
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(whole)
    recover(target, map_size=MAP_SIZE, catalog_map_size=MAP_SIZE)
    with running_engine(target) as copy, running_engine(source) as original:
        assert contents(copy.collection("filled")) == contents(original.collection("filled"))


def test_an_archive_that_changes_between_the_readings(single: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copy(single, copy)
    restore = asked(copy, tmp_path / "target")
    restore.inspect()
    copy.write_bytes(copy.read_bytes()[:-10])
    with pytest.raises(ArchiveRefusedError, match="truncated"):
        restore.run(check)
    assert_untouched(tmp_path / "target")
