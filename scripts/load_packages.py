"""Load a directory of packages into a running server through gRPC, and print the hits of a few queries by name.

python scripts/load_packages.py ../shared/data/packages --queries 5
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import grpc

from qdrant_grpc.collections_pb2 import (
    CollectionExistsRequest,
    CollectionStatus,
    CreateCollection,
    DeleteCollection,
    Distance,
    GetCollectionInfoRequest,
    VectorParams,
    VectorsConfig,
)
from qdrant_grpc.collections_service_pb2_grpc import CollectionsStub
from qdrant_grpc.points_pb2 import PointsOperationResponse
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from scripts.benchmark.corpus import Batch, Corpus, CorpusError, query_request, read_corpus, upsert_batches

if TYPE_CHECKING:
    from collections.abc import Iterable

IN_FLIGHT = 4
CALL_TIMEOUT_S = 120.0
GREEN_TIMEOUT_S = 600.0
PLAIN_STEP = 10_000
"""Points between two lines of progress when there is no terminal."""

CHANNEL_OPTIONS = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


class LoadError(Exception):
    """The corpus could not be loaded; the text says why."""


class Progress(Protocol):
    """Where the number of points loaded so far goes."""

    def __call__(self, loaded: int) -> None:
        """Show it."""
        ...


@dataclass(frozen=True, slots=True)
class Loaded:
    """How long a load took."""

    points: int
    upsert_s: float
    green_s: float
    """Seconds from the last reply until the collection was Green."""


def create_packages(channel: grpc.Channel, collection: str, dim: int) -> None:
    """Create a collection for cosine similarity with default parameters."""
    config = VectorsConfig(params=VectorParams(size=dim, distance=Distance.Cosine))
    request = CreateCollection(collection_name=collection, vectors_config=config)
    CollectionsStub(channel).Create(request, timeout=CALL_TIMEOUT_S)


def exists(channel: grpc.Channel, collection: str) -> bool:
    """Tell whether there is such a collection."""
    request = CollectionExistsRequest(collection_name=collection)
    return CollectionsStub(channel).CollectionExists(request, timeout=CALL_TIMEOUT_S).result.exists


def drop(channel: grpc.Channel, collection: str) -> None:
    """Drop a collection, if there is one."""
    CollectionsStub(channel).Delete(DeleteCollection(collection_name=collection), timeout=CALL_TIMEOUT_S)


def upsert_all(channel: grpc.Channel, batches: Iterable[Batch], progress: Progress) -> int:
    """Send upserts with several calls in flight; return the number of points.

    Args:
        channel: the server.
        batches: what to send.
        progress: told after every reply.

    Raises:
        grpc.RpcError: the server refused one.

    """
    call: grpc.UnaryUnaryMultiCallable[bytes, PointsOperationResponse] = channel.unary_unary(
        "/qdrant.Points/Upsert", response_deserializer=PointsOperationResponse.FromString
    )
    flying: deque[tuple[grpc.Future[PointsOperationResponse], int]] = deque()
    loaded = 0

    def land() -> None:
        nonlocal loaded
        future, points = flying.popleft()
        future.result()
        loaded += points
        progress(loaded)

    for batch in batches:
        if len(flying) == IN_FLIGHT:
            land()
        flying.append((call.future(batch.body, timeout=CALL_TIMEOUT_S), batch.points))
    while flying:
        land()
    return loaded


def wait_green(channel: grpc.Channel, collection: str, timeout_s: float = GREEN_TIMEOUT_S) -> float:
    """Wait until a collection has nothing left to do; return the seconds it took.

    Raises:
        LoadError: it was not Green in time.

    """
    stub = CollectionsStub(channel)
    request = GetCollectionInfoRequest(collection_name=collection)
    start = time.perf_counter()
    while stub.Get(request, timeout=CALL_TIMEOUT_S).result.status != CollectionStatus.Green:
        if time.perf_counter() - start > timeout_s:
            raise LoadError(f"collection {collection} is not Green after {timeout_s:.0f} s")
        time.sleep(0.05)
    return time.perf_counter() - start


def load(channel: grpc.Channel, collection: str, batches: Iterable[Batch], progress: Progress) -> Loaded:
    """Upsert everything and wait for the index."""
    start = time.perf_counter()
    points = upsert_all(channel, batches, progress)
    upsert_s = time.perf_counter() - start
    return Loaded(points, upsert_s, wait_green(channel, collection))


def load_with_progress(channel: grpc.Channel, corpus: Corpus, collection: str, batch: int) -> Loaded:
    """Load a corpus, with a progress bar on a terminal and plain lines elsewhere."""
    batches = upsert_batches(corpus, collection, batch)
    if not sys.stdout.isatty():
        return load(channel, collection, batches, plain_progress(len(corpus)))
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as bar:
        task = bar.add_task(f"loading into {collection}", total=len(corpus))

        def show(loaded: int) -> None:
            bar.update(task, completed=loaded)
            if loaded == len(corpus):
                bar.update(task, description="waiting for the index")

        return load(channel, collection, batches, show)


def plain_progress(total: int) -> Progress:
    """Return a progress that prints a line every so many points."""
    shown = 0

    def show(loaded: int) -> None:
        nonlocal shown
        if loaded // PLAIN_STEP > shown // PLAIN_STEP or loaded == total:
            print(f"  {loaded:,} of {total:,} points", flush=True)
        shown = loaded

    return show


def print_hits(channel: grpc.Channel, corpus: Corpus, collection: str, count: int) -> None:
    """Print queries, spread over all of them, and the names of what was found."""
    stub = PointsStub(channel)
    for number in range(0, len(corpus.texts), max(len(corpus.texts) // count, 1))[:count]:
        request = query_request(corpus, number, collection, payload=True, limit=5)
        reply = stub.Query(request, timeout=CALL_TIMEOUT_S)
        print(f"\n{corpus.texts[number]}")
        for hit in reply.result:
            payload = hit.payload
            print(f"  {hit.score:.3f}  {payload['name'].string_value:28} {payload['description'].string_value}")


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=Path, help="directory of the corpus")
    parser.add_argument("--address", default="127.0.0.1:6334", help="host:port of the server [127.0.0.1:6334]")
    parser.add_argument("--collection", default="packages", help="name of the collection [packages]")
    parser.add_argument("--queries", type=int, default=0, metavar="N", help="print the hits of N queries")
    parser.add_argument("--batch", type=int, default=100, help="points of one call [100]")
    parser.add_argument("--recreate", action="store_true", help="drop the collection first")
    return parser.parse_args()


def main() -> int:
    """Load, then query."""
    arguments = parse_arguments()
    try:
        corpus = read_corpus(arguments.dir)
        with grpc.insecure_channel(arguments.address, options=CHANNEL_OPTIONS) as channel:
            if arguments.recreate:
                drop(channel, arguments.collection)
            if not exists(channel, arguments.collection):
                create_packages(channel, arguments.collection, corpus.dim)
            loaded = load_with_progress(channel, corpus, arguments.collection, arguments.batch)
            print(
                f"{loaded.points:,} points in {loaded.upsert_s:.1f} s "
                f"({loaded.points / loaded.upsert_s:,.0f} points/s), Green {loaded.green_s:.1f} s later"
            )
            if arguments.queries > 0:
                print_hits(channel, corpus, arguments.collection, arguments.queries)
    except (CorpusError, LoadError) as error:
        print(f"load_packages: {error}", file=sys.stderr)
        return 1
    except grpc.RpcError as error:
        # Every error of a unary call is a call too.
        call = cast("grpc.Call", error)
        print(f"load_packages: {arguments.address} answered {call.code()}: {call.details()}", file=sys.stderr)
        if call.code() is grpc.StatusCode.UNAVAILABLE:
            print("is the server running? start one with `make run`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
