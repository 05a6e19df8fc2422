"""JavaScript: the official client walks through the Points page."""

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
    """Install the packages; return where the programs are."""
    toolchain("node", "npm")
    installed = workspace("js")
    lock = (installed / "package-lock.json").read_bytes()
    stamp = installed / "node_modules" / ".installed-lock"
    if not stamp.exists() or stamp.read_bytes() != lock:
        run(["npm", "ci"], cwd=installed)
        stamp.write_bytes(lock)
    return installed


def test_the_official_client_walks_through_the_points_page(folder: Path, walk: Run) -> None:
    walk(["node", folder / "walk.js"])


@pytest.mark.parametrize("method", SPOILED_METHODS)
def test_the_walk_notices_wrong_answers(method: str, folder: Path, assert_noticed: Callable[..., None]) -> None:
    assert_noticed(["node", folder / "walk.js"], method)
