"""Go: the official client walks through the Points page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.interop.spoiling import SPOILED_METHODS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.interop.conftest import Run, Toolchain, Workspace


@pytest.fixture
def folder(toolchain: Toolchain, workspace: Workspace, run: Run) -> Path:
    """Build the programs; return where they are."""
    toolchain("go")
    built = workspace("go")
    run(["go", "build", "-mod=readonly", "-o", built / "bin" / "walk", "./walk"], cwd=built)
    return built


def test_the_official_client_walks_through_the_points_page(folder: Path, walk: Run) -> None:
    walk([folder / "bin" / "walk"])


@pytest.mark.parametrize("method", SPOILED_METHODS)
def test_the_walk_notices_wrong_answers(method: str, folder: Path, assert_noticed: Callable[..., None]) -> None:
    assert_noticed([folder / "bin" / "walk"], method)
