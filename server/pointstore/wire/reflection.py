"""Server reflection (`grpc.reflection.v1` and `v1alpha`), so that grpcurl and its kin need no proto files.

The two versions differ in their package name only; grpcio ships the older, the newer is the same messages under a
second name. The list of services leaves the reflection services out, as the reference server does. Streams have a
small, bounded set of threads of their own: a client that keeps one open takes nothing from the calls.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.reflection import ReflectionServicer

from pointstore.wire import health

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.descriptor import FileDescriptor

_API_SERVICES: Final = ("qdrant.Collections", "qdrant.Points", "qdrant.Snapshots", "qdrant.Qdrant")
_VERSIONS: Final = ("v1", "v1alpha")
_STREAMS_MAX: Final = 8


class ReflectionService:
    """Answers for the API's services and the health service, in both versions. All methods are thread-safe."""

    def __init__(self, api_pool: DescriptorPool) -> None:
        """Collect the descriptors; `api_pool` knows the API's services."""
        pool = _collect_files(api_pool)
        self._servicer = ReflectionServicer([*_API_SERVICES, health.SERVICE], pool=_Symbols(pool))
        self._lock = threading.Lock()
        self._calls: set[grpc.ServicerContext] = set()
        # One thread more than streams, to refuse the stream that is too many instead of letting it wait.
        self._pool = ThreadPoolExecutor(_STREAMS_MAX + 1, thread_name_prefix="reflection")

    def handlers(self) -> dict[str, grpc.RpcMethodHandler[bytes, bytes]]:
        """Return the RPC handlers, on raw bytes, by full method path."""
        handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.stream_stream_rpc_method_handler(_Info(self, self._pool))
        return {f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo": handler for version in _VERSIONS}

    def drain(self) -> None:
        """Cancel the open streams: tools keep them open without a call in flight, and a drain would wait for them."""
        with self._lock:
            calls = list(self._calls)
        for call in calls:
            call.cancel()

    def answer(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        """Answer one stream, or refuse it with RESOURCE_EXHAUSTED when there are too many."""
        with self._lock:
            admitted = len(self._calls) < _STREAMS_MAX
            if admitted:
                self._calls.add(context)
        if not admitted:
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"more than {_STREAMS_MAX} reflection streams")
        try:
            decoded = map(reflection_pb2.ServerReflectionRequest.FromString, requests)
            for reply in self._servicer.ServerReflectionInfo(decoded, context):
                yield reply.SerializeToString()
        except DecodeError:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "not a ServerReflectionRequest")
        finally:
            with self._lock:
                self._calls.discard(context)


class _Info:
    """ServerReflectionInfo, with the attribute by which grpcio picks the threads of a method."""

    def __init__(self, reflection: ReflectionService, pool: ThreadPoolExecutor) -> None:
        self._reflection = reflection
        self.experimental_thread_pool = pool

    def __call__(self, requests: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[bytes]:
        return self._reflection.answer(requests, context)


class _Symbols:
    """A descriptor pool in which methods are symbols, too; the pool itself knows messages, enums and services."""

    def __init__(self, pool: DescriptorPool) -> None:
        self._pool = pool

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptor:  # noqa: N802  the pool's name
        try:
            return self._pool.FindFileContainingSymbol(symbol)
        except KeyError:
            service, _, method = symbol.rpartition(".")
            descriptor = self._pool.FindServiceByName(service)
            if method not in descriptor.methods_by_name:
                raise
            return descriptor.file

    def __getattr__(self, name: str) -> object:
        return getattr(self._pool, name)


def _collect_files(api_pool: DescriptorPool) -> DescriptorPool:
    """Return a pool with the files of all services and what they import."""
    pool = DescriptorPool()
    added: set[str] = set()

    def add(file: FileDescriptor) -> None:
        if file.name in added:
            return
        added.add(file.name)
        for dependency in file.dependencies:
            add(dependency)
        pool.AddSerializedFile(file.serialized_pb)

    for service in _API_SERVICES:
        add(api_pool.FindServiceByName(service).file)
    pool.Add(_standard_file(health_pb2.DESCRIPTOR, "grpc.health.v1"))
    for version in _VERSIONS:
        pool.Add(_standard_file(reflection_pb2.DESCRIPTOR, f"grpc.reflection.{version}"))
    return pool


def _standard_file(shipped: FileDescriptor, package: str) -> FileDescriptorProto:
    """Return a file of grpcio under its standard name and in `package`, also in the types it refers to.

    grpcio names the files after its Python modules, and has version v1alpha of reflection only.
    """
    file = FileDescriptorProto.FromString(shipped.serialized_pb)
    old, new = f".{file.package}.", f".{package}."
    for message in file.message_type:
        for field in message.field:
            if field.HasField("type_name"):
                field.type_name = field.type_name.replace(old, new)
    for service in file.service:
        for method in service.method:
            method.input_type = method.input_type.replace(old, new)
            method.output_type = method.output_type.replace(old, new)
    file.name = f"{package.replace('.', '/')}/{shipped.name.rpartition('/')[2]}"
    file.package = package
    # Names of packages in other languages, which would be the other version's.
    file.ClearField("options")
    return file
