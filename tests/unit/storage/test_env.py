"""Tests of environments: what failures of LMDB and of the disk become."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import TYPE_CHECKING, Any

import lmdb
import pytest

from pointstore.core.errors import (
    CorruptionError,
    InsufficientStorageError,
    ReadOnlyError,
    StorageError,
    UnavailableError,
)
from pointstore.storage import env as env_module
from pointstore.storage.env import Environment
from pointstore.storage.layout import INTERRUPTED
from pointstore.storage.poison import MARKS
from tests.building import spoil_root
from tests.conftest import server_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pointstore.storage.env import Txn

_MAP_SIZE = 1 << 20


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    opened = Environment(tmp_path / "env", _MAP_SIZE, ("one", "two"))
    yield opened
    opened.close()


def _put(environment: Environment, key: bytes, value: bytes) -> None:
    with environment.write() as txn:
        txn.put(key, value, db=environment.database("one"))


def _divide_after_put(environment: Environment, txn: Txn) -> None:
    txn.put(b"k", b"v", db=environment.database("one"))
    raise ZeroDivisionError


def _fill(environment: Environment, txn: Txn) -> None:
    for number in range(10_000):
        txn.put(b"%d" % number, bytes(1000), db=environment.database("two"))


def _get(environment: Environment, key: bytes) -> bytes | None:
    with environment.read() as txn:
        return txn.get(key, db=environment.database("one"))


def test_databases_are_apart_and_survive_reopening(tmp_path: Path) -> None:
    first = Environment(tmp_path / "env", _MAP_SIZE, ("one", "two"))
    _put(first, b"k", b"v")
    with first.read() as txn:
        assert txn.get(b"k", db=first.database("two")) is None
    first.close()
    again = Environment(tmp_path / "env", _MAP_SIZE, ("one", "two"))
    assert _get(again, b"k") == b"v"
    again.close()


def test_an_error_inside_a_transaction_aborts_it(environment: Environment) -> None:
    with pytest.raises(ZeroDivisionError), environment.write() as txn:
        _divide_after_put(environment, txn)
    assert _get(environment, b"k") is None


def test_a_full_map_refuses_and_stays_usable(environment: Environment) -> None:
    _put(environment, b"before", b"1")
    with pytest.raises(InsufficientStorageError, match="map of the collection is full"):
        _put(environment, b"big", bytes(2 * _MAP_SIZE))
    with pytest.raises(InsufficientStorageError), environment.write() as txn:
        _fill(environment, txn)
    assert _get(environment, b"before") == b"1"
    _put(environment, b"after", b"2")
    assert (_get(environment, b"after"), _get(environment, b"big")) == (b"2", None)
    with environment.read() as txn:
        assert txn.get(b"0", db=environment.database("two")) is None


class _FailingCommit:
    """Stands for a transaction whose commit fails as LMDB's does; the real one is rolled back."""

    def __init__(self, real: Any, error: lmdb.Error) -> None:  # noqa: ANN401  the binding has no types
        self._real = real
        self._error = error

    def __enter__(self) -> object:
        return self._real.__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._real.abort()
        if kind is None:
            raise self._error


def _fail_commits(environment: Environment, monkeypatch: pytest.MonkeyPatch, error: lmdb.Error) -> None:
    real = environment._env

    def begin(*, write: bool = False, buffers: bool = False) -> object:
        assert not buffers
        txn = real.begin(write=write)
        return _FailingCommit(txn, error) if write else txn

    monkeypatch.setattr(environment, "_env", SimpleNamespace(begin=begin, close=real.close))


def _set_free_bytes(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_bavail=free // 4096, f_frsize=4096))


def test_an_input_output_error_poisons_until_a_start(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _put(environment, b"k", b"v")
    _set_free_bytes(monkeypatch, 1 << 30)
    with monkeypatch.context() as patch:
        _fail_commits(environment, patch, lmdb.Error("mdb_txn_commit: Input/output error"))
        with pytest.raises(ReadOnlyError, match="Input/output error"):
            _put(environment, b"k", b"lost")
    # The disk works again, but what the failed sync left behind is unknown.
    with pytest.raises(ReadOnlyError, match="takes no writes after an I/O error"):
        _put(environment, b"k", b"w")
    assert _get(environment, b"k") == b"v"
    environment.close()
    again = Environment(tmp_path / "env", _MAP_SIZE, ("one", "two"))
    with pytest.raises(ReadOnlyError, match="takes no writes after an I/O error"):
        _put(again, b"k", b"w")
    MARKS.clear()
    _put(again, b"k", b"w")
    assert _get(again, b"k") == b"w"
    again.close()


@pytest.mark.parametrize("look", ["stat", "statvfs"])
def test_a_file_system_that_answers_nothing_any_more_is_an_input_output_error(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, look: str
) -> None:
    """XFS after a shutdown."""

    def broken(*_: object, **__: object) -> None:
        raise OSError(5, os.strerror(5))

    with monkeypatch.context() as patch:
        _fail_commits(environment, patch, lmdb.Error("mdb_txn_commit: Input/output error"))
        patch.setattr(os, look, broken)
        with pytest.raises(ReadOnlyError):
            _put(environment, b"k", b"v")
    assert not environment.takes_writes()
    MARKS.clear()


@pytest.mark.parametrize(
    ("error", "free"),
    [
        (lmdb.DiskError("mdb_txn_commit: No space left on device"), 1 << 30),
        (lmdb.Error("mdb_put: Disk quota exceeded"), 1 << 30),
        # What LMDB says of a write that a full disk cut short.
        (lmdb.Error("mdb_txn_commit: Input/output error"), 4096),
    ],
)
def test_a_full_disk_refuses_without_poison(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, error: lmdb.Error, free: int
) -> None:
    _set_free_bytes(monkeypatch, free)
    with monkeypatch.context() as patch:
        _fail_commits(environment, patch, error)
        with pytest.raises(InsufficientStorageError, match="No space left on device"):
            _put(environment, b"k", b"v")
    _put(environment, b"k", b"v")
    assert _get(environment, b"k") == b"v"


def test_an_error_in_another_process_refuses_what_was_committed_since(environment: Environment, tmp_path: Path) -> None:
    def marked_meanwhile() -> None:
        with environment.write() as txn:
            txn.put(b"k", b"v", db=environment.database("one"))
            MARKS.add(tmp_path)

    with pytest.raises(ReadOnlyError):
        marked_meanwhile()
    MARKS.clear()


def _add(environment: Environment, key: bytes, size: int) -> None:
    with environment.write() as txn:
        txn.put(key, bytes(size), db=environment.database("one"))
        environment.reserve(txn)


def test_a_full_disk_leaves_blocks_for_what_frees_space(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    _add(environment, b"k", 1)
    data = environment.path / "data.mdb"
    assert data.stat().st_blocks * 512 > 1 << 18

    def full(*_: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "posix_fallocate", full)
    _add(environment, b"small", 10_000)
    with pytest.raises(InsufficientStorageError, match="No space left"):
        _add(environment, b"large", 100_000)
    assert _get(environment, b"large") is None
    with environment.write() as txn:
        txn.delete(b"small", db=environment.database("one"))
    # What was freed can be used again without another block of the disk.
    _add(environment, b"again", 10_000)


def test_other_failures_are_storage_errors(environment: Environment) -> None:
    with pytest.raises(StorageError, match="MDB_BAD_VALSIZE"):
        _put(environment, bytes(600), b"")
    _put(environment, b"k", b"v")


def test_a_damaged_page_is_corruption_for_who_reads_and_who_writes(tmp_path: Path) -> None:
    first = Environment(tmp_path / "env", _MAP_SIZE, ("one", "two"))
    _put(first, b"k", b"v")
    first.close()
    spoil_root(tmp_path / "env", "one")
    damaged = Environment(tmp_path / "env", _MAP_SIZE, ("one", "two"))
    with pytest.raises(CorruptionError, match="MDB_CORRUPTED"):
        _get(damaged, b"k")
    with pytest.raises(CorruptionError, match="MDB_CORRUPTED"):
        _put(damaged, b"k", b"w")
    with damaged.read() as txn:
        assert txn.get(b"k", db=damaged.database("two")) is None
    damaged.close()


def test_no_space_for_a_new_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(InsufficientStorageError, match="No space left on device"):
        Environment(tmp_path / "env", _MAP_SIZE, ("one",))


def test_the_lock_file_has_no_holes(environment: Environment) -> None:
    """A hole of the mapped file would be filled by a page fault, which on a full disk ends the process."""
    status = (environment.path / "lock.mdb").stat()
    assert status.st_blocks * 512 >= status.st_size > env_module.MAX_READERS * 64


def test_an_unusable_path_is_a_storage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot open"):
        Environment(tmp_path / "file" / "env", _MAP_SIZE, ("one",))
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / "data.mdb").write_bytes(b"x" * 10_000)
    with pytest.raises(StorageError, match="cannot open"):
        Environment(tmp_path / "env", _MAP_SIZE, ("one",))


def test_databases_are_made_with_their_environment_only(tmp_path: Path) -> None:
    """One that is missing later was lost: an empty one in its place would say that there is nothing."""
    Environment(tmp_path / "env", _MAP_SIZE, ("one",)).close()
    before = (tmp_path / "env" / "data.mdb").read_bytes()
    for create in (True, False):
        with pytest.raises(CorruptionError, match="database two is missing"):
            Environment(tmp_path / "env", _MAP_SIZE, ("one", "two"), create=create)
    assert (tmp_path / "env" / "data.mdb").read_bytes() == before
    Environment(tmp_path / "env", _MAP_SIZE, ("one", "two"), create=False, added=("two",)).close()
    Environment(tmp_path / "env", _MAP_SIZE, ("one", "two"), create=False).close()


def test_an_environment_whose_first_process_died_is_made(tmp_path: Path) -> None:
    Environment(tmp_path / "env", _MAP_SIZE, ()).close()
    made = Environment(tmp_path / "env", _MAP_SIZE, ("one",))
    _put(made, b"k", b"v")
    made.close()


def test_what_is_missing_is_made_only_on_demand(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot open"):
        Environment(tmp_path / "env", _MAP_SIZE, ("one",), create=False)
    assert not (tmp_path / "env").exists()
    (tmp_path / "env").mkdir()
    with pytest.raises(StorageError, match="cannot open"):
        Environment(tmp_path / "env", _MAP_SIZE, ("one",), create=False)
    assert not (tmp_path / "env" / "data.mdb").exists()
    Environment(tmp_path / "env", _MAP_SIZE, ("one",)).close()
    (tmp_path / "env" / "lock.mdb").unlink()
    Environment(tmp_path / "env", _MAP_SIZE, ("one",), create=False).close()


def test_many_threads_read_while_one_writes(environment: Environment) -> None:
    _put(environment, b"n", b"0")
    seen: list[list[int]] = []

    def read() -> None:
        seen.append([int(_get(environment, b"n") or b"") for _ in range(200)])

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for number in range(20):
        _put(environment, b"n", b"%d" % number)
    for thread in threads:
        thread.join()
    assert len(seen) == 8
    assert all(numbers == sorted(numbers) for numbers in seen)


def test_a_read_transaction_sees_one_state(environment: Environment) -> None:
    _put(environment, b"k", b"old")
    with environment.read() as txn:
        thread = threading.Thread(target=_put, args=(environment, b"k", b"new"))
        thread.start()
        thread.join()
        assert txn.get(b"k", db=environment.database("one")) == b"old"
    assert _get(environment, b"k") == b"new"


def test_a_note_of_an_interrupted_commit_is_settled(environment: Environment) -> None:
    _put(environment, b"k", b"v")
    note = environment.path / INTERRUPTED
    note.touch()
    with environment.read() as txn:
        before = txn.id()
    environment.settle()
    assert not note.exists()
    with environment.read() as txn:
        assert txn.id() == before + 1
    environment.settle()
    assert _get(environment, b"k") == b"v"


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        (errno.ENOSPC, InsufficientStorageError),
        (errno.EIO, UnavailableError),
        (errno.ENOMEM, UnavailableError),
        (errno.EBADF, StorageError),
    ],
)
def test_a_copy_that_fails_leaves_no_doubt_about_the_environment(
    number: int, expected: type[Exception], environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise lmdb.Error(f"mdb_env_copyfd3: {os.strerror(number)}")

    with environment.read() as txn, monkeypatch.context() as patched:
        patched.setattr(environment, "_env", SimpleNamespace(copyfd=fail))
        with pytest.raises(expected) as refused:
            environment.copy(txn, tmp_path / "copy")
    assert number != errno.EBADF or type(refused.value) is StorageError
    _put(environment, b"k", b"v")
    assert _get(environment, b"k") == b"v"


_DYING = """
import mmap, os, signal, sys
from pathlib import Path
from pointstore.storage.env import Environment

environment = Environment(Path(sys.argv[1]), 1 << 20, ("one", "two"))
with environment.write() as txn:
    txn.put(b"k", b"new", db=environment.database("one"))
committed = environment._env.info()["last_txnid"]
with open(Path(sys.argv[1]) / "lock.mdb", "r+b") as file, environment.write():
    header = memoryview(mmap.mmap(file.fileno(), mmap.PAGESIZE)).cast("Q")
    (place,) = [place for place in range(16) if header[place] == committed]
    header[place] -= 1
    os.kill(os.getpid(), signal.SIGKILL)
"""
"""What a process leaves that is killed at the end of a commit, before LMDB has told readers of it: durable, with the
lock of writers. tests/gates/test_killed_commits.py kills one there."""


def test_a_commit_whose_process_was_killed_is_read(environment: Environment) -> None:
    _put(environment, b"k", b"old")
    with environment.read() as earlier:
        died = subprocess.run(
            [sys.executable, "-c", _DYING, str(environment.path)], env=server_environment(), check=False, timeout=60
        )
        assert died.returncode == -signal.SIGKILL
        assert _get(environment, b"k") == b"new"
        assert earlier.get(b"k", db=environment.database("one")) == b"old"
    _put(environment, b"k", b"newer")
    assert _get(environment, b"k") == b"newer"


def test_reads_do_not_wait_for_a_writer_that_lives(environment: Environment) -> None:
    _put(environment, b"k", b"old")
    with environment.write() as txn:
        txn.put(b"k", b"new", db=environment.database("one"))
        with ThreadPoolExecutor(1) as other:
            assert other.submit(_get, environment, b"k").result(timeout=10) == b"old"
    assert _get(environment, b"k") == b"new"


def test_locks_by_which_processes_notice_each_other_stay(environment: Environment) -> None:
    """They would end with a descriptor of the lock file that is closed too early; the next process would empty it."""
    program = "import sys, lmdb; print(lmdb.open(sys.argv[1], max_dbs=2).readers())"
    with environment.read():
        command = [sys.executable, "-c", program, str(environment.path)]
        seen = subprocess.run(command, capture_output=True, check=True, timeout=60, text=True)
    assert str(os.getpid()) in seen.stdout.split()
