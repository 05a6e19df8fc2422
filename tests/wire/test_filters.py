"""Filters against a server: the worked examples, with and without indexes, in small and in larger collections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.wire import filter_tables, text_tables
from tests.wire.points_calls import DENSE

if TYPE_CHECKING:
    from tests.wire.points_calls import Calls

# Small collections are read point by point; with as many points as these the engine makes indexes of its own.
PADDING = 300
TABLES = filter_tables.TABLES | text_tables.TABLES
CASES = [(name, index) for name, table in TABLES.items() for index in (None, *table.indexes)]


@pytest.mark.parametrize("padding", [0, PADDING], ids=["small", "padded"])
@pytest.mark.parametrize(("name", "index"), CASES, ids=[f"{name}-{index}" for name, index in CASES])
def test_worked_examples(calls: Calls, name: str, index: tuple[str, str, str] | None, padding: int) -> None:
    table = TABLES[name]
    calls = calls.create(DENSE)
    # Half of the indexes are made before there are points, half after.
    early = table.required if padding else ()
    for each in early:
        calls.index(*each)
    calls.fill(table.payloads, padding=padding)
    for each in (*(() if padding else table.required), *((index,) if index else ())):
        calls.index(*each)
    assert {condition: calls.matching(condition) for condition in table.expected} == table.expected
