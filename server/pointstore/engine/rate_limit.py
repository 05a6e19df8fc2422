"""Token buckets that all processes of a server share (specification part 1, 9; part 2, 17.7).

The processes have nothing in common but the data directory, so a bucket is a file of a few bytes in the collection's
directory, changed under a lock. It is not synced: after a crash of the machine a bucket may be fuller than it should,
and nothing else depends on it.
"""

from __future__ import annotations

import fcntl
import math
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path

from pointstore.core.errors import InsufficientStorageError, RateLimitedError, ReadOnlyError
from pointstore.storage.faults import fault

_STATE = struct.Struct("<Qdd")
_MINUTE_S = 60


class TokenBucket:
    """As many tokens as the limit, full at first, refilled continuously within a minute. Thread-safe.

    Args:
        path: its file, created when first needed.
        kind: "Read" or "Write", for the text of a refusal.
        clock: seconds that pass alike in all processes of the machine.
    """

    def __init__(self, path: Path, kind: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._kind = kind
        self._clock = clock

    def take(self, cost: int, limit: int) -> None:
        """Take tokens, or none of them if there are too few.

        Args:
            cost: number of tokens.
            limit: capacity, and tokens a minute; a bucket of another limit is replaced by a full one.

        Raises:
            RateLimitedError: too few tokens.
            StorageError: the file cannot be used; where the disk is full or read-only, nothing is limited.
        """
        if cost > limit:
            raise RateLimitedError(
                f"{self._kind} rate limit exceeded, request larger than rate limiter capacity, "
                "please try to split your request",
                None,
            )
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            try:
                # Belongs to this descriptor, hence excludes other threads like other processes; ends with it.
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                self._take(descriptor, cost, limit)
            finally:
                os.close(descriptor)
        except FileNotFoundError:
            # The collection is dropped while its last requests run.
            return
        except OSError as error:
            # Reads go on where nothing can be written; what is to be written is refused where it is.
            failure = fault(error, self._path)
            if not isinstance(failure, InsufficientStorageError | ReadOnlyError):
                raise failure from error

    def _take(self, descriptor: int, cost: int, limit: int) -> None:
        now = self._clock()
        tokens = _tokens(os.pread(descriptor, _STATE.size, 0), now, limit)
        if cost > tokens:
            wait_s = math.ceil((cost - tokens) * _MINUTE_S / limit)
            raise RateLimitedError(
                f"{self._kind} rate limit exceeded: Operation requires {cost} tokens but only {tokens:.1f} "
                f"were available. Retry after {wait_s}s",
                wait_s,
            )
        os.pwrite(descriptor, _STATE.pack(limit, tokens - cost, now), 0)


def _tokens(state: bytes, now: float, limit: int) -> float:
    if len(state) != _STATE.size:
        return limit
    stored_limit, tokens, then = _STATE.unpack(state)
    # The clock starts again with the machine.
    if stored_limit != limit or now < then:
        return limit
    return float(min(limit, tokens + (now - then) * limit / _MINUTE_S))
