"""The figure of writes into a collection with field indexes."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

from qdrant_grpc.points_pb2 import CreateFieldIndexCollection, FieldType
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from scripts.benchmark import h2load
from scripts.benchmark.report import Detail, Row
from scripts.benchmark.session import connect, renamed
from scripts.load_packages import create_packages, drop, wait_green

if TYPE_CHECKING:
    import grpc

    from scripts.benchmark.corpus import Batch
    from scripts.benchmark.filters import Filters
    from scripts.benchmark.server import Server

CALLS = 150
CHUNK = 10
BATCH = 100

FIELDS = {
    "section": FieldType.FieldTypeKeyword,
    "tags": FieldType.FieldTypeKeyword,
    "size": FieldType.FieldTypeInteger,
    "essential": FieldType.FieldTypeBool,
    "description": FieldType.FieldTypeText,
}
NO_TEXT = {**{key: kind for key, kind in FIELDS.items() if key != "description"}, "bucket": FieldType.FieldTypeInteger}
SETUPS = {"plain": {}, "indexed": FIELDS, "no-text": NO_TEXT}


def measure_upsert(filters: Filters, server: Server) -> list[Row]:
    """Send durable upserts into collections with and without field indexes, in turns."""
    batches = list(filters.enlarged.batches("", BATCH, CALLS * BATCH))
    times: dict[str, list[float]] = {name: [] for name in SETUPS}
    cpu = dict.fromkeys(SETUPS, 0.0)
    with connect(server) as channel:
        stub = PointsStub(channel)
        for name, fields in SETUPS.items():
            drop(channel, name)
            create_packages(channel, name, filters.session.corpus.dim)
            for field, kind in fields.items():
                request = CreateFieldIndexCollection(collection_name=name, wait=True, field_name=field, field_type=kind)
                stub.CreateFieldIndex(request, timeout=h2load.CALL_TIMEOUT_S)
        for start in range(0, len(batches), CHUNK):
            for name in SETUPS:
                before = server.cpu_s()
                times[name] += _send(channel, name, batches[start : start + CHUNK])
                cpu[name] += server.cpu_s() - before
        for name in SETUPS:
            wait_green(channel, name)
            drop(channel, name)
    median = {name: statistics.median(each) * 1000 for name, each in times.items()}
    details: dict[str, Detail] = {f"{name}, median ms a call": each for name, each in median.items()}
    details |= {f"{name}, mean ms a call": statistics.fmean(each) * 1000 for name, each in times.items()}
    details |= {f"{name}, CPU of the worker, ms a call": each / len(batches) * 1000 for name, each in cpu.items()}
    details["rate with five indexes none of which is of text (an integer instead)"] = (
        median["plain"] / median["no-text"]
    )
    how = (
        f"{len(batches)} upserts of {BATCH} points one after the other into a collection with indexes on "
        f"{', '.join(FIELDS)} (two keywords, integer, bool, text) and into one with none, in turns of {CHUNK}; medians"
    )
    ratio = median["plain"] / median["indexed"]
    figure = "durable upsert with five field indexes, against none"
    return [Row("field-upsert", figure, ratio, 0.5, "at least", "x", how, details)]


def _send(channel: grpc.Channel, name: str, batches: list[Batch]) -> list[float]:
    """Send upserts one at a time; return the seconds of each."""
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/qdrant.Points/Upsert")
    seconds = []
    for batch in batches:
        body = renamed(batch, name).body
        began = time.perf_counter()
        call(body, timeout=h2load.CALL_TIMEOUT_S)
        seconds.append(time.perf_counter() - began)
    return seconds
