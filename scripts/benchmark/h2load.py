"""Drive a gRPC server with h2load (nghttp2), and trust its numbers only after a look at the replies.

h2load knows nothing of gRPC: it sends one body to one path and counts HTTP 200, which a gRPC error has as well. So
every body is first sent by a real client, and the bytes h2load received must be those of that reply times the calls.
"""

from __future__ import annotations

import itertools
import re
import shutil
import struct
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import grpc
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

Samples: TypeAlias = "NDArray[np.int64]"

CONNECTIONS = 4
STREAMS = 8
CALL_TIMEOUT_S = 60.0

_FINISHED = re.compile(r"finished in ([\d.]+)(us|ms|s|m), ([\d.]+) req/s")
_REQUESTS = re.compile(r"requests: (\d+) total, .* (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout")
_TRAFFIC = re.compile(r"traffic: .*\((\d+)\) data")
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}


class LoadGeneratorError(Exception):
    """h2load is missing or failed, or the server's replies are not the expected ones."""


@dataclass(frozen=True, slots=True)
class Call:
    """One call as h2load sends it: its full method name, the file of its framed body, the size of its framed reply."""

    method: str
    body_path: Path
    reply_bytes: int


@dataclass(frozen=True, slots=True)
class Run:
    """What one run of h2load measured."""

    calls: int
    seconds: float
    data_bytes: int

    @property
    def rate(self) -> float:
        """Calls a second."""
        return self.calls / self.seconds


def frame(message: bytes) -> bytes:
    """Return a message as gRPC puts it into a stream: not compressed, length, bytes."""
    return struct.pack(">BI", 0, len(message)) + message


def require_h2load() -> str:
    """Return the path of h2load.

    Raises:
        LoadGeneratorError: it is not installed.

    """
    found = shutil.which("h2load")
    if found is None:
        raise LoadGeneratorError("h2load is not installed: sudo apt-get install nghttp2-client")
    return found


def prepare(address: str, method: str, message: bytes, body_path: Path) -> tuple[Call, bytes]:
    """Write a body file after sending the same bytes with a real client.

    Returns:
        the call, and the bytes of its reply, for the caller to check.

    Raises:
        grpc.RpcError: the server did not answer OK.

    """
    with grpc.insecure_channel(address) as channel:
        send: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
        reply = send(message, timeout=CALL_TIMEOUT_S)
    body_path.write_bytes(frame(message))
    return Call(method, body_path, len(frame(reply))), reply


def run(
    address: str, call: Call, calls: int, during: Callable[[], None] | None = None, options: Sequence[str] = ()
) -> Run:
    """Send a call so often, over 4 connections with 8 streams each, as fast as they are answered.

    Args:
        address: the server.
        call: what to send.
        calls: how often.
        during: called once while the load runs.
        options: more options of h2load.

    Raises:
        LoadGeneratorError: a call failed, or a reply had another size than the checked one.

    """
    command = [*_command(address, call), "-n", str(calls), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if during is not None:
        # Connections take about a millisecond.
        time.sleep(0.1)
        during()
    output, _ = process.communicate()
    result = parse_run(output)
    if result.calls != calls or result.data_bytes != calls * call.reply_bytes:
        message = f"{call.method}: {calls} calls were answered with {result.data_bytes} bytes"
        raise LoadGeneratorError(f"{message}, not {call.reply_bytes} each: some replies are errors\n{output[-1000:]}")
    return result


class SteadyLoad:
    """Calls at a fixed rate, whether the server keeps up or not, until told to stop.

    It is a chain of runs of a second each, on new connections, so that it meets every worker and every body.

    Args:
        address: the server.
        calls: what to send, in turn.
        rate: calls a second, a multiple of the connections.
        log_path: where h2load may write.

    """

    def __init__(self, address: str, calls: Sequence[Call], rate: int, log_path: Path) -> None:
        self._address = address
        self._calls = calls
        self._rate = rate
        self._log_path = log_path
        self._ended = threading.Event()
        self._executor = ThreadPoolExecutor(1)
        self._samples = self._executor.submit(self._drive)

    def stop(self) -> Samples:
        """Stop, and return what `parse_log` does.

        Raises:
            LoadGeneratorError: as `run` does.

        """
        self._ended.set()
        self._executor.shutdown()
        return self._samples.result()

    def _drive(self) -> Samples:
        parts = []
        for call in itertools.cycle(self._calls):
            self._log_path.unlink(missing_ok=True)
            options = [f"--rps={self._rate // CONNECTIONS}", f"--log-file={self._log_path}"]
            run(self._address, call, self._rate, options=options)
            parts.append(parse_log(self._log_path.read_text()))
            if self._ended.is_set():
                break
        return np.concatenate(parts)


def parse_run(output: str) -> Run:
    """Return the figures of h2load's output.

    Raises:
        LoadGeneratorError: calls failed, or this is no output of a finished run.

    """
    finished, requests, traffic = _FINISHED.search(output), _REQUESTS.search(output), _TRAFFIC.search(output)
    if finished is None or requests is None or traffic is None:
        raise LoadGeneratorError(f"h2load did not finish:\n{output[-1000:]}")
    total, succeeded, *bad = map(int, requests.groups())
    if total != succeeded or any(bad):
        raise LoadGeneratorError(f"h2load: only {succeeded} of {total} calls succeeded")
    return Run(succeeded, float(finished[1]) * _SECONDS[finished[2]], int(traffic[1]))


def parse_log(text: str) -> Samples:
    """Return (calls, 3): start in microseconds since 1970, HTTP status, duration in microseconds."""
    return np.array(text.split(), dtype=np.int64).reshape(-1, 3)


def _command(address: str, call: Call) -> list[str]:
    return [
        require_h2load(),
        f"-c{CONNECTIONS}",
        f"-m{STREAMS}",
        "-t1",
        "-Hcontent-type: application/grpc",
        "-Hte: trailers",
        f"-d{call.body_path}",
        f"http://{address}{call.method}",
    ]
