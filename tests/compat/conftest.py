"""The official client on the server, and the same client on its own local mode, which is the oracle."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from qdrant_client import QdrantClient

from tests.compat.comparing import connected

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Server

_numbers = itertools.count()


@pytest.fixture(scope="session")
def remote(shared_server: Server) -> Iterator[QdrantClient]:
    """Return a client that speaks gRPC to a server with two workers; nothing listens on the HTTP port."""
    with connected(shared_server.address) as client:
        yield client


@pytest.fixture
def local() -> Iterator[QdrantClient]:
    """Return a client with a local mode of its own."""
    client = QdrantClient(":memory:")
    yield client
    client.close()


@pytest.fixture
def name() -> str:
    """Return the name of a collection that no other test uses."""
    return f"compat-{next(_numbers)}"
