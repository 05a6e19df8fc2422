"""Clients that write through crashes and know what must be there afterwards, and the comparison with the server."""

from __future__ import annotations

import contextlib
import copy
import random
import threading
import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
import numpy as np

from qdrant_grpc import collections_pb2, points_pb2
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from tests.conftest import wait_until
from tests.crash.model import (
    COSINE,
    EUCLID,
    Generator,
    creation,
    from_id,
    from_point,
    order_key,
    to_id,
    to_vectors,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.conftest import Server
    from tests.crash.model import Id, Operation, Points, Vectors

TIMEOUT_S = 20.0
EAGER = {
    "POINTSTORE__OPTIMIZER__SEAL_BYTES": "2048",
    "POINTSTORE__OPTIMIZER__TAIL_BYTES": "2048",
    "POINTSTORE__OPTIMIZER__SPREAD_SLOTS": "300",
    "POINTSTORE__OPTIMIZER__POLL_INTERVAL_S": "0.05",
}
"""Settings with which the optimizer seals, builds and merges all the time."""

LOST = {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
"""What a client is told when its server dies or drains: the operation may have happened."""


@contextlib.contextmanager
def channel_to(address: str) -> Iterator[grpc.Channel]:
    """Open a connection of its own: the kernel gives each to one of the workers."""
    options = [
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.initial_reconnect_backoff_ms", 50),
        ("grpc.max_reconnect_backoff_ms", 200),
        ("grpc.max_receive_message_length", -1),
    ]
    with grpc.insecure_channel(address, options=options) as channel:
        yield channel


def create(address: str, request: collections_pb2.CreateCollection) -> None:
    """Create a collection."""
    with channel_to(address) as channel:
        assert CollectionsStub(channel).Create(request, timeout=TIMEOUT_S).result


def info(address: str, name: str) -> collections_pb2.CollectionInfo:
    """Return a collection's information."""
    request = collections_pb2.GetCollectionInfoRequest(collection_name=name)
    with channel_to(address) as channel:
        return CollectionsStub(channel).Get(request, timeout=TIMEOUT_S, wait_for_ready=True).result


def wait_for_green(address: str, name: str, timeout_s: float = 30.0) -> collections_pb2.CollectionInfo:
    """Wait until the background work on a collection is done."""
    green = collections_pb2.CollectionStatus.Green
    wait_until(lambda: info(address, name).status == green, f"collection {name} is green", timeout_s)
    return info(address, name)


@dataclass(frozen=True)
class Call:
    """One call of a writer: when it began and ended (monotonic seconds), None as code for OK."""

    began: float
    ended: float
    code: grpc.StatusCode | None


class Writer(threading.Thread):
    """A client that writes to its own ids, one call after the other, and models what the server must hold.

    A call that was lost leaves several possible states, one for each number of operations of the batch that took
    effect; the next read must find exactly one of them. Any other error ends the writer and fails `finish`.
    """

    def __init__(self, address: str, collection: str, number: int, writers: int, seed: int) -> None:
        super().__init__(daemon=True, name=f"writer-{number}")
        self.points: Points = {}
        self.calls: list[Call] = []
        self.numbers: list[int] = []
        self.lost = 0
        self.ends_when_lost = False
        """End with the first lost call; otherwise find out what became of it as soon as the server answers."""
        self._address = address
        self._collection = collection
        rng = random.Random(seed * 1000 + number)
        ids: list[Id] = [number + writers * i for i in range(40)]
        ids += [str(uuid.UUID(int=rng.getrandbits(128))) for _ in range(10)]
        self._generator = Generator(rng, ids)
        self._rng = rng
        self._possible: list[Points] = []
        self._stopping = threading.Event()
        self._failure: BaseException | None = None

    def restarted(self, address: str) -> None:
        """Use the server's new address and find out what became of a lost call."""
        self._address = address
        with channel_to(address) as channel:
            self._settle(PointsStub(channel), wait=True)

    def again(self) -> Writer:
        """Return a writer that goes on where this one ended."""
        successor = Writer(self._address, self._collection, 0, 1, 0)
        successor._generator, successor._rng = self._generator, self._rng
        successor.points, successor.numbers, successor.lost = self.points, self.numbers, self.lost
        return successor

    def finish(self) -> None:
        """Stop writing; a call in flight is waited for."""
        self._stopping.set()
        self.join(60)
        assert not self.is_alive(), "a writer hangs"
        if self._failure is not None:
            raise self._failure

    def run(self) -> None:
        try:
            with channel_to(self._address) as channel:
                stub = PointsStub(channel)
                while not self._stopping.is_set():
                    if self._possible and self.ends_when_lost:
                        return
                    if self._possible:
                        self._settle(stub, wait=False)
                    else:
                        self._write(stub)
        except BaseException as failure:  # noqa: BLE001  `finish` raises it in the test
            self._failure = failure

    def _write(self, stub: PointsStub) -> None:
        states = [self.points]
        operations: list[Operation] = []
        for _ in range(self._rng.choice((1, 1, 2, 4))):
            operation = self._generator.operation(states[-1])
            state = copy.deepcopy(states[-1])
            operation.apply(state)
            operations.append(operation)
            states.append(state)
        request = points_pb2.UpdateBatchPoints(
            collection_name=self._collection, wait=True, operations=[operation.message() for operation in operations]
        )
        began = time.monotonic()
        try:
            reply = stub.UpdateBatch(request, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            self.calls.append(Call(began, time.monotonic(), error.code()))
            if error.code() not in LOST:
                raise
            self.lost += 1
            self._possible = states
            return
        self.calls.append(Call(began, time.monotonic(), None))
        self.numbers += [result.operation_id for result in reply.result]
        assert len(reply.result) == len(operations)
        self.points = states[-1]

    def _settle(self, stub: PointsStub, *, wait: bool) -> None:
        if not self._possible:
            return
        request = points_pb2.GetPoints(collection_name=self._collection, ids=map(to_id, self._generator.ids))
        request.with_payload.enable = request.with_vectors.enable = True
        try:
            reply = stub.Get(request, timeout=TIMEOUT_S, wait_for_ready=wait)
        except grpc.RpcError as error:
            if wait or error.code() not in LOST:
                raise
            time.sleep(0.05)
            return
        found = {from_id(point.id): from_point(point) for point in reply.result}
        # From the last one on: what happened in full may equal what did not happen at all.
        matching = [state for state in reversed(self._possible) if not differences(state, found)]
        assert matching, "\n".join(
            f"after {done} operations: {differences(state, found)[:3]}" for done, state in enumerate(self._possible)
        )
        self.points = matching[0]
        self._possible = []


def differences(expected: Points, found: Points) -> list[str]:
    """Describe the points that are missing, too many, or not as expected."""
    lines = [f"missing: {i} {expected[i]}" for i in expected.keys() - found.keys()]
    lines += [f"too many: {i} {found[i]}" for i in found.keys() - expected.keys()]
    both = expected.keys() & found.keys()
    lines += [f"point {i}: expected {expected[i]}\nfound {found[i]}" for i in both if not expected[i].matches(found[i])]
    return lines


@contextlib.contextmanager
def writing(address: str, collection: str, writers: list[Writer], count: int = 4, seed: int = 0) -> Iterator[None]:
    """Let writers write meanwhile: the given ones go on, or new ones are put into the empty list."""
    writers[:] = (
        [writer.again() for writer in writers]
        if writers
        else [Writer(address, collection, number, count, seed) for number in range(count)]
    )
    for writer in writers:
        writer._address = address
        writer.start()
    try:
        yield
    finally:
        for writer in writers:
            writer.finish()


def fill(server: Server, name: str, calls: int = 30) -> list[Writer]:
    """Create a collection, write to it until it has indexes, return the writers that know what it holds."""
    create(server.address, creation(name))
    writers: list[Writer] = []
    with writing(server.address, name, writers, count=2, seed=7):
        wait_until(lambda: min(len(writer.calls) for writer in writers) > calls, "enough was written")
    wait_until(lambda: info(server.address, name).indexed_vectors_count > 0, f"{name} has an index")
    wait_for_green(server.address, name)
    return writers


def verify(address: str, collection: str, writers: list[Writer]) -> Points:
    """Settle what is open and compare everything the server holds with what it must hold; return the points."""
    for writer in writers:
        writer.restarted(address)
    expected: Points = {}
    for writer in writers:
        expected |= writer.points
    numbers = [number for writer in writers for number in writer.numbers]
    assert len(set(numbers)) == len(numbers), "an operation number was given twice"
    verify_points(address, collection, expected)
    return expected


def verify_points(address: str, collection: str, expected: Points) -> None:
    """Compare counts, scroll order, every point and searches, over several connections and so over both workers."""
    assert info(address, collection).points_count == len(expected)
    for seed in range(3):
        with channel_to(address) as channel:
            stub = PointsStub(channel)
            count = points_pb2.CountPoints(collection_name=collection, exact=True)
            assert stub.Count(count, timeout=TIMEOUT_S, wait_for_ready=True).result.count == len(expected)
            found = scrolled(stub, collection)
            assert list(found) == sorted(found, key=order_key)
            assert not differences(expected, found)
            generator = Generator(random.Random(seed), [])
            for name, dim in ((EUCLID, 8), (COSINE, 6)):
                verify_search(stub, collection, expected, name, generator.row(dim))


def scrolled(stub: PointsStub, collection: str, page: int = 17) -> Points:
    """Read all points in the order of the server."""
    found: Points = {}
    request = points_pb2.ScrollPoints(collection_name=collection, limit=page)
    request.with_payload.enable = request.with_vectors.enable = True
    while True:
        reply = stub.Scroll(request, timeout=TIMEOUT_S, wait_for_ready=True)
        for point in reply.result:
            assert from_id(point.id) not in found, "a point came twice"
            found[from_id(point.id)] = from_point(point)
        if not reply.HasField("next_page_offset"):
            return found
        request.offset.CopyFrom(reply.next_page_offset)


def verify_search(stub: PointsStub, collection: str, expected: Points, name: str, row: list[float]) -> None:
    """Compare an exact and an ordinary search with brute force over the expected points."""
    truth = _scores({i: point.vectors for i, point in expected.items() if name in point.vectors}, name, row)
    best = sorted(truth.values(), reverse=name == COSINE)[:10]
    for exact in (True, False):
        request = points_pb2.QueryPoints(collection_name=collection, using=name, limit=10)
        request.query.nearest.CopyFrom(_nearest(name, row))
        request.params.exact = exact
        request.params.hnsw_ef = 128
        hits = stub.Query(request, timeout=TIMEOUT_S).result
        scores = [hit.score for hit in hits]
        assert len({from_id(hit.id) for hit in hits}) == len(hits)
        # Whatever is found is there, with the right score: an index must not bring back what was deleted.
        np.testing.assert_allclose(scores, [truth[from_id(hit.id)] for hit in hits], rtol=1e-5, atol=1e-5)
        if exact:
            np.testing.assert_allclose(scores, best, rtol=1e-5, atol=1e-5)
        else:
            assert len(hits) == len(best)
            assert scores == sorted(scores, reverse=name == COSINE)


def _nearest(name: str, row: list[float]) -> points_pb2.VectorInput:
    return points_pb2.VectorInput(dense=to_vectors({name: row}).vectors.vectors[name].dense)


def _scores(vectors: Mapping[Id, Vectors], name: str, row: list[float]) -> dict[Id, float]:
    query = np.array(row, np.float64)
    scores: dict[Id, float] = {}
    for point_id, of_point in vectors.items():
        stored = np.array(of_point[name], np.float64)
        if name == COSINE:
            scores[point_id] = float(query @ stored / np.linalg.norm(query) / np.linalg.norm(stored))
        else:
            scores[point_id] = float(np.linalg.norm(query - stored))
    return scores
