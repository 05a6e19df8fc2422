"""Comparing a query with selected rows where they lie, through FAISS: half as much again as numpy, which copies them.

It only proposes, as a graph does: FAISS sums in another order than `Space.similarity`, whose numbers are returned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import faiss as annotated_faiss
import numpy as np

from pointstore.core.schema import Distance
from pointstore.index import flat

if TYPE_CHECKING:
    from pointstore.core.space import Floats, Rows, Space
    from pointstore.index.flat import Positions

faiss: Any = annotated_faiss

_ROWS_AT_A_TIME: Final = 1 << 16
"""About ten milliseconds of work between two chances to stop."""


def scannable(space: Space, rows: Rows) -> bool:
    """Tell whether `nearest` can compare these rows: float32 in one piece, with a distance that FAISS offers."""
    return rows.dtype == np.float32 and rows.flags.c_contiguous and space.distance is not Distance.MANHATTAN


def nearest(space: Space, query: Floats, rows: Rows, positions: Positions, count: int) -> Positions:
    """Return the selected rows that are probably nearest, best first.

    Args:
        space: how rows are compared.
        query: (dim,) float32, transformed by `Space.query`.
        rows: (m, dim), `scannable`.
        positions: ascending row numbers to look at, each below m.
        count: how many to return.

    """
    euclid = space.distance is Distance.EUCLID
    compare = faiss.fvec_L2sqr_by_idx if euclid else faiss.fvec_inner_products_by_idx
    places = np.ascontiguousarray(positions, np.int64)
    target = np.ascontiguousarray(query, np.float32)
    compared = np.empty(places.size, np.float32)
    for start in range(0, places.size, _ROWS_AT_A_TIME):
        part, result = places[start : start + _ROWS_AT_A_TIME], compared[start : start + _ROWS_AT_A_TIME]
        compare(
            faiss.swig_ptr(result),
            faiss.swig_ptr(target),
            faiss.swig_ptr(rows),
            faiss.swig_ptr(part),
            space.dim,
            1,
            part.size,
        )
    best = flat.top(-compared if euclid else compared, count)
    found: Positions = places[best]
    return found
