"""Measure a server of this tree against what its libraries can do, and write bench/results/.

Nothing here is a test: figures that miss their target are reported, and the exit status is 0 all the same. Needs
h2load (Debian package nghttp2-client) and a corpus directory; see docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import contextlib
import shutil
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import grpc

from scripts.benchmark import field_reads, field_writes, filters, h2load, reads, report, starts, writes
from scripts.benchmark.corpus import CorpusError, read_corpus, upsert_batches
from scripts.benchmark.enlarged import read_enlarged
from scripts.benchmark.filters import Filters
from scripts.benchmark.h2load import LoadGeneratorError
from scripts.benchmark.report import Row
from scripts.benchmark.server import ServerError
from scripts.benchmark.session import COLLECTION, MeasurementError, Session, connect, note
from scripts.load_packages import LoadError, exists

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scripts.benchmark.server import Server

ROOT = Path(__file__).resolve().parent.parent
BATCH = 100
POINTS = 500_000

SHARED = {
    "green": writes.measure_green,
    "recall": reads.measure_recall,
    "cpu": reads.measure_query_cpu,
    "p99": writes.measure_p99,
    "upsert": writes.measure_upsert,
}
"""Measurements on one server with two workers, in this order: the first loads the corpus."""

OWN = {"throughput": reads.measure_throughput, "start": starts.measure_start}
"""Measurements that start servers themselves, on the loaded corpus."""

FILTERS = {
    "filtered": filters.measure_filtered,
    "count": field_reads.measure_count,
    "unindexed": field_reads.measure_unindexed,
    "facet": field_reads.measure_facet,
    "scroll": field_reads.measure_scroll,
    "field-upsert": field_writes.measure_upsert,
    "original": filters.measure_original,
}
"""Measurements on the enlarged corpus, all on a server with one pinned worker."""

NAMES = [*SHARED, *OWN, *FILTERS]

PARTS = {"service": [*SHARED, *OWN], "filters": [*FILTERS]}
"""Groups of measurements that get a report of their own: the first takes minutes, the second half an hour."""

MeasurementFailure = (MeasurementError, LoadGeneratorError, LoadError, ServerError, grpc.RpcError)


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    corpus = ROOT.parent / "shared" / "data" / "packages"
    parser.add_argument("dir", type=Path, nargs="?", default=corpus, help="directory of the corpus [../shared/...]")
    parser.add_argument("--only", choices=[*NAMES, *PARTS], action="append", help="measure only this; may be repeated")
    parser.add_argument(
        "--points",
        type=int,
        default=POINTS,
        help=f"size of the enlarged corpus [{POINTS}]; no report is written with another",
    )
    parser.add_argument("--data-dir", type=Path, help="keep the server's data here, and take what is there already")
    parser.add_argument("--results", type=Path, default=ROOT / "bench" / "results", help="where reports go")
    return parser.parse_args()


def measure(name: str, function: Callable[[], list[Row]]) -> list[Row]:
    """Run one measurement; one that fails becomes a row that says so."""
    note(f"{name} ...")
    began = time.perf_counter()
    try:
        rows = function()
    except MeasurementFailure as error:
        call = cast("grpc.Call", error)
        why = f"{call.code()}: {call.details()}" if isinstance(error, grpc.RpcError) else str(error)
        note(f"  failed: {why}")
        return [Row(name, name, None, 0, "at least", "", f"the measurement failed: {why[:500]}")]
    for row in rows:
        note(f"  {row.figure}: {row.measured:.4g} {row.unit} ({row.verdict})")
    note(f"  {time.perf_counter() - began:.0f} s")
    return rows


def measure_all(session: Session, wanted: list[str]) -> list[Row]:
    """Run the wanted measurements of the corpus itself, loading it first where the data directory has none."""
    rows: list[Row] = []
    if not {*SHARED, *OWN} & {*wanted}:
        return rows
    session = replace(session, batches=list(upsert_batches(session.corpus, COLLECTION, BATCH)))
    with session.serve(2) as server:
        names = [name for name in SHARED if name in wanted]
        if "green" not in names and not _has_corpus(server):
            names.insert(0, "green")
        for name in names:
            rows += measure(name, lambda name=name: SHARED[name](session, server))  # type: ignore[misc]
    for name, function in OWN.items():
        if name in wanted:
            rows += measure(name, lambda function=function: function(session))  # type: ignore[misc]
    return rows


def measure_filters(session: Session, wanted: list[str], points: int) -> list[Row]:
    """Run the wanted measurements of the enlarged corpus, loading it first where the data directory has none."""
    names = [name for name in FILTERS if name in wanted]
    if not names:
        return []
    session = replace(session, data_dir=session.data_dir.with_name(f"{session.data_dir.name}-{points}"))
    shared = Filters(session, read_enlarged(session.corpus, points))
    rows: list[Row] = []
    with session.serve(2) as server:
        if not _has_corpus(server, filters.COLLECTION):
            rows += measure("enlarge", lambda: filters.load_enlarged(shared, server))
    # A lone pinned worker: which connection meets which worker must not decide a ratio.
    with session.serve(1, "always") as server:
        for name in names:
            rows += measure(name, lambda name=name: FILTERS[name](shared, server))  # type: ignore[misc]
    return rows


def _has_corpus(server: Server, collection: str = COLLECTION) -> bool:
    with connect(server) as channel:
        return exists(channel, collection)


@contextlib.contextmanager
def work_directory() -> Iterator[Path]:
    """Make a directory beside the results, on a real disk (/tmp may be memory), and remove it in the end."""
    parent = ROOT / "bench"
    parent.mkdir(exist_ok=True)
    path = Path(tempfile.mkdtemp(prefix=".work-", dir=parent))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def main() -> int:
    """Measure, print, write."""
    arguments = parse_arguments()
    machine = report.describe_machine()
    try:
        h2load.require_h2load()
        corpus = read_corpus(arguments.dir)
        wanted = [name for only in arguments.only or NAMES for name in PARTS.get(only, [only])]
        note(f"{len(corpus):,} points of {arguments.dir}")
        with work_directory() as work_dir:
            session = Session(corpus, [], arguments.data_dir or work_dir / "data", work_dir)
            rows = measure_all(session, wanted) + measure_filters(session, wanted, arguments.points)
    except (CorpusError, *MeasurementFailure) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print("\n" + report.render(machine, rows))
    part = arguments.only[0] if arguments.only else None
    whole = arguments.only is None or (len(arguments.only) == 1 and part in PARTS)
    if whole and (part == "service" or arguments.points == POINTS):
        print(f"written: {report.write(arguments.results, machine, rows, part)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
