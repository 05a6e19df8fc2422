"""Short ways to write points, updates, filters and collections in tests, and the steps of an optimizer by hand."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from pointstore.core.filter import Filter, HasId
from pointstore.core.payload import pack_payload, unpack_payload
from pointstore.core.point import PointId, format_point_id, point_id_from_number, point_id_from_text
from pointstore.core.query import ALL_PAYLOAD, NO_VECTORS, Record, ScrollRequest, Selectors, VectorSelector
from pointstore.core.schema import (
    CollectionConfig,
    Datatype,
    Distance,
    MultiVectorConfig,
    SparseVectorParams,
    VectorParams,
)
from pointstore.core.space import space_of
from pointstore.core.update import Update, UpdateMode, UpdateResult, UpdateVectors, Upsert
from pointstore.core.vector import Dense, Multi, NamedVectors, Sparse, Vector
from pointstore.engine.engine import Engine
from pointstore.index import slots as slot_sets
from pointstore.storage.env import Environment
from pointstore.storage.keys import FORMAT
from pointstore.storage.meta import advanced
from pointstore.storage.pages import DATA_FILE, PageFile, unpack_tree
from pointstore.storage.segments import SegmentMeta, remove_segment, write_segment
from pointstore.storage.survey import newest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pointstore.core.schema import Json
    from pointstore.engine.collection import Collection

MAP_SIZE = 64 << 20
EVERYTHING = Selectors(ALL_PAYLOAD, VectorSelector(enable=True))
PAYLOAD_ONLY = Selectors(ALL_PAYLOAD, NO_VECTORS)
_PAGE_FLAGS = 10

Point = tuple[int | str, Mapping[str, Vector], Mapping[str, "Json"]]
"""Id, vectors by name, payload."""


def pid(point: int | str) -> PointId:
    """Pack an id given as a number or a UUID."""
    return point_id_from_number(point) if isinstance(point, int) else point_id_from_text(point)


def pids(*points: int | str) -> tuple[PointId, ...]:
    """Pack several ids."""
    return tuple(map(pid, points))


def dense(*components: float) -> Dense:
    """Make a dense vector."""
    return Dense(np.array(components, "<f4").tobytes())


def multi(*rows: Sequence[float]) -> Multi:
    """Make a multi-vector."""
    matrix = np.array(rows, "<f4")
    return Multi(matrix.tobytes(), matrix.shape[1])


def sparse(**weights: float) -> Sparse:
    """Make a sparse vector from weights by index: `sparse(_3=0.5)`."""
    pairs = sorted((int(index.lstrip("_")), weight) for index, weight in weights.items())
    indices, values = [index for index, _ in pairs], [weight for _, weight in pairs]
    return Sparse(np.array(indices, np.uint32), np.array(values, np.float32))


def upsert(
    *points: Point, mode: UpdateMode = UpdateMode.UPSERT, condition: Filter | None = None, named: bool = True
) -> Upsert:
    """Make an upsert of whole points."""
    return Upsert(
        [pid(point) for point, _, _ in points],
        [pack_payload(dict(payload)) for _, _, payload in points],
        [dict(vectors) for _, vectors, _ in points],
        [named] * len(points),
        mode,
        condition,
    )


def update_vectors(*points: tuple[int | str, Mapping[str, Vector]], condition: Filter | None = None) -> UpdateVectors:
    """Make an update of vectors."""
    return UpdateVectors([pid(point) for point, _ in points], [dict(vectors) for _, vectors in points], condition)


def having(*points: int | str) -> Filter:
    """Make a filter that matches these points."""
    return Filter(must=(HasId(frozenset(pids(*points))),))


def plain(vector: Vector) -> object:
    """Turn a vector into something that compares and prints well."""
    if isinstance(vector, Dense):
        return tuple(np.frombuffer(vector.data, "<f4").tolist())
    if isinstance(vector, Sparse):
        return dict(zip(vector.indices.tolist(), vector.values.tolist(), strict=True))
    return tuple(map(tuple, np.frombuffer(vector.data, "<f4").reshape(-1, vector.dim).tolist()))


def plain_vectors(vectors: NamedVectors | None) -> dict[str, object] | None:
    """Turn the vectors of a point into something that compares and prints well."""
    return None if vectors is None else {name: plain(vector) for name, vector in vectors.items()}


def plain_record(record: Record) -> tuple[str, dict[str, Json], dict[str, object] | None]:
    """Turn a returned point into something that compares and prints well."""
    return format_point_id(record.point_id), unpack_payload(record.payload), plain_vectors(record.vectors)


def vector_config(size: int = 2, distance: Distance = Distance.DOT, **more: VectorParams) -> CollectionConfig:
    """Configure a default dense space and, by name, others."""
    return CollectionConfig(vectors={"": VectorParams(size, distance), **more}, single_vector=not more)


@contextlib.contextmanager
def running_engine(data_dir: Path, map_size: int = MAP_SIZE) -> Iterator[Engine]:
    """Open an engine and close it in the end."""
    engine = Engine(data_dir, map_size=map_size, catalog_map_size=MAP_SIZE)
    try:
        yield engine
    finally:
        engine.close()


def write(collection: Collection, *updates: Update, wait: bool = True) -> list[UpdateResult]:
    """Write updates, waiting by default."""
    return collection.write(updates, wait=wait, timeout_s=None)


def contents(collection: Collection) -> dict[str, tuple[dict[str, Json], dict[str, object] | None]]:
    """Return every point with payload and vectors, by the text of its id, in scroll order."""
    page = collection.scroll(ScrollRequest(None, None, 1_000_000, EVERYTHING))
    assert page.next_offset is None
    return {point: (payload, vectors) for point, payload, vectors in map(plain_record, page.records)}


def seal(collection: Collection, name: str = "") -> SegmentMeta | None:
    """Seal the unsealed rows of a space as the optimizer does; return the new segment."""
    config = collection.config()
    number, space = config.vector_numbers[name], space_of(config.vectors[name])
    slots, rows = collection.unsealed_rows(number)
    if not slots.size:
        return None
    meta = write_segment(collection.segments_dir, number, space, slots, [rows])
    assert collection.publish(number, meta, (), int(slots[-1]))
    return meta


def merge_segments(collection: Collection, name: str = "") -> None:
    """Replace all segments of a space by one with their live rows, as the optimizer does."""
    number = collection.config().vector_numbers[name]
    with collection.view() as view:
        found = view.generation.dense[name]
        slots = [
            slot
            for segment in found.segments
            for slot in segment.dense.slots.tolist()
            if slot_sets.contains(found.live, slot)
        ]
        uids = [segment.meta.uid for segment in found.segments]
        rows = np.array([found.row(slot) for slot in slots], found.space.dtype)
        meta = None
        if slots:
            meta = write_segment(collection.segments_dir, number, found.space, np.array(slots, np.uint64), [rows])
    assert collection.publish(number, meta, uids, None)
    for uid in uids:
        remove_segment(collection.segments_dir, uid)


def skip_slots(collection: Collection, count: int) -> None:
    """Give so many slots to nobody, as if points that are gone by now had had them."""
    store = collection._store
    with store.write() as txn:
        head = store.meta.head(txn)
        store.meta.put_head(txn, replace(advanced(head), next_slot=head.next_slot + count))


def renew_slots(collection: Collection) -> int:
    """Keep slots near each other, as the optimizer does; return how many numbers of the log were taken for it."""
    with collection.view() as view:
        before = view.generation.head.seq
    while collection.renew_slots(0):
        pass
    with collection.view() as view:
        return view.generation.head.seq - before


def config_of_every_kind() -> CollectionConfig:
    """Return a configuration with a vector of each kind: dense, of halves (`h`), multi (`m`), sparse (`s`)."""
    return CollectionConfig(
        vectors={
            "": VectorParams(2, Distance.COSINE),
            "h": VectorParams(3, Distance.EUCLID, datatype=Datatype.FLOAT16),
            "m": VectorParams(2, Distance.DOT, multivector_config=MultiVectorConfig()),
        },
        sparse_vectors={"s": SparseVectorParams()},
    )


def in_spaces(config: CollectionConfig, **spaces: VectorParams) -> CollectionConfig:
    """Return the configuration with more dense spaces."""
    return replace(config, vectors={**config.vectors, **spaces}, single_vector=False)


def spoil_root(environment: Path, database: str) -> None:
    """Make the root page of a database one of no kind, which LMDB notices."""
    file = PageFile(environment)
    trees = {node.key: node.value for node in file.leaf_nodes(file.page(newest(file).main.root, leaf=True))}
    place = unpack_tree(trees[database.encode()]).root * file.page_size
    file.close()
    with (environment / DATA_FILE).open("r+b") as data:
        data.seek(place + _PAGE_FLAGS)
        data.write(b"\0\0")


def remove_format(catalog: Path) -> None:
    """Remove the record of a catalog's format."""
    environment = Environment(catalog, MAP_SIZE, ("node",), create=False)
    with environment.write() as txn:
        txn.delete(FORMAT, db=environment.database("node"))
    environment.close()


def place_of_name(environment: Path, name: str) -> int:
    """Return where in the data file the name of a database stands, which is a key of LMDB's main tree."""
    file = PageFile(environment)
    root = newest(file).main.root
    page, key = file.page(root, leaf=True), name.encode()
    # Its length stands before the key. What nodes have left behind lies before those in use.
    place = root * file.page_size + page.rindex(len(key).to_bytes(2, "little") + key) + 2
    file.close()
    return place


def rename_database(environment: Path, name: str) -> None:
    """Flip one bit in the name of a database."""
    content = bytearray((environment / DATA_FILE).read_bytes())
    content[place_of_name(environment, name) + len(name) - 1] ^= 1
    (environment / DATA_FILE).write_bytes(content)
