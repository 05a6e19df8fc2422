"""Segment files: round trips, damage, leftovers of a crash."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from pointstore.core.errors import CorruptionError, InsufficientStorageError, ReadOnlyError
from pointstore.core.schema import Distance
from pointstore.core.space import Space
from pointstore.storage.poison import MARKS
from pointstore.storage.segments import (
    INDEX_FILE,
    ROWS_FILE,
    SLOTS_FILE,
    IndexSource,
    SegmentGoneError,
    SegmentMeta,
    has_index_file,
    open_segment,
    pack_segments,
    remove_orphans,
    remove_segment,
    repair_segment,
    unpack_segments,
    verify_segment,
    write_segment,
)

if TYPE_CHECKING:
    from pointstore.core.space import Rows

SPACE = Space(5, Distance.DOT, np.dtype("<f4"))


def write_index(path: Path) -> None:
    path.write_bytes(b"index" * 100)


INDEX = IndexSource("hnsw-fp16", 16, 100, write_index)


def rows_of(space: Space, count: int) -> Rows:
    values = np.random.default_rng(1).uniform(0, 200, size=(count, space.dim)).astype(np.float32)
    return values.astype(space.dtype)


def written(root: Path, index: IndexSource | None = INDEX) -> SegmentMeta:
    slots = np.array([3, 4, 9, 2**40], dtype=np.uint64)
    return write_segment(root, 7, SPACE, slots, [rows_of(SPACE, 4)], index)


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0x10
    path.write_bytes(data)


@pytest.mark.parametrize("dtype", ["<f4", "<f2", "u1"])
def test_round_trip_in_blocks(tmp_path: Path, dtype: str) -> None:
    space = Space(5, Distance.DOT, np.dtype(dtype))
    rows = rows_of(space, 1000)
    slots = np.arange(10, 3010, 3, dtype=np.uint64)
    meta = write_segment(tmp_path / "segments", 2, space, slots, (rows[s : s + 37] for s in range(0, 1000, 37)))
    files = open_segment(tmp_path / "segments", meta)
    assert np.array_equal(files.slots, slots)
    assert np.array_equal(files.rows, rows)
    assert files.rows.dtype == space.dtype
    assert files.index is None
    assert (meta.vector, meta.rows, meta.first_slot, meta.last_slot) == (2, 1000, 10, 3007)
    assert meta.bytes == rows.nbytes
    assert (meta.index, meta.indexed_rows) == (None, 0)
    assert verify_segment(tmp_path / "segments", meta) == []


def test_index_is_published_with_its_parameters(tmp_path: Path) -> None:
    meta = written(tmp_path)
    assert (meta.index, meta.m, meta.ef_construct, meta.indexed_rows) == ("hnsw-fp16", 16, 100, 4)
    assert open_segment(tmp_path, meta).index == tmp_path / meta.uid / INDEX_FILE
    assert unpack_segments(pack_segments([meta])) == [meta]


def test_names_of_segments_are_not_kept(tmp_path: Path) -> None:
    """A cache of the JSON parser would grow with every segment there ever was, and give out one string twice."""
    packed = pack_segments([written(tmp_path)])
    (first,), (second,) = unpack_segments(packed), unpack_segments(packed)
    assert first.uid == second.uid
    assert first.uid is not second.uid


@pytest.mark.parametrize("data", [b"", b"{", b"[1]", b'[{"uid": "a"}]'])
def test_damaged_list_is_an_error(data: bytes) -> None:
    with pytest.raises(CorruptionError):
        unpack_segments(data)


def test_only_the_first_damage_of_a_list_is_told() -> None:
    """All errors of a list that somebody made up would take a thousand times its size."""
    with pytest.raises(CorruptionError, match=r"0\.uid\n") as error:
        unpack_segments(b"[{},{}]")
    assert "1.uid" not in str(error.value)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"uid": ".."},
        {"uid": "/etc"},
        {"uid": "../0123456789abcdef"},
        {"uid": "0123456789abcdef/"},
        {"uid": "0123456789abcdef\n"},
        {"uid": ".tmp-0123456789a"},
        {"uid": "0123456789ABCDEF"},
        {"uid": ""},
        {"checksums": {}},
        {"checksums": {}, "sizes": {}},
        {"checksums": {INDEX_FILE: "00"}, "sizes": {INDEX_FILE: 1}},
        {"checksums": {SLOTS_FILE: "00", INDEX_FILE: "00"}},
        {"checksums": {SLOTS_FILE: "00"}, "sizes": {SLOTS_FILE: 1}},
        {
            "checksums": {SLOTS_FILE: "00", ROWS_FILE: "00", "../x": "00"},
            "sizes": {SLOTS_FILE: 1, ROWS_FILE: 1, "../x": 1},
        },
    ],
)
def test_list_that_leads_elsewhere_is_an_error(tmp_path: Path, spoilt: dict[str, Any]) -> None:
    meta = written(tmp_path)
    assert unpack_segments(pack_segments([meta, meta])) == [meta, meta]
    with pytest.raises(CorruptionError, match=r"^segment list: .*segment"):
        unpack_segments(pack_segments([meta, replace(meta, **spoilt)]))


@pytest.mark.parametrize("slots", [[], [2, 2], [3, 2]])
def test_slots_must_ascend(tmp_path: Path, slots: list[int]) -> None:
    with pytest.raises(ValueError, match="ascend"):
        write_segment(tmp_path, 0, SPACE, np.array(slots, dtype=np.uint64), [rows_of(SPACE, len(slots))])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("count", [2, 4])
def test_rows_must_match_slots(tmp_path: Path, count: int) -> None:
    with pytest.raises(ValueError, match="slots"):
        write_segment(tmp_path, 0, SPACE, np.arange(3, dtype=np.uint64), [rows_of(SPACE, count)])
    assert list(tmp_path.iterdir()) == []


def test_failed_index_leaves_nothing(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(InsufficientStorageError, match="No space"):
        written(tmp_path, IndexSource("hnsw-fp16", 16, 100, fail))
    assert list(tmp_path.iterdir()) == []


def test_a_failed_sync_of_the_last_step_leaves_nothing_and_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = os.fsync

    def failing(descriptor: int) -> None:
        if any(path.name[0] != "." for path in tmp_path.iterdir()):
            raise OSError(5, "Input/output error")
        original(descriptor)

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(ReadOnlyError):
        written(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert MARKS.has(tmp_path.parent)
    MARKS.clear()


def test_dropped_collection_is_not_created_again(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        written(tmp_path / "dropped" / "segments")
    assert not (tmp_path / "dropped").exists()


def test_everything_is_synced_before_it_is_visible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[tuple[str, set[str]]] = []
    original = os.fsync

    def recording(descriptor: int) -> None:
        visible = {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")}
        synced.append((str(Path(f"/proc/self/fd/{descriptor}").readlink()), visible))
        original(descriptor)

    monkeypatch.setattr(os, "fsync", recording)
    meta = written(tmp_path)
    hidden = f"{tmp_path}/.tmp-{meta.uid}"
    assert synced == [
        (f"{hidden}/{SLOTS_FILE}", set()),
        (f"{hidden}/{ROWS_FILE}", set()),
        (f"{hidden}/{INDEX_FILE}", set()),
        (hidden, set()),
        (str(tmp_path), {meta.uid}),
    ]


@pytest.mark.parametrize("name", [SLOTS_FILE, ROWS_FILE])
def test_every_flipped_byte_of_ground_state_is_found(tmp_path: Path, name: str) -> None:
    meta = written(tmp_path)
    path = tmp_path / meta.uid / name
    whole = path.read_bytes()
    for place in range(len(whole)):
        flip(path, place)
        assert verify_segment(tmp_path, meta) == [name]
        with pytest.raises(CorruptionError, match=name):
            repair_segment(tmp_path, meta)
        path.write_bytes(whole)
    assert repair_segment(tmp_path, meta)


@pytest.mark.parametrize("name", [SLOTS_FILE, ROWS_FILE])
@pytest.mark.parametrize("size", [None, 0, 30, 140])
def test_truncated_ground_state_does_not_open(tmp_path: Path, name: str, size: int | None) -> None:
    meta = written(tmp_path)
    path = tmp_path / meta.uid / name
    if size is None:
        path.unlink()
    else:
        os.truncate(path, size)
    with pytest.raises(CorruptionError) as caught:
        open_segment(tmp_path, meta)
    assert not isinstance(caught.value, SegmentGoneError)
    assert verify_segment(tmp_path, meta) == [name]


def test_damaged_index_is_deleted_and_the_rows_stay(tmp_path: Path) -> None:
    meta = written(tmp_path)
    flip(tmp_path / meta.uid / INDEX_FILE, 100)
    assert not repair_segment(tmp_path, meta)
    assert not has_index_file(tmp_path, meta)
    assert open_segment(tmp_path, meta).index is None
    assert open_segment(tmp_path, meta).rows.shape == (4, 5)


def test_index_of_another_size_is_not_used(tmp_path: Path) -> None:
    meta = written(tmp_path)
    os.truncate(tmp_path / meta.uid / INDEX_FILE, 7)
    assert open_segment(tmp_path, meta).index is None


def test_removed_segment_is_gone_but_stays_readable_where_mapped(tmp_path: Path) -> None:
    meta = written(tmp_path)
    files = open_segment(tmp_path, meta)
    remove_segment(tmp_path, meta.uid)
    remove_segment(tmp_path, meta.uid)
    assert list(tmp_path.iterdir()) == []
    assert np.array_equal(files.rows, rows_of(SPACE, 4))
    for use in (open_segment, repair_segment):
        operation: Any = use
        with pytest.raises(SegmentGoneError):
            operation(tmp_path, meta)


def test_orphans_of_a_crash_are_removed(tmp_path: Path) -> None:
    kept, lost = written(tmp_path), written(tmp_path)
    shutil.copytree(tmp_path / kept.uid, tmp_path / f".tmp-{kept.uid}")
    (tmp_path / ".removed-x").mkdir()
    (tmp_path / "file").write_bytes(b"")
    removed = remove_orphans(tmp_path, {kept.uid})
    assert set(removed) == {lost.uid, f".tmp-{kept.uid}", ".removed-x", "file"}
    assert [path.name for path in tmp_path.iterdir()] == [kept.uid]
    assert verify_segment(tmp_path, kept) == []
    assert remove_orphans(tmp_path / "missing", set()) == []
