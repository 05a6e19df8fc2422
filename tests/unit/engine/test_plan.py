"""What the optimizer decides, and that its decisions come to an end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointstore.core.schema import CollectionConfig, Distance, HnswConfig, OptimizersConfig
from pointstore.core.space import Space
from pointstore.engine.plan import Compact, Limits, Seal, SpaceState, Task, plan, settled
from pointstore.index import slots as bits
from pointstore.storage.segments import SegmentMeta

SPACE = Space(256, Distance.DOT, np.dtype("<f4"))
ROW_BYTES = 1024
LIMITS = Limits(seal_bytes=4 << 20, tail_bytes=10 << 20)
CONFIG = CollectionConfig()


def state(*sizes: tuple[int, str | None], unsealed: int = 0) -> SpaceState:
    """A space with segments of (rows, index) and all rows live."""
    segments = []
    first = 0
    for number, (rows, index) in enumerate(sizes):
        parameters = (16, 100) if index else (0, 0)
        segments.append(SegmentMeta(str(number), 0, rows, first, first + rows - 1, ROW_BYTES, index, *parameters))
        first += rows
    return SpaceState(
        "",
        0,
        SPACE,
        HnswConfig(m=16, ef_construct=100),
        tuple(segments),
        bits.full(first),
        unsealed,
        unsealed * ROW_BYTES,
    )


def configured(**settings: float) -> CollectionConfig:
    return CollectionConfig(optimizers_config=OptimizersConfig(**settings))  # type: ignore[arg-type]  # ints and floats


def compacted(task: Task | None) -> tuple[str, list[str], bool, bool]:
    assert isinstance(task, Compact)
    return task.reason, [source.uid for source in task.sources], task.index, task.extend


def test_few_rows_stay_as_they_are() -> None:
    assert plan(CONFIG, state(unsealed=4000), LIMITS, idle=False) is None
    assert plan(CONFIG, state(unsealed=4000), LIMITS, idle=True) is None


def test_many_unsealed_rows_are_sealed_first() -> None:
    assert plan(CONFIG, state((50_000, None), unsealed=4096), LIMITS, idle=False) == Seal()


def test_index_from_the_threshold_on() -> None:
    assert plan(CONFIG, state((9_999, None)), LIMITS, idle=True) is None
    assert compacted(plan(CONFIG, state((10_000, None)), LIMITS, idle=False)) == ("build", ["0"], True, False)
    assert plan(CONFIG, state((9_000, None), unsealed=1_000), LIMITS, idle=True) == Seal()
    assert plan(configured(indexing_threshold=0), state((90_000, None)), LIMITS, idle=True) is None
    graphless = replace(state((90_000, None)), hnsw=HnswConfig(m=0, ef_construct=100))
    assert plan(CONFIG, graphless, LIMITS, idle=True) is None


def test_tail_is_tolerated_longer_while_writes_come() -> None:
    tail = state((100_000, "hnsw-fp16"), (8_000, None))
    assert plan(CONFIG, tail, LIMITS, idle=False) is None
    assert compacted(plan(CONFIG, tail, LIMITS, idle=True)) == ("extend", ["0", "1"], True, True)
    assert plan(CONFIG, state((100_000, "hnsw-fp16"), (400, None)), LIMITS, idle=True) is None


def test_large_index_is_not_rewritten_for_a_small_tail_while_writes_come() -> None:
    small = state((100_000, "hnsw-fp16"), (12_000, None))
    assert compacted(plan(CONFIG, small, LIMITS, idle=False)) == ("build", ["1"], True, False)
    large = state((100_000, "hnsw-fp16"), (50_000, None))
    assert compacted(plan(CONFIG, large, LIMITS, idle=False)) == ("extend", ["0", "1"], True, True)


def test_segments_stay_below_the_maximum() -> None:
    config = configured(max_segment_size=60_000)
    full = state((50_000, "hnsw-fp16"), (15_000, None))
    assert compacted(plan(config, full, LIMITS, idle=True)) == ("build", ["1"], True, False)
    assert plan(config, state((50_000, "hnsw-fp16"), (15_000, "hnsw-fp16")), LIMITS, idle=True) is None


def test_neighbours_are_merged() -> None:
    pair = state((60_000, "hnsw-fp16"), (30_000, "hnsw-fp16"))
    assert compacted(plan(CONFIG, pair, LIMITS, idle=False)) == ("merge", ["0", "1"], True, True)
    uneven = state((60_000, "hnsw-fp16"), (20_000, "hnsw-fp16"))
    assert plan(CONFIG, uneven, LIMITS, idle=False) is None
    assert compacted(plan(CONFIG, uneven, LIMITS, idle=True)) == ("merge", ["0", "1"], True, True)
    config = configured(indexing_threshold=0)
    assert compacted(plan(config, state((4_000, None), (4_000, None)), LIMITS, idle=True)) == (
        "merge",
        ["0", "1"],
        False,
        False,
    )


def test_dead_rows_are_dropped_from_their_share_on() -> None:
    space = state((2_000, "hnsw-fp16"))
    few = replace(space, live=space.live - bits.full(400))
    many = replace(space, live=space.live - bits.full(401))
    assert plan(CONFIG, few, LIMITS, idle=True) is None
    assert compacted(plan(CONFIG, many, LIMITS, idle=False)) == ("vacuum", ["0"], True, False)
    assert plan(configured(vacuum_min_vector_number=2_001), many, LIMITS, idle=True) is None
    none = replace(state((10, None)), live=bits.empty())
    assert compacted(plan(CONFIG, none, LIMITS, idle=False)) == ("vacuum", ["0"], False, False)


def test_dead_flat_rows_do_not_put_off_the_index() -> None:
    space = state((20_000, None), (5_000, None))
    half = replace(space, live=space.live - bits.full(10_000))
    assert compacted(plan(CONFIG, half, LIMITS, idle=False)) == ("build", ["0", "1"], True, False)


@pytest.mark.parametrize("change", [HnswConfig(m=8, ef_construct=100), HnswConfig(m=16, ef_construct=200)])
def test_other_parameters_rebuild(change: HnswConfig) -> None:
    space = state((20_000, "hnsw-fp16"))
    changed = replace(space, hnsw=change)
    assert compacted(plan(CONFIG, changed, LIMITS, idle=True)) == ("rebuild", ["0"], True, False)
    scan = replace(state((20_000, "scan")), unusable=frozenset())
    assert plan(CONFIG, scan, LIMITS, idle=True) is None


def test_missing_index_is_rebuilt_and_an_unwanted_one_dropped() -> None:
    space = state((20_000, "hnsw-fp16"))
    missing = replace(space, unusable=frozenset({"0"}))
    assert compacted(plan(CONFIG, missing, LIMITS, idle=True)) == ("rebuild", ["0"], True, False)
    unwanted = replace(space, hnsw=HnswConfig(m=0, ef_construct=100))
    assert compacted(plan(CONFIG, unwanted, LIMITS, idle=True)) == ("rebuild", ["0"], False, False)


def done(space: SpaceState, task: Task, uid: str) -> SpaceState:
    """What the space is after a task."""
    if isinstance(task, Seal):
        first = max((s.last_slot + 1 for s in space.segments), default=0)
        rows = space.unsealed_rows
        sealed = SegmentMeta(uid, 0, rows, first, first + rows - 1, ROW_BYTES)
        live = space.live | (bits.full(first + rows) - bits.full(first))
        return replace(space, segments=(*space.segments, sealed), live=live, unsealed_rows=0, unsealed_bytes=0)
    removed = {source.uid for source in task.sources}
    head = task.sources[0].rows if task.extend else space.live_rows(task.sources[0])
    rows = head + sum(space.live_rows(source) for source in task.sources[1:])
    kept = [segment for segment in space.segments if segment.uid not in removed]
    if rows:
        parameters = (space.hnsw.m or 0, space.hnsw.ef_construct or 0) if task.index else (0, 0)
        index = "hnsw-fp16" if task.index else None
        first, last = task.sources[0].first_slot, task.sources[-1].last_slot
        kept.append(SegmentMeta(uid, 0, rows, first, last, ROW_BYTES, index, *parameters))
    return replace(
        space,
        segments=tuple(sorted(kept, key=lambda s: s.first_slot)),
        unusable=space.unusable - removed,
    )


@given(
    st.lists(st.tuples(st.integers(1, 30_000), st.sampled_from([None, "hnsw-fp16", "scan"])), max_size=8),
    st.integers(0, 12_000),
    st.integers(0, 2**32),
    st.sampled_from([0, 1, 1_000, 10_000]),
    st.sampled_from([0, 8, 16]),
    st.booleans(),
)
def test_it_comes_to_an_end(  # noqa: PLR0913
    sizes: list[tuple[int, str | None]],
    unsealed: int,
    seed: int,
    threshold: int,
    m: int,
    idle: bool,  # noqa: FBT001
) -> None:
    """However the space looks, a bounded number of tasks settles it, and each joins only neighbours."""
    space = state(*sizes, unsealed=unsealed)
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (2, space.live.bits.size), dtype=np.uint8)
    dead = bits.SlotSet(space.live.first, noise[0] & noise[1])
    space = replace(
        space,
        live=space.live - dead,
        hnsw=HnswConfig(m=m, ef_construct=100),
        unusable=frozenset(s.uid for s in space.segments if s.index == "hnsw-fp16" and rng.random() < 0.2),
    )
    config = configured(indexing_threshold=threshold)
    for step in range(60):
        task = plan(config, space, LIMITS, idle=idle)
        if task is None:
            break
        if isinstance(task, Compact):
            places = [space.segments.index(source) for source in task.sources]
            assert places == list(range(places[0], places[0] + len(places)))
        space = done(space, task, f"new{step}")
    else:
        pytest.fail("does not settle")
    if idle:
        assert settled(config, space)
