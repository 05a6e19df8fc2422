"""Connections to a server under test: how to open them, and which worker the kernel says holds them."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
from qdrant_client import QdrantClient

from scripts.benchmark.server import established_inodes, socket_inodes
from tests.conftest import Server, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

OWN_CONNECTION = ("grpc.use_local_subchannel_pool", 1)
"""Channels of one process to one address share a connection, unless they have this option."""

UNLIMITED = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1))


def run_server(factory: pytest.TempPathFactory, workers: int = 2, **settings: str) -> Iterator[Server]:
    """Yield a server with settings of its own: the body of a fixture of a module."""
    server = Server(factory.mktemp("connections") / "data", workers=workers, environment=settings)
    try:
        server.start()
        yield server
    finally:
        server.close()


def open_channel(server: Server, *options: tuple[str, Any]) -> grpc.Channel:
    """Return a channel with a connection of its own; it connects with the first call."""
    return grpc.insecure_channel(server.address, options=[OWN_CONNECTION, *options])


def official_client(server: Server) -> QdrantClient:
    """Return the official client as its users get it, with nothing set but the address."""
    host = server.address.rpartition(":")[0]
    return QdrantClient(host=host, grpc_port=server.port, prefer_grpc=True, check_compatibility=False)


def sockets(server: Server) -> set[int]:
    """Return the inodes of the server's ends of all connections; IPv4 clients sit on IPv6 sockets."""
    tables = [Path(f"/proc/net/{name}").read_text() for name in ("tcp", "tcp6")]
    return set().union(*(established_inodes(table, server.port) for table in tables))


def connections(server: Server) -> list[int]:
    """Count the connections that each worker holds."""
    inodes = sockets(server)
    return [len(inodes & socket_inodes(pid)) for pid in server.worker_pids()]


def holders(server: Server, inodes: set[int]) -> list[int]:
    """Return the pids of the workers that hold at least one of these sockets."""
    return [pid for pid in server.worker_pids() if inodes & socket_inodes(pid)]


def descriptors(server: Server) -> list[int]:
    """Count the open descriptors of each worker."""
    return [len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in server.worker_pids()]


@contextlib.contextmanager
def noted_connection(server: Server) -> Iterator[set[int]]:
    """Yield a set that holds, after the block, the socket of the connection that was opened in it."""
    before = sockets(server)
    opened: set[int] = set()
    yield opened
    wait_until(lambda: len(sockets(server) - before) == 1, "the block opened one connection")
    opened |= sockets(server) - before


@contextlib.contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stop a worker, so that calls sent to it stay in flight; let it run on in the end if it still exists."""
    os.kill(pid, signal.SIGSTOP)
    try:
        wait_until(lambda: _is_stopped(pid), "every thread of the worker has stopped")
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def _is_stopped(pid: int) -> bool:
    threads = [path.read_text().rpartition(")")[2].split()[0] for path in Path(f"/proc/{pid}/task").glob("*/stat")]
    return set(threads) == {"T"}
