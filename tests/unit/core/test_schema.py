"""Tests of configuration merging and of the recursive JSON type in configurations."""

from __future__ import annotations

from dataclasses import fields

from hypothesis import given
from hypothesis import strategies as st

from pointstore.core.schema import (
    HNSW_DEFAULTS,
    OPTIMIZERS_DEFAULTS,
    CollectionConfig,
    Distance,
    HnswConfig,
    OptimizersConfig,
    SparseVectorParams,
    VectorParams,
    effective_hnsw,
    merge,
)

_HNSW = st.builds(
    HnswConfig,
    m=st.none() | st.integers(0, 64),
    ef_construct=st.none() | st.integers(4, 200),
    on_disk=st.none() | st.booleans(),
    payload_m=st.none() | st.integers(0, 4),
)


@given(_HNSW, _HNSW, _HNSW)
def test_merge_takes_the_last_value_given(first: HnswConfig, second: HnswConfig, third: HnswConfig) -> None:
    merged = merge(merge(first, second), third)
    for field in fields(HnswConfig):
        given_values = [getattr(config, field.name) for config in (first, second, third)]
        expected = next((value for value in reversed(given_values) if value is not None), None)
        assert getattr(merged, field.name) == expected


def test_zero_and_false_are_values() -> None:
    merged = merge(HnswConfig(m=16, on_disk=True), HnswConfig(m=0, on_disk=False))
    assert (merged.m, merged.on_disk) == (0, False)
    assert merge(OPTIMIZERS_DEFAULTS, OptimizersConfig(indexing_threshold=0)).indexing_threshold == 0
    assert merge(OPTIMIZERS_DEFAULTS, None) is OPTIMIZERS_DEFAULTS


def test_a_vectors_own_graph_parameters_win() -> None:
    config = CollectionConfig(
        vectors={
            "own": VectorParams(4, Distance.DOT, hnsw_config=HnswConfig(m=0)),
            "plain": VectorParams(4, Distance.DOT),
        },
        hnsw_config=HnswConfig(m=8, ef_construct=50),
    )
    own, plain = effective_hnsw(config, "own"), effective_hnsw(config, "plain")
    assert (own.m, own.ef_construct, own.full_scan_threshold) == (0, 50, HNSW_DEFAULTS.full_scan_threshold)
    assert (plain.m, plain.ef_construct) == (8, 50)


def test_sections_that_were_never_given() -> None:
    assert CollectionConfig().sparse == {}
    assert CollectionConfig().number_of("") is None
    config = CollectionConfig(sparse_vectors={"s": SparseVectorParams()}, vector_numbers={"s": 3})
    assert (list(config.sparse), config.number_of("s")) == (["s"], 3)
