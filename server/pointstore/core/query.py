"""What a client asks to read, and what it gets."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import NamedTuple

from pointstore.core.filter import Filter
from pointstore.core.path import Path
from pointstore.core.point import PointId
from pointstore.core.vector import NamedVectors, Vector


@dataclass(frozen=True, slots=True)
class PayloadSelector:
    """Which part of the payload is returned.

    Attributes:
        enable: False returns nothing.
        include: when not None, only these paths.
        exclude: when not None, everything but these paths.
    """

    enable: bool
    include: tuple[Path, ...] | None = None
    exclude: tuple[Path, ...] | None = None


@dataclass(frozen=True, slots=True)
class VectorSelector:
    """Which vectors are returned: none, all (`names` None), or those of the names that the point has."""

    enable: bool
    names: tuple[str, ...] | None = None


NO_PAYLOAD = PayloadSelector(enable=False)
ALL_PAYLOAD = PayloadSelector(enable=True)
NO_VECTORS = VectorSelector(enable=False)


@dataclass(frozen=True, slots=True)
class Selectors:
    """What is returned of each point."""

    payload: PayloadSelector = NO_PAYLOAD
    vectors: VectorSelector = NO_VECTORS


@dataclass(frozen=True, slots=True)
class SearchParams:
    """Search settings; `hnsw_ef` None is the space's ef_construct.

    `oversampling` and `idf_corpus` (the points whose term frequencies count) change no result; strict mode limits them.
    """

    hnsw_ef: int | None = None
    exact: bool = False
    indexed_only: bool = False
    oversampling: float | None = None
    idf_corpus: Filter | None = None


@dataclass(frozen=True, slots=True)
class VectorOfPoint:
    """The stored vector of a point, in the searched collection or (lookup) in another.

    Attributes:
        point_id: whose vector.
        collection: another collection, None for the searched one.
        vector_name: another vector name, None for the searched one.
    """

    point_id: PointId
    collection: str | None = None
    vector_name: str | None = None


@dataclass(frozen=True, slots=True)
class NearestQuery:
    """The points nearest to a vector.

    Attributes:
        target: a vector, or the point that lends its own (and is then left out of the result).
        using: vector name.
        limit, offset: the best `limit + offset` are found, the first `offset` dropped.
        score_threshold: scores must be strictly better.
        lookup_collection: must exist even when no id needs it.
    """

    target: Vector | VectorOfPoint
    using: str = ""
    filter: Filter | None = None
    params: SearchParams = field(default_factory=SearchParams)
    limit: int = 10
    offset: int = 0
    score_threshold: float | None = None
    selectors: Selectors = field(default_factory=Selectors)
    lookup_collection: str | None = None


@dataclass(frozen=True, slots=True)
class ScrollQuery:
    """Points in id order, as a query without a query (score 1, version 0); `params` are for strict mode alone."""

    filter: Filter | None = None
    limit: int = 10
    offset: int = 0
    selectors: Selectors = field(default_factory=Selectors)
    params: SearchParams = field(default_factory=SearchParams)


@dataclass(frozen=True, slots=True)
class RankQuery:
    """The points whose text in a field fits best, by BM25 (specification part 2, 10.2).

    Attributes:
        field: needs a text index that scores.
        text: analysed like the texts of the index.
        k, b: saturation, and normalisation by length.
        params: of these, `idf_corpus` says which points the statistics are of.
        score_threshold: scores must be larger.
    """

    field: Path
    text: str
    k: float = 1.2
    b: float = 0.75
    filter: Filter | None = None
    params: SearchParams = dataclasses.field(default_factory=SearchParams)
    limit: int = 10
    offset: int = 0
    score_threshold: float | None = None
    selectors: Selectors = dataclasses.field(default_factory=Selectors)


Query = NearestQuery | ScrollQuery | RankQuery


@dataclass(frozen=True, slots=True)
class OrderBy:
    """Order by the values of a field.

    Attributes:
        key: needs an index that orders.
        descending: largest first.
        start_from: inclusive bound; microseconds since the epoch for an instant.
    """

    key: Path
    descending: bool = False
    start_from: int | float | None = None


@dataclass(frozen=True, slots=True)
class ScrollRequest:
    """A page of points in id order, from the first matching id >= `offset`, or in the order of a field."""

    filter: Filter | None
    offset: PointId | None
    limit: int
    selectors: Selectors
    order_by: OrderBy | None = None


class Record(NamedTuple):
    """One returned point.

    Attributes:
        point_id: packed id.
        payload: payload in wire encoding (empty when not requested).
        vectors: None when not requested.
        order_value: what an ordered scroll ordered by.
    """

    point_id: PointId
    payload: bytes
    vectors: NamedVectors | None
    order_value: int | float | None = None


class ScoredRecord(NamedTuple):
    """One hit, best first in a list."""

    point_id: PointId
    score: float
    version: int
    payload: bytes
    vectors: NamedVectors | None


@dataclass(frozen=True, slots=True)
class Page:
    """Result of a scroll; `next_offset` None after the last match."""

    records: list[Record]
    next_offset: PointId | None
