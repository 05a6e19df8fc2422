"""Graphs of segments in the making: built over the rows of those that a task replaces, or continued from the first.

The graph that was made last stays in memory for a while, since more rows often follow soon.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
import structlog

from pointstore.index import slots as bits
from pointstore.index.dense import IndexBuilder, IndexRefusedError, Kind, blocks_of, choose_kind
from pointstore.storage.segments import INDEX_FILE, IndexSource, SegmentMeta, open_segment

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from pointstore.core.space import Rows
    from pointstore.engine.plan import Compact, SpaceState

KEPT_BYTES_MAX: Final = 1 << 30
"""Row bytes of a segment up to which its graph stays in memory for being continued."""

_KEEP_S: Final = 60.0

_log = structlog.get_logger(__name__)


class StoppedError(Exception):
    """The process shall end; the task is repeated after the next start."""


class Sources:
    """The rows of the segments that a task replaces, ascending by slot.

    Attributes:
        slots: (m,) uint64.
        continued: the first source when all of its rows are taken, dead ones too, to continue its graph.
    """

    def __init__(self, root: Path, space: SpaceState, task: Compact, *, extend: bool) -> None:
        self._files = [open_segment(root, source) for source in task.sources]
        self._live = space.live
        self.continued = task.sources[0] if extend else None
        self._select()

    def drop_dead(self) -> None:
        """Give up continuing the first source: only live rows are taken from it, too."""
        if self.continued is not None:
            self.continued = None
            self._select()

    def blocks(self, after: int = 0) -> Iterator[Rows]:
        """Yield the rows from number `after` on, in pieces."""
        for files, positions in zip(self._files, self._positions, strict=True):
            skipped = min(after, positions.size)
            after -= skipped
            for block in blocks_of(positions[skipped:]):
                yield files.rows.take(block, axis=0)

    def _select(self) -> None:
        self._positions: list[NDArray[np.int64]] = []
        for place, files in enumerate(self._files):
            whole = place == 0 and self.continued is not None
            self._positions.append(
                np.arange(len(files.slots)) if whole else np.flatnonzero(bits.test(self._live, files.slots))
            )
        self.slots = np.concatenate(
            [files.slots[positions] for files, positions in zip(self._files, self._positions, strict=True)]
        )


@dataclass(frozen=True, slots=True)
class _Kept:
    """The graph of a segment in memory."""

    uid: str
    builder: IndexBuilder
    since: float


class Graphs:
    """Builds graphs, one at a time, and keeps the last one.

    Args:
        threads: of one build.
    """

    def __init__(self, threads: int) -> None:
        self._threads = threads
        self._kept: _Kept | None = None

    def keep(self, meta: SegmentMeta, builder: IndexBuilder) -> None:
        """Keep the graph of a published segment for being continued, unless it is large."""
        if meta.bytes <= KEPT_BYTES_MAX:
            self._kept = _Kept(meta.uid, builder, time.monotonic())

    def forget_old(self) -> None:
        """Let go of a graph that was not continued for a while; not during a build."""
        if self._kept is not None and time.monotonic() - self._kept.since > _KEEP_S:
            self._kept = None

    def index(
        self, root: Path, space: SpaceState, rows: Sources, stop: threading.Event
    ) -> tuple[IndexSource, IndexBuilder | None]:
        """Build or continue the graph of the rows; None for the graph where scans are to do.

        Args:
            root: directory of the segments.
            space: of the rows.
            rows: gives up those that are dead when its first source cannot be continued.
            stop: ends it.

        Raises:
            StoppedError: it was set.
        """
        m, ef_construct = space.hnsw.m or 0, space.hnsw.ef_construct or 0
        builder = self._continued(root, space, rows)
        done = builder.rows if builder else 0
        if builder is None:
            rows.drop_dead()
            kind = choose_kind(space.space, rows.blocks())
            if kind is Kind.SCAN:
                return IndexSource(kind, m, ef_construct, None), None
            builder = IndexBuilder(space.space, kind, m, ef_construct, self._threads)
        for block in rows.blocks(after=done):
            if stop.is_set():
                raise StoppedError
            builder.add(block)
        return IndexSource(builder.kind, m, ef_construct, builder.write), builder

    def _continued(self, root: Path, space: SpaceState, rows: Sources) -> IndexBuilder | None:
        """Return the graph of the first source if the other rows can be added to it."""
        # Taken out: if adding fails half way, it is of no use any more.
        kept, self._kept = self._kept, None
        first = rows.continued
        if first is None or first.index not in (Kind.HALF, Kind.BYTE, Kind.FLOAT):
            return None
        kind = Kind(first.index)
        needed = choose_kind(space.space, rows.blocks(after=first.rows))
        if needed is Kind.SCAN or (needed is Kind.FLOAT and kind is not Kind.FLOAT):
            return None
        if kept is not None and kept.uid == first.uid:
            return kept.builder
        try:
            path = root / first.uid / INDEX_FILE
            return IndexBuilder.load(path, space.space, kind, first.m, first.ef_construct, self._threads)
        except IndexRefusedError as error:
            _log.warning("an index is built anew", error=str(error))
            return None
