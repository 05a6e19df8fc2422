"""Go: the official client walks through the Points page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT
from tests.interop.console import program
from tests.interop.protoc import PROTO_FILES, run_protoc
from tests.interop.spoiling import SPOILED_METHODS

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Server
    from tests.interop.conftest import Run, Toolchain, Workspace


STUBS = "pointstore/interop/stubs/qdrant"


@pytest.fixture(scope="module")
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


def test_stubs_generated_from_proto_make_a_round_trip(
    toolchain: Toolchain, workspace: Workspace, run: Run, walk: Run
) -> None:
    toolchain("go")
    built = workspace("go_stubs")
    plugins = {
        "protoc-gen-go": "google.golang.org/protobuf/cmd/protoc-gen-go",
        "protoc-gen-go-grpc": "google.golang.org/grpc/cmd/protoc-gen-go-grpc",
    }
    for name, package in plugins.items():
        run(["go", "build", "-mod=readonly", "-o", f"bin/{name}", package], cwd=built)
    stubs = built / "qdrant"
    stubs.mkdir(exist_ok=True)
    # The files name no Go package, as the published ones do not: whoever generates says which.
    packages = [
        f"--{plugin}_opt={option}"
        for plugin in ("go", "go-grpc")
        for option in ("module=pointstore/interop/stubs", *(f"M{name}={STUBS}" for name in PROTO_FILES))
    ]
    options = [f"--go_out={built}", f"--go-grpc_out={built}", *packages]
    run_protoc(run, options, plugins=[built / "bin" / name for name in plugins])
    run(["go", "build", "-mod=readonly", "-o", "bin/roundtrip", "./roundtrip"], cwd=built)
    walk([built / "bin" / "roundtrip"])


def test_the_program_of_the_guide_runs(folder: Path, run: Run, shared_server: Server) -> None:
    shown = program((ROOT / "docs" / "clients" / "go.md").read_text(), "go")
    assert "Port: 6334" in shown
    text = shown.replace("Port: 6334", f"Port: {shared_server.port}")
    (folder / "guide").mkdir(exist_ok=True)
    (folder / "guide" / "main.go").write_text(text)
    assert run(["go", "run", "-mod=readonly", "./guide"], cwd=folder) == "2 0.6660 London\n"
