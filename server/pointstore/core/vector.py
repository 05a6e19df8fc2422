"""Vectors of one point as a client sends or receives them.

Dense data stays in the packed little-endian float32 form of the wire, so that rows of many points become one matrix by
joining bytes. Storage transforms (normalising, datatypes) are in `core/space.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FLOAT_BYTES = 4


@dataclass(frozen=True, slots=True)
class Dense:
    """One row of packed little-endian float32."""

    data: bytes

    @property
    def dim(self) -> int:
        """Number of components."""
        return len(self.data) // FLOAT_BYTES

    @property
    def size_bytes(self) -> int:
        """Bytes of the components."""
        return len(self.data)


@dataclass(frozen=True, slots=True)
class Sparse:
    """Weights of a few dimensions, ascending by index, each index once.

    Attributes:
        indices: (nnz,) uint32.
        values: (nnz,) float32.
    """

    indices: NDArray[np.uint32]
    values: NDArray[np.float32]

    @property
    def size_bytes(self) -> int:
        """Bytes of indices and values."""
        return self.indices.nbytes + self.values.nbytes


@dataclass(frozen=True, slots=True)
class Multi:
    """A matrix of `len(data) / (4 * dim)` rows, packed little-endian float32 row by row."""

    data: bytes
    dim: int

    @property
    def size_bytes(self) -> int:
        """Bytes of all rows."""
        return len(self.data)


Vector = Dense | Sparse | Multi
NamedVectors = dict[str, Vector]
"""Vectors of one point by vector name; the default vector has the name ""."""


def sparse(indices: NDArray[np.uint32], values: NDArray[np.float32]) -> Sparse:
    """Make a sparse vector from parallel arrays in any order (structure already validated)."""
    if indices.size > 1 and not bool(np.all(indices[:-1] < indices[1:])):
        order = np.argsort(indices, kind="stable")
        indices, values = indices[order], values[order]
    return Sparse(indices, values)
