"""Tests of the `meta` database: head, configuration, format."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pointstore.core.errors import CorruptionError, StorageError
from pointstore.core.schema import (
    BinaryQuantization,
    CollectionConfig,
    Datatype,
    Distance,
    HnswConfig,
    Json,
    Memory,
    Modifier,
    MultiVectorConfig,
    OptimizersConfig,
    QuantizationConfig,
    SparseIndexConfig,
    SparseVectorParams,
    StorageParams,
    StrictModeConfig,
    StrictModeMultivector,
    StrictModeSparse,
    TurboQuantization,
    VectorParams,
    WalConfig,
)
from pointstore.storage import keys
from pointstore.storage.meta import Head, advanced
from pointstore.storage.segments import SegmentMeta

if TYPE_CHECKING:
    from pointstore.storage.collection import CollectionStore

_SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
_U64 = st.integers(0, 2**64 - 1)


def test_a_created_store_is_empty(store: CollectionStore) -> None:
    with store.read() as txn:
        store.meta.check_format(txn)
        assert store.meta.head(txn) == Head()
        assert store.meta.config(txn) == CollectionConfig()
        assert store.meta.segments(txn) == []
        assert store.meta.created_at(txn) == 1_700_000_000
        assert store.meta.optimizer_error(txn) is None


@_SHARED
@given(st.builds(Head, _U64, _U64, _U64, _U64, _U64, _U64, _U64))
def test_head_round_trip(store: CollectionStore, head: Head) -> None:
    with store.write() as txn:
        store.meta.put_head(txn, head)
        assert store.meta.head(txn) == head


_FULL = CollectionConfig(
    vectors={
        "": VectorParams(4, Distance.COSINE, HnswConfig(m=8, memory=Memory.COLD), None, True, Datatype.UINT8),
        "ключ": VectorParams(
            65_536,
            Distance.MANHATTAN,
            quantization_config=QuantizationConfig(turboquant=TurboQuantization(True, 3)),
            multivector_config=MultiVectorConfig(),
            memory=Memory.PINNED,
        ),
    },
    sparse_vectors={
        "s": SparseVectorParams(SparseIndexConfig(5, False, Datatype.FLOAT16), Modifier.IDF),
        "t": SparseVectorParams(),
    },
    vector_numbers={"": 0, "ключ": 1, "s": 7, "t": 8},
    next_vector_number=9,
    hnsw_config=HnswConfig(ef_construct=0, inline_storage=False),
    wal_config=WalConfig(wal_retain_closed=2),
    optimizers_config=OptimizersConfig(deleted_threshold=0.25, max_optimization_threads=-1),
    quantization_config=QuantizationConfig(binary=BinaryQuantization(has_query_encoding=True)),
    sharding_method=1,
    payload=StorageParams(Memory.CACHED),
    strict_mode_config=StrictModeConfig(
        enabled=False,
        multivector_config={"m": StrictModeMultivector(2)},
        sparse_config={"": StrictModeSparse()},
    ),
    metadata={"i": 1, "f": 1.0, "n": None, "l": [True, 2, 2.0, {"x": -0.0}], "": "é", "big": 2**63 - 1, "e": 1e300},
)


@pytest.mark.parametrize("config", [CollectionConfig(), _FULL, CollectionConfig(sparse_vectors={})])
def test_config_round_trip(store: CollectionStore, config: CollectionConfig) -> None:
    with store.write() as txn:
        store.meta.put_config(txn, config)
        found = store.meta.config(txn)
    assert found == config
    # 1 == 1.0 == True, so the texts are compared too.
    assert repr(found) == repr(config)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab.é", max_size=3), inner, max_size=3),
    max_leaves=10,
)


@_SHARED
@given(st.dictionaries(st.text("ab", max_size=3), _JSON, max_size=3))
def test_metadata_keeps_its_kinds(store: CollectionStore, metadata: dict[str, Json]) -> None:
    with store.write() as txn:
        store.meta.put_config(txn, CollectionConfig(metadata=metadata))
        assert repr(store.meta.config(txn).metadata) == repr(metadata)


def test_segment_list_round_trip(store: CollectionStore) -> None:
    files = {"slots.npy": 208, "vectors.npy": 288}
    checksums = dict.fromkeys(files, "00")
    segments = (
        SegmentMeta("a" * 16, 0, 10, 5, 40, 16, "hnsw-fp16", 16, 100, checksums, files),
        SegmentMeta("b" * 16, 3, 1, 2**60, 2**60, 4, checksums=checksums, sizes=files),
    )
    with store.write() as txn:
        store.meta.put_segments(txn, segments)
        assert tuple(store.meta.segments(txn)) == segments


def test_optimizer_error_is_recorded_and_cleared(store: CollectionStore) -> None:
    with store.write() as txn:
        store.meta.put_optimizer_error(txn, "OSError: é")
        assert store.meta.optimizer_error(txn) == "OSError: é"
        store.meta.put_optimizer_error(txn, None)
        store.meta.put_optimizer_error(txn, None)
        assert store.meta.optimizer_error(txn) is None


def test_unknown_format_is_refused(store: CollectionStore) -> None:
    with store.write() as txn:
        txn.put(keys.FORMAT, keys.seal(b"", keys.u64(7)), db=store.meta._database)
        with pytest.raises(StorageError, match="data format 7 is not supported by this version, which writes format 2"):
            store.meta.check_format(txn)


@pytest.mark.parametrize("key", [keys.HEAD, keys.CONFIG, keys.SEGMENTS, keys.FORMAT])
def test_missing_or_damaged_records_are_corruption(store: CollectionStore, key: bytes) -> None:
    readers = {
        keys.HEAD: store.meta.head,
        keys.CONFIG: store.meta.config,
        keys.SEGMENTS: store.meta.segments,
        keys.FORMAT: store.meta.check_format,
    }
    with store.write() as txn:
        record = txn.get(key, db=store.meta._database)
        assert record is not None
        txn.put(key, record[:-1] + bytes([record[-1] ^ 4]), db=store.meta._database)
        with pytest.raises(CorruptionError, match=key.decode()):
            readers[key](txn)
        txn.delete(key, db=store.meta._database)
        with pytest.raises(CorruptionError, match=f"record {key.decode()} is missing"):
            readers[key](txn)


def test_advancing_marks_what_changed() -> None:
    head = Head(version=4, config_version=1, segments_version=2)
    assert advanced(head) == Head(version=5, config_version=1, segments_version=2)
    assert advanced(head, config=True) == Head(version=5, config_version=5, segments_version=2)
    assert advanced(head, segments=True) == Head(version=5, config_version=1, segments_version=5)
