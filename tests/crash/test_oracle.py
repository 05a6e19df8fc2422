"""The comparison notices what a crash could do: a harness that cannot fail proves nothing."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

from tests.conftest import wait_until
from tests.crash.driver import Writer, create, verify, verify_points, writing
from tests.crash.model import COSINE, EUCLID, Point, creation

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Server
    from tests.crash.model import Points

NAME = "oracle"


def lose(points: Points) -> None:
    """Forget a point."""
    points.popitem()


def invent(points: Points) -> None:
    """Add a point that was never written."""
    points[10**6] = Point({}, {EUCLID: [1.0] * 8})


def change_payload(points: Points) -> None:
    """Change one value of one payload."""
    next(iter(points.values())).payload["n"] = -1


def change_vector(points: Points) -> None:
    """Change one number of one vector."""
    vector = next(point.vectors for point in points.values() if EUCLID in point.vectors)[EUCLID]
    vector[0] += 0.125


def drop_vector(points: Points) -> None:
    """Forget one vector of one point."""
    del next(point.vectors for point in points.values() if COSINE in point.vectors)[COSINE]


def test_the_comparison_can_fail(shared_server: Server) -> None:
    create(shared_server.address, creation(NAME))
    writers: list[Writer] = []
    with writing(shared_server.address, NAME, writers, count=2):
        wait_until(lambda: min(len(writer.calls) for writer in writers) > 20, "enough was written")
    points = verify(shared_server.address, NAME, writers)
    changes: list[Callable[[Points], None]] = [lose, invent, change_payload, change_vector, drop_vector]
    for change in changes:
        wrong = copy.deepcopy(points)
        change(wrong)
        with pytest.raises(AssertionError):
            verify_points(shared_server.address, NAME, wrong)
    verify_points(shared_server.address, NAME, points)


def test_a_lost_call_must_be_whole(shared_server: Server) -> None:
    """A writer that finds a state between two operations says so."""
    name = NAME + "-whole"
    create(shared_server.address, creation(name))
    writers: list[Writer] = []
    with writing(shared_server.address, name, writers, count=1):
        wait_until(lambda: len(writers[0].calls) > 10 and len(writers[0].points) > 5, "enough was written")
    writer = writers[0]
    before, after = copy.deepcopy(writer.points), copy.deepcopy(writer.points)
    lose(after)
    writer._possible = [before, after]
    writer.restarted(shared_server.address)
    assert writer.points == before
    lose(before)
    writer._possible = [before, copy.deepcopy(before)]
    with pytest.raises(AssertionError, match="too many"):
        writer.restarted(shared_server.address)
