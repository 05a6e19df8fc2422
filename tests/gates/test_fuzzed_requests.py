"""S1: no request, well-formed or damaged, is answered by INTERNAL or UNKNOWN, hangs, or ends a process."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf import text_format

from qdrant_grpc import collections_pb2, points_pb2
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from tests.crash.driver import channel_to
from tests.gates.fuzzing import COLLECTIONS, SIZE, Fuzzer, methods
from tests.gates.processes import anonymous_mb

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Server
    from tests.gates.conftest import Budget

TIMEOUT_S = 30.0
ROUND = 500
THREADS = 4
GROWTH_MAX_MB = 200
CODE = grpc.StatusCode
NEVER = {CODE.INTERNAL, CODE.UNKNOWN, CODE.UNAVAILABLE, CODE.CANCELLED, CODE.DATA_LOSS, CODE.ABORTED}
INFERENCE = ("InferenceService URL not configured",)
"""The reference has this code for texts that would need a service of its kind."""

CONFIGS = (
    "vectors_config { params { size: 2 distance: Dot } }",
    """vectors_config { params_map {
        map { key: 'img' value { size: 2 distance: Cosine } }
        map { key: 'rows' value { size: 2 distance: Euclid multivector_config {} } } } }
    sparse_vectors_config { map { key: 'text' value {} } }""",
    "vectors_config { params { size: 2 distance: Manhattan datatype: Uint8 } }",
)
FIELDS = {
    "n": "FieldTypeInteger",
    "k": "FieldTypeKeyword",
    "t": "FieldTypeText",
    "g": "FieldTypeGeo",
    "d": "FieldTypeDatetime",
}


def defect(code: grpc.StatusCode | None, text: str) -> bool:
    """Tell whether a call must not end like that."""
    if code is CODE.INTERNAL:
        return not any(part in text for part in INFERENCE)
    if code is CODE.DEADLINE_EXCEEDED:
        return not text.startswith("Timeout: ")
    return code in NEVER


def restore_collections(channel: grpc.Channel) -> None:
    """Create the collections that fuzzed requests have dropped, with points and indexes."""
    collections, points = CollectionsStub(channel), PointsStub(channel)
    found = collections.List(collections_pb2.ListCollectionsRequest(), timeout=TIMEOUT_S).collections
    names = {each.name for each in found}
    change = collections_pb2.ChangeAliases()
    for alias in collections.ListAliases(collections_pb2.ListAliasesRequest(), timeout=TIMEOUT_S).aliases:
        change.actions.add().delete_alias.alias_name = alias.alias_name
    collections.UpdateAliases(change, timeout=TIMEOUT_S)
    for name in names - set(COLLECTIONS):
        collections.Delete(collections_pb2.DeleteCollection(collection_name=name), timeout=TIMEOUT_S)
    for name, config in zip(COLLECTIONS, CONFIGS, strict=True):
        if name in names:
            continue
        request = text_format.Parse(f"collection_name: '{name}' {config}", collections_pb2.CreateCollection())
        collections.Create(request, timeout=TIMEOUT_S)
        for path, kind in FIELDS.items():
            index = f"collection_name: '{name}' field_name: '{path}' field_type: {kind} wait: true"
            points.CreateFieldIndex(
                text_format.Parse(index, points_pb2.CreateFieldIndexCollection()), timeout=TIMEOUT_S
            )
        upsert = points_pb2.UpsertPoints(collection_name=name, wait=True)
        for number in range(10):
            point = upsert.points.add()
            point.id.num = number
            point.payload["n"].integer_value = number
            point.payload["k"].string_value = "x"
            if name != COLLECTIONS[1]:
                point.vectors.vector.dense.data.extend([1.0] * SIZE)
            else:
                point.vectors.vectors.vectors["img"].dense.data.extend([1.0] * SIZE)
        points.Upsert(upsert, timeout=TIMEOUT_S)


class Caller:
    """Sends fuzzed requests and counts how they end."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._lock = threading.Lock()
        self.ends: Counter[str] = Counter()
        self.answered: set[str] = set()
        self.defects: list[str] = []

    def run(self, seed: int, count: int) -> None:
        """Send so many requests, one by one."""
        fuzzer = Fuzzer(seed)
        with channel_to(self._address) as channel:
            for _ in range(count):
                path, body = fuzzer.draw()
                code, text = self._call(channel, path, body)
                with self._lock:
                    self.ends["OK" if code is None else code.name] += 1
                    if code is None:
                        self.answered.add(path)
                    if defect(code, text):
                        self.defects.append(f"{path} {body.hex()}: {code} {text}")

    def _call(self, channel: grpc.Channel, path: str, body: bytes) -> tuple[grpc.StatusCode | None, str]:
        try:
            call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
            call(body, timeout=TIMEOUT_S)
        except grpc.RpcError as error:
            return error.code(), error.details() or ""
        return None, ""


@pytest.mark.gate("S1", size=5_000)
def test_no_request_is_answered_by_a_defect(start_server: Callable[..., Server], budget: Budget) -> None:
    server: Server = start_server(POINTSTORE__LOG_LEVEL="warning")
    pids = server.worker_pids()
    caller = Caller(server.address)
    sent = 0
    memory: list[float] = []
    with channel_to(server.address) as channel, ThreadPoolExecutor(THREADS) as pool:
        while sent < budget.size and not budget.spent():
            restore_collections(channel)
            share = min(ROUND, budget.size - sent) // THREADS or 1
            seeds = [hash((budget.seed, sent, thread)) for thread in range(THREADS)]
            list(pool.map(caller.run, seeds, [share] * THREADS))
            sent += share * THREADS
            memory.append(max(map(anonymous_mb, pids)))
            assert not caller.defects, "\n".join(caller.defects[:5]) + "\n" + server.log[-6000:]
    assert server.worker_pids() == pids, "a worker was replaced"
    assert "unexpected error" not in server.log
    # The first rounds fill caches and start threads.
    settled = memory[len(memory) // 3]
    assert memory[-1] - settled < GROWTH_MAX_MB, memory
    assert caller.ends["OK"] > sent // 50, caller.ends
    budget.report(
        f"{sent} requests to {len(methods())} methods, {len(caller.answered)} of them answered with OK at least once; "
        f"{dict(caller.ends.most_common())}; memory {settled:.0f} to {memory[-1]:.0f} MiB"
    )


@pytest.mark.parametrize(
    ("code", "text", "expected"),
    [
        (CODE.INTERNAL, "Service internal error: the details are in the log of the server", True),
        (CODE.INTERNAL, "Service internal error: InferenceService URL not configured - ...", False),
        (CODE.UNKNOWN, "Exception calling application", True),
        (CODE.UNAVAILABLE, "Socket closed", True),
        (CODE.DEADLINE_EXCEEDED, "Deadline Exceeded", True),
        (CODE.DEADLINE_EXCEEDED, "Timeout: Timeout error: Operation 'scroll' timed out after 0ns", False),
        (CODE.INVALID_ARGUMENT, "x", False),
        (None, "", False),
    ],
)
def test_defects_are_told_from_refusals(code: grpc.StatusCode | None, text: str, expected: bool) -> None:  # noqa: FBT001
    assert defect(code, text) is expected
