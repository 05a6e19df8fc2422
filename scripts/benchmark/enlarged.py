"""A corpus repeated under new ids until it has a wanted size, with fields whose filters select exact shares.

Row i is row i modulo n of the corpus; from the second repetition on it is mixed with another row, so that no two are
equal and all stay where embeddings lie. Numbers and words of the fields come from seeded permutations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from qdrant_grpc.points_pb2 import DenseVector, PointStruct, UpsertPoints, Vector
from qdrant_grpc.points_pb2 import Vectors as PointVectors
from qdrant_grpc.qdrant_common_pb2 import Condition, FieldCondition, Filter, Match, PointId, Range
from scripts.benchmark.corpus import Batch, encode_value

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from scripts.benchmark.corpus import Corpus, Json

Ids: TypeAlias = "NDArray[np.int64]"

BUCKETS = 1000
SHELVES = 60
GRADES = {"half": 500, "tenth": 100, "twentieth": 50, "hundredth": 10, "thousandth": 1}
"""Keyword to how many of a thousand points have it; the others have `rest`."""
ORIGINS = {"main": 800}

INDEXED = ("bucket", "grade", "origin", "shelf")
"""Fields that get an index; `bucket` holds integers, the others keywords."""
PLAIN = {"bucket": "bucket_plain", "grade": "grade_plain"}
"""Indexed field to the field of the same content that gets none."""

TIE = 1e-6
"""Scores that differ by less are equal: the server stores normalized float32 rows."""
_MIX = np.float32(0.25)
_QUERIES_AT_A_TIME = 16
_ROWS_AT_A_TIME = 65_536


@dataclass(frozen=True, slots=True)
class Selection:
    """A filter by a keyword, by a range of `bucket`, or by both.

    Attributes:
        keyword: field and value, None for any.
        width: how many of the 1,000 buckets, None for all.

    """

    keyword: tuple[str, str] | None = None
    width: int | None = None

    def start(self, number: int) -> int:
        """Return the first bucket for a query: ranges of different queries begin elsewhere."""
        return 0 if self.width is None else number * 37 % (BUCKETS - self.width + 1)

    def encoded(self, number: int, fields: Mapping[str, str] | None = None) -> Filter:
        """Return the filter for a query; `fields` renames fields."""
        names = fields or {}
        must = []
        if self.keyword is not None:
            field, value = self.keyword
            must.append(keyword_condition(names.get(field, field), value))
        if self.width is not None:
            start = self.start(number)
            must.append(bucket_condition(start, start + self.width, names.get("bucket", "bucket")))
        return Filter(must=must)


SELECTIONS: dict[str, dict[str, Selection]] = {
    "50": {
        "keyword": Selection(("grade", "half")),
        "range": Selection(width=500),
        "both": Selection(("origin", "main"), 625),
    },
    "10": {
        "keyword": Selection(("grade", "tenth")),
        "range": Selection(width=100),
        "both": Selection(("grade", "half"), 200),
    },
    "5": {
        "keyword": Selection(("grade", "twentieth")),
        "range": Selection(width=50),
        "both": Selection(("grade", "half"), 100),
    },
    "1": {
        "keyword": Selection(("grade", "hundredth")),
        "range": Selection(width=10),
        "both": Selection(("grade", "tenth"), 100),
    },
    "0.1": {
        "keyword": Selection(("grade", "thousandth")),
        "range": Selection(width=1),
        "both": Selection(("grade", "hundredth"), 100),
    },
}
"""Selectivity in percent, then what it is made of."""


def keyword_condition(field: str, value: str) -> Condition:
    """Return the condition that a field equals a keyword."""
    return Condition(field=FieldCondition(key=field, match=Match(keyword=value)))


def bucket_condition(start: int, stop: int, field: str = "bucket") -> Condition:
    """Return the condition that an integer is in [start, stop)."""
    return Condition(field=FieldCondition(key=field, range=Range(gte=start, lt=stop)))


@dataclass(frozen=True, slots=True)
class Fields:
    """Values of the added fields: (n,) each, words as numbers into their lists."""

    bucket: Ids
    grade: Ids
    origin: Ids
    shelf: Ids

    def __len__(self) -> int:
        return len(self.bucket)

    def words(self, field: str) -> list[str]:
        """Return the words of a keyword field, by number."""
        match field:
            case "grade":
                return [*GRADES, "rest"]
            case "origin":
                return [*ORIGINS, "elsewhere"]
            case _:
                return [f"shelf-{number:02}" for number in range(SHELVES)]

    def payload(self, number: int) -> dict[str, Json]:
        """Return the added fields of a point, those without an index included."""
        bucket = int(self.bucket[number])
        grade = self.words("grade")[self.grade[number]]
        return {
            "bucket": bucket,
            "grade": grade,
            "origin": self.words("origin")[self.origin[number]],
            "shelf": self.words("shelf")[self.shelf[number]],
            PLAIN["bucket"]: bucket,
            PLAIN["grade"]: grade,
        }

    def selected(self, selection: Selection, number: int) -> Ids:
        """Return the points that a selection leaves to a query, ascending."""
        keep = np.ones(len(self), np.bool_)
        if selection.keyword is not None:
            field, value = selection.keyword
            column: Ids = getattr(self, field)
            keep &= column == self.words(field).index(value)
        if selection.width is not None:
            start = selection.start(number)
            keep &= (self.bucket >= start) & (self.bucket < start + selection.width)
        return np.flatnonzero(keep)


def draw_fields(points: int, seed: int = 1) -> Fields:
    """Draw the fields of so many points; shares are exact for multiples of 1,000, fields independent of each other."""
    rng = np.random.default_rng(seed)

    def thousandths() -> Ids:
        return rng.permutation(points) % BUCKETS

    grade = np.searchsorted(np.cumsum(list(GRADES.values())), thousandths(), "right")
    origin = np.searchsorted(np.cumsum(list(ORIGINS.values())), thousandths(), "right")
    return Fields(thousandths(), grade, origin, rng.permutation(points) % SHELVES)


def enlarge(vectors: NDArray[np.float16], points: int, seed: int = 2) -> NDArray[np.float32]:
    """Return (points, dim) rows of unit length: the given ones, then mixtures of each with another one.

    The other one is as many rows away as its repetition says, so that no mixture comes twice.
    """
    given = vectors.astype(np.float32)
    distances = np.random.default_rng(seed).permutation(np.arange(1, len(given)))
    rows = np.empty((points, vectors.shape[1]), np.float32)
    for start in range(0, points, len(given)):
        part = rows[start : start + len(given)]
        part[:] = given[: len(part)]
        if start:
            distance = int(distances[start // len(given) - 1])
            part += _MIX * np.roll(given, -distance, axis=0)[: len(part)]
        part /= np.linalg.norm(part, axis=1, keepdims=True)
    return rows


@dataclass(frozen=True, slots=True)
class Enlarged:
    """The repeated corpus.

    Attributes:
        corpus: what is repeated.
        rows: (n, dim) float32 of unit length.
        fields: of every point.
        payloads: of every record of the corpus, encoded as the payload field of a `PointStruct`.

    """

    corpus: Corpus
    rows: NDArray[np.float32]
    fields: Fields
    payloads: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.rows)

    def payload(self, number: int) -> bytes:
        """Return the payload of a point, encoded as the payload field of a `PointStruct`."""
        return self.payloads[number % len(self.payloads)] + encoded_payload(self.fields.payload(number))

    def batches(self, collection: str, batch: int, points_max: int | None = None) -> Iterator[Batch]:
        """Yield upserts (wait=true) of the points in order, point i under the number i."""
        count = len(self) if points_max is None else min(points_max, len(self))
        for start in range(0, count, batch):
            numbers = range(start, min(start + batch, count))
            points = [self.point(number) for number in numbers]
            request = UpsertPoints(collection_name=collection, wait=True, points=points)
            yield Batch(request.SerializeToString(), len(points))

    def point(self, number: int) -> PointStruct:
        """Return a point as it is upserted."""
        point = PointStruct.FromString(self.payload(number))
        point.id.CopyFrom(PointId(num=number))
        # Parsing bytes is ten times as fast as taking over a list of floats.
        data = DenseVector.FromString(packed_floats(self.rows[number]))
        point.vectors.CopyFrom(PointVectors(vector=Vector(dense=data)))
        return point


def read_enlarged(corpus: Corpus, points: int) -> Enlarged:
    """Repeat a corpus."""
    payloads = [encoded_payload(payload) for payload in corpus.payloads()]
    return Enlarged(corpus, enlarge(np.asarray(corpus.vectors), points), draw_fields(points), payloads)


def encoded_payload(payload: Mapping[str, Json]) -> bytes:
    """Return the payload field of a `PointStruct`; two of them one behind the other hold both."""
    return PointStruct(payload={key: encode_value(value) for key, value in payload.items()}).SerializeToString()


def packed_floats(row: NDArray[np.float32]) -> bytes:
    """Return the bytes of a `DenseVector`: a packed field 1."""
    data = row.tobytes()
    length = bytearray()
    rest = len(data)
    while rest > 0x7F:  # noqa: PLR2004  seven bits a byte
        length.append(rest & 0x7F | 0x80)
        rest >>= 7
    length.append(rest)
    return b"\x0a" + bytes(length) + data


@dataclass(frozen=True, slots=True)
class Exact:
    """What is right for one filter: the score of the last of the k best, and how many of k there are, by query."""

    thresholds: NDArray[np.float32]
    wanted: Ids


def exact_scores(
    rows: NDArray[np.float32], queries: NDArray[np.float32], subsets: Mapping[str, Sequence[Ids | None]], k: int
) -> dict[str, Exact]:
    """Compare queries with every row.

    Args:
        rows: (n, dim) of unit length.
        queries: (nq, dim).
        subsets: by filter, for each query, the rows that count, None for all.
        k: neighbours wanted.

    """
    units = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    thresholds = {name: np.empty(len(units), np.float32) for name in subsets}
    wanted = {name: np.empty(len(units), np.int64) for name in subsets}
    for start in range(0, len(units), _QUERIES_AT_A_TIME):
        block = units[start : start + _QUERIES_AT_A_TIME]
        scores = np.concatenate(
            [block @ rows[first : first + _ROWS_AT_A_TIME].T for first in range(0, len(rows), _ROWS_AT_A_TIME)], axis=1
        )
        for number, row in enumerate(scores, start):
            for name, each in subsets.items():
                subset = each[number]
                found = row if subset is None else row[subset]
                count = min(k, len(found))
                wanted[name][number] = count
                thresholds[name][number] = np.partition(found, -count)[-count] if count else np.inf
    return {name: Exact(thresholds[name], wanted[name]) for name in subsets}


def recall(
    rows: NDArray[np.float32], queries: NDArray[np.float32], exact: Exact, hits: Sequence[Sequence[int]]
) -> float:
    """Return the share of the exact neighbours that were found; a hit as near as the last of them is right.

    Args:
        rows: (n, dim) of unit length.
        queries: (nq, dim).
        exact: of the same queries.
        hits: the points found for each query, all within the filter, none twice.

    """
    units = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    right = 0
    for number, found in enumerate(hits):
        scores = rows[np.array(list(set(found)), np.int64)] @ units[number]
        right += min(int((scores >= exact.thresholds[number] - TIE).sum()), int(exact.wanted[number]))
    return right / int(exact.wanted.sum())
