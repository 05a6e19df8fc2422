"""S9: calls that are cancelled, or whose deadline passes, at random moments: work stops, and nothing leaks."""

from __future__ import annotations

import random
import re
import statistics
import time
from typing import TYPE_CHECKING, NamedTuple, cast

import grpc
import lmdb
import pytest
from google.protobuf import text_format

from qdrant_grpc import collections_pb2, points_pb2
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from tests.conftest import wait_until
from tests.crash.driver import channel_to
from tests.gates.processes import descriptors, threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Server
    from tests.gates.conftest import Budget

NAME = "interrupted"
POINTS = 20_000
DIM = 64
TOGETHER = 10
"""Calls that run at the same time."""
LATE_MS = 100.0
NEARLY_ALL_MS = 500.0
VERY_LATE_MS = 3_000.0
TIMEOUT_S = 60.0
CODE = grpc.StatusCode
INTERRUPTIONS = {CODE.CANCELLED, CODE.DEADLINE_EXCEEDED}
ENDS = {None, CODE.RESOURCE_EXHAUSTED, *INTERRUPTIONS}
"""Memory is scarce on purpose, so some calls are refused before they are interrupted."""

INTERRUPTED = re.compile(r"interrupted.*overdue_ms=([\d.]+)")


class Load(NamedTuple):
    """Calls to interrupt: how many points each looks at makes them long."""

    nested: points_pb2.CountPoints
    scroll: points_pb2.ScrollPoints
    batch: points_pb2.QueryBatchPoints
    upsert: points_pb2.UpsertPoints


def load() -> Load:
    """Return the calls."""
    nested = "filter { must { nested { key: 'a' filter { must { key_is_text } } } } }".replace(
        "key_is_text", "field { key: 'x' match { text: 'nothing' } }"
    )
    count = text_format.Parse(f"collection_name: '{NAME}' {nested}", points_pb2.CountPoints())
    scroll = f"collection_name: '{NAME}' limit: 100000 with_payload {{ enable: true }} with_vectors {{ enable: true }}"
    batch = points_pb2.QueryBatchPoints(collection_name=NAME)
    for _ in range(300):
        query = batch.query_points.add(collection_name=NAME, limit=10)
        query.query.nearest.dense.data.extend([0.5] * DIM)
        query.params.exact = True
    upsert = points_pb2.UpsertPoints(collection_name=NAME, wait=True)
    fill(upsert, range(POINTS, POINTS + 2000))
    return Load(count, text_format.Parse(scroll, points_pb2.ScrollPoints()), batch, upsert)


def fill(upsert: points_pb2.UpsertPoints, numbers: range) -> None:
    """Add points with nested payloads."""
    for number in numbers:
        point = upsert.points.add()
        point.id.num = number
        point.vectors.vector.dense.data.extend([float(number % 10)] * DIM)
        for _ in range(3):
            element = point.payload["a"].list_value.values.add()
            element.struct_value.fields["x"].string_value = f"some words of point {number}"


def create(channel: grpc.Channel) -> None:
    """Create and fill the collection."""
    config = f"collection_name: '{NAME}' vectors_config {{ params {{ size: {DIM} distance: Dot }} }}"
    CollectionsStub(channel).Create(text_format.Parse(config, collections_pb2.CreateCollection()), timeout=TIMEOUT_S)
    for start in range(0, POINTS, 2000):
        upsert = points_pb2.UpsertPoints(collection_name=NAME, wait=True)
        fill(upsert, range(start, start + 2000))
        PointsStub(channel).Upsert(upsert, timeout=TIMEOUT_S)


def start(stub: PointsStub, calls: Load, rng: random.Random) -> grpc.Future[object]:
    """Start one of the calls, some with a deadline."""
    methods = ((stub.Count, calls.nested), (stub.Scroll, calls.scroll), (stub.QueryBatch, calls.batch))
    method, request = rng.choice((*methods, (stub.Upsert, calls.upsert)))
    timeout_s = rng.uniform(0.001, 0.3) if rng.random() < 0.4 else TIMEOUT_S
    return cast("grpc.Future[object]", method.future(request, timeout=timeout_s))  # type: ignore[arg-type]


def readers(server: Server) -> int:
    """Count the read transactions that are open in the collection's store."""
    (store,) = server.data_dir.glob("collections/*/store")
    with lmdb.open(str(store), readonly=True, max_dbs=32) as environment:
        lines = environment.readers().splitlines()[1:]
    return sum(not line.rstrip().endswith("-") for line in lines)


def ends(calls: list[grpc.Future[object]]) -> list[grpc.StatusCode | None]:
    """Wait for calls and return how they ended."""
    found: list[grpc.StatusCode | None] = []
    for call in calls:
        try:
            call.result(TIMEOUT_S)
        except grpc.FutureCancelledError:
            found.append(CODE.CANCELLED)
        except grpc.RpcError as error:
            found.append(error.code())
        else:
            found.append(None)
    return found


@pytest.mark.gate("S9", size=500)
def test_interrupted_calls_stop_and_leave_nothing(start_server: Callable[..., Server], budget: Budget) -> None:
    server: Server = start_server(POINTSTORE__LOG_LEVEL="debug", POINTSTORE__REQUEST_MEMORY_MB="64")
    rng, calls, made, interrupted = random.Random(budget.seed), load(), 0, 0
    with channel_to(server.address) as first, channel_to(server.address) as second:
        create(first)
        stubs = [PointsStub(channel) for channel in (first, second)]
        # The control: left alone, a call works for much longer than it may after its end.
        began = time.monotonic()
        stubs[0].Count(calls.nested, timeout=TIMEOUT_S)
        alone_ms = (time.monotonic() - began) * 1000
        assert alone_ms > LATE_MS
        before: tuple[list[int], list[int]] | None = None
        while made < budget.size and not budget.spent():
            running = [start(rng.choice(stubs), calls, rng) for _ in range(TOGETHER)]
            time.sleep(rng.uniform(0, 0.25))
            for call in running:
                call.cancel()
            found = ends(running)
            assert set(found) <= ENDS, found
            made += len(running)
            interrupted += sum(end in INTERRUPTIONS for end in found)
            if before is None and made >= min(100, budget.size // 2):
                wait_until(lambda: readers(server) == 0, "all calls have stopped", 20)
                before = usage(server)
        wait_until(lambda: readers(server) == 0, "all calls have stopped", 20)
        after = usage(server)
        # Whatever kept its credits would leave too few for this one, which needs nearly all.
        large = points_pb2.CountPoints(collection_name=NAME)
        large.filter.must.add().field.match.keyword = "x" * (7 << 20)
        large.filter.must[0].field.key = "none"
        for stub in stubs:
            assert stub.Count(large, timeout=TIMEOUT_S).result.count == 0
    assert before is not None
    assert all(now <= then + 40 for then, now in zip(before[0], after[0], strict=True)), (before, after)
    assert all(now <= then + 10 for then, now in zip(before[1], after[1], strict=True)), (before, after)
    late = sorted(float(found) for found in INTERRUPTED.findall(server.log))
    assert len(late) > interrupted // 20, "the server has noticed hardly any of them at work"
    median, most = statistics.median(late), late[-1]
    p90, p99 = (late[int(len(late) * share)] for share in (0.9, 0.99))
    assert median < LATE_MS
    assert p90 < NEARLY_ALL_MS
    assert most < VERY_LATE_MS
    assert "unexpected error" not in server.log
    budget.report(
        f"{made} calls, {interrupted} interrupted, {len(late)} of them at work, which went on for {median:.0f} ms "
        f"(median), {p90:.0f} ms (p90), {p99:.0f} ms (p99), {most:.0f} ms (most), alone {alone_ms:.0f}; "
        f"threads {before[0]} to {after[0]}, descriptors {before[1]} to {after[1]}"
    )


def usage(server: Server) -> tuple[list[int], list[int]]:
    """Return threads and descriptors of the workers."""
    pids = server.worker_pids()
    return list(map(threads, pids)), list(map(descriptors, pids))
