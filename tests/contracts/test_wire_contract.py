"""The generated API equals the published one, as found in the installed official client, descriptor by descriptor."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import qdrant_client.grpc  # registers the published descriptors in the default pool
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    EnumDescriptorProto,
    FieldDescriptorProto,
    FileDescriptorProto,
    ServiceDescriptorProto,
)
from google.protobuf.message_factory import GetMessageClass

from qdrant_grpc import POOL
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from qdrant_grpc.qdrant_pb2_grpc import QdrantStub
from qdrant_grpc.snapshots_service_pb2_grpc import SnapshotsStub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.protobuf.descriptor import Descriptor, FieldDescriptor
    from google.protobuf.message import Message

ROOT = Path(__file__).resolve().parents[2]

FILES = (
    "collections.proto",
    "collections_service.proto",
    "json_with_int.proto",
    "points.proto",
    "points_service.proto",
    "qdrant.proto",
    "qdrant_common.proto",
    "snapshots_service.proto",
)
METHODS = {"qdrant.Qdrant": 1, "qdrant.Collections": 14, "qdrant.Points": 30, "qdrant.Snapshots": 6}


def published(name: str) -> FileDescriptorProto:
    """Return the official client's descriptor of a file."""
    return descriptor_of(descriptor_pool.Default(), name)


def ours(name: str) -> FileDescriptorProto:
    """Return our descriptor of a file."""
    return descriptor_of(POOL, name)


def descriptor_of(pool: descriptor_pool.DescriptorPool, name: str) -> FileDescriptorProto:
    """Return a file's descriptor as a message that may be modified."""
    proto = FileDescriptorProto()
    pool.FindFileByName(name).CopyToProto(proto)
    return proto


def text(message: Message) -> str:
    """Return a message, options in most cases, in a form that compares by content."""
    return repr([(field.name, value) for field, value in message.ListFields()])


def json_name(field: FieldDescriptorProto) -> str:
    """Return a field's JSON name, which protoc leaves out of the descriptor where it is the default one."""
    if field.json_name:
        return field.json_name
    first, *rest = field.name.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def contract(file: FileDescriptorProto) -> dict[str, str]:
    """Return everything that a file promises, one entry for each element; declaration order is no part of it."""
    entries = {
        f"file {file.name}": f"{file.syntax} {file.package} imports {sorted(file.dependency)} "
        f"public {list(file.public_dependency)} options {text(file.options)} extensions {len(file.extension)}"
    }
    for message in file.message_type:
        entries.update(message_contract(message, file.package))
    for enum in file.enum_type:
        entries.update(enum_contract(enum, file.package))
    for service in file.service:
        entries.update(service_contract(service, file.package))
    return entries


def message_contract(message: DescriptorProto, scope: str) -> dict[str, str]:
    """Return the entries of a message, its fields and everything nested in it."""
    name = f"{scope}.{message.name}"
    reserved = sorted((reserved.start, reserved.end) for reserved in message.reserved_range)
    oneofs = sorted((oneof.name, text(oneof.options)) for oneof in message.oneof_decl)
    entries = {
        f"message {name}": f"reserved {reserved} {sorted(message.reserved_name)} oneofs {oneofs} "
        f"options {text(message.options)} extensions {len(message.extension) + len(message.extension_range)}"
    }
    for field in message.field:
        oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else ""
        entries[f"field {name}.{field.name}"] = (
            f"number {field.number} type {field.type} {field.type_name} label {field.label} oneof {oneof!r} "
            f"optional {field.proto3_optional} json {json_name(field)} default {field.default_value!r} "
            f"options {text(field.options)}"
        )
    for nested in message.nested_type:
        entries.update(message_contract(nested, name))
    for enum in message.enum_type:
        entries.update(enum_contract(enum, name))
    return entries


def enum_contract(enum: EnumDescriptorProto, scope: str) -> dict[str, str]:
    """Return the entries of an enum and its values."""
    name = f"{scope}.{enum.name}"
    reserved = sorted((reserved.start, reserved.end) for reserved in enum.reserved_range)
    entries = {f"enum {name}": f"reserved {reserved} {sorted(enum.reserved_name)} options {text(enum.options)}"}
    for value in enum.value:
        entries[f"value {name}.{value.name}"] = f"number {value.number} options {text(value.options)}"
    return entries


def service_contract(service: ServiceDescriptorProto, scope: str) -> dict[str, str]:
    """Return the entries of a service and its methods."""
    name = f"{scope}.{service.name}"
    entries = {f"service {name}": text(service.options)}
    for method in service.method:
        entries[f"method {name}.{method.name}"] = (
            f"{method.input_type} -> {method.output_type} streams {method.client_streaming} {method.server_streaming} "
            f"options {text(method.options)}"
        )
    return entries


def differences(theirs: FileDescriptorProto, mine: FileDescriptorProto) -> list[str]:
    """Return one line for each element that only one file has, or that is not the same in both."""
    expected, found = contract(theirs), contract(mine)
    return [
        f"{key}: published {expected.get(key)}, ours {found.get(key)}"
        for key in sorted(expected.keys() | found.keys())
        if expected.get(key) != found.get(key)
    ]


@pytest.mark.parametrize("name", FILES)
def test_file_equals_the_published_one(name: str) -> None:
    assert differences(published(name), ours(name)) == []


def test_no_published_file_is_left_out() -> None:
    folder = Path(qdrant_client.grpc.__file__).parent
    modules = {path.name.removesuffix("_pb2.py") + ".proto" for path in folder.glob("*_pb2.py")}
    assert modules == set(FILES)
    assert {path.name for path in (ROOT / "proto").glob("*.proto")} == set(FILES)


def fields(message: Descriptor) -> Iterator[FieldDescriptor]:
    """Yield the fields of a message and of the messages nested in it."""
    yield from message.fields
    for nested in message.nested_types:
        yield from fields(nested)


@pytest.mark.parametrize("name", FILES)
def test_field_behaviour_of_the_runtime_equals(name: str) -> None:
    """Packing, presence and JSON names, as the protobuf runtime derives them from the descriptors."""

    def behaviour(pool: descriptor_pool.DescriptorPool) -> dict[str, tuple[object, ...]]:
        messages = pool.FindFileByName(name).message_types_by_name.values()
        return {
            field.full_name: (field.is_packed, field.has_presence, field.json_name, field.number)
            for message in messages
            for field in fields(message)
        }

    assert behaviour(POOL) == behaviour(descriptor_pool.Default())


def test_every_method_is_there() -> None:
    found = Counter(
        {
            service.full_name: len(service.methods)
            for name in FILES
            for service in POOL.FindFileByName(name).services_by_name.values()
        }
    )
    assert dict(found) == METHODS
    assert found.total() == 51


class RecordingChannel:
    """Stands in for a channel when a stub is created; keeps the path and the codecs of every method."""

    def __init__(self) -> None:
        """Start without methods."""
        self.methods: dict[str, tuple[object, object]] = {}

    def unary_unary(
        self, path: str, request_serializer: object, response_deserializer: object, **_options: object
    ) -> None:
        """Record one method."""
        self.methods[path] = (request_serializer, response_deserializer)


def test_stubs_call_every_method_with_types_of_the_private_pool() -> None:
    channel = RecordingChannel()
    for stub in (QdrantStub, CollectionsStub, PointsStub, SnapshotsStub):
        stub(channel)  # type: ignore[call-overload]
    expected = [
        (f"/{service.full_name}/{method.name}", method)
        for name in FILES
        for service in POOL.FindFileByName(name).services_by_name.values()
        for method in service.methods
    ]
    assert sorted(channel.methods) == sorted(path for path, _ in expected)
    for path, method in expected:
        serializer, deserializer = channel.methods[path]
        assert serializer == GetMessageClass(method.input_type).SerializeToString, path
        assert deserializer == GetMessageClass(method.output_type).FromString, path


def message_named(file: FileDescriptorProto, name: str) -> DescriptorProto:
    """Return a top-level message of a file."""
    return next(message for message in file.message_type if message.name == name)


def field_named(file: FileDescriptorProto, message: str, name: str) -> FieldDescriptorProto:
    """Return a field of a top-level message of a file."""
    return next(field for field in message_named(file, message).field if field.name == name)


def change_number(file: FileDescriptorProto) -> None:
    field_named(file, "UpsertPoints", "points").number = 9


def change_type(file: FileDescriptorProto) -> None:
    field_named(file, "ScoredPoint", "score").type = FieldDescriptorProto.TYPE_DOUBLE


def change_type_name(file: FileDescriptorProto) -> None:
    field_named(file, "QueryPoints", "filter").type_name = ".qdrant.Query"


def change_label(file: FileDescriptorProto) -> None:
    field_named(file, "SearchPoints", "vector").label = FieldDescriptorProto.LABEL_OPTIONAL


def drop_presence(file: FileDescriptorProto) -> None:
    field_named(file, "UpsertPoints", "wait").proto3_optional = False


def leave_oneof(file: FileDescriptorProto) -> None:
    field_named(file, "Query", "fusion").ClearField("oneof_index")


def rename_oneof(file: FileDescriptorProto) -> None:
    message_named(file, "Query").oneof_decl[0].name = "kind"


def drop_deprecation(file: FileDescriptorProto) -> None:
    field_named(file, "Vector", "data").ClearField("options")


def unpack(file: FileDescriptorProto) -> None:
    field_named(file, "DenseVector", "data").options.packed = False


def name_for_json(file: FileDescriptorProto) -> None:
    field_named(file, "UpsertPoints", "collection_name").json_name = "collection"


def drop_field(file: FileDescriptorProto) -> None:
    del message_named(file, "UpsertPoints").field[0]


def add_field(file: FileDescriptorProto) -> None:
    message_named(file, "UpsertPoints").field.add(name="more", number=99, type=FieldDescriptorProto.TYPE_BOOL)


def drop_reserved(file: FileDescriptorProto) -> None:
    message_named(file, "GetPoints").ClearField("reserved_range")


def change_nested(file: FileDescriptorProto) -> None:
    message_named(file, "PointsUpdateOperation").nested_type[0].field[0].number = 7


def drop_map_entry(file: FileDescriptorProto) -> None:
    message_named(file, "PointStruct").nested_type[0].ClearField("options")


def change_enum_value(file: FileDescriptorProto) -> None:
    file.enum_type[0].value[1].number = 5


def rename_enum_value(file: FileDescriptorProto) -> None:
    file.enum_type[0].value[1].name = "Strongest"


def change_package(file: FileDescriptorProto) -> None:
    file.package = "qdrant2"


def change_file_option(file: FileDescriptorProto) -> None:
    file.options.csharp_namespace = "Other"


def drop_import(file: FileDescriptorProto) -> None:
    del file.dependency[0]


POINTS_PERTURBATIONS = (
    change_number,
    change_type,
    change_type_name,
    change_label,
    drop_presence,
    leave_oneof,
    rename_oneof,
    drop_deprecation,
    unpack,
    name_for_json,
    drop_field,
    add_field,
    drop_reserved,
    change_nested,
    drop_map_entry,
    change_enum_value,
    rename_enum_value,
    change_package,
    change_file_option,
    drop_import,
)


def drop_method(file: FileDescriptorProto) -> None:
    del file.service[0].method[0]


def change_input(file: FileDescriptorProto) -> None:
    file.service[0].method[0].input_type = ".qdrant.GetPoints"


def change_output(file: FileDescriptorProto) -> None:
    file.service[0].method[0].output_type = ".qdrant.GetResponse"


def make_streaming(file: FileDescriptorProto) -> None:
    file.service[0].method[0].server_streaming = True


def revive_method(file: FileDescriptorProto) -> None:
    next(method for method in file.service[0].method if method.name == "Search").ClearField("options")


SERVICE_PERTURBATIONS = (drop_method, change_input, change_output, make_streaming, revive_method)


@pytest.mark.parametrize(
    ("name", "perturb"),
    [
        *(("points.proto", perturb) for perturb in POINTS_PERTURBATIONS),
        *(("points_service.proto", perturb) for perturb in SERVICE_PERTURBATIONS),
    ],
)
def test_comparison_reports_a_perturbed_descriptor(name: str, perturb: Callable[[FileDescriptorProto], None]) -> None:
    mine = ours(name)
    perturb(mine)
    assert differences(published(name), mine) != []


def test_generated_code_is_current() -> None:
    command = [sys.executable, "scripts/generate_proto.py", "--check"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
