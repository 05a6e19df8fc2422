"""grpcurl, with no proto files at hand: the examples of docs/grpcurl.md are run and print what the page says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from grpc_health.v1 import health_pb2

from qdrant_grpc import POOL
from tests.conftest import ROOT
from tests.interop.console import DOCUMENTED_ADDRESS, Example, examples

if TYPE_CHECKING:
    from tests.conftest import Server
    from tests.interop.conftest import Run, Toolchain, Workspace

PAGE = ROOT / "docs" / "grpcurl.md"
SERVICES = ("qdrant.Qdrant", "qdrant.Collections", "qdrant.Points", "qdrant.Snapshots")
COMMAND_TIMEOUT_S = 120
BASH = shutil.which("bash") or ""
CALLED = re.compile(r"127\.0\.0\.1:6334 ((?:qdrant|grpc)\.[\w.]+/\w+)")


@pytest.fixture(scope="module")
def grpcurl(toolchain: Toolchain, workspace: Workspace, run: Run) -> Path:
    """Build grpcurl; return the folder it is in."""
    toolchain("go", "bash")
    folder = workspace("grpcurl")
    package = "github.com/fullstorydev/grpcurl/cmd/grpcurl"
    run(["go", "build", "-mod=readonly", "-o", "bin/grpcurl", package], cwd=folder)
    return folder / "bin"


def output_of(example: Example, server: Server, folder: Path) -> str:
    """Run a command of the page against the server; return what it writes to both streams."""
    return subprocess.run(
        [BASH, "-c", example.command.replace(DOCUMENTED_ADDRESS, server.address)],
        env={**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    ).stdout


def test_every_example_of_the_page_prints_what_the_page_says(grpcurl: Path, server: Server) -> None:
    for example in examples(PAGE.read_text()):
        printed = output_of(example, server, grpcurl).replace(server.address, DOCUMENTED_ADDRESS)
        assert example.prints(printed), f"{example.command}\nprinted\n{printed}\nnot\n{example.output}"


def test_the_page_calls_every_method() -> None:
    called = {name for example in examples(PAGE.read_text()) for name in CALLED.findall(example.command)}
    health = health_pb2.DESCRIPTOR.services_by_name["Health"]
    methods = {f"{service}/{method.name}" for service in SERVICES for method in POOL.FindServiceByName(service).methods}
    assert len(methods) == 51
    assert called == methods | {
        f"{health.full_name}/{method.name}" for method in health.methods if method.name != "List"
    }


@pytest.mark.parametrize(
    ("printed", "matches"),
    [("a 12 b\n", True), ("a  b", True), ("a 12 c", False), ("x a 12 b", False), ("", False)],
)
def test_an_example_notices_other_output(printed: str, matches: bool) -> None:  # noqa: FBT001 # a table
    (example,) = examples("text\n```console\n$ one \\\n  two\na … b\n```\n")
    assert example == Example("one \\\n  two", "a … b")
    assert example.prints(printed) is matches
