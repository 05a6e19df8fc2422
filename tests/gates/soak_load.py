"""A mixed load on a collection that neither grows nor shrinks, at a pace of choice, from processes of its own."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import grpc

from qdrant_grpc import collections_pb2, points_pb2, qdrant_common_pb2
from qdrant_grpc.json_with_int_pb2 import Value
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from tests.crash.driver import TIMEOUT_S, channel_to

if TYPE_CHECKING:
    from collections.abc import Callable

NAME: Final = "soaked"
POINTS: Final = 5000
DIM: Final = 64
CITIES: Final = ("Berlin", "London", "Moscow", "Paris", "Rome")
_CALLS_A_CONNECTION: Final = 500


@dataclass(frozen=True)
class Load:
    """What the clients of one process do.

    Attributes:
        address: of the server.
        clients: how many threads, each with a connection of its own.
        rate: calls a second of all clients of the process together; None for as many as they can.
        seconds: how long.
        seed: of what they do.

    """

    address: str
    clients: int
    rate: float | None
    seconds: float
    seed: int


@dataclass(frozen=True)
class Done:
    """How many calls were answered, and how many lost with the process that had them."""

    answered: int
    lost: int


def creation() -> collections_pb2.CreateCollection:
    """Return the request for the collection."""
    params = collections_pb2.VectorParams(size=DIM, distance=collections_pb2.Distance.Cosine)
    return collections_pb2.CreateCollection(
        collection_name=NAME,
        vectors_config=collections_pb2.VectorsConfig(params=params),
        optimizers_config=collections_pb2.OptimizersConfigDiff(indexing_threshold=100),
    )


def fill(address: str) -> None:
    """Put in all points, and index the fields that the load asks for."""
    rng = random.Random(0)
    with channel_to(address) as channel:
        stub = PointsStub(channel)
        for name, kind in (("city", points_pb2.FieldTypeKeyword), ("n", points_pb2.FieldTypeInteger)):
            request = points_pb2.CreateFieldIndexCollection(
                collection_name=NAME, field_name=name, field_type=kind, wait=True
            )
            stub.CreateFieldIndex(request, timeout=TIMEOUT_S)
        for first in range(0, POINTS, 500):
            _upsert(stub, rng, range(first, first + 500))


def run(load: Load) -> Done:
    """Run the clients of a process; the entry of the process."""
    clients = [_Client(load, number) for number in range(load.clients)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
        if client.failure is not None:
            raise client.failure
    return Done(sum(client.answered for client in clients), sum(client.lost for client in clients))


class _Client(threading.Thread):
    def __init__(self, load: Load, number: int) -> None:
        super().__init__()
        self.answered = self.lost = 0
        self.failure: BaseException | None = None
        self._load = load
        self._rng = random.Random(load.seed * 1000 + number)
        self._pause_s = 0.0 if load.rate is None else load.clients / load.rate

    def run(self) -> None:
        try:
            until = time.monotonic() + self._load.seconds
            # Clients do not march in step.
            due = time.monotonic() + self._rng.random() * self._pause_s
            while time.monotonic() < until:
                with channel_to(self._load.address) as channel:
                    stub = PointsStub(channel)
                    for _ in range(_CALLS_A_CONNECTION):
                        if due > until or time.monotonic() > until:
                            return
                        time.sleep(max(0.0, due - time.monotonic()))
                        # Behind its time it catches up, but not for ever: the load stays what it was told to be.
                        due = max(due + self._pause_s, time.monotonic() - 1.0)
                        self._call(stub)
        except BaseException as failure:  # noqa: BLE001  `run` of the process raises it
            self.failure = failure

    def _call(self, stub: PointsStub) -> None:
        calls: list[Callable[[PointsStub], object]] = [self._write, self._change, self._search, self._search]
        calls += [self._get, self._page, self._count, self._replace]
        try:
            self._rng.choice(calls)(stub)
            self.answered += 1
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.UNAVAILABLE:
                raise
            self.lost += 1
            time.sleep(0.05)

    def _ids(self, count: int) -> list[int]:
        return self._rng.sample(range(POINTS), count)

    def _write(self, stub: PointsStub) -> object:
        return _upsert(stub, self._rng, self._ids(8))

    def _replace(self, stub: PointsStub) -> object:
        """Delete points and put them in again, in one batch."""
        ids = self._ids(3)
        request = points_pb2.UpdateBatchPoints(collection_name=NAME, wait=True)
        request.operations.add().delete_points.points.points.ids.extend(map(_id, ids))
        request.operations.add().upsert.points.extend(_structs(self._rng, ids))
        return stub.UpdateBatch(request, timeout=TIMEOUT_S)

    def _change(self, stub: PointsStub) -> object:
        # A field of a bounded number of values.
        request = points_pb2.SetPayloadPoints(
            collection_name=NAME, wait=True, payload={"touched": Value(integer_value=self._rng.randrange(100))}
        )
        # By id it would be refused between a lost half of `_replace` and its repetition.
        condition = request.points_selector.filter.must.add()
        condition.has_id.has_id.extend(map(_id, self._ids(5)))
        return stub.SetPayload(request, timeout=TIMEOUT_S)

    def _search(self, stub: PointsStub) -> object:
        request = points_pb2.QueryPoints(collection_name=NAME, limit=10)
        request.query.nearest.dense.data.extend(_row(self._rng))
        request.with_payload.enable = True
        if self._rng.random() < 0.5:
            request.filter.CopyFrom(self._condition())
        return stub.Query(request, timeout=TIMEOUT_S)

    def _get(self, stub: PointsStub) -> object:
        request = points_pb2.GetPoints(collection_name=NAME, ids=map(_id, self._ids(5)))
        request.with_payload.enable = request.with_vectors.enable = True
        return stub.Get(request, timeout=TIMEOUT_S)

    def _page(self, stub: PointsStub) -> object:
        request = points_pb2.ScrollPoints(collection_name=NAME, limit=20, offset=_id(self._rng.randrange(POINTS)))
        request.with_payload.enable = True
        if self._rng.random() < 0.5:
            request.filter.CopyFrom(self._condition())
        return stub.Scroll(request, timeout=TIMEOUT_S)

    def _count(self, stub: PointsStub) -> object:
        if self._rng.random() < 0.5:
            return stub.Facet(points_pb2.FacetCounts(collection_name=NAME, key="city"), timeout=TIMEOUT_S)
        request = points_pb2.CountPoints(collection_name=NAME, filter=self._condition(), exact=True)
        return stub.Count(request, timeout=TIMEOUT_S)

    def _condition(self) -> qdrant_common_pb2.Filter:
        made = qdrant_common_pb2.Filter()
        city, number = made.must.add().field, made.must.add().field
        city.key, city.match.keyword = "city", self._rng.choice(CITIES)
        number.key, number.range.lt = "n", self._rng.randrange(1000)
        return made


def _id(number: int) -> qdrant_common_pb2.PointId:
    return qdrant_common_pb2.PointId(num=number)


def _row(rng: random.Random) -> list[float]:
    return [rng.gauss(0, 1) for _ in range(DIM)]


def _structs(rng: random.Random, ids: list[int] | range) -> list[points_pb2.PointStruct]:
    structs = []
    for number in ids:
        payload = {
            "city": Value(string_value=rng.choice(CITIES)),
            "n": Value(integer_value=rng.randrange(1000)),
            "text": Value(string_value="".join(rng.choices("abcdefgh ", k=200))),
        }
        struct = points_pb2.PointStruct(id=_id(number), payload=payload)
        struct.vectors.vector.dense.data.extend(_row(rng))
        structs.append(struct)
    return structs


def _upsert(stub: PointsStub, rng: random.Random, ids: list[int] | range) -> object:
    request = points_pb2.UpsertPoints(collection_name=NAME, wait=True, points=_structs(rng, ids))
    return stub.Upsert(request, timeout=TIMEOUT_S)
