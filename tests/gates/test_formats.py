"""R12: data directories of every format there was open, answer, and have nothing that a check would find."""

from __future__ import annotations

import tarfile
from typing import TYPE_CHECKING

import pytest

from pointstore.engine.check import check
from pointstore.engine.findings import Kind
from pointstore.engine.recover import recover
from tests import test_formats as formats
from tests.building import MAP_SIZE, running_engine
from tests.test_formats import FIXTURES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.gates.conftest import Budget


@pytest.mark.gate("R12", size=len(FIXTURES))
def test_every_format_opens_answers_and_is_sound(tmp_path: Path, budget: Budget) -> None:
    for fixture in FIXTURES:
        data_dir = tmp_path / fixture.name
        with tarfile.open(fixture) as tar:
            tar.extractall(data_dir, filter="data")
        untouched = check(data_dir, map_size=MAP_SIZE)
        # Of format 1 a part cannot be checked before it is migrated.
        assert not untouched.damaged, untouched.lines()
        assert untouched.clean is (fixture.name != "format-1.tar.gz")
        recover(data_dir, map_size=MAP_SIZE, catalog_map_size=MAP_SIZE)
        with running_engine(data_dir) as engine:
            formats.test_every_format_opens_and_answers(engine)
        assert all(not found for found in check(data_dir, map_size=MAP_SIZE).findings.values())
        with running_engine(data_dir) as engine:
            formats.test_every_format_can_be_written(engine)
        written = [finding for found in check(data_dir, map_size=MAP_SIZE).findings.values() for finding in found]
        assert {finding.kind for finding in written} <= {Kind.NOTE}
    budget.report(f"{len(FIXTURES)} formats: {', '.join(path.name.removesuffix('.tar.gz') for path in FIXTURES)}")
