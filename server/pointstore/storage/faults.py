"""What failures of the operating system become, for LMDB and for our own files alike.

| errno | error | why |
|---|---|---|
| ENOSPC, EDQUOT | InsufficientStorageError | nothing was changed; works again once there is room |
| EIO, EROFS | ReadOnlyError | what the disk holds is unknown; see `storage/poison.py` |
| EMFILE, ENFILE, ENOMEM, EACCES, EPERM | UnavailableError | nothing was changed; the machine's business, may pass |
| others | StorageError | not expected |
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import lmdb

from pointstore.core.errors import (
    InsufficientStorageError,
    PointstoreError,
    ReadOnlyError,
    StorageError,
    UnavailableError,
)
from pointstore.storage.poison import MARKS

NO_SPACE_TEXT: Final = "No space left on device"

_FULL_BYTES: Final = 1 << 17
_NO_SPACE: Final = frozenset({errno.ENOSPC, errno.EDQUOT})
_IO_ERRORS: Final = frozenset({errno.EIO, errno.EROFS})
_PASSING: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EACCES, errno.EPERM})


def fault(error: lmdb.Error | OSError, path: Path) -> PointstoreError:
    """Return the error of ours for a failure at a path."""
    number = _errno_of(error)
    # LMDB calls a write that was cut short, as the last one before a disk is full, an I/O error.
    if number in _NO_SPACE or (number == errno.EIO and is_full(path)):
        return InsufficientStorageError(NO_SPACE_TEXT)
    text = f"{path}: {error}"
    if number in _IO_ERRORS:
        return ReadOnlyError(text)
    if number in _PASSING:
        return UnavailableError(text)
    return StorageError(text)


@contextmanager
def translated(path: Path, *, synced: Path | None = None) -> Iterator[None]:
    """Turn the OSErrors of a block into ours.

    Args:
        path: where the block works, for the text.
        synced: directory of the environment that an I/O error marks, when the block makes something of it durable.

    Raises:
        InsufficientStorageError: no space.
        UnavailableError: an I/O error, or one that may pass.
        StorageError: any other, but not one about a file that is missing or there: those are answers.
    """
    try:
        yield
    except (FileNotFoundError, FileExistsError, NotADirectoryError):
        raise
    except OSError as error:
        failure = fault(error, path)
        if isinstance(failure, ReadOnlyError):
            if synced is None:
                # No environment is in doubt, so writing goes on.
                raise UnavailableError(*failure.args) from error
            MARKS.add(synced)
        raise failure from error


@contextmanager
def space_errors(path: Path) -> Iterator[None]:
    """Turn the errors of a full disk, met in plain files at a path, into the one for the client.

    Raises:
        InsufficientStorageError: disk or quota full.
    """
    try:
        yield
    except OSError as error:
        if isinstance(fault(error, path), InsufficientStorageError):
            raise InsufficientStorageError(NO_SPACE_TEXT) from error
        raise


def is_full(path: Path) -> bool:
    """Tell whether the file system of a path has no room left to speak of; one that does not even answer has."""
    try:
        # What could not even be made is asked of the directory that was to hold it.
        disk = os.statvfs(next(place for place in (path, *path.absolute().parents) if place.exists()))
    except OSError:
        return False
    return disk.f_bavail * disk.f_frsize < _FULL_BYTES


def _errno_of(error: lmdb.Error | OSError) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    # The binding tells the number in the text only.
    text = str(error)
    return next((number for number in _NO_SPACE | _IO_ERRORS | _PASSING if os.strerror(number) in text), None)
