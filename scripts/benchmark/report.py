"""Figures against their targets, as JSON and as Markdown, with the machine they were measured on."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("grpcio", "protobuf", "numpy", "faiss-cpu", "lmdb", "qdrant-edge-py")

Detail: TypeAlias = "str | int | float | list[float] | list[list[int]]"


@dataclass(frozen=True, slots=True)
class Row:
    """One figure.

    Attributes:
        key: short name.
        figure: what was measured.
        measured: the value, None when the measurement failed.
        target: its bound.
        bound: on which side of the target it must be.
        unit: of both, "x" for ratios.
        how: one sentence on what stands behind the value.
        details: the values it was made from.

    """

    key: str
    figure: str
    measured: float | None
    target: float
    bound: Literal["at least", "at most"]
    unit: str
    how: str
    details: dict[str, Detail] = field(default_factory=dict)

    @property
    def met(self) -> bool:
        """Whether the target is reached."""
        if self.measured is None:
            return False
        return self.measured >= self.target if self.bound == "at least" else self.measured <= self.target

    @property
    def verdict(self) -> str:
        """`ok` or `MISSED`."""
        return "ok" if self.met else "MISSED"


@dataclass(frozen=True, slots=True)
class Machine:
    """Where and of what the figures are."""

    when: str
    commit: str
    cpu: str
    cores: int
    kernel: str
    python: str
    packages: dict[str, str]
    load_before: float
    """Processes that were running before the benchmark, averaged over a minute: disturbance."""


def describe_machine() -> Machine:
    """Look at this machine and this tree."""
    cpu = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            cpu = line.partition(":")[2].strip()
            break
    packages = {}
    for name in PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = "not installed"
    return Machine(
        when=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        commit=_commit(),
        cpu=cpu,
        cores=len(os.sched_getaffinity(0)),
        kernel=platform.release(),
        python=sys.version.split()[0],
        packages=packages,
        load_before=round(os.getloadavg()[0], 2),
    )


def render(machine: Machine, rows: Sequence[Row]) -> str:
    """Return the report as Markdown."""
    missed = sum(not row.met for row in rows)
    packages = ", ".join(f"{name} {number}" for name, number in machine.packages.items())
    lines = [
        f"# Benchmark of {machine.commit}, {machine.when}",
        "",
        f"{machine.cpu}, {machine.cores} cores, Linux {machine.kernel}, Python {machine.python}, {packages}.",
        f"Load before: {machine.load_before}.",
        "",
        "All targets are reached." if not missed else f"{missed} of {len(rows)} targets are missed.",
        "",
        "| figure | measured | target | |",
        "|---|---:|---:|---|",
    ]
    for row in rows:
        target = "" if row.measured is None else f"{row.bound} {_show(row.target, row.unit)}"
        lines.append(f"| {row.figure} | {_show(row.measured, row.unit)} | {target} | {row.verdict} |")
    lines += ["", "## What stands behind them"]
    for row in rows:
        lines += ["", f"**{row.key}**: {row.how}.", *([""] if row.details else [])]
        lines += [f"* {name}: {_show_detail(value)}" for name, value in row.details.items()]
    return "\n".join(lines) + "\n"


def write(directory: Path, machine: Machine, rows: Sequence[Row], part: str | None = None) -> Path:
    """Write `<date>-<commit>.json` and `.md` and `latest.md`; return the path of the second.

    The report of a part of the measurements has `-<part>` in all names, so that it replaces no whole one.
    """
    directory.mkdir(parents=True, exist_ok=True)
    ending = "" if part is None else f"-{part}"
    stem = f"{machine.when.split()[0]}-{machine.commit}{ending}"
    text = render(machine, rows)
    content = {"machine": asdict(machine), "rows": [{**asdict(row), "met": row.met} for row in rows]}
    (directory / f"{stem}.json").write_text(json.dumps(content, indent=1) + "\n")
    (directory / f"latest{ending}.md").write_text(text)
    path = directory / f"{stem}.md"
    path.write_text(text)
    return path


def _show(value: float | None, unit: str) -> str:
    if value is None:
        return "failed"
    shown = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004  three digits say enough
    return f"{shown} {unit}".strip()


def _show_detail(value: Detail) -> str:
    if isinstance(value, float):
        return _show(value, "")
    if isinstance(value, list):
        return ", ".join(_show(each, "") if isinstance(each, float) else ":".join(map(str, each)) for each in value)
    return f"{value:,}" if isinstance(value, int) else value


def _commit() -> str:
    """Return the short name of the commit, with a `+` when the server's sources differ from it."""
    try:
        name = _git("rev-parse", "--short", "HEAD")
        return name + ("+" if _git("status", "--porcelain", "--", "server", "qdrant_grpc") else "")
    except (FileNotFoundError, subprocess.CalledProcessError):
        return "unknown"


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S607
    return done.stdout.strip()
