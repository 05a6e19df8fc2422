"""Tests of the catalog: names, changes, several processes."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from pointstore.core.errors import CorruptionError, StorageError
from pointstore.storage import keys
from pointstore.storage.catalog import Catalog, Names

_MAP_SIZE = 8 << 20


def _catalog(path: Path) -> Catalog:
    return Catalog(path / "catalog", _MAP_SIZE)


def test_a_new_catalog_is_empty_and_has_an_identity(tmp_path: Path) -> None:
    catalog = _catalog(tmp_path)
    assert catalog.names(None) == Names(1, {}, {})
    peer_id = catalog.peer_id
    assert 0 < peer_id <= 2**53
    catalog.close()
    again = _catalog(tmp_path)
    assert again.peer_id == peer_id
    again.close()


def test_changes_are_kept_and_advance_the_version(tmp_path: Path) -> None:
    catalog = _catalog(tmp_path)
    with catalog.change() as names:
        names.collections.update(a="1", b="2")
        names.aliases["x"] = "a"
    with catalog.change() as names:
        del names.collections["b"]
        names.collections["a"] = "3"
    catalog.close()
    again = _catalog(tmp_path)
    known = again.names(None)
    assert known == Names(3, {"a": "3"}, {"x": "a"})
    assert again.names(known) is known
    with again.change():
        pass
    assert again.names(known) is known
    again.close()


def _fail_after_change(names: Names) -> None:
    names.collections["a"] = "1"
    raise KeyError


def test_an_error_inside_a_change_undoes_it(tmp_path: Path) -> None:
    catalog = _catalog(tmp_path)
    with pytest.raises(KeyError), catalog.change() as names:
        _fail_after_change(names)
    assert catalog.names(None) == Names(1, {}, {})
    catalog.close()


@pytest.mark.parametrize("length", [1, 255, 511, 512, 5000])
def test_names_of_any_length_and_script(tmp_path: Path, length: int) -> None:
    catalog = _catalog(tmp_path)
    first, second = "я" * length, "я" * (length - 1) + "Я"
    with catalog.change() as names:
        names.collections[first] = "1"
        names.collections[second] = "2"
        names.aliases[first + "!"] = second
    found = catalog.names(None)
    assert (found.collections, found.aliases) == ({first: "1", second: "2"}, {first + "!": second})
    with catalog.change() as names:
        del names.collections[first]
    assert list(catalog.names(None).collections) == [second]
    catalog.close()


def test_resolving_prefers_the_alias(tmp_path: Path) -> None:
    del tmp_path
    names = Names(1, {"a": "1", "b": "2"}, {"x": "a", "b": "a", "dangling": "gone"})
    assert [names.resolve(name) for name in ("a", "x", "b", "dangling", "none")] == ["a", "a", "a", None, None]


def test_another_format_is_refused(tmp_path: Path) -> None:
    catalog = _catalog(tmp_path)
    with catalog._environment.write() as txn:
        txn.put(b"format", keys.seal(b"", keys.u64(7)), db=catalog._node)
    catalog.close()
    with pytest.raises(StorageError, match="catalog format 7 is not supported by this version, which writes format 2"):
        _catalog(tmp_path)


def test_damage_is_noticed(tmp_path: Path) -> None:
    catalog = _catalog(tmp_path)
    with catalog.change() as names:
        names.collections["a"] = "1"
    with catalog._environment.write() as txn:
        key, record = next(txn.cursor(db=catalog._collections).iternext())
        txn.put(key, record[:-1] + b"?", db=catalog._collections)
    with pytest.raises(CorruptionError, match="checksum mismatch in name"):
        catalog.names(None)
    catalog.close()


def _add_names(path: str, prefix: str, count: int) -> None:
    catalog = Catalog(Path(path), _MAP_SIZE)
    for number in range(count):
        with catalog.change() as names:
            names.collections[f"{prefix}{number}"] = prefix
    catalog.close()


def test_two_processes_change_it_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    path = str(tmp_path / "catalog")
    processes = [context.Process(target=_add_names, args=(path, prefix, 40)) for prefix in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    catalog = _catalog(tmp_path)
    names = catalog.names(None)
    catalog.close()
    assert names.collections == {f"{prefix}{number}": prefix for prefix in "ab" for number in range(40)}
    assert names.version == 81
