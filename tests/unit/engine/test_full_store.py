"""Tests of a collection whose map is nearly full while a read of an earlier state is open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pointstore.core.errors import InsufficientStorageError
from pointstore.core.update import DeletePoints
from tests.building import contents, dense, pids, running_engine, upsert, vector_config, write

if TYPE_CHECKING:
    from pathlib import Path

    from pointstore.engine.collection import Collection

_MAP_SIZE = 16 << 20
_POINTS = range(100)


def _write_until_refused(collection: Collection, size: int) -> None:
    """Write the same points again and again, which frees as much as it takes."""
    with pytest.raises(InsufficientStorageError, match="the storage map of the collection is full"):  # noqa: PT012  whichever write it is
        for number in range(10_000):
            write(collection, upsert((number % len(_POINTS), {"": dense(1, 2)}, {"text": "x" * size})))


def test_a_read_that_stays_open_leaves_room_for_deletions(tmp_path: Path) -> None:
    with running_engine(tmp_path, map_size=_MAP_SIZE) as engine:
        engine.create_collection("c", vector_config())
        collection = engine.collection("c")
        _write_until_refused(collection, 20_000)
        write(collection, DeletePoints(pids(*_POINTS[::2])))
        with collection.view():
            # Each write frees pages that only the open read sees.
            _write_until_refused(collection, 300)
            with pytest.raises(InsufficientStorageError):
                write(collection, upsert((1, {}, {})))
            for number in _POINTS[:3]:
                write(collection, DeletePoints(pids(number)))
            write(collection, DeletePoints(pids(*_POINTS)))
            assert contents(collection) == {}
        write(collection, upsert((1, {}, {})))
        assert contents(collection) == {"1": ({}, {})}
