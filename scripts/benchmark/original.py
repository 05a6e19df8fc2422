"""The original engine embedded in this process (PyPI `qdrant-edge-py`), with the points of the enlarged corpus."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from scripts.benchmark.baselines import BUILD_THREADS, EF_CONSTRUCTION, LINKS
from scripts.benchmark.enlarged import INDEXED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scripts.benchmark.enlarged import Enlarged, Selection

_BATCH = 1000
_FULL_SCAN_KB = 10_000
"""The server's default: below it the original engine scans what a filter leaves."""


class Original:
    """A shard of the original engine, with the same graph parameters and field indexes as the server's collection.

    Its payloads hold the indexed fields only: queries return none.

    Args:
        directory: a new one for its files.
        enlarged: the points.

    Raises:
        ImportError: the engine is not installed.

    """

    def __init__(self, directory: Path, enlarged: Enlarged) -> None:
        import qdrant_edge

        self._edge: Any = qdrant_edge
        edge = self._edge
        config = edge.EdgeConfig(
            vectors={"": edge.EdgeVectorParams(enlarged.corpus.dim, edge.Distance.Cosine)},
            hnsw_config=edge.HnswIndexConfig(LINKS, EF_CONSTRUCTION, _FULL_SCAN_KB, max_indexing_threads=BUILD_THREADS),
        )
        directory.mkdir()
        self._shard = edge.EdgeShard.create(str(directory), config)
        for field in INDEXED:
            kind = edge.PayloadSchemaType.Integer if field == "bucket" else edge.PayloadSchemaType.Keyword
            self._shard.update(edge.UpdateOperation.create_field_index(field, kind))
        began = time.perf_counter()
        for start in range(0, len(enlarged), _BATCH):
            numbers = range(start, min(start + _BATCH, len(enlarged)))
            points = [edge.Point(i, enlarged.rows[i].tolist(), self._payload(enlarged, i)) for i in numbers]
            self._shard.update(edge.UpdateOperation.upsert_points(points))
        self._shard.optimize()
        self.build_s = time.perf_counter() - began

    @property
    def segments(self) -> int:
        """Number of segments."""
        return int(self._shard.info().segments_count)

    def query(
        self, row: Sequence[float], selection: Selection, number: int, ef: int, k: int
    ) -> tuple[float, list[int]]:
        """Return the seconds of a call and the points found; making its request is not counted."""
        edge = self._edge
        request = edge.QueryRequest(
            k,
            query=edge.Query.Nearest(row),
            filter=self._filter(selection, number),
            params=edge.SearchParams(hnsw_ef=ef),
        )
        began = time.perf_counter()
        hits = self._shard.query(request)
        return time.perf_counter() - began, [int(hit.id) for hit in hits]

    def close(self) -> None:
        """Close the shard."""
        self._shard.close()

    def _filter(self, selection: Selection, number: int) -> Any:  # noqa: ANN401  a filter of the engine
        edge = self._edge
        must = []
        if selection.keyword is not None:
            field, value = selection.keyword
            must.append(edge.FieldCondition(field, match=edge.MatchValue(value)))
        if selection.width is not None:
            start = selection.start(number)
            must.append(edge.FieldCondition("bucket", range=edge.RangeFloat(gte=start, lt=start + selection.width)))
        return edge.Filter(must=must)

    @staticmethod
    def _payload(enlarged: Enlarged, number: int) -> dict[str, Any]:
        payload = enlarged.fields.payload(number)
        return {field: payload[field] for field in INDEXED}
