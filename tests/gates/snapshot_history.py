"""One writer that remembers the state after each operation, to compare a snapshot with the one that it is of."""

from __future__ import annotations

import copy
import random
import threading
import time
from typing import TYPE_CHECKING, NoReturn

import grpc

from pointstore.engine.engine import Engine
from pointstore.engine.recover import recover
from pointstore.engine.snapshots import Snapshots
from pointstore.wire.table import build_methods
from qdrant_grpc import points_pb2
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from tests.crash.driver import LOST, TIMEOUT_S, channel_to, differences
from tests.crash.model import Generator, from_id, from_point, to_id

if TYPE_CHECKING:
    from pathlib import Path

    from tests.crash.model import Id, Points

MAP_SIZE = 64 << 20


class History(threading.Thread):
    """The only writer of a collection: one operation a call, each acknowledged before the next is sent.

    Attributes:
        states: the points after each operation, by its number.
        acknowledged: number of the last operation that was answered.
        lost: calls whose answer was lost.

    """

    def __init__(self, address: str, collection: str, seed: int) -> None:
        super().__init__(daemon=True, name="history")
        self.states: dict[int, Points] = {0: {}}
        self.acknowledged = 0
        self.lost = 0
        self._address = address
        self._collection = collection
        ids: list[Id] = [*range(40), *(f"{n:08x}-0000-4000-8000-000000000000" for n in range(9))]
        self._generator = Generator(random.Random(seed), ids)
        self._points: Points = {}
        self._in_doubt = False
        self._stopping = threading.Event()
        self._failure: BaseException | None = None

    def stop(self) -> None:
        """Begin no other call."""
        self._stopping.set()

    def finish(self) -> None:
        """Stop; what is in flight is waited for."""
        self.stop()
        self.join(60)
        assert not self.is_alive(), "the writer hangs"
        if self._failure is not None:
            raise self._failure

    def run(self) -> None:
        try:
            with channel_to(self._address) as channel:
                stub = PointsStub(channel)
                while not self._stopping.is_set():
                    self._write(stub)
        except BaseException as failure:  # noqa: BLE001  `finish` raises it in the test
            self._failure = failure

    def _write(self, stub: PointsStub) -> None:
        operation = self._generator.operation(self._points)
        after = copy.deepcopy(self._points)
        operation.apply(after)
        request = points_pb2.UpdateBatchPoints(
            collection_name=self._collection, wait=True, operations=[operation.message()]
        )
        # Known before it is sent: a snapshot may hold it before the answer is here.
        following = self.acknowledged + 1
        self.states[following] = after
        try:
            (result,) = stub.UpdateBatch(request, timeout=TIMEOUT_S).result
        except grpc.RpcError as error:
            if error.code() not in LOST:
                raise
            self.lost += 1
            if not self._happened(stub, after):
                return
            number = following
            self._in_doubt = not differences(self._points, after)
        else:
            number = result.operation_id
            # A lost operation that changes nothing may not have happened after all.
            assert number == following or (self._in_doubt and number == following - 1)
            self.states[number], self._in_doubt = after, False
        self._points, self.acknowledged = after, number

    def _happened(self, stub: PointsStub, after: Points) -> bool:
        """Find out whether a lost operation took effect; one that changes nothing counts as if it had."""
        request = points_pb2.GetPoints(collection_name=self._collection, ids=map(to_id, self._generator.ids))
        request.with_payload.enable = request.with_vectors.enable = True
        while not self._stopping.is_set():
            try:
                reply = stub.Get(request, timeout=TIMEOUT_S)
            except grpc.RpcError as error:
                if error.code() not in LOST:
                    raise
                time.sleep(0.05)
                continue
            found = {from_id(point.id): from_point(point) for point in reply.result}
            happened = not differences(after, found)
            assert happened or not differences(self._points, found)
            return happened
        return False


class _Context:
    """A call of no transport."""

    def abort(self, code: grpc.StatusCode, text: str) -> NoReturn:
        raise AssertionError(code, text)


def restored_points(data_dir: Path, collection: str) -> Points:
    """Read everything of a collection as a server that starts on the directory would, without the server."""
    recover(data_dir, map_size=MAP_SIZE, catalog_map_size=MAP_SIZE)
    engine = Engine(data_dir, map_size=MAP_SIZE, catalog_map_size=MAP_SIZE)
    try:
        scroll = build_methods(engine, Snapshots(engine, data_dir / "snapshots", "0.0.0"))["/qdrant.Points/Scroll"]
        request = points_pb2.ScrollPoints(collection_name=collection, limit=10_000)
        request.with_payload.enable = request.with_vectors.enable = True
        reply = points_pb2.ScrollResponse.FromString(scroll(request.SerializeToString(), _Context()))  # type: ignore[arg-type]
        return {from_id(point.id): from_point(point) for point in reply.result}
    finally:
        engine.close()
