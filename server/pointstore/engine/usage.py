"""How much a collection stores and how much memory the process uses, for the limits of strict mode.

Sizes are estimates from counters and a few records: the specification allows that (part 1, 9), and a limit must cost
less than the write. Collections of up to `SAMPLE` slots are measured exactly.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pointstore.core.fields import FieldIndexes
from pointstore.core.schema import CollectionConfig
from pointstore.core.space import space_of
from pointstore.storage.collection import CollectionStore
from pointstore.storage.env import Txn
from pointstore.storage.meta import Head

SAMPLE = 64
"""Records that an estimate looks at."""

_STATM = Path("/proc/self/statm")


class State(Protocol):
    """One state of a collection, in an open transaction."""

    @property
    def store(self) -> CollectionStore:
        """The databases."""
        ...

    @property
    def txn(self) -> Txn:
        """The transaction."""
        ...

    @property
    def head(self) -> Head:
        """The counters."""
        ...

    @property
    def config(self) -> CollectionConfig:
        """The configuration."""
        ...

    @property
    def fields(self) -> FieldIndexes:
        """The field indexes."""
        ...


@dataclass(frozen=True, slots=True)
class ReadState:
    """A state in a read transaction."""

    store: CollectionStore
    txn: Txn
    head: Head
    config: CollectionConfig
    fields: FieldIndexes


def vector_bytes(state: State) -> int:
    """Return the size of the live vectors of all spaces in their stored form, as of the last commit."""
    store, txn, config = state.store, state.txn, state.config
    total = 0
    for name, number in config.vector_numbers.items():
        count = store.live.count(txn, number)
        params = config.vectors.get(name)
        if params is not None and params.multivector_config is None:
            total += count * space_of(params).row_bytes
        elif count:
            total += _extrapolated(store.vectors.sizes(txn, number, _probes(state)), count)
    return total


def payload_bytes(state: State) -> int:
    """Return the size of the payloads in their encoded form."""
    sizes = state.store.points.payload_sizes(state.txn, _probes(state))
    return _extrapolated(sizes, state.head.points)


def memory_percent() -> float:
    """Return the part of the machine's memory that this process has to itself, in percent.

    Pages of mapped files are left out: they are the system's to take back.
    """
    _, resident, shared, *_ = map(int, _STATM.read_text().split())
    return 100 * (resident - shared) / os.sysconf("SC_PHYS_PAGES")


def _probes(state: State) -> Sequence[int]:
    """Return slots spread evenly over all that may be live."""
    first = state.store.meta.first_slot(state.txn)
    slots = state.head.next_slot - first
    if slots <= SAMPLE:
        return range(first, first + slots)
    return [first + i * slots // SAMPLE for i in range(SAMPLE)]


def _extrapolated(sizes: Sequence[int], count: int) -> int:
    return sum(sizes) * count // len(sizes) if sizes else 0
