"""Memory in use."""

from __future__ import annotations

import subprocess
import sys

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


def test_what_the_allocator_keeps_is_given_back() -> None:
    # Small enough to come from an arena; the last one keeps its top from being given back without being asked.
    pieces = [b"x" * 10_000 for _ in range(_BYTES // 10_000)]
    last = pieces[-1]
    before = heap.resident_bytes()
    del pieces
    assert before - heap.resident_bytes() < _BYTES // 2, "it keeps nothing"
    heap.trim()
    assert before - heap.resident_bytes() > _BYTES // 2
    assert len(last) == 10_000


def test_resident_memory_stands_in_where_there_is_no_glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heap, "_mallinfo2", None)
    before = heap.used_bytes()
    taken = b"x" * _BYTES
    assert heap.used_bytes() - before > _BYTES // 2
    assert len(taken) == _BYTES


def test_garbage_is_collected_regularly_without_what_was_there_before() -> None:
    # In a process of its own: nothing takes back what it does.
    script = """
import gc, time, weakref
from pointstore.core.heap import release_regularly

class Node:
    pass

def ring():
    node = Node()
    node.itself = node
    return weakref.ref(node)

gc.disable()
before = len(gc.get_objects())
release_regularly(0.01)
assert len(gc.get_objects()) < before / 10
garbage = ring()
until = time.monotonic() + 30
while garbage() is not None and time.monotonic() < until:
    time.sleep(0.01)
assert garbage() is None
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
