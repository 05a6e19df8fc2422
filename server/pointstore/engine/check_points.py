"""Whether ids, point records, live sets, counters and log of a collection agree with each other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pointstore.core.errors import CorruptionError
from pointstore.core.operation import AddField, AddVector, DropField, DropVector
from pointstore.core.point import PointId, format_point_id
from pointstore.engine.findings import Finding, Kind
from pointstore.index import slots as slot_sets
from pointstore.index.slots import SlotSet
from pointstore.storage.collection import CollectionStore
from pointstore.storage.env import Txn
from pointstore.storage.keys import POINTS_SPACE
from pointstore.storage.live import BLOCK_BYTES, BLOCK_SLOTS
from pointstore.storage.meta import Head
from pointstore.storage.points import slot_in

SHOWN = 3
"""Examples that a finding names."""


def live_set(store: CollectionStore, txn: Txn, space: int) -> SlotSet:
    """Return a whole live set as it is stored."""
    blocks = dict(store.live.changed(txn, space, -1))
    first = min(blocks, default=0)
    bits = np.zeros((max(blocks, default=-1) + 1 - first) * BLOCK_BYTES, np.uint8)
    for block, stored in blocks.items():
        start = (block - first) * BLOCK_BYTES
        bits[start : start + stored.size] = stored
    return SlotSet(first * BLOCK_SLOTS, bits)


def examples(items: list[str]) -> str:
    """Return the first of many, for a line."""
    more = f" and {len(items) - SHOWN} more" if len(items) > SHOWN else ""
    return ", ".join(items[:SHOWN]) + more


def slots_text(slots: slot_sets.Slots) -> str:
    """Return the first of many slots, for a line."""
    return f"{slots.size} slots ({examples([str(slot) for slot in slots.tolist()])})"


def check_points(store: CollectionStore, txn: Txn, head: Head) -> Iterator[Finding]:
    """Yield what is wrong with ids and records against the live set, in both directions, and with the counters."""
    live = live_set(store, txn, POINTS_SPACE)
    by_id: dict[int, PointId] = {}
    twice: list[str] = []
    for point_id, place in store.points.scan(txn, None):
        slot = slot_in(place)
        if slot in by_id:
            twice.append(format_point_id(point_id))
        by_id[slot] = point_id
    reached = slot_sets.set_of(np.array(sorted(by_id), np.uint64))
    wrong: list[str] = []
    slots: list[int] = []
    for slot, record in store.points.every(txn):
        slots.append(slot)
        expected = by_id.get(slot)
        if expected is not None and expected != record.point_id:
            wrong.append(f"slot {slot}")
    records = slot_sets.set_of(np.array(slots, np.uint64))
    if twice:
        yield Finding(Kind.LOST, "ids", f"{len(twice)} ids share the slot of another: {examples(twice)}")
    if wrong:
        yield Finding(Kind.LOST, "points", f"records of other points than their ids say: {examples(wrong)}")
    missing = slot_sets.to_slots(live - reached)
    if missing.size:
        yield Finding(Kind.LOST, "ids", f"no id leads to {slots_text(missing)} that are live")
    dead = [format_point_id(by_id[slot]) for slot in _outside(reached, live)]
    if dead:
        yield Finding(Kind.LOST, "live sets", f"{len(dead)} ids lead to slots that are not live: {examples(dead)}")
    lost = slot_sets.to_slots(live - records)
    if lost.size:
        yield Finding(Kind.LOST, "points", f"no record of {slots_text(lost)} that are live")
    stray = slot_sets.to_slots(records - live)
    if stray.size:
        yield Finding(Kind.LOST, "points", f"records of {slots_text(stray)} that are not live")
    yield from _check_counters(head, live, len(by_id), store.meta.first_slot(txn))


def _outside(left: SlotSet, right: SlotSet) -> list[int]:
    found: list[int] = slot_sets.to_slots(left - right).tolist()
    return found


def _check_counters(head: Head, live: SlotSet, ids: int, first_slot: int) -> Iterator[Finding]:
    points = slot_sets.popcount(live)
    if head.points != points and points == ids:
        yield Finding(Kind.DERIVED, "head", f"counts {head.points} points, there are {points}")
    used = slot_sets.to_slots(live)
    if used.size and int(used[-1]) >= head.next_slot:
        yield Finding(Kind.DERIVED, "head", f"slot {int(used[-1])} is in use, the next one is {head.next_slot}")
    if used.size and int(used[0]) < first_slot:
        yield Finding(Kind.DERIVED, "head", f"slot {int(used[0])} is in use, the first one is {first_slot}")
    if max(head.config_version, head.segments_version) > head.version:
        yield Finding(Kind.LOST, "head", "a part is newer than the whole")


def check_log(store: CollectionStore, txn: Txn, head: Head) -> Iterator[Finding]:
    """Yield what is wrong with the log: entries that cannot be read, gaps, an end before the head, a wrong size."""
    last: int | None = None
    try:
        for seq, operation in store.log.entries(txn, -1):
            step = 2 if isinstance(operation, AddVector | DropVector | AddField | DropField) else 1
            if last is not None and seq != last + step:
                yield Finding(Kind.LOST, "log", f"entry {last} is followed by {seq}")
            last = seq
    except CorruptionError as error:
        yield Finding(Kind.LOST, "log", str(error))
        return
    if last is not None and last != head.seq:
        yield Finding(Kind.LOST, "log", f"ends with entry {last}, the head is at {head.seq}")
    size = store.log.size(txn)
    if size != head.log_bytes:
        yield Finding(Kind.DERIVED, "head", f"counts {head.log_bytes} bytes of log, there are {size}")
