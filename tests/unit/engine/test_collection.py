"""Tests of reads of a collection and of its background interface: get, scroll, count, info, publish, log size."""

from __future__ import annotations

import shutil
import threading
from typing import TYPE_CHECKING

import pytest

from pointstore.core.catalog import CollectionStatus
from pointstore.core.errors import CorruptionError, WrongInputError
from pointstore.core.filter import Filter
from pointstore.core.path import parse_path
from pointstore.core.payload import unpack_payload
from pointstore.core.query import (
    ALL_PAYLOAD,
    NO_PAYLOAD,
    PayloadSelector,
    ScrollRequest,
    Selectors,
    VectorSelector,
)
from pointstore.core.update import DeletePoints, DropVector
from pointstore.storage.segments import SegmentMeta
from tests.building import (
    EVERYTHING,
    contents,
    dense,
    having,
    merge_segments,
    multi,
    pid,
    pids,
    plain_record,
    plain_vectors,
    seal,
    sparse,
    upsert,
    write,
)

if TYPE_CHECKING:
    from pointstore.core.vector import NamedVectors
    from pointstore.engine.collection import Collection

_UUIDS = ["00000000-0000-0000-0000-000000000001", "ffffffff-0000-0000-0000-000000000000"]


def _scroll(
    collection: Collection, limit: int, offset: int | str | None = None, condition: Filter | None = None
) -> tuple[list[str], str | None]:
    page = collection.scroll(ScrollRequest(condition, None if offset is None else pid(offset), limit, Selectors()))
    following = page.next_offset
    names = [plain_record(record)[0] for record in page.records]
    return names, None if following is None else _name(following)


def _name(point_id: bytes) -> str:
    number = int.from_bytes(point_id[1:], "big")
    return str(number) if point_id[0] == 0 else _UUIDS[[pid(text) for text in _UUIDS].index(pid(_hyphenated(point_id)))]


def _hyphenated(point_id: bytes) -> str:
    text = point_id[1:].hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def test_get_returns_existing_points_once_in_the_order_asked_for(collection: Collection) -> None:
    write(collection, upsert((1, {}, {"n": 1}), (2, {}, {"n": 2}), (_UUIDS[0], {}, {})))
    records = collection.get(pids(2, 9, _UUIDS[0], 1, 2), EVERYTHING)
    assert [plain_record(record)[:2] for record in records] == [("2", {"n": 2}), (_UUIDS[0], {}), ("1", {"n": 1})]
    assert collection.get((), EVERYTHING) == []


def test_selectors(collection: Collection) -> None:
    vectors: NamedVectors = {"": dense(1, 2), "m": multi([1, 0]), "s": sparse(_5=1.0)}
    write(collection, upsert((1, vectors, {"a": {"b": 1, "c": 2}, "d": 3}), (2, {}, {})))

    def read(payload: PayloadSelector, selected: VectorSelector) -> tuple[dict[str, object], dict[str, object] | None]:
        (record,) = collection.get(pids(1), Selectors(payload, selected))
        return dict(unpack_payload(record.payload)), plain_vectors(record.vectors)

    none, everything = VectorSelector(enable=False), VectorSelector(enable=True)
    assert read(NO_PAYLOAD, none) == ({}, None)
    assert read(ALL_PAYLOAD, everything) == (
        {"a": {"b": 1, "c": 2}, "d": 3},
        {"": (1.0, 2.0), "m": ((1.0, 0.0),), "s": {5: 1.0}},
    )
    assert read(PayloadSelector(True, include=(parse_path("a.b"),)), none)[0] == {"a": {"b": 1}}
    assert read(PayloadSelector(True, exclude=(parse_path("a"),)), none)[0] == {"d": 3}
    assert read(PayloadSelector(True, include=()), none)[0] == {}
    assert read(NO_PAYLOAD, VectorSelector(True, ("s", "b")))[1] == {"s": {5: 1.0}}
    assert read(NO_PAYLOAD, VectorSelector(True, ()))[1] == {}
    with pytest.raises(WrongInputError, match="Not existing vector name error: zz"):
        read(NO_PAYLOAD, VectorSelector(True, ("", "zz")))
    (record,) = collection.get(pids(2), Selectors(NO_PAYLOAD, everything))
    assert record.vectors == {}


def test_scroll_pages_are_complete_and_in_id_order(collection: Collection) -> None:
    write(collection, upsert(*[(n, {}, {}) for n in (300, 5, 70_000, 0, 6)], *[(u, {}, {}) for u in _UUIDS]))
    write(collection, DeletePoints(pids(6)), upsert((5, {}, {"again": True})))
    order = ["0", "5", "300", "70000", *_UUIDS]
    assert _scroll(collection, 10) == (order, None)
    assert _scroll(collection, 6) == (order, None)
    assert _scroll(collection, 2) == (order[:2], "300")
    assert _scroll(collection, 3, 300) == (order[2:5], _UUIDS[1])
    assert _scroll(collection, 3, 301) == (order[3:], None)
    assert _scroll(collection, 3, _UUIDS[1]) == (order[5:], None)
    seen: list[str] = []
    offset: int | str | None = None
    while True:
        names, following = _scroll(collection, 1, offset, having(0, 300, 6, _UUIDS[1]))
        seen += names
        if following is None:
            break
        offset = int(following) if following.isdigit() else following
    assert seen == ["0", "300", _UUIDS[1]]


def test_count(collection: Collection) -> None:
    assert collection.count(None) == collection.count(Filter()) == collection.count(having(1)) == 0
    write(collection, upsert((1, {}, {}), (2, {}, {}), (3, {}, {})))
    assert collection.count(None) == collection.count(Filter()) == 3
    assert collection.count(having(1, 3, 9)) == 2


def test_info(collection: Collection) -> None:
    info = collection.info()
    assert (info.points_count, info.indexed_vectors_count, info.segments_count) == (0, 0, 1)
    assert (info.status, info.optimizer_error) == (CollectionStatus.GREEN, None)
    write(collection, upsert((1, {"": dense(1, 2), "s": sparse(_1=1.0)}, {}), (2, {"s": sparse(_2=1.0)}, {})))
    seal(collection)
    collection.record_optimizer_error("OSError: gone")
    info = collection.info()
    assert (info.points_count, info.indexed_vectors_count, info.segments_count) == (2, 2, 1)
    assert (info.status, info.optimizer_error) == (CollectionStatus.RED, "OSError: gone")
    assert info.created_at_s > 1_700_000_000
    collection.record_optimizer_error(None)
    assert collection.info().status is CollectionStatus.GREEN


def test_publishing_is_refused_when_the_ground_has_changed(collection: Collection) -> None:
    write(collection, upsert((1, {"": dense(1, 2), "b": dense(1, 2, 3)}, {})))
    meta = seal(collection)
    assert meta is not None
    fake = SegmentMeta("f" * 16, 0, 1, 0, 0, 8)
    before = collection.version()
    assert not collection.publish(0, fake, ["0" * 16], None)
    assert not collection.publish(77, fake, [], None)
    assert collection.version() == before
    number = collection.config().vector_numbers["b"]
    write(collection, DropVector("b"))
    assert not collection.publish(number, fake, [], 100)
    slots, _ = collection.unsealed_rows(number)
    assert slots.size == 0
    assert contents(collection) == {"1": ({}, {"": (1.0, 2.0)})}


def test_merged_segments_answer_like_their_sources(collection: Collection) -> None:
    for start in (0, 10, 20):
        write(collection, upsert(*[(n, {"": dense(n, 1)}, {}) for n in range(start, start + 10)]))
        seal(collection)
    write(collection, DeletePoints(pids(0, 11, 29)))
    before = contents(collection)
    assert collection.info().segments_count == 3
    merge_segments(collection)
    assert collection.info().segments_count == 1
    assert contents(collection) == before
    write(collection, DeletePoints(Filter()))
    merge_segments(collection)
    assert contents(collection) == {}


def test_a_reader_keeps_its_state_while_segments_are_replaced(collection: Collection) -> None:
    write(collection, upsert(*[(n, {"": dense(n, 1)}, {}) for n in range(10)]))
    seal(collection)
    with collection.view() as view:
        merge_segments(collection)
        write(collection, DeletePoints(Filter()))
        assert [view.vector("", slot) for slot in range(10)] == [dense(n, 1) for n in range(10)]
        assert view.generation.head.points == 10
    assert collection.count(None) == 0


def test_a_missing_segment_is_corruption_and_not_an_endless_search_for_a_newer_view(collection: Collection) -> None:
    write(collection, upsert((1, {"": dense(1, 2)}, {})))
    meta = seal(collection)
    assert meta is not None
    shutil.rmtree(collection.segments_dir / meta.uid)
    with pytest.raises(CorruptionError):
        contents(collection)


def test_readers_and_writers_at_once_always_see_whole_operations(collection: Collection) -> None:
    """Each write moves two points together; no reader may see one of them without the other."""
    stop = threading.Event()
    problems: list[str] = []

    def read() -> None:
        while not stop.is_set():
            try:
                found = contents(collection)
            except Exception as error:  # noqa: BLE001  reported below
                problems.append(repr(error))
                return
            if found and found["1"][1:] != found["2"][1:]:
                problems.append(str(found))
                return

    readers = [threading.Thread(target=read) for _ in range(6)]
    for reader in readers:
        reader.start()
    for n in range(150):
        write(collection, upsert((1, {"": dense(n, n)}, {}), (2, {"": dense(n, n)}, {})))
        if n % 20 == 0:
            seal(collection)
            merge_segments(collection)
    stop.set()
    for reader in readers:
        reader.join()
    assert problems == []


def test_the_log_is_cut_to_half_its_limit(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "_log_bytes_max", 4000)
    write(collection, *[upsert((n, {}, {"t": "x" * 200})) for n in range(10)])
    collection.truncate_log()
    with collection.view() as view:
        assert len(list(view.store.log.entries(view.txn, 0))) == 10
    write(collection, *[upsert((n, {}, {"t": "x" * 200})) for n in range(20)])
    collection.truncate_log()
    with collection.view() as view:
        entries = [seq for seq, _ in view.store.log.entries(view.txn, 0)]
        assert view.store.meta.head(view.txn).log_bytes <= 2000
    assert entries == list(range(entries[0], 31))
    assert 3 <= len(entries) < 10
    assert write(collection, upsert((1, {}, {})))[0].seq == 31
    assert collection.count(None) == 20
