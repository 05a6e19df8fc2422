"""Tests of the walk through an environment's pages: silent on whatever LMDB writes, loud on any bit that matters."""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING

import pytest

from pointstore.core.errors import StorageError
from pointstore.storage.env import Environment
from pointstore.storage.pages import DamagedPageError, PageFile
from pointstore.storage.survey import Names, Survey, newest, of_transaction, records, survey

if TYPE_CHECKING:
    from pathlib import Path

_MAP_SIZE = 64 << 20
_NAMES = ("a", "bb", "c")
_PAGE = 4096


def _look(
    directory: Path, deadline: float | None = None, damage_max: int = 20, names: Names = lambda _: None
) -> Survey:
    file = PageFile(directory)
    try:
        return survey(file, newest(file), lambda *_: None, names=names, deadline=deadline, damage_max=damage_max)
    finally:
        file.close()


def _change(environment: Environment, rng: random.Random) -> None:
    with environment.write() as txn:
        for _ in range(rng.choice([1, 1, 3, 40])):
            database = environment.database(rng.choice(_NAMES))
            key = rng.randbytes(rng.randint(1, 20))
            if rng.random() < 0.6:
                txn.put(key, rng.randbytes(rng.choice([0, 10, 100, 3000, 10_000])), db=database)
                continue
            cursor = txn.cursor(db=database)
            found = cursor.set_range(key)
            for _ in range(rng.randint(1, 15)):
                found = found and cursor.delete()


@pytest.mark.parametrize("seed", range(3))
def test_whatever_is_written_is_accounted_for(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    environment = Environment(tmp_path / "env", _MAP_SIZE, _NAMES)
    readers = []
    for _ in range(120):
        # Readers keep pages from being used again.
        if rng.random() < 0.1:
            readers.append(environment.read())
            readers[-1].__enter__()
        elif readers and rng.random() < 0.1:
            readers.pop().__exit__(None, None, None)
        _change(environment, rng)
        found = _look(tmp_path / "env", names=lambda names: None if names == {*_NAMES} else "other names")
        assert (found.damage, found.complete, found.leaked) == ([], True, 0)
    with environment.read() as txn:
        assert found.records == sum(txn.stat(environment.database(name))["entries"] for name in _NAMES)
    for reader in readers:
        reader.__exit__(None, None, None)
    environment.close()


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Return an environment whose trees have branches, overflow pages and a list of free pages."""
    environment = Environment(tmp_path / "env", _MAP_SIZE, _NAMES)
    rng = random.Random(5)
    for _ in range(20):
        _change(environment, rng)
    with environment.write() as txn:
        for number in range(2000):
            txn.put(b"%08d" % number, b"value %d" % number, db=environment.database("a"))
    environment.close()
    return tmp_path / "env"


def _contents(directory: Path) -> list[list[tuple[bytes, bytes]]]:
    environment = Environment(directory, _MAP_SIZE, _NAMES)
    try:
        with environment.read() as txn:
            return [list(txn.cursor(db=environment.database(name)).iternext()) for name in _NAMES]
    finally:
        environment.close()


def _flipped(directory: Path, place: int, bit: int) -> Path:
    damaged = directory.parent / "damaged"
    damaged.mkdir(exist_ok=True)
    content = bytearray((directory / "data.mdb").read_bytes())
    content[place] ^= 1 << bit
    (damaged / "data.mdb").write_bytes(content)
    return damaged


def test_every_bit_of_the_meta_pages(tmp_path: Path) -> None:
    """Each is noticed, or of no consequence: what is read stays the same."""
    directory = tmp_path / "env"
    environment = Environment(directory, _MAP_SIZE, _NAMES)
    for number in range(7):
        with environment.write() as txn:
            txn.put(b"key", b"%d" % number, db=environment.database("a"))
    environment.close()
    expected = _contents(directory)
    noticed = 0
    # Page header, and the meta page's content up to the number of its transaction.
    for place in (*range(152), *range(_PAGE, _PAGE + 152)):
        for bit in range(8):
            damaged = _flipped(directory, place, bit)
            try:
                found = _look(damaged)
                if found.damage:
                    noticed += 1
                    continue
            except DamagedPageError:
                noticed += 1
                continue
            # Bounds of the page, size and place of the map: nobody relies on them. With a later last page there is only
            # less room.
            unused = place % _PAGE in {*range(8, 16), *range(24, 40)}
            assert unused or found.leaked or _is_older(directory, place)
            # A map larger than any address space is refused.
            with contextlib.suppress(StorageError):
                assert _contents(damaged) == expected
    assert noticed > 1000


def _is_older(directory: Path, place: int) -> bool:
    file = PageFile(directory)
    try:
        numbers = [file.meta(number).transaction for number in (0, 1)]
        return numbers[place // _PAGE] == min(numbers)
    finally:
        file.close()


def test_bits_of_the_bookkeeping_are_noticed_or_harmless(directory: Path) -> None:
    rng = random.Random(9)
    size = (directory / "data.mdb").stat().st_size
    expected = _contents(directory)
    noticed = 0
    for _ in range(300):
        damaged = _flipped(directory, rng.randrange(2, size // _PAGE) * _PAGE + rng.randrange(100), rng.randrange(8))
        if _look(damaged).damage:
            noticed += 1
        else:
            found = _contents(damaged)
            # Values have checksums of their own, which are not looked at here.
            assert [[key for key, _ in each] for each in found] == [[key for key, _ in each] for each in expected]
    assert noticed > 50


@pytest.mark.parametrize("size", [0, 100, _PAGE, 2 * _PAGE, 10 * _PAGE + 7])
def test_a_file_that_lost_its_end(directory: Path, size: int) -> None:
    file = directory / "data.mdb"
    file.write_bytes(file.read_bytes()[:size])
    try:
        assert _look(directory).damage
    except DamagedPageError:
        assert size < 2 * _PAGE


def test_a_walk_ends_with_its_time_and_with_enough_damage(directory: Path) -> None:
    assert not _look(directory, deadline=0.0).complete
    file = directory / "data.mdb"
    content = bytearray(file.read_bytes())
    for page in range(2, len(content) // _PAGE):
        content[page * _PAGE] ^= 1
    file.write_bytes(content)
    found = _look(directory, damage_max=1)
    assert (len(found.damage), found.complete) == (1, False)


def test_a_snapshot_stays_verifiable_while_others_write(tmp_path: Path) -> None:
    environment = Environment(tmp_path / "env", _MAP_SIZE, _NAMES)
    rng = random.Random(3)
    for _ in range(30):
        _change(environment, rng)
    with environment.read() as txn:
        file = PageFile(tmp_path / "env")
        root = of_transaction(file, txn.id())
        assert root is not None
        count = sum(txn.stat(environment.database(name))["entries"] for name in _NAMES)
        writer = random.Random(4)
        done: list[int] = []

        def check(*_: object) -> None:
            if len(done) < 20:
                done.append(1)

        for _ in range(20):
            _write_elsewhere(environment, writer)
        found = survey(file, root, check)
        assert (found.damage, found.records) == ([], count)
        assert of_transaction(file, txn.id()) is None
        assert records(file, root, "nothing") == {}
        file.close()
    environment.close()


def _write_elsewhere(environment: Environment, rng: random.Random) -> None:
    from threading import Thread

    # LMDB ties a transaction to its thread.
    thread = Thread(target=_change, args=(environment, rng))
    thread.start()
    thread.join()


def test_names_that_are_wrong_are_damage_whatever_time_is_left_for_the_records(directory: Path) -> None:
    file = PageFile(directory)

    def check(*_: object) -> None:
        pytest.fail("the names come first")

    found = survey(file, newest(file), check, names=lambda names: ", ".join(sorted(names)), damage_max=1)
    file.close()
    assert found.damage == ["database (databases): a, bb, c"]


def test_first_transactions(tmp_path: Path) -> None:
    environment = Environment(tmp_path / "env", _MAP_SIZE, ())
    assert _look(tmp_path / "env").damage == []
    environment.close()
    Environment(tmp_path / "env", _MAP_SIZE, ("a",)).close()
    assert _look(tmp_path / "env").damage == []


def test_no_environment(tmp_path: Path) -> None:
    with pytest.raises(DamagedPageError, match=r"data\.mdb is missing or empty"):
        PageFile(tmp_path)
    (tmp_path / "data.mdb").write_bytes(b"x" * 20_000)
    with pytest.raises(DamagedPageError, match="not those of an environment"):
        PageFile(tmp_path)
