"""A client that creates and drops collections through crashes, and the comparison with what the server has."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import grpc

from qdrant_grpc import collections_pb2
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from tests.conftest import wait_until
from tests.crash.driver import LOST, TIMEOUT_S, channel_to
from tests.crash.model import creation

if TYPE_CHECKING:
    from collections.abc import Callable


class Churn(threading.Thread):
    """Creates and drops collections, one after the other, and knows which exist; None for those that may exist.

    `other` is the one collection that is not its own.
    """

    def __init__(self, address: str, other: str, cycle: int) -> None:
        super().__init__(daemon=True, name="churn")
        self.exists: dict[str, bool | None] = {}
        self._address = address
        self._other = other
        self._cycle = cycle
        self._stopping = threading.Event()
        self._failure: BaseException | None = None

    def finish(self) -> None:
        """Stop, and raise what went wrong."""
        self._stopping.set()
        self.join(60)
        assert not self.is_alive()
        if self._failure is not None:
            raise self._failure

    def run(self) -> None:
        try:
            with channel_to(self._address) as channel:
                stub = CollectionsStub(channel)
                for number in range(1_000_000):
                    if self._stopping.wait(0.05):
                        return
                    name = f"churn-{self._cycle}-{number}"
                    self._change(name, True, stub.Create, creation(name))
                    if number % 2 and self.exists[name]:
                        self._change(name, False, stub.Delete, collections_pb2.DeleteCollection(collection_name=name))
        except BaseException as failure:  # noqa: BLE001  `finish` raises it in the test
            self._failure = failure

    def _change(self, name: str, present: bool, method: Callable[..., object], request: object) -> None:  # noqa: FBT001
        try:
            method(request, timeout=TIMEOUT_S)
            self.exists[name] = present
        except grpc.RpcError as error:
            if error.code() not in LOST:
                raise
            self.exists[name] = None

    def verify(self, address: str) -> None:
        """Check that exactly the right collections exist, and that each can be used and dropped."""
        with channel_to(address) as channel:
            stub = CollectionsStub(channel)
            reply = stub.List(collections_pb2.ListCollectionsRequest(), timeout=TIMEOUT_S, wait_for_ready=True)
            found = {each.name for each in reply.collections}
            assert found - {self._other} <= self.exists.keys()
            for name, expected in self.exists.items():
                assert expected is None or (name in found) == expected, name
                if name in found:
                    request = collections_pb2.GetCollectionInfoRequest(collection_name=name)
                    assert stub.Get(request, timeout=TIMEOUT_S).result.points_count == 0
                    assert _is_dropped(stub, name), name


def _is_dropped(stub: CollectionsStub, name: str) -> bool:
    """Drop a collection, even if the server is to be killed at the next one that is dropped."""
    request = collections_pb2.DeleteCollection(collection_name=name)
    try:
        return stub.Delete(request, timeout=TIMEOUT_S).result
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise
    wait_until(lambda: _is_answered(stub, request), f"{name} is dropped once the server is back")
    exists = collections_pb2.CollectionExistsRequest(collection_name=name)
    return not stub.CollectionExists(exists, timeout=TIMEOUT_S, wait_for_ready=True).result.exists


def _is_answered(stub: CollectionsStub, request: collections_pb2.DeleteCollection) -> bool:
    """Tell whether a call arrived: the connection to a process that has just died may take another one with it."""
    try:
        stub.Delete(request, timeout=TIMEOUT_S, wait_for_ready=True)
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.UNAVAILABLE:
            raise
        return False
    return True
