"""Every page of one snapshot of an environment accounted for, and every record checked.

LMDB checks nothing of what it reads: a flipped bit in the bookkeeping of a page hides records, ends the process, or
makes the next commit overwrite what is in use. A survey walks all trees: each page is used exactly once or free, each
key stands between the separators above it, all counters agree. With the checksum of every record, no bit is left that
anyone reads and nobody verifies.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from time import monotonic
from typing import Final

from pointstore.storage.pages import BIG, SUBTREE, DamagedPageError, Meta, PageFile, Tree, unpack_free, unpack_tree

DAMAGE_MAX: Final = 20
_FREE, _MAIN = "(free pages)", "(databases)"
_FIRST_PAGE = 2

Check = Callable[[str, bytes, bytes], str | None]
"""Verify a record: name of its database, key, value; returns what is wrong with it."""

Names = Callable[[AbstractSet[str]], str | None]
"""Verify the names of all databases, keys that no checksum covers; returns what is wrong with them."""


@dataclass(slots=True)
class Survey:
    """What a walk found.

    Attributes:
        damage: a line each, at most `damage_max`; the walk ends with the last.
        records: number of records looked at.
        complete: whether the walk came to its end.
        leaked: pages that are neither used nor free: lost room, no damage.
    """

    damage: list[str] = field(default_factory=list)
    records: int = 0
    complete: bool = True
    leaked: int = 0


def newest(file: PageFile) -> Meta:
    """Return the newest snapshot of an environment that nobody writes to.

    Meta pages have no checksum. Their numbers are consecutive and each has its place, and what a transaction freed is
    listed under its number by itself and by the next one; so a damaged number cannot bring back an older state.

    Raises:
        DamagedPageError: the meta pages are damaged or contradict each other.
    """
    metas = file.meta(0), file.meta(1)
    even, odd = (meta.transaction for meta in metas)
    if even == odd == 0:
        return metas[0]
    if even % 2 or not odd % 2 or abs(even - odd) != 1:
        msg = f"the meta pages are those of transactions {even} and {odd}"
        raise DamagedPageError(msg)
    older, newer = sorted(metas, key=lambda meta: meta.transaction)
    if file.interrupted:
        return newer
    before, after = _freed(file, older), _freed(file, newer)
    if before is not None and max(before, default=0) > older.transaction:
        msg = f"transaction {older.transaction} knows of a later one"
        raise DamagedPageError(msg)
    if before is not None and after is not None and older.transaction in before - after:
        msg = f"transaction {newer.transaction} does not know what the one before it has freed"
        raise DamagedPageError(msg)
    return newer


def of_transaction(file: PageFile, transaction: int) -> Meta | None:
    """Return the snapshot that an open read transaction keeps, None when its meta page was written over already.

    Raises:
        DamagedPageError: a meta page is damaged.
    """
    return next((meta for meta in (file.meta(0), file.meta(1)) if meta.transaction == transaction), None)


def records(file: PageFile, meta: Meta, database: str) -> dict[bytes, bytes]:
    """Return the undamaged records of one small database, none when there is no such database."""
    found: dict[bytes, bytes] = {}
    _Walk(file, meta, None, DAMAGE_MAX).collect(database, found)
    return found


def survey(  # noqa: PLR0913  how far to go
    file: PageFile,
    meta: Meta,
    check: Check,
    *,
    names: Names = lambda _: None,
    rank: Callable[[str], int] = len,
    deadline: float | None = None,
    damage_max: int = DAMAGE_MAX,
) -> Survey:
    """Walk every page of a snapshot.

    Args:
        file: the data file.
        meta: the root of the snapshot.
        check: verifies a record.
        names: verifies the names of databases.
        rank: gives databases their order, smallest first.
        deadline: time of `time.monotonic` at which to stop.
        damage_max: number of lines of damage after which to stop.
    """
    return _Walk(file, meta, deadline, damage_max).run(check, names, rank)


class _EndError(Exception):
    """The walk ends here."""


@dataclass(slots=True)
class _Pass:
    """The walk through one tree."""

    name: str
    leaf: Callable[[bytes, int, bytes], str | None]
    branches: int = 0
    leaves: int = 0
    overflows: int = 0
    entries: int = 0
    last: bytes | None = None


class _Walk:
    def __init__(self, file: PageFile, meta: Meta, deadline: float | None, damage_max: int) -> None:
        self._file = file
        self._meta = meta
        self._deadline = deadline
        self._damage_max = damage_max
        # Pages that were freed before they were ever written may lie behind the end of the file.
        self._used = bytearray(file.pages)
        self._used_behind: set[int] = set()
        self.survey = Survey()

    def run(self, check: Check, names: Names, rank: Callable[[str], int]) -> Survey:
        trees: dict[str, Tree] = {}

        def free(key: bytes, _flags: int, value: bytes) -> None:
            transaction, pages = unpack_free(key, value)
            if transaction > self._meta.transaction:
                msg = f"pages freed by transaction {transaction}, which is still to come"
                raise DamagedPageError(msg)
            for page in pages:
                self._take(page, 1, beyond=True)

        def record(name: str) -> Callable[[bytes, int, bytes], str | None]:
            def checked(key: bytes, flags: int, value: bytes) -> str | None:
                if flags & ~BIG:
                    raise DamagedPageError("a record with unknown flags")
                self.survey.records += 1
                return check(name, key, value)

            return checked

        try:
            self._tree(_Pass(_FREE, free), self._meta.free)
            walk = _Pass(_MAIN, _subtrees_into(trees))
            self._tree(walk, self._meta.main)
            if not self.survey.damage and (problem := names(trees.keys())) is not None:
                self._note(walk, problem)
            for name in sorted(trees, key=rank):
                self._tree(_Pass(name, record(name)), trees[name])
            self.survey.leaked = max(0, self._meta.last_page + 1 - _FIRST_PAGE - self._accounted())
        except _EndError:
            self.survey.complete = False
        return self.survey

    def freed(self) -> set[int]:
        """Return the transactions in the list of free pages."""
        found: set[int] = set()

        def free(key: bytes, _flags: int, value: bytes) -> None:
            found.add(unpack_free(key, value)[0])

        self._tree(_Pass(_FREE, free), self._meta.free)
        return found

    def collect(self, database: str, found: dict[bytes, bytes]) -> None:
        """Put the records of one database into `found`."""
        trees: dict[str, Tree] = {}

        def put(key: bytes, _flags: int, value: bytes) -> None:
            found[key] = value

        self._tree(_Pass(_MAIN, _subtrees_into(trees)), self._meta.main)
        if database in trees:
            self._tree(_Pass(database, put), trees[database])

    def _accounted(self) -> int:
        return len(self._used) - self._used.count(0) + len(self._used_behind)

    def _tree(self, walk: _Pass, tree: Tree) -> None:
        damaged = len(self.survey.damage)
        if not tree.empty:
            self._page(walk, tree.root, tree.depth, b"", None)
        if len(self.survey.damage) > damaged:
            # The sums are wrong then, too.
            return
        found = (walk.branches, walk.leaves, walk.overflows, walk.entries)
        told = (tree.branches, tree.leaves, tree.overflows, tree.entries)
        if found != told or (tree.empty and tree.depth):
            self._note(walk, f"has {found} branches, leaves, overflow pages and records, its record says {told}")

    def _page(self, walk: _Pass, number: int, level: int, low: bytes, high: bytes | None) -> None:
        """Walk the part of a tree below a page, whose keys are in [low, high)."""
        if self._deadline is not None and monotonic() > self._deadline:
            raise _EndError
        try:
            self._take(number, 1)
            page = self._file.page(number, leaf=level == 1)
            if level == 1:
                walk.leaves += 1
                self._leaf(walk, page, low, high)
            else:
                walk.branches += 1
                self._branch(walk, page, level, low, high)
        except DamagedPageError as error:
            self._note(walk, str(error))

    def _leaf(self, walk: _Pass, page: bytes, low: bytes, high: bytes | None) -> None:
        numbers = walk.name == _FREE
        last: bytes | None = None
        for key, flags, value, size in self._file.leaf_nodes(page):
            order = key[::-1] if numbers else key
            if order < low or (last is not None and order <= last) or (high is not None and order >= high):
                msg = f"key {key.hex()} is out of order"
                raise DamagedPageError(msg)
            last = order
            walk.entries += 1
            found = value
            if flags & BIG:
                first, count = int.from_bytes(value, "little"), self._file.overflow_pages(size)
                self._take(first, count)
                walk.overflows += count
                found = self._file.overflow(first, size)
            problem = walk.leaf(key, flags, found)
            if problem is not None:
                self._note(walk, problem)

    def _branch(self, walk: _Pass, page: bytes, level: int, low: bytes, high: bytes | None) -> None:
        nodes = self._file.branch_nodes(page)
        separators = [low, *((key[::-1] if walk.name == _FREE else key) for key, _ in nodes[1:])]
        for place, (_, number) in enumerate(nodes):
            until = separators[place + 1] if place + 1 < len(nodes) else high
            if until is not None and until <= separators[place]:
                raise DamagedPageError("separators are out of order")
            self._page(walk, number, level - 1, separators[place], until)

    def _take(self, number: int, count: int, *, beyond: bool = False) -> None:
        """Note the use of pages, or that they are free."""
        last = number + count - 1
        if number < _FIRST_PAGE or last > self._meta.last_page or (last >= len(self._used) and not beyond):
            msg = f"page {number} is outside of the file"
            raise DamagedPageError(msg)
        taken = number in self._used_behind if number >= len(self._used) else any(self._used[number : last + 1])
        if taken:
            msg = f"page {number} has two uses"
            raise DamagedPageError(msg)
        if number >= len(self._used):
            self._used_behind.add(number)
        else:
            self._used[number : last + 1] = b"\1" * count

    def _note(self, walk: _Pass, text: str) -> None:
        self.survey.damage.append(f"database {walk.name}: {text}")
        if len(self.survey.damage) >= self._damage_max:
            raise _EndError


def _subtrees_into(trees: dict[str, Tree]) -> Callable[[bytes, int, bytes], None]:
    def subtree(key: bytes, flags: int, value: bytes) -> None:
        if flags != SUBTREE:
            raise DamagedPageError("a record that is no database")
        trees[key.decode(errors="replace")] = unpack_tree(value)

    return subtree


def _freed(file: PageFile, meta: Meta) -> set[int] | None:
    """Return the transactions whose freed pages a snapshot lists, None where the list itself is damaged."""
    walk = _Walk(file, meta, None, DAMAGE_MAX)
    found = walk.freed()
    return None if walk.survey.damage else found
