"""File systems of a test's own: small ones that can be filled, and ones whose power can be cut."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
import subprocess
import time
from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

EXT4_IOC_SHUTDOWN: Final = 0x8004587D
NO_LOG_FLUSH: Final = 2
_UNMOUNT_S: Final = 30.0


class FileSystem:
    """A mounted file system.

    Args:
        place: the directory that it is mounted on; the image file is beside it.
        kind: "ext4", in a loop-mounted file, or "tmpfs".
        megabytes: its size.
    """

    def __init__(self, place: Path, kind: str, megabytes: int) -> None:
        self.place = place
        self.kind = kind
        self._image = place.with_name(place.name + ".img")
        self._size = f"{megabytes}M"
        place.mkdir()
        if kind == "ext4":
            with self._image.open("wb") as image:
                image.truncate(megabytes << 20)
            _run("mkfs.ext4", "-q", "-F", str(self._image))

    def mount(self) -> None:
        """Mount it."""
        if self.kind == "ext4":
            _run("mount", "-o", "loop", str(self._image), str(self.place))
        else:
            _run("mount", "-t", "tmpfs", "-o", f"size={self._size}", "tmpfs", str(self.place))

    def remount(self, how: str) -> None:
        """Mount it again, read-only (`ro`) or writable (`rw`)."""
        _run("mount", "-o", f"remount,{how}", str(self.place))

    def unmount(self) -> None:
        """Unmount it once nobody uses it any more."""
        deadline = time.monotonic() + _UNMOUNT_S
        while True:
            try:
                _run("umount", str(self.place))
            except subprocess.CalledProcessError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    def cut_power(self) -> None:
        """Lose everything that is not on the disk, the journal's tail too; every later call is an I/O error."""
        descriptor = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, EXT4_IOC_SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(descriptor)


@contextlib.contextmanager
def mounted(place: Path, kind: str, megabytes: int) -> Iterator[FileSystem]:
    """Make and mount a file system; skip the test on a machine that does not allow it."""
    if os.geteuid() != 0:
        pytest.skip("mounting file systems needs root")
    try:
        made = FileSystem(place, kind, megabytes)
        made.mount()
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this machine mounts no {kind} of ours: {error}")
    try:
        yield made
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):
            subprocess.run(["umount", "-l", str(place)], check=True, capture_output=True)  # noqa: S607


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True)
