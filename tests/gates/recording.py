"""A recorded run of a server under load, and what each image of it must hold."""

from __future__ import annotations

import copy
import os
import random
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from qdrant_grpc import collections_pb2, points_pb2
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from tests.crash.driver import TIMEOUT_S, channel_to, differences
from tests.crash.model import Generator, Point, creation
from tests.gates import replay

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.crash.model import Id, Points

NAME = "recorded"


@dataclass
class History:
    """What one client did: for each of its calls the states that the call could leave, the complete one last."""

    ids: frozenset[Id]
    calls: list[list[Points]] = field(default_factory=list)

    def possible(self, answered: int) -> list[Points]:
        """Return the states that may be found once so many calls were answered: the next may be under way."""
        before: Points = self.calls[answered - 1][-1] if answered else {}
        return [before, *(self.calls[answered] if answered < len(self.calls) else [])]


@dataclass
class Names:
    """What happened to collections: the names after each call."""

    calls: list[frozenset[str]] = field(default_factory=list)

    def possible(self, answered: int) -> list[frozenset[str]]:
        """Return the sets of names that may be found."""
        before = self.calls[answered - 1] if answered else frozenset[str]()
        return [before, *self.calls[answered : answered + 1]]


class Load:
    """Clients that write to a server and mark in its recording what was answered.

    Marks are `[client, number of answered calls]`; client 0 changes collections.
    """

    def __init__(self, address: str, log: str, seed: int, *, writers: int = 2) -> None:
        self.names = Names()
        self.histories: list[History] = []
        self._address = address
        self._log = os.open(log, os.O_WRONLY | os.O_APPEND)
        self._failures: list[BaseException] = []
        self._rngs = [random.Random(seed * 100 + number) for number in range(writers)]
        for number in range(writers):
            self.histories.append(History(frozenset(number + writers * i for i in range(30))))

    def run(self, calls: int) -> None:
        """Let every client make so many calls."""
        self._change_names(1)
        threads = [threading.Thread(target=self._guarded, args=(self._write, number, calls)) for number in (0, 1)]
        threads.append(threading.Thread(target=self._guarded, args=(self._change_names, calls // 4)))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        os.close(self._log)
        if self._failures:
            raise self._failures[0]

    def _guarded(self, work: Callable[..., None], *arguments: int) -> None:
        try:
            work(*arguments)
        except BaseException as failure:  # noqa: BLE001  `run` raises it
            self._failures.append(failure)

    def _write(self, number: int, calls: int) -> None:
        history, rng = self.histories[number], self._rngs[number]
        generator = Generator(rng, sorted(history.ids, key=str))
        points: Points = {}
        with channel_to(self._address) as channel:
            stub = PointsStub(channel)
            for call in range(calls):
                states: list[Points] = []
                request = points_pb2.UpdateBatchPoints(collection_name=NAME, wait=True)
                for _ in range(rng.choice((1, 1, 2))):
                    operation = generator.operation(points)
                    points = copy.deepcopy(points)
                    operation.apply(points)
                    states.append(points)
                    request.operations.append(operation.message())
                history.calls.append(states)
                stub.UpdateBatch(request, timeout=TIMEOUT_S)
                replay.mark(self._log, [number + 1, call + 1])

    def _change_names(self, calls: int) -> None:
        with channel_to(self._address) as channel:
            stub = CollectionsStub(channel)
            for _ in range(calls):
                done = len(self.names.calls)
                name = f"other-{(done - 1) // 2}" if done else NAME
                names = self.names.calls[-1] if done else frozenset[str]()
                self.names.calls.append(names ^ {name})
                if name in names:
                    stub.Delete(collections_pb2.DeleteCollection(collection_name=name), timeout=TIMEOUT_S)
                else:
                    stub.Create(creation(name), timeout=TIMEOUT_S)
                replay.mark(self._log, [0, done + 1])


def missed(load: Load, answered: dict[int, int], found: dict[str, dict[str, Any]]) -> str:
    """Compare what an image holds with what it must; return what is wrong, nothing when all is well."""
    if frozenset(found) not in load.names.possible(answered.get(0, 0)):
        return f"collections {sorted(found)} after {answered.get(0, 0)} answers"
    points = {_id(key): _point(value) for key, value in found.get(NAME, {}).items()}
    for number, history in enumerate(load.histories, start=1):
        of_client = {key: point for key, point in points.items() if key in history.ids}
        possible = history.possible(answered.get(number, 0))
        if all(differences(state, of_client) for state in possible):
            return f"client {number} after {answered.get(number, 0)} answers: {differences(possible[0], of_client)[:2]}"
    return ""


def _id(text: str) -> Id:
    return int(text) if text.isdigit() else text


def _point(found: tuple[dict[str, Any], dict[str, Any] | None]) -> Point:
    payload, vectors = found
    return Point(payload, {name: _plain(vector) for name, vector in (vectors or {}).items()})


def _plain(vector: object) -> object:
    return [_plain(part) for part in vector] if isinstance(vector, tuple) else vector
