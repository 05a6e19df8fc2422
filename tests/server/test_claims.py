"""Claims on the port and the data directory, without any server around them."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from pointstore.claims import ClaimRefusedError, DataDirClaim, PortClaim

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])  # noqa: S104  the point of the test
def test_port_nobody_listens_on_yet_is_refused_a_second_time(host: str) -> None:
    first = PortClaim.take("127.0.0.1", 0)
    try:
        with pytest.raises(ClaimRefusedError, match=f"^port {first.port} on {host} is in use$"):
            PortClaim.take(host, first.port)
    finally:
        first.release()
    PortClaim.take(host, first.port).release()


def test_port_of_a_foreign_listener_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as foreign:
        port = foreign.getsockname()[1]
        with pytest.raises(ClaimRefusedError, match="is in use"):
            PortClaim.take("127.0.0.1", port)


def test_claimed_port_takes_no_connections_and_lets_workers_listen() -> None:
    claim = PortClaim.take("127.0.0.1", 0)
    try:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((claim.host, claim.port))
        with socket.create_server((claim.host, claim.port), reuse_port=True) as worker:
            for _ in range(20):
                socket.create_connection((claim.host, claim.port), timeout=5).close()
                worker.accept()[0].close()
    finally:
        claim.release()


def test_port_with_connections_in_time_wait_can_be_claimed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        client = socket.create_connection(("127.0.0.1", port))
        listener.accept()[0].close()
        client.close()
    PortClaim.take("127.0.0.1", port).release()


def test_unresolvable_host_is_refused() -> None:
    with pytest.raises(ClaimRefusedError, match="cannot be resolved"):
        PortClaim.take("no-such-host.invalid", 0)


def test_data_directory_is_claimed_once(tmp_path: Path) -> None:
    first = DataDirClaim.take(tmp_path / "new" / "data")
    try:
        with pytest.raises(ClaimRefusedError, match=rf"in use by another server \(pid {os.getpid()}\)$"):
            DataDirClaim.take(tmp_path / "new" / "data")
    finally:
        first.release()
    DataDirClaim.take(tmp_path / "new" / "data").release()


def test_new_data_directory_is_synced_into_its_parents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.readlink(f"/proc/self/fd/{descriptor}")))  # noqa: PTH115
    DataDirClaim.take(tmp_path / "new" / "data").release()
    assert synced == [str(tmp_path), str(tmp_path / "new")]


def test_data_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    with pytest.raises(ClaimRefusedError, match="cannot be used: "):
        DataDirClaim.take(tmp_path / "data")
