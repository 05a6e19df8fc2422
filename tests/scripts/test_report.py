"""The report: verdicts, the table, the files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from scripts.benchmark.report import Machine, Row, describe_machine, render, write

if TYPE_CHECKING:
    from pathlib import Path

MACHINE = Machine("2026-01-02 03:04 UTC", "abc1234", "A CPU", 2, "6.1", "3.11.7", {"numpy": "2.4.6"}, 0.5)
GOOD = Row("recall", "recall@10", 0.99, 0.985, "at least", "", "how it was done", {"runs": [1234.5, 2.25]})
BAD = Row("cpu", "CPU of a Query", 402.4, 150, "at most", "us", "how", {"spread": [[2, 2], [1, 3]], "calls": 1000})
FAILED = Row("start", "start", None, 0, "at least", "", "the measurement failed: no server")


@pytest.mark.parametrize(
    ("measured", "bound", "met"),
    [(1.5, "at most", True), (1.51, "at most", False), (1.5, "at least", True), (1.49, "at least", False)],
)
def test_a_target_may_be_just_reached(measured: float, bound: str, met: bool) -> None:  # noqa: FBT001
    row = Row("k", "f", measured, 1.5, "at most" if bound == "at most" else "at least", "x", "how")
    assert row.met is met


def test_a_failed_measurement_is_missed() -> None:
    assert FAILED.verdict == "MISSED"


def test_render() -> None:
    lines = render(MACHINE, [GOOD, BAD, FAILED]).splitlines()
    assert "2 of 3 targets are missed." in lines
    assert "| recall@10 | 0.99 | at least 0.985 | ok |" in lines
    assert "| CPU of a Query | 402 us | at most 150 us | MISSED |" in lines
    assert "| start | failed |  | MISSED |" in lines
    assert "* runs: 1,234, 2.25" in lines
    assert "* spread: 2:2, 1:3" in lines
    assert "* calls: 1,000" in lines


def test_write(tmp_path: Path) -> None:
    path = write(tmp_path, MACHINE, [GOOD])
    assert path == tmp_path / "2026-01-02-abc1234.md"
    assert path.read_text() == (tmp_path / "latest.md").read_text()
    content = json.loads((tmp_path / "2026-01-02-abc1234.json").read_text())
    assert content["machine"]["commit"] == "abc1234"
    assert content["rows"][0]["met"] is True
    assert content["rows"][0]["details"] == {"runs": [1234.5, 2.25]}


def test_a_part_replaces_no_whole_report(tmp_path: Path) -> None:
    whole = write(tmp_path, MACHINE, [GOOD]).read_text()
    assert write(tmp_path, MACHINE, [BAD], "filters") == tmp_path / "2026-01-02-abc1234-filters.md"
    assert (tmp_path / "2026-01-02-abc1234.md").read_text() == (tmp_path / "latest.md").read_text() == whole
    assert json.loads((tmp_path / "2026-01-02-abc1234-filters.json").read_text())["rows"][0]["key"] == "cpu"
    assert (tmp_path / "latest-filters.md").is_file()


def test_this_machine_can_be_described() -> None:
    machine = describe_machine()
    assert machine.cores >= 1
    assert set(machine.packages) == {"grpcio", "protobuf", "numpy", "faiss-cpu", "lmdb", "qdrant-edge-py"}
