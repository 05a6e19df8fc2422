"""The figures of writes and of the index: durable upserts, time to Green, latency during a build."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np

from scripts.benchmark import baselines, h2load
from scripts.benchmark.report import Detail, Row
from scripts.benchmark.session import COLLECTION, MeasurementError, Session, connect, note, renamed
from scripts.load_packages import create_packages, drop, load, plain_progress, upsert_all, wait_green

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import grpc

    from scripts.benchmark.corpus import Batch
    from scripts.benchmark.server import Server

UPSERT_CALLS = 200
UPSERT_CHUNK = 20
STEADY_RATE = 200
IDLE_S = 12.0
SAMPLES_MIN = 500


def measure_green(session: Session, server: Server) -> list[Row]:
    """Load the corpus, then build the same index without a server."""
    with connect(server) as channel:
        drop(channel, COLLECTION)
        create_packages(channel, COLLECTION, session.corpus.dim)
        loaded = load(channel, COLLECTION, session.batches, plain_progress(len(session.corpus)))
    note(f"  Green after {loaded.green_s:.1f} s; now bare FAISS")
    bare = baselines.build(session.corpus.vectors)
    how = (
        "seconds from the reply to the last upsert until the collection is Green, against IndexHNSWSQ (fp16, M "
        f"{baselines.LINKS}, efConstruction {baselines.EF_CONSTRUCTION}) adding the same rows from memory on "
        f"{baselines.BUILD_THREADS} threads"
    )
    details: dict[str, Detail] = {
        "load, points/s (4 calls in flight)": loaded.points / loaded.upsert_s,
        "load, s": loaded.upsert_s,
        "from last upsert to Green, s": loaded.green_s,
        "bare FAISS, s": bare.seconds,
    }
    ratio = loaded.green_s / bare.seconds
    return [Row("green", "last upsert to Green, against bare FAISS", ratio, 1.5, "at most", "x", how, details)]


def measure_upsert(session: Session, server: Server) -> list[Row]:
    """Send durable upserts one after the other, and put the same bytes into LMDB, in turns."""
    name = "upserts"
    batches = [renamed(batch, name) for batch in session.batches[: 2 * UPSERT_CALLS]]
    sequential, parallel = batches[:UPSERT_CALLS], batches[UPSERT_CALLS:]
    served: list[float] = []
    bare: list[float] = []
    directory = session.work_dir / "bare-lmdb"
    directory.mkdir()
    store = baselines.BareStore(directory)
    cpu = server.cpu_s()
    with connect(server) as channel:
        create_packages(channel, name, session.corpus.dim)
        for start in range(0, len(sequential), UPSERT_CHUNK):
            chunk = sequential[start : start + UPSERT_CHUNK]
            served += _upsert_in_order(channel, chunk)
            bare += store.upsert([batch.body for batch in chunk])
        cpu = server.cpu_s() - cpu
        began = time.perf_counter()
        upsert_all(channel, parallel, lambda _loaded: None)
        parallel_s = time.perf_counter() - began
        wait_green(channel, name)
        drop(channel, name)
    store.close()
    how = (
        f"{len(sequential)} upserts of 100 points one after the other, against a loop that parses the same bytes and "
        f"puts each point into LMDB, a synced transaction a call; in turns of {UPSERT_CHUNK} calls; "
        "median against median"
    )
    details: dict[str, Detail] = {
        "upsert, median ms": float(np.median(served)) * 1000,
        "bare loop, median ms": float(np.median(bare)) * 1000,
        "upsert, mean ms": float(np.mean(served)) * 1000,
        "bare loop, mean ms": float(np.mean(bare)) * 1000,
        "ratio of the means": float(np.mean(bare) / np.mean(served)),
        "CPU of the workers a call, ms": cpu / len(sequential) * 1000,
        "4 calls in flight, ms a call": parallel_s / len(parallel) * 1000,
    }
    # A rare slow sync weighs more in the shorter call, so means would flatter the server.
    ratio = float(np.median(bare) / np.median(served))
    figure = "durable upsert (100 points a call), against a bare LMDB loop"
    return [Row("upsert", figure, ratio, 0.5, "at least", "x", how, details)]


def _upsert_in_order(channel: grpc.Channel, batches: Sequence[Batch]) -> list[float]:
    """Send upserts one at a time; return the seconds of each."""
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/qdrant.Points/Upsert")
    seconds = []
    for batch in batches:
        start = time.perf_counter()
        call(batch.body, timeout=h2load.CALL_TIMEOUT_S)
        seconds.append(time.perf_counter() - start)
    return seconds


def measure_p99(session: Session, server: Server) -> list[Row]:
    """Compare latencies at a fixed rate with nothing else to do, and while another collection's index is built.

    Raises:
        MeasurementError: the build was too short to say something about one call in a hundred.

    """
    name = "built-beside"
    calls = session.queries(server, payload=False)
    log_path = session.work_dir / "latencies.log"
    before = _idle(server, calls, log_path)
    batches = [renamed(batch, name) for batch in session.batches]
    with connect(server) as channel:
        create_packages(channel, name, session.corpus.dim)
        steady = h2load.SteadyLoad(server.address, calls, STEADY_RATE, log_path)
        upsert_all(channel, batches, plain_progress(len(session.corpus)))
        began = time.time()
        build_s = wait_green(channel, name)
        samples = steady.stop()
        drop(channel, name)
    after = _idle(server, calls, log_path)
    idle_p99_ms = min(percentile_ms(each, 99) for each in (before, after))
    start_s = samples[:, 0] / 1e6
    building = samples[(start_s >= began) & (start_s < began + build_s), 2]
    loading = samples[start_s < began, 2]
    if len(building) < SAMPLES_MIN:
        raise MeasurementError(f"only {len(building)} calls fell into the {build_s:.1f} s of the build")
    how = (
        f"Query at {STEADY_RATE} calls a second over 4 connections, between the last upsert of the whole corpus into a "
        f"second collection and its Green, against {IDLE_S:.0f} s before and after: the lower of these two p99, "
        "because whatever else the machine does can only raise it"
    )
    details: dict[str, Detail] = {
        "idle before, p50 and p99, ms": [percentile_ms(before, 50), percentile_ms(before, 99)],
        "idle after, p50 and p99, ms": [percentile_ms(after, 50), percentile_ms(after, 99)],
        "building, p50 and p99, ms": [percentile_ms(building, 50), percentile_ms(building, 99)],
        "while upserts come in, p50 and p99, ms": [percentile_ms(loading, 50), percentile_ms(loading, 99)],
        "build, s": build_s,
        "calls while idle / building": f"{len(before)} + {len(after)} / {len(building)}",
    }
    ratio = percentile_ms(building, 99) / idle_p99_ms
    return [Row("p99", "Query p99 during a build, against idle", ratio, 4, "at most", "x", how, details)]


def _idle(server: Server, calls: Sequence[h2load.Call], log_path: Path) -> h2load.Samples:
    """Return durations in microseconds with nothing else to do."""
    steady = h2load.SteadyLoad(server.address, calls, STEADY_RATE, log_path)
    time.sleep(IDLE_S)
    return steady.stop()[:, 2]


def percentile_ms(durations_us: h2load.Samples, share: float) -> float:
    """Return a percentile of durations in microseconds as milliseconds."""
    return float(np.percentile(durations_us, share)) / 1000
