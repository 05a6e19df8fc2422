"""A corpus of real records: vectors, payloads, queries and their exact neighbours, read from a directory.

The layout is that of the packages corpus: row i of every file belongs to point i.
"""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from qdrant_grpc.json_with_int_pb2 import ListValue, NullValue, Struct, Value
from qdrant_grpc.points_pb2 import (
    DenseVector,
    PointStruct,
    Query,
    QueryPoints,
    UpsertPoints,
    Vector,
    VectorInput,
    WithPayloadSelector,
)
from qdrant_grpc.points_pb2 import Vectors as PointVectors
from qdrant_grpc.qdrant_common_pb2 import PointId

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


class CorpusError(Exception):
    """The directory is not a corpus; the text says what is missing or does not fit."""


@dataclass(frozen=True, slots=True)
class Corpus:
    """n points and nq queries of one dimension.

    Attributes:
        directory: where it was read.
        vectors: (n, dim) float16, mapped.
        queries: (nq, dim) float32.
        texts: what each query's vector was made from.
        names: the name of each query's record.
        neighbors: (nq, m) int32 exact cosine neighbours, nearest first, None when the directory has none.

    """

    directory: Path
    vectors: NDArray[np.float16]
    queries: NDArray[np.float32]
    texts: list[str]
    names: list[str]
    neighbors: NDArray[np.int32] | None

    @property
    def dim(self) -> int:
        """Components of a vector."""
        return int(self.vectors.shape[1])

    def __len__(self) -> int:
        return len(self.vectors)

    def payloads(self) -> Iterator[dict[str, Json]]:
        """Yield the payload of every point, in order."""
        with gzip.open(self.directory / "payloads.jsonl.gz", "rt", encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)


def read_corpus(directory: Path) -> Corpus:
    """Open a corpus.

    Raises:
        CorpusError: a file is missing, or the files do not fit together.

    """
    try:
        vectors = np.load(directory / "vectors.f16.npy", mmap_mode="r")
        queries = np.load(directory / "queries.f16.npy").astype(np.float32)
        lines = (directory / "queries.jsonl").read_text(encoding="utf-8").splitlines()
        if not (directory / "payloads.jsonl.gz").is_file():
            raise CorpusError(f"{directory} has no payloads.jsonl.gz")
        neighbors_path = directory / "neighbors.i32.npy"
        neighbors = np.load(neighbors_path) if neighbors_path.is_file() else None
    except FileNotFoundError as error:
        raise CorpusError(f"{directory} is no corpus of packages: {error.filename} is missing") from error
    records = [json.loads(line) for line in lines]
    if vectors.ndim != 2 or queries.shape != (len(records), vectors.shape[1]):  # noqa: PLR2004  a matrix
        raise CorpusError(f"{directory}: vectors, queries and texts do not fit together")
    return Corpus(
        directory, vectors, queries, [each["text"] for each in records], [each["name"] for each in records], neighbors
    )


@dataclass(frozen=True, slots=True)
class Batch:
    """One upsert as it goes over the wire."""

    body: bytes
    points: int


def encode_value(value: Json) -> Value:
    """Return a JSON value as a payload value; whole numbers stay whole."""
    match value:
        case None:
            return Value(null_value=NullValue.NULL_VALUE)
        case bool():
            return Value(bool_value=value)
        case int():
            return Value(integer_value=value)
        case float():
            return Value(double_value=value)
        case str():
            return Value(string_value=value)
        case list():
            return Value(list_value=ListValue(values=[encode_value(each) for each in value]))
        case dict():
            return Value(struct_value=Struct(fields={key: encode_value(each) for key, each in value.items()}))


def upsert_batches(corpus: Corpus, collection: str, batch: int, points_max: int | None = None) -> Iterator[Batch]:
    """Yield upserts (wait=true) of the whole corpus, point i under the number i.

    Args:
        corpus: what to load.
        collection: its name on the server.
        batch: points of a request.
        points_max: stop after so many points.

    """
    count = len(corpus) if points_max is None else min(points_max, len(corpus))
    points: list[PointStruct] = []
    for number, payload in zip(range(count), corpus.payloads(), strict=False):
        data = corpus.vectors[number].astype(np.float32).tolist()
        points.append(
            PointStruct(
                id=PointId(num=number),
                payload={key: encode_value(value) for key, value in payload.items()},
                vectors=PointVectors(vector=Vector(dense=DenseVector(data=data))),
            )
        )
        if len(points) == batch or number == count - 1:
            request = UpsertPoints(collection_name=collection, wait=True, points=points)
            yield Batch(request.SerializeToString(), len(points))
            points = []


def query_request(corpus: Corpus, number: int, collection: str, *, payload: bool, limit: int = 10) -> QueryPoints:
    """Return the request for the nearest points of query `number`, with default parameters."""
    return QueryPoints(
        collection_name=collection,
        query=Query(nearest=VectorInput(dense=DenseVector(data=corpus.queries[number].tolist()))),
        limit=limit,
        with_payload=WithPayloadSelector(enable=payload),
    )
