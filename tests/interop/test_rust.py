"""Rust: the official client walks through the Points page, and stubs from `proto/` make a round trip."""

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
    toolchain("cargo", "rustc")
    built = workspace("rust")
    target = built / "target"
    environment = {"PROTO_DIR": str(PROTO_DIR), "CARGO_TARGET_DIR": str(target), "RUST_BACKTRACE": "0"}
    run(["cargo", "build", "--locked", "--quiet"], cwd=built, environment=environment)
    return target / "debug"


def test_the_official_client_walks_through_the_points_page(folder: Path, walk: Run) -> None:
    walk([folder / "walk"])


@pytest.mark.parametrize("method", SPOILED_METHODS)
def test_the_walk_notices_wrong_answers(method: str, folder: Path, assert_noticed: Callable[..., None]) -> None:
    assert_noticed([folder / "walk"], method)


def test_generated_stubs_make_a_round_trip(folder: Path, walk: Run) -> None:
    walk([folder / "stubs"])


def test_the_program_of_the_guide_finds_what_it_wrote(folder: Path, walk: Run) -> None:
    output = walk([folder / "guide"])
    assert "London" in output
    assert "NotFound: Not found: Collection `no-such-collection` doesn't exist!" in output


@pytest.mark.parametrize("method", ROUND_TRIP_METHODS)
def test_the_round_trip_notices_wrong_answers(method: str, folder: Path, assert_noticed: Callable[..., None]) -> None:
    assert_noticed([folder / "stubs"], method)
