"""The layer rules, read from the imports: wire -> engine -> {storage | index} -> core; who may use which library."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

PACKAGE: Final = Path(__file__).resolve().parent.parent / "server" / "pointstore"

MAY_IMPORT: Final = {
    "core": {"core"},
    "text": {"text", "core"},
    "index": {"index", "text", "core"},
    "storage": {"storage", "core"},
    "engine": {"engine", "storage", "index", "text", "core", "config"},
    "wire": {"wire", "engine", "text", "core", "config"},
    "config": {"config"},
    "config_sources": {"config_sources", "config"},
}
"""Which parts of the package a layer may import; settings are plain values, so engine and wire may take them.

The modules beside the layers put them together and may import all."""

ONLY_IN: Final = {
    "grpc": {"wire"},
    "grpc_health": {"wire"},
    "grpc_reflection": {"wire"},
    "qdrant_grpc": {"wire", "app", "core.payload"},
    "lmdb": {"storage"},
    "faiss": {"index"},
}
"""Libraries that only some parts, or single modules of them, may import: payloads are stored in wire encoding."""

IN_SUPERVISOR: Final = {
    "__init__",
    "__main__",
    "cli",
    "child",
    "supervisor",
    "claims",
    "config",
    "config_sources",
    "logs",
}
"""Modules the supervisor's process loads; at their top they import nothing else of the package."""


def part_of(module: str) -> str:
    """Return the layer or the module beside the layers that a dotted name of the package belongs to."""
    return module.split(".")[1] if "." in module else "__init__"


def imported_names(tree: ast.AST, module: str) -> set[str]:
    """Return the full dotted names a module imports, at any depth, with relative ones made absolute."""
    package = module.split(".")[:-1]
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*start, *([node.module] if node.module else [])])
            # `from pointstore import engine` names a module, `from pointstore.engine import Engine` need not.
            names.update(f"{origin}.{alias.name}" for alias in node.names)
    return names


def violations(source: str, module: str) -> list[str]:
    """Return what breaks the rules in a module's source; `module` is its dotted name."""
    layer = part_of(module)
    found: list[str] = []
    for name in sorted(imported_names(ast.parse(source), module)):
        root = name.split(".")[0]
        if root == "pointstore":
            allowed = MAY_IMPORT.get(layer)
            if allowed is not None and part_of(name) not in allowed:
                found.append(f"{module} imports {name}: {layer} may import {', '.join(sorted(allowed))}")
        elif root in ONLY_IN and not ONLY_IN[root] & {layer, module.removeprefix("pointstore.")}:
            found.append(f"{module} imports {name}: {root} belongs to {', '.join(sorted(ONLY_IN[root]))}")
    if layer in IN_SUPERVISOR:
        top = ast.Module([node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)], [])
        loaded = {part_of(name) for name in imported_names(top, module) if name.startswith("pointstore.")}
        found += [
            f"{module} loads {part} with the supervisor" for part in sorted(loaded - IN_SUPERVISOR - {"__version__"})
        ]
    return found


def modules() -> list[tuple[str, Path]]:
    """Return every handwritten module of the package by dotted name."""
    paths = [path for path in sorted(PACKAGE.rglob("*.py")) if not path.stem.endswith(("_pb2", "_pb2_grpc"))]
    return [(".".join(["pointstore", *path.relative_to(PACKAGE).with_suffix("").parts]), path) for path in paths]


def test_all_modules_keep_the_rules() -> None:
    checked = modules()
    assert {part_of(name) for name, _ in checked} >= {*MAY_IMPORT, "app", "supervisor"}
    assert [text for name, path in checked for text in violations(path.read_text(), name)] == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("pointstore.core.point", "from pointstore.engine import view"),
        ("pointstore.core.point", "from pointstore import storage"),
        ("pointstore.core.point", "def f():\n    from ..storage.env import Env"),
        ("pointstore.core.point", "import pointstore.config"),
        ("pointstore.storage.points", "from pointstore.index.dense import DenseIndex"),
        ("pointstore.index.dense", "from pointstore.storage import env"),
        ("pointstore.engine.view", "import grpc"),
        ("pointstore.engine.view", "from pointstore.wire.status import table"),
        ("pointstore.engine.view", "from qdrant_grpc import points_pb2"),
        ("pointstore.wire.points", "from pointstore.storage.env import Env"),
        ("pointstore.engine.view", "import lmdb"),
        ("pointstore.engine.view", "if TYPE_CHECKING:\n    from faiss import Index"),
        ("pointstore.supervisor", "import grpc"),
        ("pointstore.app", "import grpc"),
        ("pointstore.supervisor", "from pointstore.app import run_worker"),
    ],
)
def test_bad_import_is_reported(module: str, source: str) -> None:
    assert len(violations(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("pointstore.core.point", "from pointstore.core.errors import RequestError\nfrom . import schema"),
        ("pointstore.engine.view", "from ..storage.env import Env\nfrom pointstore.index import dense"),
        ("pointstore.storage.env", "import lmdb\nfrom pointstore.core import errors"),
        ("pointstore.wire.points", "import grpc\nfrom pointstore.engine.engine import Engine"),
        (
            "pointstore.app",
            "import structlog\nfrom pointstore.engine.engine import Engine\nfrom pointstore.wire import table",
        ),
        ("pointstore.child", "def worker():\n    from pointstore.app import run_worker"),
    ],
)
def test_good_import_is_not_reported(module: str, source: str) -> None:
    assert violations(source, module) == []


@pytest.mark.parametrize("module", ["pointstore.engine.recover", "pointstore.engine.optimize"])
def test_children_load_what_they_need_only(module: str) -> None:
    script = f"import sys, pointstore.child, pointstore.app, {module}; print(*sys.modules)"
    command = [sys.executable, "-c", script]
    loaded = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.split()
    assert module in loaded
    assert {"grpc", "typer", "pydantic_settings", "snowballstemmer", "pointstore.wire"} & set(loaded) == set()
