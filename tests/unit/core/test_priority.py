"""A thread that keeps its priority."""

from __future__ import annotations

import os
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pointstore.core.priority import PromptThread, give_way


def nice() -> int:
    """Return the nice value of this thread."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_a_thread_stays_prompt_when_others_give_way() -> None:
    before = nice()

    def found() -> list[int]:
        promptly = PromptThread()
        give_way()
        with ThreadPoolExecutor(1) as later:
            values = [promptly(nice), nice(), later.submit(nice).result()]
        promptly.close()
        return values

    # Only the thread that gives way does, and there is no way back for it.
    with ThreadPoolExecutor(1) as aside:
        assert aside.submit(found).result() == [before, 19, 19]
    assert nice() == before


def test_prompt_work_raises_what_it_raises() -> None:
    promptly = PromptThread()
    with pytest.raises(ZeroDivisionError):
        promptly(divmod, 1, 0)
    promptly.close()
