"""The checker of histories: good ones pass, known-bad ones do not, and on small ones it agrees with brute force."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

import pytest

from tests.gates.history import (
    ABSENT,
    DONE,
    EMPTY,
    MISSING,
    NEVER,
    Act,
    Call,
    Kind,
    Reading,
    State,
    Write,
    applied,
    check,
    check_counter,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.gates.history import Outcome

START: State = (ABSENT, ABSENT)


def put(began: float, ended: float, value: int, *places: int, outcome: Outcome | None = DONE) -> Call:
    return Call("w", began, ended, Act(Kind.PUT, places or (0,), value), outcome)


def put_if(began: float, ended: float, value: int, expected: int) -> Call:
    return Call("w", began, ended, Act(Kind.PUT_IF, (0,), value, expected), DONE)


def replace(began: float, ended: float, value: int, outcome: Outcome | None = DONE) -> Call:
    return Call("w", began, ended, Act(Kind.SET, (0,), value), outcome)


def delete(began: float, ended: float, outcome: Outcome | None = DONE) -> Call:
    return Call("w", began, ended, Act(Kind.DELETE, (0,)), outcome)


def get(began: float, ended: float, *states: int) -> Call:
    return Call("r", began, ended, Act(Kind.GET, tuple(range(len(states)))), states)


GOOD: dict[str, list[Call]] = {
    "nothing": [],
    "one after the other": [put(0, 1, 7), get(2, 3, 7), delete(4, 5), get(6, 7, ABSENT)],
    "a read during a write sees either": [put(0, 9, 7), get(1, 2, ABSENT), get(3, 4, 7)],
    "writes at the same time take any order": [put(0, 9, 7), put(0, 9, 8), get(10, 11, 7), get(12, 13, 7)],
    "a lost write happened": [put(0, 5, 7, outcome=None), get(6, 7, 7)],
    "a lost write did not happen": [put(0, 5, 7, outcome=None), get(6, 7, ABSENT), get(8, 9, ABSENT)],
    "a lost write happens late": [put(0, NEVER, 7, outcome=None), get(6, 7, ABSENT), get(8, 9, 7), get(10, 11, 7)],
    "a lost deletion": [put(0, 1, 7), delete(2, 8, None), get(3, 4, 7), get(5, 6, ABSENT)],
    "a condition that holds": [put(0, 1, 7), put_if(2, 3, 8, 7), get(4, 5, 8)],
    "a condition that does not hold": [put(0, 1, 7), put_if(2, 3, 8, 6), get(4, 5, 7)],
    "a condition on a point that is not there": [put_if(2, 3, 8, 6), get(4, 5, 8)],
    "replacing what is not there": [replace(0, 1, 7, MISSING), get(2, 3, ABSENT)],
    "clearing": [put(0, 1, 7), replace(2, 3, EMPTY), get(4, 5, EMPTY)],
    "replacing what is about to come": [put(0, 9, 7), replace(1, 2, 8), get(3, 4, 8)],
    "a batch of two points": [put(0, 9, 7, 0, 1), get(1, 2, ABSENT, ABSENT), get(3, 4, 7, 7)],
}
BAD: dict[str, list[Call]] = {
    "a stale read": [put(0, 1, 7), put(2, 3, 8), get(4, 5, 7)],
    "a stale read before anything else": [put(0, 1, 7), get(2, 3, ABSENT)],
    "a lost update": [put(0, 1, 7), replace(2, 3, 8), put_if(4, 5, 9, 8), get(6, 7, 8)],
    "a read from the future": [get(0, 1, 7), put(2, 3, 7)],
    "a value that nobody wrote": [put(0, 1, 7), get(2, 3, 9)],
    "a resurrected deletion": [put(0, 1, 7), delete(2, 3), get(4, 5, ABSENT), get(6, 7, 7)],
    "reads that go back, on two workers": [put(0, 1, 7), put(2, 9, 8), get(3, 4, 8), get(5, 6, 7)],
    "readers that see two writes in different orders": [
        put(0, 20, 7),
        put(0, 20, 8),
        get(1, 2, 7),
        get(3, 4, 8),
        get(5, 6, 7),
    ],
    "half a batch": [put(0, 1, 7, 0, 1), get(2, 3, 7, ABSENT)],
    "half a batch while it is open": [put(0, 9, 7, 0, 1), get(1, 2, 7, ABSENT)],
    "half a lost batch": [put(0, 5, 7, 0, 1, outcome=None), get(6, 7, ABSENT, 7)],
    "a lost write that comes and goes": [put(0, NEVER, 7, outcome=None), get(6, 7, 7), get(8, 9, ABSENT)],
    "a lost write after its server was gone": [put(0, 5, 7, outcome=None), get(6, 7, ABSENT), get(8, 9, 7)],
    "a write in spite of its condition": [put(0, 1, 7), put_if(2, 3, 8, 6), get(4, 5, 8)],
    "a condition that was overlooked": [put(0, 1, 7), put_if(2, 3, 8, 7), get(4, 5, 7)],
    "replacing what is not there": [replace(0, 1, 7), get(2, 3, 7)],
    "refusing to replace what is there": [put(0, 1, 7), replace(2, 3, 8, MISSING)],
    "a deletion that did nothing": [put(0, 1, 7), delete(2, 3), get(4, 5, 7)],
}


@pytest.mark.parametrize("name", GOOD)
def test_good_histories(name: str) -> None:
    for order in (GOOD[name], GOOD[name][::-1]):
        assert check(order, START) is None


@pytest.mark.parametrize("name", BAD)
def test_bad_histories(name: str) -> None:
    for order in (BAD[name], BAD[name][::-1]):
        violation = check(order, START)
        assert violation is not None
        assert "no order of calls explains" in str(violation)


def test_unknown_begin() -> None:
    assert check([get(0, 1, 7, 8), get(2, 3, 7, 8)], None) is None
    assert check([get(0, 1, 7, 8), get(2, 3, 7, 9)], None) is not None


def random_act(rng: random.Random, value: int) -> Act:
    """Return a request of any kind; a few values, so that conditions hold and reads can be wrong."""
    kind = rng.choice([Kind.PUT, Kind.PUT_IF, Kind.SET, Kind.DELETE, Kind.GET, Kind.GET])
    places = rng.choice([(0,), (0,), (1,), (0, 1)])
    if kind in {Kind.SET, Kind.PUT_IF}:
        places = places[:1]
    return Act(kind, places, value, rng.randint(1, max(value, 1)))


def by_brute_force(calls: Sequence[Call], initial: State) -> bool:
    """Tell whether a history is linearizable by trying every order of every choice of lost calls."""
    lost = [call for call in calls if call.outcome is None]
    kept = [call for call in calls if call.outcome is not None]
    return any(
        _explains(order, initial)
        for happened in itertools.product([False, True], repeat=len(lost))
        for order in itertools.permutations([*kept, *itertools.compress(lost, happened)])
    )


def _explains(order: Sequence[Call], state: State) -> bool:
    if any(later.ended < call.began for call, later in itertools.combinations(order, 2)):
        return False
    for call in order:
        state, outcome = applied(state, call.act)
        if call.outcome not in {None, outcome}:
            return False
    return True


def small_history(rng: random.Random) -> list[Call]:
    """Return some overlapping calls; outcomes are those of one order, some of them made wrong."""
    state = START
    calls: list[Call] = []
    for number in range(rng.randint(1, 6)):
        at = number * 2.0
        act = random_act(rng, number + 1)
        lost = rng.random() < 0.25
        if not lost or rng.random() < 0.5:
            state, outcome = applied(state, act)
        if act.kind is Kind.GET and rng.random() < 0.6:
            outcome = tuple(rng.randint(-1, number + 1) for _ in act.places)
        ended = NEVER if lost and rng.random() < 0.3 else at + rng.uniform(0, 5)
        calls.append(Call("c", at - rng.uniform(0, 5), ended, act, None if lost else outcome))
    return calls


def test_agrees_with_brute_force() -> None:
    rng = random.Random(1)
    verdicts = []
    for _ in range(1500):
        calls = small_history(rng)
        verdicts.append(check(calls, START) is None)
        assert verdicts[-1] == by_brute_force(calls, START), calls
    assert 300 < sum(verdicts) < 1200


def long_history(rng: random.Random, calls: int, clients: int) -> list[Call]:
    """Return what clients of one true register saw, with calls that overlap and some lost ones."""
    state = START
    history: list[tuple[Call, float]] = []
    free = [0.0] * clients
    for number in range(calls):
        client = rng.randrange(clients)
        began = free[client] + rng.expovariate(1.0)
        # The effect comes in the order of this loop: every call waits for the moment.
        moment = max(began, max(free) if number % 5 == 0 else began, history[-1][1] if history else 0.0)
        act = random_act(rng, number + 1)
        lost = rng.random() < 0.01
        outcome: Outcome = DONE
        if not lost or rng.random() < 0.5:
            state, outcome = applied(state, act)
        free[client] = moment + rng.expovariate(2.0)
        history.append((Call(str(client), began, free[client], act, None if lost else outcome), moment))
    return [call for call, _ in history]


def test_long_histories() -> None:
    """Good ones pass, with so many calls that a search through all orders would not end; one stale read is found."""
    rng = random.Random(2)
    history = long_history(rng, 20_000, 4)
    assert check(history, START) is None
    reads = [n for n, call in enumerate(history) if call.act.kind is Kind.GET and call.outcome not in {None, (ABSENT,)}]
    for number in rng.sample(reads, 5):
        call = history[number]
        stale = call._replace(outcome=tuple(1 for _ in call.act.places))
        assert check([*history[:number], stale, *history[number + 1 :]], START) is not None


WRITES = [Write(0, 1, 1, waited=False), Write(2, 3, 2, waited=False), Write(4, 5, 3, waited=True)]


@pytest.mark.parametrize(
    "readings",
    [
        [],
        [(0.5, 0.6, 0), (1.5, 1.6, 0), (3.5, 3.6, 0), (6, 7, 3)],
        [(0.5, 0.6, 1), (3.5, 3.6, 2), (4.5, 4.6, 3)],
        [(0.5, 9, 2), (0.6, 3, 1)],
    ],
)
def test_good_counters(readings: list[tuple[float, float, int]]) -> None:
    assert check_counter(WRITES, [Reading(*each) for each in readings]) is None


@pytest.mark.parametrize(
    "readings",
    [
        # The second write overtook the first, and was then overwritten by it.
        [(3.1, 3.2, 2), (3.3, 3.4, 1)],
        [(0.1, 0.2, 2)],
        [(6, 7, 2)],
        [(6, 7, 0)],
    ],
)
def test_bad_counters(readings: list[tuple[float, float, int]]) -> None:
    assert check_counter(WRITES, [Reading(*each) for each in readings]) is not None
