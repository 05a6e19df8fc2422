"""Replays a recording of `recorder.c` into images of what a disk may hold when the power fails.

The model is stricter than any one file system. The content of a file is durable by page, once a sync that began after
the write has ended, or at once through an O_DSYNC descriptor; a name in a directory (made, renamed or removed) is
durable only once the directory was synced. Of what is not durable an image has none, all, or any subset, pages in any
of their versions, some torn between sectors of 512 bytes; a call that was under way may be there in part.
"""

from __future__ import annotations

import json
import os
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

PAGE: Final = 4096
SECTOR: Final = 512
_HEADER: Final = struct.Struct("<IIQQIIII")
_MAGIC: Final = 0x52454331
WRITE, SYNC_BEGUN, SYNCED, CREATED, TRUNCATED, ALLOCATED, RENAMED, MADE, UNLINKED = range(1, 10)
MARK: Final = 100


@dataclass(frozen=True, slots=True)
class Record:
    """One recorded call, or a mark of the harness."""

    kind: int
    inode: int
    offset: int
    durable: bool
    path: str
    target: str
    data: bytes


def mark(descriptor: int, what: object) -> None:
    """Append a mark to a log that is open for appending."""
    text = json.dumps(what).encode()
    os.write(descriptor, _HEADER.pack(_MAGIC, MARK, 0, 0, 0, len(text), 0, 0) + text)


def read_log(path: Path) -> list[Record]:
    """Read a recording."""
    log = path.read_bytes()
    return list(_records(log))


def _records(log: bytes) -> Iterator[Record]:
    at = 0
    while at < len(log):
        magic, kind, inode, offset, durable, path_bytes, target_bytes, data_bytes = _HEADER.unpack_from(log, at)
        assert magic == _MAGIC, f"the log is damaged at {at}"
        at += _HEADER.size
        path = log[at : at + path_bytes].decode()
        at += path_bytes
        target = log[at : at + target_bytes].decode()
        at += target_bytes
        yield Record(kind, inode, offset, bool(durable), path, target, log[at : at + data_bytes])
        at += data_bytes


@dataclass(slots=True, eq=False)
class Node:
    """A file or directory.

    Attributes:
        durable: pages that are durable.
        versions: by page, what was written since, oldest first.
        size: durable size.
        new_size: size as processes see it.
        names: durable entries of a directory.
        new_names: entries as processes see them.
    """

    durable: dict[int, bytes] = field(default_factory=dict)
    versions: dict[int, list[bytes]] = field(default_factory=dict)
    size: int = 0
    new_size: int = 0
    is_directory: bool = False
    names: dict[str, Node] = field(default_factory=dict)
    new_names: dict[str, Node] = field(default_factory=dict)

    def page(self, number: int) -> bytes:
        """Return a page as processes see it."""
        versions = self.versions.get(number)
        return versions[-1] if versions else self.durable.get(number, bytes(PAGE))


@dataclass(slots=True, eq=False)
class _Change:
    """Entries that change together: a node or None by directory and name."""

    entries: list[tuple[Node, str, Node | None]]


@dataclass(frozen=True, slots=True)
class _Begun:
    """What a sync covers: versions by page and the size of a file, changes of a directory."""

    versions: dict[int, int]
    size: int
    changes: list[_Change]


class Disk:
    """A directory at one place of its recording.

    Args:
        root: the recorded directory.
        inode: its inode.
        syncs: whether syncs are believed; without them nothing is ever durable, which is the control.
    """

    def __init__(self, root: str, inode: int, *, syncs: bool = True) -> None:
        self._root = PurePosixPath(root)
        self.top = Node(is_directory=True)
        self._nodes: dict[int, Node] = {inode: self.top}
        self._changes: list[_Change] = []
        self._begun: dict[int, _Begun] = {}
        self._syncs = syncs

    def apply(self, record: Record) -> None:
        """Do what was recorded."""
        match record.kind:
            case 2 | 3:
                self._sync(record)
            case 4 | 8:
                self._make(record)
            case 7:
                parent, name = self._place(record.path)
                node = parent.new_names[name]
                into, new = self._place(record.target)
                self._change([(parent, name, None), (into, new, node)])
            case 9:
                parent, name = self._place(record.path)
                self._change([(parent, name, None)])
            case 1:
                self._write(record)
            case 5 | 6:
                node = self._nodes[record.inode]
                node.new_size = record.offset if record.kind == TRUNCATED else max(node.new_size, record.offset)
                for page in [page for page in (*node.durable, *node.versions) if page * PAGE >= node.new_size]:
                    node.versions.setdefault(page, []).append(bytes(PAGE))

    def image(self, directory: Path, rng: random.Random, under_way: Record | None) -> str:
        """Write what a disk may hold to a new directory; return how it was chosen."""
        names, pages = rng.choice(("none", "all", "some", "first")), rng.choice(("none", "all", "some"))
        entries = self._entries(names, rng)
        torn = rng.random() < 0.3
        self._write_directory(directory, self.top, entries, _Choice(rng, pages, torn, self._partial(under_way)))
        return f"names {names}, pages {pages}{', torn' if torn else ''}"

    def _place(self, path: str) -> tuple[Node, str]:
        node = self.top
        *parents, name = PurePosixPath(path).relative_to(self._root).parts
        for part in parents:
            node = node.new_names[part]
        return node, name

    def _make(self, record: Record) -> None:
        node = self._nodes[record.inode] = Node(is_directory=record.kind == MADE)
        parent, name = self._place(record.path)
        self._change([(parent, name, node)])

    def _change(self, entries: list[tuple[Node, str, Node | None]]) -> None:
        self._changes.append(_Change(entries))
        for parent, name, node in entries:
            _set(parent.new_names, name, node)

    def _write(self, record: Record) -> None:
        node = self._nodes[record.inode]
        for page, content in _changed(node, record):
            if record.durable and self._syncs:
                node.durable[page] = content
                node.versions.pop(page, None)
                node.size = max(node.size, min(node.new_size, (page + 1) * PAGE))
            else:
                node.versions.setdefault(page, []).append(content)
        node.new_size = max(node.new_size, record.offset + len(record.data))
        if record.durable and self._syncs:
            node.size = max(node.size, record.offset + len(record.data))

    def _sync(self, record: Record) -> None:
        node = self._nodes[record.inode]
        if record.kind == SYNC_BEGUN:
            self._begun[record.offset] = _Begun(
                {page: len(versions) for page, versions in node.versions.items()},
                node.new_size,
                [change for change in self._changes if any(parent is node for parent, _, _ in change.entries)],
            )
            return
        begun = self._begun.pop(record.offset)
        if not self._syncs:
            return
        node.size = begun.size
        for page, count in begun.versions.items():
            versions = node.versions.get(page, [])[:count]
            if versions:
                node.durable[page] = versions[-1]
                node.versions[page] = node.versions[page][len(versions) :]
                if not node.versions[page]:
                    del node.versions[page]
        for change in begun.changes:
            if change in self._changes:
                self._changes.remove(change)
                for parent, name, child in change.entries:
                    _set(parent.names, name, child)

    def _entries(self, choice: str, rng: random.Random) -> dict[Node, dict[str, Node]]:
        """Return the entries of every directory that differ from the durable ones."""
        kept = self._changes
        if choice == "none":
            kept = []
        elif choice == "some":
            kept = [change for change in kept if rng.random() < 0.5]
        elif choice == "first":
            kept = kept[: rng.randint(0, len(kept))]
        entries: dict[Node, dict[str, Node]] = {}
        for change in kept:
            for parent, name, child in change.entries:
                _set(entries.setdefault(parent, dict(parent.names)), name, child)
        return entries

    def _partial(self, under_way: Record | None) -> tuple[Node, dict[int, bytes]] | None:
        if under_way is None or under_way.kind != WRITE:
            return None
        node = self._nodes[under_way.inode]
        return node, dict(_changed(node, under_way))

    def _write_directory(self, path: Path, node: Node, entries: dict[Node, dict[str, Node]], choice: _Choice) -> None:
        path.mkdir()
        for name, child in entries.get(node, node.names).items():
            if child.is_directory:
                self._write_directory(path / name, child, entries, choice)
            else:
                (path / name).write_bytes(choice.content(child))


@dataclass(frozen=True, slots=True)
class _Choice:
    """How the content of files is chosen."""

    rng: random.Random
    pages: str
    torn: bool
    partial: tuple[Node, dict[int, bytes]] | None

    def content(self, node: Node) -> bytes:
        """Return a possible content of a file."""
        size = {"none": node.size, "all": node.new_size}.get(self.pages, self.rng.choice((node.size, node.new_size)))
        chosen = dict(node.durable)
        waiting = dict(node.versions)
        if self.partial is not None and self.partial[0] is node:
            for page, content in self.partial[1].items():
                waiting[page] = [*waiting.get(page, []), content]
        for page, versions in waiting.items():
            before = node.durable.get(page, bytes(PAGE))
            content = self._version(before, versions)
            if self.torn and self.rng.random() < 0.2:
                content = _torn(self.rng, before, versions[-1])
            if content is not before:
                chosen[page] = content
                size = max(size, min((page + 1) * PAGE, node.new_size))
        made = bytearray(size)
        for page, data in chosen.items():
            start = page * PAGE
            if start < size:
                made[start : min(start + PAGE, size)] = data[: size - start]
        return bytes(made)

    def _version(self, before: bytes, versions: list[bytes]) -> bytes:
        if self.pages == "none":
            return before
        if self.pages == "all":
            return versions[-1]
        return self.rng.choice([before, *versions])


def _torn(rng: random.Random, before: bytes, after: bytes) -> bytes:
    return b"".join(rng.choice((before, after))[start : start + SECTOR] for start in range(0, PAGE, SECTOR))


def _changed(node: Node, record: Record) -> Iterator[tuple[int, bytes]]:
    """Yield number and new content of each page that a write touches."""
    end = record.offset + len(record.data)
    for page in range(record.offset // PAGE, (end + PAGE - 1) // PAGE):
        start = page * PAGE
        content = bytearray(node.page(page))
        first, last = max(start, record.offset), min(start + PAGE, end)
        content[first - start : last - start] = record.data[first - record.offset : last - record.offset]
        yield page, bytes(content)


def _set(names: dict[str, Node], name: str, node: Node | None) -> None:
    if node is None:
        names.pop(name, None)
    else:
        names[name] = node
