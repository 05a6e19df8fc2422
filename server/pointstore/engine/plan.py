"""What the optimizer has to do next, as pure functions of what it sees.

The same `plan` answers the status of a collection: see `settled`.

Rows of a space move through three stages: unsealed (in LMDB) -> flat segments -> indexed segments. An index is
continued rather than built anew where possible, and segments are merged on a geometric schedule while writes go on,
so that a row is rewritten a logarithmic number of times. When the writes pause, the plan gets stricter and
leaves few segments and a small tail.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pointstore.core.schema import OPTIMIZERS_DEFAULTS, CollectionConfig, HnswConfig, OptimizersConfig, merge
from pointstore.index import slots as bits

if TYPE_CHECKING:
    from pointstore.core.space import Space
    from pointstore.storage.segments import SegmentMeta

_KIB: Final = 1 << 10
_MIB: Final = 1 << 20

SEGMENT_BYTES_MAX: Final = 1 << 30
"""Row bytes up to which segments are merged, unless the collection sets `max_segment_size`."""
IDLE_TAIL_BYTES: Final = 256 * _KIB
"""Row bytes that may stay unindexed when no writes come."""
IDLE_TAIL_SHARE: Final = 0.005
"""The same as a share of the indexed bytes; the larger of both counts."""
MERGE_SHARE: Final = 0.5
"""While writes come, a segment is merged into its predecessor when it has at least this share of its bytes."""
IDLE_MERGE_SHARE: Final = 0.05
"""The same when no writes come."""
CHEAP_BYTES: Final = 256 * _MIB
"""A segment up to this size is rewritten for any addition when no writes come."""


_NEVER: Final = 1 << 62


@dataclass(frozen=True, slots=True)
class SpaceState:
    """What the optimizer sees of one dense space (never a multi-vector one).

    Attributes:
        name: vector name.
        number: internal number.
        space: how rows are stored and compared.
        hnsw: the effective graph parameters.
        segments: published segments, ascending by slot.
        live: the live slots of this vector.
        unsealed_rows: rows in LMDB, dead ones included.
        unsealed_bytes: their size.
        unusable: uids of indexed segments whose index file is missing or was refused.
    """

    name: str
    number: int
    space: Space
    hnsw: HnswConfig
    segments: tuple[SegmentMeta, ...]
    live: bits.SlotSet
    unsealed_rows: int
    unsealed_bytes: int
    unusable: frozenset[str] = frozenset()

    def live_rows(self, segment: SegmentMeta) -> int:
        """Count the live rows of a segment."""
        return bits.popcount(self.live, segment.first_slot, segment.last_slot + 1)


@dataclass(frozen=True, slots=True)
class OptimizerState:
    """One consistent read of a collection.

    Attributes:
        version: changes with every committed transaction that changes rows, segments or the configuration.
        config: of the collection.
        spaces: dense spaces that are not multi-vector.
        next_slot: every slot given so far is smaller.
    """

    version: int
    config: CollectionConfig
    spaces: tuple[SpaceState, ...]
    next_slot: int


@dataclass(frozen=True, slots=True)
class Limits:
    """Settings of the server that the plan depends on, in row bytes."""

    seal_bytes: int = 8 * _MIB
    tail_bytes: int = 10 * _MIB


@dataclass(frozen=True, slots=True)
class Seal:
    """Write the unsealed rows to a flat segment."""


@dataclass(frozen=True, slots=True)
class Compact:
    """Replace adjacent segments by one that holds their live rows.

    Attributes:
        sources: the segments, ascending; one is possible.
        index: build an index for the result.
        extend: keep every row of the first source, dead ones too, and continue its index with the other rows.
        reason: for the log: build, extend, merge, vacuum, rebuild.
    """

    sources: tuple[SegmentMeta, ...]
    index: bool
    extend: bool = False
    reason: str = field(default="build", compare=False)


Task = Seal | Compact


def plan(config: CollectionConfig, state: SpaceState, limits: Limits, *, idle: bool) -> Task | None:
    """Return the next task for a space, or None.

    Args:
        config: gives the collection's optimizer settings.
        state: what is there.
        limits: the server's settings.
        idle: no write came for a while; True also for the question whether any work is left at all.

    """
    settings = merge(OPTIMIZERS_DEFAULTS, config.optimizers_config)
    if state.unsealed_bytes >= limits.seal_bytes:
        return Seal()
    return (
        _repair(settings, state)
        or _vacuum(settings, state, indexed=True)
        or _index_tail(settings, state, limits, idle=idle)
        # After the tail: indexing it drops dead rows as well, and must not starve while flat segments come and go.
        or _vacuum(settings, state, indexed=False)
        or _merge(settings, state, idle=idle)
    )


def settled(config: CollectionConfig, state: SpaceState) -> bool:
    """Tell whether nothing is left to do for a space, whatever the server's limits are: the collection may be Green."""
    return plan(config, state, Limits(seal_bytes=_NEVER), idle=True) is None


def wants_index(settings: OptimizersConfig, state: SpaceState) -> bool:
    """Tell whether new rows of the space get a graph at all."""
    return bool(state.hnsw.m) and settings.indexing_threshold != 0


def _repair(settings: OptimizersConfig, state: SpaceState) -> Compact | None:
    """Rebuild an index that is missing or was built with other parameters."""
    for segment in state.segments:
        if segment.index is None:
            continue
        if state.hnsw.m == 0:
            return Compact((segment,), index=False, reason="rebuild")
        if settings.indexing_threshold == 0:
            continue
        built = (segment.m, segment.ef_construct)
        if segment.uid in state.unusable or built != (state.hnsw.m, state.hnsw.ef_construct):
            return Compact((segment,), index=True, reason="rebuild")
    return None


def _vacuum(settings: OptimizersConfig, state: SpaceState, *, indexed: bool) -> Compact | None:
    """Drop dead rows where their share is too large."""
    share = settings.deleted_threshold or 0.0
    rows_min = settings.vacuum_min_vector_number or 0
    for segment in state.segments:
        if (segment.index is not None) != indexed:
            continue
        live = state.live_rows(segment)
        dead = segment.rows - live
        if live == 0 or (segment.rows >= rows_min and dead > share * segment.rows):
            return Compact((segment,), index=indexed, reason="vacuum")
    return None


def _index_tail(settings: OptimizersConfig, state: SpaceState, limits: Limits, *, idle: bool) -> Task | None:
    """Index the rows that have no index yet, when they are enough."""
    if not wants_index(settings, state):
        return None
    flat_bytes = sum(state.live_rows(s) * s.row_bytes for s in state.segments if s.index is None)
    indexed_bytes = sum(s.bytes for s in state.segments if s.index is not None)
    tail = flat_bytes + state.unsealed_bytes
    if not indexed_bytes:
        due = tail >= (settings.indexing_threshold or 0) * _KIB and tail > 0
    elif idle:
        due = tail > max(IDLE_TAIL_BYTES, IDLE_TAIL_SHARE * indexed_bytes)
    else:
        due = tail > limits.tail_bytes
    if not due:
        return None
    if state.unsealed_bytes and (idle or not flat_bytes):
        return Seal()
    return _index_flat(settings, state, idle=idle)


def _index_flat(settings: OptimizersConfig, state: SpaceState, *, idle: bool) -> Compact | None:
    """Take the first run of flat segments: continue the index before it, or build a new one."""
    bytes_max = _bytes_max(settings)
    start = next((i for i, s in enumerate(state.segments) if s.index is None), None)
    if start is None:
        return None
    run: list[SegmentMeta] = []
    size = 0
    for segment in state.segments[start:]:
        if segment.index is not None or (run and size + segment.bytes > bytes_max):
            break
        run.append(segment)
        size += segment.bytes
    previous = state.segments[start - 1] if start else None
    if previous and previous.bytes + size <= bytes_max and _worth(previous.bytes, size, idle=idle):
        return Compact((previous, *run), index=True, extend=True, reason="extend")
    return Compact(tuple(run), index=True)


def _merge(settings: OptimizersConfig, state: SpaceState, *, idle: bool) -> Compact | None:
    """Join two neighbours of one kind; the latest first, so that sizes stay descending."""
    bytes_max = _bytes_max(settings)
    for left, right in reversed(list(zip(state.segments, state.segments[1:], strict=False))):
        indexed = left.index is not None
        if indexed != (right.index is not None) or left.bytes + right.bytes > bytes_max:
            continue
        if _worth(left.bytes, right.bytes, idle=idle and indexed):
            return Compact((left, right), index=indexed, extend=indexed, reason="merge")
    return None


def _worth(size: int, added: int, *, idle: bool) -> bool:
    """Tell whether rewriting a segment of `size` bytes is worth adding `added` bytes."""
    if idle:
        return size <= CHEAP_BYTES or added >= IDLE_MERGE_SHARE * size
    return added >= MERGE_SHARE * size


def _bytes_max(settings: OptimizersConfig) -> int:
    """Return the row bytes up to which segments are joined."""
    return settings.max_segment_size * _KIB if settings.max_segment_size else SEGMENT_BYTES_MAX
