"""Clients that write and read a few points through several workers and record every call.

They run in processes of their own, many threads in each, every thread with connections of its own. A register is a
pair of points; beside the registers each client has a counter that it raises without waiting.
"""

from __future__ import annotations

import random
import threading
import time
import traceback
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeVar

import grpc

from qdrant_grpc import collections_pb2, points_pb2, qdrant_common_pb2
from qdrant_grpc.json_with_int_pb2 import Value
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from tests.crash.driver import TIMEOUT_S, channel_to
from tests.gates.history import ABSENT, DONE, EMPTY, MISSING, NEVER, Act, Call, Kind, Reading, Write

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from tests.gates.history import Outcome

NAME: Final = "registers"
REGISTERS: Final = 32
PLACES: Final = ((0,), (1,), (0, 1))
_POINTS: Final = range(2 * REGISTERS)
_COUNTERS_FROM: Final = 1000
_CALLS_A_CONNECTION: Final = 100
_WAITED_SHARE: Final = 0.1
_GONE: Final = grpc.StatusCode.UNAVAILABLE

_Reply = TypeVar("_Reply")


@dataclass
class Recorded:
    """What clients did and saw.

    Attributes:
        calls: number of the register, and the call; lost ones end at the moment the client noticed.
        writes: by the client whose counter it is.
        readings: likewise.
        sent: how many requests were made.
        lost: how many of them had no reply.

    """

    calls: list[tuple[int, Call]] = field(default_factory=list)
    writes: dict[int, list[Write]] = field(default_factory=dict)
    readings: dict[int, list[Reading]] = field(default_factory=dict)
    sent: int = 0
    lost: int = 0

    def add(self, other: Recorded) -> None:
        """Take over what other clients recorded."""
        self.calls += other.calls
        self.sent += other.sent
        self.lost += other.lost
        for client, writes in other.writes.items():
            self.writes.setdefault(client, []).extend(writes)
        for client, readings in other.readings.items():
            self.readings.setdefault(client, []).extend(readings)


@dataclass(frozen=True)
class Order:
    """What the clients of one process are to do.

    Attributes:
        address: of the server.
        clients: their numbers.
        of: how many clients there are in all processes.
        calls: how many each makes.
        until: monotonic time at which they end in any case.
        first_value: above all values of earlier rounds.
        seed: of what they do.

    """

    address: str
    clients: Sequence[int]
    of: int
    calls: int
    until: float
    first_value: int
    seed: int


def creation() -> collections_pb2.CreateCollection:
    """Return the request for the collection; its segments are indexed early."""
    params = collections_pb2.VectorParams(size=4, distance=collections_pb2.Distance.Euclid)
    return collections_pb2.CreateCollection(
        collection_name=NAME,
        vectors_config=collections_pb2.VectorsConfig(params=params),
        optimizers_config=collections_pb2.OptimizersConfigDiff(indexing_threshold=1),
        hnsw_config=collections_pb2.HnswConfigDiff(m=8, ef_construct=64),
    )


def run(order: Order) -> Recorded:
    """Let the clients of a process do their calls; the entry of the process."""
    clients = [_Client(order, number) for number in order.clients]
    threads = [threading.Thread(target=client.run) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    recorded = Recorded()
    for client in clients:
        if client.failure is not None:
            # As text: an error of a call does not travel between processes.
            raise AssertionError("".join(traceback.format_exception(client.failure)))
        recorded.add(client.recorded)
    return recorded


def point_id(point: int) -> qdrant_common_pb2.PointId:
    """Return the id of a point: numbers for the first ones of the registers and the counters, UUIDs for the others."""
    if point % 2 and point in _POINTS:
        return qdrant_common_pb2.PointId(uuid=str(uuid.UUID(int=point)))
    return qdrant_common_pb2.PointId(num=point)


def _point_of(message: qdrant_common_pb2.PointId) -> int:
    return message.num if message.WhichOneof("point_id_options") == "num" else uuid.UUID(message.uuid).int


def read_states(stub: PointsStub) -> list[tuple[int, Call]]:
    """Read all registers, each by a call of its own."""
    client = _Client(Order("", [], 1, 0, NEVER, 0, 0), 0)
    for register in range(REGISTERS):
        client.read(stub, [register], wait_for_ready=True)
    return client.recorded.calls


class _Client:
    def __init__(self, order: Order, number: int) -> None:
        self.recorded = Recorded()
        self.failure: BaseException | None = None
        self._order = order
        self._number = number
        self._rng = random.Random(f"{order.seed}-{order.first_value}-{number}")
        self._value = order.first_value + number
        self._counter = 0
        self._seen: dict[int, int] = {}

    def run(self) -> None:
        try:
            left = self._order.calls
            while left > 0:
                # Connections go to any worker, but after the end of one all to those that are left: so often new ones.
                with channel_to(self._order.address) as channel:
                    stub = PointsStub(channel)
                    for _ in range(min(left, _CALLS_A_CONNECTION)):
                        if time.monotonic() > self._order.until:
                            return
                        lost = self.recorded.lost
                        self._call(stub)
                        if self.recorded.lost > lost:
                            grpc.channel_ready_future(channel).result(TIMEOUT_S)
                left -= _CALLS_A_CONNECTION
        except BaseException as failure:  # noqa: BLE001  `run` of the process raises it
            self.failure = failure

    def _call(self, stub: PointsStub) -> None:
        draw = self._rng.random()
        register = self._rng.randrange(REGISTERS)
        if draw < 0.1:
            self._raise(stub)
        elif draw < 0.15:
            self._look(stub)
        elif draw < 0.45:
            self.read(stub, [register])
        elif draw < 0.5:
            self.read(stub, self._rng.sample(range(REGISTERS), 3))
        else:
            self._write(stub, register)

    def read(self, stub: PointsStub, registers: Sequence[int], *, wait_for_ready: bool = False) -> None:
        """Read the states of registers in one request, in one of several ways."""
        points = [2 * register + place for register in registers for place in (0, 1)]
        began = time.monotonic()
        found = self._sent(lambda: self._found(stub, points, wait_for_ready=wait_for_ready))
        ended = time.monotonic()
        if found is None:
            return
        for register in registers:
            states = tuple(found.get(2 * register + place, ABSENT) for place in (0, 1))
            self._seen |= {2 * register + place: state for place, state in enumerate(states)}
            self._record(register, began, ended, Act(Kind.GET, (0, 1)), states)

    def _found(self, stub: PointsStub, points: Sequence[int], *, wait_for_ready: bool) -> dict[int, int]:
        """Return the states of those of the points that exist."""
        ids = [point_id(point) for point in points]
        payload = points_pb2.WithPayloadSelector(enable=True)
        found: Iterable[points_pb2.RetrievedPoint | points_pb2.ScoredPoint]
        match self._rng.randrange(3):
            case 0:
                get = points_pb2.GetPoints(collection_name=NAME, ids=ids, with_payload=payload)
                found = stub.Get(get, timeout=TIMEOUT_S, wait_for_ready=wait_for_ready).result
            case 1:
                scroll = points_pb2.ScrollPoints(
                    collection_name=NAME, filter=_only(ids), limit=len(ids), with_payload=payload
                )
                found = stub.Scroll(scroll, timeout=TIMEOUT_S, wait_for_ready=wait_for_ready).result
            case _:
                query = points_pb2.QueryPoints(
                    collection_name=NAME, filter=_only(ids), limit=len(ids), with_payload=payload
                )
                query.query.nearest.dense.data.extend([1.0, 0.0, 0.0, 0.0])
                found = stub.Query(query, timeout=TIMEOUT_S, wait_for_ready=wait_for_ready).result
        states = [(_point_of(each.id), each.payload["v"].integer_value if each.payload else EMPTY) for each in found]
        assert len(dict(states)) == len(states), f"a point came twice: {states}"
        return dict(states)

    def _write(self, stub: PointsStub, register: int) -> None:
        self._value += self._order.of
        kind = self._rng.choice([Kind.PUT, Kind.PUT, Kind.PUT_IF, Kind.SET, Kind.SET, Kind.DELETE])
        places = self._rng.choice(PLACES if kind in {Kind.PUT, Kind.DELETE} else PLACES[:2])
        value = EMPTY if kind is Kind.SET and self._rng.random() < 0.2 else self._value
        expected = self._seen.get(2 * register + places[0], EMPTY)
        act = Act(kind, places, value, max(expected, EMPTY))
        points = [2 * register + place for place in places]
        began = time.monotonic()
        outcome = self._sent(lambda: self._written(stub, act, points))
        self._record(register, began, time.monotonic(), act, outcome)

    def _written(self, stub: PointsStub, act: Act, points: Sequence[int]) -> Outcome:
        operation = _operation(act, points, self._rng)
        try:
            if self._rng.random() < 0.3:
                batch = points_pb2.UpdateBatchPoints(collection_name=NAME, wait=True, operations=[operation])
                stub.UpdateBatch(batch, timeout=TIMEOUT_S)
            else:
                _call_alone(stub, operation)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.NOT_FOUND:
                raise
            return MISSING
        return DONE

    def _raise(self, stub: PointsStub) -> None:
        """Raise the own counter, mostly without waiting."""
        self._counter += 1
        waited = self._rng.random() < _WAITED_SHARE
        value = self._order.first_value + self._counter
        point = _structs([_COUNTERS_FROM + self._number], value, self._rng)
        request = points_pb2.UpsertPoints(collection_name=NAME, wait=waited, points=point)
        began = time.monotonic()
        reply = self._sent(lambda: stub.Upsert(request, timeout=TIMEOUT_S))
        ended = NEVER if reply is None else time.monotonic()
        self.recorded.writes.setdefault(self._number, []).append(Write(began, ended, self._counter, waited))

    def _look(self, stub: PointsStub) -> None:
        """Read some counters."""
        clients = self._rng.sample(range(self._order.of), min(4, self._order.of))
        began = time.monotonic()
        points = [_COUNTERS_FROM + client for client in clients]
        found = self._sent(lambda: self._found(stub, points, wait_for_ready=False))
        ended = time.monotonic()
        if found is not None:
            for client in clients:
                # Numbers of earlier rounds count as none.
                value = max(found.get(_COUNTERS_FROM + client, 0) - self._order.first_value, 0)
                reading = Reading(began, ended, value)
                self.recorded.readings.setdefault(client, []).append(reading)

    def _sent(self, call: Callable[[], _Reply]) -> _Reply | None:
        """Return what a call returns, None when its server has gone."""
        self.recorded.sent += 1
        try:
            return call()
        except grpc.RpcError as error:
            if error.code() is not _GONE:
                raise
            self.recorded.lost += 1
            return None

    def _record(self, register: int, began: float, ended: float, act: Act, outcome: Outcome | None) -> None:
        self.recorded.calls.append((register, Call(f"client {self._number}", began, ended, act, outcome)))


def _only(ids: Sequence[qdrant_common_pb2.PointId]) -> qdrant_common_pb2.Filter:
    condition = qdrant_common_pb2.Condition(has_id=qdrant_common_pb2.HasIdCondition(has_id=ids))
    return qdrant_common_pb2.Filter(must=[condition])


def _selector(points: Sequence[int], rng: random.Random) -> points_pb2.PointsSelector:
    """Return a list of ids; a filter says nothing of points that do not exist, so only deletions may use one."""
    ids = [point_id(point) for point in points]
    if rng.random() < 0.3:
        return points_pb2.PointsSelector(filter=_only(ids))
    return points_pb2.PointsSelector(points=points_pb2.PointsIdsList(ids=ids))


def _structs(points: Sequence[int], value: int, rng: random.Random) -> list[points_pb2.PointStruct]:
    structs = []
    for point in points:
        struct = points_pb2.PointStruct(id=point_id(point), payload={"v": Value(integer_value=value)})
        struct.vectors.vector.dense.data.extend([rng.random() for _ in range(4)])
        structs.append(struct)
    return structs


def _operation(act: Act, points: Sequence[int], rng: random.Random) -> points_pb2.PointsUpdateOperation:
    """Return the wire form of a write."""
    operation = points_pb2.PointsUpdateOperation()
    by_ids = points_pb2.PointsSelector(points=points_pb2.PointsIdsList(ids=[point_id(point) for point in points]))
    match act.kind:
        case Kind.PUT | Kind.PUT_IF:
            operation.upsert.points.extend(_structs(points, act.value, rng))
            if act.kind is Kind.PUT_IF:
                condition = operation.upsert.update_filter
                if act.expected == EMPTY:
                    condition.must.add().is_empty.key = "v"
                else:
                    field_condition = condition.must.add().field
                    field_condition.key, field_condition.match.integer = "v", act.expected
        case Kind.DELETE:
            operation.delete_points.points.CopyFrom(_selector(points, rng))
        case Kind.SET if act.value == EMPTY:
            if rng.random() < 0.5:
                operation.clear_payload.points.CopyFrom(by_ids)
            else:
                operation.delete_payload.keys.append("v")
                operation.delete_payload.points_selector.CopyFrom(by_ids)
        case Kind.SET:
            change = operation.set_payload if rng.random() < 0.5 else operation.overwrite_payload
            change.payload["v"].integer_value = act.value
            change.points_selector.CopyFrom(by_ids)
        case _:
            raise AssertionError(act)
    return operation


def _call_alone(stub: PointsStub, operation: points_pb2.PointsUpdateOperation) -> None:
    """Send an operation by the RPC of its own."""
    kind = operation.WhichOneof("operation")
    methods: dict[str | None, tuple[Callable[..., object], Callable[..., object]]] = {
        "delete_points": (stub.Delete, points_pb2.DeletePoints),
        "clear_payload": (stub.ClearPayload, points_pb2.ClearPayloadPoints),
        "delete_payload": (stub.DeletePayload, points_pb2.DeletePayloadPoints),
        "set_payload": (stub.SetPayload, points_pb2.SetPayloadPoints),
        "overwrite_payload": (stub.OverwritePayload, points_pb2.SetPayloadPoints),
        "upsert": (stub.Upsert, points_pb2.UpsertPoints),
    }
    method, message = methods[kind]
    content = getattr(operation, str(kind))
    parts = {each.name: value for each, value in content.ListFields()}
    method(message(collection_name=NAME, wait=True, **parts), timeout=TIMEOUT_S)
