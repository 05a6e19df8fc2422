"""R4: EIO, ENOSPC and EDQUOT at the n-th write, sync, open, rename and truncate of a program that does everything.

Each time: the call gets its specified error, nothing is half applied, what was there is readable, and after a start the
state is the model's, and the rest of the program runs.
"""

from __future__ import annotations

import errno
import json
import random
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.gates.compiling import compiled, preloaded
from tests.gates.faulty_disk import KINDS, NO_SPACE, Case

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.gates.conftest import Budget

    Ask = Callable[[Case], dict[str, Any]]

NOTHING: Final = Case(0, 0, errno.EIO, lasting=False)


@contextmanager
def asking(directory: Path) -> Iterator[Ask]:
    """Start the program; yield what answers cases."""
    process = preloaded(compiled("injector.c", directory), "faulty_disk.py", [str(directory)])
    assert process.stdin is not None
    assert process.stdout is not None

    def ask(case: Case) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps([case.kind, case.call, case.number, case.lasting]) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, f"the program died of {case}"
        answer: dict[str, Any] = json.loads(line)
        return answer

    try:
        yield ask
    finally:
        process.kill()
        process.communicate()


def all_cases(seen: list[int]) -> list[Case]:
    """Return every failure of a run with so many calls of each kind."""
    return [
        Case(kind, call, number, lasting)
        for kind, calls in enumerate(seen)
        for call in range(1, calls + 1)
        for number in (errno.EIO, *NO_SPACE)
        for lasting in (False, True)
        # A full disk syncs what it has.
        if not (KINDS[kind] == "sync" and number in NO_SPACE)
    ]


@pytest.mark.gate("R4", size=60)
@pytest.mark.timeout(0)
def test_errors_of_the_disk_are_told_and_harmless(tmp_path: Path, budget: Budget) -> None:
    with asking(tmp_path) as ask:
        seen = ask(NOTHING)["seen"]
        assert all(seen), f"calls of every kind: {dict(zip(KINDS, seen, strict=True))}"
        cases = all_cases(seen)
        chosen = random.Random(budget.seed).sample(cases, min(budget.size, len(cases)))
        errors: Counter[str] = Counter()
        failures: list[str] = []
        done = 0
        for case in chosen:
            if budget.spent():
                break
            outcome = ask(case)
            done += 1
            errors.update(outcome["errors"].values())
            if "failure" in outcome:
                failures.append(f"{case}: {outcome}")
    budget.report(
        f"{done} of {len(cases)} failing calls ({dict(zip(KINDS, seen, strict=True))} in a run); told {dict(errors)}"
    )
    assert not failures, "\n".join([f"{len(failures)} of {done}", *failures[:20]])
    assert errors["ReadOnlyError"]
    assert errors["InsufficientStorageError"]
