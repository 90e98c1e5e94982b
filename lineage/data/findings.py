"""What is wrong with a data set, said once for every place that meets it: when it is read, checked or trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

ERROR, WARNING = "error", "warning"
LISTED = 20  # findings that an error message lists; `lineage.check` shows them all

# Kinds of error that may be meant as they are: `--accept KIND` makes warnings of them.
ACCEPTABLE = ("size differs", "annotated lying")


class Finding(NamedTuple):
    """One thing about one file. ``message`` is a whole sentence that names file, field and value."""

    kind: str  # a few words, the same for all findings alike
    severity: str  # ERROR: training stops; WARNING: it goes on
    file: str
    message: str


class VOCFormatError(ValueError):
    """A file that is not what VOC's layout says; the message names the file, the field and the value."""


class DatasetError(VOCFormatError):
    """Several such files; the message has a line for each of the first, and how many there are."""

    def __init__(self, findings: Sequence[Finding], advice: str = "") -> None:
        self.findings = list(findings)
        lines = [finding.message for finding in findings[:LISTED]]
        if len(findings) > LISTED:
            lines.append(f"... and {len(findings) - LISTED} more")
        super().__init__("\n".join([*lines, *([advice] if advice else [])]))


def errors_of(findings: Sequence[Finding]) -> list[Finding]:
    """Those that stop a training."""
    return [finding for finding in findings if finding.severity == ERROR]
