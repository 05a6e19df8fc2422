"""HTTP/2 connections that send what no client library would, frame by frame."""

from __future__ import annotations

import random
import socket
import struct
from typing import TYPE_CHECKING, Self

from h2.config import H2Configuration
from h2.connection import H2Connection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = 0, 1, 3, 4, 6, 7, 8, 9
END_STREAM, END_HEADERS = 1, 4
CANCEL = struct.pack(">I", 8)
_TIMEOUT_S = 30.0


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame (RFC 9113, 4.1)."""
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name: str, value: str) -> bytes:
    """Return a header field that needs no table (RFC 7541, 6.2.2)."""
    return b"\0" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()


def headers(path: str, **more: str) -> bytes:
    """Return the header block of a call."""
    return b"".join(literal(name, value) for name, value in _fields(path, more).items())


def _fields(path: str, more: Mapping[str, str]) -> dict[str, str]:
    fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "x", "te": "trailers"}
    return fields | {"content-type": "application/grpc"} | {name.replace("_", "-"): more[name] for name in more}


def message(body: bytes, *, compressed: bool = False) -> bytes:
    """Return a message as a call carries it."""
    return bytes([compressed]) + struct.pack(">I", len(body)) + body


class Raw:
    """A connection to a port of this machine that sends bytes and reads what comes."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def open(self, *more: bytes) -> None:
        """Begin the protocol, and send frames."""
        self.send(PREFACE, frame(SETTINGS, 0, 0), *more)

    def send(self, *data: bytes) -> bool:
        """Send; tell whether the server still takes it."""
        try:
            self.socket.sendall(b"".join(data))
        except OSError:
            return False
        return True

    def ended_within(self, seconds: float) -> bool:
        """Read until the server closes the connection or resets a stream; tell whether it did in time."""
        self.socket.settimeout(seconds)
        seen = b""
        try:
            while data := self.socket.recv(65536):
                seen += data
                if b"grpc-status" in seen or has_frame(seen, RST_STREAM) or has_frame(seen, GOAWAY):
                    return True
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()


def has_frame(data: bytes, kind: int) -> bool:
    """Tell whether a frame of a kind is in what a server sent."""
    place = 0
    while place + 9 <= len(data):
        if data[place + 3] == kind:
            return True
        place += 9 + int.from_bytes(data[place : place + 3], "big")
    return False


def call(port: int, path: str, body: bytes, **more: str) -> tuple[int, str]:
    """Make one call with a body of any form, message prefix included; return code and text of its end."""
    connection = H2Connection(H2Configuration(client_side=True))
    with Raw(port) as raw:
        connection.initiate_connection()
        fields = {":method": "POST", ":scheme": "http", ":path": path, ":authority": "x", "te": "trailers"}
        fields |= {
            "content-type": "application/grpc",
            **{name.replace("_", "-"): value for name, value in more.items()},
        }
        connection.send_headers(1, list(fields.items()))
        found: dict[bytes, bytes] = {}
        sent = 0
        while b"grpc-status" not in found:
            while sent < len(body) and connection.local_flow_control_window(1) > 0:
                size = min(
                    connection.local_flow_control_window(1), connection.max_outbound_frame_size, len(body) - sent
                )
                connection.send_data(1, body[sent : sent + size], end_stream=sent + size == len(body))
                sent += size
            raw.send(connection.data_to_send())
            data = raw.socket.recv(65536)
            assert data, "the connection was closed without a status"
            for event in connection.receive_data(data):
                found.update(getattr(event, "headers", None) or {})
        return int(found[b"grpc-status"]), found.get(b"grpc-message", b"").decode()


def mutated(rng: random.Random, path: str) -> bytes:
    """Return a session of a client with some bytes changed, left out, doubled or made up."""
    block = headers(path)
    parts = [PREFACE, frame(SETTINGS, 0, 0), frame(HEADERS, END_HEADERS, 1, block)]
    parts += [frame(DATA, END_STREAM, 1, message(rng.randbytes(rng.randrange(50))))]
    for _ in range(rng.randrange(4)):
        kind, flags, stream = rng.randrange(256), rng.randrange(256), rng.choice((0, 1, 2, 3, 2**31 - 1))
        parts.insert(rng.randrange(1, len(parts) + 1), frame(kind, flags, stream, rng.randbytes(rng.randrange(40))))
    data = bytearray(b"".join(parts))
    for _ in range(rng.randrange(5)):
        place = rng.randrange(len(data))
        data[place : place + rng.choice((0, 1, 9))] = rng.randbytes(rng.choice((0, 1, 9)))
    return bytes(data) if rng.random() < 0.9 else rng.randbytes(200)


def rapid_reset(rng: random.Random, path: str) -> bytes:
    """Return calls that are taken back at once (CVE-2023-44487)."""
    block = headers(path)
    calls = (
        frame(HEADERS, END_HEADERS, stream, block) + frame(RST_STREAM, 0, stream, CANCEL)
        for stream in range(1, 2 * rng.randrange(50, 400), 2)
    )
    return PREFACE + frame(SETTINGS, 0, 0) + b"".join(calls)


def pings(rng: random.Random, _path: str) -> bytes:
    """Return nothing but pings."""
    return PREFACE + frame(SETTINGS, 0, 0) + frame(PING, 0, 0, bytes(8)) * rng.randrange(100, 2000)


def settings(rng: random.Random, _path: str) -> bytes:
    """Return nothing but settings, each to be acknowledged."""
    return PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", 4, 65535)) * rng.randrange(100, 2000)


def continuations(rng: random.Random, path: str) -> bytes:
    """Return a header block that does not end (CVE-2024-27316)."""
    more = frame(CONTINUATION, 0, 1, literal("x-more", "y" * 100) * 10)
    return PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, 0, 1, headers(path)) + more * rng.randrange(10, 300)


ATTACKS: dict[str, Callable[[random.Random, str], bytes]] = {
    "mutated": mutated,
    "rapid reset": rapid_reset,
    "pings": pings,
    "settings": settings,
    "continuations": continuations,
}
