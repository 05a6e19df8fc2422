"""The declarative field rules, as data (specification part 1, 2.3 and 7; part 2, 1.3; part 3, 1.3).

`FIELDS` says what a single field must look like, `MESSAGES` what the fields of one message must be together,
`NOT_ENTERED` where validation stops. A rule gets what protobuf hands out and never iterates floats. Rules that need a
conversion or a collection are not here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from pointstore.core.names import LOOSE_FORBIDDEN, NAME_LENGTH_MAX, STRICT_FORBIDDEN, forbidden_char
from pointstore.wire.vector_rules import legacy_multi_violation, multi_violation, sparse_violation
from qdrant_grpc import collections_service_pb2, points_service_pb2, snapshots_service_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from qdrant_grpc.collections_pb2 import IntegerIndexParams, MoveShard, ReplicateShard
    from qdrant_grpc.points_pb2 import MultiDenseVector, SearchPoints, SparseVector, Vector
    from qdrant_grpc.qdrant_common_pb2 import (
        DatetimeRange,
        FieldCondition,
        GeoLineString,
        GeoPoint,
        SliceCondition,
    )

    FieldRule = Callable[[Any], str | None]
    """Value of a field to the reason why it is refused. Optional fields are looked at only where present."""

    _Check = Literal[
        "match",
        "range",
        "geo_bounding_box",
        "geo_radius",
        "values_count",
        "geo_polygon",
        "datetime_range",
        "is_empty",
        "is_null",
    ]

    MessageRule = Callable[[Any], list[tuple[str, str]]]
    """A message to the offending fields and their reasons."""

_VECTOR_NAME_BYTES_MAX: Final = 200

_SECONDS: Final = range(-62_135_596_800, 253_402_300_800)
"""Years 0001 to 9999."""

_NANOS: Final = range(1_000_000_000)
_LAT_MAX: Final = 90.0
_LON_MAX: Final = 180.0
_RING_POINTS_MIN: Final = 4
_CANDIDATES_MAX: Final = 16_384
_SIZE_MAX: Final = 65_536
_SHARDS_MAX: Final = 65_536
"""The specification names no maximum, but CollectionClusterInfo lists every shard."""
_DENSE_ONLY_DATATYPES: Final[dict[int, str]] = {4: "turbo4", 5: "turbo8", 6: "turbo16"}


def at_least(least: float) -> FieldRule:
    """Return the rule of a numeric minimum."""

    def rule(value: float) -> str | None:
        return f"value {value} invalid, must be {least} or larger" if value < least else None

    return rule


def at_most(most: float) -> FieldRule:
    """Return the rule of a numeric maximum."""

    def rule(value: float) -> str | None:
        return f"value {value} invalid, must be {most} or smaller" if value > most else None

    return rule


def all_of(*rules: FieldRule) -> FieldRule:
    """Return the rule that gives the reason of the first of some rules that has one."""

    def rule(value: Any) -> str | None:  # noqa: ANN401  whatever its rules take
        return next((text for each in rules if (text := each(value))), None)

    return rule


def between(least: float, most: float) -> FieldRule:
    """Return the rule of an inclusive numeric range; NaN passes, as in the reference."""

    def rule(value: float) -> str | None:
        if value < least or value > most:
            return f"value {value} invalid, must be from {least} to {most}"
        return None

    return rule


def not_empty(value: str) -> str | None:
    """Refuse the empty string."""
    return None if value else 'value "" invalid, must be at least 1 characters'


def _some_elements(value: Any) -> str | None:  # noqa: ANN401  a repeated field of any kind
    return None if value else "value [] invalid, must be at least 1 characters"


def _name(forbidden: str) -> FieldRule:
    def rule(value: str) -> str | None:
        if not 1 <= len(value) <= NAME_LENGTH_MAX:
            quoted = json.dumps(value, ensure_ascii=False)
            return f"value {quoted} invalid, must be from 1 to {NAME_LENGTH_MAX} characters"
        char = forbidden_char(value, forbidden)
        return None if char is None else f'collection name cannot contain "{char}" char'

    return rule


collection_name = _name(LOOSE_FORBIDDEN)
new_collection_name = _name(STRICT_FORBIDDEN)


def vector_name_violation(name: str) -> str | None:
    """Return why a dense or sparse vector cannot be called so; the empty name passes."""
    if len(name.encode()) > _VECTOR_NAME_BYTES_MAX:
        return f"vector name must be at most {_VECTOR_NAME_BYTES_MAX} bytes long"
    char = forbidden_char(name)
    return None if char is None else f'vector name cannot contain "{char}" char'


def _min_count(value: int) -> str | None:
    return None if value else "min_count must be greater than 0"


def _sparse_datatype(value: int) -> str | None:
    name = _DENSE_ONLY_DATATYPES.get(value)
    return None if name is None else f"sparse vectors do not support the `{name}` datatype"


def _sparse(message: SparseVector) -> list[tuple[str, str]]:
    found = sparse_violation(np.array(message.indices, dtype=np.uint32), len(message.values))
    return [found] if found else []


def _multi(message: MultiDenseVector) -> list[tuple[str, str]]:
    reason = multi_violation([len(row.data) for row in message.vectors])
    return [("data", reason)] if reason else []


def _vector(message: Vector) -> list[tuple[str, str]]:
    """Both encodings: the new one contributes no path element of its own, the legacy fields are checked if present."""
    found: list[tuple[str, str]] = []
    match message.WhichOneof("vector"):
        case "sparse":
            found += _sparse(message.sparse)
        case "multi_dense":
            found += _multi(message.multi_dense)
    legacy_sparse, legacy_multi = message.HasField("indices"), message.HasField("vectors_count")
    if legacy_sparse and legacy_multi:
        found.append(("indices", "`indices` and `vectors_count` cannot be both specified"))
    elif legacy_sparse:
        violation = sparse_violation(np.array(message.indices.data, dtype=np.uint32), len(message.data))
        found += [violation] if violation else []
    elif legacy_multi:
        reason = legacy_multi_violation(len(message.data), message.vectors_count)
        found += [("data", reason)] if reason else []
    return found


def _search(message: SearchPoints) -> list[tuple[str, str]]:
    """With `sparse_indices`, the components of `vector` are the weights of a sparse query."""
    if not message.HasField("sparse_indices"):
        return []
    found = sparse_violation(np.array(message.sparse_indices.data, dtype=np.uint32), len(message.vector))
    return [found] if found else []


_CHECKS: Final[tuple[_Check, ...]] = (
    "match",
    "range",
    "geo_bounding_box",
    "geo_radius",
    "values_count",
    "geo_polygon",
    "datetime_range",
    "is_empty",
    "is_null",
)


def _field_condition(message: FieldCondition) -> list[tuple[str, str]]:
    if any(message.HasField(check) for check in _CHECKS):
        return []
    return [("match", "At least one field condition must be specified")]


def geo_point_violations(message: GeoPoint) -> list[tuple[str, str]]:
    """Return what is wrong with a place: coordinates out of range, or no numbers."""
    lat, lon = message.lat, message.lon
    if -_LAT_MAX <= lat <= _LAT_MAX and -_LON_MAX <= lon <= _LON_MAX:
        return []
    field = "lon" if -_LAT_MAX <= lat <= _LAT_MAX else "lat"
    text = (
        f"Wrong format of GeoPoint payload: expected `lat` = {lat} within [-90;90] and `lon` = {lon} within [-180;180]"
    )
    return [(field, text)]


def ring_violations(message: GeoLineString) -> list[tuple[str, str]]:
    """Return what is wrong with a ring of a polygon: too few points, or not closed."""
    points = message.points
    if not points:
        return [("points", "value invalid, must not be empty")]
    if len(points) < _RING_POINTS_MIN:
        return [("points", f"value invalid, the size must be at least {_RING_POINTS_MIN}, got {len(points)}")]
    if points[0] != points[-1]:
        text = "value invalid, the first and the last points should be same to form a closed line"
        return [("points", text)]
    return []


def slice_violations(message: SliceCondition) -> list[tuple[str, str]]:
    """Return what is wrong with a slice: none to divide into, or one that is not among them."""
    if message.total == 0:
        return [("total", "must be greater than 0")]
    if message.index >= message.total:
        return [("index", "must be less than the total number of slices")]
    return []


def _datetime_range(message: DatetimeRange) -> list[tuple[str, str]]:
    return [
        (field.name, f"value {bound.seconds}s {bound.nanos}ns invalid, must be from year 0001 to 9999")
        for field, bound in message.ListFields()
        if bound.seconds not in _SECONDS or bound.nanos not in _NANOS
    ]


def _transfer(message: MoveShard | ReplicateShard) -> list[tuple[str, str]]:
    if message.from_peer_id != message.to_peer_id:
        return []
    text = (
        f'cannot transfer shard to itself, "to_peer_id" must be different than {message.from_peer_id} in "from_peer_id"'
    )
    return [("to_peer_id", text)]


def _integer_index(message: IntegerIndexParams) -> list[tuple[str, str]]:
    # Unset means true, so only two explicit falses switch everything off.
    if message.HasField("lookup") and message.HasField("range") and not (message.lookup or message.range):
        return [("lookup", "the 'lookup' and 'range' capabilities can't be both disabled")]
    return []


_ONE: Final = at_least(1)

_UNCHECKED_NAMES: Final = frozenset(
    {
        "CollectionClusterInfoRequest",
        "ListShardKeysRequest",
        "CreateShardKeyRequest",
        "DeleteShardKeyRequest",
        "UpdateCollectionClusterSetupRequest",
    }
)
"""Requests whose collection name is looked up as it is: a bad one is just not found."""

_POSITIVE_TIMEOUTS: Final = (
    "UpdateCollection",
    "DeleteCollection",
    "ChangeAliases",
    "UpdateCollectionClusterSetupRequest",
    "SearchPoints",
    "SearchBatchPoints",
    "SearchPointGroups",
    "RecommendPoints",
    "RecommendBatchPoints",
    "RecommendPointGroups",
    "DiscoverPoints",
    "DiscoverBatchPoints",
    "QueryPoints",
    "QueryBatchPoints",
    "QueryPointGroups",
    "FacetCounts",
    "SearchMatrixPoints",
)


def _named_requests() -> Iterator[str]:
    for file in (collections_service_pb2, points_service_pb2, snapshots_service_pb2):
        for service in file.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                if "collection_name" in method.input_type.fields_by_name:
                    yield method.input_type.name


def _rows() -> Iterator[tuple[str, str, FieldRule]]:
    for message in _named_requests():
        if message == "CreateCollection":
            yield message, "collection_name", new_collection_name
        elif message not in _UNCHECKED_NAMES:
            yield message, "collection_name", collection_name
    for message in _POSITIVE_TIMEOUTS:
        yield message, "timeout", _ONE
    yield from _collection_rows()
    yield from _read_rows()


def _collection_rows() -> Iterator[tuple[str, str, FieldRule]]:
    yield "CreateCollection", "shard_number", all_of(_ONE, at_most(_SHARDS_MAX))
    for field in ("replication_factor", "write_consistency_factor"):
        yield "CreateCollection", field, _ONE
    for field in ("replication_factor", "write_consistency_factor"):
        yield "CollectionParamsDiff", field, _ONE
    for message in ("VectorParams", "DenseVectorCreationConfig"):
        yield message, "size", between(1, _SIZE_MAX)
    for message in ("SparseIndexConfig", "SparseVectorCreationConfig"):
        yield message, "datatype", _sparse_datatype
    yield "HnswConfigDiff", "ef_construct", at_least(4)
    yield "WalConfigDiff", "wal_capacity_mb", _ONE
    yield "WalConfigDiff", "wal_retain_closed", _ONE
    yield "OptimizersConfigDiff", "deleted_threshold", between(0.0, 1.0)
    yield "OptimizersConfigDiff", "vacuum_min_vector_number", at_least(100)
    yield "OptimizersConfigDiff", "max_segment_size", _ONE
    yield "ScalarQuantization", "quantile", between(0.5, 1.0)
    for field in ("max_query_limit", "max_timeout", "max_points_count", "read_rate_limit", "write_rate_limit"):
        yield "StrictModeConfig", field, _ONE
    yield "StrictModeConfig", "max_resident_memory_percent", between(1, 100)
    yield "StrictModeSparse", "max_length", _ONE
    yield "StrictModeMultivector", "max_vectors", _ONE
    yield "CreateFieldIndexCollection", "field_name", not_empty
    yield "DeleteFieldIndexCollection", "field_name", not_empty
    yield "UpdateBatchPoints", "operations", _some_elements
    for message in ("DeleteSnapshotRequest", "DeleteFullSnapshotRequest"):
        yield message, "snapshot_name", not_empty


def _read_rows() -> Iterator[tuple[str, str, FieldRule]]:
    # Recommend is left out on purpose: its limit may be 0.
    for message in ("SearchPoints", "DiscoverPoints", "ScrollPoints", "QueryPoints", "PrefetchQuery"):
        yield message, "limit", _ONE
    for message in ("SearchPointGroups", "RecommendPointGroups", "QueryPointGroups"):
        yield message, "limit", _ONE
        yield message, "group_size", _ONE
        yield message, "group_by", not_empty
    yield "SearchMatrixPoints", "sample", at_least(2)
    yield "SearchMatrixPoints", "limit", _ONE
    yield "FacetCounts", "key", not_empty
    yield "SearchParams", "hnsw_ef", _ONE
    yield "QuantizationSearchParams", "oversampling", at_least(1.0)
    yield "AcornSearchParams", "max_selectivity", between(0.0, 1.0)
    yield "Mmr", "diversity", between(0.0, 1.0)
    yield "Mmr", "candidates_limit", at_most(_CANDIDATES_MAX)
    yield "Rrf", "k", _ONE
    yield "NaiveFeedbackStrategy", "b", at_least(0.0)
    yield "MinShould", "min_count", _min_count


FIELDS: Final[dict[tuple[str, str], FieldRule]] = {
    (f"qdrant.{message}", field): rule for message, field, rule in _rows()
}

MESSAGES: Final[dict[str, MessageRule]] = {
    "qdrant.Vector": _vector,
    "qdrant.SparseVector": _sparse,
    "qdrant.MultiDenseVector": _multi,
    "qdrant.SearchPoints": _search,
    "qdrant.FieldCondition": _field_condition,
    "qdrant.GeoPoint": geo_point_violations,
    "qdrant.GeoLineString": ring_violations,
    "qdrant.SliceCondition": slice_violations,
    "qdrant.DatetimeRange": _datetime_range,
    "qdrant.MoveShard": _transfer,
    "qdrant.ReplicateShard": _transfer,
    "qdrant.IntegerIndexParams": _integer_index,
}

NOT_ENTERED: Final = frozenset(
    {
        # Operations of a batch are checked one by one when their turn comes, by conversion.
        ("qdrant.UpdateBatchPoints", "operations"),
        # Checked with the formula, under other texts.
        ("qdrant.GeoDistance", "origin"),
        # `_vector` has looked at both encodings.
        ("qdrant.Vector", "sparse"),
        ("qdrant.Vector", "multi_dense"),
    }
)
