"""Credits for what is in memory."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pointstore.core import interruption
from pointstore.core.errors import CallCancelledError, OverloadedError
from pointstore.core.interruption import Interruption
from pointstore.wire.admission import Credits


def wait_for(credits_: Credits, waiting: int) -> None:
    deadline = time.monotonic() + 10
    while credits_.waiting != waiting:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_credits_up_to_the_budget_are_had_at_once() -> None:
    credits_ = Credits(100, 1, 0.1)
    assert credits_.take(60) + credits_.take(40) == 100
    assert credits_.held == 100
    with pytest.raises(OverloadedError, match=r"this message needs 1 of 100 bytes \(setting request_memory_mb = 0\)"):
        credits_.take(1)
    credits_.give(40)
    assert credits_.take(40) == 40


def test_what_is_larger_than_the_budget_takes_all_of_it() -> None:
    credits_ = Credits(100, 1, 0.1)
    assert credits_.take(1000) == 100
    credits_.give(100)
    assert credits_.held == 0


def test_large_one_is_not_overtaken_by_small_ones() -> None:
    credits_ = Credits(100, 10, 10)
    credits_.take(50)
    order: list[int] = []

    def take(cost: int) -> None:
        credits_.take(cost)
        order.append(cost)
        credits_.give(cost)

    with ThreadPoolExecutor(3) as pool:
        for number, cost in enumerate((90, 10, 20)):
            pool.submit(take, cost)
            wait_for(credits_, number + 1)
        assert order == []
        credits_.give(50)
    assert order[0] == 90
    assert (credits_.held, credits_.waiting) == (0, 0)


def test_only_so_many_wait() -> None:
    credits_ = Credits(100, 1, 10)
    credits_.take(100)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(credits_.take, 10)
        wait_for(credits_, 1)
        with pytest.raises(OverloadedError, match="enough large messages wait already"):
            credits_.take(10)
        credits_.give(100)
        assert waiting.result(10) == 10


def test_messages_are_read_while_they_could_wait() -> None:
    credits_ = Credits(100, 2, 10)
    now = time.monotonic()
    assert credits_.enter(now), "nobody waits"
    credits_.take(100)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(credits_.take, 10)
        wait_for(credits_, 1)
        # One waits, two may: this thread may read, and while it does nobody else.
        assert credits_.enter(now)
        assert not pool.submit(credits_.enter, time.monotonic() + 0.05).result(10)
        late = pool.submit(credits_.enter, time.monotonic() + 10)
        time.sleep(0.05)
        assert not late.done()
        credits_.entered()
        assert late.result(10)
        credits_.give(100)
        assert first.result(10) == 10
    assert credits_.enter(now), "nobody waits any more"


def test_who_waits_in_vain_leaves_the_line() -> None:
    credits_ = Credits(100, 10, 10)
    credits_.take(100)
    call = Interruption()

    def take() -> None:
        interruption.begin(call)
        with pytest.raises(CallCancelledError):
            credits_.take(100)

    thread = threading.Thread(target=take)
    thread.start()
    wait_for(credits_, 1)
    call.cancel()
    thread.join(10)
    assert (credits_.held, credits_.waiting) == (100, 0)
