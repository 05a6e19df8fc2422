"""Priorities: a process that gives way to others keeps one thread that does not, for what they wait for.

Linux keeps a nice value for each thread, and only the privileged may lower one again. So a thread that is to be
prompt begins before its process gives way.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


class PromptThread:
    """Does work in a thread that has the priority of the one that made this. Thread-safe."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prompt")
        # Left to itself, the pool would begin its thread with the first work.
        self._thread.submit(int).result()

    def __call__(
        self, work: Callable[_Arguments, _Result], *args: _Arguments.args, **kwargs: _Arguments.kwargs
    ) -> _Result:
        """Return or raise what the work does, once it is its turn."""
        return self._thread.submit(work, *args, **kwargs).result()

    def close(self) -> None:
        """End the thread; nothing may be given to it any more."""
        self._thread.shutdown()


def give_way() -> None:
    """Let this thread, and those it begins from now on, run when no other process wants the processor.

    Batch scheduling at the lowest nice value, not SCHED_IDLE: what gets no time at all keeps its memory for as long.
    """
    os.nice(19)
    if hasattr(os, "SCHED_BATCH"):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
