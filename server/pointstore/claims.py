"""Claims on what two servers must never share: the data directory and the port.

Both claims are held by the kernel for as long as a process of the server lives, so a crash leaves none behind.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path


class ClaimRefusedError(Exception):
    """Another server has the port or the data directory; the text is meant for the person who starts a server."""


@dataclass(frozen=True, slots=True)
class DataDirClaim:
    """An exclusive lock on a data directory.

    The lock belongs to the open file, not to the process: children that inherit the descriptor keep it when the
    supervisor dies, until the last of them has drained.
    """

    fd: int

    @classmethod
    def take(cls, data_dir: Path) -> Self:
        """Create the directory durably if need be and lock it.

        Raises:
            ClaimRefusedError: another server holds it, or it cannot be created or written.

        """
        from pointstore.storage.directories import make_directories

        try:
            make_directories(data_dir)
            fd = os.open(data_dir / "LOCK", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            message = f"data directory {data_dir} cannot be used: {error.strerror}"
            raise ClaimRefusedError(message) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(fd)
            message = f"data directory {data_dir} is in use by another server (pid {holder})"
            raise ClaimRefusedError(message) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        return cls(fd)

    @classmethod
    def hold(cls, data_dir: Path) -> Self:
        """Lock a directory that is there without writing anything into it, for tools.

        Raises:
            ClaimRefusedError: it is no data directory, cannot be read, or a server holds it.

        """
        try:
            fd = os.open(data_dir / "LOCK", os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            message = f"{data_dir} is no data directory that can be used: {error.strerror}"
            raise ClaimRefusedError(message) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            message = f"data directory {data_dir} is in use by a server"
            raise ClaimRefusedError(message) from None
        return cls(fd)

    def release(self) -> None:
        """Close this process's descriptor; the lock ends with the last copy."""
        os.close(self.fd)


@dataclass(frozen=True, slots=True)
class PortClaim:
    """A bound socket that never listens: it keeps the port ours while workers come and go.

    The workers listen on the same port with SO_REUSEPORT; the kernel hands connections to listening sockets only.
    """

    socket: socket.socket
    host: str
    port: int

    @classmethod
    def take(cls, host: str, port: int) -> Self:
        """Claim a port, or a free one for port 0. `host` becomes the numeric address it resolves to.

        A first socket listens without SO_REUSEPORT, which fails when anyone at all has the port. It gives way to the
        lasting one only after that one is bound, so of two servers that start together one is refused.

        Raises:
            ClaimRefusedError: the port is in use, or the host has no usable address.

        """
        try:
            family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
                0
            ]
        except socket.gaierror as error:
            message = f"host {host} cannot be resolved: {error.strerror}"
            raise ClaimRefusedError(message) from error
        lasting = socket.socket(family, socket.SOCK_STREAM)
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            try:
                # Without SO_REUSEADDR connections in TIME_WAIT would block a restart for a minute.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
                probe.listen(1)
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                lasting.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                lasting.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                lasting.bind(probe.getsockname())
                # With the option left on, the next server's probe would not collide with a socket that never listens.
                lasting.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
            except OSError as error:
                lasting.close()
                reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
                message = f"port {port} on {host} {reason}"
                raise ClaimRefusedError(message) from error
        bound = lasting.getsockname()
        return cls(lasting, str(bound[0]), int(bound[1]))

    @property
    def address(self) -> str:
        """`host:port`, an IPv6 host in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    def release(self) -> None:
        """Give the port up."""
        self.socket.close()
