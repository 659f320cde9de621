"""Read a file of a finished experiment: one line a unit, with its variant, its outcome and perhaps its revenue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from catalog_experiments.csv_files import CsvFile, UnreadableFile, UnreadableLine, parse_amount, parse_time
from catalog_experiments.progress import Progress

TOLD_EVERY = 5_000
TRUTHS = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentFormat:
    """Which column holds what; blank `revenue_column` and `time_column` mean there is none.

    A blank `unit_column` makes each line a unit of its own. Outcomes are 1/0, true/false or yes/no. Revenue is in the
    currency's main unit, with `minor_digits` digits after the point.
    """

    unit_column: str = "unit"
    variant_column: str = "variant"
    outcome_column: str = "outcome"
    revenue_column: str = ""
    time_column: str = ""
    currency: str = "EUR"
    minor_digits: int = 2
    delimiter: str = ","

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns read: variant and outcome, then unit, revenue and time where there are any."""
        others = (self.unit_column, self.revenue_column, self.time_column)
        return (self.variant_column, self.outcome_column, *filter(None, others))


class UnitRow(NamedTuple):
    """One line of the file; `revenue_minor` is 0 without a revenue column, `exposed_at` None without a time."""

    line: int
    unit: str
    variant: str
    is_success: bool
    revenue_minor: int
    exposed_at: datetime | None


@dataclass(slots=True)
class Outline:
    """What a first reading of the file found."""

    variants: Counter[str] = field(default_factory=Counter)
    first_at: datetime | None = None
    last_at: datetime | None = None

    def take(self, row: UnitRow) -> None:
        """Count a line in."""
        self.variants[row.variant] += 1
        if row.exposed_at is not None:
            self.first_at = min(self.first_at or row.exposed_at, row.exposed_at)
            self.last_at = max(self.last_at or row.exposed_at, row.exposed_at)


def read_outline(path: Path, form: ExperimentFormat, tell: Progress) -> Outline:
    """Read the file once from end to end, which also finds every line that cannot be read.

    Raises:
        UnreadableFile: no such file, a missing column, or an unreadable line.
    """
    outline = Outline()
    for row in read_rows(path, form, "checking", tell):
        outline.take(row)
    return outline


def read_rows(path: Path, form: ExperimentFormat, stage: str, tell: Progress) -> Iterator[UnitRow]:
    """Yield the file's lines in order; `tell` hears of the stage every `TOLD_EVERY` lines and at the end.

    Raises:
        UnreadableFile: no such file, a missing column, or an unreadable line, which it names.
    """
    with CsvFile(path, form.columns, delimiter=form.delimiter) as table:
        for count, (line, values) in enumerate(table):
            if count % TOLD_EVERY == 0:
                tell(stage, *table.position())
            try:
                yield _row(line, values, form)
            except UnreadableLine as error:
                raise UnreadableFile(f"{path}, line {line}: {error}.") from error
        tell(stage, *table.position())


def _row(line: int, values: tuple[str, ...], form: ExperimentFormat) -> UnitRow:
    variant, outcome, *others = (value.strip() for value in values)
    unit = others.pop(0) if form.unit_column else f"line {line}"
    if not unit or not variant:
        raise UnreadableLine("it names no unit or no variant")
    if outcome.lower() not in TRUTHS:
        raise UnreadableLine(f"{outcome!r} is no outcome; write 1 or 0")
    is_success = TRUTHS[outcome.lower()]
    revenue = _revenue(others[0], form.minor_digits) if form.revenue_column else 0
    if revenue and not is_success:
        raise UnreadableLine("it has revenue and no outcome")
    return UnitRow(line, unit, variant, is_success, revenue, parse_time(others[-1]) if form.time_column else None)


def _revenue(text: str, minor_digits: int) -> int:
    amount = parse_amount(text or "0", minor_digits)
    if amount < 0:
        raise UnreadableLine(f"{text!r} is less than nothing")
    return amount
