"""A dense vector space: how rows are transformed when stored and compared when searched.

Rows are stored in the space's datatype: (m, dim) float32, float16 or uint8 (specification part 1, 6.5). Similarity is
"larger is nearer" as the specification's part 3, 3.1 defines it; `score_of` turns it into the score of a reply.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pointstore.core.schema import Datatype, Distance, VectorParams

Rows = NDArray[np.generic]
"""Rows in a stored dtype: float32, float16 or uint8."""
Floats = NDArray[np.float32]

_EPSILON = np.float32(1.1920929e-7)
_UNIT_TOLERANCE = np.float32(1e-6)
RowDtype = np.dtype[np.float32] | np.dtype[np.float16] | np.dtype[np.uint8]

_FLOAT32: RowDtype = np.dtype("<f4")
_DTYPES: dict[Datatype, RowDtype] = {Datatype.UINT8: np.dtype("u1"), Datatype.FLOAT16: np.dtype("<f2")}


@dataclass(frozen=True, slots=True)
class Space:
    """Size, distance and stored dtype of one dense space (also of the rows of a multi-vector space)."""

    dim: int
    distance: Distance
    dtype: RowDtype

    @property
    def row_bytes(self) -> int:
        """Stored size of one row in bytes."""
        return self.dim * self.dtype.itemsize

    @property
    def ascending(self) -> bool:
        """True when a smaller score is the better one."""
        return self.distance in (Distance.EUCLID, Distance.MANHATTAN)

    def stored(self, rows: Floats) -> Rows:
        """Transform (m, dim) float32 rows from a client into the form that is stored and returned."""
        if self.dtype == np.uint8:
            return to_uint8(rows)
        # NaN, infinity and what float16 cannot hold are legal; their scores are unspecified.
        with np.errstate(over="ignore", invalid="ignore"):
            if self.distance is Distance.COSINE:
                rows = normalize(rows)
            return rows.astype(self.dtype, copy=False)

    def query(self, rows: Floats) -> Floats:
        """Transform (m, dim) float32 query rows like stored ones, as float32."""
        return self.stored(rows).astype(np.float32, copy=False)

    def similarity(self, query: Floats, rows: Rows) -> Floats:
        """Compare one transformed query of (dim,) with (m, dim) stored rows: (m,) float32, larger is nearer."""
        candidates = rows.astype(np.float32, copy=False)
        if self.distance is Distance.COSINE and self.dtype == np.uint8:
            norms = np.sqrt(np.einsum("ij,ij->i", candidates, candidates)) * np.sqrt(query @ query)
            products: Floats = candidates @ query
            cosines: Floats = np.divide(products, norms, out=np.zeros_like(products), where=norms > 0)
            return cosines
        if self.distance in (Distance.COSINE, Distance.DOT):
            inner: Floats = candidates @ query
            return inner
        difference = candidates - query
        if self.distance is Distance.EUCLID:
            squares: Floats = np.einsum("ij,ij->i", difference, difference)
            return -squares
        sums: Floats = np.abs(difference).sum(axis=1, dtype=np.float32)
        return -sums

    def score_of(self, similarity: Floats) -> Floats:
        """Turn similarities into reply scores: the distance itself for Euclid and Manhattan."""
        if self.distance is Distance.EUCLID:
            return np.sqrt(np.abs(similarity))
        return np.abs(similarity) if self.distance is Distance.MANHATTAN else similarity

    def passes(self, score: float, threshold: float) -> bool:
        """Tell whether a nearest-search score is strictly better than the threshold."""
        return score < threshold if self.ascending else score > threshold


def space_of(params: VectorParams) -> Space:
    """Return the space that the parameters describe."""
    return Space(params.size, params.distance, _DTYPES.get(params.datatype or Datatype.DEFAULT, _FLOAT32))


def normalize(rows: Floats) -> Floats:
    """Scale (m, dim) float32 rows to unit length; rows near zero or near unit length stay bit-identical."""
    if len(rows) == 1:
        return _normalize_one(rows)
    squares = np.einsum("ij,ij->i", rows, rows)
    scale = (squares >= _EPSILON) & (np.abs(squares - np.float32(1.0)) > _UNIT_TOLERANCE)
    if not scale.any():
        return rows
    lengths = np.where(scale, np.sqrt(squares), np.float32(1.0))
    return np.divide(rows, lengths[:, None], dtype=np.float32)


def _normalize_one(rows: Floats) -> Floats:
    """Do the same for one row, as every query has it, with a third of the calls."""
    square = np.float32(rows[0] @ rows[0])
    if square >= _EPSILON and abs(square - np.float32(1.0)) > _UNIT_TOLERANCE:
        return np.divide(rows, np.sqrt(square), dtype=np.float32)
    return rows


def to_uint8(rows: Floats) -> NDArray[np.uint8]:
    """Truncate toward zero and saturate to 0..255; NaN becomes 0."""
    return np.nan_to_num(np.clip(rows, 0, 255), nan=0.0).astype(np.uint8)
