"""Turns and credits of an admitted call."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc
import pytest

from pointstore.core.errors import OverloadedError
from pointstore.core.turns import SLICE_S, Turns
from pointstore.wire.admission import AdmittedCall, Credits
from pointstore.wire.transfers import Arrival, Line
from tests.conftest import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

MESSAGE_BYTES = 1 << 30
HOUR_S = 3600.0


@dataclass
class Workplace:
    """A budget, and one turn at a time."""

    credits_: Credits = field(default_factory=lambda: Credits(64 << 20, 10, 1.0))
    turns: Turns = field(default_factory=lambda: Turns(1, HOUR_S))

    def call(self) -> AdmittedCall:
        """Return a call that has begun to work."""
        made = AdmittedCall(None, self.credits_, self.turns, MESSAGE_BYTES)
        made.work()
        return made


def busy(seconds: float) -> None:
    """Use so much time of the processor."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def had_a_turn(place: Workplace) -> AdmittedCall:
    """Return a call that has used its first slice, and taken the only turn."""
    call = place.call()
    busy(1.5 * SLICE_S)
    call.check()
    return call


def test_time_of_others_is_no_time_of_a_call() -> None:
    """A short call that has not had the processor need not wait in line."""
    place = Workplace()
    first = had_a_turn(place)
    second = place.call()
    time.sleep(1.5 * SLICE_S)
    began = time.monotonic()
    second.check()
    assert time.monotonic() - began < SLICE_S
    assert place.turns.waiting == 0
    first.hasten()


@pytest.mark.parametrize("end", [AdmittedCall.hasten, lambda call: call.rest(0.001)], ids=["hasten", "rest"])
def test_a_long_call_waits_for_a_turn_that_nobody_has(end: Callable[[AdmittedCall], None]) -> None:
    """A call that sleeps, or that others may wait for, has none."""
    place = Workplace()
    first = had_a_turn(place)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(had_a_turn, place)
        wait_until(lambda: place.turns.waiting == 1, "it waits")
        end(first)
        assert second.result(10)


def test_a_reply_that_grows_keeps_its_turn_while_there_are_credits() -> None:
    place = Workplace()
    first = had_a_turn(place)
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(had_a_turn, place)
        wait_until(lambda: place.turns.waiting == 1, "it waits")
        first.hold(1 << 20)
        assert not second.done()
        assert place.turns.waiting == 1
        first.hasten()
        second.result(10)


def test_a_call_that_waits_for_credits_has_no_turn() -> None:
    place = Workplace(Credits(64 << 20, 10, 60.0))
    other = place.credits_.take(64 << 20)

    def reply() -> None:
        call = had_a_turn(place)
        call.hold(1 << 20)
        # Back at work it has to wait for a turn again.
        call.check()

    with ThreadPoolExecutor(2) as pool:
        waiting = pool.submit(reply)
        wait_until(lambda: place.credits_.waiting == 1, "it waits")
        second = pool.submit(had_a_turn, place).result(10)
        place.credits_.give(other)
        wait_until(lambda: place.turns.waiting == 1, "it waits")
        second.hasten()
        waiting.result(10)


def test_a_reply_may_grow_to_the_whole_budget() -> None:
    place = Workplace()
    call = place.call()
    for size in range(0, 80 << 20, 5 << 20):
        call.hold(size)
    assert call.held == place.credits_.held == 64 << 20


def test_a_request_does_not_wait_for_its_own_credits() -> None:
    place = Workplace()
    call = place.call()
    call.requested = place.credits_.take(60 << 20)
    call.hold(30 << 20)
    assert (call.held, place.credits_.held) == (4 << 20, 64 << 20)


def test_who_holds_a_request_does_not_wait_long_for_more() -> None:
    place = Workplace(Credits(64 << 20, 10, 60.0))
    other = place.call()
    other.requested = place.credits_.take(32 << 20)
    call = place.call()
    call.requested = place.credits_.take(32 << 20)
    with pytest.raises(OverloadedError):
        call.hold(1 << 20)


class Calls:
    """Stands for the transport's event, its call, and a pool."""

    def __init__(self) -> None:
        self.call = self
        self.waiting = 0
        self.cancelled = 0

    def cancel(self, code: int, text: str) -> None:
        """Count."""
        assert (code, text) == (8, "Overloaded")
        self.cancelled += 1


@pytest.mark.parametrize("came_first", [True, False])
def test_a_body_is_refused_or_has_come(came_first: bool) -> None:  # noqa: FBT001  a parameter
    """Never both: a client that is told of a refusal must find nothing done."""
    event = Calls()
    line: Line = event
    arrival = Arrival(event, line)
    if came_first:
        assert arrival.end()
    arrival.refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, "Overloaded")
    arrival.refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, "Overloaded")
    if not came_first:
        assert not arrival.end()
    assert event.cancelled == (0 if came_first else 1)
