"""The read RPCs of the Points service: points by id, in id order, counted, and by similarity.

Validation and conversion come before the collection is looked up, so a malformed request for a missing collection is
malformed; except that Scroll, Count and Facet look at consistency and shard keys last (specification part 2, 1.2).
"""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from pointstore.core import interruption
from pointstore.core.errors import BadRequestError, NotFoundError, OperationTimeoutError, WrongInputError
from pointstore.core.path import parse_path
from pointstore.core.query import ALL_PAYLOAD, Page, ScrollRequest
from pointstore.engine.strict import Read, Searches
from pointstore.wire.decode_filters import decode_filter
from pointstore.wire.decode_ids import decode_point_id
from pointstore.wire.decode_order import decode_order_by
from pointstore.wire.decode_queries import decode_query, decode_search
from pointstore.wire.decode_routing import ShardKeys, check_consistency, check_read_shards, decode_shard_keys
from pointstore.wire.decode_selectors import decode_selectors
from pointstore.wire.encode_points import encode_facets, encode_hits, encode_page, encode_records, encode_scored
from pointstore.wire.validate import validate
from qdrant_grpc import points_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from grpc import ServicerContext

    from pointstore.core.query import Query, ScoredRecord
    from pointstore.engine.engine import Engine
    from pointstore.wire.unary import Handler

    _Routed = points_pb2.GetPoints | points_pb2.ScrollPoints | points_pb2.CountPoints | points_pb2.FacetCounts
    _Timed = (
        _Routed
        | points_pb2.SearchPoints
        | points_pb2.SearchBatchPoints
        | points_pb2.QueryPoints
        | points_pb2.QueryBatchPoints
    )

_TIMEOUT_S = 60
"""Of a read that names none (specification part 2, 16.3)."""

_DEFAULT_PAGE = 10
_DEFAULT_FACETS = 10
_OFFSET_IN_ORDER = (
    "Cannot use an `offset` when using `order_by`. Set `order_by.start_from` to the last value that was returned, and "
    "leave out the ids already seen at that value with a filter"
)


def read_methods(engine: Engine) -> dict[str, Handler]:
    """Return the handlers by method name."""
    reads = _Reads(engine)
    return {
        "Get": reads.get,
        "Scroll": reads.scroll,
        "Count": reads.count,
        "Facet": reads.facet,
        "Search": reads.search,
        "SearchBatch": reads.search_batch,
        "Query": reads.query,
        "QueryBatch": reads.query_batch,
    }


class _Reads:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def get(self, body: bytes, _context: ServicerContext) -> bytes:
        started = perf_counter()
        request = points_pb2.GetPoints.FromString(body)
        validate(request)
        ids = [decode_point_id(point_id) for point_id in request.ids]
        selectors = decode_selectors(request)
        _check_consistency(request)
        shard_keys = _shard_keys(request)
        collection = self._engine.collection(request.collection_name)
        collection.check_read(Read(timeout_s=_timeout_s(request)))
        if _selects_nothing(shard_keys):
            return encode_records([], started)
        _check_timeout(request, "retrieve")
        return encode_records(collection.get(ids, selectors), started)

    def scroll(self, body: bytes, _context: ServicerContext) -> bytes:
        started = perf_counter()
        request = points_pb2.ScrollPoints.FromString(body)
        validate(request)
        offset = decode_point_id(request.offset) if request.HasField("offset") else None
        condition = decode_filter(request.filter) if request.HasField("filter") else None
        selectors = decode_selectors(request, payload=ALL_PAYLOAD)
        order_by = decode_order_by(request.order_by) if request.HasField("order_by") else None
        limit = request.limit if request.HasField("limit") else _DEFAULT_PAGE
        collection = self._engine.collection(request.collection_name)
        given = request.limit if request.HasField("limit") else None
        collection.check_read(Read(given, condition, timeout_s=_timeout_s(request)))
        _check_consistency(request)
        if _selects_nothing(_shard_keys(request)):
            return encode_page(Page([], None), started)
        _check_timeout(request, "scroll")
        if order_by is not None and offset is not None:
            raise WrongInputError(_OFFSET_IN_ORDER)
        return encode_page(collection.scroll(ScrollRequest(condition, offset, limit, selectors, order_by)), started)

    def count(self, body: bytes, _context: ServicerContext) -> bytes:
        started = perf_counter()
        request = points_pb2.CountPoints.FromString(body)
        validate(request)
        condition = decode_filter(request.filter) if request.HasField("filter") else None
        collection = self._engine.collection(request.collection_name)
        exact = request.exact or not request.HasField("exact")
        collection.check_read(Read(filter=condition, exact=exact, timeout_s=_timeout_s(request)))
        _check_consistency(request)
        nothing = _selects_nothing(_shard_keys(request))
        _check_timeout(request, "count")
        count = 0 if nothing else collection.count(condition)
        reply = points_pb2.CountResponse(result=points_pb2.CountResult(count=count))
        reply.time = perf_counter() - started
        return reply.SerializeToString()

    def facet(self, body: bytes, _context: ServicerContext) -> bytes:
        started = perf_counter()
        request = points_pb2.FacetCounts.FromString(body)
        validate(request)
        key = parse_path(request.key)
        condition = decode_filter(request.filter) if request.HasField("filter") else None
        limit = request.limit if request.HasField("limit") else _DEFAULT_FACETS
        collection = self._engine.collection(request.collection_name)
        collection.check_read(Read(limit, condition, timeout_s=_timeout_s(request)))
        _check_consistency(request)
        nothing = _selects_nothing(_shard_keys(request))
        _check_timeout(request, "facet")
        # Without a limit there is nothing to count, and the reference does not even ask for an index then.
        hits = [] if nothing or not limit else collection.facet(key, condition, limit)
        return encode_facets(hits, started)

    def search(self, body: bytes, _context: ServicerContext) -> bytes:
        started = perf_counter()
        request = points_pb2.SearchPoints.FromString(body)
        validate(request)
        name = request.collection_name
        queries = self._decoded(name, lambda: [decode_search(request)])
        (hits,) = self._answer(name, Searches(queries, _timeout_s(request)))
        return encode_hits(hits, started)

    def search_batch(self, body: bytes, _context: ServicerContext) -> bytes:
        started = perf_counter()
        request = points_pb2.SearchBatchPoints.FromString(body)
        validate(request)
        name = request.collection_name
        _check_consistency(request)
        queries = self._decoded(name, lambda: [decode_search(search) for search in request.search_points])
        return encode_scored(self._answer(name, Searches(queries, _timeout_s(request), batch=True)), started)

    def query(self, body: bytes, _context: ServicerContext) -> bytes:
        started = perf_counter()
        request = points_pb2.QueryPoints.FromString(body)
        validate(request)
        name = request.collection_name
        queries = self._decoded(name, lambda: [decode_query(request)])
        (hits,) = self._answer(name, Searches(queries, _timeout_s(request), universal=True))
        return encode_hits(hits, started)

    def query_batch(self, body: bytes, _context: ServicerContext) -> bytes:
        started = perf_counter()
        request = points_pb2.QueryBatchPoints.FromString(body)
        validate(request)
        name = request.collection_name
        _check_consistency(request)
        queries = self._decoded(name, lambda: [decode_query(query) for query in request.query_points])
        searches = Searches(queries, _timeout_s(request), batch=True, universal=True)
        return encode_scored(self._answer(name, searches), started)

    def _answer(self, name: str, searches: Searches) -> list[list[ScoredRecord]]:
        interruption.limit("Search", _TIMEOUT_S if searches.timeout_s is None else searches.timeout_s)
        return self._engine.query(name, searches)

    def _decoded(self, name: str, decode: Callable[[], Sequence[Query]]) -> Sequence[Query]:
        """Decode queries; let a missing collection win over errors that the reference notices after the lookup."""
        try:
            return decode()
        except (BadRequestError, NotFoundError):
            self._engine.collection(name)
            raise


def _check_consistency(request: _Routed | points_pb2.SearchBatchPoints | points_pb2.QueryBatchPoints) -> None:
    check_consistency(request.read_consistency if request.HasField("read_consistency") else None)


def _timeout_s(request: _Timed) -> int | None:
    return request.timeout if request.HasField("timeout") else None


def _shard_keys(request: _Routed) -> ShardKeys | None:
    return decode_shard_keys(request.shard_key_selector) if request.HasField("shard_key_selector") else None


def _selects_nothing(shard_keys: ShardKeys | None) -> bool:
    """Tell whether a selector without keys selects no shard, as it does here but not in queries.

    Raises:
        BadRequestError: it has a key.
        NotFoundError: it has a key and a fallback.

    """
    check_read_shards(shard_keys)
    return shard_keys is not None


def _check_timeout(request: _Routed, operation: str) -> None:
    """Begin the time of a request; refuse one that has none at all, which only Facet's validation does before."""
    if not request.HasField("timeout"):
        interruption.limit(operation, _TIMEOUT_S)
    elif request.timeout:
        interruption.limit(operation, request.timeout)
    else:
        msg = f"Timeout error: Operation '{operation}' timed out after 0ns"
        raise OperationTimeoutError(msg)
