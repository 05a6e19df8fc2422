"""The transport of one worker, in this process: raw methods, limits, and the end of calls in flight."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
import pytest

from pointstore.config import Settings
from pointstore.wire.transport import Transport

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Start = Callable[..., tuple[Transport, grpc.Channel]]


def method(channel: grpc.Channel, path: str) -> grpc.UnaryUnaryMultiCallable[bytes, bytes]:
    """Return a method on raw bytes."""
    return channel.unary_unary(path)


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a transport over methods and connect to it."""
    started: list[tuple[Transport, grpc.Channel]] = []

    def start_one(methods: dict[str, Callable[[bytes, grpc.ServicerContext], bytes]]) -> tuple[Transport, grpc.Channel]:
        transport = Transport(Settings(max_message_mb=1), methods, {})
        port = transport.listen("127.0.0.1:0")
        channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.max_receive_message_length", -1)])
        started.append((transport, channel))
        return transport, channel

    yield start_one
    for transport, channel in started:
        channel.close()
        transport.stop(0)


def test_methods_get_and_return_raw_bytes(start: Start) -> None:
    _, channel = start({"/a.B/Reverse": lambda request, _: request[::-1], "/a.C/Empty": lambda *_: b""})
    assert method(channel, "/a.B/Reverse")(b"\x00\xff1", timeout=10) == b"1\xff\x00"
    assert method(channel, "/a.C/Empty")(b"", timeout=10) == b""


@pytest.mark.parametrize("path", ["/a.B/Other", "/a.X/Reverse", "/A.B/Reverse"])
def test_unknown_path_is_unimplemented(start: Start, path: str) -> None:
    _, channel = start({"/a.B/Reverse": lambda request, _: request[::-1]})
    with pytest.raises(grpc.RpcError) as failure:
        method(channel, path)(b"", timeout=10)
    assert failure.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_message_over_the_limit_is_refused_and_gzip_is_accepted(start: Start) -> None:
    _, channel = start({"/a.B/Length": lambda request, _: str(len(request)).encode()})
    call = method(channel, "/a.B/Length")
    assert call(bytes(1_000_000), timeout=10, compression=grpc.Compression.Gzip) == b"1000000"
    for compression in (grpc.Compression.NoCompression, grpc.Compression.Gzip):
        with pytest.raises(grpc.RpcError) as failure:
            call(bytes(1_100_000), timeout=10, compression=compression)
        assert failure.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_calls_in_flight_end_before_stop_returns(start: Start) -> None:
    entered = threading.Event()

    def slow(request: bytes, _context: grpc.ServicerContext) -> bytes:
        entered.set()
        time.sleep(0.5)
        return request

    transport, channel = start({"/a.B/Slow": slow})
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(method(channel, "/a.B/Slow"), b"kept", timeout=10)
        assert entered.wait(10)
        assert transport.stop(10)
        assert reply.result(1) == b"kept"


def test_stop_says_when_a_handler_still_runs(start: Start) -> None:
    entered, release = threading.Event(), threading.Event()

    def stuck(request: bytes, _context: grpc.ServicerContext) -> bytes:
        entered.set()
        release.wait(30)
        return request

    transport, channel = start({"/a.B/Stuck": stuck})
    reply = method(channel, "/a.B/Stuck").future(b"", timeout=20)
    assert entered.wait(10)
    try:
        assert not transport.stop(0.1)
        assert reply.exception() is not None
    finally:
        release.set()
