"""Runs the fixed program with one failing call of the disk a time; started with `injector.c` preloaded.

    faulty_disk.py DIRECTORY < cases > outcomes

A case is a line of JSON: kind of call, which one, errno, whether the failure lasts. A case with call 0 fails nothing
and is answered with the number of calls of each kind; any other with what was seen.
"""

from __future__ import annotations

import ctypes
import errno
import json
import logging
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from pointstore.core.errors import InsufficientStorageError, PointstoreError, ReadOnlyError, UnavailableError
from pointstore.engine.recover import recover
from pointstore.storage.poison import MARKS
from tests.gates.program import MAP_SIZE, STEPS, Model, Step, Subject

KINDS: Final = ("write", "sync", "open", "rename", "truncate")
NO_SPACE: Final = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Case:
    """Which call fails how."""

    kind: int
    call: int
    number: int
    lasting: bool


class Injector:
    """The preloaded library."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        self._library.injector_seen.restype = ctypes.c_long
        self._library.injector_arm.argtypes = (
            ctypes.c_char_p,
            ctypes.c_int,
            ctypes.c_long,
            ctypes.c_int,
            ctypes.c_int,
        )

    def arm(self, directory: Path, case: Case) -> None:
        """Let a call fail from now on."""
        kind = case.kind if case.call else -1
        self._library.injector_arm(os.fsencode(directory), kind, case.call, case.number, case.lasting)

    def disarm(self) -> None:
        """Let nothing fail any more."""
        self._library.injector_arm(b"", -1, 0, 0, 0)

    def seen(self) -> list[int]:
        """Return the numbers of calls, by kind."""
        return [self._library.injector_seen(kind) for kind in range(len(KINDS))]


class Run:
    """One run of the program with a failing call."""

    def __init__(self, injector: Injector, directory: Path, case: Case) -> None:
        self._injector = injector
        self._directory = directory
        self._case = case
        self._model = Model()
        self.errors: dict[str, str] = {}

    def run(self) -> None:
        """Run it.

        Raises:
            AssertionError: something is not as promised.
        """
        self._injector.arm(self._directory, self._case)
        subject: Subject | None = None
        try:
            subject = Subject(self._directory)
        except PointstoreError as error:
            self._note("open", error)
        possible = [self._model]
        left: list[Step] = list(STEPS)
        while subject is not None and left:
            step = left[0]
            possible = [self._model, step.after(self._model)]
            failed = self._attempt(subject, step)
            if failed is None:
                self._model = possible[1]
                possible = [self._model]
                left.pop(0)
                continue
            if MARKS.broken.is_set():
                # As the process of a server does: another takes its place, which still sees the marks.
                subject.close()
                MARKS.broken.clear()
                self._injector.disarm()
                subject = Subject(self._directory)
            self._compare(subject, possible, failed)
            if isinstance(failed, InsufficientStorageError) and not self._case.lasting:
                # Room again: it is as if nothing had happened.
                possible = [self._model]
                continue
            break
        self._injector.disarm()
        if subject is not None:
            subject.close()
        self._restart(possible, left)

    def seen(self) -> list[int]:
        """Run the program without failures; return the numbers of calls."""
        self._injector.arm(self._directory, self._case)
        subject = Subject(self._directory)
        for step in STEPS:
            step.act(subject)
        subject.close()
        return self._injector.seen()

    def _attempt(self, subject: Subject, step: Step) -> PointstoreError | None:
        try:
            step.act(subject)
        except PointstoreError as error:
            self._note(step.name, error)
            return error
        return None

    def _note(self, step: str, error: PointstoreError) -> None:
        specified: tuple[type[PointstoreError], ...] = (UnavailableError,)
        if self._case.number in NO_SPACE:
            # A page that had its place and does not find it any more is as bad as an I/O error.
            specified = (InsufficientStorageError, ReadOnlyError) if MARKS.any() else (InsufficientStorageError,)
        assert isinstance(error, specified), f"{step}: {error!r}"
        self.errors[step] = type(error).__name__

    def _compare(self, subject: Subject, possible: list[Model], failed: PointstoreError) -> None:
        """Compare right after the failure, while it lasts if reading is to work meanwhile."""
        if KINDS[self._case.kind] == "open":
            self._injector.disarm()
        observed = subject.observed()
        if isinstance(failed, InsufficientStorageError):
            assert observed == possible[0], "a refused step has changed something"
        else:
            assert observed in possible, "something is half applied"

    def _restart(self, possible: list[Model], left: list[Step]) -> None:
        recover(self._directory, map_size=MAP_SIZE, catalog_map_size=MAP_SIZE)
        subject = Subject(self._directory)
        observed = subject.observed()
        assert observed in possible, f"after the restart: {observed}"
        # A step that took effect although it failed is not repeated.
        if len(possible) > 1 and observed == possible[1] != possible[0]:
            left = left[1:]
        model = observed
        for step in left:
            step.act(subject)
            model = step.after(model)
        assert subject.observed() == model, "after the rest of the program"
        subject.close()
        names = {path.name for path in self._directory.glob("collections/*/segments/.*")}
        assert not names, f"left behind: {names}"


def main() -> None:
    """Answer the cases of standard input."""
    # Tracebacks in colour would take most of the time.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    base, injector = Path(sys.argv[1]), Injector()
    for number, line in enumerate(sys.stdin):
        case = Case(*json.loads(line))
        directory = base / str(number)
        run = Run(injector, directory, case)
        outcome: dict[str, object]
        if not case.call:
            outcome = {"seen": run.seen()}
        else:
            try:
                run.run()
                outcome = {"errors": run.errors}
            except Exception as error:  # noqa: BLE001  the test that started this shows it
                outcome = {"errors": run.errors, "failure": f"{type(error).__name__}: {error}"}
        injector.disarm()
        shutil.rmtree(directory, ignore_errors=True)
        print(json.dumps(outcome), flush=True)  # noqa: T201  that is the answer


if __name__ == "__main__":
    main()
