"""The second validation of a configuration: what the reference refuses only after conversion.

Its texts carry the prefix of wrong input; its paths are those of the internal configuration, not of the message
(specification part 1, 2.3 and 7.1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pointstore.core.errors import ValidationError, WrongInputError
from pointstore.core.schema import Memory
from pointstore.wire.rules import at_least, vector_name_violation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pointstore.core.catalog import CollectionChange, VectorChange
    from pointstore.core.schema import CollectionConfig, HnswConfig, StorageParams, VectorParams

    Violations = Iterator[tuple[str, str]]

_full_scan_threshold: Final = at_least(10)


def check_config(config: CollectionConfig) -> None:
    """Check the configuration of a new collection.

    Raises:
        WrongInputError: a vector has an impossible name or both kinds, or a setting is out of range.

    """
    for name in config.vectors:
        check_vector_name(name, "dense vector")
    for name in config.sparse:
        if not name:
            raise WrongInputError("Sparse vector name cannot be empty")
        check_vector_name(name, "sparse vector")
        if name in config.vectors:
            raise WrongInputError(f"Dense and sparse vector names must be unique - duplicate found with '{name}'")
    _raise_all(
        [
            *_hnsw(config.hnsw_config, "hnsw_config"),
            *_payload(config.payload),
            *_dense(config.vectors, "vectors" if config.single_vector else "vectors.[]"),
        ]
    )


def check_change(change: CollectionChange, *, single_vector: bool) -> None:
    """Check the change of a collection.

    Args:
        change: what is asked for.
        single_vector: whether the change of a vector came in the unnamed form.

    Raises:
        WrongInputError: a setting is out of range.

    """
    _raise_all(
        [
            *_hnsw(change.hnsw_config, "hnsw_config"),
            *_payload(change.payload),
            *_dense(change.vectors or {}, "vectors" if single_vector else "vectors.[]"),
        ]
    )


def check_vector_name(name: str, kind: str) -> None:
    """Check the name of a new vector space.

    Args:
        name: may be empty; where it may not, that is another error.
        kind: what the text calls it: `dense vector`, `sparse vector`, `vector`.

    Raises:
        WrongInputError: it is too long or has a forbidden character.

    """
    reason = vector_name_violation(name)
    if reason is not None:
        raise WrongInputError(f"Invalid {kind} name `{name}`: {reason}")


def _raise_all(found: list[tuple[str, str]]) -> None:
    if found:
        raise WrongInputError(ValidationError(found).message)


def _hnsw(config: HnswConfig | None, path: str) -> Violations:
    if config is not None and config.full_scan_threshold is not None:
        reason = _full_scan_threshold(config.full_scan_threshold)
        if reason is not None:
            yield f"{path}.full_scan_threshold", reason


def _payload(params: StorageParams | None) -> Violations:
    if params is not None and params.memory is Memory.PINNED:
        yield "payload.memory", "`pinned` memory placement is not supported for payload storage"


def _dense(spaces: Mapping[str, VectorParams] | Mapping[str, VectorChange], path: str) -> Violations:
    # A map reports its first failing entry only.
    for space in spaces.values():
        found = [*_hnsw(space.hnsw_config, f"{path}.hnsw_config")]
        if space.memory is Memory.PINNED:
            found.append((f"{path}.memory", "`pinned` memory placement is not supported for dense vector storage"))
        if found:
            yield from found
            return
