"""Random programs of the official client: the server and the client's local mode answer alike.

`COMPAT_PROGRAMS` sets how many run (3 in `make test`); gate R11 runs many more.
"""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING

import pytest

from tests.compat.client_programs import run
from tests.compat.comparing import EUCLID, assert_same, create_mixed, point_ids, random_point

if TYPE_CHECKING:
    from collections.abc import Sequence

    from qdrant_client import QdrantClient, models

PROGRAMS = int(os.environ.get("COMPAT_PROGRAMS", "3"))
STEPS = 120


@pytest.mark.parametrize("seed", range(PROGRAMS))
def test_program(remote: QdrantClient, local: QdrantClient, name: str, seed: int) -> None:
    run(remote, local, name, seed, STEPS)


def test_search_by_id(remote: QdrantClient, local: QdrantClient, name: str) -> None:
    """A point as query: it is not among its own hits."""
    rng = random.Random(3)
    for client in (remote, local):
        create_mixed(client, name)
    points = [random_point(rng, point_id) for point_id in point_ids(rng)]
    for client in (remote, local):
        client.upsert(name, points)
    having: Sequence[models.PointStruct] = [point for point in points if EUCLID in point.vector]
    for point in having[:8]:
        assert_same(remote, local, lambda c: c.query_points(name, point.id, using=EUCLID, limit=7))  # noqa: B023
        assert point.id not in [hit.id for hit in remote.query_points(name, point.id, using=EUCLID, limit=50).points]
    remote.delete_collection(name)
