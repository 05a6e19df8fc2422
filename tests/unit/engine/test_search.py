"""Tests of queries against a brute-force model: distances, datatypes, filters, ties, thresholds, lookups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

from pointstore.core.errors import NotFoundError, RequestError, UnsupportedError
from pointstore.core.filter import Filter, HasId
from pointstore.core.payload import unpack_payload
from pointstore.core.point import format_point_id
from pointstore.core.query import (
    NearestQuery,
    ScrollQuery,
    SearchParams,
    Selectors,
    VectorOfPoint,
    VectorSelector,
)
from pointstore.core.schema import CollectionConfig, Datatype, Distance, VectorParams
from pointstore.core.space import space_of
from pointstore.core.update import DeletePoints, DeleteVectors
from pointstore.engine.strict import Searches
from tests.building import (
    EVERYTHING,
    dense,
    having,
    multi,
    pid,
    pids,
    plain_vectors,
    seal,
    sparse,
    update_vectors,
    upsert,
    vector_config,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pointstore.core.query import Query, ScoredRecord
    from pointstore.engine.collection import Collection
    from pointstore.engine.engine import Engine

_DIM = 8
_Doubles = NDArray[np.float64]


def _query(engine: Engine, name: str, queries: Sequence[Query]) -> list[list[ScoredRecord]]:
    return engine.query(name, Searches(queries))


def _ids(hits: list[ScoredRecord]) -> list[int]:
    return [int(format_point_id(hit.point_id)) for hit in hits]


def _nearest(engine: Engine, query: NearestQuery, name: str = "c") -> list[ScoredRecord]:
    (hits,) = _query(engine, name, [query])
    return hits


def _rows(datatype: Datatype, count: int, seed: int) -> NDArray[np.float32]:
    random = np.random.default_rng(seed)
    scale, shift = (60.0, 120.0) if datatype is Datatype.UINT8 else (1.0, 0.0)
    return (random.normal(size=(count, _DIM)) * scale + shift).astype(np.float32)


@pytest.mark.parametrize("datatype", [Datatype.FLOAT32, Datatype.FLOAT16, Datatype.UINT8])
@pytest.mark.parametrize("distance", list(Distance))
def test_against_brute_force(engine: Engine, distance: Distance, datatype: Datatype) -> None:
    params = VectorParams(_DIM, distance, datatype=datatype)
    space = space_of(params)
    engine.create_collection("c", CollectionConfig(vectors={"": params}, single_vector=True))
    collection = engine.collection("c")
    stored = _rows(datatype, 300, seed=int(distance))
    alive: dict[int, NDArray[np.float32]] = {}

    def put(points: range, rows: NDArray[np.float32]) -> None:
        write(collection, upsert(*[(n, {"": dense(*row)}, {}) for n, row in zip(points, rows, strict=True)]))
        alive.update(zip(points, rows, strict=True))

    # Rows in two segments and unsealed, with dead ones in each.
    put(range(100), stored[:100])
    seal(collection)
    put(range(100, 200), stored[100:200])
    put(range(20, 30), stored[200:210])
    seal(collection)
    put(range(200, 260), stored[210:270])
    put(range(130, 150), stored[270:290])
    write(collection, DeletePoints(pids(*range(0, 260, 7))), DeleteVectors(pids(1, 101, 201), ("",)))
    for n in [*range(0, 260, 7), 1, 101, 201]:
        alive.pop(n, None)
    points = np.array(sorted(alive))
    matrix = space.stored(np.array([alive[n] for n in points.tolist()], np.float32)).astype(np.float64)
    for seed in range(4):
        vector = _rows(datatype, 1, seed=1000 + seed)[0]
        query = space.query(vector.reshape(1, -1))[0].astype(np.float64)
        expected = _brute_force(distance, query, matrix, integral=datatype is Datatype.UINT8)
        some = frozenset(pids(*range(0, 300, 3 + seed)))
        for condition, chosen in (
            (None, np.ones(len(points), bool)),
            (Filter(must=(HasId(some),)), points % (3 + seed) == 0),
            (Filter(must_not=(HasId(some),)), points % (3 + seed) != 0),
            (having(*range(40)), points < 40),
        ):
            for exact in (False, True):
                request = NearestQuery(
                    dense(*vector), filter=condition, limit=25, offset=seed, params=SearchParams(exact=exact)
                )
                hits = _nearest(engine, request)
                scores = dict(zip(points[chosen].tolist(), expected[chosen].tolist(), strict=True))
                assert [hit.score for hit in hits] == pytest.approx([scores[n] for n in _ids(hits)], rel=2e-3, abs=1e-4)
                ordered = sorted(scores.values(), reverse=not space.ascending)[seed : seed + 25]
                assert [hit.score for hit in hits] == pytest.approx(ordered, rel=1e-4, abs=1e-4)


def _brute_force(
    distance: Distance,
    query: _Doubles,
    matrix: _Doubles,
    *,
    integral: bool,
) -> _Doubles:
    scores: _Doubles = matrix @ query
    if distance is Distance.EUCLID:
        scores = np.sqrt(((matrix - query) ** 2).sum(axis=1))
    elif distance is Distance.MANHATTAN:
        scores = np.abs(matrix - query).sum(axis=1)
    elif distance is Distance.COSINE and integral:
        scores /= np.linalg.norm(matrix, axis=1) * np.linalg.norm(query)
    return scores


@pytest.fixture
def table(engine: Engine) -> Collection:
    """Return the points of the specification's worked example (part 3, 3.1) with Dot."""
    engine.create_collection("c", vector_config(2, Distance.DOT))
    collection = engine.collection("c")
    rows = {1: (1, 0), 2: (0.6, 0.8), 3: (0, 1), 4: (3, 4)}
    write(collection, upsert(*[(n, {"": dense(*row)}, {"n": n}) for n, row in rows.items()]))
    return collection


@pytest.mark.usefixtures("table")
def test_limits_offsets_and_thresholds(engine: Engine) -> None:
    query = dense(0.8, 0.6)
    assert _ids(_nearest(engine, NearestQuery(query))) == [4, 2, 1, 3]
    assert _ids(_nearest(engine, NearestQuery(query, limit=2))) == [4, 2]
    assert _ids(_nearest(engine, NearestQuery(query, limit=2, offset=1))) == [2, 1]
    assert _ids(_nearest(engine, NearestQuery(query, limit=2, offset=3))) == [3]
    assert _ids(_nearest(engine, NearestQuery(query, limit=2, offset=4))) == []
    assert _ids(_nearest(engine, NearestQuery(query, limit=0))) == []
    assert _ids(_nearest(engine, NearestQuery(query, limit=2**63, offset=2**63 - 1))) == []
    assert _ids(_nearest(engine, NearestQuery(query, score_threshold=0.8))) == [4, 2]
    assert _ids(_nearest(engine, NearestQuery(query, score_threshold=0.8, offset=1))) == [2]
    assert _ids(_nearest(engine, NearestQuery(query, score_threshold=4.8))) == []


@pytest.mark.parametrize("distance", [Distance.EUCLID, Distance.MANHATTAN])
def test_thresholds_of_distances_are_upper_bounds(engine: Engine, distance: Distance) -> None:
    engine.create_collection("c", vector_config(2, distance))
    write(engine.collection("c"), upsert((1, {"": dense(0, 5)}, {}), (2, {"": dense(1, 0)}, {})))
    query = NearestQuery(dense(0, 0), score_threshold=5.0)
    assert _ids(_nearest(engine, query)) == [2]
    query = NearestQuery(dense(0, 0), score_threshold=5.1)
    assert [hit.score for hit in _nearest(engine, query)] == [1.0, 5.0]


def test_equal_scores_come_by_id(engine: Engine) -> None:
    engine.create_collection("c", vector_config(2, Distance.DOT))
    collection = engine.collection("c")
    uuids = ["00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"]
    order: list[int | str] = [9, uuids[1], 3, 300, uuids[0], 1]
    write(collection, upsert(*[(point, {"": dense(1, 0)}, {}) for point in order], (7, {"": dense(2, 0)}, {})))
    hits = _nearest(engine, NearestQuery(dense(1, 1)))
    assert [format_point_id(hit.point_id) for hit in hits] == ["7", "1", "3", "9", "300", *uuids]
    seal(collection)
    write(collection, upsert((2, {"": dense(1, 0)}, {})))
    hits = _nearest(engine, NearestQuery(dense(1, 1), limit=100))
    assert [format_point_id(hit.point_id) for hit in hits] == ["7", "1", "2", "3", "9", "300", *uuids]


def test_what_a_hit_holds(engine: Engine, table: Collection) -> None:
    write(table, update_vectors((2, {"": dense(5, 5)})))
    hit = _nearest(engine, NearestQuery(dense(1, 1), limit=1, selectors=EVERYTHING))[0]
    assert (hit.point_id, hit.score, hit.version) == (pid(2), 10.0, 2)
    assert (unpack_payload(hit.payload), plain_vectors(hit.vectors)) == ({"n": 2}, {"": (5.0, 5.0)})
    bare = _nearest(engine, NearestQuery(dense(1, 1), limit=1))[0]
    assert (bare.payload, bare.vectors) == (b"", None)


def test_a_point_as_query_is_left_out(engine: Engine, table: Collection) -> None:
    assert _ids(_nearest(engine, NearestQuery(VectorOfPoint(pid(1))))) == [4, 2, 3]
    assert _ids(_nearest(engine, NearestQuery(dense(1, 0)))) == [4, 1, 2, 3]
    query = NearestQuery(VectorOfPoint(pid(1)), filter=having(1, 2), limit=5)
    assert _ids(_nearest(engine, query)) == [2]
    seal(table)
    assert _ids(_nearest(engine, NearestQuery(VectorOfPoint(pid(1))))) == [4, 2, 3]
    with pytest.raises(NotFoundError) as caught:
        _nearest(engine, NearestQuery(VectorOfPoint(pid(999))))
    assert caught.value.message == "Not found: No point with id 999 found"
    write(table, DeleteVectors(pids(1), ("",)))
    with pytest.raises(NotFoundError) as caught:
        _nearest(engine, NearestQuery(VectorOfPoint(pid(1))))
    assert caught.value.message == 'Not found: Vector with name "" for point not found'


@pytest.mark.usefixtures("table")
def test_looking_vectors_up_elsewhere(engine: Engine) -> None:
    other = CollectionConfig(vectors={"": VectorParams(3, Distance.DOT), "v": VectorParams(2, Distance.COSINE)})
    engine.create_collection("other", other)
    write(engine.collection("other"), upsert((1, {"v": dense(0, 8), "": dense(1, 1, 1)}, {})))

    def lookup(collection: str | None, name: str | None, point: int = 1) -> NearestQuery:
        target = VectorOfPoint(pid(point), collection, name)
        return NearestQuery(target, lookup_collection=collection)

    # Not excluded: it is another collection's point. Its stored form is normalised.
    hits = _nearest(engine, lookup("other", "v"))
    assert (_ids(hits), hits[0].score) == ([4, 3, 2, 1], 4.0)
    # The searched collection itself, named: excluded.
    assert _ids(_nearest(engine, lookup("c", None, 3))) == [4, 2, 1]
    with pytest.raises(RequestError) as caught:
        _nearest(engine, lookup("other", None))
    assert caught.value.message == "Wrong input: Vector dimension error: expected dim: 2, got 3"
    with pytest.raises(RequestError) as caught:
        _nearest(engine, lookup("other", "nope"))
    assert caught.value.message == "Wrong input: Not existing vector name error: nope"
    with pytest.raises(NotFoundError) as caught:
        _nearest(engine, lookup("missing", None))
    assert caught.value.message == "Not found: Collection missing not found"
    with pytest.raises(NotFoundError):
        _nearest(engine, NearestQuery(dense(1, 0), lookup_collection="missing"))


@pytest.mark.parametrize(
    ("query", "text"),
    [
        (NearestQuery(dense(1, 2), using="nope"), "Wrong input: Not existing vector name error: nope"),
        (NearestQuery(dense(1, 2, 3)), "Wrong input: Vector dimension error: expected dim: 2, got 3"),
        (NearestQuery(dense()), "Wrong input: Vector dimension error: expected dim: 2, got 0"),
        (NearestQuery(sparse(_1=1.0)), "Wrong input: Conversion between sparse and regular vectors failed"),
        (NearestQuery(sparse(_1=1.0), using="m"), "Wrong input: Conversion between sparse and regular vectors failed"),
        (NearestQuery(dense(1, 2), using="s"), "Wrong input: Conversion between sparse and regular vectors failed"),
        (NearestQuery(multi([1, 2])), "Wrong input: Conversion between multi and regular vectors failed"),
        (
            NearestQuery(dense(1, 2), selectors=Selectors(vectors=VectorSelector(True, ("", "zz")))),
            "Wrong input: Not existing vector name error: zz",
        ),
    ],
)
def test_misfits_are_refused_even_on_an_empty_collection(
    engine: Engine, collection: Collection, query: Query, text: str
) -> None:
    assert collection.count(None) == 0
    with pytest.raises(RequestError) as caught:
        _query(engine, "c", [query])
    assert caught.value.message == text


def test_a_multi_vector_query_on_a_sparse_space_is_a_misfit(engine: Engine, collection: Collection) -> None:
    assert collection.count(None) == 0
    with pytest.raises(RequestError) as caught:
        _query(engine, "c", [NearestQuery(multi([1, 2]), using="s")])
    assert not isinstance(caught.value, UnsupportedError)
    assert caught.value.message == "Wrong input: Conversion between multi and regular vectors failed"


def test_searching_before_anything_was_written(engine: Engine, collection: Collection) -> None:
    assert collection.count(None) == 0
    assert _query(engine, "c", [NearestQuery(dense(1, 2)), ScrollQuery(), NearestQuery(dense(1, 2, 3), using="b")]) == [
        [],
        [],
        [],
    ]
    write(collection, upsert((1, {"b": dense(1, 2, 3)}, {})))
    assert _query(engine, "c", [NearestQuery(dense(1, 2), filter=having(1))]) == [[]]


def test_points_in_id_order_without_a_query(engine: Engine, table: Collection) -> None:
    write(table, upsert((0, {}, {})))
    (hits,) = _query(engine, "c", [ScrollQuery(limit=3)])
    assert [(int(format_point_id(hit.point_id)), hit.score, hit.version) for hit in hits] == [
        (0, 1.0, 0),
        (1, 1.0, 0),
        (2, 1.0, 0),
    ]
    (hits,) = _query(engine, "c", [ScrollQuery(filter=having(1, 3, 4, 9), limit=5, offset=1, selectors=EVERYTHING)])
    assert [(n, unpack_payload(hit.payload)) for n, hit in zip(_ids(hits), hits, strict=True)] == [
        (3, {"n": 3}),
        (4, {"n": 4}),
    ]
    assert plain_vectors(hits[0].vectors) == {"": (0.0, 1.0)}


def test_queries_of_a_batch_see_one_state_and_fail_together(engine: Engine, table: Collection) -> None:
    queries: list[Query] = [
        NearestQuery(dense(1, 0), limit=1),
        NearestQuery(dense(0, 1), limit=1),
        ScrollQuery(limit=1),
    ]
    assert [_ids(hits) for hits in _query(engine, "c", queries)] == [[4], [4], [1]]
    with pytest.raises(RequestError):
        _query(engine, "c", [*queries, NearestQuery(dense(1))])
    assert _query(engine, "c", []) == []
    assert table.count(None) == 4


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("distance", list(Distance))
def test_extreme_numbers_neither_fail_nor_hide_points(engine: Engine, distance: Distance) -> None:
    engine.create_collection("c", vector_config(2, distance))
    inf, nan = float("inf"), float("nan")
    rows = {1: (1, 1), 2: (nan, 0), 3: (inf, 1), 4: (3e38, 3e38), 5: (0, 0)}
    collection = engine.collection("c")
    write(collection, upsert(*[(n, {"": dense(*row)}, {}) for n, row in rows.items()]))
    for _ in range(2):
        for query in (dense(1, 1), dense(nan, 1), dense(inf, -inf)):
            assert sorted(_ids(_nearest(engine, NearestQuery(query)))) == [1, 2, 3, 4, 5]
        seal(collection)
