"""Loaded by every Python whose path names this folder first: LMDB without syncs, the control that must lose writes."""

from __future__ import annotations

from typing import Any

import lmdb

_open = lmdb.open


def _open_unsynced(*arguments: Any, **options: Any) -> Any:  # noqa: ANN401  whatever the binding takes
    return _open(*arguments, **{**options, "sync": False})


lmdb.open = _open_unsynced  # type: ignore[assignment]
