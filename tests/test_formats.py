"""Data directories and snapshots that earlier versions wrote open and answer; those of unknown formats are refused.

`python -m tests.test_formats FORMAT ARCHIVE_FORMAT` wrote `format-2.tar.gz` and `snapshot-1.snapshot` of
`tests/fixtures`; those of lower numbers are from the versions that wrote these formats. A fixture is never written
again: who changes a format gives it a new number, a new fixture and code that reads or migrates the old one.
"""

from __future__ import annotations

import shutil
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pointstore.core.catalog import CreateAlias
from pointstore.core.errors import CorruptionError, StorageError
from pointstore.core.path import parse_path
from pointstore.core.payload import pack_payload
from pointstore.core.point import format_point_id
from pointstore.core.query import NearestQuery
from pointstore.core.schema import (
    CollectionConfig,
    Datatype,
    Distance,
    MultiVectorConfig,
    SparseVectorParams,
    VectorParams,
)
from pointstore.core.update import DeletePoints, DeleteVectors, SetPayload
from pointstore.engine.engine import Engine
from pointstore.engine.recover import recover
from pointstore.engine.restore import Restore, check_unpacked
from pointstore.engine.snapshots import Snapshots
from pointstore.engine.strict import Searches
from pointstore.storage import keys
from tests.building import (
    MAP_SIZE,
    contents,
    dense,
    multi,
    pids,
    running_engine,
    seal,
    sparse,
    update_vectors,
    upsert,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_DIRECTORY = Path(__file__).parent / "fixtures"
FIXTURES = sorted(_DIRECTORY.glob("format-*.tar.gz"))
SNAPSHOTS = sorted(_DIRECTORY.glob("snapshot-*.snapshot"))
_UUID = "550e8400-e29b-41d4-a716-446655440000"


def create(data_dir: Path) -> None:
    """Write a data directory that has a bit of everything."""
    with running_engine(data_dir) as engine:
        engine.create_collection(
            "everything",
            CollectionConfig(
                vectors={
                    "": VectorParams(2, Distance.DOT),
                    "half": VectorParams(3, Distance.EUCLID, datatype=Datatype.FLOAT16),
                    "bytes": VectorParams(2, Distance.COSINE, datatype=Datatype.UINT8),
                    "multi": VectorParams(2, Distance.DOT, multivector_config=MultiVectorConfig()),
                },
                sparse_vectors={"sparse": SparseVectorParams()},
                metadata={"int": 1, "float": 1.0, "null": None},
            ),
        )
        collection = engine.collection("everything")
        write(collection, upsert(*[(n, {"": dense(n, 1), "half": dense(n, 0, 0.5)}, {"n": n}) for n in range(40)]))
        seal(collection)
        write(
            collection,
            upsert((_UUID, {"bytes": dense(3, 250), "multi": multi([1, 2], [3, 4]), "sparse": sparse(_7=0.5)}, {})),
            update_vectors((3, {"": dense(30, 1)})),
            SetPayload(pids(5), pack_payload({"x": [1, 1.0, None]}), parse_path("deep.er")),
            DeletePoints(pids(*range(10, 40))),
            DeleteVectors(pids(9), ("half",)),
        )
        engine.create_collection("empty", CollectionConfig())
        engine.update_aliases([CreateAlias("everything", "alias")])


def pack(data_dir: Path, archive: Path) -> None:
    """Write the fixture of a data directory; lock files are no data."""
    with tarfile.open(archive, "x:gz") as tar:
        for path in sorted(data_dir.rglob("*")):
            if path.name != "lock.mdb":
                tar.add(path, path.relative_to(data_dir), recursive=False)


def snapshot(data_dir: Path, archive: Path) -> None:
    """Write the fixture of a snapshot of everything."""
    with tempfile.TemporaryDirectory() as directory, running_engine(data_dir) as engine:
        Snapshots(engine, Path(directory), "0.0.0").create_full()
        (made,) = Path(directory).glob("full/*.snapshot")
        with made.open("rb") as source, archive.open("xb") as target:
            shutil.copyfileobj(source, target)


def unpack(fixture: Path, target: Path) -> None:
    """Unpack a fixture and prepare it as a start does."""
    with tarfile.open(fixture) as tar:
        tar.extractall(target, filter="data")
    recover(target, map_size=MAP_SIZE, catalog_map_size=MAP_SIZE)


@pytest.fixture(params=FIXTURES, ids=lambda path: path.name)
def data_dir(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Return each of the fixtures, unpacked and prepared as a start does."""
    unpack(request.param, tmp_path)
    return tmp_path


@pytest.fixture
def engine(data_dir: Path) -> Iterator[Engine]:
    """Return an engine on the fixture."""
    with running_engine(data_dir) as opened:
        yield opened


def test_every_format_opens_and_answers(engine: Engine) -> None:
    assert engine.collection_names() == ["empty", "everything"]
    collection = engine.collection("alias")
    assert (collection.name, collection.count(None), engine.collection("empty").count(None)) == ("everything", 11, 0)
    assert repr(collection.config().metadata) == "{'int': 1, 'float': 1.0, 'null': None}"
    found = contents(collection)
    assert list(found) == [*map(str, range(10)), _UUID]
    assert found["3"] == ({"n": 3}, {"": (30.0, 1.0), "half": (3.0, 0.0, 0.5)})
    assert found["9"] == ({"n": 9}, {"": (9.0, 1.0)})
    assert repr(found["5"][0]["deep"]) == "{'er': {'x': [1, 1.0, None]}}"
    assert found[_UUID] == (
        {},
        {"bytes": (3.0, 250.0), "multi": ((1.0, 2.0), (3.0, 4.0)), "sparse": {7: 0.5}},
    )
    (hits,) = engine.query("everything", Searches([NearestQuery(dense(1, 0), limit=3)]))
    assert [(format_point_id(hit.point_id), hit.score) for hit in hits] == [("3", 30.0), ("9", 9.0), ("8", 8.0)]


def test_every_format_can_be_written(engine: Engine) -> None:
    collection = engine.collection("everything")
    assert write(collection, upsert((1, {"": dense(100, 0)}, {"new": True})))[0].seq == 7
    seal(collection)
    assert contents(collection)["1"] == ({"new": True}, {"": (100.0, 0.0)})


def test_a_format_that_there_is_no_room_to_migrate_is_left_as_it_is(tmp_path: Path) -> None:
    """One collection's want of room must not keep the others from being served."""
    with tarfile.open(FIXTURES[0]) as tar:
        tar.extractall(tmp_path, filter="data")
    recover(tmp_path, map_size=32 << 10, catalog_map_size=MAP_SIZE)
    text = (
        "collection empty is quarantined: there is no room for bringing data of an earlier format to the present "
        "one: the storage map of the collection is full"
    )
    with running_engine(tmp_path) as engine:
        # The larger file has room for it in this map.
        assert engine.collection("everything").count(None) == 11
        with pytest.raises(CorruptionError, match=text):
            engine.collection("empty")
    recover(tmp_path, map_size=MAP_SIZE, catalog_map_size=MAP_SIZE)
    with running_engine(tmp_path) as engine:
        test_every_format_opens_and_answers(engine)


@pytest.mark.parametrize("fixture", SNAPSHOTS, ids=lambda path: path.name)
def test_every_snapshot_is_restored_and_answers(fixture: Path, tmp_path: Path) -> None:
    restore = Restore(fixture, tmp_path, None, False, MAP_SIZE, MAP_SIZE)
    restore.inspect()
    restored = restore.run(lambda root: check_unpacked(root, MAP_SIZE))
    assert restored.points == {"empty": 0, "everything": 11}
    recover(tmp_path, map_size=MAP_SIZE, catalog_map_size=MAP_SIZE)
    with running_engine(tmp_path) as engine:
        test_every_format_opens_and_answers(engine)
        test_every_format_can_be_written(engine)


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.name)
def test_a_snapshot_is_restored_beside_every_format(fixture: Path, tmp_path: Path) -> None:
    """Before any start has migrated what is there."""
    with tarfile.open(fixture) as tar:
        tar.extractall(tmp_path, filter="data")
    restore = Restore(SNAPSHOTS[-1], tmp_path, None, True, MAP_SIZE, MAP_SIZE)
    assert restore.run(lambda root: check_unpacked(root, MAP_SIZE)).points == {"empty": 0, "everything": 11}
    recover(tmp_path, map_size=MAP_SIZE, catalog_map_size=MAP_SIZE)
    with running_engine(tmp_path) as engine:
        test_every_format_opens_and_answers(engine)


def test_an_unknown_format_of_a_collection_is_refused(data_dir: Path) -> None:
    with running_engine(data_dir) as engine:
        store = engine.collection("everything")._store
        with store.write() as txn:
            txn.put(keys.FORMAT, keys.seal(b"", keys.u64(99)), db=store.meta._database)
    text = "data format 99 is not supported by this version, which writes format 2"
    with running_engine(data_dir) as engine, pytest.raises(StorageError, match=text):
        engine.collection("everything")
    recover(data_dir, map_size=MAP_SIZE, catalog_map_size=MAP_SIZE)
    with running_engine(data_dir) as engine:
        with pytest.raises(CorruptionError, match=f"collection everything is quarantined: {text}"):
            engine.collection("everything")
        assert engine.collection("empty").count(None) == 0


def test_an_unknown_format_of_the_catalog_is_refused(data_dir: Path) -> None:
    with running_engine(data_dir) as engine:
        catalog = engine._catalog
        with catalog._environment.write() as txn:
            txn.put(b"format", keys.seal(b"", keys.u64(99)), db=catalog._node)
    with pytest.raises(StorageError, match="catalog format 99 is not supported by this version, which writes format 2"):
        recover(data_dir, map_size=MAP_SIZE, catalog_map_size=MAP_SIZE)
    with pytest.raises(StorageError, match="catalog format 99 is not supported"):
        Engine(data_dir, map_size=MAP_SIZE, catalog_map_size=MAP_SIZE)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        create(Path(made))
        pack(Path(made), _DIRECTORY / f"format-{sys.argv[1]}.tar.gz")
        snapshot(Path(made), _DIRECTORY / f"snapshot-{sys.argv[2]}.snapshot")
