"""What a field index holds of some slots, as arrays: the unit in which it is written, stored and loaded."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntFlag

import numpy as np
from numpy.typing import NDArray


class Flag(IntFlag):
    """What a payload holds under a path, beyond the values in columns."""

    NONEMPTY = 1
    """Some reached value is neither null nor an empty array; what `is_empty` denies."""
    NULL = 2
    """Some reached value or element is null; what `is_null` asks."""
    STRING = 4
    INTEGER = 8
    DOUBLE = 16
    TRUE = 32
    FALSE = 64
    OTHER = 128
    """An element that is an object or an array."""


@dataclass(frozen=True, slots=True)
class FieldColumn:
    """Values of one kind, m of them.

    Attributes:
        positions: (m,) uint32, ascending; value i belongs to the slot at that place of the block.
        values: (m,) uint32 codes, int64 or float64; or (m, 2) float64 for lon and lat.
    """

    positions: NDArray[np.uint32]
    values: NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class FieldBlock:
    """What the payloads of n slots hold.

    Attributes:
        slots: (n,) int64, ascending.
        flags: (n,) uint8, bits of `Flag`.
        columns: by the meaning the index gives to their places.
    """

    slots: NDArray[np.int64]
    flags: NDArray[np.uint8]
    columns: tuple[FieldColumn, ...]
