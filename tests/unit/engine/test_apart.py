"""Tests of work in another process."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import pytest

from pointstore.core.errors import CorruptionError
from pointstore.engine.apart import Apart, DiedError

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def apart() -> Iterator[Apart]:
    made = Apart(60.0)
    yield made
    made.close()


def _fail(text: str) -> None:
    raise CorruptionError(text)


def test_results_and_errors_come_back(apart: Apart) -> None:
    pid = apart.run(os.getpid)
    assert pid != os.getpid()
    with pytest.raises(CorruptionError, match="bad"):
        apart.run(_fail, "bad")
    assert apart.run(os.getpid) == pid


def test_a_death_is_told_and_the_next_task_gets_another_process(apart: Apart) -> None:
    pid = apart.run(os.getpid)
    with pytest.raises(DiedError, match=r"^SIGBUS$") as died:
        apart.run(os.kill, pid, signal.SIGBUS)
    assert died.value.signal is signal.SIGBUS
    with pytest.raises(DiedError, match="exit status 7") as died:
        apart.run(os._exit, 7)
    assert died.value.signal is None
    assert apart.run(os.getpid) not in {pid, os.getpid()}


def test_a_task_that_takes_too_long_is_ended() -> None:
    apart = Apart(0.2)
    with pytest.raises(DiedError, match="no end within 0 s"):
        apart.run(time.sleep, 60)
    apart.close()


def test_a_process_that_is_ended_between_two_tasks_is_replaced(apart: Apart) -> None:
    pid = apart.run(os.getpid)
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(DiedError, match=r"^SIGKILL$"):
        apart.run(os.getpid)
    assert apart.run(os.getpid) != pid
