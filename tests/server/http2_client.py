"""A client at the level of HTTP/2, for pings, authorities, headers and encodings that grpcio's own does not send."""

from __future__ import annotations

import socket
import struct
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import h2.config
import h2.connection
import h2.events

if TYPE_CHECKING:
    from collections.abc import Iterable

Header = tuple[str, str]

_PREFIX = struct.Struct(">BI")
_READ_BYTES = 1 << 16


@dataclass(slots=True)
class Reply:
    """What came back on one stream; a refusal may have its trailers in place of the headers."""

    headers: dict[str, str] = field(default_factory=dict)
    trailers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    ended: bool = False

    @property
    def status(self) -> int:
        """The gRPC status code, -1 when there is none."""
        return int((self.trailers or self.headers).get("grpc-status", -1))

    @property
    def message(self) -> tuple[bool, bytes]:
        """The only message: whether it is compressed, and its bytes."""
        compressed, size = _PREFIX.unpack_from(self.body)
        assert len(self.body) == _PREFIX.size + size
        return bool(compressed), self.body[_PREFIX.size :]


class Http2Client:
    """One connection; a context manager that closes it. Not thread-safe.

    Attributes:
        goaway: what the server said when it hung up, None as long as it has not.

    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=10)
        configuration = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self._connection = h2.connection.H2Connection(configuration)
        self._connection.initiate_connection()
        # No flow control of our own: these replies are small.
        self._connection.increment_flow_control_window((1 << 30) - 1)
        self._replies: dict[int, Reply] = {}
        self.pongs = 0
        self.goaway: bytes | None = None
        # The server's limits hold once it knows that we know them; a pong comes after our acknowledgement.
        self.ping()
        while not self.pongs:
            self._read(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self._socket.close()

    def ping(self) -> None:
        """Send a ping; `pongs` counts the answers."""
        self._connection.ping(b"12345678")
        self._flush()

    def begin(
        self,
        path: str,
        body: bytes,
        *,
        authority: str = "localhost",
        headers: Iterable[Header] = (),
        compressed: bool = False,
    ) -> int:
        """Send a call with one message; return its stream.

        Args:
            path: full path of the method.
            body: the message as it goes over the wire.
            authority: the host that the client believes to talk to.
            headers: more of them; one of the name of a usual one stands in its place.
            compressed: what the message's flag says.

        """
        usual = {
            ":method": "POST",
            ":scheme": "http",
            ":path": path,
            ":authority": authority,
            "te": "trailers",
            "content-type": "application/grpc",
        }
        given = list(headers)
        replaced = {name for name, _ in given}
        stream = self._connection.get_next_available_stream_id()
        self._replies[stream] = Reply()
        sent = [pair for pair in usual.items() if pair[0] not in replaced]
        self._connection.send_headers(stream, [*sent, *given])
        data = _PREFIX.pack(compressed, len(body)) + body
        size = self._connection.max_outbound_frame_size
        for start in range(0, len(data), size):
            while self._connection.local_flow_control_window(stream) < size:
                self._read(10)
            self._connection.send_data(stream, data[start : start + size])
        self._connection.end_stream(stream)
        self._flush()
        return stream

    def reset(self, stream: int) -> None:
        """Cancel a call."""
        self._connection.reset_stream(stream, 8)
        self._flush()

    def finish(self, stream: int, timeout_s: float = 30) -> Reply:
        """Read until a call has ended."""
        deadline = time.monotonic() + timeout_s
        reply = self._replies[stream]
        while not reply.ended:
            assert time.monotonic() < deadline, "the call did not end in time"
            self._read(deadline - time.monotonic())
        return reply

    def call(
        self, path: str, body: bytes = b"", *, authority: str = "localhost", headers: Iterable[Header] = ()
    ) -> Reply:
        """Make a call and wait for its end."""
        return self.finish(self.begin(path, body, authority=authority, headers=headers))

    def read_for(self, seconds: float) -> None:
        """Answer the server, and note what it says, for a while or until it hangs up."""
        deadline = time.monotonic() + seconds
        while self.goaway is None and (left := deadline - time.monotonic()) > 0:
            self._read(left)

    def _read(self, timeout_s: float) -> None:
        self._socket.settimeout(max(timeout_s, 0.001))
        try:
            data = self._socket.recv(_READ_BYTES)
        except TimeoutError:
            return
        assert data or self.goaway is not None, "the server closed the connection without a word"
        for event in self._connection.receive_data(data):
            self._note(event)
        self._flush()

    def _note(self, event: h2.events.Event) -> None:
        match event:
            case h2.events.PingAckReceived():
                self.pongs += 1
            case h2.events.ConnectionTerminated(additional_data=text):
                self.goaway = text or b""
            case h2.events.ResponseReceived(stream_id=int(stream), headers=headers):
                self._replies[stream].headers = _texts(headers)
            case h2.events.TrailersReceived(stream_id=int(stream), headers=headers):
                self._replies[stream].trailers = _texts(headers)
            case h2.events.DataReceived(stream_id=int(stream), data=data):
                self._replies[stream].body += data
            case h2.events.StreamEnded(stream_id=int(stream)) | h2.events.StreamReset(stream_id=int(stream)):
                self._replies[stream].ended = True
            case _:
                pass

    def _flush(self) -> None:
        if data := self._connection.data_to_send():
            self._socket.sendall(data)


def _texts(headers: Iterable[tuple[str | bytes, str | bytes]]) -> dict[str, str]:
    """Return headers as a dictionary; the connection is configured to decode them all."""
    return {str(name): str(value) for name, value in headers}
