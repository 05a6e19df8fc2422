"""The figures of filtered searches: recall and throughput by selectivity, and the original engine beside them."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from qdrant_grpc.points_pb2 import CreateFieldIndexCollection, FieldType, QueryPoints, QueryResponse, SearchParams
from qdrant_grpc.points_service_pb2_grpc import PointsStub
from scripts.benchmark import h2load
from scripts.benchmark.corpus import query_request
from scripts.benchmark.enlarged import INDEXED, SELECTIONS, Enlarged, Exact, Selection, exact_scores, recall
from scripts.benchmark.original import Original
from scripts.benchmark.report import Detail, Row
from scripts.benchmark.session import BODIES, HITS, MeasurementError, Session, connect, note
from scripts.load_packages import create_packages, drop, load, plain_progress

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from scripts.benchmark.enlarged import Ids
    from scripts.benchmark.server import Server

COLLECTION = "enlarged"
QUERIES = 100
LOAD_BATCH = 250
SWEEP = (16, 24, 32, 48, 64, 100, 160, 256, 400)
"""Values of ef tried for an equal recall."""
CALLS_A_BODY = 100
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Answers:
    """What all queries with one filter (or ef) gave: recall, and seconds of each as the replies say."""

    recall: float
    times_s: list[float]

    @property
    def median_ms(self) -> float:
        """Median of the times in milliseconds."""
        return statistics.median(self.times_s) * 1000


@dataclass(slots=True)
class Filters:
    """What the measurements of filters share: the corpus, and what one of them found that others need.

    Attributes:
        session: the run, with a data directory of their own.
        enlarged: what is loaded.
        exact: right answers by name of the case, `` for no filter.
        answers: of the server with default parameters, by name of the case.

    """

    session: Session
    enlarged: Enlarged
    exact: dict[str, Exact] = field(default_factory=dict)
    answers: dict[str, Answers] = field(default_factory=dict)

    @property
    def numbers(self) -> range:
        """Numbers of the corpus's queries that are asked."""
        count = len(self.session.corpus.texts)
        return range(0, count, max(count // QUERIES, 1))[:QUERIES]

    @property
    def vectors(self) -> NDArray[np.float32]:
        """The (nq, dim) vectors of these queries."""
        return self.session.corpus.queries[list(self.numbers)]

    def request(self, number: int, selection: Selection | None, ef: int | None = None) -> QueryPoints:
        """Return the request of a query with a filter; with default parameters unless `ef` is given."""
        request = query_request(self.session.corpus, number, COLLECTION, payload=False, limit=HITS)
        if selection is not None:
            request.filter.CopyFrom(selection.encoded(number))
        if ef is not None:
            request.params.CopyFrom(SearchParams(hnsw_ef=ef))
        return request

    def compare(self, exact: Exact, hits: list[list[int]]) -> float:
        """Return the recall of the hits of all queries."""
        return recall(self.enlarged.rows, self.vectors, exact, hits)

    def ask(self, stub: PointsStub, name: str, selection: Selection | None, ef: int | None = None) -> Answers:
        """Send all queries, one after the other.

        Raises:
            MeasurementError: a hit is not in the filter.

        """
        hits, times = [], []
        for number in self.numbers:
            reply = stub.Query(self.request(number, selection, ef), timeout=h2load.CALL_TIMEOUT_S)
            hits.append([hit.id.num for hit in reply.result])
            times.append(reply.time)
        # Not between the calls: it would take the caches from the server.
        for number, found in zip(self.numbers, hits, strict=True):
            if selection is not None and not set(found) <= set(self.selected(selection, number).tolist()):
                raise MeasurementError(f"query {number} with {selection} was answered with others: {found}")
        return Answers(self.compare(self.exact[name], hits), times)

    def selected(self, selection: Selection, number: int) -> Ids:
        """Return the points that a selection leaves to a query."""
        return self.enlarged.fields.selected(selection, number)


def cases() -> dict[str, Selection]:
    """Return all filters by name."""
    return {f"{share} % {kind}": each for share, kinds in SELECTIONS.items() for kind, each in kinds.items()}


def load_enlarged(filters: Filters, server: Server) -> list[Row]:
    """Create the collection and its indexes, load everything and wait for the graph."""
    with connect(server) as channel:
        drop(channel, COLLECTION)
        create_packages(channel, COLLECTION, filters.session.corpus.dim)
        stub = PointsStub(channel)
        for name in INDEXED:
            kind = FieldType.FieldTypeInteger if name == "bucket" else FieldType.FieldTypeKeyword
            request = CreateFieldIndexCollection(
                collection_name=COLLECTION, wait=True, field_name=name, field_type=kind
            )
            stub.CreateFieldIndex(request, timeout=h2load.CALL_TIMEOUT_S)
        batches = filters.enlarged.batches(COLLECTION, LOAD_BATCH)
        loaded = load(channel, COLLECTION, batches, plain_progress(len(filters.enlarged)))
    note(f"  loaded in {loaded.upsert_s:.0f} s, Green {loaded.green_s:.0f} s later")
    return []


def find_exact(filters: Filters) -> None:
    """Compute the right answers of all cases by brute force."""
    subsets: dict[str, list[Ids | None]] = {"": [None] * len(filters.numbers)}
    for name, selection in cases().items():
        if selection.width is None:
            alike = filters.selected(selection, 0)
            subsets[name] = [alike] * len(filters.numbers)
        else:
            subsets[name] = [filters.selected(selection, number) for number in filters.numbers]
    filters.exact = exact_scores(filters.enlarged.rows, filters.vectors, subsets, HITS)


def measure_filtered(filters: Filters, server: Server) -> list[Row]:
    """Compare recall and throughput of filtered queries with those of the same queries without a filter."""
    find_exact(filters)
    note("  exact neighbours known")
    with connect(server) as channel:
        stub = PointsStub(channel)
        filters.ask(stub, "", None)
        plain = {ef: filters.ask(stub, "", None, ef) for ef in SWEEP}
        default = filters.ask(stub, "", None)
        filters.answers = {name: filters.ask(stub, name, selection) for name, selection in cases().items()}
    rows = _recall_rows(filters, plain, default)
    return rows + [_throughput_row(filters, server, share, plain) for share in SELECTIONS]


def _recall_rows(filters: Filters, plain: dict[int, Answers], default: Answers) -> list[Row]:
    how = (
        f"the lowest of three filters; {HITS} hits, {len(filters.numbers)} queries without any parameter, against "
        f"exact scores of all {len(filters.enlarged):,} points; ranges begin elsewhere for each query"
    )
    rows: list[Row] = []
    for share, kinds in SELECTIONS.items():
        found = {kind: filters.answers[f"{share} % {kind}"] for kind in kinds}
        details: dict[str, Detail] = {kind: each.recall for kind, each in found.items()}
        details |= {f"{kind}, points": _sizes(filters, each) for kind, each in kinds.items()}
        details |= {f"{kind}, server's time, median ms": each.median_ms for kind, each in found.items()}
        if not rows:
            details["no filter"] = default.recall
            details |= {f"no filter, ef {ef}: recall, median ms": [a.recall, a.median_ms] for ef, a in plain.items()}
        lowest = min(each.recall for each in found.values())
        rows.append(
            Row(f"recall-{share}", f"recall@10 with a filter, {share} %", lowest, 0.97, "at least", "", how, details)
        )
    return rows


def _sizes(filters: Filters, selection: Selection) -> str:
    sizes = [len(filters.selected(selection, number)) for number in filters.numbers[:BODIES]]
    return f"{min(sizes):,} to {max(sizes):,}" if min(sizes) != max(sizes) else f"{sizes[0]:,}"


def equal_ef(answers: dict[int, Answers], wanted: float) -> int:
    """Return the lowest ef that reaches a recall; the one with the highest recall when none does."""
    reaching = [ef for ef, each in sorted(answers.items()) if each.recall >= wanted]
    return reaching[0] if reaching else max(answers, key=lambda ef: (answers[ef].recall, -ef))


def _throughput_row(filters: Filters, server: Server, share: str, plain: dict[int, Answers]) -> Row:
    """Send filtered and unfiltered queries in turns, as fast as they are answered."""
    ratios: dict[str, float] = {}
    details: dict[str, Detail] = {}
    default = _prepared(filters, server, None, None)
    for kind, selection in SELECTIONS[share].items():
        name = f"{share} % {kind}"
        ef = equal_ef(plain, filters.answers[name].recall)
        with_filter = _prepared(filters, server, selection, None)
        without = _prepared(filters, server, None, ef)
        rates: list[tuple[float, float]] = [(_rate(server, with_filter), _rate(server, without)) for _ in range(ROUNDS)]
        ratios[kind] = statistics.median(filtered / free for filtered, free in rates)
        details |= {
            kind: ratios[kind],
            f"{kind}, calls/s by round": [filtered for filtered, _ in rates],
            f"{kind}, calls/s without filter by round": [free for _, free in rates],
            f"{kind}, against no filter with default parameters": statistics.median(rate for rate, _ in rates)
            / _rate(server, default),
            f"{kind}, ef without filter, recall with and without": [
                float(ef),
                filters.answers[name].recall,
                plain[ef].recall,
            ],
        }
    how = (
        "the lowest of three filters: h2load, one pinned worker, calls of "
        f"{BODIES} queries in turn against the same without filter with the lowest ef of {SWEEP} that gives at least "
        "the filtered recall (the highest recall when none does), median of "
        f"{ROUNDS} rounds; a repeated condition is answered from the server's memory"
    )
    figure = f"throughput with a filter, {share} %, against none at equal recall"
    return Row(f"rate-{share}", figure, min(ratios.values()), 0.25, "at least", "x", how, details)


def _prepared(filters: Filters, server: Server, selection: Selection | None, ef: int | None) -> list[h2load.Call]:
    calls = []
    numbers = filters.numbers
    for body, number in enumerate(numbers[:: max(len(numbers) // BODIES, 1)][:BODIES]):
        path = filters.session.work_dir / f"filtered-{selection is not None}-{ef}-{body}.bin"
        request = filters.request(number, selection, ef).SerializeToString()
        call, reply = h2load.prepare(server.address, "/qdrant.Points/Query", request, path)
        if not QueryResponse.FromString(reply).result:
            raise MeasurementError(f"query {number} with {selection} was answered with nothing")
        calls.append(call)
    return calls


def _rate(server: Server, calls: list[h2load.Call]) -> float:
    runs = [h2load.run(server.address, call, CALLS_A_BODY) for call in calls]
    return sum(run.calls for run in runs) / sum(run.seconds for run in runs)


def measure_original(filters: Filters, server: Server) -> list[Row]:
    """Ask the original engine the same queries, at least at the server's recall."""
    if not filters.exact:
        find_exact(filters)
    engine = Original(filters.session.work_dir / "original", filters.enlarged)
    note(f"  original engine: built in {engine.build_s:.0f} s, {engine.segments} segments")
    rows: list[Row] = []
    with connect(server) as channel:
        stub = PointsStub(channel)
        for share, kinds in SELECTIONS.items():
            ratios: dict[str, float] = {}
            details: dict[str, Detail] = {}
            for kind, selection in kinds.items():
                name = f"{share} % {kind}"
                ours = filters.ask(stub, name, selection)
                theirs = {ef: _ask_original(filters, engine, name, selection, ef) for ef in SWEEP}
                ef = equal_ef(theirs, ours.recall)
                # In turns: what the machine does besides meets both.
                ours = filters.ask(stub, name, selection)
                ratios[kind] = ours.median_ms / theirs[ef].median_ms
                details[kind] = ratios[kind]
                details[f"{kind}, server: recall, median ms"] = [ours.recall, ours.median_ms]
                details[f"{kind}, original: ef, recall, median ms"] = [
                    float(ef),
                    theirs[ef].recall,
                    theirs[ef].median_ms,
                ]
            if not rows:
                details |= {"original: build, s": engine.build_s, "original: segments": engine.segments}
            how = (
                "the highest of three filters: the server's own time, as its replies say, against the time of a call "
                "into qdrant-edge-py (its filter and request made beforehand) with the lowest ef that gives at least "
                f"the server's recall; medians of {len(filters.numbers)} queries, one after the other"
            )
            figure = f"filtered query, {share} %, server's time against the original engine's"
            rows.append(Row(f"original-{share}", figure, max(ratios.values()), 0.8, "at most", "x", how, details))
    engine.close()
    return rows


def _ask_original(filters: Filters, engine: Original, name: str, selection: Selection, ef: int) -> Answers:
    answers = [
        engine.query(vector.tolist(), selection, number, ef, HITS)
        for number, vector in zip(filters.numbers, filters.vectors, strict=True)
    ]
    return Answers(filters.compare(filters.exact[name], [hits for _, hits in answers]), [each for each, _ in answers])
