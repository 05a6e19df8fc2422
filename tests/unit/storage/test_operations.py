"""Tests of the encoding of operations."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pointstore.core import operation as operations
from pointstore.core.errors import CorruptionError
from pointstore.core.fields import FieldParams, FieldSchema, FieldType, Stopwords
from pointstore.core.operation import (
    AddField,
    AddVector,
    DenseColumn,
    DropField,
    DropVector,
    MergePayload,
    MovePoints,
    MultiColumn,
    Nothing,
    Operation,
    PutPoints,
    PutVectors,
    RemovePayload,
    RemovePoints,
    RemoveVectors,
    ReplacePayload,
    SparseColumn,
)
from pointstore.core.path import Each, Index, Key, Path
from pointstore.core.schema import (
    Datatype,
    Distance,
    HnswConfig,
    Memory,
    Modifier,
    MultiVectorConfig,
    SparseIndexConfig,
    SparseVectorParams,
    VectorParams,
)
from pointstore.core.vector import Multi, Sparse
from pointstore.storage import keys
from pointstore.storage.operations import pack_operation, unpack_operation
from tests.building import pid

_IDS = st.lists(
    st.one_of(st.integers(0, 2**64 - 1).map(pid), st.uuids().map(lambda value: pid(str(value)))), max_size=5
).map(tuple)
_NUMBERS = st.integers(0, 2**16 - 2)
_PAYLOADS = st.binary(max_size=20)
_KEYS = st.text(st.characters(exclude_characters='"\\', exclude_categories=["Cs"]), max_size=4).map(Key)
_PATHS = st.builds(
    lambda first, rest: Path((first, *rest)),
    _KEYS,
    st.lists(st.one_of(_KEYS, st.integers(0, 2**64 - 1).map(Index), st.just(Each())), max_size=3),
)


def _positions(rows: int) -> st.SearchStrategy[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    gaps = st.lists(st.integers(1, 1000), min_size=rows, max_size=rows)
    return gaps.map(lambda found: np.cumsum(found, dtype=np.int64) - 1)


@st.composite
def _dense_columns(draw: st.DrawFn) -> DenseColumn:
    rows, dim = draw(st.integers(0, 4)), draw(st.integers(1, 5))
    dtype: np.dtype[Any] = draw(st.sampled_from([np.dtype("<f4"), np.dtype("<f2"), np.dtype("u1")]))
    return DenseColumn(draw(_NUMBERS), draw(_positions(rows)), draw(arrays(dtype, (rows, dim))))


@st.composite
def _sparse_columns(draw: st.DrawFn) -> SparseColumn:
    sizes = draw(st.lists(st.integers(0, 4), max_size=3))
    vectors = tuple(
        Sparse(draw(arrays(np.uint32, size, unique=True)), draw(arrays(np.float32, size))) for size in sizes
    )
    return SparseColumn(draw(_NUMBERS), draw(_positions(len(vectors))), vectors)


@st.composite
def _multi_columns(draw: st.DrawFn) -> MultiColumn:
    shapes = draw(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), max_size=3))
    vectors = tuple(Multi(draw(arrays(np.float32, shape)).tobytes(), shape[1]) for shape in shapes)
    return MultiColumn(draw(_NUMBERS), draw(_positions(len(vectors))), vectors)


_COLUMNS = st.lists(st.one_of(_dense_columns(), _sparse_columns(), _multi_columns()), max_size=3).map(tuple)
_PARAMS = st.one_of(
    st.builds(
        VectorParams,
        st.integers(1, 65_536),
        st.sampled_from(Distance),
        st.none() | st.builds(HnswConfig, m=st.none() | st.integers(0, 100)),
        datatype=st.none() | st.sampled_from(Datatype),
        multivector_config=st.none() | st.just(MultiVectorConfig()),
    ),
    st.builds(
        SparseVectorParams,
        st.none() | st.builds(SparseIndexConfig, datatype=st.none() | st.sampled_from(Datatype)),
        st.none() | st.sampled_from(Modifier),
    ),
)
_FIELD_PARAMS = FieldParams(
    is_tenant=True, memory=Memory.COLD, stopwords=Stopwords(("english",), ("x",)), stemmer="", tokenizer=3, nested="o[]"
)
_STRATEGIES: dict[type, st.SearchStrategy[Operation]] = {
    PutPoints: st.builds(PutPoints, _IDS, st.lists(_PAYLOADS, max_size=4).map(tuple), _COLUMNS),
    RemovePoints: st.builds(RemovePoints, _IDS),
    PutVectors: st.builds(PutVectors, _IDS, _COLUMNS),
    RemoveVectors: st.builds(RemoveVectors, _IDS, st.lists(_NUMBERS, max_size=3).map(tuple)),
    MergePayload: st.builds(MergePayload, _IDS, _PAYLOADS, st.none() | _PATHS),
    ReplacePayload: st.builds(ReplacePayload, _IDS, _PAYLOADS),
    RemovePayload: st.builds(RemovePayload, _IDS, st.lists(_PATHS, max_size=3).map(tuple)),
    AddVector: st.builds(AddVector, st.text("aé", max_size=3), _PARAMS),
    DropVector: st.builds(DropVector, st.text("aé", max_size=3)),
    AddField: st.builds(
        AddField,
        _PATHS.map(str),
        st.builds(FieldSchema, st.sampled_from(FieldType), st.none() | st.just(_FIELD_PARAMS)),
    ),
    DropField: st.builds(DropField, _PATHS.map(str)),
    MovePoints: st.builds(MovePoints, _IDS),
    Nothing: st.just(Nothing()),
}


def _same(left: object, right: object) -> bool:
    if type(left) is not type(right):
        return False
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        return left.dtype == right.dtype and left.shape == right.shape and left.tobytes() == right.tobytes()
    if isinstance(left, tuple) and isinstance(right, tuple):
        return len(left) == len(right) and all(map(_same, left, right))
    if is_dataclass(left):
        return all(_same(getattr(left, f.name), getattr(right, f.name)) for f in fields(left))
    return left == right


def packed(operation: Operation) -> bytes:
    """Return an encoded operation in one piece, as the log has it."""
    return keys.unseal(b"key", keys.seal(b"key", *pack_operation(operation)))


def test_every_operation_has_a_strategy() -> None:
    assert set(_STRATEGIES) == set(get_args(operations.Operation))


@pytest.mark.parametrize("kind", _STRATEGIES, ids=lambda kind: kind.__name__)
def test_round_trip(kind: type) -> None:
    @given(_STRATEGIES[kind])
    def check(operation: Operation) -> None:
        assert _same(unpack_operation(packed(operation)), operation)

    check()


def test_an_unknown_tag_is_corruption() -> None:
    with pytest.raises(CorruptionError, match="unknown operation tag b'Z'"):
        unpack_operation(b"Z")


def test_a_wrong_length_is_corruption() -> None:
    data = packed(RemovePoints((pid(1), pid(2))))
    with pytest.raises(CorruptionError, match="wrong length"):
        unpack_operation(data + b"\0")
    with pytest.raises(CorruptionError, match="wrong length"):
        unpack_operation(data[:-1])
