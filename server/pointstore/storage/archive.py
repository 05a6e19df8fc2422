"""Archives of snapshots: a tar inside one zstandard frame, the manifest first, then the files it lists in its order.

    manifest.json
    collections/0/store/data.mdb
    collections/0/segments/<uid>/slots.npy, vectors.npy, index.faiss
    collections/1/...

The manifest gives size and blake3 of every file, so a reader knows what may come before it takes any of it: a member
that is not the next of the list, in name, kind and size, ends the reading. What a reader needs is bounded by constants
and by those sizes, whatever an archive claims to hold. Tar headers are written and parsed one block at a time; the
extensions of the format (long names, pax, sparse files), whose sizes a reader would have to trust, are not accepted.

What the files mean is not known here.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import re
import tarfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final, Literal, cast

import zstandard
from blake3 import blake3
from pydantic import ConfigDict, FailFast, TypeAdapter, ValidationError

from pointstore.core.errors import BadRequestError, CorruptionError
from pointstore.core.schema import CollectionConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import BinaryIO

FORMAT_VERSION: Final = 1
MANIFEST_FILE: Final = "manifest.json"
MANIFEST_BYTES_MAX: Final = 64 << 20
MANIFEST_VALUES_MAX: Final = 1 << 20
"""Values in its JSON: a collection has about 60, and 4 a file. One of two bytes takes up to 1.6 KiB to refuse."""

_LEVEL: Final = 1
"""Vectors hardly compress, payloads do well at any level, and the worker has other things to do."""
_CHUNK: Final = 1 << 20
_FEED: Final = 2 << 10
"""Compressed bytes taken at a time: a block of 128 KiB can come from 4 of them, so they give 64 MiB at most."""
_WINDOW_MAX: Final = 8 << 20
_BLOCK: Final = tarfile.BLOCKSIZE
_END_BYTES_MAX: Final = 2 * tarfile.RECORDSIZE
_ERRORS_TOLD_MAX: Final = 100
"""Of more than these errors in a manifest none is told: all of them would be put into words."""
# Built when the first archive is written or read: every process imports this module, few do either.
_STRICT: Final = ConfigDict(extra="forbid", defer_build=True)
_PATH: Final = re.compile(
    r"collections/(0|[1-9][0-9]{0,6})/(?:store/data\.mdb|segments/[0-9a-f]{16}/[a-z][a-z0-9_]{0,31}\.[a-z0-9]{1,8})"
)
"""All that a file may be called: nothing that leads out of a directory, and nothing longer than a tar header takes."""


class ArchiveRefusedError(CorruptionError):
    """An archive that is damaged, hostile or of another version; the text is for the person who wants to restore it."""


@dataclass(frozen=True, slots=True)
class ArchivedFile:
    """One file: its path in the archive, bytes, blake3 in hex."""

    __pydantic_config__ = _STRICT

    path: str
    size: int
    blake3: str


@dataclass(frozen=True, slots=True)
class ArchivedCollection:
    """One collection.

    Attributes:
        name: its real name.
        format: version of its store's format.
        seq: last operation in it.
        points: number of points.
        config: its configuration.
        files: its files, in the order of the archive.
    """

    __pydantic_config__ = _STRICT

    name: str
    format: int
    seq: int
    points: int
    config: CollectionConfig
    files: Annotated[tuple[ArchivedFile, ...], FailFast()]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive holds.

    Attributes:
        kind: one collection, or everything.
        version: the program that wrote it.
        created_at_s: seconds since the epoch.
        collections: number i has its files below `collections/<i>/`.
        aliases: collection by alias, of these collections.
        format: version of the archive's format.
    """

    __pydantic_config__ = _STRICT

    kind: Literal["collection", "full"]
    version: str
    created_at_s: int
    collections: Annotated[tuple[ArchivedCollection, ...], FailFast()]
    aliases: dict[str, str] = field(default_factory=dict)
    format: int = FORMAT_VERSION

    def files(self) -> Iterator[ArchivedFile]:
        """Yield all files in the order of the archive."""
        for collection in self.collections:
            yield from collection.files

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(each.size for each in self.files())


@dataclass(frozen=True, slots=True)
class _FormatOnly:
    format: int


_MANIFEST: Final = TypeAdapter(Manifest)
_FORMAT_ONLY: Final = TypeAdapter(_FormatOnly)


def describe_file(path: Path, archived_as: str) -> ArchivedFile:
    """Return size and checksum of a file that does not change any more."""
    return ArchivedFile(archived_as, path.stat().st_size, blake3().update_mmap(path).hexdigest())


def write_archive(file: BinaryIO, manifest: Manifest, root: Path, proceed: Callable[[], None]) -> str:
    """Write an archive; not synced.

    Args:
        file: takes it, from its current place on.
        manifest: what to write.
        root: directory in which the paths of the manifest's files are found.
        proceed: called between pieces of a MiB; may raise to end the work.

    Returns:
        SHA-256 of what was written, in lower-case hex.

    Raises:
        BadRequestError: there is more than a manifest may list, or a reader would refuse it.
        CorruptionError: a file is not as the manifest says.
        OSError: input or output error, disk full.

    """
    output = _HashingWriter(file)
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
    with compressor.stream_writer(cast("BinaryIO", output), closefd=False) as stream:
        text = _MANIFEST.dump_json(manifest, indent=1)
        if excess := _excess(text):
            message = f"too much for one snapshot: the list of its contents has {excess}"
            raise BadRequestError(message)
        _write_member(stream, _header(MANIFEST_FILE, len(text), manifest), io.BytesIO(text), proceed)
        for each in manifest.files():
            with (root / each.path).open("rb") as source:
                checksum = _write_member(stream, _header(each.path, each.size, manifest), source, proceed)
            if checksum != each.blake3:
                message = f"{each.path} changed while it was archived"
                raise CorruptionError(message)
        stream.write(tarfile.NUL * tarfile.RECORDSIZE)
    return output.hash.hexdigest()


def read_archive(path: Path, admit: Callable[[Manifest], None], target: Path | None = None) -> Manifest:
    """Read an archive to its end and check all of it.

    Args:
        path: a regular file.
        admit: gets the manifest before anything else is read; may raise to end the reading.
        target: an empty directory to which the files and the manifest are written, synced; None writes nothing.

    Raises:
        ArchiveRefusedError: it is no archive of this version, damaged or hostile. With a target, files may have been
            written to it, never beside it.
        OSError: input or output error, disk full.

    """
    with path.open("rb") as file:
        stream = _Inflated(file)
        manifest, text = _read_manifest(stream)
        admit(manifest)
        if target is not None:
            _store(target / MANIFEST_FILE, io.BytesIO(text), len(text))
        for each in manifest.files():
            _read_header(stream, each.path, each.size)
            found = _store(None if target is None else target / each.path, stream, each.size)
            if found != each.blake3:
                raise _refused(f"{each.path} does not have the checksum of the manifest")
            stream.skip_padding(each.size)
        stream.finish()
    return manifest


def load_manifest(path: Path) -> Manifest:
    """Return the manifest that `read_archive` has written to a target.

    Raises:
        ArchiveRefusedError: it is none.

    """
    return _parse(path.read_bytes())


def _header(name: str, size: int, manifest: Manifest) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size, header.mtime = size, manifest.created_at_s
    return header


def _write_member(
    stream: zstandard.ZstdCompressionWriter, header: tarfile.TarInfo, source: BinaryIO, proceed: Callable[[], None]
) -> str:
    """Write a header and a file of the size that it names; return the checksum of what was written."""
    # GNU: a number of any size needs no second header.
    stream.write(header.tobuf(tarfile.GNU_FORMAT))
    checksum, left = blake3(), header.size
    while left:
        proceed()
        piece = source.read(min(left, _CHUNK))
        if not piece:
            break
        checksum.update(piece)
        stream.write(piece)
        left -= len(piece)
    stream.write(tarfile.NUL * (-header.size % _BLOCK))
    return checksum.hexdigest()


def _refused(reason: str) -> ArchiveRefusedError:
    return ArchiveRefusedError(f"not a usable snapshot: {reason}")


def _read_manifest(stream: _Inflated) -> tuple[Manifest, bytes]:
    size = _read_header(stream, MANIFEST_FILE, None)
    text = stream.read(size)
    stream.skip_padding(size)
    return _parse(text), text


def _read_header(stream: _Inflated, name: str, size: int | None) -> int:
    """Read the header of the member that must come now; return its size."""
    try:
        header = tarfile.TarInfo.frombuf(stream.read(_BLOCK), "utf-8", "strict")
    except (tarfile.HeaderError, ValueError) as error:
        raise _refused(f"{name} is missing: {error}") from error
    if header.name != name or header.type != tarfile.REGTYPE or header.linkname:
        raise _refused(f"{header.name!r} stands where the file {name} must be")
    if size is None and not 0 < header.size <= MANIFEST_BYTES_MAX:
        raise _refused(f"the manifest has {header.size} bytes")
    if size is not None and header.size != size:
        raise _refused(f"{name} has {header.size} bytes, the manifest says {size}")
    return header.size


def _excess(text: bytes) -> str | None:
    """Return what a manifest has too much of: what it takes to read one is bounded before any of it is parsed."""
    if len(text) > MANIFEST_BYTES_MAX:
        return f"{len(text)} bytes, {MANIFEST_BYTES_MAX} at most"
    # Every value but the first is behind one of them; those in strings count, too, as they are.
    values = sum(map(text.count, (b",", b"[", b"{")))
    return f"{values} values, {MANIFEST_VALUES_MAX} at most" if values > MANIFEST_VALUES_MAX else None


def _parse(text: bytes) -> Manifest:
    if excess := _excess(text):
        raise _refused(f"the manifest has {excess}")
    try:
        found = _FORMAT_ONLY.validate_json(text).format
        if found != FORMAT_VERSION:
            raise _refused(f"its format is {found}, this version reads {FORMAT_VERSION}")
        manifest = _MANIFEST.validate_json(text, strict=True)
    except ValidationError as error:
        raise _refused(f"its manifest is wrong: {_in_words(error)}") from error
    _check_paths(manifest)
    names = [collection.name for collection in manifest.collections]
    if len(set(names)) != len(names):
        raise _refused("its manifest names a collection twice")
    if not set(manifest.aliases.values()) <= set(names):
        raise _refused("its manifest has an alias of a collection that is not in it")
    if manifest.kind == "collection" and len(names) != 1:
        raise _refused(f"its manifest has {len(names)} collections where there must be one")
    return manifest


def _in_words(error: ValidationError) -> str:
    if error.error_count() > _ERRORS_TOLD_MAX:
        return f"{error.error_count()} errors"
    first = error.errors(include_url=False, include_input=False)[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"


def _check_paths(manifest: Manifest) -> None:
    seen: set[str] = set()
    for number, collection in enumerate(manifest.collections):
        for each in collection.files:
            found = _PATH.fullmatch(each.path)
            if found is None or found[1] != str(number):
                raise _refused(f"its manifest has a file of the name {each.path!r}")
            if each.path in seen:
                raise _refused(f"its manifest has {each.path} twice")
            if each.size < 0:
                raise _refused(f"its manifest has {each.size} bytes for {each.path}")
            seen.add(each.path)


def _store(path: Path | None, source: _Inflated | io.BytesIO, size: int) -> str:
    """Copy `size` bytes to a new file, or nowhere; return their checksum."""
    checksum = blake3()
    with contextlib.nullcontext(None) if path is None else _created(path) as file:
        while size:
            piece = source.read(min(size, _CHUNK))
            checksum.update(piece)
            if file is not None:
                file.write(piece)
            size -= len(piece)
    return checksum.hexdigest()


@contextlib.contextmanager
def _created(path: Path) -> Iterator[BinaryIO]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


class _Inflated:
    """The bytes in a file's only zstandard frame."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._frame = zstandard.ZstdDecompressor(max_window_size=_WINDOW_MAX).decompressobj()
        self._fed = memoryview(b"")
        self._ready = memoryview(b"")

    def read(self, size: int) -> bytes:
        """Return the next bytes, exactly so many.

        Raises:
            ArchiveRefusedError: there are not so many, or they are damaged.

        """
        pieces: list[memoryview] = []
        while size:
            if not self._ready and not self._feed():
                raise _refused("it is truncated")
            pieces.append(self._ready[:size])
            self._ready = self._ready[size:]
            size -= len(pieces[-1])
        return b"".join(pieces)

    def skip_padding(self, size: int) -> None:
        """Skip what fills the last block of a member of so many bytes."""
        self.read(-size % _BLOCK)

    def finish(self) -> None:
        """Check that only the end of the tar is left, and nothing behind the frame."""
        rest = 0
        while self._ready or self._feed():
            rest += len(self._ready)
            if rest > _END_BYTES_MAX or any(self._ready):
                raise _refused("there is more in it than its manifest lists")
            self._ready = memoryview(b"")
        if rest < 2 * _BLOCK or not self._frame.eof:
            raise _refused("it is truncated")
        if self._frame.unused_data or self._fed or self._file.read(1):
            raise _refused("something follows its end")

    def _feed(self) -> bool:
        """Decompress until there are bytes; False at the end of the frame or of the file."""
        while not self._ready and not self._frame.eof:
            if not self._fed:
                self._fed = memoryview(self._file.read(_CHUNK))
            if not self._fed:
                return False
            piece, self._fed = self._fed[:_FEED], self._fed[_FEED:]
            try:
                self._ready = memoryview(self._frame.decompress(piece))
            except zstandard.ZstdError as error:
                raise _refused(f"it cannot be decompressed: {error}") from error
        return bool(self._ready)


class _HashingWriter:
    """A writer that hashes what passes."""

    def __init__(self, file: BinaryIO) -> None:
        self.hash = hashlib.sha256()
        self._file = file

    def write(self, data: bytes) -> int:
        self.hash.update(data)
        return self._file.write(data)
