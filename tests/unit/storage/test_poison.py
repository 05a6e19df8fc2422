"""Tests of the marks after I/O errors: every process sees them, and a full page counts as everything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pointstore.storage.poison import VARIABLE, Marks, create_page


@pytest.mark.parametrize("shared", [True, False])
def test_what_is_marked_stays_marked(shared: bool) -> None:  # noqa: FBT001  a parameter
    marks = Marks(create_page() if shared else None)
    assert not marks.any()
    assert not marks.has(Path("/a"))
    marks.add(Path("/a"))
    marks.add(Path("/a"))
    assert marks.any()
    assert (marks.has(Path("/a")), marks.has(Path("/b"))) == (True, False)
    marks.add(Path("/b"))
    assert marks.has(Path("/b"))
    marks.clear()
    assert not marks.any()


def test_a_full_page_is_everything() -> None:
    marks = Marks(None)
    for number in range(255):
        marks.add(Path(f"/{number}"))
    assert not marks.has(Path("/x"))
    for number in range(255, 300):
        marks.add(Path(f"/{number}"))
    assert marks.has(Path("/x"))


def test_another_process_sees_the_mark() -> None:
    descriptor = create_page()
    program = "from pathlib import Path; from pointstore.storage.poison import MARKS; MARKS.add(Path('/a'))"
    environment = {**os.environ, VARIABLE: str(descriptor), "PYTHONPATH": os.pathsep.join(sys.path)}
    marks = Marks(descriptor)
    subprocess.run([sys.executable, "-c", program], env=environment, pass_fds=[descriptor], check=True)
    assert marks.has(Path("/a"))
    os.close(descriptor)
