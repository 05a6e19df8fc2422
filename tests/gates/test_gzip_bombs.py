"""S3: requests that decompress to a gigabyte are refused, within memory for one message."""

from __future__ import annotations

import random
import zlib
from typing import TYPE_CHECKING

import grpc
import pytest

from tests.gates.http2 import call, message
from tests.gates.processes import Peak

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Server
    from tests.gates.conftest import Budget

LIMIT_MB = 256
BOMB_BYTES = 1 << 30
CONTROL_MB = 64
PATHS = ("/qdrant.Points/Upsert", "/qdrant.Points/Count", "/qdrant.Qdrant/HealthCheck")
GZIP_BITS = 31
INVALID_ARGUMENT, RESOURCE_EXHAUSTED = grpc.StatusCode.INVALID_ARGUMENT.value[0], 8


def bomb(size: int) -> bytes:
    """Compress so many zeros."""
    packer = zlib.compressobj(6, zlib.DEFLATED, GZIP_BITS)
    piece = bytes(1 << 20)
    return b"".join([packer.compress(piece) for _ in range(size >> 20)]) + packer.flush()


def declaring(packed: bytes, size: int) -> bytes:
    """Return a stream that says it holds so many bytes."""
    return packed[:-4] + size.to_bytes(4, "little")


@pytest.mark.gate("S3", size=3)
def test_bombs_are_refused_within_memory(start_server: Callable[..., Server], budget: Budget) -> None:
    server: Server = start_server(workers=1, POINTSTORE__MAX_MESSAGE_MB=str(LIMIT_MB))
    pids = server.worker_pids()
    rng = random.Random(budget.seed)
    packed = bomb(BOMB_BYTES)
    # What it says: the truth, nearly nothing, just within the limit, and no end at all.
    forms = [
        (packed, RESOURCE_EXHAUSTED, f"the request has {BOMB_BYTES} bytes, the limit is {LIMIT_MB << 20} bytes"),
        (declaring(packed, LIMIT_MB << 20), INVALID_ARGUMENT, "damaged"),
        (declaring(packed, 1), INVALID_ARGUMENT, "damaged"),
        (packed[:-8], INVALID_ARGUMENT, ""),
    ]
    made, highest = 0, 0.0
    while made < budget.size and not budget.spent():
        form, code, text = forms[made % len(forms)]
        with Peak(pids) as peak:
            end = call(server.port, rng.choice(PATHS), message(form, compressed=True), grpc_encoding="gzip")
        assert end[0] in {code, RESOURCE_EXHAUSTED}, end
        assert text in end[1]
        assert peak.highest[0] < 2 * LIMIT_MB
        highest = max(highest, peak.highest[0])
        made += 1
    assert server.worker_pids() == pids, "a worker was replaced"
    # The control: what is decompressed is seen.
    with Peak(pids) as peak:
        call(server.port, PATHS[1], message(bomb(CONTROL_MB << 20), compressed=True), grpc_encoding="gzip")
    assert peak.highest[0] > CONTROL_MB
    budget.report(
        f"{made} bombs of 1 GiB, memory at most {highest:.0f} MiB (limit of a message {LIMIT_MB}); "
        f"a message of {CONTROL_MB} MiB: + {peak.growth_mb:.0f} MiB"
    )
