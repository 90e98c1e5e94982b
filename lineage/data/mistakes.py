"""All that is wrong with a data set in one error: who mends files wants the whole list, not the first of it."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

SHOWN = 20  # mistakes in an error; the others are counted
EXAMPLES = 3  # places named in a warning
SKIP = "python -m lineage.convert FROM TO --skip-bad leaves such pictures and objects out"


class FormatError(ValueError):
    """Annotations that are not what their format says: a line a mistake, with file, entry, field and value."""

    def __init__(self, message: str, mistakes: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.mistakes = list(mistakes) or [message]  # each, however many the message names


class Mistakes:
    """Collects what is wrong while a data set is read.

    Args:
        source: what the user named. skip: pictures and objects with a mistake are left out, with a warning.
    """

    def __init__(self, source: Path | str, skip: bool = False) -> None:
        self.source, self.skip = source, skip
        self._fatal: list[str] = []
        self._skippable: list[str] = []
        self._remarks: dict[str, list[str]] = {}
        self._counts: Counter[str] = Counter()

    def add(self, message: str, skippable: bool = False) -> None:
        """A mistake: one sentence that begins with its file.

        Args:
            skippable: of one picture or object, without which the rest can still be read.
        """
        (self._skippable if skippable else self._fatal).append(message)

    @property
    def fatal(self) -> bool:
        """Whether there is a mistake that leaving something out does not mend."""
        return bool(self._fatal)

    def remark(self, kind: str, where: str) -> None:
        """What is taken as it is plainly meant: said once a ``kind`` of thing, with how often and the first places."""
        self._counts[kind] += 1
        places = self._remarks.setdefault(kind, [])
        if len(places) < EXAMPLES:
            places.append(where)

    def finish(self) -> None:
        """Warn of the remarks.

        Raises:
            FormatError: there are mistakes; names the first :data:`SHOWN` and the number of all.
        """
        found = self._fatal + ([] if self.skip else self._skippable)
        if found:
            hint = "" if self._fatal else f"\n({SKIP})"
            raise FormatError(_listed(self.source, found) + hint, found)
        if self._skippable:
            some = "; ".join(self._skippable[:EXAMPLES])
            warnings.warn(f"{self.source}: {len(self._skippable)} with mistakes are left out: {some}", stacklevel=2)
        for kind, places in self._remarks.items():
            count = self._counts[kind]
            more = ", ..." if count > len(places) else ""
            warnings.warn(f"{self.source}: {kind}: {count} ({', '.join(places)}{more})", stacklevel=2)


def _listed(source: Path | str, found: list[str]) -> str:
    if len(found) == 1:
        return found[0]
    lines = [f"{source}: {len(found)} mistakes" + (f", the first {SHOWN} of them:" if len(found) > SHOWN else ":")]
    return "\n  ".join([*lines, *found[:SHOWN]])
