"""Tests of strict mode's limits on writes (specification part 1, 9)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pointstore.core.catalog import CollectionChange
from pointstore.core.errors import BadRequestError
from pointstore.core.schema import StrictModeConfig, StrictModeMultivector, StrictModeSparse
from pointstore.engine.strict import check_limit
from tests.building import contents, dense, multi, sparse, update_vectors, upsert, write

if TYPE_CHECKING:
    from pointstore.core.update import Update
    from pointstore.engine.collection import Collection
    from pointstore.engine.engine import Engine

_EXCEEDED = 'Bad request: Limit exceeded 3 > 2 for "{0}". Help: Reduce the "{0}" parameter to or below 2.'
_LIMITS = StrictModeConfig(
    enabled=True,
    upsert_max_batchsize=2,
    max_points_count=3,
    sparse_config={"s": StrictModeSparse(1)},
    multivector_config={"m": StrictModeMultivector(1)},
)


def _limit(engine: Engine, limits: StrictModeConfig) -> None:
    engine.update_collection("c", CollectionChange(strict_mode_config=limits))


@pytest.mark.parametrize(
    ("update", "text"),
    [
        (
            upsert((1, {}, {}), (2, {}, {}), (3, {}, {})),
            _EXCEEDED.format("upsert limit"),
        ),
        (
            update_vectors((1, {}), (1, {}), (1, {})),
            _EXCEEDED.format("update limit"),
        ),
        (
            upsert((1, {"s": sparse(_1=1.0, _2=1.0)}, {})),
            "Bad request: Sparse vector 's' has a limit of 1 indices, but 2 were provided!",
        ),
        (
            upsert((1, {"m": multi([1, 1], [2, 2])}, {})),
            "Bad request: Multivector 'm' has a limit of 1 vectors, but 2 were provided!",
        ),
    ],
)
@pytest.mark.parametrize("wait", [True, False])
def test_limits_are_errors_whether_the_client_waits_or_not(
    engine: Engine, collection: Collection, update: Update, text: str, *, wait: bool
) -> None:
    write(collection, upsert((1, {"": dense(1, 2)}, {})))
    before = contents(collection)
    _limit(engine, _LIMITS)
    with pytest.raises(BadRequestError) as caught:
        write(collection, update, wait=wait)
    assert caught.value.message == text
    assert contents(collection) == before
    _limit(engine, replace(_LIMITS, enabled=False))
    write(collection, update)


def test_the_number_of_points_is_limited(engine: Engine, collection: Collection) -> None:
    _limit(engine, _LIMITS)
    write(collection, upsert((1, {}, {}), (2, {}, {})), upsert((3, {"s": sparse(_1=1.0), "m": multi([1, 1])}, {})))
    with pytest.raises(BadRequestError, match="Max points count limit of 3 reached!"):
        write(collection, upsert((4, {}, {})))


def test_limits_are_inclusive() -> None:
    check_limit(5, 5, "limit")
    check_limit(5, None, "limit")
    with pytest.raises(BadRequestError):
        check_limit(6, 5, "limit")
