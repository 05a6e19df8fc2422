"""Tests of what updates come to, and of when their errors are noticed (specification part 1, 6.4, 8.4, 8.8, 8.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pointstore.core.errors import ConversionError, NotFoundError, RequestError, WrongInputError
from pointstore.core.filter import Filter, HasId, MinShould
from pointstore.core.path import parse_path
from pointstore.core.payload import pack_payload
from pointstore.core.schema import (
    Datatype,
    Distance,
    HnswConfig,
    Modifier,
    MultiVectorConfig,
    SparseIndexConfig,
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
    SetPayload,
    Update,
    UpdateMode,
    UpdateStatus,
)
from tests.building import (
    contents,
    dense,
    having,
    multi,
    pids,
    sparse,
    update_vectors,
    upsert,
    write,
)

if TYPE_CHECKING:
    from pointstore.core.vector import NamedVectors
    from pointstore.engine.collection import Collection

_UUID = "550e8400-e29b-41d4-a716-446655440000"


def _fill(collection: Collection, *points: int | str) -> None:
    write(collection, upsert(*[(point, {"": dense(1, 2)}, {"old": True}) for point in points]))


def _payloads(collection: Collection) -> dict[str, object]:
    return {point: payload for point, (payload, _) in contents(collection).items()}


def _refused(collection: Collection, update: Update) -> RequestError:
    before = contents(collection)
    with pytest.raises(RequestError) as caught:
        write(collection, update)
    assert contents(collection) == before
    return caught.value


_MISSING_IS_NOT_FOUND: dict[str, Update] = {
    "update vectors": update_vectors((1, {"": dense(5, 5)}), (9, {"": dense(5, 5)})),
    "update vectors, conditional": update_vectors((1, {"": dense(5, 5)}), (9, {}), condition=having(1)),
    "delete vectors": DeleteVectors(pids(1, 9), ("",)),
    "delete no vectors": DeleteVectors(pids(9), ()),
    "set payload": SetPayload(pids(1, 9), pack_payload({"a": 1})),
    "set no payload": SetPayload(pids(9), b""),
    "overwrite payload": OverwritePayload(pids(1, 9), pack_payload({"a": 1})),
    "delete payload": DeletePayload(pids(1, 9), (parse_path("old"),)),
    "delete no payload": DeletePayload(pids(9), ()),
    "clear payload": ClearPayload(pids(1, 9)),
}


@pytest.mark.parametrize("name", _MISSING_IS_NOT_FOUND)
def test_a_missing_point_is_not_found_when_applied(collection: Collection, name: str) -> None:
    _fill(collection, 1)
    error = _refused(collection, _MISSING_IS_NOT_FOUND[name])
    assert isinstance(error, NotFoundError)
    assert error.message == "Not found: No point with id 9 found"
    assert error.when_applied
    (result,) = write(collection, _MISSING_IS_NOT_FOUND[name], wait=False)
    assert result.status is UpdateStatus.ACKNOWLEDGED
    assert _payloads(collection) == {"1": {"old": True}}


def test_a_missing_uuid_is_named_canonically(collection: Collection) -> None:
    error = _refused(collection, ClearPayload(pids("{" + _UUID.upper() + "}")))
    assert error.message == f"Not found: No point with id {_UUID} found"


def test_deleting_missing_points_is_fine(collection: Collection) -> None:
    _fill(collection, 1, 2)
    (result,) = write(collection, DeletePoints(pids(1, 9, 1)))
    assert result.status is UpdateStatus.COMPLETED
    assert list(contents(collection)) == ["2"]
    assert collection.count(None) == 1
    write(collection, DeletePoints(pids(1)))
    assert collection.count(None) == 1


@pytest.mark.parametrize(
    ("mode", "condition", "written"),
    [
        (UpdateMode.UPSERT, None, {"1", "2", "3"}),
        (UpdateMode.UPSERT, having(1), {"1", "3"}),
        (UpdateMode.UPSERT, having(3), {"3"}),
        (UpdateMode.INSERT_ONLY, None, {"3"}),
        (UpdateMode.INSERT_ONLY, having(1), {"3"}),
        (UpdateMode.UPDATE_ONLY, None, {"1", "2"}),
        (UpdateMode.UPDATE_ONLY, having(1, 3), {"1"}),
        (UpdateMode.UPDATE_ONLY, having(3), set()),
    ],
)
def test_conditional_upserts(
    collection: Collection, mode: UpdateMode, condition: Filter | None, written: set[str]
) -> None:
    _fill(collection, 1, 2)
    points = [(point, {"": dense(9, point)}, {"new": point}) for point in (1, 2, 3)]
    (result,) = write(collection, upsert(*points, mode=mode, condition=condition))
    assert (result.seq, result.status) == (2, UpdateStatus.COMPLETED)
    found = contents(collection)
    for point in ("1", "2", "3"):
        if point in written:
            assert found[point] == ({"new": int(point)}, {"": (9.0, float(point))})
        elif point == "3":
            assert point not in found
        else:
            assert found[point] == ({"old": True}, {"": (1.0, 2.0)})
    assert collection.count(None) == len(found)


@pytest.mark.parametrize("mode", UpdateMode)
def test_the_last_of_several_entries_of_a_point_wins(collection: Collection, mode: UpdateMode) -> None:
    if mode is UpdateMode.UPDATE_ONLY:
        _fill(collection, 1, 2)
    write(
        collection,
        upsert(
            (1, {"": dense(1, 1)}, {"n": 1}),
            (2, {"": dense(2, 2)}, {"n": 2}),
            (1, {"b": dense(3, 3, 3)}, {"n": 3}),
            (2, {}, {}),
            (1, {"b": dense(4, 4, 4)}, {"n": 4}),
            mode=mode,
        ),
    )
    assert contents(collection) == {"1": ({"n": 4}, {"b": (4.0, 4.0, 4.0)}), "2": ({}, {})}
    assert collection.count(None) == 2


def test_an_upsert_replaces_the_whole_point(collection: Collection) -> None:
    write(collection, upsert((1, {"": dense(1, 2), "s": sparse(_4=1.0), "m": multi([3, 4])}, {"a": None})))
    assert contents(collection)["1"][0] == {"a": None}
    write(collection, upsert((1, {"b": dense(1, 2, 3)}, {})))
    assert contents(collection) == {"1": ({}, {"b": (1.0, 2.0, 3.0)})}


def test_entries_of_a_vector_update_are_merged(collection: Collection) -> None:
    _fill(collection, 1, 2)
    write(
        collection,
        update_vectors(
            (1, {"": dense(3, 3), "b": dense(1, 1, 1)}),
            (2, {}),
            (1, {"b": dense(7, 7, 7), "s": sparse(_1=2.0)}),
        ),
    )
    assert contents(collection) == {
        "1": ({"old": True}, {"": (3.0, 3.0), "b": (7.0, 7.0, 7.0), "s": {1: 2.0}}),
        "2": ({"old": True}, {"": (1.0, 2.0)}),
    }


def test_a_conditional_vector_update_skips_what_does_not_match(collection: Collection) -> None:
    _fill(collection, 1, 2)
    write(collection, update_vectors((1, {"": dense(5, 5)}), (2, {"": dense(6, 6)}), condition=having(2)))
    found = contents(collection)
    assert (found["1"][1], found["2"][1]) == ({"": (1.0, 2.0)}, {"": (6.0, 6.0)})
    (result,) = write(collection, update_vectors((1, {"": dense(5, 5)}), condition=having(3)))
    assert (result.seq, contents(collection)) == (3, found)


_MISFITS: dict[str, tuple[NamedVectors, str]] = {
    "unknown": ({"nope": dense(1, 2)}, "Wrong input: Not existing vector name error: nope"),
    "unknown sparse": ({"nope": sparse(_1=1.0)}, "Wrong input: Not existing vector name error: nope"),
    "sparse in dense": ({"": sparse(_1=1.0)}, "Wrong input: Conversion between sparse and regular vectors failed"),
    "dense in sparse": ({"s": dense(1, 2)}, "Wrong input: Conversion between sparse and regular vectors failed"),
    "sparse in multi": ({"m": sparse(_1=1.0)}, "Wrong input: Conversion between sparse and regular vectors failed"),
    "multi in dense": ({"": multi([1, 2])}, "Wrong input: Conversion between multi and regular vectors failed"),
    "multi in sparse": ({"s": multi([1, 2])}, "Wrong input: Conversion between multi and regular vectors failed"),
}


@pytest.mark.parametrize("name", _MISFITS)
@pytest.mark.parametrize("kind", ["upsert", "update"])
def test_unknown_names_and_kinds_are_noticed_when_applied(collection: Collection, kind: str, name: str) -> None:
    _fill(collection, 1, 2)
    vectors, text = _MISFITS[name]
    update: Update = (
        upsert((1, {"": dense(7, 7)}, {}), (2, vectors, {}))
        if kind == "upsert"
        else update_vectors((1, {"": dense(7, 7)}), (2, vectors))
    )
    error = _refused(collection, update)
    assert isinstance(error, WrongInputError)
    assert (error.message, error.when_applied) == (text, True)
    before = contents(collection)
    (result,) = write(collection, update, wait=False)
    assert (result.seq, result.status) == (2, UpdateStatus.ACKNOWLEDGED)
    assert contents(collection) == before


@pytest.mark.parametrize(
    ("vectors", "named", "suffix"),
    [
        ({"": dense(1, 2, 3)}, False, "expected dim: 2, got 3"),
        ({"": dense(1, 2, 3)}, True, "expected dim: 2, got 3 for vector ''"),
        ({"b": dense(1)}, True, "expected dim: 3, got 1 for vector 'b'"),
        ({"m": multi([1, 2, 3])}, True, "expected dim: 2, got 3 for vector 'm'"),
        ({"m": dense(1)}, True, "expected dim: 2, got 1 for vector 'm'"),
    ],
)
def test_wrong_dimensions_of_an_upsert_are_noticed_before_it_is_queued(
    collection: Collection, vectors: NamedVectors, *, named: bool, suffix: str
) -> None:
    update = upsert((1, {"": dense(1, 2)}, {}), (2, vectors, {}), named=named)
    error = _refused(collection, update)
    assert (error.message, error.when_applied) == (f"Wrong input: Vector dimension error: {suffix}", False)
    with pytest.raises(WrongInputError, match="Vector dimension error"):
        write(collection, update, wait=False)
    # Nor does a condition that nothing meets, or a later entry of the point, hide it.
    _refused(collection, upsert((2, vectors, {}), named=named, mode=UpdateMode.UPDATE_ONLY))
    _refused(collection, upsert((2, vectors, {}), (2, {}, {}), named=named))
    assert contents(collection) == {}


def test_wrong_dimensions_of_a_vector_update_are_noticed_when_applied(collection: Collection) -> None:
    _fill(collection, 1)
    error = _refused(collection, update_vectors((1, {"b": dense(1)})))
    assert error.message == "Wrong input: Vector dimension error: expected dim: 3, got 1"
    assert error.when_applied
    error = _refused(collection, update_vectors((1, {"m": multi([1, 2, 3])})))
    assert error.message == "Wrong input: Vector dimension error: expected dim: 2, got 3"
    # What does not match is not written, hence not refused.
    write(collection, update_vectors((1, {"b": dense(1)}), condition=having(7)))


def test_a_row_in_a_multi_vector_space_is_a_matrix_of_one_row(collection: Collection) -> None:
    write(collection, upsert((1, {"m": dense(3, 4)}, {})))
    ((_, vectors),) = contents(collection).values()
    assert vectors == {"m": ((pytest.approx(0.6), pytest.approx(0.8)),)}


def test_an_unknown_vector_name_is_refused_only_if_a_point_is_touched(collection: Collection) -> None:
    _fill(collection, 1)
    error = _refused(collection, DeleteVectors(pids(1), ("", "nope")))
    assert (error.message, error.when_applied) == ("Wrong input: Not existing vector name error: nope", True)
    write(collection, DeleteVectors(having(9), ("nope",)))


def test_deleting_vectors(collection: Collection) -> None:
    write(collection, upsert((1, {"": dense(1, 2), "m": multi([0, 1]), "s": sparse(_1=1.0)}, {"a": 1})))
    write(collection, DeleteVectors(pids(1, 1), ("s", "", "s", "b")))
    assert contents(collection) == {"1": ({"a": 1}, {"m": ((0.0, 1.0),)})}
    write(collection, DeleteVectors(Filter(), ("m",)))
    assert contents(collection) == {"1": ({"a": 1}, {})}


_ALL = {"1", "2", "3"}


@pytest.mark.parametrize(
    ("condition", "selected"),
    [
        (Filter(), _ALL),
        (having(1, 9), {"1"}),
        (Filter(must_not=(HasId(frozenset(pids(1))),)), {"2", "3"}),
        (Filter(should=(HasId(frozenset(pids(1))), HasId(frozenset(pids(3))))), {"1", "3"}),
        (Filter(must=(having(1, 2),), should=(having(2, 3),)), {"2"}),
        (Filter(min_should=MinShould((having(1, 2), having(2, 3), having(2)), 2)), {"2"}),
        (Filter(min_should=MinShould((), 1)), set()),
        (Filter(must=(Filter(must_not=(Filter(),)),)), set()),
    ],
)
def test_selecting_by_filter(collection: Collection, condition: Filter, selected: set[str]) -> None:
    _fill(collection, 1, 2, 3)
    write(collection, SetPayload(condition, pack_payload({"new": 1})))
    assert _payloads(collection) == {
        point: {"old": True, "new": 1} if point in selected else {"old": True} for point in _ALL
    }
    write(collection, DeletePoints(condition))
    assert set(contents(collection)) == _ALL - selected


def test_a_batch_sees_its_own_earlier_operations(collection: Collection) -> None:
    results = write(
        collection,
        upsert((1, {"": dense(1, 1)}, {}), (2, {}, {})),
        SetPayload(having(1), pack_payload({"a": 1, "b": {"c": 1}})),
        DeletePayload(pids(1), (parse_path("b.c"),)),
        update_vectors((2, {"": dense(2, 2)})),
        DeleteVectors(pids(1), ("",)),
        upsert((1, {}, {"x": 1}), (3, {}, {}), mode=UpdateMode.INSERT_ONLY),
        DeletePoints(having(3)),
    )
    assert [result.seq for result in results] == [1, 2, 3, 4, 5, 6, 7]
    assert contents(collection) == {"1": ({"a": 1, "b": {}}, {}), "2": ({}, {"": (2.0, 2.0)})}


def test_a_refused_operation_of_a_batch_keeps_those_before_it(collection: Collection) -> None:
    with pytest.raises(NotFoundError):
        write(collection, upsert((1, {}, {})), ClearPayload(pids(5)), upsert((2, {}, {})))
    assert list(contents(collection)) == ["1"]
    results = write(collection, upsert((3, {}, {})), ClearPayload(pids(5)), upsert((4, {}, {})), wait=False)
    assert [result.seq for result in results] == [2, 3, 4]
    assert list(contents(collection)) == ["1", "3", "4"]


@pytest.mark.parametrize(
    ("path", "fits"),
    [
        (".".join(["a"] * 30), True),
        (".".join(["a"] * 31), False),
        ("a" + "[]" * 40, True),
        ("a" + "[0]" * 47, False),
        (".".join(["a"] * 5000), False),
        ("a" + "[]" * 5000, False),
    ],
)
def test_a_path_cannot_nest_a_payload_deeper_than_replies_can_be(
    collection: Collection, path: str, *, fits: bool
) -> None:
    _fill(collection, 1)
    update = SetPayload(pids(1), pack_payload({"q": {"x": 1}}), parse_path(path))
    if fits:
        write(collection, update)
    else:
        error = _refused(collection, update)
        assert isinstance(error, ConversionError)
        assert not error.when_applied
    assert len(contents(collection)) == 1


_DENSE = VectorParams(4, Distance.COSINE)
_SPARSE = SparseVectorParams()


@pytest.mark.parametrize(
    ("first", "second", "text"),
    [
        (_DENSE, _DENSE, None),
        (_DENSE, VectorParams(4, Distance.COSINE, hnsw_config=HnswConfig(m=3), on_disk=True), None),
        (_DENSE, VectorParams(4, Distance.COSINE, datatype=Datatype.DEFAULT), None),
        (_DENSE, VectorParams(5, Distance.COSINE), "Vector `n` already exists with a different configuration"),
        (_DENSE, VectorParams(4, Distance.DOT), "Vector `n` already exists with a different configuration"),
        (
            _DENSE,
            VectorParams(4, Distance.COSINE, multivector_config=MultiVectorConfig()),
            "Vector `n` already exists with a different configuration",
        ),
        (
            _DENSE,
            VectorParams(4, Distance.COSINE, datatype=Datatype.UINT8),
            "Vector `n` already exists with a different configuration",
        ),
        (_DENSE, _SPARSE, "Vector `n` already exists as a dense vector"),
        (_SPARSE, _DENSE, "Vector `n` already exists as a sparse vector"),
        (_SPARSE, _SPARSE, None),
        (_SPARSE, SparseVectorParams(SparseIndexConfig(on_disk=True), Modifier.NONE), None),
        (
            _SPARSE,
            SparseVectorParams(modifier=Modifier.IDF),
            "Sparse vector `n` already exists with a different configuration",
        ),
        (
            _SPARSE,
            SparseVectorParams(SparseIndexConfig(datatype=Datatype.FLOAT16)),
            "Sparse vector `n` already exists with a different configuration",
        ),
    ],
)
def test_defining_a_vector_name_twice(
    collection: Collection,
    first: VectorParams | SparseVectorParams,
    second: VectorParams | SparseVectorParams,
    text: str | None,
) -> None:
    write(collection, CreateVector("n", first))
    before = collection.config()
    if text is None:
        write(collection, CreateVector("n", second))
    else:
        assert _refused(collection, CreateVector("n", second)).message == "Wrong input: " + text
        with pytest.raises(WrongInputError):
            write(collection, CreateVector("n", second), wait=False)
    assert collection.config() == before


def test_vector_names_take_two_numbers_of_the_log(collection: Collection) -> None:
    results = write(
        collection,
        upsert((1, {}, {})),
        CreateVector("n", _DENSE),
        upsert((2, {}, {})),
        DropVector("n"),
        DropVector("x"),
    )
    assert [result.seq for result in results] == [1, 3, 4, 6, 8]


def test_an_upsert_behind_the_drop_of_its_vector_name_fails(collection: Collection) -> None:
    with pytest.raises(WrongInputError, match="Not existing vector name error: b"):
        write(collection, DropVector("b"), upsert((1, {"b": dense(1, 2, 3)}, {})))
    write(collection, DropVector("s"), upsert((2, {"s": sparse(_1=1.0)}, {})), upsert((3, {}, {})), wait=False)
    assert list(contents(collection)) == ["3"]
