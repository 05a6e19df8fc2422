"""A data directory with a bit of everything, its answers, and damage done to it: what the gate of bit rot runs.

The functions that open the directory run in processes that may die of it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

import numpy as np

from pointstore.core.catalog import CreateAlias
from pointstore.core.errors import StorageError
from pointstore.core.fields import FieldParams, FieldSchema, FieldType
from pointstore.core.filter import (
    Field,
    Filter,
    HasId,
    HasVector,
    IsEmpty,
    MatchInteger,
    MatchKeyword,
    MatchText,
    Range,
)
from pointstore.core.path import parse_path
from pointstore.core.priority import PromptThread
from pointstore.core.query import NearestQuery, OrderBy, ScrollRequest, SearchParams
from pointstore.core.schema import (
    CollectionConfig,
    Datatype,
    Distance,
    MultiVectorConfig,
    SparseVectorParams,
    VectorParams,
)
from pointstore.core.space import space_of
from pointstore.core.update import CreateField, DeletePoints
from pointstore.engine import recheck, recover
from pointstore.engine.progress import Progress
from pointstore.engine.strict import Searches
from pointstore.index.dense import IndexBuilder, Kind
from pointstore.storage import keys, migration, segments
from pointstore.storage.layout import CATALOG
from pointstore.storage.pages import DATA_FILE, PageFile
from pointstore.storage.segments import IndexSource, write_segment
from pointstore.storage.survey import Survey, newest
from tests.building import (
    EVERYTHING,
    MAP_SIZE,
    dense,
    multi,
    pids,
    place_of_name,
    plain_record,
    running_engine,
    seal,
    sparse,
    upsert,
    vector_config,
    write,
)

if TYPE_CHECKING:
    import random
    from pathlib import Path

    from pointstore.engine.collection import Collection
    from pointstore.engine.engine import Engine
    from tests.building import Point

POINTS: Final = 160
CITIES: Final = ("Berlin", "London", "Moscow", "Paris")
COUNTS: Final = {
    "everything": POINTS - len(range(0, POINTS, 11)) + len(set(range(1, POINTS, 13)) & set(range(0, POINTS, 11))),
    "small": 10,
}
"""Points by collection."""
_DIM = 8
_CATALOG = "(catalog)"

Answers = dict[str, dict[str, str]]
"""By collection: question to answer, both as text; or the one entry "error"."""


def build(data_dir: Path) -> None:
    """Write a data directory: segments with and without index, rows in the store, all kinds of vectors and indexes."""
    rows = np.random.default_rng(1).standard_normal((POINTS, _DIM)).astype("<f4")
    with running_engine(data_dir) as engine:
        engine.create_collection(
            "everything",
            CollectionConfig(
                vectors={
                    "": VectorParams(_DIM, Distance.DOT),
                    "half": VectorParams(2, Distance.EUCLID, datatype=Datatype.FLOAT16),
                    "multi": VectorParams(2, Distance.DOT, multivector_config=MultiVectorConfig()),
                },
                sparse_vectors={"sparse": SparseVectorParams()},
            ),
        )
        collection = engine.collection("everything")
        for path, kind in (("city", FieldType.KEYWORD), ("n", FieldType.INTEGER), ("text", FieldType.TEXT)):
            write(collection, CreateField(parse_path(path), FieldSchema(kind, FieldParams())))
        third = POINTS // 3
        for start in range(0, POINTS, third):
            points: list[Point] = [
                (
                    n,
                    {
                        "": dense(*rows[n].tolist()),
                        "half": dense(n, 1),
                        "multi": multi([n, 1], [1, n]),
                        "sparse": sparse(_1=0.5, _9=float(n + 1)),
                    },
                    {
                        "city": CITIES[n % 4],
                        "n": n,
                        "text": f"word{n % 7} and more of it",
                        "big": "x" * (40 * (n % 90)),
                    },
                )
                for n in range(start, min(start + third, POINTS))
            ]
            write(collection, upsert(*points))
            if start == 0:
                _seal_with_index(collection)
            elif start == third:
                seal(collection)
        write(collection, DeletePoints(pids(*range(0, POINTS, 11))))
        write(collection, upsert(*[(n, {"": dense(*rows[n].tolist())}, {"n": -n}) for n in range(1, POINTS, 13)]))
        engine.create_collection("small", vector_config())
        write(engine.collection("small"), upsert(*[(n, {"": dense(n, 1)}, {"n": n}) for n in range(10)]))
        engine.update_aliases([CreateAlias("everything", "alias")])


def _seal_with_index(collection: Collection) -> None:
    space = space_of(collection.config().vectors[""])
    number = collection.config().vector_numbers[""]
    slots, rows = collection.unsealed_rows(number)
    builder = IndexBuilder(space, Kind.HALF, 16, 100, 1)
    builder.add(rows)
    index = IndexSource(Kind.HALF, 16, 100, builder.write)
    meta = write_segment(collection.segments_dir, number, space, slots, [rows], index)
    assert collection.publish(number, meta, (), int(slots[-1]))


def start(data_dir: Path, after: str | None) -> None:
    """Do what a start does before it serves."""
    with _progress(data_dir, after) as progress:
        recover.recover(data_dir, map_size=MAP_SIZE, catalog_map_size=MAP_SIZE, progress=progress)


def look_again(data_dir: Path, after: str | None) -> list[str]:
    """Do what a server does after one of its processes died."""
    with _progress(data_dir, after) as progress, contextlib.closing(PromptThread()) as promptly:
        return recheck.recheck(
            data_dir, map_size=MAP_SIZE, catalog_map_size=MAP_SIZE, promptly=promptly, progress=progress
        )


@contextlib.contextmanager
def _progress(data_dir: Path, after: str | None) -> Iterator[Progress]:
    """Keep the note beside the data, since nobody inherits one here."""
    first = os.O_TRUNC if after is None else 0
    note = os.open(data_dir.with_name(f"{data_dir.name}.note"), os.O_RDWR | os.O_CREAT | first, 0o644)
    try:
        yield Progress(note, after)
    finally:
        os.close(note)


def answers(data_dir: Path) -> Answers:
    """Ask everything there is to be asked."""
    with running_engine(data_dir) as engine:
        found: Answers = {
            _CATALOG: {"names": repr(engine.collection_names()), "aliases": repr(engine.aliases())},
        }
        for name in ("everything", "small"):
            try:
                found[name] = {
                    question: hashlib.sha256(ask(engine, engine.collection(name)).encode()).hexdigest()
                    for question, ask in _QUESTIONS[name].items()
                }
            except StorageError as error:
                found[name] = {"error": str(error)}
        return found


def _count(condition: Filter) -> Callable[[Engine, Collection], str]:
    return lambda _, collection: str(collection.count(condition))


def _field(path: str, *checks: MatchKeyword | MatchInteger | MatchText | Range) -> Filter:
    return Filter(must=(Field(parse_path(path), checks),))


def _everything(_: Engine, collection: Collection) -> str:
    page = collection.scroll(ScrollRequest(None, None, 10_000, EVERYTHING))
    return repr([plain_record(record) for record in page.records]) + repr(page.next_offset)


def _each(_: Engine, collection: Collection) -> str:
    return repr([plain_record(record) for record in collection.get(pids(*range(POINTS + 5)), EVERYTHING)])


def _ordered(_: Engine, collection: Collection) -> str:
    order = OrderBy(parse_path("n"), descending=True, start_from=None)
    page = collection.scroll(ScrollRequest(None, None, 30, EVERYTHING, order))
    return repr([plain_record(record) for record in page.records])


def _nearest(name: str, size: int) -> Callable[[Engine, Collection], str]:
    def ask(engine: Engine, collection: Collection) -> str:
        queries = [
            NearestQuery(
                dense(*[(i * j) % 5 - 2.0 for j in range(size)]), limit=40, using=name, params=SearchParams(exact=True)
            )
            for i in range(1, 4)
        ]
        hits = engine.query(collection.name, Searches(queries))
        return repr([[(hit.point_id, hit.score, hit.version) for hit in each] for each in hits])

    return ask


def _indexed(engine: Engine, collection: Collection) -> str:
    """Search through the index; what comes of it may differ, whether it comes may not."""
    engine.query(collection.name, Searches([NearestQuery(dense(*range(_DIM)), limit=5)]))
    return ""


_COMMON: Final[dict[str, Callable[[Engine, Collection], str]]] = {
    "scroll": _everything,
    "get": _each,
    "info": lambda _, collection: repr(
        [getattr(collection.info(), name) for name in ("config", "points_count", "payload_schema", "segments_count")]
    ),
    "count": lambda _, collection: str(collection.count(None)),
    "count of ids": _count(Filter(must=(HasId(frozenset(pids(1, 3, 5, 999))),))),
}
_QUESTIONS: Final = {
    "small": {**_COMMON, "nearest": _nearest("", 2)},
    "everything": {
        **_COMMON,
        **{f"city {city}": _count(_field("city", MatchKeyword(city))) for city in (*CITIES, "Rome")},
        **{f"n {n}": _count(_field("n", MatchInteger(n))) for n in (3, 33, -14)},
        **{f"text {n}": _count(_field("text", MatchText(f"word{n}"))) for n in range(8)},
        "range": _count(_field("n", Range(gte=20, lt=90))),
        "empty": _count(Filter(must=(IsEmpty(parse_path("city"), wanted=True),))),
        **{f"has {name}": _count(Filter(must=(HasVector(name),))) for name in ("", "half", "multi", "sparse")},
        "order": _ordered,
        "facet": lambda _, collection: repr(collection.facet(parse_path("city"), None, 10)),
        "nearest": _nearest("", _DIM),
        "nearest of half": _nearest("half", 2),
        "indexed": _indexed,
    },
}


def without_checks() -> None:
    """Make this process believe everything it reads, as the control of the gate; there is no way back."""
    for module, name, believing in (
        (recover, "verify_collection", lambda *_args, **_kwargs: Survey()),
        (recover, "verify_catalog", lambda *_args, **_kwargs: Survey()),
        (segments, "verify_segment", lambda *_args: []),
        (keys, "unseal", lambda _key, record, *_what: record[4:]),
    ):
        setattr(module, name, believing)


def damage(rng: random.Random, data_dir: Path) -> str:
    """Damage one file and say how: mostly one bit, of every kind of file and page."""
    files = sorted(path for path in data_dir.rglob("*") if path.is_file() and path.name not in {"lock.mdb", "LOCK"})
    path = rng.choices(files, [each.stat().st_size for each in files])[0] if rng.random() < 0.5 else rng.choice(files)
    shown = f"{path.relative_to(data_dir)} of {path.stat().st_size} bytes"
    content = bytearray(path.read_bytes())
    if rng.random() < 0.1:
        size = rng.choice([0, rng.randrange(len(content)), rng.randrange(len(content)) // 4096 * 4096])
        path.write_bytes(content[:size])
        return f"{shown} cut to {size}"
    place = rng.randrange(len(content))
    if path.name == DATA_FILE and rng.random() < 0.9:
        # Behind its last page a store keeps blocks in reserve, where damage is as harmless as boring.
        file = PageFile(path.parent)
        page, place = rng.randrange(newest(file).last_page + 1), rng.randrange(file.page_size)
        if rng.random() < 0.5:
            # What pages say of themselves: meta pages, headers, places of nodes and the nodes' own headers.
            page, place = rng.choice([0, 1, page, page]), rng.randrange(160)
        place += page * file.page_size
        file.close()
        if rng.random() < 0.05:
            kind = migration.CATALOG if path.parent.name == CATALOG else migration.COLLECTION
            name = rng.choice([*kind.databases])
            place = place_of_name(path.parent, name) + rng.randrange(len(name))
    bit = rng.randrange(8)
    content[place] ^= 1 << bit
    path.write_bytes(content)
    return f"bit {bit} of byte {place} of {shown}"
