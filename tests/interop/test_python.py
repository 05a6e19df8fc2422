"""Python: the official clients walk through the Points page, and stubs from `proto/` make a round trip."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.conftest import ROOT
from tests.interop.conftest import HERE
from tests.interop.protoc import run_protoc
from tests.interop.spoiling import ROUND_TRIP_METHODS, SPOILED_METHODS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.interop.conftest import Run

WALK = (sys.executable, "-m", "tests.interop.python")


def test_the_official_clients_walk_through_the_points_page(walk: Run) -> None:
    walk(WALK, cwd=ROOT)


@pytest.mark.parametrize("method", SPOILED_METHODS)
def test_the_walk_notices_wrong_answers(method: str, assert_noticed: Callable[..., None]) -> None:
    assert_noticed(WALK, method, cwd=ROOT)


def test_the_program_of_the_guide_finds_what_it_wrote(walk: Run) -> None:
    output = walk([sys.executable, HERE / "python" / "guide.py"])
    assert "London" in output
    assert "NOT_FOUND: Not found: Collection `no-such-collection` doesn't exist!" in output


@pytest.fixture(scope="module")
def stubs(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate stubs into a fresh folder; return it."""
    folder = tmp_path_factory.mktemp("stubs")
    run_protoc(run, [f"--python_out={folder}", f"--grpc_python_out={folder}"])
    return folder


def round_trip(stubs: Path) -> dict[str, Any]:
    """Return the program and its surroundings: the generated modules import each other by their bare names."""
    program = [sys.executable, HERE / "python_stubs" / "stubs.py"]
    return {"command": program, "cwd": stubs, "environment": {"PYTHONPATH": str(stubs)}}


def test_generated_stubs_make_a_round_trip(stubs: Path, walk: Run) -> None:
    walk(**round_trip(stubs))


@pytest.mark.parametrize("method", ROUND_TRIP_METHODS)
def test_the_round_trip_notices_wrong_answers(method: str, stubs: Path, assert_noticed: Callable[..., None]) -> None:
    assert_noticed(**round_trip(stubs), method=method)
