"""What a check is at, noted where it survives the process: damage that kills a checker is found by its death."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pointstore.core.errors import CorruptionError, StorageError
from pointstore.storage.layout import CHECKING

STEP_S = 120
"""Seconds that a step may take anyway; damage that keeps a process busy for ever ends with them."""
_BYTES_A_SECOND = 20 << 20


def ignore(_seconds: int) -> None:
    """Take no notice of limits."""


class Progress:
    """The steps of one process.

    Args:
        data_dir: holds the note.
        after: what ended the process before, None when there was none or it ended well.
        limit: is told the seconds that the next step may take, 0 at the end.

    Raises:
        StorageError: a process before was ended, but by nothing that it had begun.
    """

    def __init__(self, data_dir: Path, after: str | None, limit: Callable[[int], object]) -> None:
        self._note = data_dir / CHECKING
        self._limit = limit
        self._after = after
        self._fatal: str | None = None
        if after is not None:
            if not self._note.exists():
                msg = f"the check of {data_dir} ended with {after} outside of any collection"
                raise StorageError(msg)
            self._fatal = self._note.read_text(encoding="utf-8")

    def begin(self, step: str, directory: Path) -> None:
        """Note the next step, the check of a directory.

        Raises:
            CorruptionError: this step ended the process before.
        """
        if step == self._fatal:
            msg = f"checking {directory} ended the process with {self._after}"
            raise CorruptionError(msg)
        # On a full disk the check goes on without its note: a server must be able to start there.
        with suppress(OSError):
            self._note.write_text(step, encoding="utf-8")
        size = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
        self._limit(STEP_S + size // _BYTES_A_SECOND)

    def end(self) -> None:
        """Forget the last step."""
        self._limit(0)
        self._note.unlink(missing_ok=True)
