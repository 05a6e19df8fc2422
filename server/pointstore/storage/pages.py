"""Pages of an LMDB data file, read without LMDB: the meta pages, and what one page holds.

The format is that of LMDB 0.9 (data version 1): little-endian, 64-bit page numbers, keys compared as bytes except in
the tree of free pages, whose keys are numbers of transactions. `mdb.c` of the library is its only description. Nothing
here follows a number without a look at it, so damage ends in `DamagedPageError` and never in a crash, except on a disk
that fails under the mapped file.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from pointstore.storage.layout import INTERRUPTED

DATA_FILE: Final = "data.mdb"
BIG, SUBTREE = 1, 2
"""Flags of nodes: the value is in overflow pages; the value is a `Tree`."""

_MAGIC = struct.pack("<II", 0xBEEFC0DE, 1)
_BRANCH, _LEAF, _OVERFLOW, _META = 1, 2, 4, 8
_INTEGER_KEYS = 8
_EMPTY = 2**64 - 1
_PAGE = struct.Struct("<QHHHH")
_OVERFLOW_PAGE = struct.Struct("<QHHI")
_NODE = struct.Struct("<HHHH")
_TREE = struct.Struct("<IHHQQQQQ")
_META_PAGE = struct.Struct("<QHHI8s2Q48s48s2Q")
_U64 = struct.Struct("<Q")
_PAGE_SIZES: Final = tuple(1 << power for power in range(9, 17))


class DamagedPageError(Exception):
    """A page contradicts itself or its place; the text says how."""


class Tree(NamedTuple):
    """The record of one B+tree."""

    pad: int
    flags: int
    depth: int
    branches: int
    leaves: int
    overflows: int
    entries: int
    root: int

    @property
    def empty(self) -> bool:
        """Whether it has no page."""
        return self.root == _EMPTY


class Meta(NamedTuple):
    """A meta page: the roots of one snapshot."""

    free: Tree
    main: Tree
    last_page: int
    transaction: int


class Node(NamedTuple):
    """A key of a leaf page with its value, or the number of the page that the value begins in (flag `BIG`)."""

    key: bytes
    flags: int
    value: bytes
    size: int


def unpack_tree(record: bytes) -> Tree:
    """Return the tree that a record of the main tree describes.

    Raises:
        DamagedPageError: it describes none of the kind that we create.
    """
    if len(record) != _TREE.size:
        raise DamagedPageError("a record of a database has the wrong size")
    tree = Tree(*_TREE.unpack(record))
    if tree.pad or tree.flags:
        raise DamagedPageError("a record of a database has unknown flags")
    return tree


def unpack_free(key: bytes, value: bytes) -> tuple[int, tuple[int, ...]]:
    """Return a transaction and the pages that it freed.

    Raises:
        DamagedPageError: the record's size is not that of its content.
    """
    count = _U64.unpack_from(value)[0] if len(value) >= _U64.size else _EMPTY
    # Room for more is legal: the record is written before its content is known.
    if len(key) != _U64.size or _U64.size * (count + 1) > len(value):
        raise DamagedPageError("a record of free pages has the wrong size")
    return _U64.unpack(key)[0], struct.unpack_from(f"<{count}Q", value, _U64.size)


class PageFile:
    """The data file of an environment.

    Args:
        directory: of the environment.

    Raises:
        DamagedPageError: there is no file, or it is not one of an environment.
        OSError: it cannot be read.

    Attributes:
        interrupted: the last commit failed at its meta page, which holds a bit of both.
    """

    def __init__(self, directory: Path) -> None:
        self.interrupted = (directory / INTERRUPTED).exists()
        try:
            with (directory / DATA_FILE).open("rb") as file:
                self._content = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError, ValueError) as error:
            msg = f"{DATA_FILE} is missing or empty"
            raise DamagedPageError(msg) from error
        # The second meta page lies one page behind the first and both name the size.
        sizes = [size for size in _PAGE_SIZES if self._content[size + 16 : size + 24] == _MAGIC]
        if not sizes or len(self._content) < 2 * sizes[0]:
            raise DamagedPageError("the meta pages are not those of an environment")
        self.page_size = sizes[0]
        self.pages = len(self._content) // self.page_size

    def close(self) -> None:
        """Unmap the file."""
        self._content.close()

    def meta(self, number: int) -> Meta:
        """Return one of the two meta pages.

        Raises:
            DamagedPageError: it is no meta page, or has other flags than ours.
        """
        page, _, flags, _, magic, _, _, raw_free, raw_main, last_page, transaction = _META_PAGE.unpack_from(
            self._content, number * self.page_size
        )
        free, main = Tree(*_TREE.unpack(raw_free)), Tree(*_TREE.unpack(raw_main))
        known = (page, flags, magic) == (number, _META, _MAGIC)
        if not known or (free.pad, free.flags, main.pad, main.flags) != (self.page_size, _INTEGER_KEYS, 0, 0):
            msg = f"meta page {number} is damaged"
            raise DamagedPageError(msg)
        return Meta(free, main, last_page, transaction)

    def page(self, number: int, *, leaf: bool) -> bytes:
        """Return a page of a tree, a leaf or a branch.

        Raises:
            DamagedPageError: it is another page or of another kind, or its bounds are impossible.
        """
        start = number * self.page_size
        page = self._content[start : start + self.page_size]
        found, _, flags, lower, upper = _PAGE.unpack_from(page)
        if found != number or flags != (_LEAF if leaf else _BRANCH):
            msg = f"page {number} is another one or of another kind"
            raise DamagedPageError(msg)
        if not _PAGE.size < lower <= upper <= self.page_size or lower % 2:
            msg = f"page {number} has impossible bounds"
            raise DamagedPageError(msg)
        return page

    def leaf_nodes(self, page: bytes) -> Iterator[Node]:
        """Yield the nodes of a leaf page.

        Raises:
            DamagedPageError: they do not fill the page's used part exactly.
        """
        places, upper = _places(page)
        used = 0
        for place in places:
            low, high, flags, key_size = _node(page, place, upper)
            size = low | high << 16
            start = place + _NODE.size + key_size
            stop = start + (_U64.size if flags & BIG else size)
            used += stop - place + (stop - place) % 2
            if stop > len(page):
                raise DamagedPageError("a value reaches beyond its page")
            yield Node(page[place + _NODE.size : start], flags, page[start:stop], size)
        if used != len(page) - upper:
            raise DamagedPageError("the nodes of a page do not fill it")

    def branch_nodes(self, page: bytes) -> list[tuple[bytes, int]]:
        """Return the separators and page numbers of a branch page; the first separator is empty.

        Raises:
            DamagedPageError: they do not fill the page's used part exactly.
        """
        places, upper = _places(page)
        used = 0
        found: list[tuple[bytes, int]] = []
        for place in places:
            low, high, top, key_size = _node(page, place, upper)
            stop = place + _NODE.size + key_size
            used += stop - place + key_size % 2
            if stop > len(page):
                raise DamagedPageError("a separator reaches beyond its page")
            found.append((page[place + _NODE.size : stop], low | high << 16 | top << 32))
        if used != len(page) - upper:
            raise DamagedPageError("the nodes of a page do not fill it")
        return found

    def overflow_pages(self, size: int) -> int:
        """Return how many pages a value of that size takes outside of leaves."""
        return (_PAGE.size + size - 1) // self.page_size + 1

    def overflow(self, number: int, size: int) -> bytes:
        """Return a value that is stored in pages of its own.

        Raises:
            DamagedPageError: its pages are none for a value of that size.
        """
        start = number * self.page_size
        found, _, flags, count = _OVERFLOW_PAGE.unpack_from(self._content, start)
        if (found, flags, count) != (number, _OVERFLOW, self.overflow_pages(size)):
            msg = f"page {number} is not the first of a value of {size} bytes"
            raise DamagedPageError(msg)
        return self._content[start + _PAGE.size : start + _PAGE.size + size]


def _places(page: bytes) -> tuple[tuple[int, ...], int]:
    _, _, _, lower, upper = _PAGE.unpack_from(page)
    return struct.unpack_from(f"<{(lower - _PAGE.size) // 2}H", page, _PAGE.size), upper


def _node(page: bytes, place: int, upper: int) -> tuple[int, int, int, int]:
    if not upper <= place <= len(page) - _NODE.size:
        raise DamagedPageError("a node lies outside of its page")
    low, high, flags, key_size = _NODE.unpack_from(page, place)
    return low, high, flags, key_size
