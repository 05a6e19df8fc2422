"""What a check of a data directory finds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """What a finding means for the data."""

    LOST = "lost"
    """Ground state is damaged; it can only come back from a backup or a snapshot."""
    DERIVED = "derived"
    """Something that can be made again from ground state is damaged or left over: `--repair` does it."""
    REPAIRED = "repaired"
    """It was made again."""
    UNCHECKED = "unchecked"
    """It could not be checked, for a reason that tells nothing of the data."""
    NOTE = "note"
    """Worth knowing, no damage."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a report.

    Attributes:
        kind: what it means.
        part: what of the collection it is about.
        text: one line.
    """

    kind: Kind
    part: str
    text: str


@dataclass(slots=True)
class Report:
    """The findings of a whole data directory.

    Attributes:
        findings: by the name of a collection; "" for the catalog and the directory itself.
        records: number of records that were verified.
    """

    findings: dict[str, list[Finding]] = field(default_factory=dict)
    records: int = 0

    @property
    def clean(self) -> bool:
        """Whether all was checked and nothing is damaged, or nothing any more."""
        return self._kinds() <= {Kind.REPAIRED, Kind.NOTE}

    @property
    def damaged(self) -> bool:
        """Whether anything is damaged."""
        return not self._kinds().isdisjoint({Kind.LOST, Kind.DERIVED})

    def _kinds(self) -> set[Kind]:
        return {finding.kind for found in self.findings.values() for finding in found}

    def add(self, collection: str, findings: Iterable[Finding]) -> None:
        """Put findings into the report; a collection without any is in it, too."""
        self.findings.setdefault(collection, []).extend(findings)

    def lines(self) -> list[str]:
        """Return the report for people, one line a finding."""
        found: list[str] = []
        for collection, findings in self.findings.items():
            name = f"collection {collection}" if collection else "catalog"
            found.append(f"{name}: {_verdict(findings)}")
            found += [f"  {finding.kind:9} {finding.part}: {finding.text}" for finding in findings]
        verdict = "DAMAGED" if self.damaged else "no damage" if self.clean else "no damage found, NOT ALL IS CHECKED"
        found.append(f"{self.records} records verified, {verdict}")
        return found

    def as_json(self) -> dict[str, object]:
        """Return the report for programs."""
        return {
            "clean": self.clean,
            "records": self.records,
            "catalog": [asdict(finding) for finding in self.findings.get("", [])],
            "collections": {
                name: [asdict(finding) for finding in found] for name, found in self.findings.items() if name
            },
        }


def _verdict(findings: list[Finding]) -> str:
    kinds = {finding.kind for finding in findings}
    if Kind.LOST in kinds:
        return "DAMAGED"
    if Kind.DERIVED in kinds:
        return "damaged, --repair can mend it"
    if Kind.UNCHECKED in kinds:
        return "NOT CHECKED"
    return "repaired" if Kind.REPAIRED in kinds else "clean"
