"""What the libraries cost without a server: FAISS on bare arrays, LMDB in a bare loop."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import faiss as faiss_module
import lmdb
import numpy as np

from qdrant_grpc.points_pb2 import UpsertPoints

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

faiss: Any = faiss_module
"""Its type hints lack half of what it has."""

LINKS = 16
EF_CONSTRUCTION = 100
BUILD_THREADS = 2
_MAP_BYTES = 4 << 30


@dataclass(frozen=True, slots=True)
class Build:
    """A graph and the seconds its building took."""

    index: Any
    seconds: float


def normalized(rows: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return (m, dim) rows as float32 of unit length."""
    result = rows.astype(np.float32)
    result /= np.linalg.norm(result, axis=1, keepdims=True)
    return result


def build(vectors: NDArray[np.float16]) -> Build:
    """Build the index that the server builds by default, from memory, on 2 threads."""
    rows = normalized(vectors)
    faiss.omp_set_num_threads(BUILD_THREADS)
    index = faiss.IndexHNSWSQ(rows.shape[1], faiss.ScalarQuantizer.QT_fp16, LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = EF_CONSTRUCTION
    start = time.perf_counter()
    index.train(rows[:1])
    index.add(rows)
    return Build(index, time.perf_counter() - start)


def read_own_index(data_dir: Path, points: int) -> Any | None:  # noqa: ANN401  a faiss index
    """Return the server's index of `points` rows, mapped as the server maps it; None when it is in several files."""
    for path in sorted(data_dir.glob("collections/*/segments/*/index.faiss")):
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        if index.ntotal == points:
            return index
    return None


def search_cpu_s(index: Any, queries: NDArray[np.float32], ef: int, k: int, repeats: int) -> float:  # noqa: ANN401
    """Return the CPU seconds of one search, one query a call, one thread, each query `repeats` times in a row."""
    faiss.omp_set_num_threads(1)
    params = faiss.SearchParametersHNSW(efSearch=ef)
    rows = normalized(queries)
    for row in rows:
        index.search(row[None], k, params=params)
    start = time.process_time()
    for row in rows:
        query = row[None]
        for _ in range(repeats):
            index.search(query, k, params=params)
    return (time.process_time() - start) / (len(rows) * repeats)


class BareStore:
    """The least that keeps points: an LMDB file, default flags, a synced transaction a call."""

    def __init__(self, directory: Path) -> None:
        self._env = lmdb.open(str(directory), map_size=_MAP_BYTES)

    def upsert(self, bodies: Sequence[bytes]) -> list[float]:
        """Parse each request and put its points, id to serialized payload and vectors; return seconds a call."""
        seconds = []
        for body in bodies:
            start = time.perf_counter()
            request = UpsertPoints.FromString(body)
            with self._env.begin(write=True) as txn:
                for point in request.points:
                    txn.put(point.id.num.to_bytes(8, "big"), point.SerializeToString())
            seconds.append(time.perf_counter() - start)
        return seconds

    def close(self) -> None:
        """Close the file."""
        self._env.close()
