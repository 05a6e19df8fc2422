"""Tests of token buckets: exact refill, refusals, sharing between holders of the same file."""

from __future__ import annotations

import errno
import math
import os
import threading
from typing import TYPE_CHECKING

import pytest

from pointstore.core.errors import RateLimitedError, StorageError
from pointstore.engine.rate_limit import TokenBucket

if TYPE_CHECKING:
    from pathlib import Path


class _Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> _Clock:
    return _Clock()


@pytest.fixture
def bucket(tmp_path: Path, clock: _Clock) -> TokenBucket:
    return TokenBucket(tmp_path / "rate", "Read", clock)


def _refusal(bucket: TokenBucket, cost: int, limit: int) -> tuple[str, int | None]:
    with pytest.raises(RateLimitedError) as caught:
        bucket.take(cost, limit)
    return caught.value.message, caught.value.retry_after_s


def _text(cost: int, tokens: str, wait_s: int) -> str:
    return (
        f"Rate limiting exceeded: Read rate limit exceeded: Operation requires {cost} tokens but only {tokens} "
        f"were available. Retry after {wait_s}s"
    )


def test_full_at_first_then_refilled_continuously(bucket: TokenBucket, clock: _Clock) -> None:
    bucket.take(58, 60)
    assert _refusal(bucket, 5, 60) == (_text(5, "2.0", 3), 3)
    clock.now += 0.25
    assert _refusal(bucket, 5, 60) == (_text(5, "2.2", 3), 3)
    clock.now += 1
    assert _refusal(bucket, 5, 60) == (_text(5, "3.2", 2), 2)
    clock.now += 1.75
    bucket.take(5, 60)
    assert _refusal(bucket, 1, 60) == (_text(1, "0.0", 1), 1)


def test_never_more_than_the_limit(bucket: TokenBucket, clock: _Clock) -> None:
    bucket.take(1, 10)
    clock.now += 3600
    bucket.take(10, 10)
    assert _refusal(bucket, 1, 10) == (_text(1, "0.0", 6), 6)


def test_a_request_above_the_capacity_never_succeeds(bucket: TokenBucket, tmp_path: Path) -> None:
    text = (
        "Rate limiting exceeded: Read rate limit exceeded, request larger than rate limiter capacity, "
        "please try to split your request"
    )
    assert _refusal(bucket, 11, 10) == (text, None)
    assert not (tmp_path / "rate").exists()
    bucket.take(10, 10)


def test_another_limit_is_another_bucket(bucket: TokenBucket) -> None:
    bucket.take(10, 10)
    bucket.take(11, 11)
    assert _refusal(bucket, 1, 11)[1] == math.ceil(60 / 11)


def test_holders_of_one_file_share_it(bucket: TokenBucket, tmp_path: Path, clock: _Clock) -> None:
    bucket.take(10, 10)
    assert _refusal(TokenBucket(tmp_path / "rate", "Read", clock), 1, 10)[1] == 6
    TokenBucket(tmp_path / "other", "Read", clock).take(1, 10)


def test_threads_take_no_token_twice(bucket: TokenBucket) -> None:
    taken: list[int] = []

    def client() -> None:
        for _ in range(50):
            try:
                bucket.take(1, 100)
            except RateLimitedError:
                return
            taken.append(1)

    threads = [threading.Thread(target=client) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 100


def test_a_restarted_clock_or_a_torn_file_means_full(bucket: TokenBucket, tmp_path: Path, clock: _Clock) -> None:
    bucket.take(10, 10)
    clock.now = 5
    bucket.take(10, 10)
    (tmp_path / "rate").write_bytes(b"torn")
    bucket.take(10, 10)
    assert _refusal(bucket, 1, 10)[1] == 6


def test_a_dropped_collection_is_not_limited(tmp_path: Path) -> None:
    TokenBucket(tmp_path / "gone" / "rate", "Read").take(1, 1)
    assert not (tmp_path / "gone").exists()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EIO, errno.ENOSPC])
def test_a_disk_that_takes_no_writes_does_not_refuse_reads(
    bucket: TokenBucket, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    bucket.take(1, 1)
    bucket.take(1, 1)


def test_an_unusable_file_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "rate").mkdir()
    with pytest.raises(StorageError, match="Is a directory"):
        TokenBucket(tmp_path / "rate", "Read").take(1, 1)
