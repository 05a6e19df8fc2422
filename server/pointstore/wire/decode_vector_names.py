"""Decode requests to add or remove a vector space (specification part 1, 7.14)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pointstore.core.errors import ConversionError, ValidationError, WrongInputError
from pointstore.core.schema import (
    Datatype,
    Distance,
    Modifier,
    MultiVectorConfig,
    SparseIndexConfig,
    SparseVectorParams,
    VectorParams,
)
from pointstore.core.update import CreateVector
from pointstore.wire.rules import vector_name_violation

if TYPE_CHECKING:
    from qdrant_grpc import points_pb2

_TURBO: Final = {
    Datatype.TURBO4: "turbo4",
    Datatype.TURBO8: "turbo8",
    Datatype.TURBO16: "turbo16",
}

_MODIFIERS: Final[dict[int, Modifier]] = {modifier.value: modifier for modifier in Modifier}


def decode_create_vector(message: points_pb2.CreateVectorNameRequest) -> CreateVector:
    """Decode the definition of a new vector space.

    Raises:
        ConversionError: no definition, or an unknown enum value.
        ValidationError: a datatype that sparse vectors do not have.
        WrongInputError: a bad name.

    """
    params: VectorParams | SparseVectorParams
    match message.WhichOneof("vector_config"):
        case "dense_config":
            params = _dense(message.dense_config)
        case "sparse_config":
            params = _sparse(message.sparse_config)
        case None:
            msg = "vector_config is required (dense_config or sparse_config)"
            raise ConversionError(msg)
    name = message.vector_name
    reason = vector_name_violation(name)
    if reason is not None:
        msg = f"Invalid vector name `{name}`: {reason}"
        raise WrongInputError(msg)
    if not name and isinstance(params, SparseVectorParams):
        msg = "Sparse vector name cannot be empty"
        raise WrongInputError(msg)
    return CreateVector(name, params)


def _dense(message: points_pb2.DenseVectorCreationConfig) -> VectorParams:
    try:
        distance = Distance(message.distance)
    except ValueError:
        text = f", unexpected value: {message.distance}" if message.distance else ": UnknownDistance"
        msg = f"Malformed distance parameter{text}"
        raise ConversionError(msg) from None
    multivector = MultiVectorConfig() if message.HasField("multivector_config") else None
    datatype = _datatype(message.datatype) if message.HasField("datatype") else None
    return VectorParams(message.size, distance, datatype=datatype, multivector_config=multivector)


def _sparse(message: points_pb2.SparseVectorCreationConfig) -> SparseVectorParams:
    datatype = _datatype(message.datatype) if message.HasField("datatype") else None
    if datatype in _TURBO:
        reason = f"sparse vectors do not support the `{_TURBO[datatype]}` datatype"
        raise ValidationError([("vector_config.datatype", reason)])
    # An unknown modifier counts as not given.
    modifier = _MODIFIERS.get(message.modifier) if message.HasField("modifier") else None
    return SparseVectorParams(None if datatype is None else SparseIndexConfig(datatype=datatype), modifier)


def _datatype(number: int) -> Datatype | None:
    """Decode a datatype; Default counts as not given."""
    try:
        return Datatype(number) or None
    except ValueError:
        msg = f"Cannot convert datatype: {number}"
        raise ConversionError(msg) from None
