"""Fixtures of the wire tests: a server's stubs, and collections of a test's own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest

from qdrant_grpc.collections_pb2 import DeleteCollection
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from tests.wire.points_calls import DENSE, MIXED, PAYLOAD, POINT, UUID, UUID_2, Calls, connect

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


@pytest.fixture(scope="module")
def points(calls: Calls) -> Calls:
    """Return the calls on five points: dot product with [1, 0] ranks 7, UUID, 3, 1; UUID_2 has no vector."""
    calls = calls.create("vectors_config { params { size: 2 distance: Dot } }")
    vectors = {"num: 1": "[1, 9]", "num: 3": "[2, 0]", f"uuid: '{UUID}'": "[3, 0]", "num: 7": "[4, 0]"}
    for point_id, data in vectors.items():
        payload = PAYLOAD if point_id == "num: 1" else ""
        vector = f"vectors {{ vector {{ dense {{ data: {data} }} }} }}"
        calls.write("Upsert", f"points {{ id {{ {point_id} }} {vector} {payload} }}")
    calls.write("Upsert", f"points {{ id {{ uuid: '{UUID_2}' }} vectors {{ vectors {{}} }} }}")
    return calls


@pytest.fixture(scope="module")
def filled(calls: Calls) -> Calls:
    """Return the calls on a collection with a space of every kind: point 1 has all vectors, point 2 none."""
    calls = calls.create(
        """vectors_config { params_map {
            map { key: '' value { size: 2 distance: Cosine } }
            map { key: 'img' value { size: 3 distance: Euclid } }
            map { key: 'rows' value { size: 2 distance: Dot multivector_config {} } }
        } }
        sparse_vectors_config { map { key: 'text' value {} } }"""
    )
    calls.write(
        "Upsert",
        """points { id { num: 1 } vectors { vectors {
            vectors { key: '' value { dense { data: [3, 4] } } }
            vectors { key: 'img' value { dense { data: [1, 2, 3] } } }
            vectors { key: 'rows' value { dense { data: [1, 2] } } }
            vectors { key: 'text' value { sparse { indices: [5, 2] values: [0.5, 1] } } }
        } } }""",
    )
    calls.write("Upsert", "points { id { num: 2 } vectors { vectors {} } }")
    return calls


@pytest.fixture(scope="module")
def channel(shared_server: Server) -> Iterator[grpc.Channel]:
    """Return a channel of the module's own."""
    with grpc.insecure_channel(shared_server.address) as opened:
        yield opened


@pytest.fixture(scope="module")
def stub(channel: grpc.Channel) -> CollectionsStub:
    """Return the Collections service."""
    return CollectionsStub(channel)


@pytest.fixture
def name(request: pytest.FixtureRequest, stub: CollectionsStub) -> Iterator[str]:
    """Return a collection name of this test; what it and its aliases leave behind is removed."""
    own = f"collections-{abs(hash(request.node.nodeid)):x}"
    yield own
    for other in (own, f"{own}-2"):
        stub.Delete(DeleteCollection(collection_name=other))
