"""What a collection may be called (specification part 1, 7.1)."""

from __future__ import annotations

from typing import Final

NAME_LENGTH_MAX: Final = 255
"""Unicode characters, not bytes."""

LOOSE_FORBIDDEN: Final = "/\0"
"""What no name may hold wherever it stands."""

STRICT_FORBIDDEN: Final = '<>:"/\\|?*\0\x1f'
"""What the name of a new collection or vector must not hold."""


def forbidden_char(name: str, forbidden: str = STRICT_FORBIDDEN) -> str | None:
    """Return the first of the forbidden characters that a name holds."""
    return next((char for char in forbidden if char in name), None)
