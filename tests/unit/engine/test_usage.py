"""Tests of the sizes that strict mode limits: exact for small collections, close for larger ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pointstore.core.catalog import CollectionChange
from pointstore.core.errors import BadRequestError
from pointstore.core.payload import pack_payload
from pointstore.core.schema import StrictModeConfig
from pointstore.core.update import ClearPayload, DeletePoints, OverwritePayload, SetPayload
from pointstore.engine import strict
from pointstore.engine.usage import memory_percent, payload_bytes, vector_bytes
from tests.building import dense, multi, pids, seal, sparse, update_vectors, upsert, write

if TYPE_CHECKING:
    from pointstore.core.update import Update
    from pointstore.engine.collection import Collection
    from pointstore.engine.engine import Engine


def _sizes(collection: Collection) -> tuple[int, int]:
    with collection._transition() as state:
        return vector_bytes(state), payload_bytes(state)


def test_small_collections_are_measured_exactly(collection: Collection) -> None:
    assert _sizes(collection) == (0, 0)
    write(collection, upsert((1, {"": dense(1, 2), "b": dense(1, 2, 3)}, {"a": "x" * 100}), (2, {"": dense(1, 2)}, {})))
    assert _sizes(collection) == (8 + 12 + 8, len(pack_payload({"a": "x" * 100})))
    write(collection, update_vectors((1, {"s": sparse(_1=1.0, _2=2.0)}), (2, {"m": multi([1, 2], [3, 4], [5, 6])})))
    assert _sizes(collection)[0] == 28 + 16 + 24
    write(collection, DeletePoints(pids(1)))
    assert _sizes(collection) == (8 + 24, 0)


def test_rows_in_segments_count(collection: Collection) -> None:
    write(collection, upsert(*((n, {"": dense(1, 2)}, {}) for n in range(100))))
    assert seal(collection) is not None
    write(collection, upsert((100, {"": dense(1, 2)}, {})), DeletePoints(pids(*range(50))))
    assert _sizes(collection)[0] == 51 * 8


def test_larger_collections_are_estimated(collection: Collection) -> None:
    random = np.random.default_rng(7)
    lengths = random.integers(0, 400, 2000).tolist()
    points = [
        (n, {"s": sparse(**{f"_{i}": 1.0 for i in range(n % 9 + 1)})}, {"a": "x" * size})
        for n, size in enumerate(lengths)
    ]
    write(collection, upsert(*points))
    payloads = sum(len(pack_payload(payload)) for _, _, payload in points)
    weights = sum(8 * (n % 9 + 1) for n in range(len(points)))
    vectors, found = _sizes(collection)
    assert abs(vectors - weights) < weights / 4
    assert abs(found - payloads) < payloads / 4


def test_memory_is_part_of_the_machine() -> None:
    before = memory_percent()
    held = np.ones(64 << 20, np.uint8)
    assert 0 < before < memory_percent() < 100
    assert held.all()


@pytest.mark.parametrize(
    "update",
    [
        upsert((1, {}, {})),
        update_vectors((1, {})),
        SetPayload(pids(1), pack_payload({"a": 1})),
        OverwritePayload(pids(1), pack_payload({"a": 1})),
    ],
)
def test_only_deletions_are_possible_when_memory_is_used_up(
    engine: Engine, collection: Collection, monkeypatch: pytest.MonkeyPatch, update: Update
) -> None:
    write(collection, upsert((1, {}, {})))
    limits = StrictModeConfig(enabled=True, max_resident_memory_percent=50)
    engine.update_collection("c", CollectionChange(strict_mode_config=limits))
    monkeypatch.setattr(strict, "memory_percent", lambda: 50.5)
    with pytest.raises(BadRequestError, match="Max resident memory limit of 50% reached!"):
        write(collection, update)
    write(collection, ClearPayload(pids(1)))
    write(collection, DeletePoints(pids(1)))
    monkeypatch.setattr(strict, "memory_percent", lambda: 50.0)
    write(collection, upsert((1, {}, {})))
    write(collection, update)
