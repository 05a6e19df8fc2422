"""protoc over proto/, for the generators of other languages."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tests.conftest import ROOT

if TYPE_CHECKING:
    from tests.interop.conftest import Run

PROTO_DIR = ROOT / "proto"
PROTO_FILES = sorted(path.name for path in PROTO_DIR.glob("*.proto"))


def run_protoc(run: Run, options: Sequence[str], plugins: Sequence[Path] = ()) -> None:
    """Generate from all files of proto/ with the given options and plugins, executables named `protoc-gen-...`."""
    found = [f"--plugin={path.name}={path}" for path in plugins]
    run([sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO_DIR}", *found, *options, *PROTO_FILES])


def run_whole_protoc(run: Run, options: Sequence[str]) -> None:
    """Generate with a protoc that has all generators of protobuf itself; that of grpcio-tools has Python's alone."""
    run([Path(sys.executable).with_name("protoc"), f"-I{PROTO_DIR}", *options, *PROTO_FILES])
