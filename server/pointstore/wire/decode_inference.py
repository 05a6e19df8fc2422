"""Vectors that would have to be computed from a text, an image or an object.

No inference service can be configured, so all of them end in an error; the texts tell apart what a client can mend.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pointstore.core.errors import (
    ConversionError,
    InferenceError,
    QueryInferenceError,
    RequestError,
    UnsupportedError,
    WrongInputError,
)

if TYPE_CHECKING:
    from qdrant_grpc import points_pb2

    Source = points_pb2.Document | points_pb2.Image | points_pb2.InferenceObject

_LOCAL_MODELS: Final = ("bm25", "qdrant/bm25")
_NO_SERVICE: Final = "InferenceService URL not configured - please provide valid address in config"


def is_local_text(kind: str, source: Source) -> bool:
    """Tell whether the server itself would compute a sparse vector from this."""
    return kind == "document" and source.model.lower() in _LOCAL_MODELS


def inference_error(kind: str, source: Source) -> RequestError:
    """Return the error for a stored vector that needs inference.

    Args:
        kind: the oneof member: `document`, `image` or `object`.
        source: its message.

    """
    if kind != "document" and all(field.name != kind for field, _ in source.ListFields()):
        return ConversionError(f"Empty {kind} is not allowed")
    if is_local_text(kind, source):
        return UnsupportedError(f"inference model `{source.model}` is not implemented yet")
    if source.model.lower() in _LOCAL_MODELS:
        return WrongInputError(f"Only text input is supported for {source.model}.")
    return InferenceError(_NO_SERVICE)


def query_inference_error(kind: str, source: Source) -> RequestError:
    """Return the error for a query vector that needs inference: the same failures, as internal ones."""
    error = inference_error(kind, source)
    if isinstance(error, InferenceError | WrongInputError):
        return QueryInferenceError(error.message)
    return error
