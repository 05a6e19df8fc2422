"""One collection checked, and what of it can be made again made again. Runs in a process that may die of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from pydantic import ValidationError

from pointstore.core.errors import CorruptionError, StorageError, UnavailableError
from pointstore.core.fields import FieldIndexes
from pointstore.engine.backfill import fill
from pointstore.engine.check_fields import check_fields, part_of
from pointstore.engine.check_points import check_log, check_points, live_set
from pointstore.engine.check_vectors import check_segments, check_vectors
from pointstore.engine.findings import Finding, Kind
from pointstore.index import slots as slot_sets
from pointstore.storage.collection import ENVIRONMENT, SEGMENTS, CollectionStore
from pointstore.storage.env import Txn
from pointstore.storage.keys import POINTS_SPACE
from pointstore.storage.layout import QUARANTINE
from pointstore.storage.meta import FORMAT_VERSION, Head, advanced
from pointstore.storage.migration import migrate_collection
from pointstore.storage.segments import remove_orphans, repair_segment
from pointstore.storage.survey import Survey
from pointstore.storage.verify import format_at, segments_of_format_1, verify_collection


def survey_findings(survey: Survey) -> list[Finding]:
    """Return a line for each damage that a survey found."""
    found = [Finding(Kind.LOST, "store", text) for text in survey.damage]
    if survey.leaked:
        found.append(Finding(Kind.NOTE, "store", f"{survey.leaked} pages are neither used nor free"))
    return found


def verify(path: Path) -> tuple[list[Finding], int]:
    """Verify pages and checksums of the store; return the findings and the number of records."""
    marker = path / QUARANTINE
    found: list[Finding] = []
    if marker.exists():
        found.append(Finding(Kind.NOTE, "quarantine", f"the last start found: {marker.read_text(encoding='utf-8')}"))
    if not (path / ENVIRONMENT).is_dir():
        return [*found, Finding(Kind.LOST, "store", "is missing")], 0
    try:
        survey = verify_collection(path)
    except StorageError as error:
        return [*found, Finding(Kind.UNCHECKED, "store", str(error))], 0
    return found + survey_findings(survey), survey.records


def compare(path: Path, map_size: int) -> list[Finding]:
    """Compare everything with everything in a store whose pages and checksums are in order.

    Raises:
        UnavailableError, OSError: the machine refuses to read it.
    """
    if format_at(path) == 1:
        # Of ids and of codes of terms format 1 has no checksums; they can only be compared.
        text = f"has format 1: compared only after the next start or --repair has brought it to {FORMAT_VERSION}"
        return [*check_segments(path / SEGMENTS, segments_of_format_1(path)), Finding(Kind.UNCHECKED, "store", text)]
    try:
        store = CollectionStore(path, map_size, read_only=True)
    except UnavailableError:
        raise
    except StorageError as error:
        return [Finding(Kind.LOST, "store", str(error))]
    try:
        with store.read() as txn:
            return _compare(store, txn)
    finally:
        store.close()


def _compare(store: CollectionStore, txn: Txn) -> list[Finding]:
    findings: list[Finding] = []
    try:
        head, config, metas = store.meta.head(txn), store.meta.config(txn), store.meta.segments(txn)
        fields = store.meta.fields(txn)
        findings += check_segments(store.segments_dir, metas)
        findings += check_points(store, txn, head)
        findings += check_log(store, txn, head)
        findings += check_vectors(store, txn, config, metas)
        findings += check_fields(store, txn, fields)
    except (CorruptionError, ValidationError) as error:
        findings.append(Finding(Kind.LOST, "store", str(error)))
    return findings


def repair(path: Path, map_size: int) -> list[Finding]:
    """Make again what can be made from ground state: indexes, counters; remove what is left over.

    Only for a store whose pages and checksums are in order.
    """
    migrated = migrate_collection(path, map_size)
    done = [] if migrated is None else [Finding(Kind.REPAIRED, "store", f"brought from format {migrated}")]
    store = CollectionStore(path, map_size)
    try:
        with store.read() as txn:
            before = _compare(store, txn)
            metas, fields = store.meta.segments(txn), store.meta.fields(txn)
        removed = remove_orphans(store.segments_dir, {meta.uid for meta in metas})
        done += [Finding(Kind.REPAIRED, f"segment {name}", "was left over and is removed") for name in removed]
        lost = {finding.part for finding in before if finding.kind is Kind.LOST}
        for meta in metas:
            if f"segment {meta.uid}" not in lost and not repair_segment(store.segments_dir, meta):
                text = "the damaged index is removed, the optimizer builds it again"
                done.append(Finding(Kind.REPAIRED, f"segment {meta.uid}", text))
        damaged = {finding.part for finding in before if finding.kind is Kind.DERIVED}
        if not lost & {"ids", "points", "live sets"}:
            done += _repair_fields(store, fields, damaged)
            if "head" in damaged:
                done.append(_repair_head(store))
    finally:
        store.close()
    return done


def _repair_fields(store: CollectionStore, fields: FieldIndexes, damaged: set[str]) -> list[Finding]:
    done: list[Finding] = []
    known = {index.number for index in fields.indexes}
    with store.read() as txn:
        stray = store.fields.numbers(txn) - known
    for number in stray:
        with store.write() as txn:
            store.fields.drop(txn, number)
        done.append(Finding(Kind.REPAIRED, f"field index {number}", "was left over and is removed"))
    for index in fields.indexes:
        if part_of(index) not in damaged:
            continue
        with store.write() as txn:
            now = store.meta.fields(txn)
            emptied = tuple(replace(i, ready=i.ready and i.number != index.number) for i in now.indexes)
            store.fields.drop(txn, index.number)
            store.meta.put_fields(txn, replace(now, indexes=emptied))
            store.meta.put_head(txn, advanced(store.meta.head(txn), config=True))
        fill(store, index.number)
        done.append(Finding(Kind.REPAIRED, part_of(index), "is filled again from the payloads"))
    return done


def _repair_head(store: CollectionStore) -> Finding:
    with store.write() as txn:
        live = live_set(store, txn, POINTS_SPACE)
        used = slot_sets.to_slots(live)
        head: Head = store.meta.head(txn)
        counted = replace(
            head,
            points=slot_sets.popcount(live),
            next_slot=max(head.next_slot, int(used[-1]) + 1 if used.size else 0),
            log_bytes=store.log.size(txn),
        )
        store.meta.put_head(txn, advanced(counted))
        if used.size and int(used[0]) < store.meta.first_slot(txn):
            store.meta.put_first_slot(txn, int(used[0]))
    return Finding(Kind.REPAIRED, "head", "the counters are counted again")
