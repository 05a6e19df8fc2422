"""Decode Search and Query requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pointstore.core.errors import BadRequestError, ConversionError, UnsupportedError
from pointstore.core.path import parse_path
from pointstore.core.query import NearestQuery, RankQuery, ScrollQuery, SearchParams, Selectors, VectorOfPoint
from pointstore.wire.decode_filters import decode_filter
from pointstore.wire.decode_ids import decode_point_id
from pointstore.wire.decode_routing import check_consistency, check_read_shards, decode_shard_keys
from pointstore.wire.decode_selectors import decode_selectors
from pointstore.wire.decode_vectors import decode_search_vector, decode_vector_input

if TYPE_CHECKING:
    from pointstore.core.filter import Filter
    from pointstore.core.query import Query
    from pointstore.core.vector import Vector
    from qdrant_grpc import points_pb2

_DEFAULT_LIMIT = 10
_BM25_K = 1.2
_BM25_B = 0.75
_DEFAULT_PARAMS = SearchParams()


def decode_search(request: points_pb2.SearchPoints) -> NearestQuery:
    """Decode a search.

    Raises:
        ConversionError: a malformed part.
        UnsupportedError: a condition that is not implemented.
        BadRequestError: a shard key, which no collection has.

    """
    target = decode_search_vector(request)
    condition = _filter(request)
    selectors = decode_selectors(request)
    params = _params(request)
    check_consistency(request.read_consistency if request.HasField("read_consistency") else None)
    _check_shards(request)
    return NearestQuery(
        target,
        using=request.vector_name,
        filter=condition,
        params=params,
        limit=request.limit,
        offset=request.offset,
        score_threshold=request.score_threshold if request.HasField("score_threshold") else None,
        selectors=selectors,
    )


def decode_query(request: points_pb2.QueryPoints) -> Query:
    """Decode a query: nearest neighbours, or points in id order when there is no query.

    Raises:
        ConversionError: a malformed part.
        QueryInferenceError: a vector would have to be computed.
        UnsupportedError: a kind of query or a condition that is not implemented.
        BadRequestError: a shard key, or a threshold or prefetch without a query.

    """
    shard_keys = decode_shard_keys(request.shard_key_selector) if request.HasField("shard_key_selector") else None
    check_consistency(request.read_consistency if request.HasField("read_consistency") else None)
    ranking = request.HasField("query") and request.query.HasField("text")
    target = _target(request) if request.HasField("query") and not ranking else None
    condition = _filter(request)
    selectors = decode_selectors(request)
    limit = request.limit if request.HasField("limit") else _DEFAULT_LIMIT
    check_read_shards(shard_keys)
    if ranking:
        return _rank(request, condition, limit, selectors)
    if target is None:
        _check_no_query(request)
        return ScrollQuery(condition, limit, request.offset, selectors, _params(request))
    if request.prefetch:
        msg = "`prefetch` is not implemented yet"
        raise UnsupportedError(msg)
    return NearestQuery(
        target,
        using=request.using,
        filter=condition,
        params=_params(request),
        limit=limit,
        offset=request.offset,
        score_threshold=request.score_threshold if request.HasField("score_threshold") else None,
        selectors=selectors,
        lookup_collection=request.lookup_from.collection_name if request.HasField("lookup_from") else None,
    )


def _rank(request: points_pb2.QueryPoints, condition: Filter | None, limit: int, selectors: Selectors) -> RankQuery:
    """Decode a ranking by a payload text index; `using` names the field."""
    if request.prefetch:
        msg = "`prefetch` is not implemented yet"
        raise UnsupportedError(msg)
    text = request.query.text
    return RankQuery(
        parse_path(request.using),
        text.query,
        k=text.bm25.k if text.bm25.HasField("k") else _BM25_K,
        b=text.bm25.b if text.bm25.HasField("b") else _BM25_B,
        filter=condition,
        params=_params(request),
        limit=limit,
        offset=request.offset,
        score_threshold=request.score_threshold if request.HasField("score_threshold") else None,
        selectors=selectors,
    )


def _target(request: points_pb2.QueryPoints) -> Vector | VectorOfPoint:
    variant = request.query.WhichOneof("variant")
    if variant is None:
        msg = "Query variant is missing"
        raise ConversionError(msg)
    if variant != "nearest":
        msg = f"query `{variant}` is not implemented yet"
        raise UnsupportedError(msg)
    nearest = request.query.nearest
    if nearest.WhichOneof("variant") != "id":
        return decode_vector_input(nearest)
    point_id = decode_point_id(nearest.id)
    if not request.HasField("lookup_from"):
        return VectorOfPoint(point_id)
    lookup = request.lookup_from
    _check_shards(lookup)
    return VectorOfPoint(
        point_id,
        collection=lookup.collection_name,
        vector_name=lookup.vector_name if lookup.HasField("vector_name") else None,
    )


def _check_no_query(request: points_pb2.QueryPoints) -> None:
    if request.prefetch:
        msg = "A query is needed to merge the prefetches. Can't have prefetches without defining a query."
        raise BadRequestError(msg)
    if request.HasField("score_threshold"):
        msg = "A query is needed to use the score_threshold. Can't have score_threshold without defining a query."
        raise BadRequestError(msg)


def _filter(request: points_pb2.SearchPoints | points_pb2.QueryPoints) -> Filter | None:
    return decode_filter(request.filter) if request.HasField("filter") else None


def _check_shards(message: points_pb2.SearchPoints | points_pb2.LookupLocation) -> None:
    if message.HasField("shard_key_selector"):
        check_read_shards(decode_shard_keys(message.shard_key_selector))


def _params(request: points_pb2.SearchPoints | points_pb2.QueryPoints) -> SearchParams:
    """Decode the settings that this engine has or limits; others of quantization and graph walks change nothing."""
    if not request.HasField("params"):
        return _DEFAULT_PARAMS
    message = request.params
    corpus = None
    if message.HasField("idf") and message.idf.HasField("corpus"):
        corpus = decode_filter(message.idf.corpus)
    return SearchParams(
        hnsw_ef=message.hnsw_ef if message.HasField("hnsw_ef") else None,
        exact=message.exact,
        indexed_only=message.indexed_only,
        oversampling=message.quantization.oversampling if message.quantization.HasField("oversampling") else None,
        idf_corpus=corpus,
    )
