"""Calls of the Points service with requests in protobuf text format, so that tables of tests stay readable."""

from __future__ import annotations

import itertools
import os
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf import text_format
from google.protobuf.message_factory import GetMessageClass

from pointstore.core.payload import encode_value
from qdrant_grpc import POOL, collections_pb2, points_pb2
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from qdrant_grpc.points_service_pb2_grpc import PointsStub

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from google.protobuf.message import Message

    from pointstore.core.schema import Json

COMPLETED = points_pb2.UpdateStatus.Completed
ACKNOWLEDGED = points_pb2.UpdateStatus.Acknowledged
UUID = "550e8400-e29b-41d4-a716-446655440000"
UUID_2 = "550e8400-e29b-41d4-a716-446655440001"
NEAREST = "query { nearest { dense { data: [1, 0] } } }"
BODY = "Validation error in body: ["
PAYLOAD = """
    payload { key: 'a' value { struct_value {
        fields { key: 'b' value { integer_value: 1 } }
        fields { key: 'c' value { list_value {
            values { struct_value { fields { key: 'd' value { double_value: 1 } } } }
        } } }
    } } }
    payload { key: 'n' value { null_value: NULL_VALUE } }
    payload { key: 'a.b' value { string_value: 'literal' } }
"""
ABSENT_ID = "00000000-0000-0000-0000-00000000002a"

DENSE = "vectors_config { params { size: 2 distance: Dot } }"
MIXED = """
    vectors_config { params_map {
        map { key: 'img' value { size: 2 distance: Cosine } }
        map { key: 'rows' value { size: 2 distance: Dot multivector_config {} } }
        map { key: 'bytes' value { size: 2 distance: Cosine datatype: Uint8 } }
        map { key: 'half' value { size: 2 distance: Euclid datatype: Float16 } }
    } }
    sparse_vectors_config { map { key: 'text' value {} } }
"""
POINT = "vectors { vector { dense { data: [1, 2] } } }"
NO_VECTORS = "vectors { vectors {} }"
ONLY_1 = "has_id { has_id { num: 1 } }"
PADDING_ID = 1_000_000
EMPTY = "Bad request: Empty update request"

_METHODS = POOL.FindServiceByName("qdrant.Points").methods_by_name
_numbers = itertools.count()


def one_point(inner: str) -> str:
    """Return the field `points` with point 1 in it."""
    return f"points {{ id {{ num: 1 }} {inner} }}"


def unnamed(vector: str) -> str:
    """Return point 1 with a default vector."""
    return one_point(f"vectors {{ vector {{ {vector} }} }}")


def named(vector: str, name: str = "img") -> str:
    """Return point 1 with a vector by name."""
    return one_point(f"vectors {{ vectors {{ vectors {{ key: '{name}' value {{ {vector} }} }} }} }}")


class Calls:
    """The stubs of one server, and the name of a collection to talk about."""

    def __init__(self, channel: grpc.Channel, name: str = "missing") -> None:
        self._channel = channel
        self._points = PointsStub(channel)
        self._collections = CollectionsStub(channel)
        self.name = name

    def call(self, method: str, request: str | Message = "", **header: Any) -> Any:  # noqa: ANN401  any reply
        """Call a method; a text gets the collection's name and the fields of `header` added."""
        if isinstance(request, str):
            message: Any = GetMessageClass(_METHODS[method].input_type)(collection_name=self.name, **header)
            request = text_format.Merge(request, message)
        return getattr(self._points, method)(request)

    def write(self, method: str, request: str, *, wait: bool = True) -> int:
        """Call a write and return the status of its result."""
        status: int = self.call(method, request, wait=wait).result.status
        return status

    def refused(self, method: str, request: str | Message, **header: Any) -> tuple[str, str]:  # noqa: ANN401
        """Call a method that must fail; return the code's name and the text."""
        with pytest.raises(grpc.RpcError) as caught:
            self.call(method, request, **header)
        error: Any = caught.value
        return error.code().name, error.details()

    def reply(self, path: str, body: bytes) -> bytes:
        """Send bytes as they are; return those of the reply."""
        call: grpc.UnaryUnaryMultiCallable[bytes, bytes] = self._channel.unary_unary(path)
        return call(body)

    def raw(self, path: str, body: bytes) -> tuple[str, str]:
        """Send bytes as they are; return the code's name, and the text of a refusal."""
        try:
            self._channel.unary_unary(path, request_serializer=bytes)(body)
        except grpc.RpcError as error:
            return error.code().name, error.details() or ""
        return "OK", ""

    def get(self, *ids: int | str) -> list[Any]:
        """Return points with payload and vectors."""
        request = points_pb2.GetPoints(collection_name=self.name)
        for point_id in ids:
            request.ids.add(**({"num": point_id} if isinstance(point_id, int) else {"uuid": point_id}))
        request.with_payload.enable = True
        request.with_vectors.enable = True
        return list(self.call("Get", request).result)

    def payload(self, point_id: int | str) -> str:
        """Return the payload of a point in text format, by ascending key."""
        payload = self.get(point_id)[0].payload
        return "; ".join(f"{key}: {payload[key]!s}".replace("\n", " ").strip() for key in sorted(payload))

    def vector(self, point_id: int | str) -> str:
        """Return the vectors of a point in text format."""
        return " ".join(str(self.get(point_id)[0].vectors).split())

    def ids(self) -> list[int | str]:
        """Return all ids in order."""
        records = self.call("Scroll", "limit: 1000").result
        return [record.id.num if record.id.HasField("num") else record.id.uuid for record in records]

    def info(self) -> collections_pb2.CollectionInfo:
        """Return what is told about the collection."""
        return self._collections.Get(collections_pb2.GetCollectionInfoRequest(collection_name=self.name)).result

    def index(self, field: str, kind: str, params: str = "") -> None:
        """Index a field of the payload; parameters as the fields of the type's own message, none sent for ""."""
        given = f"field_index_params {{ {kind.lower()}_index_params {{ {params} }} }}" if params else ""
        assert self.write("CreateFieldIndex", f"field_name: '{field}' field_type: FieldType{kind} {given}") == COMPLETED

    def fill(self, payloads: Mapping[int, Json], *, padding: int = 0) -> None:
        """Upsert points without vectors: payloads by id, and points that have nothing to do with them."""
        request = points_pb2.UpsertPoints(collection_name=self.name, wait=True)
        fillers: dict[int, Json] = {PADDING_ID + number: {"padding": number} for number in range(padding)}
        for point_id, payload in (dict(payloads) | fillers).items():
            point = request.points.add()
            point.id.num = point_id
            point.vectors.vectors.SetInParent()
            assert isinstance(payload, dict)
            for key, value in payload.items():
                encode_value(value, point.payload[key])
        assert self.call("Upsert", request).result.status == COMPLETED

    def matching(self, condition: str) -> list[int]:
        """Return the ids that a filter (in text format) matches, those of padding left out."""
        found = self.call("Scroll", f"filter {{ {condition} }} limit: 1000 with_payload {{ enable: false }}").result
        return [point.id.num for point in found if point.id.num < PADDING_ID]

    def create(self, config: str) -> Calls:
        """Create a collection of its own for a test; return the calls on it."""
        name = f"points-{os.getpid()}-{next(_numbers)}"
        request = text_format.Parse(config, collections_pb2.CreateCollection(collection_name=name))
        assert self._collections.Create(request).result
        return Calls(self._channel, name)


def connect(address: str) -> Iterator[Calls]:
    """Yield the calls on a server: the body of a fixture."""
    with grpc.insecure_channel(address) as channel:
        yield Calls(channel)


def ids_of(found: Any) -> list[int | str]:  # noqa: ANN401  retrieved or scored points
    """Return the ids of points, in order."""
    return [point.id.num if point.id.HasField("num") else point.id.uuid for point in found]
