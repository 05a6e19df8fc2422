"""The figures of reads over field indexes: counts, facets, unindexed fields; and of a scroll through everything."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import lmdb

from qdrant_grpc.points_pb2 import (
    CountPoints,
    FacetCounts,
    QueryPoints,
    ScrollPoints,
    ScrollResponse,
    WithPayloadSelector,
)
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from qdrant_grpc.qdrant_common_pb2 import Condition, Filter, PointId
from scripts.benchmark import h2load
from scripts.benchmark.enlarged import (
    BUCKETS,
    GRADES,
    PLAIN,
    SELECTIONS,
    SHELVES,
    bucket_condition,
    keyword_condition,
)
from scripts.benchmark.filters import COLLECTION
from scripts.benchmark.report import Detail, Row
from scripts.benchmark.session import MeasurementError, connect

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import grpc

    from scripts.benchmark.enlarged import Enlarged
    from scripts.benchmark.filters import Filters
    from scripts.benchmark.server import Server

REPEATS = 20
USES = 12
PAGE = 1_000
ROUNDS = 3
_MAP_BYTES = 8 << 30
_BASE_MS = 1.0
_POINT_MS = 1e-6


def measure_count(filters: Filters, server: Server) -> list[Row]:
    """Count with a keyword and a range, every condition new to the server."""
    points = len(filters.enlarged)
    fields = filters.enlarged.fields
    with connect(server) as channel:
        stub = PointsStub(channel)
        # The first use loads both indexes.
        _count(stub, [keyword_condition("shelf", "none"), bucket_condition(-1, 0)])
        fresh, large = [], []
        for shelf in range(SHELVES):
            word = fields.words("shelf")[shelf]
            start = shelf * 8
            count, seconds = _count(stub, [keyword_condition("shelf", word), bucket_condition(start, start + 500)])
            right = int(((fields.shelf == shelf) & (fields.bucket >= start) & (fields.bucket < start + 500)).sum())
            if count != right:
                raise MeasurementError(f"count of {word} is {count}, not {right}")
            fresh.append(seconds * 1000)
        _count(stub, [keyword_condition("grade", "none")])
        large_first = _count(stub, [keyword_condition("grade", "half"), bucket_condition(250, 750)])[1] * 1000
        large = [
            _count(stub, [keyword_condition("grade", "half"), bucket_condition(start, start + 500)])[1] * 1000
            for start in range(100, 100 + REPEATS)
        ]
        known = [
            _count(stub, [keyword_condition("grade", "half"), bucket_condition(250, 750)])[1] * 1000
            for _ in range(REPEATS)
        ]
    how = (
        f"the server's time, median of {SHELVES}: one of {SHELVES} keywords and half of the range of an integer, other "
        "ones in every call, so that no condition was evaluated before"
    )
    details: dict[str, Detail] = {
        "lowest and highest, ms": [min(fresh), max(fresh)],
        "a keyword of half of the points and half of the range, both new, ms": large_first,
        "that keyword known, ranges new, median ms": statistics.median(large),
        "both known, median ms": statistics.median(known),
    }
    target = _BASE_MS + _POINT_MS * points
    figure = f"Count exact, keyword and range, {points:,} points, server's time"
    return [Row("count", figure, statistics.median(fresh), target, "at most", "ms", how, details)]


def _count(stub: PointsStub, conditions: list[Condition]) -> tuple[int, float]:
    """Return the count and the server's seconds."""
    request = CountPoints(collection_name=COLLECTION, filter=Filter(must=conditions), exact=True)
    reply = stub.Count(request, timeout=h2load.CALL_TIMEOUT_S)
    return reply.result.count, reply.time


def measure_unindexed(filters: Filters, server: Server) -> list[Row]:
    """Use fields without an index a second time, and fields of the same content with one."""
    details: dict[str, Detail] = {}
    ratios = {}
    with connect(server) as channel:
        stub = PointsStub(channel)
        for field, filter_of in (("bucket", _range_number), ("grade", _grade_number)):
            times: dict[str, list[float]] = {}
            for name in (field, PLAIN[field]):
                # The first use of either loads an index, or makes it.
                times[name] = [_count(stub, [filter_of(name, use)])[1] * 1000 for use in range(USES)]
            indexed, plain = times[field][1:], times[PLAIN[field]][1:]
            ratios[f"{field}, count"] = statistics.median(plain) / statistics.median(indexed)
            details[f"{field}: first use without index, ms"] = times[PLAIN[field]][0]
            details[f"{field}: second use without and with index, ms"] = [plain[0], indexed[0]]
            details[f"{field}: median of uses 2 to {USES} without and with index, ms"] = [
                statistics.median(plain),
                statistics.median(indexed),
            ]
        for kind in ("keyword", "range"):
            searched = {}
            for label, names in (("indexed", None), ("plain", PLAIN)):
                requests = [_query(filters, kind, number, names) for number in filters.numbers[: REPEATS + 1]]
                replies = [stub.Query(request, timeout=h2load.CALL_TIMEOUT_S) for request in requests]
                searched[label] = statistics.median(reply.time for reply in replies[1:]) * 1000
            ratios[f"Query, 10 % {kind}"] = searched["plain"] / searched["indexed"]
            details[f"Query, 10 % {kind}, without and with index, median ms"] = [searched["plain"], searched["indexed"]]
    details |= dict(ratios)
    how = (
        "the highest of four: Count by a range and by a keyword, other ones in every call, and Query with them, on "
        f"fields that got no index, against fields of the same content that did; server's time, medians of the "
        f"second to {USES}th use"
    )
    figure = "filter on an unindexed field from the second use on, against the indexed one"
    return [Row("unindexed", figure, max(ratios.values()), 1.5, "at most", "x", how, details)]


def _range_number(field: str, use: int) -> Condition:
    return bucket_condition(use * 20, use * 20 + 300, field)


def _grade_number(field: str, use: int) -> Condition:
    # No value is asked twice, so most are such that nothing matches; the first are large.
    words = [*GRADES, "rest"]
    return keyword_condition(field, words[use] if use < len(words) else f"none-{use}")


def _query(filters: Filters, kind: str, number: int, names: dict[str, str] | None) -> QueryPoints:
    selection = SELECTIONS["10"][kind]
    request = filters.request(number, None)
    request.filter.CopyFrom(selection.encoded(number + 1, names))
    return request


def measure_facet(filters: Filters, server: Server) -> list[Row]:
    """Count the points by the values of a keyword field."""
    fields = filters.enlarged.fields
    request = FacetCounts(collection_name=COLLECTION, key="shelf", limit=SHELVES, exact=True)
    filtered = FacetCounts(collection_name=COLLECTION, key="shelf", limit=SHELVES, exact=True)
    filtered.filter.must.append(bucket_condition(0, BUCKETS // 2))
    with connect(server) as channel:
        stub = PointsStub(channel)
        first = stub.Facet(request, timeout=h2load.CALL_TIMEOUT_S)
        found = {hit.value.string_value: hit.count for hit in first.hits}
        right = {word: int((fields.shelf == number).sum()) for number, word in enumerate(fields.words("shelf"))}
        if found != right:
            raise MeasurementError(f"the facet is wrong: {found}")
        times = [stub.Facet(request, timeout=h2load.CALL_TIMEOUT_S).time * 1000 for _ in range(REPEATS)]
        with_filter = [stub.Facet(filtered, timeout=h2load.CALL_TIMEOUT_S).time * 1000 for _ in range(REPEATS)]
    details: dict[str, Detail] = {
        "first use, which loads the index, ms": first.time * 1000,
        "lowest and highest, ms": [min(times), max(times)],
        "with a filter that half of the points fulfil, median ms": statistics.median(with_filter),
    }
    how = f"the server's time, median of {REPEATS}, index loaded, no filter, all values asked for"
    figure = f"Facet over {SHELVES} values, {len(fields):,} points, server's time"
    return [Row("facet", figure, statistics.median(times), 5, "at most", "ms", how, details)]


def measure_scroll(filters: Filters, server: Server) -> list[Row]:
    """Read everything in pages, and the same payloads from LMDB with a cursor."""
    points = len(filters.enlarged)
    path = filters.session.work_dir / "bare-payloads"
    stored = _store_payloads(path, filters.enlarged)
    bare, served, received, times = [], [], 0, 0.0
    with connect(server) as channel:
        scroll: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/qdrant.Points/Scroll")
        for _ in range(ROUNDS):
            bare.append(_walk(path, stored))
            seconds, replies = _scroll_all(scroll, points)
            served.append(seconds)
        received = sum(map(len, replies))
        pages = [ScrollResponse.FromString(reply) for reply in replies]
    found = [point.id.num for page in pages for point in page.result]
    if found != list(range(points)) or received < stored:
        raise MeasurementError(f"{len(found)} points and {received} bytes were scrolled through")
    times = sum(page.time for page in pages)
    how = (
        f"all {points:,} points in pages of {PAGE:,} with payload, one call after the other by a client that does not "
        "parse the replies, until the last has come, against a loop over an LMDB cursor that reads ids and the same "
        f"payload bytes; medians of {ROUNDS}, in turns"
    )
    details: dict[str, Detail] = {
        "bare cursor, s": bare,
        "Scroll, s": served,
        "Scroll, the server's own time, s": times,
        "ratio by the server's own time": statistics.median(bare) / times,
        "payload bytes a point": stored / points,
        "us a point, Scroll and bare": [
            statistics.median(served) / points * 1e6,
            statistics.median(bare) / points * 1e6,
        ],
    }
    ratio = statistics.median(bare) / statistics.median(served)
    return [
        Row("scroll", "Scroll of everything, against a bare LMDB cursor", ratio, 0.2, "at least", "x", how, details)
    ]


def _store_payloads(path: Path, enlarged: Enlarged) -> int:
    """Put id to payload into LMDB, as they would be without a server; return the bytes of the payloads."""
    path.mkdir()
    stored = 0
    with lmdb.open(str(path), map_size=_MAP_BYTES) as env, env.begin(write=True) as txn:
        for number in range(len(enlarged)):
            payload = enlarged.payload(number)
            stored += len(payload)
            txn.put(number.to_bytes(8, "big"), payload, append=True)
    return stored


def _walk(path: Path, stored: int) -> float:
    """Read all values; return the seconds."""
    with lmdb.open(str(path), map_size=_MAP_BYTES, readonly=True) as env:
        began = time.perf_counter()
        with env.begin() as txn, txn.cursor() as cursor:
            size = sum(len(value) for _, value in cursor)
        seconds = time.perf_counter() - began
    if size != stored:
        raise MeasurementError(f"the cursor read {size} bytes of {stored}")
    return seconds


def _scroll_all(scroll: grpc.UnaryUnaryMultiCallable[bytes, bytes], points: int) -> tuple[float, list[bytes]]:
    """Ask for one page after the other; ids are those that were loaded. Return the seconds and the replies."""
    bodies = list(_pages(points))
    began = time.perf_counter()
    replies = [scroll(body, timeout=h2load.CALL_TIMEOUT_S) for body in bodies]
    return time.perf_counter() - began, replies


def _pages(points: int) -> Iterable[bytes]:
    for first in range(0, points, PAGE):
        yield ScrollPoints(
            collection_name=COLLECTION,
            offset=PointId(num=first),
            limit=PAGE,
            with_payload=WithPayloadSelector(enable=True),
        ).SerializeToString()
