"""What is told about a snapshot."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SnapshotInfo:
    """A complete snapshot.

    Attributes:
        name: as clients know it.
        created_at_s: seconds since the epoch.
        size: bytes.
        checksum: SHA-256 in lower-case hex, None when it is not known.
    """

    name: str
    created_at_s: int
    size: int
    checksum: str | None
