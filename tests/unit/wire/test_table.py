"""The RPC table against the descriptors."""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

import pytest
from grpc import StatusCode

from pointstore.engine.engine import Engine
from pointstore.engine.snapshots import Snapshots
from pointstore.wire.service import TITLE
from pointstore.wire.table import build_methods, method_paths
from qdrant_grpc import (
    collections_service_pb2,
    points_service_pb2,
    qdrant_pb2,
    snapshots_service_pb2,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from google.protobuf.message import Message

FILES = (qdrant_pb2, collections_service_pb2, points_service_pb2, snapshots_service_pb2)


class Ended(Exception):  # noqa: N818  what grpc's abort does
    """The call ended with a status."""


class Context:
    """Raises how a call ends."""

    def set_trailing_metadata(self, _metadata: object) -> None:
        raise AssertionError

    def abort(self, code: StatusCode, text: str) -> NoReturn:
        raise Ended(code, text)


@pytest.fixture
def call(tmp_path: Path) -> Iterator[Callable[[str, Message | bytes], bytes]]:
    engine = Engine(tmp_path / "data", map_size=1 << 26, catalog_map_size=1 << 24)
    methods = build_methods(engine, Snapshots(engine, tmp_path / "snapshots", "0.0.0"))

    def run(path: str, request: Message | bytes) -> bytes:
        body = request if isinstance(request, bytes) else request.SerializeToString()
        return methods[path](body, Context())  # type: ignore[arg-type]

    yield run
    engine.close()


def test_paths_are_those_of_the_descriptors(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "data", map_size=1 << 26, catalog_map_size=1 << 24)
    expected = {
        f"/{service.full_name}/{method.name}"
        for file in FILES
        for service in file.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }
    assert len(expected) == 51
    assert build_methods(engine, Snapshots(engine, tmp_path / "snapshots", "0.0.0")).keys() == expected
    engine.close()


def test_every_method_refuses_garbage(call: Callable[[str, bytes], bytes]) -> None:
    for path in method_paths():
        with pytest.raises(Ended) as ended:
            call(path, b"\xff\xff\xff")
        code, text = ended.value.args
        assert (path, code) == (path, StatusCode.INVALID_ARGUMENT)
        assert path in text


def test_health_check(call: Callable[[str, bytes], bytes]) -> None:
    reply = qdrant_pb2.HealthCheckReply.FromString(call("/qdrant.Qdrant/HealthCheck", b""))
    assert reply.title == TITLE == "qdrant - vector search engine"
    major, minor, patch = reply.version.split(".")
    assert (major, patch.isdigit()) == ("1", True)
    assert int(minor) in {19, 20}
    assert not reply.HasField("commit")
