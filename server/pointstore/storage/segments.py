"""Segments: immutable directories of sealed rows, `<collection dir>/segments/<uid>/`.

A segment holds `slots.npy` ((m,) uint64, ascending), `vectors.npy` ((m, dim) in the stored dtype of the space; row i
belongs to slots[i]) and, once one was built, `index.faiss`. Slots and rows are ground state: they exist nowhere else
after sealing, so damage to them is a `CorruptionError`. The index is derived: one that is missing or refused is
searched exactly until it is built again.

Crash argument: a segment is written under a temporary name, its files and directory are synced, it is renamed and the
parent is synced, all before the transaction that publishes its `SegmentMeta` commits. So a published segment is
complete, and whatever else a crash leaves behind is named in no list and `remove_orphans` deletes it.

What the index file contains is not known here.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, Final

import numpy as np
from blake3 import blake3
from pydantic import ConfigDict, FailFast, TypeAdapter, ValidationError

from pointstore.core.errors import CorruptionError
from pointstore.core.failpoint import visit
from pointstore.storage.faults import fault, translated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from pointstore.core.space import Rows, Space

SLOTS_FILE: Final = "slots.npy"
ROWS_FILE: Final = "vectors.npy"
INDEX_FILE: Final = "index.faiss"

_TEMPORARY: Final = ".tmp-"
_REMOVED: Final = ".removed-"
_GROUND: Final = (SLOTS_FILE, ROWS_FILE)
_UID: Final = re.compile("[0-9a-f]{16}")


class SegmentGoneError(CorruptionError):
    """The directory of a segment is not there.

    Usual cause: the optimizer replaced the segment after the caller's view was taken. Take a fresh view and try again;
    when the fresh view still lists the segment, its rows are lost.
    """


@dataclass(frozen=True, slots=True)
class SegmentMeta:
    """What the published list says about a segment.

    Attributes:
        uid: name of the directory, never used twice.
        vector: internal number of the vector space.
        rows: number of rows, dead ones included.
        first_slot: slot of the first row.
        last_slot: slot of the last row.
        row_bytes: stored size of one row.
        index: kind of the index (`index/dense.py`), None for a flat segment.
        m: links of a graph node the index was built with, 0 without index.
        ef_construct: the other build parameter, 0 without index.
        checksums: file name -> blake3 in hex.
        sizes: file name -> bytes.
    """

    uid: str
    vector: int
    rows: int
    first_slot: int
    last_slot: int
    row_bytes: int
    index: str | None = None
    m: int = 0
    ef_construct: int = 0
    checksums: dict[str, str] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Stored size of the rows in bytes."""
        return self.rows * self.row_bytes

    @property
    def indexed_rows(self) -> int:
        """Number of rows that need no exact scan."""
        return self.rows if self.index is not None else 0


@dataclass(frozen=True, slots=True)
class IndexSource:
    """An index to be written with a segment.

    Attributes:
        kind: kind of the index.
        m: links of a graph node.
        ef_construct: candidates of an insertion.
        write: writes the index file at the path it is given; None for a kind that has no file.
    """

    kind: str
    m: int
    ef_construct: int
    write: Callable[[Path], None] | None


@dataclass(frozen=True, slots=True)
class SegmentFiles:
    """The opened files of a segment.

    Attributes:
        slots: (m,) uint64, mapped.
        rows: (m, dim) in the stored dtype, mapped.
        index: path of the index file; None when there is none, or not the one that was published.
    """

    slots: NDArray[np.uint64]
    rows: Rows
    index: Path | None


# Without a cache of strings: it would keep the names of up to 16,384 segments that are gone.
_ADAPTER: Final = TypeAdapter(Annotated[list[SegmentMeta], FailFast()], config=ConfigDict(cache_strings="keys"))


def pack_segments(segments: Sequence[SegmentMeta]) -> bytes:
    """Pack the segment list of a collection as JSON."""
    return _ADAPTER.dump_json(list(segments))


def unpack_segments(data: bytes) -> list[SegmentMeta]:
    """Unpack a segment list, which may be one that somebody made up: no path in it leads out of its segment.

    Raises:
        CorruptionError: the bytes are no segment list.

    """
    try:
        segments = _ADAPTER.validate_json(data)
    except ValidationError as error:
        message = f"segment list: {error}"
        raise CorruptionError(message) from error
    for segment in segments:
        files = segment.sizes.keys()
        if not _UID.fullmatch(segment.uid) or not {*_GROUND} <= files <= {*_GROUND, INDEX_FILE}:
            message = f"segment list: there is no segment {segment.uid!r} of the files {sorted(files)}"
            raise CorruptionError(message)
        if segment.checksums.keys() != files:
            message = f"segment list: segment {segment.uid} has not one checksum a file"
            raise CorruptionError(message)
    return segments


def write_segment(  # noqa: PLR0913  the parts of a segment
    root: Path,
    vector: int,
    space: Space,
    slots: NDArray[np.uint64],
    blocks: Iterable[Rows],
    index: IndexSource | None = None,
) -> SegmentMeta:
    """Write a segment durably; it exists for others once the caller has published the result.

    Args:
        root: directory of the collection's segments, created when missing.
        vector: internal number of the vector space.
        space: gives width and dtype of the rows.
        slots: (m,) uint64, strictly ascending, at least one.
        blocks: the m rows in pieces of any size.
        index: the index of exactly these rows, if there is one.

    Raises:
        ValueError: rows and slots do not agree.
        FileNotFoundError: the collection's directory is gone.
        InsufficientStorageError: disk full; nothing is left behind.
        ReadOnlyError: an I/O error; the collection takes no more writes.

    """
    if slots.size == 0 or bool(np.any(slots[1:] <= slots[:-1])):
        message = "the slots of a segment ascend, and there is at least one"
        raise ValueError(message)
    uid = secrets.token_hex(8)
    directory = root / (_TEMPORARY + uid)
    try:
        with translated(root, synced=root.parent):
            # Not its parents: they are gone when the collection was dropped, and must stay so.
            root.mkdir(exist_ok=True)
            directory.mkdir()
            checksums = {
                SLOTS_FILE: _write_array(directory / SLOTS_FILE, slots.shape, np.dtype("<u8"), [slots]),
                ROWS_FILE: _write_array(directory / ROWS_FILE, (slots.size, space.dim), space.dtype, blocks),
            }
            if index is not None and index.write is not None:
                index.write(directory / INDEX_FILE)
                visit("index.written")
                _sync(directory / INDEX_FILE)
                checksums[INDEX_FILE] = _checksum(directory / INDEX_FILE)
            sizes = {name: (directory / name).stat().st_size for name in checksums}
            _sync(directory)
            visit("segment.written")
            directory.rename(root / uid)
            _sync(root)
            visit("segment.renamed")
    except BaseException:
        for written in (directory, root / uid):
            shutil.rmtree(written, ignore_errors=True)
        raise
    return SegmentMeta(
        uid=uid,
        vector=vector,
        rows=int(slots.size),
        first_slot=int(slots[0]),
        last_slot=int(slots[-1]),
        row_bytes=space.row_bytes,
        index=index.kind if index else None,
        m=index.m if index else 0,
        ef_construct=index.ef_construct if index else 0,
        checksums=checksums,
        sizes=sizes,
    )


def open_segment(root: Path, meta: SegmentMeta) -> SegmentFiles:
    """Map the files of a segment. Sizes and shapes are checked here, contents by `verify_segment`.

    Raises:
        SegmentGoneError: the directory is not there.
        CorruptionError: slots or rows are missing or not what was published.

    """
    directory = root / meta.uid
    slots = _map(directory, SLOTS_FILE, meta)
    rows = _map(directory, ROWS_FILE, meta)
    if slots.shape != (meta.rows,) or slots.dtype != np.uint64 or rows.shape[:-1] != (meta.rows,):
        message = f"segment {meta.uid}: shapes {slots.shape} and {rows.shape} where {meta.rows} rows were published"
        raise CorruptionError(message)
    return SegmentFiles(slots, rows, directory / INDEX_FILE if has_index_file(root, meta) else None)


def link_segment(root: Path, meta: SegmentMeta, target: Path) -> None:
    """Give a segment's files a second name in the new directory `target / uid`: they outlive their removal here.

    An index file that is missing or not the one that was published is left out.

    Raises:
        SegmentGoneError: the directory is not there, or is being removed.
        OSError: the file system has no hard links, or `target` is on another one.

    """
    directory = target / meta.uid
    directory.mkdir()
    for name in meta.sizes:
        if name == INDEX_FILE and not has_index_file(root, meta):
            continue
        try:
            os.link(root / meta.uid / name, directory / name)
        except FileNotFoundError as error:
            raise SegmentGoneError(meta.uid) from error


def has_index_file(root: Path, meta: SegmentMeta) -> bool:
    """Tell whether the published index file is there, by name and size."""
    return INDEX_FILE in meta.sizes and _size(root / meta.uid / INDEX_FILE) == meta.sizes[INDEX_FILE]


def verify_segment(root: Path, meta: SegmentMeta) -> list[str]:
    """Read every file and return the names of those that are missing or differ from what was published."""
    directory = root / meta.uid
    return [
        name
        for name, checksum in meta.checksums.items()
        if _size(directory / name) != meta.sizes.get(name) or _checksum(directory / name) != checksum
    ]


def repair_segment(root: Path, meta: SegmentMeta) -> bool:
    """Verify a segment and delete its index file when that is damaged, so that it is built again.

    Returns:
        True when the segment is complete now, False when it has to be searched exactly.

    Raises:
        SegmentGoneError: the directory is not there.
        CorruptionError: slots or rows are damaged.

    """
    if not (root / meta.uid).is_dir():
        raise SegmentGoneError(meta.uid)
    damaged = verify_segment(root, meta)
    if lost := [name for name in damaged if name in _GROUND]:
        message = f"segment {meta.uid}: damaged {', '.join(lost)}"
        raise CorruptionError(message)
    if damaged:
        (root / meta.uid / INDEX_FILE).unlink(missing_ok=True)
    return not damaged


def remove_segment(root: Path, uid: str) -> None:
    """Delete a segment that no list names any more; processes that have mapped it can still read it.

    It disappears as a whole (renamed first), so that who opens it meanwhile sees all of it or `SegmentGoneError`.
    """
    directory = _put_away(root, uid)
    if directory is not None:
        visit("removal.renamed")
        shutil.rmtree(directory, ignore_errors=True)


def remove_orphans(root: Path, keep: set[str]) -> list[str]:
    """Delete every directory that is not the segment of a uid in `keep`; return their names.

    Only while nobody else writes segments; others may read them.
    """
    if not root.is_dir():
        return []
    orphans = sorted(path.name for path in root.iterdir() if path.name not in keep)
    for name in orphans:
        path = root / name
        if not path.is_dir():
            path.unlink()
        elif directory := path if name.startswith(_REMOVED) else _put_away(root, name):
            shutil.rmtree(directory, ignore_errors=True)
    return orphans


def _put_away(root: Path, uid: str) -> Path | None:
    """Rename a segment, so that nobody opens it any more; None when it is not there."""
    directory = root / (_REMOVED + uid)
    try:
        (root / uid).rename(directory)
    except FileNotFoundError:
        return None
    return directory


def _write_array(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], blocks: Iterable[NDArray[Any]]) -> str:
    """Write an .npy file from consecutive blocks, sync it, return its checksum."""
    written = 0
    with path.open("wb") as file:
        output = _Hashing(file)
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(output, header)
        for block in blocks:
            if block.dtype != dtype or block.shape[1:] != shape[1:]:
                message = f"{path.name}: a block of {block.dtype} {block.shape} for {dtype} {shape}"
                raise ValueError(message)
            output.write(np.ascontiguousarray(block).reshape(-1).view(np.uint8).data)
            written += len(block)
        if written != shape[0]:
            message = f"{path.name}: {written} rows for {shape[0]} slots"
            raise ValueError(message)
        file.flush()
        os.fsync(file.fileno())
    return output.hash.hexdigest()


class _Hashing:
    """A writer that hashes what passes."""

    def __init__(self, file: BinaryIO) -> None:
        self.hash = blake3()
        self._file = file

    def write(self, data: bytes | memoryview) -> None:
        self.hash.update(data)
        self._file.write(data)


def _map(directory: Path, name: str, meta: SegmentMeta) -> NDArray[Any]:
    """Map one array file of the published size."""
    size = _size(directory / name)
    if size is None and not directory.is_dir():
        raise SegmentGoneError(meta.uid)
    if size != meta.sizes.get(name):
        message = f"segment {meta.uid}: {name} has {size} bytes, published were {meta.sizes.get(name)}"
        raise CorruptionError(message)
    try:
        array: NDArray[Any] = np.load(directory / name, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise SegmentGoneError(meta.uid) from error
    except OSError as error:
        raise fault(error, directory / name) from error
    except ValueError as error:
        message = f"segment {meta.uid}: {name}: {error}"
        raise CorruptionError(message) from error
    # A plain view: indexing the memmap subclass costs several microseconds more.
    return array.view(np.ndarray)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _checksum(path: Path) -> str:
    return blake3().update_mmap(path).hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
