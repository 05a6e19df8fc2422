"""Tests of strict mode (specification part 1, 9); the texts of all limits are in tests/wire/test_strict_mode.py."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pointstore.core.catalog import CollectionChange
from pointstore.core.errors import BadRequestError
from pointstore.core.filter import Field, Filter, HasId, MatchInteger
from pointstore.core.path import parse_path
from pointstore.core.query import NearestQuery
from pointstore.core.schema import (
    CollectionConfig,
    Distance,
    HnswConfig,
    StrictModeConfig,
    StrictModeMultivector,
    StrictModeSparse,
    VectorParams,
)
from pointstore.core.update import ClearPayload, DeletePoints, DropVector
from pointstore.engine.index_demand import Trait
from pointstore.engine.resolve import resolve
from pointstore.engine.strict import Searches, check_limit, check_searches, read_cost, write_cost
from tests.building import contents, dense, having, multi, pids, sparse, update_vectors, upsert, write

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


def _no_graph(*, payload_m: int | None = None) -> CollectionConfig:
    return CollectionConfig(
        vectors={"": VectorParams(2, Distance.DOT, HnswConfig(m=0, payload_m=payload_m))},
        strict_mode_config=StrictModeConfig(enabled=True, search_allow_exact=False),
    )


def test_a_tenant_needs_no_graph_of_the_whole() -> None:
    in_tenant = Filter(must=(Field(parse_path("tenant"), (MatchInteger(1),)),))

    def refused(config: CollectionConfig, condition: Filter | None, *traits: Trait) -> bool:
        searches = Searches([NearestQuery(dense(1, 2), filter=condition)], universal=True)
        try:
            check_searches(searches, config, lambda _: set(traits))
        except BadRequestError as error:
            return str(error).startswith("Request is forbidden because global vector indexing is disabled")
        return False

    assert not refused(_no_graph(payload_m=16), in_tenant, Trait.INTEGER_LOOKUP, Trait.TENANT)
    assert refused(_no_graph(payload_m=16), in_tenant, Trait.INTEGER_LOOKUP)
    assert refused(_no_graph(payload_m=16), None, Trait.TENANT)
    assert refused(_no_graph(payload_m=0), in_tenant, Trait.TENANT)
    assert refused(_no_graph(), in_tenant, Trait.TENANT)


@pytest.mark.parametrize(
    ("update", "cost"),
    [
        (upsert((1, {}, {}), (1, {}, {}), (2, {}, {})), 3),
        (update_vectors((1, {}), (2, {})), 2),
        (DeletePoints(pids(1, 2)), 2),
        (DeletePoints(having(1, 2, 9)), 2),
        (ClearPayload(having(9)), 1),
        (DropVector("b"), 1),
    ],
)
def test_a_write_costs_the_points_that_it_affects(collection: Collection, update: Update, cost: int) -> None:
    write(collection, upsert((1, {}, {}), (2, {}, {}), (3, {}, {})))
    with collection._transition() as state:
        assert write_cost(update, resolve(update, state)) == cost


def test_a_read_costs_its_leaves() -> None:
    leaf = HasId(frozenset())
    assert read_cost(None) == 1
    assert read_cost(Filter()) == 1
    assert read_cost(Filter(must=(leaf, Filter(should=(leaf, leaf))))) == 4


def test_refused_writes_change_nothing_not_even_the_version(engine: Engine, collection: Collection) -> None:
    _limit(engine, _LIMITS)
    version = collection.version()
    with pytest.raises(BadRequestError):
        write(collection, upsert((1, {}, {}), (2, {}, {}), (3, {}, {})))
    assert collection.version() == version
