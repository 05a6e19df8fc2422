"""Frame of the interop tests: programs in other languages, built and run against a server of this tree.

A test names the programs that it needs (`toolchain`), gets a copy of its sources outside the tree to build in
(`workspace`), and runs commands there that must end with status 0 (`run`). What the machine has no toolchain for is
skipped with one line; a toolchain that is present and fails is a failure.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest

from tests.interop.spoiling import SpoilingProxy

if TYPE_CHECKING:
    from tests.conftest import Server

HERE = Path(__file__).resolve().parent
CACHE = "POINTSTORE_INTEROP_CACHE"
# The first build on a machine downloads and compiles everything.
TEST_TIMEOUT_S = 1500.0
COMMAND_TIMEOUT_S = 1200.0
_SHOWN_CHARACTERS = 8000

Run: TypeAlias = Callable[..., str]
Toolchain: TypeAlias = Callable[..., None]
Workspace: TypeAlias = Callable[..., Path]


class CommandError(Exception):
    """A command ended with another status than 0, or not in time; the text is its command line and output."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder the time that a first build takes."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(TEST_TIMEOUT_S))


@pytest.fixture(scope="module")
def toolchain() -> Toolchain:
    """Skip the test unless every program is on the path: `toolchain("cargo", "rustc")`."""

    def need(*programs: str) -> None:
        missing = [program for program in programs if shutil.which(program) is None]
        if missing:
            pytest.skip(f"this machine has no {', '.join(missing)}")

    return need


@pytest.fixture(scope="session")
def cache_dir() -> Path:
    """Return the folder outside the tree that keeps downloads and builds between runs."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(os.environ.get(CACHE) or home / "pointstore-interop")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="module")
def workspace(cache_dir: Path) -> Iterator[Workspace]:
    """Return where to build: `workspace("rust")` is a copy of tests/interop/rust that keeps what builds leave in it.

    `workspace("rust", source)` copies another folder. Only this module's tests use the copy until they have ended.
    """
    prepared: set[str] = set()
    with contextlib.ExitStack() as held:

        def prepare(name: str, source: Path | None = None) -> Path:
            if name in prepared:
                return cache_dir / name
            prepared.add(name)
            lock = held.enter_context((cache_dir / f"{name}.lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX)
            folder = cache_dir / name
            copy_sources(source or HERE / name, folder)
            return folder

        yield prepare


def copy_sources(source: Path, folder: Path) -> None:
    """Bring the copy up to date: unchanged files keep their times, files that left `source` go, others stay."""
    listing = folder / ".sources"
    before = set(listing.read_text().splitlines()) if listing.exists() else set()
    now = {str(path.relative_to(source)) for path in source.rglob("*") if path.is_file()}
    for name in before - now:
        (folder / name).unlink(missing_ok=True)
    for name in now:
        target = folder / name
        if not target.exists() or target.read_bytes() != (source / name).read_bytes():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target)
    folder.mkdir(parents=True, exist_ok=True)
    listing.write_text("\n".join(sorted(now)))


def execute(
    command: Sequence[str | Path],
    *,
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = COMMAND_TIMEOUT_S,
    stdin: str | None = None,
) -> str:
    """Run a command to its end and return what it wrote to standard output.

    Raises:
        CommandError: it ended with another status than 0, or not within `timeout_s`.

    """
    words = [str(word) for word in command]
    process = subprocess.Popen(
        words,
        cwd=cwd,
        env={**os.environ, **(environment or {})},
        stdin=subprocess.DEVNULL if stdin is None else subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(stdin, timeout=timeout_s)
        ended = f"ended with status {process.returncode}"
    except subprocess.TimeoutExpired:
        # Build tools leave children behind that hold the pipes.
        os.killpg(process.pid, signal.SIGKILL)
        output, errors = process.communicate()
        ended = f"did not end within {timeout_s:.0f} s"
    if process.returncode != 0:
        shown = (output + errors)[-_SHOWN_CHARACTERS:]
        raise CommandError(f"{' '.join(words)}\n{ended}\n{shown}")
    return output


@pytest.fixture(scope="module")
def run() -> Run:
    """Run a command: `run(["go", "build"], cwd=..., environment=...)` returns its output or fails the test."""

    def checked(command: Sequence[str | Path], **options: Any) -> str:  # noqa: ANN401 # the options of execute
        try:
            return execute(command, **options)
        except CommandError as error:
            pytest.fail(str(error), pytrace=False)

    return checked


@pytest.fixture(scope="module")
def installed(toolchain: Toolchain, workspace: Workspace, run: Run) -> Callable[[str], Path]:
    """Copy a folder of JavaScript and install its packages: `installed("js")` returns where."""

    def install(name: str) -> Path:
        toolchain("node", "npm")
        folder = workspace(name)
        lock = (folder / "package-lock.json").read_bytes()
        stamp = folder / "node_modules" / ".installed-lock"
        if not stamp.exists() or stamp.read_bytes() != lock:
            run(["npm", "ci"], cwd=folder)
            stamp.write_bytes(lock)
        return folder

    return install


@pytest.fixture
def walk(shared_server: Server, run: Run) -> Run:
    """Run a program that walks through the API: `walk([program])` appends the server's `host:port`."""
    return lambda command, **options: run([*command, shared_server.address], **options)


@pytest.fixture
def assert_noticed(shared_server: Server) -> Callable[..., None]:
    """Control of a walk: `assert_noticed([program], method)` wants it to fail if the answers of a method are empty."""

    def control(command: Sequence[str | Path], method: str, **options: Any) -> None:  # noqa: ANN401 # as above
        with SpoilingProxy(shared_server.address, method) as proxy:
            with pytest.raises(CommandError, match="ended with status"):
                execute([*command, proxy.address], **options)
            assert proxy.calls > 0, f"the walk never called {method}"

    return control
