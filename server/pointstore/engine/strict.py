"""Strict mode limits of writes (specification part 1, 9). They apply only while the collection has them enabled."""

from __future__ import annotations

from pointstore.core.errors import BadRequestError
from pointstore.core.schema import StrictModeConfig
from pointstore.core.update import Update, UpdateVectors, Upsert
from pointstore.core.vector import FLOAT_BYTES, Multi, NamedVectors, Sparse
from pointstore.engine.transition import Transition


def check_update(update: Update, state: Transition) -> None:
    """Refuse an update that a limit of the collection forbids.

    Raises:
        BadRequestError: a limit is exceeded.
    """
    limits = state.config.strict_mode_config
    if limits is None or not limits.enabled or not isinstance(update, Upsert | UpdateVectors):
        return
    what = "upsert limit" if isinstance(update, Upsert) else "update limit"
    check_limit(len(update.ids), limits.upsert_max_batchsize, what)
    if limits.max_points_count is not None and state.head.points >= limits.max_points_count:
        msg = f"Max points count limit of {limits.max_points_count} reached!"
        raise BadRequestError(msg)
    for vectors in update.vectors:
        _check_vectors(vectors, limits)


def check_limit(value: int, limit: int | None, what: str) -> None:
    """Refuse a request parameter above its limit.

    Raises:
        BadRequestError: it is.
    """
    if limit is not None and value > limit:
        msg = f'Limit exceeded {value} > {limit} for "{what}". Help: Reduce the "{what}" parameter to or below {limit}.'
        raise BadRequestError(msg)


def _check_vectors(vectors: NamedVectors, limits: StrictModeConfig) -> None:
    for name, vector in vectors.items():
        if isinstance(vector, Sparse):
            sparse = (limits.sparse_config or {}).get(name)
            if sparse is not None and sparse.max_length is not None and vector.indices.size > sparse.max_length:
                msg = (
                    f"Sparse vector '{name}' has a limit of {sparse.max_length} indices, "
                    f"but {vector.indices.size} were provided!"
                )
                raise BadRequestError(msg)
        elif isinstance(vector, Multi):
            multi = (limits.multivector_config or {}).get(name)
            rows = len(vector.data) // (FLOAT_BYTES * vector.dim)
            if multi is not None and multi.max_vectors is not None and rows > multi.max_vectors:
                msg = f"Multivector '{name}' has a limit of {multi.max_vectors} vectors, but {rows} were provided!"
                raise BadRequestError(msg)
