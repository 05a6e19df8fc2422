"""Histories of calls on registers, and the check that some order of them explains every outcome.

A register holds the states of a few points that requests may write and read together. It is linearizable when its calls
can be put into one order in which each stands between its begin and its end, and each outcome is what the calls before
it make of the initial state. Linearizability is local: a store is linearizable when each register is (Herlihy and Wing,
1990). The check goes along the ends of calls and keeps every configuration that is still possible, a state with the
open calls that have taken effect in it; a call takes effect as late as possible, just before some end (Lowe, "Testing
for linearizability", 2017). It is exact, and its cost is that of the calls open at the same time, not of the history.

A call without outcome was lost: it has taken effect once before its `ended`, or never.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ABSENT: Final = -1
"""State of a point that does not exist."""
EMPTY: Final = 0
"""State of a point without payload; other states are the unique values, positive, that writes put there."""
NEVER: Final = float("inf")
"""End of a lost call that may take effect at any later time."""

State = tuple[int, ...]
Outcome = tuple[int, ...]
DONE: Final[Outcome] = ()
"""Outcome of a write that was told OK."""
MISSING: Final[Outcome] = (ABSENT,)
"""Outcome of a write that was told that its point does not exist; nothing has changed."""


class Kind(Enum):
    """What calls do to the points at their places."""

    PUT = "upsert"
    PUT_IF = "upsert where the payload is as expected or no point is"
    SET = "replacement of the payload of points that must exist"
    DELETE = "deletion"
    GET = "read"


class Act(NamedTuple):
    """One request.

    Attributes:
        kind: what it does.
        places: which points of the register, all at once.
        value: what a write puts there.
        expected: what `PUT_IF` compares with.

    """

    kind: Kind
    places: tuple[int, ...]
    value: int = EMPTY
    expected: int = EMPTY


class Call(NamedTuple):
    """One request of a history.

    Attributes:
        client: who called; for the reader of a report.
        began: monotonic seconds before it was sent.
        ended: seconds after its reply came, or from when on it has no effect any more if it was lost.
        act: the request.
        outcome: the states read by `GET`, `DONE` or `MISSING`; None when it was lost.

    """

    client: str
    began: float
    ended: float
    act: Act
    outcome: Outcome | None


def applied(state: State, act: Act) -> tuple[State, Outcome]:
    """Return the state after a request, and its outcome."""
    if act.kind is Kind.GET:
        return state, tuple([state[place] for place in act.places])
    if act.kind is Kind.SET and any(state[place] == ABSENT for place in act.places):
        return state, MISSING
    after = list(state)
    for place in act.places:
        if act.kind is Kind.DELETE:
            after[place] = ABSENT
        elif act.kind is not Kind.PUT_IF or after[place] in {ABSENT, act.expected}:
            after[place] = act.value
    return tuple(after), DONE


@dataclass(frozen=True, slots=True)
class Violation:
    """A call whose outcome no order explains.

    Attributes:
        call: the first such call, in the order of ends.
        possible: the states that the register could have had just before calls that were open at its end took effect.
        before: the calls that ended last before it, and those that were open.

    """

    call: Call
    possible: frozenset[State]
    before: tuple[Call, ...]

    def __str__(self) -> str:
        """Return a report of some lines."""
        lines = [f"no order of calls explains {self.call}", f"possible states: {sorted(self.possible)}"]
        return "\n".join([*lines, *map(str, self.before)])


Configuration = tuple[State, frozenset[int]]
_BEFORE = 12


def check(calls: Sequence[Call], initial: State | None) -> Violation | None:
    """Return the first violation in the history of one register, None when it is linearizable.

    Args:
        calls: in any order.
        initial: state before the first call; None for any that fits its first read, which then must end before any
            other call begins.

    """
    calls = sorted(calls, key=lambda call: call.ended)
    if initial is None:
        first = calls[0]
        assert first.act.kind is Kind.GET, "a history of unknown begin begins with a read"
        assert first.outcome is not None
        initial = first.outcome
    configurations: set[Configuration] = {(initial, frozenset())}
    open_calls: dict[int, Call] = {}
    for _, is_end, number in _events(calls):
        if not is_end:
            open_calls[number] = calls[number]
            continue
        reached = set[Configuration]()
        for configuration in configurations:
            reached |= _with_effect(configuration, number, open_calls)
        if calls[number].outcome is None:
            # It may also never have happened.
            reached |= {configuration for configuration in configurations if number not in configuration[1]}
        if not reached:
            possible = frozenset(state for state, _ in configurations)
            others = [call for other, call in open_calls.items() if other != number]
            return Violation(calls[number], possible, (*calls[max(0, number - _BEFORE) : number], *others))
        configurations = reached
        del open_calls[number]
    return None


def _events(calls: Sequence[Call]) -> Iterable[tuple[float, bool, int]]:
    """Return (time, whether a call ends, its number) in order; what begins when another ends overlaps it."""
    begins = [(call.began, False, number) for number, call in enumerate(calls)]
    ends = [(call.ended, True, number) for number, call in enumerate(calls) if call.ended < NEVER]
    return sorted([*begins, *ends])


def _with_effect(start: Configuration, wanted: int, open_calls: dict[int, Call]) -> set[Configuration]:
    """Return the configurations in which a call that ends has taken effect, which is then forgotten."""
    found: set[Configuration] = set()
    seen = {start}
    waiting = [start]
    while waiting:
        state, effective = waiting.pop()
        if wanted in effective:
            found.add((state, effective - {wanted}))
            continue
        for number, call in open_calls.items():
            if number in effective:
                continue
            after, outcome = applied(state, call.act)
            if call.outcome is not None and call.outcome != outcome:
                continue
            following = (after, effective | {number})
            if following not in seen:
                seen.add(following)
                waiting.append(following)
    return found


@dataclass(frozen=True, slots=True)
class Write:
    """One of the writes of ascending numbers to a counter, all from one connection, one after the other.

    Attributes:
        began, ended: as those of `Call`.
        value: the number.
        waited: whether the reply promises that readers see it.

    """

    began: float
    ended: float
    value: int
    waited: bool


@dataclass(frozen=True, slots=True)
class Reading:
    """What a reader of a counter saw, 0 for nothing."""

    began: float
    ended: float
    value: int


def check_counter(writes: Sequence[Write], readings: Sequence[Reading]) -> str | None:
    """Return what is wrong with what readers saw of a counter, None when nothing is.

    Writes that are not waited for may be seen late, but in order: a reader never sees a number after a greater one was
    seen, none that was not yet sent, and nothing less than a number that was waited for.
    """
    # (time, 0 for what holds from now on, 1 for what looks; the number)
    sent = sorted((write.began, write.value) for write in writes)
    bounds = [(write.ended, write.value) for write in writes if write.waited and write.ended < NEVER]
    bounds += [(reading.ended, reading.value) for reading in readings]
    bounds.sort()
    least, most, bound_at, sent_at = 0, 0, 0, 0
    for reading in sorted(readings, key=lambda each: each.began):
        while bound_at < len(bounds) and bounds[bound_at][0] < reading.began:
            least = max(least, bounds[bound_at][1])
            bound_at += 1
        if reading.value < least:
            return f"{reading} although {least} was seen or waited for before"
    for reading in sorted(readings, key=lambda each: each.ended):
        while sent_at < len(sent) and sent[sent_at][0] <= reading.ended:
            most = max(most, sent[sent_at][1])
            sent_at += 1
        if reading.value > most:
            return f"{reading} although only {most} had been sent"
    return None
