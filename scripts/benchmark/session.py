"""What the measurements of one run share: the corpus, its requests, a directory to work in and a server at a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from qdrant_grpc.collections_pb2 import GetCollectionInfoRequest
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from qdrant_grpc.points_pb2 import QueryResponse, UpsertPoints
from scripts.benchmark import h2load
from scripts.benchmark.corpus import Batch, query_request
from scripts.benchmark.server import Server
from scripts.load_packages import CHANNEL_OPTIONS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from scripts.benchmark.corpus import Corpus

COLLECTION = "packages"
HITS = 10
BODIES = 8
"""Different queries that h2load sends, one after the other."""


class MeasurementError(Exception):
    """The server answered, but not what a figure may be made from."""


@dataclass(frozen=True, slots=True)
class Session:
    """One run of the benchmark.

    Attributes:
        corpus: what is loaded and asked.
        batches: all its points, 100 a request, for the collection `packages`.
        data_dir: of the servers, which follow one another.
        work_dir: for everything else, on the same file system.

    """

    corpus: Corpus
    batches: Sequence[Batch]
    data_dir: Path
    work_dir: Path

    def serve(self, workers: int, pin_workers: str = "auto") -> Server:
        """Start a server on the data directory; `auto` pins workers to cores when there is one a core."""
        return Server(self.data_dir, workers, self.work_dir / "server.log", pin_workers)

    def queries(self, server: Server, *, payload: bool) -> list[h2load.Call]:
        """Return checked calls of `Query` for queries spread over the corpus's.

        Raises:
            MeasurementError: a reply has not the wanted hits, or no payloads.

        """
        calls = []
        step = len(self.corpus.texts) // BODIES
        for body in range(BODIES):
            request = query_request(self.corpus, body * step, COLLECTION, payload=payload, limit=HITS)
            path = self.work_dir / f"query-{'payload' if payload else 'plain'}-{body}.bin"
            call, reply = h2load.prepare(server.address, "/qdrant.Points/Query", request.SerializeToString(), path)
            hits = QueryResponse.FromString(reply).result
            if len(hits) != HITS or any(("name" in hit.payload) != payload for hit in hits):
                raise MeasurementError(f"query {body * step} was answered with {len(hits)} hits: {hits}")
            calls.append(call)
        return calls

    def empty_call(self, server: Server) -> h2load.Call:
        """Return a call that does nothing but pass through the transport."""
        path = self.work_dir / "empty.bin"
        return h2load.prepare(server.address, "/qdrant.Qdrant/HealthCheck", b"", path)[0]


def connect(server: Server) -> grpc.Channel:
    """Open a channel to a server."""
    return grpc.insecure_channel(server.address, options=CHANNEL_OPTIONS)


def segments(server: Server) -> int:
    """Return how many segments the loaded collection is in: every one is searched."""
    with connect(server) as channel:
        request = GetCollectionInfoRequest(collection_name=COLLECTION)
        return CollectionsStub(channel).Get(request, timeout=h2load.CALL_TIMEOUT_S).result.segments_count


def renamed(batch: Batch, collection: str) -> Batch:
    """Return the same points for another collection."""
    request = UpsertPoints.FromString(batch.body)
    request.collection_name = collection
    return Batch(request.SerializeToString(), batch.points)


def note(text: str) -> None:
    """Show what is going on."""
    print(text, flush=True)
