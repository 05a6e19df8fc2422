"""C++: stubs from `proto/` make a round trip; there is no official client."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.interop.protoc import PROTO_DIR
from tests.interop.spoiling import ROUND_TRIP_METHODS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.interop.conftest import Run, Toolchain, Workspace


@pytest.fixture(scope="module")
def folder(toolchain: Toolchain, workspace: Workspace, run: Run) -> Path:
    """Build the program; return where it is."""
    toolchain("g++", "cmake", "pkg-config", "protoc", "grpc_cpp_plugin")
    libraries = ["pkg-config", "--exists", "grpc++", "protobuf"]
    if subprocess.run(libraries, check=False).returncode != 0:
        pytest.skip("this machine has no libgrpc++-dev or no libprotobuf-dev")
    built = workspace("cpp")
    run(["cmake", "-S", built, "-B", built / "build", "-DCMAKE_BUILD_TYPE=Debug", f"-DPROTO_DIR={PROTO_DIR}"])
    run(["cmake", "--build", built / "build"])
    return built / "build"


def test_generated_stubs_make_a_round_trip(folder: Path, walk: Run) -> None:
    walk([folder / "stubs"])


def test_the_program_of_the_guide_finds_what_it_wrote(folder: Path, walk: Run) -> None:
    assert "London" in walk([folder / "guide"])


@pytest.mark.parametrize("method", ROUND_TRIP_METHODS)
def test_the_round_trip_notices_wrong_answers(method: str, folder: Path, assert_noticed: Callable[..., None]) -> None:
    assert_noticed([folder / "stubs"], method)
