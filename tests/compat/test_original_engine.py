"""Random programs: the server does what the original engine, embedded (PyPI `qdrant-edge-py`), does.

`COMPAT_PROGRAMS` sets how many run (3 in `make test`); gate R11 runs many more.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.compat.engine_programs import both, run

if TYPE_CHECKING:
    from pathlib import Path

    from qdrant_client import QdrantClient

PROGRAMS = int(os.environ.get("COMPAT_PROGRAMS", "3"))
STEPS = 100


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_program(remote: QdrantClient, name: str, tmp_path: Path, seed: int) -> None:
    with both(remote, name, tmp_path / "shard") as engines:
        run(engines, seed, STEPS)
