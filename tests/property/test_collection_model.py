"""A collection against a dictionary: random writes, seals, merges and restarts, compared after every step.

The default run is small and always the same; `POINTSTORE_PROPERTY_EXAMPLES=2000` makes it as many runs with fresh
randomness.
"""

from __future__ import annotations

import copy
import json
import math
import os
import pathlib
import tempfile
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pointstore.core.filter import Filter, HasId
from pointstore.core.path import parse_path
from pointstore.core.payload import pack_payload, unpack_payload
from pointstore.core.point import PointId, format_point_id
from pointstore.core.query import NearestQuery, ScrollRequest, SearchParams, Selectors, VectorOfPoint
from pointstore.core.schema import (
    CollectionConfig,
    Datatype,
    Distance,
    MultiVectorConfig,
    SparseVectorParams,
    VectorParams,
)
from pointstore.core.update import (
    ClearPayload,
    CreateVector,
    DeletePayload,
    DeletePoints,
    DeleteVectors,
    DropVector,
    OverwritePayload,
    Selector,
    SetPayload,
    Update,
    UpdateMode,
    UpdateVectors,
    Upsert,
)
from pointstore.core.vector import Dense, NamedVectors, Vector
from pointstore.engine.engine import Engine
from pointstore.engine.strict import Searches
from pointstore.storage.live import BLOCK_SLOTS
from tests.building import (
    EVERYTHING,
    MAP_SIZE,
    contents,
    dense,
    merge_segments,
    multi,
    pid,
    plain,
    plain_record,
    renew_slots,
    seal,
    skip_slots,
    sparse,
)
from tests.property.collection_model import Model, Params, RefusedError

_EXAMPLES = int(os.environ.get("POINTSTORE_PROPERTY_EXAMPLES", "0"))
_UUIDS = ["00000000-0000-0000-0000-000000000007", "f0000000-0000-0000-0000-000000000000"]
_IDS = [pid(point) for point in (*range(10), 2**64 - 1, *_UUIDS)]

_SPACES: dict[str, Params] = {
    "": VectorParams(2, Distance.DOT),
    "e": VectorParams(3, Distance.EUCLID, datatype=Datatype.FLOAT16),
    "m": VectorParams(2, Distance.COSINE, multivector_config=MultiVectorConfig()),
    "s": SparseVectorParams(),
}
_CHANGING: list[Params] = [
    VectorParams(2, Distance.COSINE),
    VectorParams(3, Distance.MANHATTAN, datatype=Datatype.UINT8),
    VectorParams(1, Distance.EUCLID, multivector_config=MultiVectorConfig()),
    SparseVectorParams(),
]

_NUMBERS = st.sampled_from([-2.0, -1.0, 0.0, 0.25, 1.0, 3.0, 100.0])
_SCALARS = st.sampled_from([None, True, 1, 1.0, "x", -7, 2.5])
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=4,
)
_PAYLOADS = st.dictionaries(st.sampled_from(["a", "b", "c.d", ""]), _VALUES, max_size=3)
_PATHS = st.sampled_from(["a", "b", "a.b", "a[]", "a[].b", "a[0].a", '"c.d"', '""', "b.a[]"]).map(parse_path)
_SOME = st.lists(st.sampled_from(_IDS), min_size=1, max_size=4)
_FILTERS = st.one_of(
    st.just(Filter()),
    _SOME.map(lambda ids: Filter(must=(HasId(frozenset(ids)),))),
    _SOME.map(lambda ids: Filter(must_not=(HasId(frozenset(ids)),))),
)
_NAMES = st.sampled_from(["", "e", "m", "s", "x"])


def _rows(dim: int) -> st.SearchStrategy[Dense]:
    return st.lists(_NUMBERS, min_size=dim, max_size=dim).map(lambda row: dense(*row))


def _vectors_for(params: Params) -> st.SearchStrategy[Vector]:
    if isinstance(params, SparseVectorParams):
        return st.dictionaries(st.integers(0, 5), _NUMBERS, max_size=3).map(
            lambda weights: sparse(**{f"_{index}": weight for index, weight in weights.items()})
        )
    if params.multivector_config is None:
        return _rows(params.size)
    row = st.lists(_NUMBERS, min_size=params.size, max_size=params.size)
    return st.lists(row, min_size=1, max_size=3).map(lambda rows: multi(*rows)) | _rows(params.size)


_MISFITS: list[tuple[str, Vector]] = [
    ("nope", dense(1.0)),
    ("", sparse(_1=1.0)),
    ("", multi([1.0, 2.0])),
    ("", dense(1.0)),
    ("s", dense(1.0, 2.0)),
    ("m", dense(1.0)),
    ("x", dense(1.0, 2.0)),
]


@st.composite
def _named_vectors(draw: st.DrawFn, spaces: dict[str, Params]) -> NamedVectors:
    names = draw(st.lists(st.sampled_from(sorted(spaces)), unique=True, max_size=4)) if spaces else []
    vectors = {name: draw(_vectors_for(spaces[name])) for name in names}
    if draw(st.integers(0, 19)) == 0:
        name, vector = draw(st.sampled_from(_MISFITS))
        vectors[name] = vector
    return vectors


@st.composite
def _updates(draw: st.DrawFn, spaces: dict[str, Params], existing: list[PointId]) -> Update:
    # Mostly points that exist, or nearly every update would be refused.
    ids = st.lists(st.sampled_from(existing), min_size=1, max_size=3) if existing else _SOME
    selectors: st.SearchStrategy[Selector] = st.one_of(ids.map(tuple), ids.map(tuple), _SOME.map(tuple), _FILTERS)
    conditions = st.none() | _FILTERS

    def upserts() -> Update:
        chosen = draw(st.lists(st.sampled_from(_IDS), min_size=1, max_size=6))
        payloads = [pack_payload(draw(_PAYLOADS)) for _ in chosen]
        vectors = [draw(_named_vectors(spaces)) for _ in chosen]
        mode = draw(st.sampled_from([UpdateMode.UPSERT, *UpdateMode]))
        return Upsert(chosen, payloads, vectors, [True] * len(chosen), mode, draw(conditions))

    def update_vectors() -> Update:
        chosen = draw(ids)
        return UpdateVectors(chosen, [draw(_named_vectors(spaces)) for _ in chosen], draw(conditions))

    makers: list[Callable[[], Update]] = [
        upserts,
        upserts,
        update_vectors,
        update_vectors,
        lambda: DeletePoints(draw(selectors)),
        lambda: DeleteVectors(draw(selectors), tuple(draw(st.lists(_NAMES, max_size=2)))),
        lambda: SetPayload(draw(selectors), pack_payload(draw(_PAYLOADS)), draw(st.none() | _PATHS)),
        lambda: OverwritePayload(draw(selectors), pack_payload(draw(_PAYLOADS))),
        lambda: DeletePayload(draw(selectors), tuple(draw(st.lists(_PATHS, max_size=2)))),
        lambda: ClearPayload(draw(selectors)),
        lambda: CreateVector("x", draw(st.sampled_from(_CHANGING))),
        lambda: DropVector(draw(st.sampled_from(["x", "x", "e", "s", "nope"]))),
    ]
    return draw(st.sampled_from(makers))()


class CollectionMachine(RuleBasedStateMachine):
    """Writes to a collection and its model, and compares them."""

    def __init__(self) -> None:
        super().__init__()
        self._directory = tempfile.TemporaryDirectory(prefix="pointstore-model-")
        self._open()
        self.model = Model(_SPACES)

    def _open(self) -> None:
        self.engine = Engine(pathlib.Path(self._directory.name), map_size=MAP_SIZE, catalog_map_size=MAP_SIZE)

    @initialize()
    def create(self) -> None:
        config = CollectionConfig(
            vectors={name: params for name, params in _SPACES.items() if isinstance(params, VectorParams)},
            sparse_vectors={"s": SparseVectorParams()},
        )
        self.engine.create_collection("c", config)

    @rule(data=st.data(), count=st.integers(1, 3), wait=st.booleans())
    def write(self, data: st.DataObject, count: int, wait: bool) -> None:  # noqa: FBT001  Hypothesis passes names
        updates: list[Update] = []
        expected: list[int] = []
        refused: RefusedError | None = None
        # Drawn one after the other, since what fits depends on those before.
        for _ in range(count):
            spaces = self.model.spaces
            updates.append(data.draw(_updates(dict(spaces), sorted(self.model.points))))
            before = copy.deepcopy(self.model)
            try:
                expected.append(self.model.apply(updates[-1]))
            except RefusedError as error:
                self.model = before
                if wait or not error.when_applied:
                    refused = error
                    break
                expected.append(self.model.skip())
        collection = self.engine.collection("c")
        if refused is None:
            results = collection.write(updates, wait=wait, timeout_s=None)
            assert [result.seq for result in results] == expected
        else:
            with pytest.raises(refused.kind) as caught:
                collection.write(updates, wait=wait, timeout_s=None)
            assert caught.value.when_applied == refused.when_applied

    @rule(name=_NAMES)
    def seal(self, name: str) -> None:
        if self._is_dense(name):
            seal(self.engine.collection("c"), name)

    @rule(name=_NAMES)
    def merge_segments(self, name: str) -> None:
        if self._is_dense(name):
            merge_segments(self.engine.collection("c"), name)

    @rule(blocks=st.integers(1, 2))
    def grow_old(self, blocks: int) -> None:
        """Let slots of the points lie far from the next one, and bring them near again."""
        if self.engine.exists("c"):
            collection = self.engine.collection("c")
            skip_slots(collection, blocks * BLOCK_SLOTS)
            for _ in range(renew_slots(collection)):
                self.model.skip()

    @precondition(lambda self: self.model.seq)
    @rule()
    def restart(self) -> None:
        self.engine.close()
        self._open()

    def _is_dense(self, name: str) -> bool:
        params = self.model.spaces.get(name)
        return isinstance(params, VectorParams) and params.multivector_config is None

    @invariant()
    def holds_the_same_points(self) -> None:
        if not self.engine.exists("c"):
            return
        points = self.model.points
        collection = self.engine.collection("c")
        expected = [(format_point_id(i), (points[i].payload, points[i].vectors)) for i in sorted(points)]
        assert _text(list(contents(collection).items())) == _text(expected)
        assert collection.count(None) == collection.info().points_count == len(points)
        asked = _IDS[::-2]
        records = [plain_record(record)[0] for record in collection.get(asked, Selectors())]
        assert records == [format_point_id(point_id) for point_id in asked if point_id in points]
        with collection.view() as view:
            slots = view.slots_of(sorted(points))
            versions = [
                view.record(slot, i).seq for slot, i in zip(slots, sorted(points), strict=True) if slot is not None
            ]
        assert versions == [points[i].version for i in sorted(points)]

    @rule(condition=_FILTERS, limit=st.integers(1, 5))
    def read_by_filter(self, condition: Filter, limit: int) -> None:
        collection = self.engine.collection("c")
        matching = sorted(self.model.matching(condition))
        assert collection.count(condition) == len(matching)
        seen: list[PointId] = []
        offset: PointId | None = None
        while True:
            page = collection.scroll(ScrollRequest(condition, offset, limit, Selectors()))
            assert len(page.records) <= limit
            seen += [record.point_id for record in page.records]
            offset = page.next_offset
            if offset is None:
                break
        assert seen == matching

    @rule(
        data=st.data(),
        name=_NAMES,
        condition=st.none() | _FILTERS,
        exact=st.booleans(),
        limit=st.integers(1, 20),
        offset=st.integers(0, 2),
    )
    def search(  # noqa: PLR0913  Hypothesis passes names
        self,
        data: st.DataObject,
        name: str,
        condition: Filter | None,
        exact: bool,  # noqa: FBT001
        limit: int,
        offset: int,
    ) -> None:
        params = self.model.spaces.get(name)
        if not isinstance(params, VectorParams) or not self._is_dense(name):
            return
        candidates = self.model.matching(condition or Filter())
        target: Dense | VectorOfPoint = data.draw(_rows(params.size))
        row = self.model._stored(name, target)
        having: list[PointId] = sorted(i for i, point in self.model.points.items() if name in point.vectors)
        # The searched vector itself, or one of the points that have one.
        lender = data.draw(st.sampled_from([None, *having]))
        if lender is not None:
            target = VectorOfPoint(lender)
            row = self.model.points[lender].vectors[name]
            candidates.discard(lender)
        query = NearestQuery(
            target, name, condition, SearchParams(exact=exact), limit=limit, offset=offset, selectors=EVERYTHING
        )
        (hits,) = self.engine.query("c", Searches([query]))
        scores = {i: _score(params, row, self.model.points[i].vectors[name]) for i in candidates if i in having}
        descending = params.distance in (Distance.COSINE, Distance.DOT)
        ordered = sorted(scores.values(), reverse=descending)[offset : offset + limit]
        assert [hit.score for hit in hits] == pytest.approx(ordered, rel=1e-4, abs=1e-4)
        assert [hit.score for hit in hits] == pytest.approx([scores[hit.point_id] for hit in hits], rel=1e-4, abs=1e-4)
        for hit in hits:
            point = self.model.points[hit.point_id]
            assert (_text(unpack_payload(hit.payload)), hit.version) == (_text(point.payload), point.version)
            assert hit.vectors is not None
            assert {each: plain(vector) for each, vector in hit.vectors.items()} == point.vectors

    def teardown(self) -> None:
        with suppress(Exception):
            self.engine.close()
        self._directory.cleanup()


def _text(tree: object) -> str:
    """Write a tree so that 1, 1.0 and True differ and the order of keys does not matter."""
    return json.dumps(tree, sort_keys=True)


def _score(params: VectorParams, query: object, row: object) -> float:
    assert isinstance(query, tuple)
    assert isinstance(row, tuple)
    pairs = list(zip(query, row, strict=True))
    match params.distance:
        case Distance.EUCLID:
            return math.sqrt(sum((a - b) ** 2 for a, b in pairs))
        case Distance.MANHATTAN:
            return float(sum(abs(a - b) for a, b in pairs))
        case _:
            return float(sum(a * b for a, b in pairs))


TestCollectionModel = CollectionMachine.TestCase
TestCollectionModel.settings = settings(
    max_examples=_EXAMPLES or 120, stateful_step_count=30, deadline=None, derandomize=not _EXAMPLES
)
