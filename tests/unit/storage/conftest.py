"""Environments for the tests of the storage layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pointstore.core.schema import CollectionConfig
from pointstore.storage.collection import CollectionStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> Iterator[CollectionStore]:
    """Return an empty collection's store."""
    opened = CollectionStore(tmp_path / "collection", 16 << 20, create=True)
    try:
        opened.create(CollectionConfig(), 1_700_000_000)
        yield opened
    finally:
        opened.close()
