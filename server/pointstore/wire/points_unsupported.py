"""RPCs of the Points service that this version does not implement.

They are refused by name after everything that makes a request malformed has been looked at, so that a client's mistake
is told apart from a missing feature.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from pointstore.core.errors import BadRequestError, ConversionError, UnsupportedError
from pointstore.core.path import parse_path
from pointstore.wire.decode_routing import check_ordering
from pointstore.wire.unary import unary
from qdrant_grpc import collections_pb2, points_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.message import Message

    from pointstore.wire.unary import Handler

_REQUESTS: Final[dict[str, type[Message]]] = {
    "SearchGroups": points_pb2.SearchPointGroups,
    "Recommend": points_pb2.RecommendPoints,
    "RecommendBatch": points_pb2.RecommendBatchPoints,
    "RecommendGroups": points_pb2.RecommendPointGroups,
    "Discover": points_pb2.DiscoverPoints,
    "DiscoverBatch": points_pb2.DiscoverBatchPoints,
    "QueryGroups": points_pb2.QueryPointGroups,
    "Facet": points_pb2.FacetCounts,
    "SearchMatrixPairs": points_pb2.SearchMatrixPoints,
    "SearchMatrixOffsets": points_pb2.SearchMatrixPoints,
}

_FIELD_TYPES: Final = ("Keyword", "Integer", "Float", "Geo", "Text", "Bool", "Datetime", "Uuid")
"""Names by number."""

_TOKENIZERS: Final = frozenset(collections_pb2.TokenizerType.values())


def unsupported_methods() -> dict[str, Handler]:
    """Return the handlers by method name."""
    refused = {method: unary(request, _refusal(method)) for method, request in _REQUESTS.items()}
    return {
        **refused,
        "CreateFieldIndex": unary(points_pb2.CreateFieldIndexCollection, _create_field_index),
        "DeleteFieldIndex": unary(points_pb2.DeleteFieldIndexCollection, _delete_field_index),
    }


def _refusal(method: str) -> Callable[[Message], NoReturn]:
    def refuse(_request: Message) -> NoReturn:
        msg = f"{method} is not implemented yet"
        raise UnsupportedError(msg)

    return refuse


def _create_field_index(request: points_pb2.CreateFieldIndexCollection) -> NoReturn:
    parse_path(request.field_name)
    _check_field_type(request)
    check_ordering(request.ordering)
    _refusal("CreateFieldIndex")(request)


def _delete_field_index(request: points_pb2.DeleteFieldIndexCollection) -> NoReturn:
    parse_path(request.field_name)
    check_ordering(request.ordering)
    _refusal("DeleteFieldIndex")(request)


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
