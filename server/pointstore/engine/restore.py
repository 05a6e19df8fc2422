"""Restoring: a snapshot becomes collections of a data directory that no server uses.

    1. The whole archive is read and checked, before anything is written anywhere.
    2. It is unpacked, synced, into a directory of its own: <data_dir>/restores/<random>/.
    3. A child process opens what was unpacked and checks what it means: a damaged store can end who reads it.
    4. Each collection is renamed to a fresh directory below <data_dir>/collections/.
    5. One transaction of the catalog names all of them, and the aliases.

Crash argument: until the transaction commits, the catalog names nothing of it, and the next start removes what no name
leads to. After it everything is there, and the directories of replaced collections are what the next start removes.
"""

from __future__ import annotations

import os
import secrets
import shutil
import stat
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pointstore.core.errors import CorruptionError, InsufficientStorageError, StorageError
from pointstore.core.failpoint import visit
from pointstore.core.names import NAME_LENGTH_MAX, forbidden_char
from pointstore.engine.recover import checked_names
from pointstore.engine.snapshots import remove_captures
from pointstore.storage.archive import MANIFEST_FILE, ArchivedCollection, Manifest, load_manifest, read_archive
from pointstore.storage.catalog import Catalog, Names
from pointstore.storage.collection import SEGMENTS, CollectionStore
from pointstore.storage.directories import sync_directory
from pointstore.storage.faults import space_errors
from pointstore.storage.keys import POINTS_SPACE
from pointstore.storage.layout import CATALOG, COLLECTIONS, RESTORES
from pointstore.storage.migration import migrate_collection
from pointstore.storage.points import check_id, unpack_slot
from pointstore.storage.segments import INDEX_FILE, repair_segment
from pointstore.storage.verify import verify_collection

if TYPE_CHECKING:
    from collections.abc import Callable

    from pointstore.storage.env import Txn

_SPARE_BYTES: Final = 16 << 20
"""Room that a restore leaves: for the catalog, lock files and directories."""


class RestoreRefusedError(StorageError):
    """The snapshot does not fit the data directory; the text is for the person who restores it."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore has brought back: points by collection, and collections by alias."""

    points: dict[str, int]
    aliases: dict[str, str]


@dataclass(frozen=True, slots=True)
class Restore:
    """A restore that is asked for.

    Attributes:
        snapshot: file of the archive.
        data_dir: no other process uses it; created when missing.
        rename: new name for the collection of a snapshot of one.
        replace: whether collections and aliases of the same names give way.
        map_size: bound of a collection's store in bytes.
        catalog_map_size: bound of the catalog in bytes.
    """

    snapshot: Path
    data_dir: Path
    rename: str | None
    replace: bool
    map_size: int
    catalog_map_size: int

    def inspect(self) -> Manifest:
        """Read the whole archive and check it; nothing is written.

        Raises:
            ArchiveRefusedError: it is damaged, hostile, or of another version.
            RestoreRefusedError: it cannot be restored under the name.
            InsufficientStorageError: the disk has no room for it.
            OSError: it cannot be read.
        """
        if not stat.S_ISREG(self.snapshot.stat().st_mode):
            msg = f"{self.snapshot} is no file"
            raise RestoreRefusedError(msg)
        return read_archive(self.snapshot, self._admit)

    def run(self, check: Callable[[Path], None]) -> Restored:
        """Bring the snapshot back, all of it or nothing.

        Args:
            check: runs `check_unpacked` on a directory, in another process.

        Raises:
            ArchiveRefusedError, CorruptionError: it is damaged or hostile.
            RestoreRefusedError: names are taken.
            InsufficientStorageError: disk full.
            StorageError: the data directory cannot be used; its catalog is checked as by a start.
        """
        with space_errors(self.data_dir):
            (self.data_dir / COLLECTIONS).mkdir(parents=True, exist_ok=True)
            checked_names(self.data_dir, self.catalog_map_size)
        remove_captures(self.data_dir)
        catalog = Catalog(self.data_dir / CATALOG, self.catalog_map_size)
        unpacked = self.data_dir / RESTORES / secrets.token_hex(8)
        try:
            with space_errors(self.data_dir):
                unpacked.mkdir(parents=True)
                manifest = read_archive(self.snapshot, lambda manifest: self._admit_beside(catalog, manifest), unpacked)
                visit("snapshot.unpacked")
                for number in range(len(manifest.collections)):
                    # No member of the archive: a collection without segments has none of their files.
                    (unpacked / COLLECTIONS / str(number) / SEGMENTS).mkdir(exist_ok=True)
                check(unpacked)
                visit("snapshot.verified")
                return self._publish(catalog, manifest, unpacked)
        finally:
            shutil.rmtree(self.data_dir / RESTORES, ignore_errors=True)
            catalog.close()

    def _admit(self, manifest: Manifest) -> None:
        """Refuse an archive by its manifest."""
        for collection in manifest.collections:
            _check_name(collection.name)
        if self.rename is not None:
            if manifest.kind == "full":
                msg = "a snapshot of everything cannot be given the name of a collection"
                raise RestoreRefusedError(msg)
            _check_name(self.rename)
        place = self.data_dir.absolute()
        while not place.exists():
            place = place.parent
        disk = os.statvfs(place)
        free = disk.f_bavail * disk.f_frsize
        if manifest.bytes + _SPARE_BYTES > free:
            msg = f"the snapshot takes {manifest.bytes} bytes, {place} has {free} free"
            raise InsufficientStorageError(msg)

    def _admit_beside(self, catalog: Catalog, manifest: Manifest) -> None:
        """Refuse an archive by its manifest and by what the data directory holds."""
        self._admit(manifest)
        names = catalog.names(None)
        self._add(Names(names.version, dict(names.collections), dict(names.aliases)), manifest, self._uids(manifest))

    def _uids(self, manifest: Manifest) -> list[tuple[str, str]]:
        """Return name and new uid of each collection, in the order of the manifest."""
        return [(self.rename or collection.name, uuid.uuid4().hex) for collection in manifest.collections]

    def _add(self, names: Names, manifest: Manifest, uids: list[tuple[str, str]]) -> dict[str, str]:
        """Add what is restored to the names; return the aliases among it."""
        for name, uid in uids:
            if not self.replace and name in names.collections:
                msg = f"collection `{name}` exists; --force replaces it"
                raise RestoreRefusedError(msg)
            if not self.replace and name in names.aliases:
                msg = f"an alias has the name of collection `{name}`; --force removes it"
                raise RestoreRefusedError(msg)
            names.aliases.pop(name, None)
            names.collections[name] = uid
        # The aliases of a single collection may long belong to another one.
        aliases = manifest.aliases if manifest.kind == "full" else {}
        own = {name for name, _ in uids}
        for alias, target in aliases.items():
            if not self.replace and names.aliases.get(alias, target) != target:
                msg = f"alias `{alias}` exists; --force points it at collection `{target}`"
                raise RestoreRefusedError(msg)
            if alias in names.collections and alias not in own:
                msg = f"a collection has the name of alias `{alias}`"
                raise RestoreRefusedError(msg)
        names.aliases.update(aliases)
        return aliases

    def _publish(self, catalog: Catalog, manifest: Manifest, unpacked: Path) -> Restored:
        """Move what was unpacked to its place and name it."""
        root = self.data_dir / COLLECTIONS
        uids = self._uids(manifest)
        for directory, _, _ in os.walk(unpacked):
            sync_directory(Path(directory))
        sync_directory(self.data_dir)
        try:
            for number, (_, uid) in enumerate(uids):
                (unpacked / COLLECTIONS / str(number)).rename(root / uid)
            sync_directory(root)
            visit("snapshot.moved")
            with catalog.change() as names:
                before = set(names.collections.values())
                aliases = self._add(names, manifest, uids)
                replaced = before - set(names.collections.values())
        except BaseException:
            # Not what a commit that seemed to fail has named after all.
            named = set(catalog.names(None).collections.values())
            for uid in {uid for _, uid in uids} - named:
                shutil.rmtree(root / uid, ignore_errors=True)
            raise
        visit("snapshot.named")
        for uid in replaced:
            shutil.rmtree(root / uid, ignore_errors=True)
        points = {name: found.points for (name, _), found in zip(uids, manifest.collections, strict=True)}
        return Restored(points, aliases)


def check_unpacked(root: Path, map_size: int) -> None:
    """Check that unpacked collections are what their manifest says, record by record.

    Run it in a process of its own: opening a store that is damaged on purpose can end it.

    Raises:
        StorageError: they are not.
    """
    manifest = load_manifest(root / MANIFEST_FILE)
    for number, collection in enumerate(manifest.collections):
        try:
            _check_collection(root / COLLECTIONS / str(number), collection, map_size)
        except (StorageError, ValueError) as error:
            msg = f"not a usable snapshot: collection `{collection.name}`: {error}"
            raise CorruptionError(msg) from error


def _check_collection(path: Path, expected: ArchivedCollection, map_size: int) -> None:
    survey = verify_collection(path, damage_max=1)
    if survey.damage:
        raise CorruptionError(survey.damage[0])
    migrate_collection(path, map_size)
    store = CollectionStore(path, map_size)
    try:
        with store.read() as txn:
            head, config = store.meta.head(txn), store.meta.config(txn)
            if (head.seq, head.points, config) != (expected.seq, expected.points, expected.config):
                msg = "the manifest tells of another state"
                raise CorruptionError(msg)
            _check_points(store, txn, head.points)
            _check_segments(store, txn, expected)
    finally:
        store.close()


def _check_points(store: CollectionStore, txn: Txn, points: int) -> None:
    """Compare the head's count with ids, records and the live set."""
    count = 0
    for point_id, place in store.points.scan(txn, None):
        check_id(store.points.record(txn, unpack_slot(point_id, place)), point_id)
        count += 1
    live = store.live.count(txn, POINTS_SPACE)
    if not points == count == live:
        msg = f"{points} points are counted, {count} have an id, {live} are live"
        raise CorruptionError(msg)


def _check_segments(store: CollectionStore, txn: Txn, expected: ArchivedCollection) -> None:
    """Compare the files with the published segments; an index may be missing, it is built again."""
    segments = store.meta.segments(txn)
    published = {f"{SEGMENTS}/{segment.uid}/{name}" for segment in segments for name in segment.checksums}
    archived = {"/".join(file.path.split("/")[2:]) for file in expected.files[1:]}
    if extra := archived - published:
        msg = f"{min(extra)} is in no list of segments"
        raise CorruptionError(msg)
    if lost := {name for name in published - archived if not name.endswith("/" + INDEX_FILE)}:
        msg = f"{min(lost)} is missing"
        raise CorruptionError(msg)
    # Now that it is of nothing but what was unpacked.
    for segment in segments:
        repair_segment(store.segments_dir, segment)


def _check_name(name: str) -> None:
    """Refuse a name that no collection can be given."""
    char = forbidden_char(name)
    encodable = False
    with suppress(UnicodeEncodeError):
        encodable = bool(name.encode())
    if char is not None or not encodable or len(name) > NAME_LENGTH_MAX:
        msg = f"{name!r} cannot be the name of a collection"
        raise RestoreRefusedError(msg)
