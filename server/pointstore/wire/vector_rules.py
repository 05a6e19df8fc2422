"""What makes a sparse or multi-vector malformed, whatever collection it is for (specification part 1, 6.3).

Pure functions over sizes and indices, never over components: the generic walker of `validate.py` and the upsert path,
which works on wire views, both use them. All return None for a well-formed vector.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

MULTI_FLOATS_LIMIT: Final = 1_048_576
"""A multi-vector has fewer components than this, all rows together."""

_SAME_LENGTH: Final = "Validation error: must be the same length as indices [{}]"
_UNIQUE: Final = "Validation error: must be unique [{}]"
_EMPTY_MULTI: Final = "multi vector must not be empty"


def sparse_violation(indices: NDArray[np.uint32], values: int) -> tuple[str, str] | None:
    """Check a sparse vector.

    Args:
        indices: (n,) in any order.
        values: number of weights.

    Returns:
        name of the offending field, `values` or `indices`, and the reason.

    """
    if len(indices) != values:
        return "values", _SAME_LENGTH
    ordered = np.sort(indices)
    if bool((ordered[1:] == ordered[:-1]).any()):
        return "indices", _UNIQUE
    return None


def multi_violation(row_lengths: Sequence[int]) -> str | None:
    """Check a multi-vector given as rows.

    Args:
        row_lengths: number of components of each row.

    Returns:
        the reason.

    """
    if not row_lengths:
        return _EMPTY_MULTI
    dim = row_lengths[0]
    for length in row_lengths:
        if length == 0:
            return "all vectors must be non-empty"
        if length != dim:
            return f"all vectors must have the same dimension, found vector with dimension {length}"
    total = dim * len(row_lengths)
    if total >= MULTI_FLOATS_LIMIT:
        return f"Total size of all vectors ({total}) must be less than {MULTI_FLOATS_LIMIT}"
    return None


def legacy_multi_violation(floats: int, vectors_count: int) -> str | None:
    """Check a multi-vector given as one flat list, split evenly into rows.

    Args:
        floats: length of the flat list.
        vectors_count: number of rows.

    Returns:
        the reason.

    """
    if vectors_count == 0:
        return 'Validation error: invalid_vector_count [{"vectors_count": 0}]'
    if floats == 0:
        return _EMPTY_MULTI
    sizes = f'[{{"vector_len": {floats}, "vectors_count": {vectors_count}}}]'
    if floats >= MULTI_FLOATS_LIMIT:
        return f"Validation error: Vector size is too large {sizes}"
    if floats % vectors_count:
        return f"Validation error: invalid dense vector length for vectors count {sizes}"
    return None
