"""Reads whose client has gone: every kind of long loop notices it in the middle, not only before it begins."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from pointstore.core import interruption
from pointstore.core.errors import CallCancelledError
from pointstore.core.filter import Field, Filter, MatchInteger, Nested, Slice
from pointstore.core.interruption import Interruption
from pointstore.core.path import parse_path
from pointstore.core.query import NearestQuery, Page, ScrollQuery, ScrollRequest, SearchParams
from pointstore.engine.strict import Searches
from tests.building import EVERYTHING, PAYLOAD_ONLY, dense, pid, upsert, vector_config, write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pointstore.core.query import Query
    from pointstore.engine.collection import Collection
    from pointstore.engine.engine import Engine
    from tests.building import Point

POINTS = 3000
_numbers = itertools.count(3)
"""Never the same twice: answers are remembered."""


def _n_is(number: int) -> Field:
    return Field(parse_path("n"), (MatchInteger(number),))


N_IS_1 = Filter(must=(_n_is(1),))


class Countdown(Interruption):
    """A call whose client goes at the n-th look."""

    def __init__(self, looks: int) -> None:
        super().__init__()
        self.looks = looks

    def check(self) -> None:
        self.looks -= 1
        if self.looks == 0:
            self.cancel()
        super().check()


@pytest.fixture
def filled(engine: Engine) -> Iterator[Collection]:
    """Return a collection with points that the engine makes no indexes of its own for."""
    engine.create_collection("c", vector_config())
    collection = engine.collection("c")
    points: list[Point] = [(n, {"": dense(n, 1)}, {"n": n % 7, "a": [{"n": n % 3}]}) for n in range(POINTS)]
    write(collection, upsert(*points))
    collection.upkeep.self_index_points = POINTS + 1
    yield collection
    interruption.begin(None)


def _nearest(condition: Filter | None = None) -> NearestQuery:
    return NearestQuery(
        using="",
        target=dense(1, 1),
        filter=condition,
        limit=2000,
        params=SearchParams(exact=True),
        selectors=EVERYTHING,
    )


def _queries(*queries: Query) -> Callable[[Engine, Collection], object]:
    return lambda engine, _: engine.query("c", Searches(queries))


def _scroll(condition: Filter | None, *, vectors: bool = False) -> Callable[[Engine, Collection], Page]:
    selectors = EVERYTHING if vectors else PAYLOAD_ONLY
    return lambda _, collection: collection.scroll(ScrollRequest(condition, None, 10_000, selectors))


READS: dict[str, Callable[[Engine, Collection], object]] = {
    "scroll": _scroll(None),
    "scroll with vectors": _scroll(None, vectors=True),
    "filter on payloads": lambda _, collection: collection.count(Filter(must=(_n_is(next(_numbers)),))),
    "nested filter": lambda _, collection: collection.count(
        Filter(must=(Nested(parse_path("a[]"), Filter(must=(_n_is(next(_numbers)),))),))
    ),
    "slice": lambda _, collection: collection.count(Filter(must=(Slice(next(_numbers), 1),))),
    "get": lambda _, collection: collection.get([pid(n) for n in range(POINTS)], EVERYTHING),
    "hits with vectors": _queries(_nearest()),
    "batch": _queries(*[_nearest(N_IS_1)] * 3),
    "scrolling query": _queries(ScrollQuery(filter=None, limit=2000, selectors=EVERYTHING)),
}


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize("looks", [2, 4])
def test_read_ends_at_the_next_look(engine: Engine, filled: Collection, name: str, looks: int) -> None:
    read = READS[name]
    # Fill the caches, and see that nothing else is wrong with it.
    assert read(engine, filled) is not None
    call = Countdown(looks)
    interruption.begin(call)
    with pytest.raises(CallCancelledError):
        read(engine, filled)
    assert call.looks == 0
    interruption.begin(None)
    assert read(engine, filled) is not None


def test_exact_scan_looks_at_every_block(monkeypatch: pytest.MonkeyPatch, engine: Engine, filled: Collection) -> None:
    monkeypatch.setattr("pointstore.index.flat._BLOCK_FLOATS", 512)
    query = NearestQuery(using="", target=dense(1, 1), limit=1, params=SearchParams(exact=True))
    call = Countdown(10)
    interruption.begin(call)
    with pytest.raises(CallCancelledError):
        engine.query("c", Searches([query]))
    assert filled.count(None) == POINTS


def test_filling_an_index_goes_on_where_it_was_left(filled: Collection) -> None:
    filled.upkeep.self_index_points = 0
    interruption.begin(Countdown(3))
    with pytest.raises(CallCancelledError):
        filled.count(N_IS_1)
    assert len(filled.upkeep.unfilled()) == 1
    interruption.begin(None)
    assert filled.count(N_IS_1) == len(range(1, POINTS, 7))
    assert filled.upkeep.unfilled() == []
