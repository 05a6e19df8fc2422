"""Health and reflection as a client without our code sees them: raw calls on a real server."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest, ServerReflectionResponse

from pointstore.config import Settings
from pointstore.wire.health import HealthService
from pointstore.wire.reflection import ReflectionService
from pointstore.wire.transport import Transport
from qdrant_grpc import POOL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Server

VERSIONS = ("v1", "v1alpha")


@pytest.fixture
def channel(shared_server: Server) -> Iterator[grpc.Channel]:
    """Connect to the session's server."""
    with grpc.insecure_channel(shared_server.address) as channel:
        yield channel


def check(channel: grpc.Channel, service: str = "") -> int:
    """Call Health/Check, return the status."""
    call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/grpc.health.v1.Health/Check")
    reply = call(HealthCheckRequest(service=service).SerializeToString(), timeout=10)
    return int(HealthCheckResponse.FromString(reply).status)


def watch(channel: grpc.Channel, service: str = "", timeout_s: float = 20) -> Iterator[bytes]:
    """Open a Health/Watch stream."""
    call: grpc.UnaryStreamMultiCallable[bytes, bytes] = channel.unary_stream("/grpc.health.v1.Health/Watch")
    return call(HealthCheckRequest(service=service).SerializeToString(), timeout=timeout_s)


def reflect(channel: grpc.Channel, version: str, *requests: ServerReflectionRequest) -> list[ServerReflectionResponse]:
    """Ask on one stream, return the answers in order."""
    replies = info(channel, version)((request.SerializeToString() for request in requests), timeout=10)
    return [ServerReflectionResponse.FromString(reply) for reply in replies]


def ask_and_stay(question: bytes, hold: threading.Event) -> Iterator[bytes]:
    """Ask once, then keep the stream open."""
    yield question
    hold.wait(30)


def info(channel: grpc.Channel, version: str = "v1") -> grpc.StreamStreamMultiCallable[bytes, bytes]:
    """Return the reflection method."""
    return channel.stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")


def files_of(response: ServerReflectionResponse) -> dict[str, FileDescriptorProto]:
    """Return the files of an answer by name."""
    serialized = response.file_descriptor_response.file_descriptor_proto
    files = [FileDescriptorProto.FromString(each) for each in serialized]
    return {file.name: file for file in files}


@pytest.mark.parametrize("service", ["", "qdrant.Points", "no.such.Service"])
def test_check_is_serving_for_every_name(channel: grpc.Channel, service: str) -> None:
    assert check(channel, service) == HealthCheckResponse.SERVING


def test_watch_reports_the_drain_and_ends(server: Server) -> None:
    with grpc.insecure_channel(server.address) as channel:
        streams = [watch(channel, service) for service in ("", "qdrant.Points", "no.such.Service")]
        for stream in streams:
            assert HealthCheckResponse.FromString(next(stream)).status == HealthCheckResponse.SERVING
        server.process.terminate()
        for stream in streams:
            assert HealthCheckResponse.FromString(next(stream)).status == HealthCheckResponse.NOT_SERVING
            assert list(stream) == []
        assert server.process.wait(10) == 0


def test_watchers_are_bounded_and_leave_room_for_checks() -> None:
    health = HealthService()
    server = Transport(Settings(threads=1), {}, health.handlers()).server
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        streams = [watch(channel) for _ in range(64)]
        for stream in streams:
            next(stream)
        with pytest.raises(grpc.RpcError) as refusal:
            next(watch(channel))
        assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert check(channel) == HealthCheckResponse.SERVING
        left = streams.pop()
        assert isinstance(left, grpc.Call)
        left.cancel()
        # The cancellation reaches the server in its own time; each refused attempt is an answer, not a hang.
        for attempt in itertools.count():
            try:
                next(watch(channel))
                break
            except grpc.RpcError:
                assert attempt < 1000
        health.drain()
        assert check(channel) == HealthCheckResponse.NOT_SERVING
        late = list(watch(channel))
        assert [HealthCheckResponse.FromString(reply).status for reply in late] == [HealthCheckResponse.NOT_SERVING]
    server.stop(0).wait()


@pytest.mark.parametrize("version", VERSIONS)
def test_reflection_lists_exactly_the_public_services(channel: grpc.Channel, version: str) -> None:
    (answer,) = reflect(channel, version, ServerReflectionRequest(list_services=""))
    assert sorted(service.name for service in answer.list_services_response.service) == [
        "grpc.health.v1.Health",
        "qdrant.Collections",
        "qdrant.Points",
        "qdrant.Qdrant",
        "qdrant.Snapshots",
    ]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("symbol", "file"),
    [
        ("qdrant.Points", "points_service.proto"),
        ("qdrant.Points.Upsert", "points_service.proto"),
        ("qdrant.Collections", "collections_service.proto"),
        ("qdrant.PointStruct", "points.proto"),
        ("qdrant.Qdrant", "qdrant.proto"),
        ("qdrant.Snapshots", "snapshots_service.proto"),
        ("grpc.health.v1.Health", "grpc/health/v1/health.proto"),
        ("grpc.reflection.v1.ServerReflection", "grpc/reflection/v1/reflection.proto"),
        ("grpc.reflection.v1alpha.ServerReflection", "grpc/reflection/v1alpha/reflection.proto"),
    ],
)
def test_reflection_finds_symbols_with_all_imports(channel: grpc.Channel, version: str, symbol: str, file: str) -> None:
    (answer,) = reflect(channel, version, ServerReflectionRequest(file_containing_symbol=symbol))
    files = files_of(answer)
    assert file in files
    for each in files.values():
        assert set(each.dependency) <= set(files)


def test_reflection_v1_file_is_consistent_in_itself(channel: grpc.Channel) -> None:
    request = ServerReflectionRequest(file_by_filename="grpc/reflection/v1/reflection.proto")
    (answer,) = reflect(channel, "v1", request)
    (file,) = files_of(answer).values()
    assert file.package == "grpc.reflection.v1"
    assert b"v1alpha" not in file.SerializeToString()
    method = file.service[0].method[0]
    assert method.client_streaming
    assert method.server_streaming
    assert method.input_type == ".grpc.reflection.v1.ServerReflectionRequest"


@pytest.mark.parametrize("version", VERSIONS)
def test_reflection_answers_what_it_does_not_know_and_goes_on(channel: grpc.Channel, version: str) -> None:
    answers = reflect(
        channel,
        version,
        ServerReflectionRequest(file_containing_symbol="no.such.Thing"),
        ServerReflectionRequest(file_containing_symbol="qdrant.Points.NoSuchMethod"),
        ServerReflectionRequest(file_by_filename="points.proto"),
    )
    for unknown in answers[:2]:
        assert unknown.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    assert "points.proto" in files_of(answers[2])


def test_reflection_streams_are_bounded_and_drained() -> None:
    reflection = ReflectionService(POOL)
    server = Transport(Settings(threads=1), {}, reflection.handlers()).server
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = info(channel)
        question = ServerReflectionRequest(list_services="").SerializeToString()
        hold = threading.Event()
        streams = [call(ask_and_stay(question, hold), timeout=20) for _ in range(8)]
        for stream in streams:
            next(stream)
        with pytest.raises(grpc.RpcError) as refusal:
            next(call(iter([question]), timeout=10))
        assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        reflection.drain()
        for stream in streams:
            with pytest.raises(grpc.RpcError) as cancelled:
                next(stream)
            assert cancelled.value.code() is grpc.StatusCode.CANCELLED
        hold.set()
    server.stop(0).wait()


def test_malformed_reflection_request_is_an_invalid_argument(channel: grpc.Channel) -> None:
    with pytest.raises(grpc.RpcError) as failure:
        next(info(channel)(iter([b"\xff\xff"]), timeout=10))
    assert failure.value.code() is grpc.StatusCode.INVALID_ARGUMENT
