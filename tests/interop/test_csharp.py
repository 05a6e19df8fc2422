"""C#: stubs generated from proto/; compiled and run where the machine has dotnet."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from tests.interop.protoc import PROTO_DIR, PROTO_FILES, run_whole_protoc

if TYPE_CHECKING:
    from tests.interop.conftest import Run, Toolchain, Workspace

NAMESPACE = "namespace Qdrant.Client.Grpc {"
SERVICES = {"CollectionsService", "PointsService", "Qdrant", "SnapshotsService"}
CLIENT_METHOD = re.compile(r"public virtual \S+ (\w+)\(\S+ request, grpc::CallOptions options\)")


def generate(run: Run, folder: Path, *, services: bool) -> None:
    """Write C# of the messages, and of the services with the gRPC plugin, which comes with Grpc.Tools."""
    options = [f"--csharp_out={folder}"]
    if services:
        plugin = shutil.which("grpc_csharp_plugin")
        options += [f"--plugin=protoc-gen-grpc={plugin}", f"--grpc_out={folder}", "--grpc_opt=no_server"]
    run_whole_protoc(run, options)


def test_messages_are_generated(run: Run, tmp_path: Path) -> None:
    generate(run, tmp_path, services=False)
    written = {path.stem: path.read_text() for path in tmp_path.glob("*.cs")}
    assert len(written) == len(PROTO_FILES)
    assert all(NAMESPACE in text for text in written.values())
    messages = re.findall(r"^message (\w+)", (PROTO_DIR / "points.proto").read_text(), re.MULTILINE)
    assert "UpsertPoints" in messages
    assert all(f"public sealed partial class {name} :" in written["Points"] for name in messages)


def test_clients_of_all_methods_are_generated(toolchain: Toolchain, run: Run, tmp_path: Path) -> None:
    toolchain("grpc_csharp_plugin")
    generate(run, tmp_path, services=True)
    texts = {path.stem.removesuffix("Grpc"): path.read_text() for path in tmp_path.glob("*Grpc.cs")}
    assert texts.keys() == SERVICES
    found = [name for text in texts.values() for name in CLIENT_METHOD.findall(text) if not name.endswith("Async")]
    assert len(found) == sum((PROTO_DIR / name).read_text().count("  rpc ") for name in PROTO_FILES)


def test_stubs_compile_and_make_a_round_trip(toolchain: Toolchain, workspace: Workspace, run: Run, walk: Run) -> None:
    toolchain("dotnet", "grpc_csharp_plugin")
    folder = workspace("csharp")
    (folder / "Generated").mkdir(exist_ok=True)
    generate(run, folder / "Generated", services=True)
    run(["dotnet", "build", "--nologo", "-o", folder / "built"], cwd=folder)
    walk(["dotnet", folder / "built" / "roundtrip.dll"])
