"""Dense search over the rows of one segment: FAISS graphs, exact scans, and the choice between them.

Graphs are HNSW (Malkov and Yashunin, arXiv:1603.09320); their labels are row numbers. A graph only proposes:
similarities in a result are computed from the raw rows, in float32.

Traps this module keeps away from its callers: search parameters without an efSearch would silently mean 16, an efSearch
set at the index would race between threads, faiss keeps bare pointers into numpy arrays, and a float16
store would turn large components into infinity.
"""

from __future__ import annotations

import math
import threading
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar

import faiss as annotated_faiss
import numpy as np

from pointstore.core.schema import Distance
from pointstore.index import flat, scan
from pointstore.index import slots as bits

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from numpy.typing import NDArray

    from pointstore.core.space import Floats, Rows, Space
    from pointstore.index.flat import Positions
    from pointstore.index.slots import Slots, SlotSet

faiss: Any = annotated_faiss
"""The module without its annotations, which miss much of what it has."""

ROWS_PER_EF: Final = 15
"""Cost of one unit of ef, in exact comparisons of a gathered row (measured; docs/adr/0004-dense-index.md)."""
SELECTIVITY_EXPONENT: Final = 0.55
"""How ef grows with 1 / selectivity to keep the recall (measured there)."""

_WEAK_EXPONENT: Final = 1.6
_WEAK_FACTOR: Final = 3.0
"""The same for filters that most rows pass: at a half, three times the ef."""

_HALF_MAX: Final = 65_504.0
_LARGEST: Final = 1e16
_HALF_ERROR: Final = 1e-5
_SAMPLE: Final = 64
_RESULTS_MIN: Final = 1024
_SPARE: Final = 1.5
_EF_GROWTH: Final = 4
_M_RANGE: Final = (2, 512)
_BLOCK_ROWS: Final = 8_192
_WRITE_BYTES: Final = 1 << 20
_SCAN_SHARE: Final = 4
"""Results are a small part of the rows that are worth a proposal first."""


_Item = TypeVar("_Item", bound=np.generic)


class Kind(StrEnum):
    """How the rows of an indexed segment are searched; the name is stored in the segment list.

    SCAN has no file: the rows are unfit for a graph (not finite, or their squares overflow), so an exact scan is final.
    """

    HALF = "hnsw-fp16"
    BYTE = "hnsw-u8"
    FLOAT = "hnsw-f32"
    SCAN = "scan"


class IndexRefusedError(Exception):
    """An index file that cannot be used: unreadable, or not the index of these rows."""


def blocks_of(rows: NDArray[_Item]) -> Iterable[NDArray[_Item]]:
    """Yield consecutive pieces of rows that are modest in memory once they are float32."""
    for start in range(0, len(rows), _BLOCK_ROWS):
        yield rows[start : start + _BLOCK_ROWS]


def choose_kind(space: Space, blocks: Iterable[Rows]) -> Kind:
    """Choose the most compact store whose errors do not matter for these rows.

    float16 is refused beyond its range, and where its rounding is not small against the spread of the rows (large
    common offsets, tiny components).
    """
    if space.dtype == np.uint8:
        if space.distance is Distance.MANHATTAN:
            return Kind.FLOAT
        return Kind.HALF if space.distance is Distance.COSINE else Kind.BYTE
    largest = 0.0
    samples = []
    for block in blocks:
        rows = flat.widen(block)
        if not rows.size:
            continue
        # NaN passes neither comparison.
        if not -_LARGEST < float(rows.min()) <= float(rows.max()) < _LARGEST:
            return Kind.SCAN
        largest = max(largest, float(rows.max()), -float(rows.min()))
        samples.append(rows[:: max(len(rows) // _SAMPLE, 1)].copy())
    if space.distance is Distance.MANHATTAN or largest > _HALF_MAX:
        return Kind.FLOAT
    if space.dtype == np.float16 or not samples:
        return Kind.HALF
    sample = np.concatenate(samples).astype(np.float64)
    error = np.square(sample - sample.astype(np.float16)).sum()
    spread = np.square(sample - sample.mean(axis=0)).sum()
    return Kind.FLOAT if error > _HALF_ERROR * spread else Kind.HALF


class IndexBuilder:
    """A graph in memory that grows by rows; used by one thread at a time.

    Args:
        space: how rows are compared.
        kind: the store, not SCAN.
        m: links of a node (twice as many on the lowest level), taken into 2..512.
        ef_construct: candidates of an insertion.
        threads: for `add`.
    """

    def __init__(self, space: Space, kind: Kind, m: int, ef_construct: int, threads: int) -> None:
        self.kind = kind
        self.space = space
        self._threads = threads
        links = min(max(m, _M_RANGE[0]), _M_RANGE[1])
        metric = _metric(space)
        if kind is Kind.FLOAT:
            self._index: Any = faiss.IndexHNSWFlat(space.dim, links, metric)
        else:
            quantizer = faiss.ScalarQuantizer
            store = quantizer.QT_8bit_direct if kind is Kind.BYTE else quantizer.QT_fp16
            self._index = faiss.IndexHNSWSQ(space.dim, store, links, metric)
            # These two stores learn nothing from it, but insist on the call.
            self._index.train(np.zeros((1, space.dim), dtype=np.float32))
        self._index.hnsw.efConstruction = max(ef_construct, 1)

    @classmethod
    def load(cls, path: Path, space: Space, kind: Kind, m: int, ef_construct: int, threads: int) -> IndexBuilder:  # noqa: PLR0913  the constructor's and a path
        """Read a written index to continue it with the same parameters.

        Raises:
            IndexRefusedError: it is not an index of this space and kind.

        """
        builder = cls(space, kind, m, ef_construct, threads)
        builder._index = _read(path, space, kind, 0)
        builder._index.hnsw.efConstruction = max(ef_construct, 1)
        return builder

    @property
    def rows(self) -> int:
        """Number of rows so far."""
        return int(self._index.ntotal)

    def add(self, rows: Rows) -> None:
        """Insert (m, dim) stored rows as the next row numbers."""
        # The number of threads is a property of the calling thread, so workers are not affected.
        faiss.omp_set_num_threads(self._threads)
        for block in blocks_of(rows):
            self._index.add(np.ascontiguousarray(_comparable(self.space, block)))

    def write(self, path: Path) -> None:
        """Write the index file.

        Raises:
            OSError: it could not be written.

        """
        # Not by faiss itself, which takes no notice when the last bytes of a file cannot be written.
        with path.open("wb") as file:
            faiss.write_index(self._index, faiss.PyCallbackIOWriter(file.write, _WRITE_BYTES))


class DenseIndex:
    """An index file opened for searches by any number of threads; its pages are shared between processes.

    Args:
        path: the index file.
        space: how rows are compared.
        kind: as published.
        slots: (m,) uint64 ascending, the slot of every row.

    Raises:
        IndexRefusedError: the file cannot be used.
    """

    def __init__(self, path: Path, space: Space, kind: Kind, slots: Slots) -> None:
        self._index = _read(path, space, kind, faiss.IO_FLAG_MMAP_IFC)
        if self._index.ntotal != len(slots):
            raise IndexRefusedError(f"{path}: {self._index.ntotal} rows for {len(slots)} slots")
        self._dim = space.dim
        self._local = threading.local()

    def search(self, query: Floats, k: int, ef: int) -> Positions:
        """Return at most k row numbers near the query, nearest first.

        Args:
            query: (dim,) float32, transformed.
            k: at least 1.
            ef: candidates kept during the search, at least k.

        """
        scratch: _Scratch | None = getattr(self._local, "scratch", None)
        if scratch is None or scratch.labels.size < k:
            scratch = self._local.scratch = _Scratch(self._dim, k)
        scratch.query[:] = query
        scratch.parameters.efSearch = ef
        self._index.search_c(
            1, scratch.query_pointer, k, scratch.distance_pointer, scratch.label_pointer, scratch.parameters
        )
        found: Positions = scratch.labels[:k].copy()
        # What was not found is at the end.
        return found if found[-1] >= 0 else found[found >= 0]


class _Scratch:
    """What one thread reuses between searches: every call into faiss gives up the interpreter lock, so few are made."""

    def __init__(self, dim: int, k: int) -> None:
        self.query = np.empty(dim, dtype=np.float32)
        self.distances = np.empty(max(k, _RESULTS_MIN), dtype=np.float32)
        self.labels = np.empty(max(k, _RESULTS_MIN), dtype=np.int64)
        self.query_pointer = faiss.swig_ptr(self.query)
        self.distance_pointer = faiss.swig_ptr(self.distances)
        self.label_pointer = faiss.swig_ptr(self.labels)
        self.parameters = faiss.SearchParametersHNSW()


class DenseSegment:
    """A segment opened for searches by any number of threads.

    Args:
        space: how rows are compared.
        slots: (m,) uint64, ascending.
        rows: (m, dim) in the stored dtype.
        index: None for an exact scan.
    """

    def __init__(self, space: Space, slots: Slots, rows: Rows, index: DenseIndex | None) -> None:
        self.space = space
        # Plain arrays: every operation on numpy's memmap class runs Python code.
        self.slots = np.asarray(slots)
        self.rows = np.asarray(rows)
        self.first_slot = int(slots[0])
        self.last_slot = int(slots[-1])
        self._index = index
        self._dense = self.last_slot - self.first_slot + 1 == len(slots)

    @property
    def indexed(self) -> bool:
        """Whether there is a graph."""
        return self._index is not None

    def search(  # noqa: PLR0913  what a search consists of
        self,
        query: Floats,
        k: int,
        ef: int,
        live: SlotSet | None = None,
        selected: int | None = None,
        *,
        exact: bool = False,
    ) -> tuple[Slots, Floats]:
        """Find the k nearest rows among the live ones; never fewer than there are.

        Args:
            query: (dim,) float32, transformed by `Space.query`.
            k: number of results wanted.
            ef: candidates of an unfiltered search; raised here as far as `live` demands.
            live: slots to choose from, all of the segment by default. Between first_slot and last_slot it holds slots
                of this segment only.
            selected: popcount of `live` over that range, when the caller knows it.
            exact: no approximation.

        Returns:
            Slots and exact similarities, best first, equal ones by slot.

        """
        count = len(self.slots)
        if live is not None:
            selected = bits.popcount(live, self.first_slot, self.last_slot + 1) if selected is None else selected
            count = min(selected, count)
        if k <= 0 or count == 0:
            return np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.float32)
        if live is not None and count == len(self.slots):
            live = None
        found = None if exact else self._approximate(query, k, ef, live, count)
        if found is None:
            selection = None if live is None else self._positions(live, count)
            found = self._scan(query, k, selection)
        positions, similarities = found
        return self.slots[positions], similarities

    def rows_of(self, slots: Slots) -> Rows:
        """Return the (m, dim) stored rows of slots that are all in the segment.

        Raises:
            KeyError: a slot is not in the segment.

        """
        positions = slots - np.uint64(self.first_slot) if self._dense else np.searchsorted(self.slots, slots)
        if slots.size and (int(positions.max()) >= len(self.slots) or not np.array_equal(self.slots[positions], slots)):
            raise KeyError("a slot that is not in the segment")
        return self.rows.take(positions.astype(np.int64), axis=0)

    def _approximate(
        self, query: Floats, k: int, ef: int, live: SlotSet | None, selected: int
    ) -> tuple[Positions, Floats] | None:
        """Ask the graph; None when an exact scan is cheaper.

        The graph is searched without the filter, and the members among its ef nearest rows are taken. At least k of
        them are as good as an unfiltered result; fewer mean that the filter lies elsewhere than the query, so ef grows
        until an exact scan costs no more. (A selector inside the graph would return k rows then, too, but wrong ones.)
        """
        if self._index is None or not math.isfinite(_squared(query)):
            return None
        ef = max(ef, k)
        if live is not None:
            share = selected / len(self.slots)
            ef = max(raised_ef(ef, share), math.ceil(_SPARE * k / share))
        wanted = max(k, min(ef, _spare(k)))
        while ROWS_PER_EF * ef < selected and ef < len(self.slots):
            candidates = self._index.search(query, wanted if live is None else ef, ef)
            if live is not None:
                candidates = candidates[bits.test(live, self.slots[candidates])][:wanted]
            if candidates.size >= k:
                return self._scored(query, candidates, k)
            ef *= _EF_GROWTH
        return None

    def _scan(self, query: Floats, k: int, selection: Positions | None) -> tuple[Positions, Floats]:
        """Compare the query with the selected rows, or with all."""
        if selection is None or k * _SCAN_SHARE > selection.size or not scan.scannable(self.space, self.rows):
            return flat.search(self.space, query, self.rows, k, selection)
        return self._scored(query, scan.nearest(self.space, query, self.rows, selection, _spare(k)), k)

    def _scored(self, query: Floats, candidates: Positions, k: int) -> tuple[Positions, Floats]:
        """Return the best k of the candidates by their raw rows."""
        candidates.sort()
        similarities = flat.similarities_of(self.space, query, self.rows, candidates)
        best = np.argsort(-similarities, kind="stable")[:k]
        return candidates[best], similarities[best]

    def _positions(self, live: SlotSet, selected: int) -> Positions:
        """Return the row numbers of the live slots, ascending."""
        if not self._dense and selected * 16 > len(self.slots):
            return np.flatnonzero(bits.test(live, self.slots))
        members = bits.to_slots(live, self.first_slot, self.last_slot + 1)
        if self._dense:
            return (members - np.uint64(self.first_slot)).astype(np.int64)
        return np.searchsorted(self.slots, members)


def open_dense(space: Space, slots: Slots, rows: Rows, path: Path | None, kind: str | None) -> DenseSegment:
    """Open a segment for searches.

    Args:
        space: how rows are compared.
        slots: (m,) uint64, ascending.
        rows: (m, dim) in the stored dtype.
        path: the index file, None for none.
        kind: the published kind of index.

    Returns:
        The segment; with `indexed` False when the file was refused: it is searched exactly then.

    """
    index = None
    if path is not None and kind in (Kind.HALF, Kind.BYTE, Kind.FLOAT):
        try:
            index = DenseIndex(path, space, Kind(kind), slots)
        except IndexRefusedError:
            index = None
    return DenseSegment(space, slots, rows, index)


def raised_ef(ef: int, selectivity: float) -> int:
    """Return the ef that keeps the recall of `ef` when only a share of the rows may be returned."""
    if selectivity >= 1:
        return ef
    # Weak filters need more than their share: the members among the nearest are as many, but the graph misses as many.
    factor: float = max(min(selectivity**-_WEAK_EXPONENT, _WEAK_FACTOR), selectivity**-SELECTIVITY_EXPONENT)
    return math.ceil(ef * factor)


def _spare(k: int) -> int:
    """Return how many candidates to score again for k results: what proposes rounds, but each costs a cold read."""
    return k + max(4, k // 4)


def _squared(query: Floats) -> float:
    return float(query.dot(query))


def _metric(space: Space) -> int:
    if space.distance is Distance.EUCLID:
        return int(faiss.METRIC_L2)
    return int(faiss.METRIC_L1 if space.distance is Distance.MANHATTAN else faiss.METRIC_INNER_PRODUCT)


def _comparable(space: Space, rows: Rows) -> Floats:
    """Return rows as the index holds them: float32, of unit length where only angles count."""
    result = flat.widen(rows)
    if space.distance is Distance.COSINE and space.dtype == np.uint8:
        lengths = np.sqrt(np.einsum("ij,ij->i", result, result))
        result /= np.where(lengths > 0, lengths, np.float32(1))[:, None]
    return result


def _read(path: Path, space: Space, kind: Kind, flags: int) -> Any:  # noqa: ANN401  a faiss index
    """Read an index file and check that it is one of this space and kind."""
    try:
        index = faiss.read_index(str(path), flags)
    except (RuntimeError, MemoryError) as error:
        raise IndexRefusedError(f"{path}: {error}") from error
    expected = faiss.IndexHNSWFlat if kind is Kind.FLOAT else faiss.IndexHNSWSQ
    if not isinstance(index, expected) or index.d != space.dim or index.metric_type != _metric(space):
        raise IndexRefusedError(f"{path}: not a {kind} index of {space.dim} dimensions")
    return index
