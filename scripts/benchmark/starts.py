"""The figures of a start: seconds until the server serves, memory of its workers."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from qdrant_grpc.points_service_pb2_grpc import PointsStub
from scripts.benchmark import h2load
from scripts.benchmark.corpus import query_request
from scripts.benchmark.report import Row
from scripts.benchmark.session import COLLECTION, HITS, Session, connect, note

if TYPE_CHECKING:
    from scripts.benchmark.server import Memory, Server

STARTS = 3
CALLS_A_BODY = 300
_MB = 1_000_000


def measure_start(session: Session) -> list[Row]:
    """Start servers of one, two and three workers on the loaded corpus; look at their memory after some queries."""
    seconds: list[float] = []
    first_query: list[float] = []
    for _ in range(STARTS):
        with session.serve(2) as server:
            seconds.append(server.start_s)
            first_query.append(_first_query_s(session, server))
    memory: dict[int, list[Memory]] = {}
    for workers in (1, 2, 3):
        with session.serve(workers) as server:
            for _ in range(2):
                for call in session.queries(server, payload=True):
                    h2load.run(server.address, call, CALLS_A_BODY)
            memory[workers] = server.memory()
        note(f"  {workers} workers: {[each.total // _MB for each in memory[workers]]} MB private")
    start = Row(
        "start",
        "start to serving with the indexed corpus on disk, 2 workers",
        statistics.median(seconds),
        2,
        "at most",
        "s",
        f"from starting the process to its serving line, median of {STARTS}",
        {"starts, s": seconds, "first Query after it, s": first_query},
    )
    # Of several workers: file pages that only one process has mapped would count as private to a single one.
    largest = max(each.total for count in (2, 3) for each in memory[count])
    added = (sum(each.dirty for each in memory[3]) - sum(each.dirty for each in memory[1])) / 2
    private = Row(
        "memory",
        "private memory of a further worker",
        largest / _MB,
        120,
        "at most",
        "MB",
        "the largest Private_Clean + Private_Dirty of a worker beside others, after queries with payload",
        {
            "MB by worker, 1 worker": [each.total / _MB for each in memory[1]],
            "MB by worker, 2 workers": [each.total / _MB for each in memory[2]],
            "MB by worker, 3 workers": [each.total / _MB for each in memory[3]],
            "dirty pages alone, 3 workers less 1, MB by further worker": added / _MB,
        },
    )
    return [start, private]


def _first_query_s(session: Session, server: Server) -> float:
    """Return the seconds of a query on a server that was never asked, its channel's opening included."""
    request = query_request(session.corpus, 0, COLLECTION, payload=True, limit=HITS)
    began = time.perf_counter()
    with connect(server) as channel:
        PointsStub(channel).Query(request, timeout=h2load.CALL_TIMEOUT_S)
        return time.perf_counter() - began
