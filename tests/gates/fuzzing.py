"""Requests made from the descriptors of the protocol: well-formed, with every field, and then damaged.

Values are drawn so that many requests get past the first check: names that exist, short paths, small ids, vectors of
the right size; and among them the extremes of every type.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Any, cast

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from qdrant_grpc import POOL

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor, OneofDescriptor
    from google.protobuf.message import Message

SERVICES = ("qdrant.Qdrant", "qdrant.Collections", "qdrant.Points", "qdrant.Snapshots")
COLLECTIONS = ("fuzz-plain", "fuzz-named", "fuzz-other")
SIZE = 2
"""Dimensions of every space of the collections."""

_NAMES = ("", "img", "text", "rows", "none", "\N{SNOWMAN}", "a" * 300, "../x", "x/y", "\x00")
_PATHS = (
    "n",
    "k",
    "t",
    "g",
    "a.b",
    "a[].b",
    "list[]",
    "d",
    "a[",
    "",
    '"x.y"',
    "a" * 500,
    "[0]",
    "a[18446744073709551615]",
)
_TEXTS = (
    "x",
    "quick brown",
    "",
    "\N{GRINNING FACE}",
    "2020-01-01T00:00:00Z",
    "550e8400-e29b-41d4-a716-446655440000",
    "%s",
)
_FLOATS = (0.0, 1.0, -1.0, 0.5, 1e30, -1e-30, math.inf, -math.inf, math.nan, 3.4e38)
_EXTREMES = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1, -1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1, -1),
    FieldDescriptor.CPPTYPE_UINT32: (2**32 - 1, 65_537, 1000),
    FieldDescriptor.CPPTYPE_UINT64: (2**64 - 1, 2**63, 65_537, 1000),
}
_PRESENT = 0.35
_DEPTH_MAX = 12


SLOW = {"/qdrant.Snapshots/Create", "/qdrant.Snapshots/CreateFull"}
"""Methods that are one at a time in the whole server, and wait for the next second."""
SLOW_SHARE = 0.1
"""How often they are drawn, against others."""


def methods() -> dict[str, Descriptor]:
    """Return the request types of all methods by full path."""
    return {
        f"/{service}/{method.name}": method.input_type
        for service in SERVICES
        for method in POOL.FindServiceByName(service).methods
    }


class Fuzzer:
    """Draws requests.

    Args:
        seed: the same seed draws the same requests.

    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._methods = methods()
        self._paths = sorted(self._methods)
        self._weights = [SLOW_SHARE if path in SLOW else 1.0 for path in self._paths]

    def draw(self) -> tuple[str, bytes]:
        """Return a method and the body of a request to it."""
        (path,) = self._random.choices(self._paths, self._weights)
        message = GetMessageClass(self._methods[path])()
        self._fill(message, 0)
        body = message.SerializeToString()
        return path, self._damaged(body) if self._random.random() < 0.25 else body

    def _fill(self, message: Message, depth: int) -> None:
        descriptor = message.DESCRIPTOR
        chosen = {
            oneof.name: self._random.choice(oneof.fields).name
            for oneof in cast("list[OneofDescriptor]", descriptor.oneofs)
        }
        for field in cast("list[FieldDescriptor]", descriptor.fields):
            oneof = field.containing_oneof
            if oneof is not None and len(oneof.fields) > 1:
                if chosen[oneof.name] != field.name or self._random.random() < 0.1:
                    continue
            elif field.name != "collection_name" and self._random.random() > self._likelihood(field, depth):
                continue
            self._set(message, field, depth)

    def _likelihood(self, field: FieldDescriptor, depth: int) -> float:
        if field.name in {"points", "id", "vectors", "query", "vector", "data", "size", "distance", "key", "limit"}:
            return 0.9
        return _PRESENT / (1 + depth / 4)

    def _set(self, message: Message, field: FieldDescriptor, depth: int) -> None:
        below = field.message_type
        if below is not None and depth >= _DEPTH_MAX:
            return
        target: Any = getattr(message, field.name)
        if below is not None and below.GetOptions().map_entry:
            self._set_map(target, below, depth)
        elif field.is_repeated:
            for _ in range(self._count(field)):
                if below is None:
                    target.append(self._scalar(field))
                else:
                    self._fill(target.add(), depth + 1)
        elif below is not None:
            target.SetInParent()
            self._fill(target, depth + 1)
        else:
            setattr(message, field.name, self._scalar(field))

    def _set_map(self, target: Any, entry: Descriptor, depth: int) -> None:  # noqa: ANN401  a map of any types
        key, value = entry.fields_by_name["key"], entry.fields_by_name["value"]
        for _ in range(self._random.choice((0, 1, 1, 2))):
            drawn = self._scalar(key)
            if value.message_type is None:
                target[drawn] = self._scalar(value)
            else:
                target[drawn].SetInParent()
                self._fill(target[drawn], depth + 1)

    def _count(self, field: FieldDescriptor) -> int:
        if field.name in {"data", "vector"}:
            return self._random.choice((SIZE, SIZE, SIZE, SIZE, 0, 1, 3, 100))
        return self._random.choice((0, 1, 1, 1, 2, 2, 3, 20))

    def _scalar(self, field: FieldDescriptor) -> Any:  # noqa: ANN401  a value of the field's type
        match field.cpp_type:
            case FieldDescriptor.CPPTYPE_STRING:
                return self._bytes() if field.type == FieldDescriptor.TYPE_BYTES else self._text(field.name)
            case FieldDescriptor.CPPTYPE_BOOL:
                return self._random.random() < 0.5
            case FieldDescriptor.CPPTYPE_ENUM:
                assert field.enum_type is not None
                known = [value.number for value in field.enum_type.values]
                return self._random.choice((*known, *known, 99))
            case FieldDescriptor.CPPTYPE_FLOAT | FieldDescriptor.CPPTYPE_DOUBLE:
                return self._random.choice(_FLOATS) if self._random.random() < 0.3 else self._random.uniform(-2, 2)
            case kind:
                return self._random.choice(_EXTREMES[kind]) if self._random.random() < 0.1 else self._small(field.name)

    def _small(self, name: str) -> int:
        return SIZE if name == "size" else self._random.randrange(12)

    def _bytes(self) -> bytes:
        return self._random.randbytes(self._random.choice((0, 4, 8, 9)))

    def _text(self, name: str) -> str:
        if "collection" in name or name in {"rename_alias", "alias_name", "old_alias_name", "new_alias_name"}:
            return self._random.choice((*COLLECTIONS * 4, "missing", *_NAMES))
        if name in {"key", "field_name", "keys", "fields"}:
            return self._random.choice(_PATHS)
        if name in {"using", "vector_name", "names", "name"}:
            return self._random.choice(_NAMES)
        return self._random.choice(_TEXTS + _PATHS)

    def _damaged(self, body: bytes) -> bytes:
        damaged = bytearray(body)
        for _ in range(self._random.choice((1, 1, 2, 5))):
            place = self._random.randrange(len(damaged) + 1)
            match self._random.randrange(5):
                case 0 if damaged:
                    damaged[place % len(damaged)] ^= 1 << self._random.randrange(8)
                case 1:
                    damaged[place:place] = self._random.randbytes(self._random.choice((1, 2, 9)))
                case 2:
                    del damaged[place : place + self._random.choice((1, 2, 30))]
                case 3:
                    damaged[place:place] = damaged[: self._random.randrange(len(damaged) + 1)][:1000]
                case _:
                    damaged = damaged[:place]
        return bytes(damaged)
