"""The optimizer against a real collection: what it publishes, and that no answer changes by it."""

from __future__ import annotations

import math
import multiprocessing
import os
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pointstore.config import Settings
from pointstore.core.catalog import CollectionChange, CollectionStatus
from pointstore.core.errors import InsufficientStorageError, UnavailableError
from pointstore.core.payload import EMPTY
from pointstore.core.point import point_id_from_number
from pointstore.core.priority import give_way
from pointstore.core.schema import CollectionConfig, Datatype, Distance, HnswConfig, OptimizersConfig, VectorParams
from pointstore.core.update import DeletePoints, Upsert
from pointstore.core.vector import Dense
from pointstore.engine import collection as collection_module
from pointstore.engine import optimize
from pointstore.engine.engine import Engine
from pointstore.engine.optimize import Optimizer
from pointstore.index import slots as slot_sets
from pointstore.storage import segments as segments_module
from pointstore.storage.env import Environment
from pointstore.storage.poison import MARKS
from pointstore.storage.segments import INDEX_FILE, ROWS_FILE, open_segment, write_segment
from pointstore.storage.write_lock import WriteLock
from tests.building import running_engine
from tests.conftest import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from multiprocessing.synchronize import Event

    from numpy.typing import NDArray

    from pointstore.core.vector import NamedVectors
    from pointstore.engine.collection import Collection
    from pointstore.storage.env import Txn
    from pointstore.storage.segments import SegmentMeta

DIM = 16
MAP_SIZE = 1 << 30


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """An engine on an empty directory."""
    engine = Engine(tmp_path / "data", map_size=MAP_SIZE, catalog_map_size=MAP_SIZE)
    yield engine
    engine.close()


def create(engine: Engine, threshold_kb: int | None = 10, m: int = 8, datatype: Datatype | None = None) -> Collection:
    config = CollectionConfig(
        vectors={"": VectorParams(DIM, Distance.EUCLID, datatype=datatype)},
        single_vector=True,
        hnsw_config=HnswConfig(m=m, ef_construct=40),
        optimizers_config=OptimizersConfig(indexing_threshold=threshold_kb, vacuum_min_vector_number=100),
    )
    engine.create_collection("c", config)
    return engine.collection("c")


def upsert(collection: Collection, ids: range, seed: int = 0) -> NDArray[np.float32]:
    rows = np.random.default_rng(seed).normal(size=(len(ids), DIM)).astype(np.float32)
    vectors: list[NamedVectors] = [{"": Dense(row.tobytes())} for row in rows]
    update = Upsert([point_id_from_number(i) for i in ids], [EMPTY] * len(ids), vectors, [False] * len(ids))
    collection.write([update], wait=True, timeout_s=None)
    return rows


def delete(collection: Collection, ids: range) -> None:
    collection.write([DeletePoints(tuple(point_id_from_number(i) for i in ids))], wait=True, timeout_s=None)


def settle(optimizer: Optimizer, collection: Collection) -> None:
    deadline = time.monotonic() + 90
    while collection.info().status is not CollectionStatus.GREEN:
        assert time.monotonic() < deadline, collection.info()
        optimizer.step()
        optimizer.wait()
        time.sleep(0.02)


def segments(collection: Collection) -> tuple[SegmentMeta, ...]:
    return collection.state_for_optimizer().spaces[0].segments


def stored(collection: Collection) -> dict[int, bytes]:
    """Every live row by slot, read from segments and unsealed blocks, each slot from one place only."""
    space = collection.state_for_optimizer().spaces[0]
    slots, rows = collection.unsealed_rows(space.number)
    found = {int(slot): row.tobytes() for slot, row in zip(slots, rows, strict=True)}
    for meta in space.segments:
        files = open_segment(collection.segments_dir, meta)
        for slot, row in zip(files.slots, files.rows, strict=True):
            if slot_sets.contains(space.live, int(slot)):
                assert int(slot) not in found
                found[int(slot)] = row.tobytes()
    return found


def test_rows_become_one_indexed_segment(engine: Engine) -> None:
    collection, optimizer = create(engine), Optimizer(Settings(), engine)
    rows = upsert(collection, range(1000))
    assert collection.info().status is CollectionStatus.YELLOW
    settle(optimizer, collection)
    (segment,) = segments(collection)
    assert (segment.rows, segment.index, segment.m, segment.ef_construct) == (1000, "hnsw-fp16", 8, 40)
    assert sorted(stored(collection).values()) == sorted(row.tobytes() for row in rows)
    assert collection.info().indexed_vectors_count == 1000
    assert len(list(collection.segments_dir.iterdir())) == 1


def test_nobody_waits_for_a_lock_that_low_priority_holds(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Writers waited for seconds: the optimizer got no time on a busy machine, and had the store's lock."""
    collection, found = create(engine), set()
    upsert(collection, range(1000))
    begin = Environment.write

    def watched(environment: Environment) -> AbstractContextManager[Txn]:
        found.add((threading.current_thread().name.split("_")[0], os.getpriority(os.PRIO_PROCESS, 0)))
        return begin(environment)

    def begun() -> Optimizer:
        optimizer = Optimizer(Settings(), engine)
        give_way()
        settle(optimizer, collection)
        return optimizer

    monkeypatch.setattr(Environment, "write", watched)
    normal = os.getpriority(os.PRIO_PROCESS, 0)
    # Linux has priorities of threads: it is this one that gives way.
    with ThreadPoolExecutor(1, thread_name_prefix="loop") as loop:
        optimizer = loop.submit(begun).result()
        delete(collection, range(900))
        loop.submit(settle, optimizer, collection).result()
    assert found == {("MainThread", normal), ("prompt", normal)}


def test_nobody_waits_for_an_optimizer_that_opens_a_collection(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    create(engine)
    engine._open.clear()
    found: set[str] = set()
    locate = WriteLock.locate

    def watched(lock: WriteLock) -> None:
        found.add(threading.current_thread().name.split("_")[0])
        locate(lock)

    monkeypatch.setattr(WriteLock, "locate", watched)
    Optimizer(Settings(), engine).step()
    assert found == {"prompt"}


def test_small_collection_is_left_alone(engine: Engine) -> None:
    collection, optimizer = create(engine, threshold_kb=10_000), Optimizer(Settings(), engine)
    upsert(collection, range(50))
    optimizer.step()
    assert collection.info().status is CollectionStatus.GREEN
    assert segments(collection) == ()


@pytest.mark.parametrize(("threshold_kb", "m"), [(0, 8), (10, 0)])
def test_no_graph_where_none_is_wanted(engine: Engine, threshold_kb: int, m: int) -> None:
    collection = create(engine, threshold_kb=threshold_kb, m=m)
    optimizer = Optimizer(Settings.model_validate({"optimizer": {"seal_bytes": 1 << 14}}), engine)
    for start in range(0, 1200, 300):
        upsert(collection, range(start, start + 300), seed=start)
        settle(optimizer, collection)
        optimizer.step()
        optimizer.wait()
    before = stored(collection)
    settle(optimizer, collection)
    assert {segment.index for segment in segments(collection)} == {None}
    assert len(before) == 1200
    assert stored(collection) == before


def test_graph_is_continued_and_keeps_every_row(engine: Engine) -> None:
    collection, optimizer = create(engine), Optimizer(Settings(), engine)
    upsert(collection, range(5000))
    settle(optimizer, collection)
    (first,) = segments(collection)
    delete(collection, range(100))
    upsert(collection, range(5000, 10_000), seed=1)
    settle(optimizer, collection)
    (second,) = segments(collection)
    assert first.uid != second.uid
    # Dead rows stay in a graph that is continued.
    assert second.rows == 10_000
    assert len(stored(collection)) == 9900
    assert [path.name for path in collection.segments_dir.iterdir()] == [second.uid]


def test_graph_is_continued_from_the_file_by_another_process(engine: Engine) -> None:
    collection = create(engine)
    upsert(collection, range(5000))
    settle(Optimizer(Settings(), engine), collection)
    upsert(collection, range(5000, 10_000), seed=1)
    settle(Optimizer(Settings(), engine), collection)
    (segment,) = segments(collection)
    assert segment.rows == 10_000
    assert len(stored(collection)) == 10_000


def test_dead_rows_are_dropped(engine: Engine) -> None:
    collection, optimizer = create(engine), Optimizer(Settings(), engine)
    upsert(collection, range(1000))
    settle(optimizer, collection)
    delete(collection, range(0, 1000, 3))
    before = stored(collection)
    settle(optimizer, collection)
    (segment,) = segments(collection)
    assert segment.rows == 666
    assert stored(collection) == before
    delete(collection, range(1000))
    settle(optimizer, collection)
    assert segments(collection) == ()
    assert list(collection.segments_dir.iterdir()) == []


def test_unsealed_rows_that_are_all_dead_do_not_keep_it_busy(engine: Engine) -> None:
    collection = create(engine)
    optimizer = Optimizer(Settings.model_validate({"optimizer": {"seal_bytes": 1 << 14}}), engine)
    upsert(collection, range(1000))
    delete(collection, range(1000))
    settle(optimizer, collection)
    assert collection.state_for_optimizer().spaces[0].unsealed_rows == 0


def test_missing_index_is_built_again(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "data", map_size=MAP_SIZE, catalog_map_size=MAP_SIZE)
    collection = create(engine)
    upsert(collection, range(1000))
    settle(Optimizer(Settings(), engine), collection)
    (before,) = segments(collection)
    (collection.segments_dir / before.uid / INDEX_FILE).unlink()
    engine.close()
    engine = Engine(tmp_path / "data", map_size=MAP_SIZE, catalog_map_size=MAP_SIZE)
    collection = engine.collection("c")
    assert collection.info().status is CollectionStatus.YELLOW
    settle(Optimizer(Settings(), engine), collection)
    (after,) = segments(collection)
    assert after.uid != before.uid
    assert (collection.segments_dir / after.uid / INDEX_FILE).exists()
    engine.close()


def test_damaged_rows_are_an_error_and_are_not_copied(engine: Engine) -> None:
    collection, optimizer = create(engine), Optimizer(Settings(), engine)
    upsert(collection, range(1000))
    settle(optimizer, collection)
    (before,) = segments(collection)
    path = collection.segments_dir / before.uid / ROWS_FILE
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    delete(collection, range(500))
    for _ in range(3):
        optimizer.step()
        optimizer.wait()
    info = collection.info()
    assert info.status is CollectionStatus.RED
    assert info.optimizer_error is not None
    assert ROWS_FILE in info.optimizer_error
    assert segments(collection) == (before,)


def test_rows_unfit_for_a_graph_settle_without_one(engine: Engine) -> None:
    collection, optimizer = create(engine), Optimizer(Settings(), engine)
    upsert(collection, range(500))
    huge = np.full((1, DIM), 1e30, dtype=np.float32)
    update = Upsert([point_id_from_number(7)], [EMPTY], [{"": Dense(huge[0].tobytes())}], [False])
    collection.write([update], wait=True, timeout_s=None)
    settle(optimizer, collection)
    (segment,) = segments(collection)
    assert segment.index == "scan"


def test_changed_parameters_rebuild(engine: Engine) -> None:
    collection, optimizer = create(engine), Optimizer(Settings(), engine)
    upsert(collection, range(1000))
    settle(optimizer, collection)
    collection.update_config(CollectionChange(hnsw_config=HnswConfig(m=12)))
    assert collection.info().status is CollectionStatus.YELLOW
    settle(optimizer, collection)
    (segment,) = segments(collection)
    assert segment.m == 12


def test_dropped_collection_is_no_error(engine: Engine) -> None:
    collection, optimizer = create(engine), Optimizer(Settings(), engine)
    upsert(collection, range(1000))
    directory = collection.segments_dir.parent
    optimizer.step()
    engine.drop_collection("c")
    for _ in range(3):
        optimizer.wait()
        optimizer.step()
    assert not directory.exists()


def written_segments(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list that the uid of each segment joins once it is written, published or not."""
    written: list[str] = []

    def write(*arguments: Any) -> SegmentMeta:  # noqa: ANN401  passed on
        meta = write_segment(*arguments)
        written.append(meta.uid)
        return meta

    monkeypatch.setattr(optimize, "write_segment", write)
    return written


def directories(collection: Collection) -> list[str]:
    return sorted(path.name for path in collection.segments_dir.iterdir())


@pytest.mark.parametrize("task", ["seal", "compact"])
def test_a_segment_that_cannot_be_published_is_removed(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    """Each retry would leave another one, until the disk is full."""
    collection, optimizer = create(engine), Optimizer(Settings(), engine)
    upsert(collection, range(1000))
    if task == "compact":
        settle(optimizer, collection)
        delete(collection, range(500))
    before, written = directories(collection), written_segments(monkeypatch)

    def refuse(name: str) -> None:
        if name == "publish.finished":
            text = "the disk is full"
            raise InsufficientStorageError(text)

    with monkeypatch.context() as patch:
        patch.setattr(collection_module, "visit", refuse)
        optimizer._watched.clear()
        wait_until(lambda: optimizer.step() > 0 and bool(written), "a segment is written")
        optimizer.wait()
    assert directories(collection) == before
    settle(Optimizer(Settings(), engine), collection)
    assert directories(collection) == sorted(segment.uid for segment in segments(collection))


@pytest.mark.parametrize("committed", [False, True])
def test_a_marked_collection_is_left_alone(engine: Engine, monkeypatch: pytest.MonkeyPatch, *, committed: bool) -> None:
    """Nothing can be published in it; but a segment that is published after all must stay."""
    collection, optimizer = create(engine), Optimizer(Settings(), engine)
    rows = upsert(collection, range(1000))
    written = written_segments(monkeypatch)

    def mark(name: str) -> None:
        if name == ("publish.finished" if committed else "segment.renamed"):
            MARKS.add(collection.segments_dir.parent)

    monkeypatch.setattr(collection_module if committed else segments_module, "visit", mark)
    try:
        wait_until(lambda: optimizer.step() > 0 and bool(written), "a segment is written")
        assert directories(collection) == (written if committed else [])
        for watched in optimizer._watched.values():
            watched.retry_at = 0.0
        for _ in range(3):
            optimizer.step()
            Optimizer(Settings(), engine).step()
        assert len(written) == 1
        assert sorted(stored(collection).values()) == sorted(row.tobytes() for row in rows)
    finally:
        MARKS.clear()


def test_what_an_optimizer_that_died_has_left_is_removed(engine: Engine) -> None:
    collection = create(engine)
    upsert(collection, range(1000))
    settle(Optimizer(Settings(), engine), collection)
    (segment,) = segments(collection)
    for name in (".tmp-0123", "0123", ".removed-4567"):
        shutil.copytree(collection.segments_dir / segment.uid, collection.segments_dir / name)
    Optimizer(Settings(), engine).step()
    assert directories(collection) == [segment.uid]


def test_a_collection_that_cannot_be_opened_is_no_reason_to_do_without_the_others(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.create_collection("a", CollectionConfig())
    collection, optimizer = create(engine), Optimizer(Settings(), engine)
    upsert(collection, range(1000))
    refused: list[str] = []
    original = engine.collection_of

    def collection_of(name: str, uid: str) -> Collection:
        if name == "a":
            refused.append(name)
            text = "too many open files"
            raise UnavailableError(text)
        return original(name, uid)

    monkeypatch.setattr(engine, "collection_of", collection_of)
    started = time.monotonic()
    settle(optimizer, collection)
    assert [segment.rows for segment in segments(collection)] == [1000]
    # Tried again after 1 s, 2 s, ...
    assert 1 <= len(refused) <= 1 + math.log2(1 + time.monotonic() - started)


def read_until_killed(path: str, reading: Event) -> None:
    with running_engine(Path(path)) as engine, engine.collection("c").view():
        reading.set()
        time.sleep(600)


def test_the_read_of_a_process_that_was_killed_ends(engine: Engine) -> None:
    """Else no page that is freed after it began would ever be used again."""
    collection, optimizer = create(engine), Optimizer(Settings(), engine)
    optimizer.step()
    context = multiprocessing.get_context("spawn")
    reading = context.Event()
    process = context.Process(target=read_until_killed, args=(str(engine.data_dir), reading))
    process.start()
    assert reading.wait(60)
    process.kill()
    process.join()
    upsert(collection, range(10))
    environment = collection._store._environment
    assert environment._oldest_read() < math.inf
    optimizer.step()
    assert environment._oldest_read() == math.inf


def test_nothing_is_lost_while_writes_go_on(engine: Engine) -> None:
    collection = create(engine)
    settings = Settings.model_validate(
        {"optimizer": {"seal_bytes": 1 << 14, "tail_bytes": 1 << 15, "poll_interval_s": 0.01}}
    )
    optimizer, stop = Optimizer(settings, engine), threading.Event()
    thread = threading.Thread(target=optimizer.run, args=(stop,))
    thread.start()
    try:
        expected: dict[int, bytes] = {}
        rng = np.random.default_rng(0)
        for step in range(60):
            start = int(rng.integers(0, 4000))
            ids = range(start, start + 200)
            if step % 4 == 3:
                delete(collection, ids)
                expected = {key: row for key, row in expected.items() if key not in ids}
            else:
                rows = upsert(collection, ids, seed=step)
                expected.update({key: row.tobytes() for key, row in zip(ids, rows, strict=True)})
            found = sorted(stored_consistently(collection).values())
            assert found == sorted(expected.values()), step
        # On a busy machine the first build may still be under way.
        deadline = time.monotonic() + 90
        while not any(segment.index for segment in segments(collection)):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        stop.set()
        thread.join()
    settle(Optimizer(Settings(), engine), collection)
    assert sorted(stored(collection).values()) == sorted(expected.values())
    published = {segment.uid for segment in segments(collection)}
    assert {path.name for path in collection.segments_dir.iterdir()} == published


def stored_consistently(collection: Collection) -> dict[int, bytes]:
    """What one view holds: the optimizer may publish between any two."""
    with collection.view() as view:
        space = view.generation.dense[""]
        unsealed = space.unsealed.slots[: space.unsealed.count]
        pairs = list(zip(unsealed, space.unsealed.rows, strict=False))
        for segment in space.segments:
            pairs += zip(segment.dense.slots, segment.dense.rows, strict=True)
        live = [(int(slot), row.tobytes()) for slot, row in pairs if slot_sets.contains(space.live, int(slot))]
    assert len(dict(live)) == len(live)
    return dict(live)
