"""Fixtures of the Points tests: a server's stubs, and collections of a test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.wire.points_calls import DENSE, MIXED, POINT, Calls, connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Server


@pytest.fixture(scope="session")
def calls(shared_server: Server) -> Iterator[Calls]:
    """Return the calls on a collection that does not exist."""
    yield from connect(shared_server.address)


@pytest.fixture
def dense(calls: Calls) -> Calls:
    """Return the calls on a collection with one dense space and points 1 (with a payload) and 2."""
    own = calls.create(DENSE)
    own.write("Upsert", f"points {{ id {{ num: 1 }} {POINT} payload {{ key: 'a' value {{ integer_value: 1 }} }} }}")
    own.write("Upsert", f"points {{ id {{ num: 2 }} {POINT} }}")
    return own


@pytest.fixture
def mixed(calls: Calls) -> Calls:
    """Return the calls on an empty collection with a space of every kind."""
    return calls.create(MIXED)
