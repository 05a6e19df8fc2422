"""Python: the official clients walk through the Points page, and stubs from `proto/` make a round trip."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.interop.conftest import HERE
from tests.interop.spoiling import SPOILED_METHODS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.interop.conftest import Run

ROOT = HERE.parent.parent
WALK = (sys.executable, "-m", "tests.interop.python")
PROTO = ROOT / "proto"


def test_the_official_clients_walk_through_the_points_page(walk: Run) -> None:
    walk(WALK, cwd=ROOT)


@pytest.mark.parametrize("method", SPOILED_METHODS)
def test_the_walk_notices_wrong_answers(method: str, assert_noticed: Callable[..., None]) -> None:
    assert_noticed(WALK, method, cwd=ROOT)


def test_the_program_of_the_guide_finds_what_it_wrote(walk: Run) -> None:
    output = walk([sys.executable, HERE / "python" / "guide.py"])
    assert "London" in output
    assert "NOT_FOUND: Not found: Collection `no-such-collection` doesn't exist!" in output


def test_generated_stubs_make_a_round_trip(run: Run, walk: Run, tmp_path: Path) -> None:
    outputs = [f"--python_out={tmp_path}", f"--grpc_python_out={tmp_path}"]
    run([sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO}", *outputs, *sorted(PROTO.glob("*.proto"))])
    # The generated modules import each other by their bare names.
    walk([sys.executable, HERE / "python_stubs" / "stubs.py"], cwd=tmp_path, environment={"PYTHONPATH": str(tmp_path)})
