"""Tests of group commit: isolation of requests, order, failures of the common transaction."""

from __future__ import annotations

import gc
import math
import threading
import time
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from pointstore.core import interruption
from pointstore.core.errors import (
    CallCancelledError,
    InsufficientStorageError,
    NotFoundError,
    OperationTimeoutError,
    StorageError,
)
from pointstore.core.interruption import Interruption
from pointstore.core.payload import pack_payload
from pointstore.core.update import ClearPayload, DeletePoints, SetPayload, UpdateStatus
from pointstore.engine import writer as writer_module
from pointstore.engine.strict import check_update
from pointstore.engine.writer import Writer
from tests.building import contents, dense, pids, running_engine, upsert, vector_config, write
from tests.conftest import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pointstore.core.update import Update
    from pointstore.engine.collection import Collection
    from pointstore.engine.transition import Transition


class _Group:
    """Makes the next requests one group: the transaction that is under way waits until they are queued."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._writer = Writer(check_update)
        self.transactions = 0
        self._gate = threading.Event()
        self._entered = threading.Event()

    @contextmanager
    def begin(self) -> Iterator[Transition]:
        self.transactions += 1
        if self.transactions == 1:
            self._entered.set()
            assert self._gate.wait(10)
        with self._collection._transition() as transition:
            yield transition

    def run(
        self,
        requests: list[tuple[Update, bool]],
        begin: Callable[..., object] | None = None,
        calls: dict[int, Interruption] | None = None,
        results: list[object] | None = None,
    ) -> list[object]:
        """Queue requests (update, wait) in order behind a first one; return their results or errors.

        Args:
            requests: what to queue.
            begin: opens the transactions.
            calls: on whose behalf, by place.
            results: what is returned, filled as they end.

        """
        results = [None] * len(requests) if results is None else results
        used = begin or self.begin

        def request(place: int, update: Update, wait: bool) -> None:  # noqa: FBT001
            interruption.begin((calls or {}).get(place))
            try:
                results[place] = self._writer.write([update], used, wait=wait)  # type: ignore[arg-type]
            except Exception as error:  # noqa: BLE001  looked at by the test
                results[place] = error

        leader = threading.Thread(
            target=self._writer.write, args=([upsert((0, {}, {}))], self.begin), kwargs={"wait": True}
        )
        leader.start()
        assert self._entered.wait(10)
        threads = []
        for place, (update, wait) in enumerate(requests):
            thread = threading.Thread(target=request, args=(place, update, wait))
            thread.start()
            threads.append(thread)
            while len(self._writer._queue) <= place:
                pass
        self._gate.set()
        for thread in (leader, *threads):
            thread.join(10)
            assert not thread.is_alive()
        return results


def test_requests_that_wait_together_share_a_transaction(collection: Collection) -> None:
    group = _Group(collection)
    results = group.run([(upsert((n, {}, {"n": n})), True) for n in range(1, 6)])
    assert group.transactions == 2
    assert results == [[2], [3], [4], [5], [6]]
    assert {point: payload for point, (payload, _) in contents(collection).items()} == {
        "0": {},
        **{str(n): {"n": n} for n in range(1, 6)},
    }


def test_a_refused_request_does_not_touch_the_others_of_its_group(collection: Collection) -> None:
    group = _Group(collection)
    results = group.run(
        [
            (upsert((1, {}, {})), True),
            (ClearPayload(pids(9)), True),
            (upsert((2, {"": dense(1)}, {})), False),
            (ClearPayload(pids(9)), False),
            (SetPayload(pids(1), pack_payload({"a": 1})), True),
        ]
    )
    assert group.transactions == 2
    assert results[0] == [2]
    assert isinstance(results[1], NotFoundError)
    assert "Vector dimension error" in str(results[2])
    # Dropped silently, but it takes its number.
    assert results[3:] == [[3], [4]]
    assert contents(collection) == {"0": ({}, {}), "1": ({"a": 1}, {})}


@pytest.mark.parametrize("leading", [0, 1])
def test_a_request_whose_client_has_gone_is_not_begun(
    collection: Collection, leading: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever thread commits the group: its own call's end is nothing to the others."""
    monkeypatch.setattr(writer_module, "_LOOK_S", 10.0)
    gone, late, alive = Interruption(), Interruption(time.monotonic() - 1), Interruption(time.monotonic() + 60)
    gone.cancel()
    group = _Group(collection)
    calls = {leading: gone, 1 - leading: alive, 2: late}
    results = group.run([(upsert((n, {}, {})), n != 2) for n in range(1, 4)], calls=calls)
    assert isinstance(results[leading], CallCancelledError)
    assert isinstance(results[2], OperationTimeoutError)
    assert results[1 - leading] == [2]
    assert list(contents(collection)) == ["0", str(2 - leading)]


def test_a_request_whose_client_goes_leaves_the_queue(collection: Collection) -> None:
    group, call, ended = _Group(collection), Interruption(), threading.Event()

    @contextmanager
    def begin() -> Iterator[Transition]:
        # The leader's transaction: the other call ends, and its thread with it, before this one goes on.
        call.cancel()
        assert ended.wait(10)
        with group.begin() as transition:
            yield transition

    def write() -> None:
        interruption.begin(call)
        with pytest.raises(CallCancelledError):
            group._writer.write([upsert((1, {}, {}))], group.begin, wait=True)
        assert not group._writer._queue
        ended.set()

    group._gate.set()
    leader = threading.Thread(target=group._writer.write, args=([upsert((0, {}, {}))], begin), kwargs={"wait": True})
    leader.start()
    waiting = threading.Thread(target=write)
    waiting.start()
    for thread in (leader, waiting):
        thread.join(20)
        assert not thread.is_alive()
    assert ended.is_set()
    assert list(contents(collection)) == ["0"]
    assert group.transactions == 1


def test_a_request_whose_client_goes_leaves_the_group_before_its_turn(collection: Collection) -> None:
    call, resolving, gone = Interruption(), threading.Event(), threading.Event()

    def check(update: Update, transition: Transition) -> None:
        check_update(update, transition)
        if isinstance(update, SetPayload):
            resolving.set()
            assert gone.wait(20)

    group = _Group(collection)
    group._writer = Writer(check)
    slow = SetPayload(pids(0), pack_payload({"a": 1}))

    def leave() -> None:
        assert resolving.wait(20)
        call.cancel()

    def end() -> None:
        wait_until(lambda: results[1] is not None, "the second request has ended")
        gone.set()

    others = [threading.Thread(target=leave), threading.Thread(target=end)]
    results: list[object] = [None, None]
    for thread in others:
        thread.start()
    group.run([(slow, True), (upsert((1, {}, {})), True)], calls={1: call}, results=results)
    assert results[0] == [2]
    assert isinstance(results[1], CallCancelledError)
    assert contents(collection) == {"0": ({"a": 1}, {})}
    assert group.transactions == 2


def leads_after_waiting(collection: Collection) -> bool:
    """Tell whether a request that waited leads next, and not the thread that has just led and comes again."""
    writer = Writer(check_update)
    leaders: list[threading.Thread] = []

    @contextmanager
    def begin() -> Iterator[Transition]:
        leaders.append(threading.current_thread())
        while len(leaders) == 1 and not writer._queue:
            pass
        with collection._transition() as transition:
            yield transition

    def client(requests: int) -> None:
        for _ in range(requests):
            writer.write([upsert((1, {}, {}))], begin, wait=True)

    busy, waiting = (threading.Thread(target=client, args=(requests,)) for requests in (2, 1))
    busy.start()
    while not leaders:
        pass
    waiting.start()
    for thread in (busy, waiting):
        thread.join(20)
        assert not thread.is_alive()
    return leaders[:2] == [busy, waiting]


def test_the_lead_is_handed_on(collection: Collection) -> None:
    """Left to whoever is fastest, it would stay with one busy client while the others sleep."""
    assert all(leads_after_waiting(collection) for _ in range(50))


def test_a_failing_transaction_is_repeated_request_by_request(collection: Collection) -> None:
    """One request too large for the map must not take the others with it."""
    group = _Group(collection)
    huge = upsert((2, {}, {"text": "x" * (70 << 20)}))
    results = group.run([(upsert((1, {}, {})), True), (huge, True), (upsert((3, {}, {})), False)])
    assert group.transactions == 1 + 1 + 3
    assert results[0] == [2]
    assert isinstance(results[1], InsufficientStorageError)
    assert results[2] == [3]
    assert list(contents(collection)) == ["0", "1", "3"]


def test_a_failed_commit_is_everyones_error_and_nothing_is_kept(collection: Collection) -> None:
    group = _Group(collection)

    @contextmanager
    def failing() -> Iterator[Transition]:
        with collection._transition() as transition:
            yield transition
            msg = "disk on fire"
            raise StorageError(msg)

    results = group.run([(upsert((1, {}, {})), True), (upsert((2, {}, {})), False)], failing)
    assert [str(result) for result in results] == ["disk on fire"] * 2
    assert list(contents(collection)) == ["0"]
    assert write(collection, upsert((5, {}, {})))[0].seq == 2


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nobody_is_told_of_success_when_the_committing_thread_is_ended(collection: Collection) -> None:
    group = _Group(collection)
    ended: list[bool] = []

    @contextmanager
    def ending() -> Iterator[Transition]:
        with collection._transition() as transition:
            yield transition
            if not ended:
                ended.append(True)
                raise SystemExit

    results = group.run([(upsert((1, {}, {})), True), (upsert((2, {}, {})), False)], ending)
    assert sorted(map(str, results)) == ["None", "the write was interrupted"]
    assert list(contents(collection)) == ["0"]
    assert write(collection, upsert((5, {}, {})))[0].seq == 2


def test_too_many_waiting_requests_are_refused(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "QUEUE_MAX", 0)
    with pytest.raises(InsufficientStorageError, match="more than 0 writes are waiting"):
        write(collection, upsert((1, {}, {})))
    assert contents(collection) == {}


def test_numbers_and_order_under_contention(collection: Collection) -> None:
    seqs: dict[int, list[int]] = {}

    def client(name: int) -> None:
        seqs[name] = [
            write(collection, upsert((name, {}, {"n": n}), (100 + n, {}, {"by": name})))[0].seq for n in range(15)
        ]

    threads = [threading.Thread(target=client, args=(name,)) for name in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seq for found in seqs.values() for seq in found) == list(range(1, 91))
    last_writer = {n: max(seqs, key=lambda name: seqs[name][n]) for n in range(15)}
    found = contents(collection)
    for name in range(6):
        assert seqs[name] == sorted(seqs[name])
        assert found[str(name)][0] == {"n": 14}
    assert {n: found[str(100 + n)][0]["by"] for n in range(15)} == last_writer


def test_a_late_reply_tells_that_the_client_should_not_have_waited(collection: Collection) -> None:
    (result,) = collection.write([upsert((1, {}, {}))], wait=True, timeout_s=0)
    assert (result.seq, result.status) == (1, UpdateStatus.WAIT_TIMEOUT)
    (result,) = collection.write([upsert((2, {}, {}))], wait=False, timeout_s=0)
    assert result.status is UpdateStatus.ACKNOWLEDGED
    assert list(contents(collection)) == ["1", "2"]


def test_no_updates_are_no_transaction_of_note(collection: Collection) -> None:
    assert write(collection) == []
    assert write(collection, upsert((1, {}, {})))[0].seq == 1


def test_a_dropped_collection_is_freed_without_the_garbage_collector(tmp_path: Path) -> None:
    """Its environment keeps files open and hence the disk full until the last reference is gone."""
    gc.collect()
    gc.disable()
    try:
        with running_engine(tmp_path) as engine:
            engine.create_collection("c", vector_config())
            collection = engine.collection("c")
            write(collection, upsert((1, {"": dense(1, 2)}, {})))
            with pytest.raises(NotFoundError):
                write(collection, ClearPayload(pids(9)))
            assert collection.count(None) == 1
            alive = weakref.ref(collection)
            del collection
            assert alive() is not None
            assert engine.drop_collection("c")
            assert alive() is None
    finally:
        gc.enable()


class FullDisk:
    """Begins transactions of a collection; the disk is full for the first of them.

    Attributes:
        refusals: how many.
        begun: transactions so far.
    """

    def __init__(self, collection: Collection, refusals: float) -> None:
        self.refusals = refusals
        self.begun = 0
        self._collection = collection

    @contextmanager
    def begin(self) -> Iterator[Transition]:
        """Begin one; it is rolled back while the disk is full."""
        self.begun += 1
        with self._collection._transition() as transition:
            yield transition
            if self.begun <= self.refusals:
                raise InsufficientStorageError("the disk is full")


@pytest.mark.parametrize(("update", "attempts"), [(ClearPayload(pids(0)), 3), (upsert((1, {}, {"n": 1})), 1)])
def test_what_frees_space_waits_for_room(collection: Collection, update: Update, attempts: int) -> None:
    write(collection, upsert((0, {}, {"n": 0})))
    disk = FullDisk(collection, 2)

    writer = Writer(check_update)
    if attempts == 1:
        with pytest.raises(InsufficientStorageError):
            writer.write([update], disk.begin, wait=True)
        assert contents(collection) == {"0": ({"n": 0}, {})}
    else:
        assert writer.write([update], disk.begin, wait=True) == [2]
        assert contents(collection) == {"0": ({}, {})}
    assert disk.begun == attempts


def test_repeated_transactions_are_charged_once(collection: Collection) -> None:
    charged: list[Update] = []
    group = _Group(collection)
    group._writer = Writer(check_update, lambda update, *_: charged.append(update))
    updates: list[Update] = [upsert((1, {}, {})), upsert((2, {}, {"text": "x" * (70 << 20)})), ClearPayload(pids(9))]
    results = group.run([(update, True) for update in updates])
    assert group.transactions > 2
    assert [type(result) for result in results] == [list, InsufficientStorageError, NotFoundError]
    assert charged[1:] == updates


def test_what_frees_space_is_charged_once_however_long_it_waits(collection: Collection) -> None:
    write(collection, upsert((0, {}, {}), (1, {}, {})))
    charged: list[Update] = []
    disk = FullDisk(collection, 2)

    updates = [ClearPayload(pids(0)), ClearPayload(pids(1))]
    Writer(check_update, lambda update, *_: charged.append(update)).write(updates, disk.begin, wait=True)
    assert disk.begun == 3
    assert charged == updates


def test_a_refusal_is_that_of_the_attempt_that_counts(collection: Collection) -> None:
    """Another process may have changed what it was about."""
    write(collection, upsert((0, {}, {})))
    disk = FullDisk(collection, 1)

    def check(update: Update, transition: Transition) -> None:
        check_update(update, transition)
        if isinstance(update, DeletePoints) and disk.begun == 1:
            raise NotFoundError("not yet")

    updates: list[Update] = [ClearPayload(pids(0)), DeletePoints(pids(0))]
    assert Writer(check).write(updates, disk.begin, wait=True) == [2, 3]
    assert contents(collection) == {}


def test_it_does_not_wait_for_ever(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "_ROOM_S", 0.2)

    with pytest.raises(InsufficientStorageError):
        Writer(check_update).write([ClearPayload(pids(0))], FullDisk(collection, math.inf).begin, wait=True)
