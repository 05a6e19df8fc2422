"""Turns of long work: few threads of a process are at it at a time, the others wait for theirs.

The interpreter lets one thread run at a time, in no order. With ten long calls at once, what one of them did between
two looks at its clock (`interruption.py`) took ten times as long as alone, and so long its work went on after its
client had gone. A call that waits for its turn stops at once.
"""

from __future__ import annotations

import threading
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

SLICE_S: Final = 0.02
"""How long a turn lasts; calls that end within one never need another."""

LEASE_S: Final = 0.2
"""Whoever has not come back after so long may wait for something itself: its turn is given to another."""

_LOOK_S: Final = 0.02


class _Place:
    """A place in the line; `granted` is released when its turn has come."""

    def __init__(self, holder: object) -> None:
        self.holder = holder
        self.granted = threading.Lock()
        self.granted.acquire()


class Turns:
    """Gives out turns in the order in which they were asked for. Thread-safe.

    Args:
        at_once: how many have one at a time.
        lease_s: after how long one can be given to another.
    """

    def __init__(self, at_once: int, lease_s: float = LEASE_S) -> None:
        self._at_once = at_once
        self._lease_s = lease_s
        self._lock = threading.Lock()
        self._since: dict[object, float] = {}
        self._line: deque[_Place] = deque()

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._line)

    def following(self, holder: object, check: Callable[[], None]) -> float:
        """End a holder's turn if it has one, wait for its next, and return when that ends by `time.monotonic`.

        Args:
            holder: anything that can be hashed.
            check: raises when it is not to wait any more.
        """
        place = _Place(holder)
        with self._lock:
            self._since.pop(holder, None)
            self._line.append(place)
            self._grant()
        try:
            while not place.granted.acquire(timeout=_LOOK_S):
                check()
                with self._lock:
                    self._grant()
        except BaseException:
            with self._lock:
                if place in self._line:
                    self._line.remove(place)
            self.leave(holder)
            raise
        return monotonic() + SLICE_S

    def leave(self, holder: object) -> None:
        """End a holder's turn, if it has one."""
        with self._lock:
            self._since.pop(holder, None)
            self._grant()

    def _grant(self) -> None:
        now = monotonic()
        while self._line:
            if len(self._since) >= self._at_once:
                # In order of their beginning.
                longest = next(iter(self._since))
                if now - self._since[longest] < self._lease_s:
                    return
                del self._since[longest]
            place = self._line.popleft()
            self._since[place.holder] = now
            place.granted.release()
