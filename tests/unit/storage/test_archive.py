"""Archives: what is written comes back, any tar reads it, and whatever is not exactly that is refused untouched."""

from __future__ import annotations

import hashlib
import io
import json
import resource
import subprocess
import sys
import tarfile
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
import zstandard
from blake3 import blake3

from pointstore.core.errors import BadRequestError, CorruptionError
from pointstore.core.schema import (
    CollectionConfig,
    Datatype,
    Distance,
    HnswConfig,
    MultiVectorConfig,
    QuantizationConfig,
    ScalarQuantization,
    SparseVectorParams,
    StrictModeConfig,
    VectorParams,
)
from pointstore.engine.configure import numbered
from pointstore.storage import archive as archive_module
from pointstore.storage.archive import (
    MANIFEST_BYTES_MAX,
    MANIFEST_FILE,
    MANIFEST_VALUES_MAX,
    ArchivedCollection,
    ArchivedFile,
    ArchiveRefusedError,
    Manifest,
    describe_file,
    load_manifest,
    read_archive,
    write_archive,
)
from tests.building import vector_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STORE = "collections/0/store/data.mdb"
SLOTS = "collections/0/segments/0123456789abcdef/slots.npy"
OTHER = "collections/1/store/data.mdb"
CONTENT = {STORE: b"store" * 1000, SLOTS: b"", OTHER: b"x" * 512}
CONFIG = numbered(
    CollectionConfig(
        vectors={
            "": VectorParams(2, Distance.DOT, quantization_config=QuantizationConfig(scalar=ScalarQuantization(1))),
            "half": VectorParams(3, Distance.EUCLID, datatype=Datatype.FLOAT16, hnsw_config=HnswConfig(m=4)),
            "multi": VectorParams(2, Distance.COSINE, multivector_config=MultiVectorConfig()),
        },
        sparse_vectors={"sparse": SparseVectorParams()},
        strict_mode_config=StrictModeConfig(enabled=True),
        metadata={"int": 1, "float": 1.5, "null": None, "list": [{"a": "ä"}]},
    )
)


def go_on() -> None:
    """Let the work go on."""


def admit(_manifest: Manifest) -> None:
    """Admit everything."""


def listed(path: str) -> ArchivedFile:
    """Return the entry of a file."""
    return ArchivedFile(path, len(CONTENT[path]), blake3(CONTENT[path]).hexdigest())


def manifest() -> Manifest:
    """Return the manifest of `CONTENT`."""
    return Manifest(
        "full",
        "0.0.0",
        1_700_000_000,
        (
            ArchivedCollection("ä", 1, 7, 3, CONFIG, (listed(STORE), listed(SLOTS))),
            ArchivedCollection("b", 1, 0, 0, CollectionConfig(), (listed(OTHER),)),
        ),
        {"alias": "b"},
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return a directory with the files of `CONTENT`."""
    for path, content in CONTENT.items():
        file = tmp_path / "root" / path
        file.parent.mkdir(parents=True)
        file.write_bytes(content)
    return tmp_path / "root"


@pytest.fixture
def archive(root: Path, tmp_path: Path) -> Path:
    """Return an archive of `CONTENT`."""
    path = tmp_path / "a.snapshot"
    with path.open("wb") as file:
        checksum = write_archive(file, manifest(), root, go_on)
    assert checksum == hashlib.sha256(path.read_bytes()).hexdigest()
    return path


def test_an_archive_comes_back(archive: Path, tmp_path: Path) -> None:
    assert read_archive(archive, admit) == manifest()
    target = tmp_path / "target"
    target.mkdir()
    assert repr(read_archive(archive, admit, target)) == repr(manifest())
    assert load_manifest(target / MANIFEST_FILE) == manifest()
    files = {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}
    assert files.pop(MANIFEST_FILE)
    assert files == CONTENT


def test_other_programs_read_it(archive: Path) -> None:
    with zstandard.open(archive, "rb") as stream, tarfile.open(fileobj=io.BytesIO(stream.read())) as tar:
        names = [MANIFEST_FILE, *CONTENT]
        assert tar.getnames() == names
        for name in names[1:]:
            extracted = tar.extractfile(name)
            assert extracted is not None
            assert extracted.read() == CONTENT[name]


def test_a_file_beyond_the_numbers_of_old_tars(root: Path, tmp_path: Path) -> None:
    """8 GiB and more do not fit the octal digits of a header; the file is sparse, the end of it is never read."""
    size = 9 << 30
    with (root / STORE).open("r+b") as file:
        file.truncate(size)
    big = manifest()
    entry = ArchivedFile(STORE, size, "0" * 64)
    first = replace(big.collections[0], files=(entry,))
    seen: list[int] = []

    def stop() -> None:
        seen.append(1)
        if len(seen) > 3:
            raise InterruptedError

    path = tmp_path / "big"
    with path.open("wb") as out, pytest.raises(InterruptedError):
        write_archive(out, replace(big, collections=(first, big.collections[1])), root, stop)
    with pytest.raises(ArchiveRefusedError, match="truncated"):
        read_archive(path, admit)


def test_a_file_that_changes_meanwhile_is_noticed(root: Path, tmp_path: Path) -> None:
    (root / STORE).write_bytes(CONTENT[STORE][:-1] + b"!")
    with (tmp_path / "a").open("wb") as file, pytest.raises(CorruptionError, match=f"{STORE} changed"):
        write_archive(file, manifest(), root, go_on)
    (root / STORE).write_bytes(CONTENT[STORE][:-1])
    with (tmp_path / "a").open("wb") as file, pytest.raises(CorruptionError, match=f"{STORE} changed"):
        write_archive(file, manifest(), root, go_on)


def test_describing_a_file(root: Path) -> None:
    assert describe_file(root / STORE, STORE) == listed(STORE)
    assert describe_file(root / SLOTS, SLOTS) == listed(SLOTS)


def test_what_is_not_admitted_is_not_read(archive: Path, tmp_path: Path) -> None:
    def refuse(found: Manifest) -> None:
        raise KeyError(found.bytes)

    target = tmp_path / "target"
    target.mkdir()
    with pytest.raises(KeyError, match=str(sum(map(len, CONTENT.values())))):
        read_archive(archive, refuse, target)
    assert list(target.iterdir()) == []


def test_truncations_are_refused(archive: Path, tmp_path: Path) -> None:
    whole = archive.read_bytes()
    cut = tmp_path / "cut"
    for size in [*range(0, len(whole), 5), *range(len(whole) - 40, len(whole))]:
        cut.write_bytes(whole[:size])
        with pytest.raises(ArchiveRefusedError):
            read_archive(cut, admit)


def test_flipped_bits_are_refused(archive: Path, tmp_path: Path) -> None:
    whole = bytearray(archive.read_bytes())
    flipped = tmp_path / "flipped"
    harmless = 0
    for place in range(0, len(whole), 2):
        whole[place] ^= 1 << place % 8
        flipped.write_bytes(whole)
        # Some bits of a frame mean nothing.
        try:
            assert read_archive(flipped, admit) == manifest()
        except ArchiveRefusedError:
            pass
        else:
            harmless += 1
        whole[place] ^= 1 << place % 8
    assert harmless <= 8


@dataclass
class Forged:
    """An archive that somebody made by hand; at first a good one."""

    manifest: dict[str, Any]
    members: list[tuple[tarfile.TarInfo, bytes]]
    end: bytes = tarfile.NUL * tarfile.RECORDSIZE
    behind: bytes = b""
    text: bytes | None = None
    compression: dict[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write the file."""
        text = json.dumps(self.manifest).encode() if self.text is None else self.text
        body = b""
        for header, content in [(named(MANIFEST_FILE, len(text)), text), *self.members]:
            body += header.tobuf(tarfile.GNU_FORMAT) + content + tarfile.NUL * (-len(content) % tarfile.BLOCKSIZE)
        frame = zstandard.ZstdCompressor(**self.compression).compressobj()
        path.write_bytes(frame.compress(body + self.end) + frame.flush() + self.behind)

    def collection(self) -> dict[str, Any]:
        """Return the first collection of the manifest."""
        found: dict[str, Any] = self.manifest["collections"][0]
        return found

    def rename(self, name: str) -> None:
        """Give the first file another name, in the manifest and in the tar."""
        self.collection()["files"][0]["path"] = name
        self.members[0][0].name = name


def named(name: str, size: int, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    """Return a header."""
    header = tarfile.TarInfo(name)
    header.size, header.type, header.linkname = size, kind, link
    return header


def forged() -> Forged:
    """Return what `write_archive` would write, ready to be spoilt."""
    from pydantic import TypeAdapter

    members = [(named(path, len(content)), content) for path, content in CONTENT.items()]
    return Forged(TypeAdapter(Manifest).dump_python(manifest(), mode="json"), members)


def test_a_forged_archive_without_a_fault_is_read(tmp_path: Path) -> None:
    forged().write(tmp_path / "a")
    assert read_archive(tmp_path / "a", admit) == manifest()


def special(kind: bytes) -> Callable[[Forged], None]:
    """Return what makes the first member something else than a file."""

    def spoil(forged: Forged) -> None:
        forged.members[0] = named(STORE, 0, kind, "/etc/passwd"), b""

    return spoil


def files_of(change: Callable[[list[dict[str, Any]]], object]) -> Callable[[Forged], None]:
    """Return what changes the list of files of the first collection."""
    return lambda forged: (change(forged.collection()["files"]), None)[1]


def set_manifest(**values: object) -> Callable[[Forged], None]:
    """Return what changes the manifest."""
    return lambda forged: forged.manifest.update(values)


def long_name(forged: Forged) -> None:
    """Put a header of the GNU extension before the first file; a reader would take its size on trust."""
    forged.members.insert(0, (named("././@LongLink", 1 << 40, tarfile.GNUTYPE_LONGNAME), b"x"))


def pax(forged: Forged) -> None:
    """Put a pax header before the first file that renames it."""
    record = b"24 path=../../etc/passwd\n"
    forged.members.insert(0, (named("././@PaxHeader", len(record), tarfile.XHDTYPE), record))


HOSTILE: dict[str, tuple[Callable[[Forged], object], str]] = {
    "climbing": (lambda f: f.rename("../../../etc/passwd"), "a file of the name"),
    "climbing inside": (lambda f: f.rename("collections/0/../../x/data.mdb"), "a file of the name"),
    "climbing in a uid": (lambda f: f.rename("collections/0/segments/../slots.npy"), "a file of the name"),
    "absolute": (lambda f: f.rename("/etc/passwd"), "a file of the name"),
    "other file": (lambda f: f.rename("collections/0/store/lock.mdb"), "a file of the name"),
    "backslash": (lambda f: f.rename("collections\\0\\store\\data.mdb"), "a file of the name"),
    "line end": (lambda f: f.rename(STORE + "\n"), "a file of the name"),
    "not ascii": (lambda f: f.rename("collections/\N{FULLWIDTH DIGIT ZERO}/store/data.mdb"), "a file of the name"),
    "of another collection": (lambda f: f.rename("collections/7/store/data.mdb"), "a file of the name"),
    "climbing in the tar only": (lambda f: setattr(f.members[0][0], "name", "../x"), "stands where the file"),
    "symbolic link": (special(tarfile.SYMTYPE), "stands where the file"),
    "hard link": (special(tarfile.LNKTYPE), "stands where the file"),
    "character device": (special(tarfile.CHRTYPE), "stands where the file"),
    "block device": (special(tarfile.BLKTYPE), "stands where the file"),
    "fifo": (special(tarfile.FIFOTYPE), "stands where the file"),
    "directory": (special(tarfile.DIRTYPE), "stands where the file"),
    "sparse file": (special(tarfile.GNUTYPE_SPARSE), "stands where the file"),
    "unknown kind": (special(b"Z"), "stands where the file"),
    "file with a link": (lambda f: setattr(f.members[0][0], "linkname", "x"), "stands where the file"),
    "long name": (long_name, "stands where the file"),
    "pax": (pax, "stands where the file"),
    "member twice": (lambda f: f.members.insert(1, f.members[0]), "stands where the file"),
    "file listed twice": (files_of(lambda files: files.append(files[0])), "twice"),
    "unlisted member at the end": (lambda f: f.members.append((named("x", 1), b"x")), "more in it"),
    "unlisted member": (lambda f: f.members.insert(0, (named("x", 1), b"x")), "stands where the file"),
    "missing member": (lambda f: f.members.pop(0), "stands where the file"),
    "missing last member": (lambda f: f.members.pop(), "is missing"),
    "other order": (lambda f: f.members.reverse(), "stands where the file"),
    "larger than listed": (lambda f: f.members.__setitem__(0, (named(STORE, 9999), b"x" * 9999)), "the manifest says"),
    "other content": (lambda f: f.members.__setitem__(0, (named(STORE, 5000), b"x" * 5000)), "checksum"),
    "negative size": (files_of(lambda files: files[0].update(size=-1)), "bytes for"),
    "size beyond all": (files_of(lambda files: files[0].update(size=1 << 70)), "manifest"),
    "other format": (set_manifest(format=99), "its format is 99, this version reads 1"),
    "no format": (lambda f: f.manifest.pop("format"), "manifest is wrong: format: Field required"),
    "unknown field": (set_manifest(more=1), "manifest is wrong: more"),
    "unknown kind of snapshot": (set_manifest(kind="half"), "manifest is wrong: kind"),
    "number as text": (set_manifest(created_at_s="1"), "manifest is wrong: created_at_s"),
    "collection twice": (lambda f: f.manifest["collections"][1].update(name="ä"), "names a collection twice"),
    "foreign alias": (set_manifest(aliases={"a": "c"}), "an alias of a collection that is not in it"),
    "several collections": (set_manifest(kind="collection"), "2 collections where there must be one"),
    "manifest that is no JSON": (lambda f: setattr(f, "text", b"{"), "manifest is wrong"),
    "deep manifest": (lambda f: setattr(f, "text", b"[" * 100_000), "manifest is wrong"),
    "empty manifest": (lambda f: setattr(f, "text", b""), "the manifest has 0 bytes"),
    "no end": (lambda f: setattr(f, "end", b""), "truncated"),
    "long end": (lambda f: setattr(f, "end", bytes(1 << 20)), "more in it"),
    "something in the end": (lambda f: setattr(f, "end", bytes(1024) + b"x"), "more in it"),
    "bytes behind": (lambda f: setattr(f, "behind", b"x"), "something follows"),
    "second frame": (lambda f: setattr(f, "behind", zstandard.compress(b"x")), "something follows"),
    "window beyond all": (
        lambda f: setattr(f, "compression", {"compression_params": zstandard.ZstdCompressionParameters(window_log=27)}),
        "cannot be decompressed",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused(name: str, tmp_path: Path) -> None:
    spoil, text = HOSTILE[name]
    made = forged()
    spoil(made)
    made.write(tmp_path / "a")
    with pytest.raises(ArchiveRefusedError, match=text) as error:
        read_archive(tmp_path / "a", admit)
    assert str(error.value).startswith("not a usable snapshot: ")
    assert "\n" not in str(error.value)
    target = tmp_path / "in" / "target"
    target.mkdir(parents=True)
    with pytest.raises(ArchiveRefusedError, match=text):
        read_archive(tmp_path / "a", admit, target)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "in"}
    assert [path.name for path in target.parent.iterdir()] == ["target"]
    assert not any(path.is_symlink() for path in target.rglob("*"))


@pytest.mark.parametrize("content", [b"", b"x", b"\x1f\x8b" + bytes(100), zstandard.compress(b""), bytes(10_000)])
def test_what_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ArchiveRefusedError, match=r"^not a usable snapshot: "):
        read_archive(tmp_path / "a", admit)


_READ = """
import resource, sys
from pathlib import Path
from pointstore.storage.archive import ArchiveRefusedError, read_archive
def read(path):
    try:
        read_archive(path, print)
    except ArchiveRefusedError as error:
        return str(error)
read(Path(sys.argv[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
text = read(Path(sys.argv[2]))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10, text)
"""


def memory_of_reading(text: bytes, tmp_path: Path) -> tuple[int, str]:
    """Read an archive of a manifest in a process of its own; return MiB that it took, and why it was refused."""
    for name, content in (("warm", b"{}"), ("bomb", text)):
        made = forged()
        made.text = content
        made.write(tmp_path / name)
    command = [sys.executable, "-c", _READ, str(tmp_path / "warm"), str(tmp_path / "bomb")]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    grown, reason = done.stdout.strip().split(" ", 1)
    return int(grown), reason


def listing(item: bytes, count: int, place: str) -> bytes:
    """Return a manifest with a list or map of many items at a place."""
    made = forged().manifest
    (made["collections"][0] if place == "files" else made)[place] = "@"
    bulk = b",".join([item] * count)
    return json.dumps(made).encode().replace(b'"@"', b"{%b}" % bulk if place == "aliases" else b"[%b]" % bulk)


@pytest.mark.parametrize(
    ("item", "place", "text"),
    [
        (b"{}", "files", "files.0.path: Field required"),
        (b"{}", "collections", "collections.0.name: Field required"),
        (b"0", "files", "files.0: Input should be an object"),
    ],
)
def test_many_errors_in_a_manifest_take_no_memory(item: bytes, place: str, text: str, tmp_path: Path) -> None:
    """A quarter of a MiB; to put all its errors into words took 300 MiB."""
    grown, reason = memory_of_reading(listing(item, (1 << 18) // (len(item) + 1), place), tmp_path)
    assert text in reason
    assert grown < 64


def test_errors_beyond_some_number_are_not_put_into_words(tmp_path: Path) -> None:
    aliases = b",".join(b'"%x":0' % number for number in range(30_000))
    grown, reason = memory_of_reading(listing(aliases, 1, "aliases"), tmp_path)
    assert reason == "not a usable snapshot: its manifest is wrong: 30000 errors"
    assert grown < 64


@pytest.mark.parametrize("item", [b"{}", b"[0]", b"0"])
def test_a_manifest_of_more_values_than_allowed_is_not_parsed(item: bytes, tmp_path: Path) -> None:
    """Nearly 64 MiB of the smallest values there are: parsing them would take gigabytes."""
    grown, reason = memory_of_reading(listing(item, (60 << 20) // (len(item) + 1), "files"), tmp_path)
    assert "the manifest has " in reason
    assert f" values, {MANIFEST_VALUES_MAX} at most" in reason
    # Its text, in pieces and in one.
    assert grown < 256


@pytest.mark.parametrize("unit", ["bytes", "values"])
def test_what_a_reader_would_refuse_is_not_written(
    unit: str, archive: Path, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_module, f"MANIFEST_{unit.upper()}_MAX", 100)
    with pytest.raises(ArchiveRefusedError, match=r"the manifest has [0-9]+ "):
        read_archive(archive, admit)
    text = f"^too much for one snapshot: the list of its contents has [0-9]+ {unit}, 100 at most$"
    with (tmp_path / "b").open("wb") as file, pytest.raises(BadRequestError, match=text):
        write_archive(file, manifest(), root, go_on)
    assert (tmp_path / "b").stat().st_size < 100


def test_there_may_be_ten_thousand_collections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each with the files of two segments with indexes; measured on a hundred."""
    files = tuple(replace(listed(SLOTS), blake3="0" * 64) for _ in range(7))
    held = tuple(ArchivedCollection("name", 2, 7, 3, numbered(vector_config()), files) for _ in range(100))
    text = archive_module._MANIFEST.dump_json(replace(manifest(), collections=held), indent=1)
    monkeypatch.setattr(archive_module, "MANIFEST_BYTES_MAX", MANIFEST_BYTES_MAX // 100)
    monkeypatch.setattr(archive_module, "MANIFEST_VALUES_MAX", MANIFEST_VALUES_MAX // 100)
    assert archive_module._excess(text) is None


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (named(MANIFEST_FILE, 1 << 30), "the manifest has 1073741824 bytes"),
        (named(MANIFEST_FILE, 60 << 20), "manifest is wrong"),
        (named("x", 1 << 30), "stands where"),
        (named("././@PaxHeader", 1 << 30, tarfile.XHDTYPE), "stands where"),
    ],
)
def test_a_bomb_takes_no_memory(header: tarfile.TarInfo, text: str, tmp_path: Path) -> None:
    """A quarter of a megabyte that decompresses to 1 GiB."""
    with (tmp_path / "bomb").open("wb") as file, zstandard.ZstdCompressor().stream_writer(file) as stream:
        stream.write(header.tobuf(tarfile.GNU_FORMAT))
        piece = bytes(64 << 20)
        for _ in range(16 if header.size > 60 << 20 else 1):
            stream.write(piece)
    assert (tmp_path / "bomb").stat().st_size < 1 << 20
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ArchiveRefusedError, match=text):
        read_archive(tmp_path / "bomb", admit)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10
    assert grown < 256 << 20
