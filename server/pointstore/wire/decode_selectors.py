"""Decode which parts of a point a read returns (specification part 2, 15)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pointstore.core.errors import ConversionError
from pointstore.core.path import parse_path
from pointstore.core.query import NO_PAYLOAD, NO_VECTORS, PayloadSelector, Selectors, VectorSelector

if TYPE_CHECKING:
    from qdrant_grpc import points_pb2

    _Read = points_pb2.GetPoints | points_pb2.ScrollPoints | points_pb2.QueryPoints | points_pb2.SearchPoints

_NOTHING = Selectors()


def decode_selectors(request: _Read, *, payload: PayloadSelector = NO_PAYLOAD) -> Selectors:
    """Decode both selectors of a read.

    Args:
        request: the read.
        payload: what an absent payload selector means: nothing, except in Scroll.

    Raises:
        ConversionError: a payload selector without a variant, or with a bad path.

    """
    if request.HasField("with_payload"):
        payload = _payload(request.with_payload)
    vectors = _vectors(request.with_vectors) if request.HasField("with_vectors") else NO_VECTORS
    return Selectors(payload, vectors) if payload.enable or vectors.enable else _NOTHING


def _payload(message: points_pb2.WithPayloadSelector) -> PayloadSelector:
    match message.WhichOneof("selector_options"):
        case "enable":
            return PayloadSelector(message.enable)
        case "include":
            return PayloadSelector(True, include=tuple([parse_path(path) for path in message.include.fields]))
        case "exclude":
            return PayloadSelector(True, exclude=tuple([parse_path(path) for path in message.exclude.fields]))
        case None:
            msg = "No PayloadSelector"
            raise ConversionError(msg)


def _vectors(message: points_pb2.WithVectorsSelector) -> VectorSelector:
    match message.WhichOneof("selector_options"):
        case "include":
            return VectorSelector(True, tuple(message.include.names))
        case "enable":
            return VectorSelector(message.enable)
        case None:
            return NO_VECTORS
