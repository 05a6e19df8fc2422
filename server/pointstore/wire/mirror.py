"""Messages and the dataclasses of `core/schema.py` and `core/fields.py`, converted by equal field names.

`None` is an absent field, both ways. What a plan cannot tell from the types is in two small tables: readers of enum
numbers, with their error texts, and readers and writers of the few messages that are shaped differently. Dataclass
fields that a message lacks keep their default; message fields that a dataclass lacks are ignored.
"""

from __future__ import annotations

import types
from dataclasses import fields, is_dataclass, replace
from enum import IntEnum
from functools import cache
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from pointstore.core.errors import ConversionError
from pointstore.core.schema import (
    AUTO_THREADS,
    BinaryQuantization,
    Datatype,
    Distance,
    Memory,
    Modifier,
    OptimizersConfig,
    QuantizationConfig,
)
from qdrant_grpc import collections_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

    from qdrant_grpc.collections_pb2 import MaxOptimizationThreads

_Mirror = TypeVar("_Mirror")
_Enum = TypeVar("_Enum", bound=IntEnum)


def read(message: Message, kind: type[_Mirror]) -> _Mirror:
    """Return the dataclass that mirrors a message.

    Raises:
        ConversionError: an enum number, a oneof or a nested message that cannot be converted.

    """
    given: dict[str, Any] = {}
    for step in _steps(cast("Any", kind), message.DESCRIPTOR.full_name):
        if not step.presence or cast("Any", message).HasField(step.name):
            given[step.name] = step.read(getattr(message, step.name))
    finish = _AFTER_READ.get(kind)
    mirrored = kind(**given)
    return mirrored if finish is None else cast("_Mirror", finish(mirrored, message))


def write(mirrored: object, message: Message) -> None:
    """Fill an empty message from the dataclass that mirrors it."""
    message.SetInParent()
    for step in _steps(cast("Any", type(mirrored)), message.DESCRIPTOR.full_name):
        value = getattr(mirrored, step.name)
        if value is not None:
            step.write(value, message)
    finish = _AFTER_WRITE.get(type(mirrored))
    if finish is not None:
        finish(mirrored, message)


class _Step(NamedTuple):
    """One field that a dataclass and a message have in common."""

    name: str
    presence: bool
    read: Callable[[Any], Any]
    write: Callable[[Any, Any], None]


@cache
def _steps(kind: type, message: str) -> tuple[_Step, ...]:
    hints = get_type_hints(kind)
    descriptor = collections_pb2.DESCRIPTOR.pool.FindMessageTypeByName(message)
    return tuple(
        _step(descriptor.fields_by_name[field.name], hints[field.name])
        for field in fields(kind)
        if field.name in descriptor.fields_by_name and (message, field.name) not in _BY_HAND
    )


def _step(field: FieldDescriptor, hint: object) -> _Step:
    inner = _without_none(hint)
    presence = field.has_presence
    if get_origin(inner) is dict:
        value_kind = get_args(inner)[1]
        return _Step(field.name, presence, *_mapping(field, value_kind))
    if is_dataclass(inner):
        return _Step(field.name, presence, *_nested(field.name, inner))
    reader = _ENUMS.get(field.enum_type.full_name, int) if field.enum_type else _plain
    return _Step(field.name, presence, reader, _setter(field.name))


def _without_none(hint: object) -> Any:  # noqa: ANN401  a type, to be looked at
    if get_origin(hint) in {Union, types.UnionType}:
        return next(kind for kind in get_args(hint) if kind is not type(None))
    return hint


def _plain(value: Any) -> Any:  # noqa: ANN401
    return value


def _setter(name: str) -> Callable[[Any, Any], None]:
    def setter(value: Any, message: Any) -> None:  # noqa: ANN401
        setattr(message, name, value)

    return setter


def _nested(name: str, kind: Any) -> tuple[Callable[[Any], Any], Callable[[Any, Any], None]]:  # noqa: ANN401
    def reader(value: Message) -> object:
        return read(value, kind)

    def writer(value: object, message: Any) -> None:  # noqa: ANN401
        write(value, getattr(message, name))

    return reader, writer


def _mapping(field: FieldDescriptor, kind: Any) -> tuple[Callable[[Any], Any], Callable[[Any, Any], None]]:  # noqa: ANN401
    """Convert a map, or a message that holds nothing but a map."""
    name = field.name
    inner = None if field.is_repeated or field.message_type is None else field.message_type.fields[0].name

    def entries(value: Any) -> Any:  # noqa: ANN401
        return value if inner is None else getattr(value, inner)

    def reader(value: Any) -> object:  # noqa: ANN401
        return {key: read(entry, kind) for key, entry in entries(value).items()}

    def writer(value: dict[str, Any], message: Any) -> None:  # noqa: ANN401
        target = getattr(message, name)
        if inner is not None:
            target.SetInParent()
        for key, entry in value.items():
            write(entry, entries(target)[key])

    return reader, writer


def distance_of(number: int) -> Distance:
    """Return the distance with a wire number.

    Raises:
        ConversionError: there is none.

    """
    if number == 0:
        raise ConversionError("Malformed distance parameter: UnknownDistance")
    distance = _member(Distance, number)
    if distance is None:
        raise ConversionError(f"Malformed distance parameter, unexpected value: {number}")
    return distance


def datatype_of(number: int) -> Datatype | None:
    """Return the datatype with a wire number; the default one counts as not given.

    Raises:
        ConversionError: there is none.

    """
    datatype = _member(Datatype, number)
    if datatype is None:
        raise ConversionError(f"Cannot convert datatype: {number}")
    return None if datatype is Datatype.DEFAULT else datatype


def memory_of(number: int) -> Memory | None:
    """Return the placement with a wire number; 0 counts as not given.

    Raises:
        ConversionError: there is none.

    """
    if number == 0:
        return None
    memory = _member(Memory, number)
    if memory is None:
        raise ConversionError(f"Cannot convert memory placement: {number}")
    return memory


def modifier_of(number: int) -> Modifier | None:
    """Return the modifier with a wire number; an unknown one counts as not given."""
    return _member(Modifier, number)


def _member(enum: type[_Enum], number: int) -> _Enum | None:
    try:
        return enum(number)
    except ValueError:
        return None


def _known(enum: Any, text: str) -> Callable[[int], int]:  # noqa: ANN401  a generated enum
    numbers = frozenset(enum.values())

    def reader(number: int) -> int:
        if number not in numbers:
            raise ConversionError(text.format(number))
        return number

    return reader


def _quantization_type(number: int) -> int:
    if number != collections_pb2.Int8:
        raise ConversionError("Unknown quantization type")
    return number


def _tokenizer(number: int) -> int:
    # The zero value has a name, and means none of them.
    if not number or number not in collections_pb2.TokenizerType.values():
        raise ConversionError("unknown tokenizer type")
    return number


_ENUMS: Final[dict[str, Callable[[int], int | None]]] = {
    "qdrant.Distance": distance_of,
    "qdrant.Datatype": datatype_of,
    "qdrant.Memory": memory_of,
    "qdrant.Modifier": modifier_of,
    "qdrant.TokenizerType": _tokenizer,
    "qdrant.QuantizationType": _quantization_type,
    "qdrant.CompressionRatio": _known(collections_pb2.CompressionRatio, "Unknown compression ratio: {}"),
    "qdrant.BinaryQuantizationEncoding": _known(
        collections_pb2.BinaryQuantizationEncoding, "Unknown binary quantization encoding: {}"
    ),
    "qdrant.TurboQuantBitSize": _known(collections_pb2.TurboQuantBitSize, "Unknown turbo quantization bits: {}"),
    "qdrant.MultiVectorComparator": _known(
        collections_pb2.MultiVectorComparator, "Unknown multi-vector comparator: {}"
    ),
}

_query_encoding = _known(
    collections_pb2.BinaryQuantizationQueryEncoding.Setting, "Unknown binary quantization query encoding: {}"
)


def _check_quantization(mirrored: QuantizationConfig, message: Any) -> QuantizationConfig:  # noqa: ANN401
    if message.WhichOneof("quantization") is None:
        raise ConversionError("QuantizationConfig must contain quantization")
    return mirrored


def _read_query_encoding(mirrored: BinaryQuantization, message: Any) -> BinaryQuantization:  # noqa: ANN401
    if not message.HasField("query_encoding"):
        return mirrored
    encoding = message.query_encoding
    setting = _query_encoding(encoding.setting) if encoding.HasField("setting") else None
    return replace(mirrored, has_query_encoding=True, query_encoding=setting)


def _write_query_encoding(mirrored: BinaryQuantization, message: Any) -> None:  # noqa: ANN401
    if mirrored.has_query_encoding:
        message.query_encoding.SetInParent()
        if mirrored.query_encoding is not None:
            message.query_encoding.setting = mirrored.query_encoding


def _read_threads(mirrored: OptimizersConfig, message: Any) -> OptimizersConfig:  # noqa: ANN401
    """Fold the two forms of the thread limit into one; the deprecated one wins."""
    threads = _threads(message.max_optimization_threads) if message.HasField("max_optimization_threads") else None
    if message.HasField("deprecated_max_optimization_threads"):
        threads = message.deprecated_max_optimization_threads
    return replace(mirrored, max_optimization_threads=threads)


def _threads(message: MaxOptimizationThreads) -> int:
    match message.WhichOneof("variant"):
        case "value":
            return message.value
        case "setting" if message.setting == collections_pb2.MaxOptimizationThreads.Auto:
            return AUTO_THREADS
        case _:
            raise ConversionError("Malformed MaxOptimizationThreads")


def _write_threads(mirrored: OptimizersConfig, message: Any) -> None:  # noqa: ANN401
    threads = mirrored.max_optimization_threads
    if threads is None or threads == AUTO_THREADS:
        message.max_optimization_threads.setting = collections_pb2.MaxOptimizationThreads.Auto
    else:
        message.max_optimization_threads.value = threads


_BY_HAND: Final = frozenset(
    {
        ("qdrant.BinaryQuantization", "query_encoding"),
        ("qdrant.OptimizersConfigDiff", "max_optimization_threads"),
        ("qdrant.OptimizersConfigDiff", "deprecated_max_optimization_threads"),
        # In `field_schema.py`.
        ("qdrant.KeywordIndexParams", "prefix"),
        ("qdrant.TextIndexParams", "stopwords"),
        ("qdrant.TextIndexParams", "stemmer"),
        ("qdrant.TextIndexParams", "scoring"),
    }
)

_AFTER_READ: Final[dict[type, Callable[[Any, Any], object]]] = {
    QuantizationConfig: _check_quantization,
    BinaryQuantization: _read_query_encoding,
    OptimizersConfig: _read_threads,
}

_AFTER_WRITE: Final[dict[type, Callable[[Any, Any], None]]] = {
    BinaryQuantization: _write_query_encoding,
    OptimizersConfig: _write_threads,
}
