"""Readers see every point exactly once while the background seals, indexes, merges and swaps, and writers move points.

Some points stay for the whole run; writers give them new vectors, which moves them to new rows, and create and delete
others beside them. Whatever a reader asks, page by page or at once, over whichever worker: each of those that stay is
there once.
"""

from __future__ import annotations

import random
import threading
import time
import uuid
from typing import TYPE_CHECKING, Final

import pytest

from qdrant_grpc import collections_pb2, points_pb2, qdrant_common_pb2
from qdrant_grpc.json_with_int_pb2 import Value
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from tests.crash.driver import EAGER, TIMEOUT_S, channel_to, create
from tests.crash.model import from_id, order_key

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.conftest import Server
    from tests.crash.model import Id
    from tests.gates.conftest import Budget

    Start = Callable[..., Server]

NAME: Final = "moving"
DIM: Final = 8
STAYING: Final[list[Id]] = [*range(0, 600, 2), *(str(uuid.UUID(int=n << 100)) for n in range(1, 101))]
OTHERS: Final[list[Id]] = [*range(1, 1200, 2), *(str(uuid.UUID(int=(n << 100) + 1)) for n in range(1, 101))]
PAGE: Final = 37
READERS, WRITERS = 4, 2
_CALLS_A_CONNECTION: Final = 20
ALL: Final = 10_000


def creation() -> collections_pb2.CreateCollection:
    """Return the request for a collection that is indexed early."""
    params = collections_pb2.VectorParams(size=DIM, distance=collections_pb2.Distance.Euclid)
    return collections_pb2.CreateCollection(
        collection_name=NAME,
        vectors_config=collections_pb2.VectorsConfig(params=params),
        optimizers_config=collections_pb2.OptimizersConfigDiff(indexing_threshold=1),
        hnsw_config=collections_pb2.HnswConfigDiff(m=8, ef_construct=64),
    )


def message(point_id: Id) -> qdrant_common_pb2.PointId:
    """Return the wire form of an id."""
    return qdrant_common_pb2.PointId(**{"num" if isinstance(point_id, int) else "uuid": point_id})  # type: ignore[arg-type]


def staying() -> qdrant_common_pb2.Filter:
    """Return the filter that lets through what stays."""
    made = qdrant_common_pb2.Filter()
    condition = made.must.add().field
    condition.key, condition.match.keyword = "kind", "staying"
    return made


class Worker(threading.Thread):
    """A client that makes calls until it is told to stop, over connections that it renews."""

    def __init__(self, address: str, seed: int) -> None:
        super().__init__(daemon=True)
        self.calls = 0
        self.failure: BaseException | None = None
        self._address = address
        self._rng = random.Random(seed)
        self._stopping = threading.Event()

    def finish(self) -> None:
        """Stop, and raise what went wrong."""
        self._stopping.set()
        self.join(120)
        assert not self.is_alive(), "a client hangs"
        if self.failure is not None:
            raise self.failure

    def run(self) -> None:
        try:
            while not self._stopping.is_set():
                with channel_to(self._address) as channel:
                    stub = PointsStub(channel)
                    for _ in range(_CALLS_A_CONNECTION):
                        if not self._stopping.is_set():
                            self.call(stub)
                            self.calls += 1
        except BaseException as failure:  # noqa: BLE001  `finish` raises it in the test
            self.failure = failure

    def call(self, stub: PointsStub) -> None:
        """Do the next thing."""
        raise NotImplementedError


class Writer(Worker):
    """Rewrites points that stay, and lets others come and go."""

    def call(self, stub: PointsStub) -> None:
        draw = self._rng.random()
        if draw < 0.4:
            self.upsert(stub, self._rng.sample(STAYING, 20), "staying")
        elif draw < 0.75:
            self.upsert(stub, self._rng.sample(OTHERS, 60), "passing")
        else:
            request = points_pb2.DeletePoints(collection_name=NAME, wait=True)
            request.points.points.ids.extend(map(message, self._rng.sample(OTHERS, 120)))
            stub.Delete(request, timeout=TIMEOUT_S)

    def upsert(self, stub: PointsStub, ids: Sequence[Id], kind: str) -> None:
        """Write points with new vectors."""
        request = points_pb2.UpsertPoints(collection_name=NAME, wait=True)
        for point_id in ids:
            point = request.points.add(id=message(point_id), payload={"kind": Value(string_value=kind)})
            point.vectors.vector.dense.data.extend([self._rng.random() for _ in range(DIM)])
        stub.Upsert(request, timeout=TIMEOUT_S)


class Reader(Worker):
    """Reads everything in every way."""

    def call(self, stub: PointsStub) -> None:
        way = self._rng.choice([self.pages, self.count, self.search, self.nearest])
        way(stub)

    def pages(self, stub: PointsStub) -> None:
        """Scroll page by page, with the filter or without."""
        found: list[Id] = []
        request = points_pb2.ScrollPoints(collection_name=NAME, limit=PAGE)
        if self._rng.random() < 0.5:
            request.filter.CopyFrom(staying())
        while True:
            reply = stub.Scroll(request, timeout=TIMEOUT_S)
            found += [from_id(point.id) for point in reply.result]
            if not reply.HasField("next_page_offset"):
                break
            request.offset.CopyFrom(reply.next_page_offset)
        assert found == sorted(found, key=order_key), "pages are out of order"
        self.check(found, request)

    def count(self, stub: PointsStub) -> None:
        request = points_pb2.CountPoints(collection_name=NAME, exact=True, filter=staying())
        found = stub.Count(request, timeout=TIMEOUT_S).result.count
        assert found == len(STAYING), f"{found} of {len(STAYING)} points counted"

    def search(self, stub: PointsStub) -> None:
        """Ask for everything by nearness, exactly or through indexes."""
        request = self.query(ALL)
        request.params.exact = self._rng.random() < 0.5
        request.params.hnsw_ef = 64
        if self._rng.random() < 0.5:
            request.filter.CopyFrom(staying())
        self.check([from_id(hit.id) for hit in stub.Query(request, timeout=TIMEOUT_S).result], request)

    def nearest(self, stub: PointsStub) -> None:
        """Ask for some neighbours: as many as asked for, none twice."""
        request = self.query(self._rng.choice([10, 100, 300]))
        found = [from_id(hit.id) for hit in stub.Query(request, timeout=TIMEOUT_S).result]
        assert len(set(found)) == len(found) == request.limit, f"{len(set(found))} different of {len(found)}: {request}"

    def query(self, limit: int) -> points_pb2.QueryPoints:
        request = points_pb2.QueryPoints(collection_name=NAME, limit=limit)
        request.query.nearest.dense.data.extend([self._rng.random() for _ in range(DIM)])
        return request

    def check(self, found: Sequence[Id], request: object) -> None:
        """Compare what a request returned with what must be there."""
        unique = set(found)
        assert len(unique) == len(found), f"points came twice: {sorted(set(_repeated(found)), key=order_key)} {request}"
        missing = sorted(set(STAYING) - unique, key=order_key)
        assert not missing, f"{len(missing)} points were missing, {missing[:5]} among them: {request}"


def _repeated(ids: Sequence[Id]) -> list[Id]:
    return [point_id for number, point_id in enumerate(ids) if point_id in ids[:number]]


TURNS = 3
"""Indexed and replaced segments that a run must have seen more of."""


class Segments:
    """What the background made, as far as somebody who looks now and then can see."""

    def __init__(self, data_dir: Path) -> None:
        self.seen: set[str] = set()
        self.indexed: set[str] = set()
        self.gone = 0
        self._data_dir = data_dir
        self._present: set[str] = set()

    def look(self) -> None:
        present = {path.name for path in self._data_dir.glob("collections/*/segments/*")}
        self.gone += len(self._present - present)
        self._present = present
        self.seen |= present
        self.indexed |= {path.parent.name for path in self._data_dir.glob("collections/*/segments/*/index.faiss")}


@pytest.mark.gate("R10", size=600)
def test_every_point_is_seen_once(start_server: Start, budget: Budget) -> None:
    server = start_server(**EAGER)
    create(server.address, creation())
    writers = [Writer(server.address, budget.seed * 100 + number) for number in range(WRITERS)]
    readers = [Reader(server.address, budget.seed * 100 + 50 + number) for number in range(READERS)]
    with channel_to(server.address) as channel:
        writers[0].upsert(PointsStub(channel), STAYING, "staying")
        writers[0].upsert(PointsStub(channel), OTHERS, "passing")
    segments = Segments(server.data_dir)
    for client in (*writers, *readers):
        client.start()
    try:
        # However fast the readers are, the background must have had its turns.
        while not budget.spent() and (
            sum(reader.calls for reader in readers) < budget.size or min(len(segments.indexed), segments.gone) <= TURNS
        ):
            segments.look()
            if any(client.failure for client in (*writers, *readers)):
                break
            time.sleep(0.02)
    finally:
        for client in (*writers, *readers):
            client.finish()
    assert len(segments.indexed) > TURNS, "nothing was indexed meanwhile"
    assert segments.gone > TURNS, "no segment replaced another meanwhile"
    budget.report(
        f"{sum(reader.calls for reader in readers)} reads of {len(STAYING)} points that stay, each seen once, beside "
        f"{sum(writer.calls for writer in writers)} writes; {len(segments.seen)} segments seen, "
        f"{len(segments.indexed)} of them with an index, {segments.gone} replaced"
    )


def test_a_reader_notices() -> None:
    """The comparison itself finds a point that is missing or comes twice."""
    reader = Reader("", 0)
    reader.check(STAYING, None)
    with pytest.raises(AssertionError, match="1 points were missing, \\[4\\]"):
        reader.check([point_id for point_id in STAYING if point_id != 4], None)
    with pytest.raises(AssertionError, match="points came twice: \\[4\\]"):
        reader.check([*STAYING, 4], None)
