"""Vectors of many points, as given by a client, to columns in stored form.

Where the specification tells wrong dimensions apart from other misfits (part 1, 6.4), so do the functions here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from pointstore.core.errors import WrongInputError, unknown_vector_name
from pointstore.core.operation import Column, DenseColumn, MultiColumn, SparseColumn
from pointstore.core.schema import CollectionConfig
from pointstore.core.space import Space, space_of
from pointstore.core.vector import FLOAT_BYTES, Dense, Multi, NamedVectors, Sparse, Vector

_Entries = tuple[list[int], list[Vector]]


def check_dimensions(config: CollectionConfig, vectors: Sequence[NamedVectors], named: Sequence[bool]) -> None:
    """Check the row lengths of vectors for known dense spaces, before anything is queued.

    Raises:
        WrongInputError: a row has the wrong length.
    """
    sizes = {name: params.size for name, params in config.vectors.items()}
    for position, given in enumerate(vectors):
        for name, vector in given.items():
            size = sizes.get(name)
            if size is None or isinstance(vector, Sparse) or vector.dim == size:
                continue
            raise dimension_error(size, vector.dim, name if named[position] else None, when_applied=False)


def dimension_error(expected: int, got: int, name: str | None = None, *, when_applied: bool) -> WrongInputError:
    """Return the error for a row of the wrong length; `name` is appended where the client named the vector."""
    suffix = "" if name is None else f" for vector '{name}'"
    text = f"Vector dimension error: expected dim: {expected}, got {got}{suffix}"
    return WrongInputError(text, when_applied=when_applied)


def columns_of(config: CollectionConfig, vectors: Iterable[NamedVectors]) -> tuple[Column, ...]:
    """Return one column for each space that a point has a vector in, transformed for storage.

    Raises:
        WrongInputError: unknown name, wrong kind or wrong dimension; noticed when applied.
    """
    entries: dict[str, _Entries] = {}
    for position, given in enumerate(vectors):
        for name, vector in given.items():
            entry = entries.get(name)
            if entry is None:
                entry = entries[name] = ([], [])
            entry[0].append(position)
            entry[1].append(vector)
    return tuple(_column(config, name, entry) for name, entry in entries.items())


def _column(config: CollectionConfig, name: str, entry: _Entries) -> Column:
    number = config.number_of(name)
    if number is None:
        raise unknown_vector_name(name, when_applied=True)
    positions, vectors = np.array(entry[0], np.int64), entry[1]
    params = config.vectors.get(name)
    if params is None:
        return SparseColumn(number, positions, tuple(_sparse(vector) for vector in vectors))
    space = space_of(params)
    if params.multivector_config is not None:
        return MultiColumn(number, positions, tuple(_stored_multi(space, vector) for vector in vectors))
    matrix = np.frombuffer(b"".join([_dense(space, vector) for vector in vectors]), "<f4").reshape(-1, space.dim)
    return DenseColumn(number, positions, space.stored(matrix))


def _dense(space: Space, vector: Vector) -> bytes:
    if not isinstance(vector, Dense):
        raise kind_error(vector, when_applied=True)
    if len(vector.data) != space.dim * FLOAT_BYTES:
        raise dimension_error(space.dim, vector.dim, when_applied=True)
    return vector.data


def _stored_multi(space: Space, vector: Vector) -> Multi:
    if isinstance(vector, Sparse):
        raise kind_error(vector, when_applied=True)
    if vector.dim != space.dim:
        raise dimension_error(space.dim, vector.dim, when_applied=True)
    rows = space.query(np.frombuffer(vector.data, "<f4").reshape(-1, space.dim))
    return Multi(rows.astype("<f4", copy=False).tobytes(), space.dim)


def _sparse(vector: Vector) -> Sparse:
    if not isinstance(vector, Sparse):
        raise kind_error(vector, when_applied=True)
    return vector


def kind_error(vector: Vector, *, when_applied: bool) -> WrongInputError:
    """Return the error for a vector of another kind than its space."""
    kinds = "multi and regular" if isinstance(vector, Multi) else "sparse and regular"
    return WrongInputError(f"Conversion between {kinds} vectors failed", when_applied=when_applied)
