"""The rules of proto/buf.yaml: the contract keeps them and extends the published one; what breaks them is noticed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.interop.conftest import CommandError, execute
from tests.interop.protoc import PROTO_DIR

if TYPE_CHECKING:
    from collections.abc import Callable

BASELINE = PROTO_DIR / "baseline.binpb"


@pytest.fixture(scope="module")
def buf(installed: Callable[[str], Path]) -> Path:
    """Install buf; return the program."""
    return installed("buf") / "node_modules" / ".bin" / "buf"


@pytest.fixture
def changed(tmp_path: Path) -> Callable[[str, str], Path]:
    """Return a copy of proto/ in which a text of points.proto is replaced by another."""

    def change(old: str, new: str) -> Path:
        folder = tmp_path / "proto"
        shutil.copytree(PROTO_DIR, folder)
        text = (folder / "points.proto").read_text()
        assert old in text
        (folder / "points.proto").write_text(text.replace(old, new))
        return folder

    return change


def test_the_contract_keeps_the_rules(buf: Path) -> None:
    execute([buf, "lint", PROTO_DIR])


def test_lint_notices_a_message_without_a_comment(buf: Path, changed: Callable[[str, str], Path]) -> None:
    folder = changed("// How many replicas, in words.\n", "")
    with pytest.raises(CommandError, match=r"(?s)status 100.*should have a non-empty comment"):
        execute([buf, "lint", folder])


def test_the_contract_extends_the_published_one(buf: Path) -> None:
    execute([buf, "breaking", PROTO_DIR, "--against", BASELINE])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("  WriteOrderingType type = 1;", "  WriteOrderingType type = 2;"),
        ("  WriteOrderingType type = 1;", "  WriteOrderingType kind = 1;"),
        ("  WriteOrderingType type = 1;", ""),
        ("  Strong = 2;", ""),
    ],
)
def test_breaking_changes_are_noticed(old: str, new: str, buf: Path, changed: Callable[[str, str], Path]) -> None:
    with pytest.raises(CommandError, match="status 100"):
        execute([buf, "breaking", changed(old, new), "--against", BASELINE])
