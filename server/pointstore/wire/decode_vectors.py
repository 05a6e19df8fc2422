"""Decode vectors: those of points from wire views, those of queries from public messages.

Components are never touched: dense data goes on as the packed little-endian float32 bytes that came. Structure is
checked here as well as by `validate`, because operations of a batch reach this module without that validation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from pointstore.core.errors import BadRequestError, ConversionError
from pointstore.core.vector import FLOAT_BYTES, Dense, Multi, Sparse, sparse
from pointstore.wire.decode_inference import infer_stored, is_local_text, query_inference_error
from pointstore.wire.points_view_pb2 import SearchVectorView
from pointstore.wire.vector_rules import legacy_multi_violation, multi_violation, sparse_violation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pointstore.core.vector import NamedVectors, Vector
    from pointstore.wire.points_view_pb2 import MultiDenseVectorView, VectorsView, VectorView
    from qdrant_grpc import points_pb2

_INFERRED: Final = frozenset(("document", "image", "object"))


def decode_vectors(view: VectorsView, *, direct_inference: bool) -> tuple[NamedVectors, bool]:
    """Decode the vectors of one point.

    Args:
        view: the message.
        direct_inference: whether the RPC allows documents, images and objects as the unnamed vector.

    Returns:
        vectors by name, and whether they came through the map of names.

    Raises:
        ConversionError: no variant, a malformed vector, an unnamed sparse vector.
        WrongInputError: a document that cannot be computed as it asks for.
        InferenceError: a vector would have to be computed by a model that the server does not have.

    """
    variant = view.WhichOneof("vectors_options")
    if variant == "vectors":
        return {entry.key: decode_vector(entry.value) for entry in view.vectors.vectors}, True
    if variant is None:
        msg = "No Vector Provided"
        raise ConversionError(msg)
    single = view.vector
    kind = single.WhichOneof("vector")
    if kind in _INFERRED:
        if not direct_inference:
            msg = "Direct Document processing not supported for PointVectors. Use named vectors."
            raise ConversionError(msg)
        if is_local_text(kind, getattr(single, kind)):
            msg = "Sparse vector from document inference should be named"
            raise BadRequestError(msg)
    vector = decode_vector(single)
    if isinstance(vector, Sparse):
        msg = "Sparse vector must be named"
        raise ConversionError(msg)
    return {"": vector}, False


def decode_vector(view: VectorView) -> Vector:
    """Decode one vector in its new or its deprecated form.

    Raises:
        ConversionError: a malformed vector.
        WrongInputError: a document that cannot be computed as it asks for.
        InferenceError: the vector would have to be computed by a model that the server does not have.

    """
    if view.HasField("indices") or view.HasField("vectors_count"):
        _check_deprecated(view)
    match view.WhichOneof("vector"):
        case "dense":
            return Dense(_whole_floats(view.dense.data))
        case "sparse":
            return decode_sparse(view.sparse)
        case "multi_dense":
            return _decode_multi(view.multi_dense)
        case None:
            return _decode_deprecated(view)
        case kind:
            return infer_stored(kind, getattr(view, kind))


def _whole_floats(data: bytes) -> bytes:
    if len(data) % FLOAT_BYTES:
        msg = "packed floats cannot be decoded"
        raise ConversionError(msg)
    return data


def _check_deprecated(view: VectorView) -> None:
    """Check the deprecated fields, which must be valid even where the new form makes them void."""
    floats = len(_whole_floats(view.data)) // FLOAT_BYTES
    if view.HasField("indices"):
        if view.HasField("vectors_count"):
            msg = "`indices` and `vectors_count` cannot be both specified"
            raise ConversionError(msg)
        violation = sparse_violation(_uint32(view.indices.data), floats)
        if violation is not None:
            raise ConversionError(f"{violation[0]}: {violation[1]}")
    elif reason := legacy_multi_violation(floats, view.vectors_count):
        raise ConversionError(reason)


def _decode_deprecated(view: VectorView) -> Vector:
    data = _whole_floats(view.data)
    if view.HasField("indices"):
        return sparse(_uint32(view.indices.data), np.frombuffer(data, "<f4"))
    if view.HasField("vectors_count"):
        return Multi(data, len(data) // FLOAT_BYTES // view.vectors_count)
    return Dense(data)


def decode_sparse(message: points_pb2.SparseVector) -> Sparse:
    """Decode a sparse vector; the result is ascending by index.

    Raises:
        ConversionError: arrays of different length, or an index that occurs twice.

    """
    indices = _uint32(message.indices)
    violation = sparse_violation(indices, len(message.values))
    if violation is not None:
        raise ConversionError(f"{violation[0]}: {violation[1]}")
    return sparse(indices, np.array(message.values, dtype="<f4"))


def _uint32(numbers: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.uint32]]:
    return np.array(numbers, dtype=np.uint32)


def _decode_multi(view: MultiDenseVectorView) -> Multi:
    return _multi([_whole_floats(row.data) for row in view.vectors])


def _multi(rows: list[bytes]) -> Multi:
    lengths = [len(row) // FLOAT_BYTES for row in rows]
    reason = multi_violation(lengths)
    if reason is not None:
        raise ConversionError(reason)
    return Multi(b"".join(rows), lengths[0])


def packed_floats(message: points_pb2.DenseVector) -> bytes:
    """Return the components as packed little-endian float32.

    They are the message's first field, so its serialised form has them in one piece behind tag and length, which is
    several times faster to get than one Python float for each.
    """
    size = len(message.data) * FLOAT_BYTES
    header = 1 + (max(size.bit_length(), 1) + 6) // 7
    return message.SerializeToString()[header : header + size]


def decode_vector_input(message: points_pb2.VectorInput) -> Vector:
    """Decode a query's vector; the variant `id` is the caller's.

    Raises:
        ConversionError: no variant, or a malformed vector.
        QueryInferenceError: the vector would have to be computed.

    """
    match message.WhichOneof("variant"):
        case "dense":
            return Dense(packed_floats(message.dense))
        case "sparse":
            return decode_sparse(message.sparse)
        case "multi_dense":
            return _multi([packed_floats(row) for row in message.multi_dense.vectors])
        case "document" | "image" | "object" as kind:
            raise query_inference_error(kind, getattr(message, kind))
        case _:
            msg = "VectorInput variant is missing"
            raise ConversionError(msg)


def decode_search_vector(request: points_pb2.SearchPoints) -> Vector:
    """Decode `vector`, and `sparse_indices` when present, of a search.

    Raises:
        ConversionError: a sparse vector without a name, or with arrays that do not fit.

    """
    # A serialised message has its floats in one packed chunk, whatever encoding they came in.
    data = SearchVectorView.FromString(request.SerializeToString()).vector
    if not request.HasField("sparse_indices"):
        return Dense(data)
    if not request.HasField("vector_name"):
        msg = "Sparse vector must have a name specified"
        raise ConversionError(msg)
    indices = _uint32(request.sparse_indices.data)
    violation = sparse_violation(indices, len(data) // FLOAT_BYTES)
    if violation is not None:
        msg = f"Sparse indices does not match sparse vector conditions: {violation[0]}: {violation[1]}"
        raise ConversionError(msg)
    return sparse(indices, np.frombuffer(data, "<f4"))
