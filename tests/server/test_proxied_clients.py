"""Clients behind a proxy or in a mesh: several authorities on one connection, kilobytes of headers, any user agent."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote

import grpc
import pytest
from qdrant_client import QdrantClient

from qdrant_grpc import points_pb2
from tests.server.connections import sockets
from tests.server.http2_client import Http2Client
from tests.wire.points_calls import DENSE, Calls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Server

COUNT, UPSERT = "/qdrant.Points/Count", "/qdrant.Points/Upsert"
NOT_FOUND = grpc.StatusCode.NOT_FOUND.value[0]
UNIMPLEMENTED = grpc.StatusCode.UNIMPLEMENTED.value[0]
RESOURCE_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]

TRACE = [
    ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
    ("tracestate", ",".join(f"vendor{number}=value{number}" for number in range(20))),
    ("baggage", ",".join(f"key{number}={'v' * 40}" for number in range(40))),
    ("x-b3-traceid", "80f198ee56343ba864fe8b2a57d3eff7"),
    ("x-b3-sampled", "1"),
    ("x-request-id", "6b1ff9b8-0f5c-4c0e-9a35-6b2c1f1f4a11"),
]
PROXY = [
    ("x-forwarded-for", "10.0.0.1, 10.0.0.2"),
    ("x-forwarded-proto", "https"),
    ("via", "1.1 proxy"),
    ("x-envoy-attempt-count", "2"),
    ("x-envoy-expected-rq-timeout-ms", "15000"),
    ("grpc-trace-bin", "AAARf5iPMUtDx6r5dHN4NDw2AQAAAAAAAAAAAgE"),
]
KEYS = [("api-key", "secret"), ("authorization", "Bearer " + "x" * 2000)]


@pytest.fixture
def calls(shared_server: Server) -> Iterator[Calls]:
    """Return the calls on a collection with one point."""
    with grpc.insecure_channel(shared_server.address) as channel:
        calls = Calls(channel).create(DENSE)
        calls.fill({1: {"a": 1}})
        yield calls


@pytest.fixture
def client(shared_server: Server) -> Iterator[Http2Client]:
    """Return one connection at the level of HTTP/2."""
    with Http2Client(shared_server.address) as client:
        yield client


def request(calls: Calls) -> bytes:
    """Return the body of a count."""
    return points_pb2.CountPoints(collection_name=calls.name).SerializeToString()


def counted(client: Http2Client, stream: int) -> int:
    """Return the count that a call replies."""
    reply = client.finish(stream)
    assert reply.status == 0, reply
    return points_pb2.CountResponse.FromString(reply.message[1]).result.count


def test_calls_with_several_authorities_share_a_connection(
    shared_server: Server, calls: Calls, client: Http2Client
) -> None:
    before = sockets(shared_server)
    names = ("localhost", "vectors.search.svc.cluster.local:6334", "a.example", "[::1]:6334", "10.96.0.17", "x" * 200)
    streams = [client.begin(COUNT, request(calls), authority=name) for name in names * 20]
    assert [counted(client, stream) for stream in streams] == [1] * len(streams)
    assert client.goaway is None
    assert sockets(shared_server) <= before


@pytest.mark.parametrize("headers", [TRACE, PROXY, KEYS, [*TRACE, *PROXY, *KEYS]])
def test_headers_that_mean_nothing_to_us_are_ignored(
    calls: Calls, client: Http2Client, headers: list[tuple[str, str]]
) -> None:
    assert counted(client, client.begin(COUNT, request(calls), headers=headers)) == 1


def test_api_key_of_the_official_client_is_ignored_when_none_is_configured(shared_server: Server, calls: Calls) -> None:
    with pytest.warns(UserWarning, match="insecure connection"):
        client = QdrantClient(
            host="127.0.0.1",
            grpc_port=shared_server.port,
            prefer_grpc=True,
            check_compatibility=False,
            https=False,
            api_key="secret",
            metadata={"traceparent": TRACE[0][1]},
        )
    assert client.count(calls.name).count == 1
    client.close()


@pytest.mark.parametrize("kib", [4, 7])
def test_kilobytes_of_headers_pass(calls: Calls, client: Http2Client, kib: int) -> None:
    headers = [(f"x-header-{number}", f"{number}".zfill(1024)) for number in range(kib)]
    assert counted(client, client.begin(COUNT, request(calls), headers=headers)) == 1


def test_too_many_headers_fail_that_call_only(calls: Calls, client: Http2Client) -> None:
    headers = [(f"x-header-{number}", f"{number}".zfill(1024)) for number in range(40)]
    stream = client.begin(COUNT, request(calls), headers=headers)
    refused = client.finish(stream)
    assert refused.status == RESOURCE_EXHAUSTED
    assert counted(client, client.begin(COUNT, request(calls))) == 1


@pytest.mark.parametrize(
    "agent", ["grpc-go/1.70.0", "tonic/0.12.3", "grpc-java-netty/1.68.0", "grpc-node-js/1.12", "envoy", "é", ""]
)
@pytest.mark.parametrize("content_type", ["application/grpc", "application/grpc+proto"])
def test_any_user_agent_and_content_type_of_grpc(
    calls: Calls, client: Http2Client, agent: str, content_type: str
) -> None:
    headers = [("user-agent", agent), ("content-type", content_type)]
    assert counted(client, client.begin(COUNT, request(calls), headers=headers)) == 1


def test_status_is_in_the_trailers_of_an_answer(calls: Calls, client: Http2Client) -> None:
    reply = client.call(COUNT, request(calls))
    assert reply.headers[":status"] == "200"
    assert reply.headers["content-type"].startswith("application/grpc")
    assert "grpc-status" not in reply.headers
    assert reply.trailers["grpc-status"] == "0"


@pytest.mark.parametrize(
    ("path", "name", "status", "text"),
    [
        (COUNT, "missing-ü", NOT_FOUND, "Not found: Collection `missing-ü` doesn't exist!"),
        ("/qdrant.Points/Missing", "x", UNIMPLEMENTED, "Method not found!"),
        ("/no.Service/Missing", "x", UNIMPLEMENTED, "Method not found!"),
    ],
)
def test_refusals_are_readable_trailers(client: Http2Client, path: str, name: str, status: int, text: str) -> None:
    reply = client.call(path, points_pb2.CountPoints(collection_name=name).SerializeToString())
    refusal = reply.trailers or reply.headers
    assert reply.headers[":status"] == "200"
    assert (refusal["grpc-status"], unquote(refusal["grpc-message"])) == (str(status), text)
    assert refusal["grpc-message"].isascii()


def test_large_request_in_small_frames(calls: Calls, client: Http2Client) -> None:
    upsert = points_pb2.UpsertPoints(collection_name=calls.name, wait=True)
    for number in range(200):
        point = upsert.points.add()
        point.id.num = number
        point.vectors.vector.dense.data.extend((1, 2))
        point.payload["text"].string_value = "x" * 5000
    stream = client.begin(UPSERT, upsert.SerializeToString(), headers=TRACE)
    assert client.finish(stream).status == 0
    assert counted(client, client.begin(COUNT, request(calls))) == 200
