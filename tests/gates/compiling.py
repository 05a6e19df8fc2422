"""The gates' small C libraries: compiled when a test needs them, preloaded into a process of Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import ROOT

if TYPE_CHECKING:
    from collections.abc import Sequence


def compiled(source: str, directory: Path) -> Path:
    """Compile a C file of this folder to a shared library; skip the test on a machine without a compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler (cc) on this machine")
    library = directory / Path(source).with_suffix(".so").name
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(Path(__file__).with_name(source)), "-ldl"]
    subprocess.run(command, check=True)
    return library


def preloaded(
    library: Path | None, program: str, arguments: Sequence[str], **environment: str
) -> subprocess.Popen[str]:
    """Start a program of this folder with a library preloaded; its pipes take and give lines."""
    return subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name(program)), *arguments],
        env={
            **os.environ,
            **({"LD_PRELOAD": str(library)} if library else {}),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "server")]),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            **environment,
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
