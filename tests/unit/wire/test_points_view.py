"""The wire views read what the public messages wrote, and notice what they cannot read."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from google.protobuf.descriptor import FieldDescriptor
from hypothesis import given
from hypothesis import strategies as st

from pointstore.wire.points_view_pb2 import (
    DenseVectorView,
    NamedVectorsView,
    PayloadMap,
    PayloadView,
    PointStructView,
    SearchVectorView,
    UpdatePointVectorsView,
    UpsertPointsView,
    VectorView,
)
from qdrant_grpc import POOL
from qdrant_grpc.json_with_int_pb2 import NULL_VALUE, ListValue, Struct, Value
from qdrant_grpc.points_pb2 import (
    DenseVector,
    Document,
    InsertOnly,
    MultiDenseVector,
    NamedVectors,
    PointStruct,
    PointVectors,
    RetrievedPoint,
    ScoredPoint,
    SearchPoints,
    SparseIndices,
    SparseVector,
    Strong,
    UpdatePointVectors,
    UpsertPoints,
    Vector,
    Vectors,
    WriteOrdering,
)
from qdrant_grpc.qdrant_common_pb2 import Condition, Filter, HasIdCondition, PointId

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message

    from pointstore.wire.points_view_pb2 import VectorsView

floats = st.lists(st.floats(width=32), max_size=9)
names = st.text(max_size=6)

values = st.recursive(
    st.one_of(
        st.just(Value()),
        st.just(Value(null_value=NULL_VALUE)),
        st.builds(lambda number: Value(double_value=number), st.floats(allow_nan=False)),
        st.builds(lambda number: Value(integer_value=number), st.integers(-(2**63), 2**63 - 1)),
        st.builds(lambda string: Value(string_value=string), st.text(max_size=8)),
        st.builds(lambda flag: Value(bool_value=flag), st.booleans()),
    ),
    lambda children: st.one_of(
        st.builds(lambda items: Value(list_value=ListValue(values=items)), st.lists(children, max_size=3)),
        st.builds(lambda items: Value(struct_value=Struct(fields=items)), st.dictionaries(names, children, max_size=3)),
    ),
    max_leaves=6,
)

point_ids = st.one_of(
    st.builds(lambda number: PointId(num=number), st.integers(0, 2**64 - 1)),
    st.builds(lambda uuid: PointId(uuid=str(uuid)), st.uuids()),
    st.just(PointId()),
)

sparse_indices = st.lists(st.integers(0, 2**32 - 1), max_size=5)

vectors_of_a_kind = st.one_of(
    st.builds(lambda data: Vector(data=data), floats),
    st.builds(lambda data, rows: Vector(data=data, vectors_count=rows), floats, st.integers(0, 3)),
    st.builds(lambda data, at: Vector(data=data, indices=SparseIndices(data=at)), floats, sparse_indices),
    st.builds(lambda data: Vector(dense=DenseVector(data=data)), floats),
    st.builds(lambda data, at: Vector(sparse=SparseVector(values=data, indices=at)), floats, sparse_indices),
    st.builds(
        lambda rows: Vector(multi_dense=MultiDenseVector(vectors=[DenseVector(data=row) for row in rows])),
        st.lists(floats, max_size=3),
    ),
    st.builds(lambda text: Vector(document=Document(text=text, model="bm25")), names),
    st.just(Vector()),
)

vectors_of_a_point = st.one_of(
    st.builds(lambda vector: Vectors(vector=vector), vectors_of_a_kind),
    st.builds(
        lambda named: Vectors(vectors=NamedVectors(vectors=named)),
        st.dictionaries(names, vectors_of_a_kind, max_size=4),
    ),
    st.just(Vectors()),
    st.none(),
)

points = st.builds(
    lambda point_id, payload, vectors: PointStruct(id=point_id, payload=payload, vectors=vectors),
    point_ids,
    st.dictionaries(names, values, max_size=4),
    vectors_of_a_point,
)

requests = st.builds(
    lambda rows, wait, ordering, selected: UpsertPoints(
        collection_name="books",
        wait=wait,
        points=rows,
        ordering=ordering,
        update_filter=selected,
        timeout=5,
        update_mode=InsertOnly,
    ),
    st.lists(points, max_size=4),
    st.sampled_from([None, False, True]),
    st.sampled_from([None, WriteOrdering(), WriteOrdering(type=Strong)]),
    st.sampled_from([None, Filter(), Filter(must=[Condition(has_id=HasIdCondition(has_id=[PointId(num=3)]))])]),
)


def is_faithful(view: Message, wire: bytes) -> bool:
    """Return whether a view holds everything of the bytes that it was parsed from; drops its unknown fields."""
    view.DiscardUnknownFields()
    return view.SerializeToString() == wire


def numbers(data: bytes) -> list[float]:
    """Return packed floats as the public message would hold them."""
    return [float(number) for number in np.frombuffer(data, dtype="<f4")]


def same_numbers(found: list[float], expected: list[float]) -> bool:
    """Compare floats bit by bit, so that NaN and the sign of zero count."""
    return np.array_equal(np.array(found, "<f4").view("<u4"), np.array(expected, "<f4").view("<u4"))


def assert_same_vector(view: VectorView, public: Vector) -> None:
    """Compare one vector, whatever its kind."""
    kind = public.WhichOneof("vector")
    assert view.WhichOneof("vector") == kind
    assert same_numbers(numbers(view.data), list(public.data))
    assert view.HasField("indices") == public.HasField("indices")
    assert view.indices == public.indices
    assert view.HasField("vectors_count") == public.HasField("vectors_count")
    assert view.vectors_count == public.vectors_count
    if kind == "dense":
        assert same_numbers(numbers(view.dense.data), list(public.dense.data))
    elif kind == "multi_dense":
        assert len(view.multi_dense.vectors) == len(public.multi_dense.vectors)
        for row, expected in zip(view.multi_dense.vectors, public.multi_dense.vectors, strict=True):
            assert same_numbers(numbers(row.data), list(expected.data))
    elif kind == "sparse":
        assert same_numbers(list(view.sparse.values), list(public.sparse.values))
        assert list(view.sparse.indices) == list(public.sparse.indices)
    elif kind == "document":
        assert view.document == public.document


def assert_same_vectors(view: VectorsView, public: Vectors) -> None:
    """Compare the vectors of one point."""
    kind = public.WhichOneof("vectors_options")
    assert view.WhichOneof("vectors_options") == kind
    if kind == "vector":
        assert_same_vector(view.vector, public.vector)
    elif kind == "vectors":
        named = {entry.key: entry.value for entry in view.vectors.vectors}
        assert named.keys() == public.vectors.vectors.keys()
        for name, vector in named.items():
            assert_same_vector(vector, public.vectors.vectors[name])


@given(requests)
def test_view_reads_what_the_public_message_wrote(request: UpsertPoints) -> None:
    wire = request.SerializeToString()
    view = UpsertPointsView.FromString(wire)

    assert is_faithful(view, wire)
    assert view.collection_name == request.collection_name
    for field in ("wait", "ordering", "shard_key_selector", "update_filter", "timeout", "update_mode"):
        assert view.HasField(field) == request.HasField(field)
        assert getattr(view, field) == getattr(request, field)
    assert len(view.points) == len(request.points)
    for point, expected in zip(view.points, request.points, strict=True):
        assert point.id == expected.id
        assert len(point.payload) == len(expected.payload)
        decoded = PayloadMap.FromString(PayloadView(payload=point.payload).SerializeToString())
        assert dict(decoded.payload) == dict(expected.payload)
        assert point.HasField("vectors") == expected.HasField("vectors")
        assert_same_vectors(point.vectors, expected.vectors)


@given(st.dictionaries(names, values, max_size=4), st.sampled_from([RetrievedPoint, ScoredPoint]))
def test_payload_view_merges_into_a_reply(
    payload: dict[str, Value], reply_type: type[RetrievedPoint | ScoredPoint]
) -> None:
    wire = PointStruct(payload=payload).SerializeToString()
    stored = PayloadView(payload=PointStructView.FromString(wire).payload).SerializeToString()
    reply = reply_type(id=PointId(num=1))
    reply.MergeFromString(stored)
    assert reply == reply_type(id=PointId(num=1), payload=payload)


def chunk(*elements: float) -> bytes:
    """Return field 1 as one packed chunk."""
    return b"\x0a" + bytes([4 * len(elements)]) + struct.pack(f"<{len(elements)}f", *elements)


def unpacked(*elements: float) -> bytes:
    """Return field 1 as one fixed32 field for each element."""
    return b"".join(b"\x0d" + struct.pack("<f", element) for element in elements)


def upsert(dense: bytes) -> bytes:
    """Return a request with one point whose dense vector is encoded as given."""
    vector = b"\xaa\x06" + bytes([len(dense)]) + dense
    vectors = b"\x0a" + bytes([len(vector)]) + vector
    point = b"\x0a\x02\x08\x01" + b"\x22" + bytes([len(vectors)]) + vectors
    return b"\x0a\x01c" + b"\x1a" + bytes([len(point)]) + point


def test_single_chunk_is_read() -> None:
    wire = upsert(chunk(1, 2))
    view = UpsertPointsView.FromString(wire)
    assert is_faithful(view, wire)
    assert numbers(view.points[0].vectors.vector.dense.data) == [1, 2]


@pytest.mark.parametrize(
    ("dense", "expected"),
    [
        pytest.param(unpacked(1, 2), [1, 2], id="unpacked"),
        pytest.param(chunk(1) + chunk(2), [1, 2], id="two chunks"),
        pytest.param(chunk(1, 2) + unpacked(3), [1, 2, 3], id="chunk, then unpacked"),
        pytest.param(unpacked(1) + chunk(2, 3), [1, 2, 3], id="unpacked, then chunk"),
        pytest.param(chunk(1, 2) + chunk(), [1, 2], id="empty second chunk"),
        pytest.param(b"\x0a\x88\x00" + chunk(1, 2)[2:], [1, 2], id="longer than needed length"),
    ],
)
def test_other_packings_are_noticed(dense: bytes, expected: list[float]) -> None:
    wire = upsert(dense)
    assert list(UpsertPoints.FromString(wire).points[0].vectors.vector.dense.data) == expected
    assert not is_faithful(UpsertPointsView.FromString(wire), wire)


def test_deprecated_unpacked_floats_are_noticed() -> None:
    wire = unpacked(1, 2)
    assert list(Vector.FromString(wire).data) == [1, 2]
    assert not is_faithful(VectorView.FromString(wire), wire)


def test_lost_chunk_is_noticed_although_the_length_is_made_up_elsewhere() -> None:
    """A lone unpacked sparse index grows by a byte when it is serialised again, so comparing lengths would not do."""
    growing = b"\xb2\x06\x02\x10\x05"
    assert len(VectorView.FromString(growing).SerializeToString()) == len(growing) + 1

    lost = chunk(7) + chunk()
    assert DenseVectorView.FromString(lost).data == b""
    losing = b"\xaa\x06" + bytes([len(lost)]) + lost
    wire = b"".join(b"\x0a" + bytes([len(v) + 2]) + b"\x12" + bytes([len(v)]) + v for v in (losing, *[growing] * 6))
    view = NamedVectorsView.FromString(wire)
    assert view.ByteSize() == len(wire)
    assert not is_faithful(view, wire)


@pytest.mark.parametrize(("dense", "complete"), [(chunk(1, 2), True), (chunk(1) + chunk(2), False)])
def test_search_vector_is_checked_by_its_length(dense: bytes, *, complete: bool) -> None:
    wire = b"\x0a\x01c" + dense.replace(b"\x0a", b"\x12") + b"\x20\x05"
    public = SearchPoints.FromString(wire)
    assert list(public.vector) == [1, 2]
    assert (len(SearchVectorView.FromString(wire).vector) == 4 * len(public.vector)) == complete


@given(st.lists(st.tuples(point_ids, vectors_of_a_point), max_size=4))
def test_updates_of_vectors_are_read_alike(rows: list[tuple[PointId, Vectors | None]]) -> None:
    vectors = [PointVectors(id=point_id, vectors=value) for point_id, value in rows]
    request = UpdatePointVectors(collection_name="books", points=vectors, timeout=3)
    wire = request.SerializeToString()
    view = UpdatePointVectorsView.FromString(wire)
    assert is_faithful(view, wire)
    for point, expected in zip(view.points, request.points, strict=True):
        assert point.id == expected.id
        assert_same_vectors(point.vectors, expected.vectors)


def test_field_of_a_newer_protocol_takes_the_slow_path() -> None:
    wire = upsert(chunk(1, 2)) + b"\xf8\x3f\x01"
    assert not is_faithful(UpsertPointsView.FromString(wire), wire)


LEFT_AS_BYTES = {
    "qdrant.PointStruct.payload",
    "qdrant.Vector.data",
    "qdrant.DenseVector.data",
    "qdrant.RetrievedPoint.payload",
    "qdrant.ScoredPoint.payload",
}
VIEWS = {
    "UpsertPointsView": "UpsertPoints",
    "PointStructListView": "PointsUpdateOperation.PointStructList",
    "UpdatePointVectorsView": "UpdatePointVectors",
    "UpdateVectorsView": "PointsUpdateOperation.UpdateVectors",
    "PointVectorsView": "PointVectors",
    "PointStructView": "PointStruct",
    "VectorsView": "Vectors",
    "NamedVectorsView": "NamedVectors",
    "NamedVectorView": "NamedVectors.VectorsEntry",
    "VectorView": "Vector",
    "DenseVectorView": "DenseVector",
    "MultiDenseVectorView": "MultiDenseVector",
}


def view_of(public: Descriptor) -> str:
    """Return the full name of a message's view, or its own name where it has none."""
    name = public.full_name.removeprefix("qdrant.")
    views = {of: view for view, of in VIEWS.items()}
    return f"pointstore.wire_view.{views[name]}" if name in views else public.full_name


def shape(field: FieldDescriptor) -> tuple[object, ...]:
    """Return what a field of a view has in common with the public one."""
    oneof = field.containing_oneof
    real_oneof = oneof.name if oneof is not None and len(oneof.fields) > 1 else None
    return field.number, field.type, field.is_repeated, real_oneof


@pytest.mark.parametrize(("view", "public"), VIEWS.items())
def test_view_has_every_field_of_the_public_message(view: str, public: str) -> None:
    mine = POOL.FindMessageTypeByName(f"pointstore.wire_view.{view}")
    theirs = POOL.FindMessageTypeByName(f"qdrant.{public}")
    assert mine.fields_by_name.keys() == theirs.fields_by_name.keys()
    for name, field in theirs.fields_by_name.items():
        if field.full_name in LEFT_AS_BYTES:
            assert mine.fields_by_name[name].number == field.number
            assert mine.fields_by_name[name].type == FieldDescriptor.TYPE_BYTES
            continue
        assert shape(mine.fields_by_name[name]) == shape(field)
        if field.message_type is not None:
            viewed = mine.fields_by_name[name].message_type
            assert viewed is not None
            assert viewed.full_name == view_of(field.message_type)
        if field.enum_type is not None:
            assert mine.fields_by_name[name].enum_type is field.enum_type


def test_payload_field_number_is_that_of_the_replies() -> None:
    for message in (RetrievedPoint, ScoredPoint, PayloadMap, PayloadView):
        assert message.DESCRIPTOR.fields_by_name["payload"].number == 2
