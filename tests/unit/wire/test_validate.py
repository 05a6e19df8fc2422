"""The declarative rules: texts and paths as the specification prints them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from pointstore.core.errors import ValidationError
from pointstore.wire.rules import FIELDS, MESSAGES, NOT_ENTERED
from pointstore.wire.validate import (
    legacy_multi_violation,
    multi_violation,
    sparse_violation,
    validate,
    vector_name_violation,
    violations,
)
from qdrant_grpc import POOL, Timestamp
from qdrant_grpc import collections_pb2 as c
from qdrant_grpc import points_pb2 as p
from qdrant_grpc import qdrant_common_pb2 as q
from qdrant_grpc import snapshots_service_pb2 as s

if TYPE_CHECKING:
    from google.protobuf.message import Message

ONE = "value 0 invalid, must be 1 or larger"
LENGTH = 'value "" invalid, must be from 1 to 255 characters'
SAME_LENGTH = "Validation error: must be the same length as indices [{}]"


def in_filter(condition: q.Condition) -> p.CountPoints:
    return p.CountPoints(collection_name="a", filter=q.Filter(must=[condition]))


def field(**checks: object) -> p.CountPoints:
    return in_filter(q.Condition(field=q.FieldCondition(key="k", **checks)))  # type: ignore[arg-type]


def named(vector: p.Vector) -> p.UpsertPoints:
    point = p.PointStruct(vectors=p.Vectors(vectors=p.NamedVectors(vectors={"s": vector})))
    return p.UpsertPoints(collection_name="a", points=[point])


def dense(**fields: object) -> c.CreateCollection:
    vector_params = c.VectorParams(**{"size": 4, "distance": c.Dot, **fields})  # type: ignore[arg-type]
    return c.CreateCollection(collection_name="a", vectors_config=c.VectorsConfig(params=vector_params))


def point(lat: float, lon: float) -> q.GeoPoint:
    return q.GeoPoint(lat=lat, lon=lon)


SQUARE = q.GeoLineString(points=[point(0, 0), point(0, 1), point(1, 1), point(0, 0)])

CASES: list[tuple[Message, list[tuple[str, str]]]] = [
    (p.UpsertPoints(), [("collection_name", LENGTH)]),
    (p.GetPoints(collection_name="a/b"), [("collection_name", 'collection name cannot contain "/" char')]),
    (p.GetPoints(collection_name='<>:"\\|?*'), []),
    (p.GetPoints(collection_name="ё" * 255), []),
    (
        p.GetPoints(collection_name="ё" * 256),
        [("collection_name", f'value "{"ё" * 256}" invalid, must be from 1 to 255 characters')],
    ),
    (c.CreateCollection(collection_name="a?"), [("collection_name", 'collection name cannot contain "?" char')]),
    (c.CreateCollection(collection_name="two words. ünï"), []),
    (c.CollectionClusterInfoRequest(), []),
    (c.ListShardKeysRequest(collection_name="/"), []),
    (dense(size=0), [("vectors_config.config.size", "value 0 invalid, must be from 1 to 65536")]),
    (
        c.CreateCollection(
            collection_name="a",
            vectors_config=c.VectorsConfig(
                params_map=c.VectorParamsMap(map={"x": c.VectorParams(size=70_000), "y": c.VectorParams(size=0)})
            ),
        ),
        [("vectors_config.config.map.[].size", "value {first} invalid, must be from 1 to 65536")],
    ),
    (
        dense(hnsw_config=c.HnswConfigDiff(ef_construct=3)),
        [("vectors_config.config.hnsw_config.ef_construct", "value 3 invalid, must be 4 or larger")],
    ),
    (
        dense(
            quantization_config=c.QuantizationConfig(scalar=c.ScalarQuantization(type=c.Int8, quantile=0.25)),
        ),
        [
            (
                "vectors_config.config.quantization_config.quantization.quantile",
                "value 0.25 invalid, must be from 0.5 to 1.0",
            )
        ],
    ),
    (
        c.CreateCollection(
            collection_name="a",
            shard_number=0,
            replication_factor=0,
            write_consistency_factor=0,
            timeout=0,
            wal_config=c.WalConfigDiff(wal_capacity_mb=0, wal_retain_closed=0, wal_segments_ahead=0),
        ),
        [
            ("shard_number", ONE),
            ("replication_factor", ONE),
            ("write_consistency_factor", ONE),
            ("wal_config.wal_capacity_mb", ONE),
            ("wal_config.wal_retain_closed", ONE),
        ],
    ),
    (
        c.UpdateCollection(
            collection_name="a",
            timeout=0,
            params=c.CollectionParamsDiff(replication_factor=0),
            optimizers_config=c.OptimizersConfigDiff(
                deleted_threshold=1.5, vacuum_min_vector_number=99, max_segment_size=0
            ),
        ),
        [
            ("timeout", ONE),
            ("params.replication_factor", ONE),
            ("optimizers_config.deleted_threshold", "value 1.5 invalid, must be from 0.0 to 1.0"),
            ("optimizers_config.vacuum_min_vector_number", "value 99 invalid, must be 100 or larger"),
            ("optimizers_config.max_segment_size", ONE),
        ],
    ),
    (
        c.UpdateCollection(
            collection_name="a",
            strict_mode_config=c.StrictModeConfig(
                max_query_limit=0,
                read_rate_limit=0,
                max_resident_memory_percent=101,
                sparse_config=c.StrictModeSparseConfig(sparse_config={"s": c.StrictModeSparse(max_length=0)}),
                multivector_config=c.StrictModeMultivectorConfig(
                    multivector_config={"m": c.StrictModeMultivector(max_vectors=0)}
                ),
            ),
        ),
        [
            ("strict_mode_config.max_query_limit", ONE),
            ("strict_mode_config.read_rate_limit", ONE),
            ("strict_mode_config.max_resident_memory_percent", "value 101 invalid, must be from 1 to 100"),
            ("strict_mode_config.sparse_config.sparse_config.[].max_length", ONE),
            ("strict_mode_config.multivector_config.multivector_config.[].max_vectors", ONE),
        ],
    ),
    (
        c.CreateCollection(
            collection_name="a",
            sparse_vectors_config=c.SparseVectorConfig(
                map={"s": c.SparseVectorParams(index=c.SparseIndexConfig(datatype=c.Turbo4))}
            ),
        ),
        [("sparse_vectors_config.map.[].index.datatype", "sparse vectors do not support the `turbo4` datatype")],
    ),
    (
        p.CreateVectorNameRequest(collection_name="a", sparse_config=p.SparseVectorCreationConfig(datatype=c.Float16)),
        [],
    ),
    (c.DeleteCollection(collection_name="a", timeout=0), [("timeout", ONE)]),
    (c.ChangeAliases(timeout=0), [("timeout", ONE)]),
    (
        c.UpdateCollectionClusterSetupRequest(
            collection_name="/", timeout=0, move_shard=c.MoveShard(from_peer_id=7, to_peer_id=7)
        ),
        [
            ("timeout", ONE),
            (
                "operation.to_peer_id",
                'cannot transfer shard to itself, "to_peer_id" must be different than 7 in "from_peer_id"',
            ),
        ],
    ),
    (s.DeleteFullSnapshotRequest(), [("snapshot_name", 'value "" invalid, must be at least 1 characters')]),
    (
        p.CreateFieldIndexCollection(
            collection_name="a",
            field_index_params=c.PayloadIndexParams(
                integer_index_params=c.IntegerIndexParams(lookup=False, range=False)
            ),
        ),
        [
            ("field_name", 'value "" invalid, must be at least 1 characters'),
            (
                "field_index_params.index_params.lookup",
                "the 'lookup' and 'range' capabilities can't be both disabled",
            ),
        ],
    ),
    (p.UpdateBatchPoints(collection_name="a"), [("operations", "value [] invalid, must be at least 1 characters")]),
    (
        p.UpdateBatchPoints(
            collection_name="a",
            operations=[
                p.PointsUpdateOperation(
                    upsert=p.PointsUpdateOperation.PointStructList(
                        points=named(p.Vector(sparse=p.SparseVector(indices=[1]))).points
                    )
                )
            ],
        ),
        [],
    ),
    (
        named(p.Vector(sparse=p.SparseVector(indices=[1, 2, 3, 4], values=[1, 2, 3]))),
        [("points[0].vectors.vectors_options.vectors.[].values", SAME_LENGTH)],
    ),
    (
        named(p.Vector(data=[1, 2, 3], indices=p.SparseIndices(data=[1, 2, 3, 4]))),
        [("points[0].vectors.vectors_options.vectors.[].values", SAME_LENGTH)],
    ),
    (
        named(p.Vector(sparse=p.SparseVector(indices=[5, 1, 5], values=[1, 2, 3]))),
        [("points[0].vectors.vectors_options.vectors.[].indices", "Validation error: must be unique [{}]")],
    ),
    (named(p.Vector(sparse=p.SparseVector())), []),
    (
        named(p.Vector(data=[1], indices=p.SparseIndices(data=[1]), vectors_count=1)),
        [
            (
                "points[0].vectors.vectors_options.vectors.[].indices",
                "`indices` and `vectors_count` cannot be both specified",
            )
        ],
    ),
    (
        named(p.Vector(multi_dense=p.MultiDenseVector())),
        [("points[0].vectors.vectors_options.vectors.[].data", "multi vector must not be empty")],
    ),
    (p.SearchPoints(collection_name="a"), [("limit", ONE)]),
    (p.RecommendPoints(collection_name="a"), []),
    (p.ScrollPoints(collection_name="a", timeout=0), []),
    (p.ScrollPoints(collection_name="a", limit=0), [("limit", ONE)]),
    (p.QueryPoints(collection_name="a", timeout=0), [("timeout", ONE)]),
    (
        p.QueryBatchPoints(collection_name="a", query_points=[p.QueryPoints(collection_name="a"), p.QueryPoints()]),
        [("query_points[1].collection_name", LENGTH)],
    ),
    (
        p.QueryPoints(
            collection_name="a",
            prefetch=[p.PrefetchQuery(prefetch=[p.PrefetchQuery(limit=0)])],
            query=p.Query(rrf=p.Rrf(k=0)),
            params=p.SearchParams(
                hnsw_ef=0,
                quantization=p.QuantizationSearchParams(oversampling=0.5),
                acorn=p.AcornSearchParams(max_selectivity=2),
            ),
        ),
        [
            ("prefetch[0].prefetch[0].limit", ONE),
            ("params.hnsw_ef", ONE),
            ("params.quantization.oversampling", "value 0.5 invalid, must be 1.0 or larger"),
            ("params.acorn.max_selectivity", "value 2.0 invalid, must be from 0.0 to 1.0"),
            ("query.variant.k", ONE),
        ],
    ),
    (
        p.QueryPoints(
            collection_name="a",
            query=p.Query(nearest=p.VectorInput(sparse=p.SparseVector(indices=[1, 1], values=[1, 1]))),
        ),
        [("query.variant.variant.indices", "Validation error: must be unique [{}]")],
    ),
    (
        p.QueryPoints(
            collection_name="a",
            query=p.Query(nearest_with_mmr=p.NearestInputWithMmr(mmr=p.Mmr(diversity=-1, candidates_limit=16_385))),
        ),
        [
            ("query.variant.mmr.diversity", "value -1.0 invalid, must be from 0.0 to 1.0"),
            ("query.variant.mmr.candidates_limit", "value 16385 invalid, must be 16384 or smaller"),
        ],
    ),
    (field(), [("filter.must[0].condition_one_of.match", "At least one field condition must be specified")]),
    (field(is_empty=False), []),
    (
        p.CountPoints(collection_name="a", filter=q.Filter(min_should=q.MinShould())),
        [("filter.min_should.min_count", "min_count must be greater than 0")],
    ),
    (
        field(geo_radius=q.GeoRadius(center=point(91, 0), radius=1)),
        [
            (
                "filter.must[0].condition_one_of.geo_radius.center.lat",
                (
                    "Wrong format of GeoPoint payload: expected `lat` = 91.0 within [-90;90] "
                    "and `lon` = 0.0 within [-180;180]"
                ),
            )
        ],
    ),
    (field(geo_polygon=q.GeoPolygon(exterior=SQUARE, interiors=[SQUARE])), []),
    (
        field(geo_polygon=q.GeoPolygon(exterior=SQUARE, interiors=[q.GeoLineString(points=SQUARE.points[:3])])),
        [
            (
                "filter.must[0].condition_one_of.geo_polygon.interiors[0].points",
                "value invalid, the size must be at least 4, got 3",
            )
        ],
    ),
    (
        in_filter(q.Condition(nested=q.NestedCondition(key="k", filter=field().filter))),
        [
            (
                "filter.must[0].condition_one_of.filter.must[0].condition_one_of.match",
                "At least one field condition must be specified",
            )
        ],
    ),
    (
        in_filter(q.Condition(slice=q.SliceCondition(total=0))),
        [("filter.must[0].condition_one_of.total", "must be greater than 0")],
    ),
    (
        in_filter(q.Condition(slice=q.SliceCondition(total=2, index=2))),
        [("filter.must[0].condition_one_of.index", "must be less than the total number of slices")],
    ),
]


@pytest.mark.parametrize(("message", "expected"), CASES)
def test_violations(message: Message, expected: list[tuple[str, str]]) -> None:
    found = violations(message)
    if expected and "{first}" in expected[0][1]:  # a map has no order
        assert [path for path, _ in found] == [path for path, _ in expected]
        assert found[0][1] in {expected[0][1].format(first=size) for size in (0, 70_000)}
    else:
        assert sorted(found) == sorted(expected)


def test_error_text_lists_all() -> None:
    with pytest.raises(ValidationError) as caught:
        validate(p.SearchPoints(timeout=0, limit=1))
    assert caught.value.message == f"Validation error in body: [collection_name: {LENGTH}; timeout: {ONE}]"


def test_datetime_bounds() -> None:
    request = field(datetime_range=q.DatetimeRange(gt=Timestamp(seconds=253_402_300_800), lt=Timestamp()))
    assert [path for path, _ in violations(request)] == ["filter.must[0].condition_one_of.datetime_range.gt"]


def test_every_rule_names_a_field_that_exists() -> None:
    for message, name in [*FIELDS, *NOT_ENTERED]:
        assert name in POOL.FindMessageTypeByName(message).fields_by_name
    for message in MESSAGES:
        assert POOL.FindMessageTypeByName(message)


@pytest.mark.parametrize(
    ("indices", "values", "expected"),
    [
        ([], 0, None),
        ([9, 1, 2**32 - 1], 3, None),
        ([1, 2], 1, "values"),
        ([3, 1, 3], 3, "indices"),
    ],
)
def test_sparse(indices: list[int], values: int, expected: str | None) -> None:
    found = sparse_violation(np.array(indices, dtype=np.uint32), values)
    assert (found and found[0]) == expected


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([3, 3], None),
        ([], "multi vector must not be empty"),
        ([0], "all vectors must be non-empty"),
        ([3, 0], "all vectors must be non-empty"),
        ([3, 4], "all vectors must have the same dimension, found vector with dimension 4"),
        ([1024] * 1024, "Total size of all vectors (1048576) must be less than 1048576"),
    ],
)
def test_multi(rows: list[int], expected: str | None) -> None:
    assert multi_violation(rows) == expected


@pytest.mark.parametrize(
    ("floats", "count", "expected"),
    [
        (6, 2, None),
        (6, 0, "Validation error: invalid_vector_count ["),
        (0, 2, "multi vector must not be empty"),
        (1_048_576, 2, "Validation error: Vector size is too large ["),
        (7, 2, "Validation error: invalid dense vector length for vectors count ["),
    ],
)
def test_legacy_multi(floats: int, count: int, expected: str | None) -> None:
    found = legacy_multi_violation(floats, count)
    assert found == expected if expected is None else found is not None and found.startswith(expected)


def test_vector_names() -> None:
    assert vector_name_violation("") is None
    assert vector_name_violation("a b.ü") is None
    assert vector_name_violation("ü" * 100) is None
    assert vector_name_violation("ü" * 101) == "vector name must be at most 200 bytes long"
    assert vector_name_violation("a/b") == 'vector name cannot contain "/" char'
