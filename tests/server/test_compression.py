"""Compressed requests of all sizes, and replies that every client can read, whatever it says it accepts."""

from __future__ import annotations

import gzip
import zlib
from typing import TYPE_CHECKING

import grpc
import pytest
from qdrant_client import QdrantClient, models

from qdrant_grpc import points_pb2
from tests.server.connections import OWN_CONNECTION
from tests.server.http2_client import Http2Client
from tests.wire.points_calls import COMPLETED, DENSE, Calls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import Server

UPSERT, SCROLL = "/qdrant.Points/Upsert", "/qdrant.Points/Scroll"


@pytest.fixture
def calls(shared_server: Server) -> Iterator[Calls]:
    """Return the calls on an empty collection over a channel that compresses every request."""
    gzip_all = grpc.Compression.Gzip
    with grpc.insecure_channel(shared_server.address, options=[OWN_CONNECTION], compression=gzip_all) as channel:
        yield Calls(channel).create(DENSE)


def batch(calls: Calls, size: int) -> points_pb2.UpsertPoints:
    """Return an upsert of points with a text that compresses well."""
    request = points_pb2.UpsertPoints(collection_name=calls.name, wait=True)
    for number in range(size):
        point = request.points.add()
        point.id.num = number
        point.vectors.vector.dense.data.extend((number, -number))
        point.payload["text"].string_value = f"number {number} " * 50
    return request


def scroll(calls: Calls, limit: int) -> points_pb2.ScrollPoints:
    """Return the request for all of it."""
    request = points_pb2.ScrollPoints(collection_name=calls.name, limit=limit)
    request.with_vectors.enable = True
    return request


def check(reply: points_pb2.ScrollResponse, size: int) -> None:
    """Compare a reply with what `batch` wrote."""
    assert [point.id.num for point in reply.result] == list(range(size))
    for number, point in enumerate(reply.result):
        assert list(point.vectors.vector.dense.data) == [number, -number]
        assert point.payload["text"].string_value == f"number {number} " * 50


@pytest.mark.parametrize("size", [1, 5000])
def test_batches_compressed_by_the_client_are_stored(calls: Calls, size: int) -> None:
    assert calls.call("Upsert", batch(calls, size)).result.status == COMPLETED
    check(calls.call("Scroll", scroll(calls, size)), size)


def test_official_client_with_compression(shared_server: Server) -> None:
    client = QdrantClient(
        host="127.0.0.1",
        grpc_port=shared_server.port,
        prefer_grpc=True,
        check_compatibility=False,
        grpc_compression=grpc.Compression.Gzip,
    )
    client.create_collection("gzip", vectors_config=models.VectorParams(size=2, distance=models.Distance.DOT))
    points = [models.PointStruct(id=number, vector=[1.0, 2.0], payload={"text": "a" * 1000}) for number in range(1000)]
    assert client.upsert("gzip", points).status is models.UpdateStatus.COMPLETED
    assert client.count("gzip").count == 1000
    assert client.retrieve("gzip", [999])[0].payload == {"text": "a" * 1000}
    client.close()


@pytest.mark.parametrize("encoding", ["gzip", "identity"])
@pytest.mark.parametrize("accepted", [None, "identity", "gzip", "identity,deflate,gzip", "snappy", ""])
def test_replies_are_readable_whatever_the_client_accepts(
    shared_server: Server, calls: Calls, encoding: str, accepted: str | None
) -> None:
    body = batch(calls, 20).SerializeToString()
    packed = {"gzip": gzip.compress(body), "identity": body}[encoding]
    headers = [("grpc-encoding", encoding)]
    if accepted is not None:
        headers.append(("grpc-accept-encoding", accepted))
    with Http2Client(shared_server.address) as client:
        stream = client.begin(UPSERT, packed, headers=headers, compressed=encoding != "identity")
        assert client.finish(stream).status == 0
        reply = client.call(SCROLL, scroll(calls, 20).SerializeToString(), headers=headers)
        compressed, message = reply.message
        assert reply.status == 0
        assert not compressed
        assert reply.headers.get("grpc-encoding", "identity") == "identity"
        check(points_pb2.ScrollResponse.FromString(message), 20)


def test_deflate_is_refused_in_words(shared_server: Server, calls: Calls) -> None:
    body = zlib.compress(batch(calls, 1).SerializeToString())
    with Http2Client(shared_server.address) as client:
        stream = client.begin(UPSERT, body, headers=[("grpc-encoding", "deflate")], compressed=True)
        reply = client.finish(stream)
        assert reply.status == grpc.StatusCode.UNIMPLEMENTED.value[0]
        assert "deflate" in reply.headers["grpc-message"]


def test_unknown_and_broken_compression_fail_that_call_only(shared_server: Server, calls: Calls) -> None:
    body = batch(calls, 1).SerializeToString()
    with Http2Client(shared_server.address) as client:
        unknown = client.begin(UPSERT, body, headers=[("grpc-encoding", "snappy")], compressed=True)
        # The code is the library's, INTERNAL where the protocol's documents say UNIMPLEMENTED.
        assert client.finish(unknown).status > 0
        broken = client.begin(UPSERT, b"no gzip at all", headers=[("grpc-encoding", "gzip")], compressed=True)
        assert client.finish(broken).status > 0
        assert client.call(UPSERT, body).status == 0
    assert len(calls.call("Scroll", scroll(calls, 10)).result) == 1
