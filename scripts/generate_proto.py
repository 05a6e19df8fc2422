"""Generate the Python code of the wire contract from the .proto files.

Two packages are written: ``qdrant_grpc/`` from ``proto/*.proto``, and ``server/pointstore/wire/points_view_pb2.py``
from the wire views beside it. protoc writes top-level modules that register in protobuf's default pool; both are
rewritten here, so that the result is a package with absolute imports whose messages live in ``qdrant_grpc._pool.POOL``.

The output depends only on the .proto files and on the versions of grpcio-tools and mypy-protobuf, which is why those
are pinned: ``--check`` compares the committed files byte for byte with fresh ones and exits 1 when they differ.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTO_DIR = ROOT / "proto"
SERVER_DIR = ROOT / "server"
STUBS_PACKAGE = "qdrant_grpc"
VIEW_PROTO = "pointstore/wire/points_view.proto"

GENERATED_SUFFIXES = ("_pb2.py", "_pb2.pyi", "_pb2_grpc.py", "_pb2_grpc.pyi")

# The published qdrant.proto imports the service files without using them, and the file descriptors must agree.
EXPECTED_WARNING = re.compile(r"qdrant\.proto:\d+:\d+: warning: Import \w+_service\.proto is unused\.$")

TOP_LEVEL_IMPORT = re.compile(r"^import (\w+_pb2) as (\w+)$", re.MULTILINE)
DEFAULT_POOL_IMPORT = "from google.protobuf import descriptor_pool as _descriptor_pool\n"
PRIVATE_POOL_IMPORT = f"from {STUBS_PACKAGE} import _pool\n"
DEFAULT_POOL = "_descriptor_pool.Default()"
BUILDER_MODULE = re.compile(r"(BuildTopDescriptorsAndMessages\(DESCRIPTOR, ')(\w+_pb2)(')")


class GenerationError(Exception):
    """protoc failed, or wrote code of a shape that the rewriting does not know."""


def plugin(name: str) -> str:
    """Return the protoc option for a plugin that is installed beside the running interpreter.

    Args:
        name: the plugin's executable, such as ``protoc-gen-mypy``.

    Raises:
        GenerationError: the executable is neither beside the interpreter nor on the path.
    """
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        message = f"{name} not found: install mypy-protobuf"
        raise GenerationError(message)
    return f"--plugin={name}={found}"


def run_protoc(arguments: list[str]) -> None:
    """Run protoc of grpcio-tools; pass its warnings on.

    Raises:
        GenerationError: protoc reported an error.
    """
    command = [sys.executable, "-m", "grpc_tools.protoc", *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise GenerationError(result.stderr.strip())
    for line in result.stderr.splitlines():
        if not line.startswith("Writing mypy to ") and not EXPECTED_WARNING.search(line):
            print(line, file=sys.stderr)


def rewrite(code: str, package: str, *, registers: bool) -> str:
    """Turn a generated top-level module into a member of `package` that uses the private pool.

    Args:
        code: text of a generated .py or .pyi file.
        package: dotted name of the package that the module goes to.
        registers: whether this is a ``_pb2.py`` file, the only kind that registers descriptors.

    Raises:
        GenerationError: the code does not register descriptors where it should, so protoc's output has changed.
    """
    code = TOP_LEVEL_IMPORT.sub(rf"from {STUBS_PACKAGE} import \1 as \2", code)
    if not registers:
        return code
    if code.count(DEFAULT_POOL) != 1 or code.count(DEFAULT_POOL_IMPORT) != 1:
        message = "generated code does not register with the default pool exactly once: adapt this script"
        raise GenerationError(message)
    code = code.replace(DEFAULT_POOL_IMPORT, "").replace(DEFAULT_POOL, "_pool.POOL")
    code = code.replace("\n\n\nDESCRIPTOR = ", f"\n{PRIVATE_POOL_IMPORT}\n\nDESCRIPTOR = ", 1)
    code, named = BUILDER_MODULE.subn(rf"\g<1>{package}.\g<2>\g<3>", code)
    # Without the package in its __module__ a message class cannot be found again by pickle.
    if named != 1 and f"'{package}." not in code:
        message = "generated code does not name its module: adapt this script"
        raise GenerationError(message)
    if PRIVATE_POOL_IMPORT not in code:
        message = "no place found for the import of the private pool: adapt this script"
        raise GenerationError(message)
    return code


def collect(directory: Path, target: Path, package: str) -> dict[Path, str]:
    """Return the rewritten text of every generated file in `directory`, keyed by its place below `target`."""
    files = {}
    for path in sorted(directory.iterdir()):
        if path.name.endswith(GENERATED_SUFFIXES):
            text = path.read_text(encoding="utf-8")
            files[target / path.name] = rewrite(text, package, registers=path.name.endswith("_pb2.py"))
    return files


def generate() -> dict[Path, str]:
    """Return the text of every generated file, keyed by its absolute path.

    Raises:
        GenerationError: see `run_protoc`, `plugin` and `rewrite`.
    """
    protos = sorted(path.name for path in PROTO_DIR.glob("*.proto"))
    services = [name for name in protos if "\nservice " in (PROTO_DIR / name).read_text(encoding="utf-8")]
    mypy = plugin("protoc-gen-mypy")
    mypy_grpc = plugin("protoc-gen-mypy_grpc")
    files = {}
    with tempfile.TemporaryDirectory() as scratch:
        stubs = Path(scratch, "stubs")
        views = Path(scratch, "views")
        stubs.mkdir()
        views.mkdir()
        run_protoc([f"-I{PROTO_DIR}", mypy, f"--python_out={stubs}", f"--mypy_out={stubs}", *protos])
        run_protoc([f"-I{PROTO_DIR}", mypy_grpc, f"--grpc_python_out={stubs}", f"--mypy_grpc_out={stubs}", *services])
        view_options = [f"-I{SERVER_DIR}", f"-I{PROTO_DIR}", mypy, f"--python_out={views}", f"--mypy_out={views}"]
        run_protoc([*view_options, VIEW_PROTO])
        files.update(collect(stubs, ROOT / STUBS_PACKAGE, STUBS_PACKAGE))
        view_folder = Path(VIEW_PROTO).parent
        view_package = ".".join(view_folder.parts)
        files.update(collect(views / view_folder, SERVER_DIR / view_folder, view_package))
    return files


def committed() -> set[Path]:
    """Return the generated files that are in the working tree."""
    folders = (ROOT / STUBS_PACKAGE, (SERVER_DIR / VIEW_PROTO).parent)
    return {path for folder in folders for path in folder.glob("*_pb2*") if path.name.endswith(GENERATED_SUFFIXES)}


def differences(files: dict[Path, str]) -> list[str]:
    """Return one line for each generated file that is missing, outdated or no longer generated."""
    lines = [f"{path.relative_to(ROOT)}: no longer generated" for path in sorted(committed() - files.keys())]
    for path, text in sorted(files.items()):
        name = path.relative_to(ROOT)
        if not path.exists():
            lines.append(f"{name}: missing")
        elif path.read_text(encoding="utf-8") != text:
            lines.append(f"{name}: differs")
    return lines


def write(files: dict[Path, str]) -> None:
    """Bring the working tree up to date; leave files alone that already are."""
    for path in committed() - files.keys():
        path.unlink()
    for path, text in files.items():
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def main() -> int:
    """Generate, or with ``--check`` compare; return the exit status."""
    parser = argparse.ArgumentParser(description="Generate Python code from the .proto files.")
    parser.add_argument("--check", action="store_true", help="only report whether the generated code is current")
    check: bool = parser.parse_args().check
    try:
        files = generate()
    except GenerationError as error:
        print(f"generate_proto: {error}", file=sys.stderr)
        return 1
    if not check:
        write(files)
        return 0
    lines = differences(files)
    if lines:
        tools = f"grpcio-tools {version('grpcio-tools')}, mypy-protobuf {version('mypy-protobuf')}"
        print(f"generated code is not current, run `make proto` ({tools}):", *lines, sep="\n  ", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
