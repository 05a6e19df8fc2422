"""qdrant_grpc shares a process with the official client, in either order, and needs nothing but grpcio and protobuf."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SAME_BYTES = """
{imports}

def request(points, common, json):
    value = json.Value(struct_value=json.Struct(fields={{"at": json.Value(integer_value=-3)}}))
    dense = points.Vector(dense=points.DenseVector(data=[0.25, -1.5, 3e7]))
    condition = common.Condition(field=common.FieldCondition(key="at", match=common.Match(integer=7)))
    window = common.DatetimeRange()
    window.gte.FromJsonString("2024-06-15T12:30:45.123Z")
    recent = common.Condition(field=common.FieldCondition(key="day", datetime_range=window))
    return points.UpsertPoints(
        collection_name="books",
        wait=True,
        points=[points.PointStruct(
            id=common.PointId(num=2**64 - 1),
            payload={{"nested": value}},
            vectors=points.Vectors(vectors=points.NamedVectors(vectors={{"text": dense}})),
        )],
        update_filter=common.Filter(must=[condition, recent]),
        update_mode=points.InsertOnly,
    )

theirs = request(qdrant_client.grpc, qdrant_client.grpc, qdrant_client.grpc)
ours = request(qdrant_grpc.points_pb2, qdrant_grpc.qdrant_common_pb2, qdrant_grpc.json_with_int_pb2)
assert type(theirs) is not type(ours)
assert theirs.DESCRIPTOR.file.pool is not ours.DESCRIPTOR.file.pool
wire = ours.SerializeToString(deterministic=True)
assert wire == theirs.SerializeToString(deterministic=True)
assert type(ours).FromString(wire) == ours
assert type(theirs).FromString(wire) == theirs
print(len(wire))
"""

IMPORT_ORDERS = {
    "ours first": "import qdrant_grpc\nimport qdrant_grpc.points_service_pb2_grpc\nimport qdrant_client.grpc",
    "theirs first": "import qdrant_client.grpc\nimport qdrant_grpc\nimport qdrant_grpc.points_service_pb2_grpc",
}

LOADED_MODULES = """
import sys
import {module}
print(*sorted({{name.partition(".")[0] for name in sys.modules}}))
"""

MESSAGE_BEHAVIOUR = """
import copy, datetime, pickle
from google.protobuf import json_format, text_format
import qdrant_grpc
from qdrant_grpc import collections_pb2, json_with_int_pb2, points_pb2, qdrant_common_pb2

window = qdrant_common_pb2.DatetimeRange(gte=datetime.datetime(2024, 6, 15))
assert window.gte.ToDatetime() == datetime.datetime(2024, 6, 15)
window.lt.CopyFrom(qdrant_grpc.Timestamp(seconds=1718454645))
assert window.HasField("lt") and not window.HasField("gt")
assert json_format.MessageToDict(window) == {"gte": "2024-06-15T00:00:00Z", "lt": "2024-06-15T12:30:45Z"}

point = points_pb2.PointStruct(id=qdrant_common_pb2.PointId(uuid="x"))
assert point.id.WhichOneof("point_id_options") == "uuid"
point.id.num = 4
assert point.id.WhichOneof("point_id_options") == "num"
point.payload["a"].integer_value = 1
point.payload["b"].CopyFrom(json_with_int_pb2.Value(null_value=json_with_int_pb2.NULL_VALUE))
assert sorted(point.payload) == ["a", "b"]
assert not point.HasField("vectors")

for message in (window, point):
    assert copy.deepcopy(message) == message
    assert pickle.loads(pickle.dumps(message)) == message
    assert type(pickle.loads(pickle.dumps(message))) is type(message)
    assert text_format.Parse(text_format.MessageToString(message), type(message)()) == message
    assert json_format.Parse(json_format.MessageToJson(message), type(message)()) == message

# `None` is a keyword of Python and a value of this enum.
assert collections_pb2.Modifier.Value("None") == 0
assert not collections_pb2.SparseVectorParams().HasField("modifier")
assert collections_pb2.SparseVectorParams(modifier=0).HasField("modifier")
print("ok")
"""


def run(code: str, **environment: str) -> str:
    """Run code in a fresh interpreter and return what it printed.

    Of this repository only its root is on the path, so that the server cannot be imported by accident.
    """
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.parametrize("order", IMPORT_ORDERS)
def test_official_client_in_the_same_process(order: str) -> None:
    assert int(run(SAME_BYTES.format(imports=IMPORT_ORDERS[order]))) > 0


@pytest.mark.parametrize(
    "module",
    ["qdrant_grpc", "qdrant_grpc.points_service_pb2_grpc", "qdrant_grpc.collections_service_pb2_grpc"],
)
def test_import_needs_only_grpc_and_protobuf(module: str) -> None:
    loaded = set(run(LOADED_MODULES.format(module=module)).split())
    assert "qdrant_grpc" in loaded
    assert loaded.isdisjoint({"numpy", "lmdb", "faiss", "pointstore", "qdrant_client", "pydantic"})


def test_messages_alone_do_not_import_grpc() -> None:
    assert "grpc" not in run(LOADED_MODULES.format(module="qdrant_grpc")).split()


@pytest.mark.parametrize("implementation", ["upb", "python"])
def test_messages_of_the_private_pool_behave(implementation: str) -> None:
    """Well-known types, presence, oneofs, maps, copies, pickles, text and JSON, in both protobuf runtimes."""
    assert run(MESSAGE_BEHAVIOUR, PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION=implementation) == "ok"
