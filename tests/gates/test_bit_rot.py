"""R7: one flipped bit or a lost end anywhere in a data directory is noticed or mended, never believed.

Each round damages a copy, starts on it as a server does (in a process that may die and is then started again without
what killed it), and asks everything. Collections answer as before or say that they are damaged.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from pointstore.core.errors import StorageError
from pointstore.engine.apart import Apart, DiedError
from tests.gates import rot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.gates.conftest import Budget

_STEP_S = 100.0
_DEATHS_MAX = 4
_CONTROL_ROUNDS = 60


@pytest.fixture
def pristine(tmp_path: Path) -> Path:
    """Return an undamaged data directory, as a start leaves it."""
    directory = tmp_path / "pristine"
    rot.build(directory)
    rot.start(directory, None)
    return directory


@pytest.fixture
def apart() -> Iterator[Apart]:
    """Return a process for what may die."""
    made = Apart(_STEP_S)
    yield made
    made.close()


def _surviving(apart: Apart, step: Callable[[Path, str | None], object], directory: Path) -> int:
    """Run a step again and again until it outlives the damage; return the number of deaths."""
    after: str | None = None
    for deaths in range(_DEATHS_MAX):
        try:
            apart.run(step, directory, after)
        except DiedError as error:
            after = str(error)
        else:
            return deaths
    pytest.fail(f"{step.__name__} dies for ever, the last time of {after}")


def _outcome(apart: Apart, directory: Path, expected: rot.Answers) -> tuple[str, str]:
    """Start on a directory and compare its answers; return what came of it and the difference if there is one."""
    try:
        deaths = _surviving(apart, rot.start, directory)
    except StorageError:
        return "refused", ""
    found: rot.Answers | None = None
    for _ in range(_DEATHS_MAX):
        try:
            found = apart.run(rot.answers, directory)
            break
        except DiedError:
            deaths += 1 + _surviving(apart, rot.look_again, directory)
    assert found is not None, "it dies again and again"
    return _compared(found, expected, deaths)


def _unchecked_outcome(apart: Apart, directory: Path, expected: rot.Answers) -> tuple[str, str]:
    """Do the same without any checks, where a death is as good as a detection."""
    try:
        apart.run(rot.without_checks)
        apart.run(rot.start, directory, None)
        return _compared(apart.run(rot.answers, directory), expected, 0)
    except Exception:  # noqa: BLE001  anything may come of damage that nobody looks for
        return "detected", ""


def _compared(found: rot.Answers, expected: rot.Answers, deaths: int) -> tuple[str, str]:
    wrong = {
        f"{name}: {question}"
        for name, told in found.items()
        if "error" not in told
        for question in told
        if told[question] != expected[name][question]
    }
    if wrong:
        return "wrong", ", ".join(sorted(wrong))
    detected = any("error" in told for told in found.values())
    return ("detected" if detected else "same") + (", a process died" if deaths else ""), ""


def _rounds(  # noqa: PLR0913  what rounds consist of
    pristine: Path, apart: Apart, rng: random.Random, size: int, done: Callable[[], bool], *, checked: bool = True
) -> Iterator[tuple[str, str]]:
    expected = apart.run(rot.answers, pristine)
    assert not any("error" in told for told in expected.values())
    directory = pristine.parent / "damaged"
    for _ in range(size):
        if done():
            return
        shutil.copytree(pristine, directory)
        what = rot.damage(rng, directory)
        outcome, difference = (_outcome if checked else _unchecked_outcome)(apart, directory, expected)
        yield outcome, f"{what}: {difference}"
        shutil.rmtree(directory)


@pytest.mark.gate("R7", size=100)
def test_damage_is_never_believed(pristine: Path, apart: Apart, budget: Budget) -> None:
    rng = random.Random(budget.seed)
    seen: Counter[str] = Counter()
    wrong: list[str] = []
    for outcome, text in _rounds(pristine, apart, rng, budget.size, budget.spent):
        seen[outcome] += 1
        if outcome == "wrong":
            wrong.append(text)
    budget.report(f"{seen.total()} damages: {', '.join(f'{count} {what}' for what, count in seen.most_common())}")
    assert not wrong
    assert seen.total() > budget.size // 10


@pytest.mark.gate("R7", size=_CONTROL_ROUNDS)
def test_without_checks_damage_is_believed(pristine: Path, apart: Apart, budget: Budget) -> None:
    """The control: the same rounds find wrong answers when nothing is verified."""
    rng = random.Random(1)
    unchecked = _rounds(pristine, apart, rng, _CONTROL_ROUNDS, budget.spent, checked=False)
    for rounds, (outcome, text) in enumerate(unchecked, 1):
        if outcome == "wrong":
            budget.report(f"the control, without checks, has a wrong answer after {rounds} damages ({text})")
            return
    pytest.fail("damage without checks was harmless: this gate cannot fail")
