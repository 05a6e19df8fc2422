"""Calls that are to stop."""

from __future__ import annotations

import threading
from time import monotonic
from typing import TYPE_CHECKING

import pytest

from pointstore.core import interruption
from pointstore.core.errors import CallCancelledError, OperationTimeoutError
from pointstore.core.interruption import Interruption

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@pytest.fixture
def call() -> Iterator[Interruption]:
    """Return the call of this thread."""
    begun = Interruption()
    interruption.begin(begun)
    yield begun
    interruption.begin(None)


def test_nothing_stops_work_without_a_call() -> None:
    interruption.check()
    interruption.limit("scroll", 0)
    assert list(interruption.checked(range(1000))) == list(range(1000))


def test_a_call_that_lasts_is_not_stopped(call: Interruption) -> None:
    call.limit("scroll", 60)
    interruption.check()
    assert list(interruption.checked(range(1000), 7)) == list(range(1000))


def test_cancelled_call_stops(call: Interruption) -> None:
    seen: list[int] = []

    def work() -> None:
        for number in interruption.checked(range(1000), 10):
            seen.append(number)
            if number == 25:
                canceller = threading.Thread(target=call.cancel)
                canceller.start()
                canceller.join()

    with pytest.raises(CallCancelledError, match="the client has ended the call"):
        work()
    assert seen == list(range(30))


def test_deadline_of_the_client_has_passed() -> None:
    with pytest.raises(OperationTimeoutError) as error:
        Interruption(monotonic() - 1).check()
    assert error.value.message == "Timeout: Timeout error: the deadline of the call has passed"


def test_timeout_of_the_request_is_named(call: Interruption) -> None:
    interruption.limit("scroll", 0)
    with pytest.raises(OperationTimeoutError) as error:
        interruption.check()
    assert error.value.message == "Timeout: Timeout error: Operation 'scroll' timed out after 0s"
    interruption.limit("count", 100)
    with pytest.raises(OperationTimeoutError, match="scroll"):
        call.check()


def test_another_threads_call_does_not_stop_own_work(call: Interruption) -> None:
    call.cancel()
    with interruption.acting_for(None):
        interruption.check()
    other = Interruption()
    with interruption.acting_for(other):
        assert interruption.current() is other
        interruption.check()
    with pytest.raises(CallCancelledError):
        interruption.check()


def test_work_knows_for_how_long_it_should_have_stopped(call: Interruption) -> None:
    assert call.overdue_s() is None
    assert Interruption(monotonic() + 60).overdue_s() is None
    assert 1 < (Interruption(monotonic() - 1).overdue_s() or 0) < 30
    call.cancel()
    assert 0 < (call.overdue_s() or 0) < 30


def test_each_thread_has_its_own_call(call: Interruption) -> None:
    call.cancel()
    found: list[Interruption | None] = []
    thread = threading.Thread(target=lambda: found.append(interruption.current()))
    thread.start()
    thread.join()
    assert found == [None]


class Growing(Interruption):
    """Notes what `grow` is told."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def grow(self, size: int) -> None:
        self.sizes.append(size)


@pytest.mark.parametrize("size", [1, 1000, 1 << 20])
def test_what_is_collected_grows_by_pieces_of_bounded_weight(size: int) -> None:
    call, pieces = Growing(), list[int]()

    def read(items: Sequence[int]) -> list[int]:
        pieces.append(len(items))
        return [2 * item for item in items]

    with interruption.acting_for(call):
        found = interruption.collected(range(5000), read, lambda piece: size * len(piece))
    assert found == [2 * item for item in range(5000)]
    assert call.sizes == [size * length for length in pieces]
    assert max(call.sizes) <= max(2 * size, 1 << 20)
    assert max(pieces) == {1: 1024, 1000: 1024, 1 << 20: 2}[size]
    assert pieces[0] == 2


def test_nothing_is_collected_of_nothing_and_after_the_end(call: Interruption) -> None:
    assert interruption.collected([], lambda _: [1], len) == []
    call.cancel()
    with pytest.raises(CallCancelledError):
        interruption.collected([1], lambda _: [1], len)
