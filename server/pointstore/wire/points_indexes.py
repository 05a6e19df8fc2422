"""The RPCs of payload indexes, which this version does not have.

They are refused after everything that makes a request malformed has been looked at, so that a client's mistake is told
apart from a missing feature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from pointstore.core.errors import BadRequestError, ConversionError, UnsupportedError
from pointstore.core.path import parse_path
from pointstore.wire.decode_routing import check_ordering
from pointstore.wire.unary import unary
from qdrant_grpc import collections_pb2, points_pb2

if TYPE_CHECKING:
    from pointstore.wire.unary import Handler

_FIELD_TYPES: Final = ("Keyword", "Integer", "Float", "Geo", "Text", "Bool", "Datetime", "Uuid")
"""Names by number."""

_TOKENIZERS: Final = frozenset(collections_pb2.TokenizerType.values())


def index_methods() -> dict[str, Handler]:
    """Return the handlers by method name."""
    return {
        "CreateFieldIndex": unary(points_pb2.CreateFieldIndexCollection, _create),
        "DeleteFieldIndex": unary(points_pb2.DeleteFieldIndexCollection, _delete),
    }


def _create(request: points_pb2.CreateFieldIndexCollection) -> NoReturn:
    parse_path(request.field_name)
    _check_field_type(request)
    check_ordering(request.ordering)
    msg = "CreateFieldIndex is not implemented yet"
    raise UnsupportedError(msg)


def _delete(request: points_pb2.DeleteFieldIndexCollection) -> NoReturn:
    parse_path(request.field_name)
    check_ordering(request.ordering)
    msg = "DeleteFieldIndex is not implemented yet"
    raise UnsupportedError(msg)


def _check_field_type(request: points_pb2.CreateFieldIndexCollection) -> None:
    """Check the two fields that both say what kind of index it is (specification part 1, 8.16)."""
    if not request.HasField("field_type"):
        msg = "cannot convert field_type"
        raise ConversionError(msg)
    params = request.field_index_params.WhichOneof("index_params")
    if request.field_type not in range(len(_FIELD_TYPES)):
        if params is not None:
            msg = "field type is missing"
            raise ConversionError(msg)
        msg = "Can't auto-detect field type, please specify `field_schema` in the request"
        raise BadRequestError(msg)
    kind = _FIELD_TYPES[request.field_type]
    if params is not None and params != f"{kind.lower()}_index_params":
        msg = f"field_type ({kind}) and field_index_params do not match"
        raise ConversionError(msg)
    if params == "text_index_params":
        tokenizer = request.field_index_params.text_index_params.tokenizer
        if not tokenizer or tokenizer not in _TOKENIZERS:
            msg = "unknown tokenizer type"
            raise ConversionError(msg)
