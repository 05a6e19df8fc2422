"""JavaScript: the official client walks through the Points page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT
from tests.interop.console import DOCUMENTED_ADDRESS, program
from tests.interop.protoc import PROTO_DIR, run_protoc
from tests.interop.spoiling import SPOILED_METHODS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Server
    from tests.interop.conftest import Run


@pytest.fixture(scope="module")
def folder(installed: Callable[[str], Path]) -> Path:
    """Return where the walk is."""
    return installed("js")


def test_the_official_client_walks_through_the_points_page(folder: Path, walk: Run) -> None:
    walk(["node", folder / "walk.js"])


@pytest.mark.parametrize("method", SPOILED_METHODS)
def test_the_walk_notices_wrong_answers(method: str, folder: Path, assert_noticed: Callable[..., None]) -> None:
    assert_noticed(["node", folder / "walk.js"], method)


def test_typescript_generated_from_proto_makes_a_round_trip(
    installed: Callable[[str], Path], run: Run, walk: Run
) -> None:
    folder = installed("js_stubs")
    (folder / "qdrant").mkdir(exist_ok=True)
    programs = folder / "node_modules" / ".bin"
    options = [f"--es_out={folder / 'qdrant'}", "--es_opt=target=ts,import_extension=js"]
    run_protoc(run, options, plugins=[programs / "protoc-gen-es"])
    run([programs / "tsc"], cwd=folder)
    walk(["node", folder / "built" / "roundtrip.js"])


def test_proto_files_loaded_at_run_time_make_a_round_trip(installed: Callable[[str], Path], walk: Run) -> None:
    walk(["node", installed("js_stubs") / "roundtrip_loaded.js", PROTO_DIR])


def test_the_program_of_the_guide_runs(folder: Path, run: Run, shared_server: Server) -> None:
    shown = program((ROOT / "docs" / "clients" / "javascript.md").read_text(), "js")
    assert DOCUMENTED_ADDRESS in shown
    text = shown.replace(DOCUMENTED_ADDRESS, shared_server.address)
    (folder / "guide.js").write_text(text)
    assert run(["node", "guide.js"], cwd=folder) == "2n 0.6660 London\n"
