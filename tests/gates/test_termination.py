"""S10: SIGTERM under load: NOT_SERVING first, no call in flight fails, and the end comes within the grace period."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.crash.driver import channel_to, create, verify, writing
from tests.crash.model import creation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.conftest import Server
    from tests.crash.driver import Writer
    from tests.gates.conftest import Budget

NAME = "terminated"
LAME_DUCK_S = 1.0
GRACE_S = 10.0
MARGIN_S = 8.0
WATCHERS = 4
SETTINGS = {
    # Group commits that take a while: there always are calls in flight.
    "POINTSTORE_FAILPOINTS": "write.applied=pause:0.1",
    "POINTSTORE__LAME_DUCK_S": str(LAME_DUCK_S),
    "POINTSTORE__GRACE_S": str(GRACE_S),
}


class Watcher(threading.Thread):
    """Watches the health of one worker; knows when it first said NOT_SERVING."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.not_serving_at: float | None = None
        self.serving = threading.Event()
        self._address = address

    def run(self) -> None:
        with channel_to(self._address) as channel:
            states: Iterator[health_pb2.HealthCheckResponse]
            states = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            try:
                for state in states:
                    if state.status == health_pb2.HealthCheckResponse.SERVING:
                        self.serving.set()
                    elif self.not_serving_at is None:
                        self.not_serving_at = time.monotonic()
            except grpc.RpcError:
                return


@pytest.mark.gate("S10", size=5)
def test_termination_fails_no_call_in_flight(start_server: Callable[..., Server], budget: Budget) -> None:
    server: Server = start_server(**SETTINGS)
    create(server.address, creation(NAME))
    writers: list[Writer] = []
    cycles, in_flight, refused, longest_s = 0, 0, 0, 0.0
    while cycles < budget.size and not budget.spent():
        watchers = [Watcher(server.address) for _ in range(WATCHERS)]
        for watcher in watchers:
            watcher.start()
        with writing(server.address, NAME, writers, count=6, seed=budget.seed):
            assert all(watcher.serving.wait(20) for watcher in watchers)
            time.sleep(0.5)
            stopped_at = time.monotonic()
            assert server.terminate() == 0
            longest_s = max(longest_s, time.monotonic() - stopped_at)
        calls = [call for writer in writers for call in writer.calls]
        running = [call for call in calls if call.began < stopped_at < call.ended]
        assert running, "no call was in flight"
        assert {call.code for call in calls if call.began < stopped_at} == {None}
        failed = [call for call in calls if call.code is not None]
        assert {call.code for call in failed} <= {grpc.StatusCode.UNAVAILABLE}
        for watcher in watchers:
            watcher.join(20)
            assert watcher.not_serving_at is not None, "a watcher was not told"
            assert all(watcher.not_serving_at < call.ended for call in failed), "a call was refused before"
        in_flight, refused, cycles = in_flight + len(running), refused + len(failed), cycles + 1
        server.restart()
        verify(server.address, NAME, writers)
    assert refused > 0, "no call came too late"
    assert longest_s < LAME_DUCK_S + GRACE_S + MARGIN_S
    budget.report(
        f"{cycles} terminations, {in_flight} calls in flight, all of them OK, {refused} later ones refused; "
        f"the end came within {longest_s:.1f} s"
    )
