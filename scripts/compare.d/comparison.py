"""Runs rows with two builds, and compares the outputs of each row."""

from __future__ import annotations

import pathlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import outputs
from processes import Failure, Skip
from rows import Row

EQUAL, EXPECTED, DIFFERENT, SKIPPED, FAILED = (
    "equal",
    "expected change",
    "DIFFERENT",
    "skipped",
    "FAILED",
)


@dataclass(frozen=True)
class Side:
    """One side of a comparison: `make` fills a folder and returns it."""

    name: str
    make: Callable[[], pathlib.Path]


@dataclass(frozen=True)
class Verdict:
    """The result of a row."""

    row: Row
    state: str
    why: str

    def __str__(self) -> str:
        return f"{self.row.name:<28} {self.state} ({self.why})"


def compare(row: Row, first: Side, second: Side) -> Verdict:
    """Makes the outputs of a row twice and compares them."""
    try:
        old, new = sums(first), sums(second)
    except Skip as skip:
        return Verdict(row, SKIPPED, str(skip))
    except Failure as failure:
        return Verdict(row, FAILED, str(failure))
    if different := outputs.differences(old, new):
        return Verdict(row, DIFFERENT, outputs.shortened(different))
    return Verdict(row, EQUAL, f"{len(old)} file{'s' * (len(old) > 1)}")


def sums(side: Side) -> outputs.Sums:
    """The sums of one side. No file is a failure: otherwise two empty sides would be equal."""
    try:
        found = outputs.sums(side.make())
    except Failure as failure:
        raise Failure(f"{side.name}: {failure}") from failure
    if not found:
        raise Failure(f"{side.name} makes no file")
    return found


def judged(verdict: Verdict, why: str | None) -> Verdict:
    """The verdict for a row that may be listed as changed: then `why` is the reason."""
    if why is None or verdict.state in (SKIPPED, FAILED):
        return verdict
    if verdict.state == DIFFERENT:
        return Verdict(verdict.row, EXPECTED, f"{why}; {verdict.why}")
    return Verdict(
        verdict.row,
        EQUAL,
        f"{verdict.why}; but it is listed as changed, take it out of the list: {why}",
    )


def expected_changes(path: pathlib.Path, rows: Iterable[Row]) -> dict[str, str]:
    """Reads `row: why` lines."""
    if not path.is_file():
        raise Failure(f"there is no {path}")
    known = {row.name for row in rows}
    changes: dict[str, str] = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        name, colon, why = (part.strip() for part in line.partition(":"))
        if name not in known or not colon or not why:
            raise Failure(f"{path}, line {number}: write ROW: WHY, with a row that --list shows")
        changes[name] = why
    return changes


def exit_code(verdicts: list[Verdict]) -> int:
    """0 if rows were compared and only listed ones differ."""
    states = {verdict.state for verdict in verdicts}
    return int(bool(states & {DIFFERENT, FAILED}) or states <= {SKIPPED})


def summary(verdicts: list[Verdict], seconds: float) -> str:
    """One line about all rows."""
    count = Counter(verdict.state for verdict in verdicts)
    parts = [
        f"{count[state]} {state}"
        for state in (EQUAL, EXPECTED, DIFFERENT, FAILED, SKIPPED)
        if count[state]
    ]
    return f"{len(verdicts)} row{'s' * (len(verdicts) > 1)}: {', '.join(parts)}; {seconds:.0f} s"
