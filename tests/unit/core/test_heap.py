"""Memory in use."""

from __future__ import annotations

import pytest

from pointstore.core import heap

_BYTES = 64 << 20


def test_what_is_taken_is_seen_and_what_is_freed_too() -> None:
    before = heap.used_bytes()
    taken = bytearray(_BYTES)
    during = heap.used_bytes()
    del taken
    assert during - before > _BYTES // 2
    assert during - heap.used_bytes() > _BYTES // 2


def test_resident_memory_stands_in_where_there_is_no_glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "_mallinfo2", None)
    before = heap.used_bytes()
    taken = b"x" * _BYTES
    assert heap.used_bytes() - before > _BYTES // 2
    assert len(taken) == _BYTES
