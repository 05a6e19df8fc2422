"""Every setting of the service, its unit, its bounds and its default.

config_sources.py says where values come from. The supervisor reads them once and hands the result to its children as
JSON, so that all processes of one server agree.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

SETTINGS_VARIABLE: Final = "POINTSTORE_SETTINGS_JSON"
"""The environment variable in which a child process finds its settings."""

_GIB: Final = 1 << 30
_MIB: Final = 1 << 20


def usable_cores() -> list[int]:
    """Return the numbers of the cores this process may run on, ascending."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


class OptimizerSettings(BaseModel):
    """What the background process may do and when; see the index lifecycle in ARCHITECTURE.md."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seal_bytes: int = Field(default=8 * _MIB, ge=1 << 10, le=1 << 40)
    """Raw vector bytes, in one vector name, from which unsealed rows are written to a segment."""
    tail_bytes: int = Field(default=10 * _MIB, ge=1 << 10, le=1 << 40)
    """Raw vector bytes that may stay without an index: searched exactly, at most about a millisecond's work."""
    spread_slots: int = Field(default=1 << 20, ge=0, le=1 << 40)
    """Internal row numbers that a collection may span beside four a point; beyond that old points get new ones."""
    poll_interval_s: float = Field(default=0.5, gt=0, le=3600)
    """Seconds between two looks at the collections when there was nothing to do."""
    threads: int = Field(default_factory=lambda: len(usable_cores()), ge=1, le=1024)
    """Threads of one index build."""


class Settings(BaseModel):
    """The settings of one server; immutable, the same object in every process."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    """Name or address to listen on. There is no authentication: leave it on loopback or put a proxy before it."""
    port: int = Field(default=6334, ge=0, le=65535)
    """TCP port; 0 takes a free one, which the serving line names."""
    data_dir: Path = Path("./data")
    """Directory of everything that is kept. One server at a time may use it."""
    snapshots_dir: Path | None = None
    """Directory of the snapshots, on any file system; by default `snapshots` in the data directory."""
    workers: int = Field(default_factory=lambda: len(usable_cores()), ge=1, le=256)
    """Serving processes."""
    threads: int = Field(default=32, ge=1, le=1024)
    """Reads, and as many writes, that one worker executes at the same time; further calls wait."""
    max_waiting_calls: int = Field(default=1024, ge=1, le=1 << 20)
    """Reads, and as many writes, that may wait for a thread of one worker; more are refused (RESOURCE_EXHAUSTED)."""
    wait_max_s: float = Field(default=10.0, gt=0, le=3600)
    """Seconds that a call may wait for a thread, or a large message for memory, before it is refused."""
    pin_workers: Literal["auto", "always", "never"] = "auto"
    """Bind each worker to one core. auto: when there are as many workers as cores, and more than one."""
    grace_s: float = Field(default=10.0, ge=0, le=3600)
    """Seconds that calls in flight get to end after SIGTERM; the rest is cancelled."""
    lame_duck_s: float = Field(default=0.2, ge=0, le=60)
    """Seconds between the health service's NOT_SERVING and the first refused call."""
    map_size_gb: float = Field(default=64, gt=0, le=65536)
    """GiB of address space, not of disk, reserved for the LMDB map of one collection: its largest possible size."""
    catalog_map_size_gb: float = Field(default=8, gt=0, le=1024)
    """GiB of address space reserved for the LMDB map of the catalog."""
    start_check_s: float = Field(default=1.0, ge=0, le=86_400)
    """Seconds of a start for verifying the stores of all collections; about a million records each."""
    max_message_mb: int = Field(default=256, ge=1, le=2047)
    """MiB of the largest request (decompressed) and reply message; a larger one is refused (RESOURCE_EXHAUSTED)."""
    request_memory_mb: int = Field(default=1024, ge=16, le=1 << 20)
    """MiB of memory that one worker spends on requests and replies at the same time; what exceeds it waits, then is
    refused (RESOURCE_EXHAUSTED). A request counts eight times its size, a reply three times: so much they take."""
    max_concurrent_streams: int = Field(default=1024, ge=1, le=1 << 20)
    """Calls in flight on one connection; the client's library holds back the rest."""
    max_connections: int = Field(default=4096, ge=1, le=1 << 20)
    """Connections of one worker; further ones are closed at once."""
    handshake_timeout_ms: int = Field(default=10_000, ge=100, le=600_000)
    """Milliseconds after which a connection that has not completed its HTTP/2 handshake is closed."""
    idle_timeout_s: float = Field(default=900.0, ge=1, le=1 << 20)
    """Seconds after which a connection without calls is closed; clients open a new one when they need it."""
    keepalive_s: float = Field(default=30.0, ge=1, le=1 << 20)
    """Seconds of silence after which a client is asked whether it lives, and then has to answer."""
    transfer_timeout_s: float = Field(default=60.0, ge=1, le=1 << 20)
    """Seconds that a request may take to arrive, and a reply of more than 64 KiB to be taken. A request that keeps a
    thread for which others wait, or a reply that keeps memory for which others wait, has one second."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Lowest level that is logged."""
    log_json: bool = False
    """Log one JSON object a line instead of text for people."""
    optimizer: OptimizerSettings = OptimizerSettings()
    """The background process."""

    @property
    def snapshots_path(self) -> Path:
        """Directory of the snapshots."""
        return self.snapshots_dir or self.data_dir / "snapshots"

    @property
    def map_size(self) -> int:
        """Bytes of a collection's LMDB map."""
        return int(self.map_size_gb * _GIB)

    @property
    def catalog_map_size(self) -> int:
        """Bytes of the catalog's LMDB map."""
        return int(self.catalog_map_size_gb * _GIB)

    @property
    def max_message_bytes(self) -> int:
        """Bytes of the largest message."""
        return self.max_message_mb * _MIB

    @property
    def request_memory_bytes(self) -> int:
        """Bytes that one worker spends on requests and replies."""
        return self.request_memory_mb * _MIB

    def core_of(self, worker: int) -> int | None:
        """Return the core that worker number `worker` is bound to, or None when it may run anywhere."""
        cores = usable_cores()
        automatic = self.pin_workers == "auto" and self.workers == len(cores) >= 2  # noqa: PLR2004  one core: no choice
        if self.pin_workers == "always" or automatic:
            return cores[worker % len(cores)]
        return None

    @classmethod
    def from_environment(cls) -> Self:
        """Read what the supervisor handed to this child process.

        Raises:
            KeyError: the process was not started by a supervisor.

        """
        return cls.model_validate_json(os.environ[SETTINGS_VARIABLE])
