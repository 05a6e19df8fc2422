"""Names in a data directory.

<data_dir>/catalog/                      names, aliases, node identity
<data_dir>/collections/<uid>/            one directory a collection
<data_dir>/collections/<uid>/QUARANTINE  why the collection must not be used
<environment>/INTERRUPTED                the last commit failed at its meta page; the one before it is the newest
<data_dir>/captures/<random>/            a snapshot in the making: copied stores, linked segments
<data_dir>/restores/<random>/            a snapshot that is being unpacked, before it becomes collections
"""

from __future__ import annotations

from typing import Final

CATALOG: Final = "catalog"
COLLECTIONS: Final = "collections"
QUARANTINE: Final = "QUARANTINE"
INTERRUPTED: Final = "INTERRUPTED"
CAPTURES: Final = "captures"
RESTORES: Final = "restores"
