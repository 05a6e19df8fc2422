"""Turns of long work."""

from __future__ import annotations

import threading
import time

import pytest

from pointstore.core.errors import CallCancelledError
from pointstore.core.interruption import Interruption
from pointstore.core.turns import Turns
from tests.conftest import wait_until

HOUR_S = 3600.0


def in_thread(turns: Turns, call: Interruption, got: list[Interruption]) -> threading.Thread:
    """Ask for a turn in a thread, and note who has got one."""

    def ask() -> None:
        try:
            turns.following(call, call.check)
        except CallCancelledError:
            return
        got.append(call)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def wait_for(turns: Turns, waiting: int) -> None:
    wait_until(lambda: turns.waiting == waiting, f"{waiting} wait")


def test_turns_are_given_at_once_while_there_are_some() -> None:
    turns = Turns(2, HOUR_S)
    for _ in range(2):
        assert turns.following(object(), pytest.fail) > time.monotonic()


def test_turns_are_given_in_order() -> None:
    turns, first, got = Turns(1, HOUR_S), Interruption(), list[Interruption]()
    turns.following(first, pytest.fail)
    calls = [Interruption() for _ in range(3)]
    threads = []
    for number, call in enumerate(calls, start=1):
        threads.append(in_thread(turns, call, got))
        wait_for(turns, number)
    for number, holder in enumerate([first, *calls[:2]]):
        assert got == calls[:number]
        turns.leave(holder)
        threads[number].join()
    assert got == calls


def test_a_turn_is_handed_on_when_another_waits() -> None:
    turns, first, second, got = Turns(1, HOUR_S), Interruption(), Interruption(), list[Interruption]()
    turns.following(first, pytest.fail)
    in_thread(turns, second, got)
    wait_for(turns, 1)
    again = in_thread(turns, first, got)
    wait_until(lambda: got == [second], "the other has its turn")
    turns.leave(second)
    again.join()
    assert got == [second, first]


def test_a_call_that_waits_stops_at_once() -> None:
    turns, first, second, got = Turns(1, HOUR_S), Interruption(), Interruption(), list[Interruption]()
    turns.following(first, pytest.fail)
    waiting = in_thread(turns, second, got)
    wait_for(turns, 1)
    second.cancel()
    waiting.join()
    assert turns.waiting == 0
    turns.leave(first)
    assert turns.following(object(), pytest.fail)
    assert got == []


def test_a_turn_that_lasts_too_long_is_given_to_another() -> None:
    """Its holder may wait for something that the other has."""
    turns, first, second, got = Turns(1), Interruption(), Interruption(), list[Interruption]()
    turns.following(first, pytest.fail)
    in_thread(turns, second, got).join()
    assert got == [second]
    # It is no holder any more: what it leaves is not the other's turn.
    turns.leave(first)
    third = in_thread(turns, Interruption(), got)
    wait_for(turns, 1)
    turns.leave(second)
    third.join()
