"""Java: the official client walks through the Points page, and stubs from `proto/` make a round trip."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.interop.protoc import PROTO_DIR
from tests.interop.spoiling import ROUND_TRIP_METHODS, SPOILED_METHODS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.interop.conftest import Run, Toolchain, Workspace


@pytest.fixture(scope="module")
def folder(toolchain: Toolchain, workspace: Workspace, run: Run) -> Path:
    """Build both programs; return where they are."""
    toolchain("java", "javac", "mvn")
    built = workspace("java")
    run(["mvn", "-q", "-B", "compile", f"-Dproto.dir={PROTO_DIR}"], cwd=built)
    return built


def program(folder: Path, module: str, name: str) -> list[str]:
    """Return the command of a module's class; no heap of a size that the machine's memory suggests."""
    target = folder / module / "target"
    class_path = f"{target / 'classes'}:{target / 'lib'}/*"
    return ["java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-cp", class_path, f"pointstore.interop.{name}"]


def test_the_official_client_walks_through_the_points_page(folder: Path, walk: Run) -> None:
    walk(program(folder, "walk", "Walk"))


@pytest.mark.parametrize("method", SPOILED_METHODS)
def test_the_walk_notices_wrong_answers(method: str, folder: Path, assert_noticed: Callable[..., None]) -> None:
    assert_noticed(program(folder, "walk", "Walk"), method)


def test_generated_stubs_make_a_round_trip(folder: Path, walk: Run) -> None:
    walk(program(folder, "stubs", "Stubs"))


def test_the_program_of_the_guide_finds_what_it_wrote(folder: Path, walk: Run) -> None:
    output = walk(program(folder, "walk", "Guide"))
    assert "London" in output
    assert "NOT_FOUND: Not found: Collection `no-such-collection` doesn't exist!" in output


@pytest.mark.parametrize("method", ROUND_TRIP_METHODS)
def test_the_round_trip_notices_wrong_answers(method: str, folder: Path, assert_noticed: Callable[..., None]) -> None:
    assert_noticed(program(folder, "stubs", "Stubs"), method)
