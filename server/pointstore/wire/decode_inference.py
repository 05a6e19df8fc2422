"""Vectors that would have to be computed from a text, an image or an object.

No inference service can be configured, so nearly all of them end in an error; the texts tell apart what a client can
mend. Only BM25 is computed here, from texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from pointstore.core.errors import (
    ConversionError,
    InferenceError,
    QueryInferenceError,
    RequestError,
    UnsupportedError,
    WrongInputError,
)
from pointstore.core.payload import metadata_of
from pointstore.text.bm25 import Embedding, parse_embedding

if TYPE_CHECKING:
    from pointstore.core.vector import Sparse
    from qdrant_grpc import points_pb2

    Source = points_pb2.Document | points_pb2.Image | points_pb2.InferenceObject

_LOCAL_MODELS: Final = ("bm25", "qdrant/bm25")
_NO_SERVICE: Final = "InferenceService URL not configured - please provide valid address in config"


def is_local_text(kind: str, source: Source) -> bool:
    """Tell whether the server itself would compute a sparse vector from this."""
    return kind == "document" and source.model.lower() in _LOCAL_MODELS


def infer_stored(kind: str, source: Source) -> Sparse:
    """Return a stored vector that needs inference.

    Args:
        kind: the oneof member: `document`, `image` or `object`.
        source: its message.

    Raises:
        ConversionError: there is nothing to compute from.
        WrongInputError: the model does not take this input or these options.
        InferenceError: the model is none of the server's own.

    """
    embedding, text = _local(kind, source)
    return embedding.document(text)


def query_inference_error(kind: str, source: Source) -> RequestError:
    """Return the error for a query vector that needs inference: the same failures, as internal ones."""
    try:
        _local(kind, source)
    except (InferenceError, WrongInputError) as error:
        return QueryInferenceError(error.message)
    except ConversionError as error:
        return error
    return UnsupportedError(f"queries with inference model `{source.model}` are not implemented yet")


def _local(kind: str, source: Source) -> tuple[Embedding, str]:
    """Return what computes the vector here, and the text; raise why there is no such thing."""
    if kind != "document" and all(field.name != kind for field, _ in source.ListFields()):
        raise ConversionError(f"Empty {kind} is not allowed")
    if source.model.lower() not in _LOCAL_MODELS:
        raise InferenceError(_NO_SERVICE)
    if kind != "document":
        raise WrongInputError(f"Only text input is supported for {source.model}.")
    document = cast("points_pb2.Document", source)
    return parse_embedding(metadata_of(document.options.items())), document.text
