"""The check of a data directory that no server uses: everything in it verified and compared, a line a finding.

Whatever is read is read in another process, since damaged data can end the one that reads it: then that is the finding.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EIO
from pathlib import Path
from typing import ParamSpec, TypeVar

from pointstore.core.errors import CorruptionError, PointstoreError
from pointstore.engine import check_collection
from pointstore.engine.apart import Apart, DiedError
from pointstore.engine.findings import Finding, Kind, Report
from pointstore.engine.progress import DAMAGE
from pointstore.engine.recover import remove_unowned
from pointstore.storage.layout import CATALOG, COLLECTIONS
from pointstore.storage.verify import collections_in, verify_catalog

STEP_S = 24 * 3600.0
"""Seconds that one step may take; large collections are compared record by record."""

_P = ParamSpec("_P")
_R = TypeVar("_R")


def check(data_dir: Path, *, map_size: int, repair: bool = False) -> Report:
    """Check a data directory whose lock the caller holds.

    Args:
        data_dir: the directory.
        map_size: bound of one collection's store in bytes.
        repair: make again what can be made from ground state. Nothing is written otherwise.

    Raises:
        OSError: the directory cannot be read, or what no collection owns cannot be removed.
    """
    checker = _Checker(map_size, repair=repair)
    try:
        checker.run(data_dir)
    finally:
        checker.apart.close()
    return checker.report


class _Checker:
    def __init__(self, map_size: int, *, repair: bool) -> None:
        self.report = Report()
        self.apart = Apart(STEP_S)
        self._map_size = map_size
        self._repair = repair

    def run(self, data_dir: Path) -> None:
        root = data_dir / COLLECTIONS
        directories = {path.name for path in root.iterdir()} if root.is_dir() else set()
        found: list[Finding] = []
        names = self._tried(found, {}, _names, data_dir / CATALOG)
        self.report.add("", found)
        if found:
            # The names are lost or not to be had, what they name need not be.
            names = {f"in directory {uid}": uid for uid in directories}
        else:
            self.report.add("", [self._unowned(root / uid) for uid in sorted(directories - set(names.values()))])
        for name, uid in sorted(names.items()):
            self.report.add(name, self._collection(root / uid))

    def _collection(self, path: Path) -> list[Finding]:
        if not path.is_dir():
            return [Finding(Kind.LOST, "directory", f"{path} is missing")]
        found: list[Finding] = []
        verified, records = self._tried(found, ([], 0), check_collection.verify, path)
        found += verified
        self.report.records += records
        if any(finding.kind in {Kind.LOST, Kind.UNCHECKED} for finding in found):
            text = "compared no further, since its pages or records are damaged or could not be read"
            return [*found, Finding(Kind.NOTE, "store", text)]
        if self._repair:
            found += self._tried(found, [], check_collection.repair, path, self._map_size)
        return found + self._tried(found, [], check_collection.compare, path, self._map_size)

    def _unowned(self, path: Path) -> Finding:
        if not self._repair:
            return Finding(Kind.NOTE, f"directory {path.name}", "belongs to no collection, the next start removes it")
        remove_unowned(path)
        return Finding(Kind.REPAIRED, f"directory {path.name}", "belonged to no collection and is removed")

    def _tried(
        self, found: list[Finding], otherwise: _R, task: Callable[_P, _R], *args: _P.args, **kwargs: _P.kwargs
    ) -> _R:
        """Run a task in the other process; what ends it becomes a finding, and the result another one."""
        try:
            return self.apart.run(task, *args, **kwargs)
        except DiedError as error:
            found.append(Finding(_kind_of(error), "store", f"reading it ended the process: {error}"))
        except Exception as error:  # noqa: BLE001  whatever damage leads to
            found.append(Finding(_kind_of(error), "store", f"reading it failed: {error or type(error).__name__}"))
        return otherwise


def _kind_of(error: Exception) -> Kind:
    """Return whether an error tells of damage, or of a machine that refused to read."""
    match error:
        case DiedError():
            return Kind.LOST if error.signal in DAMAGE else Kind.UNCHECKED
        case CorruptionError():
            return Kind.LOST
        case OSError():
            return Kind.LOST if error.errno == EIO else Kind.UNCHECKED
        case MemoryError() | PointstoreError():
            return Kind.UNCHECKED
        case _:
            return Kind.LOST


def _names(path: Path) -> dict[str, str]:
    survey = verify_catalog(path)
    if survey.damage:
        raise CorruptionError("; ".join(survey.damage))
    return collections_in(path)
