"""Strict mode: limits of requests, applied only while a collection has them enabled.

Sections 9 of specification part 1 (writes), 17 of part 2 and 1.6 of part 3 (reads) give texts and order of the checks.
Rates are counted in `engine/rate_limit.py`; here is only what a request costs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pointstore.core.errors import BadRequestError
from pointstore.core.fields import FieldIndexes
from pointstore.core.filter import Filter, leaf_count, list_size_max, payload_paths
from pointstore.core.operation import AddField, AddVector, DropVector, Nothing, Operation
from pointstore.core.operation import DropField as DropFieldOperation
from pointstore.core.query import NearestQuery, Query, SearchParams
from pointstore.core.schema import CollectionConfig, StrictModeConfig, effective_hnsw
from pointstore.core.update import (
    CreateField,
    CreateVector,
    DropField,
    OverwritePayload,
    SetPayload,
    Update,
    UpdateVectors,
    Upsert,
)
from pointstore.core.update import DropVector as DropVectorUpdate
from pointstore.core.vector import FLOAT_BYTES, Multi, NamedVectors, Sparse
from pointstore.engine.index_demand import Trait, TraitsAt, check_indexed, traits_of
from pointstore.engine.usage import State, memory_percent, payload_bytes, vector_bytes

_MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Read:
    """What is limited of a read that is no search; None and False where there is nothing to limit."""

    limit: int | None = None
    filter: Filter | None = None
    exact: bool = False
    timeout_s: int | None = None


@dataclass(frozen=True, slots=True)
class Searches:
    """The searches of one request.

    Attributes:
        queries: one, or those of a batch.
        timeout_s: for all of them.
        batch: it is one, of any number.
        universal: they came through a Query method, to which a rule of its own applies.
    """

    queries: Sequence[Query]
    timeout_s: int | None = None
    batch: bool = False
    universal: bool = False


def limits_of(config: CollectionConfig) -> StrictModeConfig | None:
    """Return the limits of a collection, None while they are off."""
    limits = config.strict_mode_config
    return limits if limits is not None and limits.enabled else None


def check_timeout(timeout_s: int | None, config: CollectionConfig) -> None:
    """Refuse a request that asks for too much time; of a write's checks the first, of a read's the last.

    Raises:
        BadRequestError: it does.
    """
    limits = limits_of(config)
    if limits is not None and timeout_s is not None:
        check_limit(timeout_s, limits.max_timeout, "timeout")


def check_update(update: Update, state: State) -> None:
    """Refuse an update that a limit of the collection forbids, the one on its timeout apart.

    Raises:
        BadRequestError: a limit is exceeded.
    """
    limits = limits_of(state.config)
    if limits is None:
        return
    if isinstance(update, Upsert | UpdateVectors | SetPayload | OverwritePayload):
        _check_memory(limits)
    if isinstance(update, Upsert | UpdateVectors):
        what = "upsert limit" if isinstance(update, Upsert) else "update limit"
        check_limit(len(update.ids), limits.upsert_max_batchsize, what)
        if limits.max_points_count is not None and state.head.points >= limits.max_points_count:
            raise BadRequestError(f"Max points count limit of {limits.max_points_count} reached!")
        _check_sizes(state, limits, vectors=True)
        _check_vectors(update.vectors, limits)
    elif isinstance(update, SetPayload | OverwritePayload):
        _check_sizes(state, limits, vectors=False)
    condition = _selecting_filter(update)
    if condition is not None:
        _check_filter(condition, limits, traits_of(state.fields), unindexed=limits.unindexed_filtering_update)
    if isinstance(update, CreateField):
        _check_index_count(state.fields, limits)


def write_cost(update: Update, operation: Operation | None) -> int:
    """Return the number of points that a write takes from its rate.

    Args:
        update: what was asked for.
        operation: what it came to, None if it cannot be applied.
    """
    if isinstance(update, Upsert | UpdateVectors):
        return len(update.ids)
    if isinstance(update, CreateVector | DropVectorUpdate | CreateField | DropField):
        return 1
    if not isinstance(update.selector, Filter):
        return max(1, len(update.selector))
    if operation is None or isinstance(operation, AddVector | DropVector | AddField | DropFieldOperation | Nothing):
        return 1
    return max(1, len(operation.ids))


def check_read(read: Read, config: CollectionConfig, traits_at: TraitsAt) -> None:
    """Refuse a read that a limit of the collection forbids.

    Raises:
        BadRequestError: a limit is exceeded.
    """
    limits = limits_of(config)
    if limits is None:
        return
    if read.limit is not None:
        check_limit(read.limit, limits.max_query_limit, "limit")
    if read.filter is not None:
        _check_filter(read.filter, limits, traits_at, unindexed=limits.unindexed_filtering_retrieve)
    _check_exact(limits, exact=read.exact)
    check_timeout(read.timeout_s, config)


def check_searches(searches: Searches, config: CollectionConfig, traits_at: TraitsAt) -> None:
    """Refuse searches one of which a limit of the collection forbids.

    Raises:
        BadRequestError: a limit is exceeded.
    """
    limits = limits_of(config)
    if limits is None:
        return
    if searches.batch:
        check_limit(len(searches.queries), limits.search_max_batchsize, "search batch size")
    for query in searches.queries:
        if searches.universal and limits.search_allow_exact is False and isinstance(query, NearestQuery):
            _check_graph(query, config, traits_at)
        check_limit(query.limit, limits.max_query_limit, "limit")
        if query.filter is not None:
            _check_filter(query.filter, limits, traits_at, unindexed=limits.unindexed_filtering_retrieve)
        corpus = query.params.idf_corpus
        if corpus is not None and limits.unindexed_filtering_retrieve is False:
            check_indexed(corpus, traits_at)
        _check_params(query.params, limits)
    check_timeout(searches.timeout_s, config)


def read_cost(condition: Filter | None) -> int:
    """Return what a read through a filter takes from the rate; a read by ids takes their number instead."""
    return 1 if condition is None else 1 + leaf_count(condition)


def check_limit(value: float, limit: float | None, what: str) -> None:
    """Refuse a request parameter above its limit.

    Raises:
        BadRequestError: it is.
    """
    if limit is not None and value > limit:
        most = _plain(limit)
        raise BadRequestError(
            f'Limit exceeded {_plain(value)} > {most} for "{what}". '
            f'Help: Reduce the "{what}" parameter to or below {most}.'
        )


def _check_memory(limits: StrictModeConfig) -> None:
    most = limits.max_resident_memory_percent
    if most is not None and memory_percent() > most:
        raise BadRequestError(f"Max resident memory limit of {most}% reached!")


def _check_sizes(state: State, limits: StrictModeConfig, *, vectors: bool) -> None:
    most = limits.max_collection_vector_size_bytes
    if vectors and most is not None and vector_bytes(state) >= most:
        raise BadRequestError(f"Max vector storage size limit of {_plain(most / _MEGABYTE)}MB reached!")
    most = limits.max_collection_payload_size_bytes
    if most is not None and payload_bytes(state) >= most:
        raise BadRequestError(f"Max payload storage size limit of {_plain(most / _MEGABYTE)}MB reached!")


def _check_vectors(points: Sequence[NamedVectors], limits: StrictModeConfig) -> None:
    if limits.multivector_config:
        most = {name: limit.max_vectors for name, limit in limits.multivector_config.items()}
        for name, vector in ((name, vector) for vectors in points for name, vector in vectors.items()):
            limit = most.get(name)
            if limit is None or not isinstance(vector, Multi):
                continue
            rows = len(vector.data) // (FLOAT_BYTES * vector.dim)
            if rows > limit:
                raise BadRequestError(f"Multivector '{name}' has a limit of {limit} vectors, but {rows} were provided!")
    if limits.sparse_config:
        most = {name: limit.max_length for name, limit in limits.sparse_config.items()}
        for name, vector in ((name, vector) for vectors in points for name, vector in vectors.items()):
            limit = most.get(name)
            if limit is not None and isinstance(vector, Sparse) and vector.indices.size > limit:
                raise BadRequestError(
                    f"Sparse vector '{name}' has a limit of {limit} indices, but {vector.indices.size} were provided!"
                )


def _check_index_count(fields: FieldIndexes, limits: StrictModeConfig) -> None:
    most = limits.max_payload_index_count
    if most is not None and sum(index.schema is not None for index in fields.indexes) >= most:
        raise BadRequestError(
            f"Collection already has the maximum number of payload indices ({most}). "
            "Help: Please delete an existing index before creating a new one."
        )


def _selecting_filter(update: Update) -> Filter | None:
    """Return the filter that selects the points of an update; conditions of upserts are not limited."""
    if isinstance(update, Upsert | UpdateVectors | CreateVector | DropVectorUpdate | CreateField | DropField):
        return None
    return update.selector if isinstance(update.selector, Filter) else None


def _check_filter(condition: Filter, limits: StrictModeConfig, traits_at: TraitsAt, *, unindexed: bool | None) -> None:
    if unindexed is False:
        check_indexed(condition, traits_at)
    most = limits.filter_max_conditions
    if most is not None and (count := leaf_count(condition)) > most:
        raise BadRequestError(
            f"Filter condition limit reached ({count} > {most}). Help: Reduce the amount of conditions of your filter."
        )
    most = limits.condition_max_size
    if most is not None and (size := list_size_max(condition)) > most:
        raise BadRequestError(
            f"Condition size limit reached ({size} > {most}). Help: Reduce the size of your condition."
        )


def _check_exact(limits: StrictModeConfig, *, exact: bool) -> None:
    if exact and limits.search_allow_exact is False:
        raise BadRequestError("Exact search disabled!. Help: Set exact=false.")


def _check_params(params: SearchParams, limits: StrictModeConfig) -> None:
    _check_exact(limits, exact=params.exact)
    if params.hnsw_ef is not None:
        check_limit(params.hnsw_ef, limits.search_max_hnsw_ef, "hnsw_ef")
    if params.oversampling is not None:
        check_limit(params.oversampling, limits.search_max_oversampling, "oversampling")


def _check_graph(query: NearestQuery, config: CollectionConfig, traits_at: TraitsAt) -> None:
    """Refuse a search that must look at every row, since the space has no graph; one within a tenant may have."""
    if query.using not in config.vectors or isinstance(query.target, Sparse):
        return
    hnsw = effective_hnsw(config, query.using)
    if hnsw.m != 0:
        return
    keys = payload_paths(query.filter) if hnsw.payload_m and query.filter is not None else ()
    if any(Trait.TENANT in traits_at(path) for path in keys):
        return
    where = f" on '{query.using}'" if query.using else ""
    raise BadRequestError(
        f"Request is forbidden{where} because global vector indexing is disabled (hnsw_config.m = 0). "
        "Help: Give m a value above 0, or filter by a key with a tenant index and set payload_m."
    )


def _plain(number: float) -> str:
    """Write a number without exponent and trailing zeros."""
    return str(number) if isinstance(number, int) else np.format_float_positional(number, trim="-")
