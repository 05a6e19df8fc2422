"""The figures of reads: recall, CPU of a query, throughput by workers."""

from __future__ import annotations

import contextlib
import statistics
from typing import TYPE_CHECKING

from qdrant_grpc.points_service_pb2_grpc import PointsStub
from scripts.benchmark import baselines, h2load
from scripts.benchmark.corpus import query_request
from scripts.benchmark.report import Detail, Row
from scripts.benchmark.session import BODIES, COLLECTION, HITS, MeasurementError, Session, connect, note, segments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.benchmark.server import Server

EF = 100
CALLS_A_BODY = 1_000
FAISS_REPEATS = 300
THROUGHPUT_CALLS = 4_000
ROUNDS = 3
TRIES_MAX = 8
CREDIBLE_MAX = 2.2
"""Twice, and some noise."""


def measure_recall(session: Session, server: Server) -> list[Row]:
    """Ask all queries with default parameters and compare with the exact neighbours.

    Raises:
        MeasurementError: the corpus has no neighbours.

    """
    corpus = session.corpus
    if corpus.neighbors is None:
        raise MeasurementError(f"{corpus.directory} has no neighbors.i32.npy")
    found = 0
    with connect(server) as channel:
        stub = PointsStub(channel)
        for number in range(len(corpus.texts)):
            request = query_request(corpus, number, COLLECTION, payload=False, limit=HITS)
            reply = stub.Query(request, timeout=h2load.CALL_TIMEOUT_S)
            found += len({hit.id.num for hit in reply.result} & set(corpus.neighbors[number, :HITS].tolist()))
    recall = found / (len(corpus.texts) * HITS)
    how = f"share of the exact {HITS} nearest found, over {len(corpus.texts)} queries without any parameter"
    return [Row("recall", "recall@10, default parameters", recall, 0.985, "at least", "", how)]


def measure_query_cpu(session: Session, server: Server) -> list[Row]:
    """Measure the CPU of all threads of the workers a call, beyond the transport and the bare search."""
    plain, payload = session.queries(server, payload=False), session.queries(server, payload=True)
    empty = session.empty_call(server)
    used: dict[str, list[float]] = {"empty": [], "plain": [], "payload": []}
    for kind, call in (("empty", empty), ("plain", plain[0]), ("payload", payload[0])):
        h2load.run(server.address, call, CALLS_A_BODY)
        note(f"  warm: {kind}")
    for body in range(BODIES):
        for kind, call in (("empty", empty), ("plain", plain[body]), ("payload", payload[body])):
            before = server.cpu_s()
            h2load.run(server.address, call, CALLS_A_BODY)
            used[kind].append((server.cpu_s() - before) / CALLS_A_BODY * 1e6)
    means = {kind: statistics.fmean(values) for kind, values in used.items()}
    own = baselines.read_own_index(session.data_dir, len(session.corpus))
    index = baselines.build(session.corpus.vectors).index if own is None else own
    queries = session.corpus.queries[:: len(session.corpus.texts) // BODIES][:BODIES]
    bare = baselines.search_cpu_s(index, queries, EF, HITS, FAISS_REPEATS) * 1e6
    how = (
        "CPU of the worker processes a call (user and system, all threads), the mean over runs of "
        f"{CALLS_A_BODY} calls for each of {BODIES} queries, less that of an empty RPC (HealthCheck, same load) and "
        f"less that of a bare FAISS search (one thread, ef {EF}, k {HITS}, the same queries)"
    )
    rows = []
    for kind, target, title in (("plain", 150, "no payload"), ("payload", 250, "with payload")):
        details: dict[str, Detail] = {
            f"Query, {title}, us": means[kind],
            "of it empty RPC, us": means["empty"],
            "of it bare FAISS search, us": bare,
            "Query by run, us": used[kind],
            "empty RPC by run, us": used["empty"],
            "segments searched by the server": segments(server),
            "index of the baseline": "built anew" if own is None else "the server's own file",
        }
        beyond = means[kind] - means["empty"] - bare
        figure = f"CPU of a Query, {HITS} hits, {title}, beyond empty RPC and bare FAISS"
        rows.append(Row(f"cpu-{kind}", figure, beyond, target, "at most", "us", how, details))
    return rows


def measure_throughput(session: Session) -> list[Row]:
    """Compare the rates of two workers and of one, on the same cores, with h2load beside them.

    Workers are pinned on both sides. By default a lone worker is not, which makes its calls dearer by itself: that
    ratio would be one of pinning as well. The sides take turns, so that a disturbance of minutes meets both.

    Raises:
        MeasurementError: the ratio is more than two workers can give, so something else slowed the lone one.

    """
    rates: list[float] = []
    spreads: list[list[int]] = []
    single: list[float] = []
    ratios: list[float] = []
    for _ in range(ROUNDS):
        with _warm(session, 2, "always") as (server, call):
            balanced = _balanced_rate(server, call, rates, spreads)
        with _warm(session, 1, "always") as (server, call):
            single.append(h2load.run(server.address, call, THROUGHPUT_CALLS).rate)
        if balanced is not None:
            ratios.append(balanced / single[-1])
    with _warm(session, 1, "auto") as (server, call):
        unpinned = h2load.run(server.address, call, THROUGHPUT_CALLS).rate
    note(f"  ratios by round: {[round(each, 2) for each in ratios]}")
    if not ratios:
        raise MeasurementError(f"no run had two connections on each worker: {spreads}")
    ratio = statistics.median(ratios)
    if ratio > CREDIBLE_MAX:
        raise MeasurementError(f"{ratio:.2f} x is more than two workers can give: the machine was busy; {ratios}")
    how = (
        "the kernel spreads 4 connections over the workers by a hash, so runs differ: a round is a run with two on "
        f"each worker (within {TRIES_MAX} tries) and then one with a lone worker, all pinned; median of {ROUNDS} rounds"
    )
    details: dict[str, Detail] = {
        "ratio by round": ratios,
        "2 workers, calls/s by run": rates,
        "2 workers, connections by run": spreads,
        "2 workers, median of all runs, calls/s": statistics.median(rates),
        "1 worker, calls/s by round": single,
        "1 worker as by default (not pinned), calls/s": unpinned,
    }
    figure = "Query throughput, 2 workers against 1"
    return [Row("throughput", figure, ratio, 1.4, "at least", "x", how, details)]


@contextlib.contextmanager
def _warm(session: Session, workers: int, pin_workers: str) -> Iterator[tuple[Server, h2load.Call]]:
    """Start a server that has answered some queries already."""
    with session.serve(workers, pin_workers) as server:
        call = session.queries(server, payload=False)[0]
        h2load.run(server.address, call, THROUGHPUT_CALLS // 2)
        yield server, call


def _balanced_rate(server: Server, call: h2load.Call, rates: list[float], spreads: list[list[int]]) -> float | None:
    """Run until a run is balanced and return its calls a second; add every run's rate and spread to the lists."""
    for _ in range(TRIES_MAX):
        run = h2load.run(
            server.address, call, THROUGHPUT_CALLS, during=lambda: spreads.append(sorted(server.connections()))
        )
        rates.append(run.rate)
        if spreads[-1] == [h2load.CONNECTIONS // 2] * 2:
            return run.rate
    return None
