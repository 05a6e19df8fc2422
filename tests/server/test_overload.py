"""One worker's transport beyond its limits, in this process: what is refused, in which words, and what stops."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection

from pointstore.config import Settings
from pointstore.core import interruption
from pointstore.core.errors import CallCancelledError, OperationTimeoutError
from pointstore.wire.transport import Transport
from tests.conftest import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Call = grpc.UnaryUnaryMultiCallable[bytes, bytes]
    Start = Callable[..., Call]

PATH = "/qdrant.Points/Scroll"
MIB = 1 << 20


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a transport over one method and return the method: `start(handler, **settings)`."""
    started: list[tuple[Transport, grpc.Channel]] = []

    def start_one(handler: Callable[[bytes, grpc.ServicerContext], bytes], **settings: float) -> Call:
        transport = Transport(Settings.model_validate({"max_message_mb": 1, **settings}), {PATH: handler}, {})
        port = transport.listen("127.0.0.1:0")
        options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=options)
        started.append((transport, channel))
        start_one.port = port  # type: ignore[attr-defined]
        start_one.transport = transport  # type: ignore[attr-defined]
        return channel.unary_unary(PATH)

    yield start_one
    for transport, channel in started:
        channel.close()
        transport.stop(0)


def length(body: bytes, _context: grpc.ServicerContext) -> bytes:
    """Reply with the size of a request."""
    return str(len(body)).encode()


def failure(call: grpc.Future[bytes]) -> tuple[grpc.StatusCode, str]:
    """Return how a call fails."""
    error = call.exception(30)
    assert isinstance(error, grpc.RpcError)
    return error.code(), error.details() or ""


@pytest.mark.parametrize("compression", [grpc.Compression.NoCompression, grpc.Compression.Gzip])
def test_request_over_the_limit_is_told_size_limit_and_setting(start: Start, compression: grpc.Compression) -> None:
    call = start(length)
    assert call(bytes(MIB), timeout=10, compression=compression) == b"1048576"
    code, text = failure(call.future(bytes(MIB + 1), timeout=10, compression=compression))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert text == (
        "Message too large: the request has 1048577 bytes, the limit is 1048576 bytes (setting max_message_mb = 1)"
    )


def test_request_far_over_the_limit_is_refused_by_the_transport(start: Start) -> None:
    code, text = failure(start(length).future(bytes(2 * MIB), timeout=10))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "2097152" in text


def test_compressed_request_that_lies_about_its_size_is_refused(start: Start) -> None:
    bomb = gzip.compress(bytes(50 * MIB))
    # The channel does not compress; what is sent looks as if it had.
    code, text = failure(start(length).future(bomb[:-4] + bytes([1, 0, 0, 0]), timeout=10))
    assert (code, text) == (grpc.StatusCode.INVALID_ARGUMENT, "the compressed request body is damaged")


def test_reply_over_the_limit_is_told_size_limit_and_setting(start: Start) -> None:
    code, text = failure(start(lambda *_: bytes(2 * MIB)).future(b"", timeout=10))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert text == (
        "Message too large: the reply has 2097152 bytes, the limit is 1048576 bytes (setting max_message_mb = 1)"
    )


def test_reply_that_grows_beyond_the_limit_ends_early(start: Start) -> None:
    grown: list[int] = []

    def endless(_body: bytes, _context: grpc.ServicerContext) -> bytes:
        while True:
            interruption.grow(1000)
            grown.append(1000)

    code, text = failure(start(endless).future(b"", timeout=10))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert text.startswith("Message too large: the reply has at least 1049000 bytes, the limit is 1048576 bytes")
    assert sum(grown) == 1_048_000


def test_replies_together_stay_within_the_memory(start: Start) -> None:
    """They take credits while they grow, wait a while for each other's, and give back what they hold."""
    lock, held, most = threading.Lock(), [0], [0]

    def grow(_body: bytes, _context: grpc.ServicerContext) -> bytes:
        mine = 0
        try:
            for _ in range(40):
                interruption.grow(100_000)
                mine += 100_000
                with lock:
                    held[0] += 100_000
                    most[0] = max(most[0], held[0])
                time.sleep(0.005)
        finally:
            with lock:
                held[0] -= mine
        return b"done"

    call = start(grow, max_message_mb=8, request_memory_mb=16, threads=16, wait_max_s=20)
    ends = [reply.exception(60) for reply in [call.future(b"", timeout=60) for _ in range(12)]]
    assert all(end is None or "Overloaded: memory" in end.details() for end in ends)  # type: ignore[attr-defined]
    assert None in ends
    # A reply counts twice; each call may be one step ahead of its credits.
    assert most[0] <= 8 * MIB + 12 * MIB
    assert call(b"", timeout=30) == b"done"


def test_call_beyond_the_line_is_refused_and_waiting_ones_are_served(start: Start) -> None:
    release = threading.Event()

    def slow(body: bytes, _context: grpc.ServicerContext) -> bytes:
        assert release.wait(30)
        return body

    call = start(slow, threads=1, max_waiting_calls=2)
    kept = [call.future(b"kept", timeout=30)]
    time.sleep(0.3)
    kept += [call.future(b"kept", timeout=30) for _ in range(2)]
    time.sleep(0.3)
    code, text = failure(call.future(b"one too many", timeout=30))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert text.startswith("Overloaded: too many calls wait for a thread (setting max_waiting_calls)")
    release.set()
    assert [each.result() for each in kept] == [b"kept"] * 3


def test_call_that_waits_too_long_is_refused_and_never_begun(start: Start) -> None:
    begun: list[bytes] = []
    release = threading.Event()

    def slow(body: bytes, _context: grpc.ServicerContext) -> bytes:
        begun.append(body)
        assert release.wait(30)
        return body

    call = start(slow, threads=1, wait_max_s=0.2)
    first = call.future(b"first", timeout=30)
    wait_until(lambda: bool(begun), "the first call has begun")
    second = call.future(b"second", timeout=30)
    time.sleep(0.5)
    release.set()
    assert first.result() == b"first"
    code, text = failure(second)
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert text == "Overloaded: the call has waited 0.2 s for a thread, try again later"
    assert begun == [b"first"]


def test_calls_during_a_shutdown_are_refused_in_words_and_that_in_flight_is_not(start: Start) -> None:
    begun, release = threading.Event(), threading.Event()

    def slow(body: bytes, _context: grpc.ServicerContext) -> bytes:
        begun.set()
        assert release.wait(30)
        return body

    call = start(slow)
    in_flight = call.future(b"in flight", timeout=30)
    assert begun.wait(10)
    stopping = threading.Thread(target=start.transport.stop, args=(10,))  # type: ignore[attr-defined]
    stopping.start()
    # The first may still be taken; it is in flight, then.
    code, text = next(failed for _ in range(100) if (failed := refused_within(call, 0.2)) is not None)
    assert (code, text) == (grpc.StatusCode.UNAVAILABLE, "the server is shutting down, try again later")
    release.set()
    assert in_flight.result(10) == b"in flight"
    stopping.join(20)
    assert not stopping.is_alive()


def refused_within(call: Call, seconds: float) -> tuple[grpc.StatusCode, str] | None:
    """Make a call; return how it was refused, None if it was not by then."""
    failed = failure(call.future(b"late", timeout=seconds))
    return None if failed[0] is grpc.StatusCode.DEADLINE_EXCEEDED else failed


def test_large_requests_wait_for_memory_and_small_ones_do_not(start: Start) -> None:
    entered, release = threading.Event(), threading.Event()

    def hold(body: bytes, _context: grpc.ServicerContext) -> bytes:
        if len(body) > MIB:
            entered.set()
            assert release.wait(30)
        return str(len(body)).encode()

    call = start(hold, max_message_mb=8, request_memory_mb=16, threads=8, wait_max_s=1)
    first = call.future(bytes(4 * MIB), timeout=30)
    assert entered.wait(10)
    refused = call.future(bytes(2 * MIB), timeout=30)
    assert call(b"small", timeout=10) == b"5"
    code, text = failure(refused)
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert text.startswith("Overloaded: memory for requests is taken, and stayed so for 1 s;")
    assert "(setting request_memory_mb = 16)" in text
    waiting = call.future(bytes(2 * MIB), timeout=30)
    time.sleep(0.2)
    release.set()
    assert (first.result(), waiting.result()) == (b"4194304", b"2097152")


def spin(seen: list[str]) -> Callable[[bytes, grpc.ServicerContext], bytes]:
    """Return a handler that works until it is interrupted."""

    def work(_body: bytes, _context: grpc.ServicerContext) -> bytes:
        seen.append("begun")
        try:
            until = time.monotonic() + 30
            while time.monotonic() < until:
                interruption.check()
                time.sleep(0.001)
        except (CallCancelledError, OperationTimeoutError) as error:
            seen.append(error.message)
            raise
        return b"done"

    return work


def test_work_stops_when_the_client_goes(start: Start) -> None:
    seen: list[str] = []
    call = start(spin(seen)).future(b"", timeout=30)
    wait_until(lambda: bool(seen), "the call has begun")
    call.cancel()
    wait_until(lambda: len(seen) == 2, "the work has stopped", 5)
    assert seen[1] == "Cancelled: the client has ended the call"


def test_work_stops_at_the_deadline(start: Start) -> None:
    seen: list[str] = []
    code, _ = failure(start(spin(seen)).future(b"", timeout=0.3))
    assert code is grpc.StatusCode.DEADLINE_EXCEEDED
    wait_until(lambda: len(seen) == 2, "the work has stopped", 5)


def test_waiting_call_whose_client_goes_is_never_begun(start: Start) -> None:
    seen: list[str] = []
    call = start(spin(seen), threads=1)
    first = call.future(b"", timeout=30)
    wait_until(lambda: bool(seen), "the first call has begun")
    second, third = call.future(b"", timeout=30), call.future(b"", timeout=0.1)
    time.sleep(0.3)
    second.cancel()
    assert third.exception() is not None
    time.sleep(0.2)
    first.cancel()
    wait_until(lambda: len(seen) == 2, "the work has stopped", 5)
    time.sleep(0.5)
    assert len(seen) == 2


class RawCall:
    """A call on a connection of its own whose frames a test sends one by one."""

    def __init__(self, port: int) -> None:
        self._connection = H2Connection(H2Configuration(client_side=True))
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.settimeout(20)
        self._connection.initiate_connection()
        headers = {":method": "POST", ":scheme": "http", ":path": PATH, ":authority": "x", "te": "trailers"}
        self._connection.send_headers(1, [*headers.items(), ("content-type", "application/grpc")])
        self._flush()

    def send(self, data: bytes, *, end: bool = False) -> None:
        """Send some of the request."""
        self._connection.send_data(1, data, end_stream=end)
        self._flush()

    def status(self) -> tuple[str, str]:
        """Wait for the end of the call; return its code and text."""
        found: dict[bytes, bytes] = {}
        while b"grpc-status" not in found:
            data = self._socket.recv(65536)
            assert data, "the connection was closed without a status"
            for event in self._connection.receive_data(data):
                found.update(getattr(event, "headers", None) or {})
            self._flush()
        return found[b"grpc-status"].decode(), found.get(b"grpc-message", b"").decode()

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _flush(self) -> None:
        self._socket.sendall(self._connection.data_to_send())


RESOURCE_EXHAUSTED, DEADLINE_EXCEEDED = "8", "4"


def test_request_that_never_arrives_is_ended(start: Start) -> None:
    start(length, transfer_timeout_s=1)
    slow = RawCall(start.port)  # type: ignore[attr-defined]
    slow.send(b"\0\0\0\1\0abc")
    code, text = slow.status()
    assert code == DEADLINE_EXCEEDED
    assert text == "the request did not arrive within 1 s (setting transfer_timeout_s)"
    slow.close()


def test_slow_request_gives_way_to_those_that_wait_for_its_thread(start: Start) -> None:
    call = start(length, threads=1)
    slow = RawCall(start.port)  # type: ignore[attr-defined]
    slow.send(b"\0\0\0\1\0abc")
    time.sleep(0.3)
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(call, b"quick", timeout=20)
        assert slow.status()[0] == RESOURCE_EXHAUSTED
        assert reply.result(20) == b"5"
    slow.close()


def test_slow_request_that_nobody_waits_behind_is_served(start: Start) -> None:
    start(lambda *_: b"", threads=1)
    slow = RawCall(start.port)  # type: ignore[attr-defined]
    slow.send(b"\0\0\0\0\3a")
    time.sleep(2)
    slow.send(b"bc", end=True)
    assert slow.status()[0] == "0"
    slow.close()


def test_arriving_requests_that_outgrow_the_memory_are_ended(start: Start) -> None:
    start(length, max_message_mb=256, request_memory_mb=16)
    slow = RawCall(start.port)  # type: ignore[attr-defined]
    slow.send(b"\0\4\0\0\0")
    hoard = []
    time.sleep(0.5)
    # Whose memory it is makes no difference: it is what the process has in use besides what it was told of.
    hoard.append(bytearray(64 * MIB))
    code, text = slow.status()
    assert code == RESOURCE_EXHAUSTED
    assert "(setting request_memory_mb = 16)" in text
    slow.close()


def test_connections_beyond_the_limit_are_closed(start: Start) -> None:
    start(length, max_connections=3)
    calls = [RawCall(start.port) for _ in range(3)]  # type: ignore[attr-defined]
    for each in calls:
        each.send(b"\0\0\0\0\0", end=True)
        assert each.status()[0] == "0"
    with socket.create_connection(("127.0.0.1", start.port)) as further:  # type: ignore[attr-defined]
        further.settimeout(10)
        with contextlib.suppress(ConnectionResetError):
            assert further.recv(1) == b""
    for each in calls:
        each.close()
