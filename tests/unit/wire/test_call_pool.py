"""The pool of calls: order, bounds, ends, and what becomes of callbacks."""

from __future__ import annotations

import threading
import time
import weakref
from functools import partial
from typing import Any

import pytest

from pointstore.wire.call_pool import CallPool
from pointstore.wire.transfers import Transfers
from tests.conftest import wait_until

THREADS = 3


class Event:
    """What the transport hands over of a call."""


@pytest.fixture
def pool() -> CallPool:
    transfers = Transfers(budget=1 << 30, timeout_s=10.0, held=lambda: 0, starved=lambda: False)
    return CallPool("call", THREADS, 5, 10.0, transfers)


def submit(pool: CallPool, work: Any, *, calls: list[threading.Event] | None = None) -> threading.Event:  # noqa: ANN401  any callable
    """Submit as the transport does; return an event that is set when the call is over."""
    over = threading.Event()
    pool.submit(lambda _state, _event: work(), None, object()).add_done_callback(lambda _turn: over.set())
    if calls is not None:
        calls.append(over)
    return over


def test_calls_end_whenever_their_callback_comes(pool: CallPool) -> None:
    assert submit(pool, lambda: None).wait(5)
    turn = pool.submit(lambda _state, _event: None, None, object())
    time.sleep(0.1)
    over: list[object] = []
    turn.add_done_callback(over.append)
    assert over == [turn]
    pool.shutdown()


def test_a_failing_call_leaves_its_thread(pool: CallPool) -> None:
    for _ in range(2 * THREADS):
        assert submit(pool, lambda: 1 / 0).wait(5)
    assert submit(pool, lambda: None).wait(5)
    pool.shutdown()


def test_a_thread_without_a_call_keeps_nothing_of_the_last_one(pool: CallPool) -> None:
    event = Event()
    kept = weakref.ref(event)
    over = threading.Event()
    pool.submit(lambda _state, _event: None, None, event).add_done_callback(lambda _turn: over.set())
    del event
    assert over.wait(5)
    deadline = time.monotonic() + 5
    while kept() is not None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    pool.shutdown()


def test_threads_and_line_are_bounded(pool: CallPool) -> None:
    go, at_work, calls = threading.Event(), [], list[threading.Event]()

    def work() -> None:
        at_work.append(threading.current_thread().name)
        go.wait(5)

    for _ in range(THREADS):
        submit(pool, work, calls=calls)
    deadline = time.monotonic() + 5
    while len(at_work) < THREADS:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert pool.waiting == 0
    for waiting in range(5):
        assert not pool.full
        submit(pool, work, calls=calls)
        assert pool.waiting == waiting + 1
    assert pool.full
    assert pool.busy
    go.set()
    assert all(call.wait(5) for call in calls)
    wait_until(lambda: not pool.busy, "all calls have ended")
    assert len(set(at_work)) == THREADS
    pool.shutdown()


def test_a_shutdown_ends_what_is_queued_and_all_threads(pool: CallPool) -> None:
    done: list[int] = []
    calls: list[threading.Event] = []

    def work(number: int) -> None:
        time.sleep(0.01)
        done.append(number)

    for number in range(20):
        submit(pool, partial(work, number), calls=calls)
    pool.shutdown()
    assert sorted(done) == list(range(20))
    assert all(call.is_set() for call in calls)
    assert not [each for each in threading.enumerate() if each.name.startswith("call_")]
    with pytest.raises(RuntimeError, match="shut down"):
        submit(pool, lambda: None)
