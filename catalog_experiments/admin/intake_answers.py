"""What became of the reports of the last day that were not plainly stored: in plain words, with what to do."""

import datetime as dt
from dataclasses import dataclass
from typing import NamedTuple

from catalog_experiments.intake import Answered, answers_of_last_day
from catalog_experiments.models import IntakeKind


class Meaning(NamedTuple):
    """What an answer says, what to do about it, and whether that is nothing: it is as it should be."""

    words: str
    remedy: str
    is_good: bool = False


DUPLICATE = Meaning("Known already", "Nothing: reports may come twice, and count once.", is_good=True)
UNKNOWN = Meaning("Refused", "The item's answer says which rule it broke; correct the sender.")
UNREADABLE = "The sender's form is wrong: nothing of the item is stored. Compare it with the API description."
ONLY_FIRST = "The first report stands. Find out which sender gives one id to two things, or changes what it sent."

MEANINGS: dict[str, Meaning] = {
    # Of orders.
    "content_differs": Meaning("Another content under a known order", ONLY_FIRST),
    "bundle_unknown": Meaning("Stored; a bundle it names does not exist", "Correct the name, or create the bundle."),
    "lines_missing": Meaning("Refused: an order without lines", "Send the lines, or the bundles it took."),
    "currency_invalid": Meaning("Refused: the currency is none", "Send three capital letters, such as EUR."),
    # Of aliases.
    "visitor_taken": Meaning("The visitor is another customer's already", ONLY_FIRST),
    "kind_of_id": Meaning("One id as a visitor's and as a customer's", ONLY_FIRST),
    "same_id": Meaning("Refused: visitor and customer are one id", "Send aliases only where the two ids differ."),
    # Of exposures.
    "client_fault": Meaning(
        "Stored, not counted: another variant was shown than the computed one",
        "The client decides by an old document or by its own rule; correct it, else verdicts wait.",
    ),
    "experiment_unknown": Meaning("Refused: no such experiment", "Correct the slug where the page reports it."),
    "phase_unknown": Meaning("Refused: no such phase", "Report the phase that the decision named, or none."),
    "variant_unknown": Meaning("Refused: no such variant", "Report the variant's key as the decision named it."),
    "not_running": Meaning(
        "Refused: the experiment served nothing then", "Report only what was decided; then check the sender's clock."
    ),
    "not_enrolled": Meaning(
        "Refused: the visitor is outside the experiment", "Report only visitors whose decision says SPLIT."
    ),
    "not_control": Meaning("Refused: held out, yet not the control", "Show the control to visitors held out."),
    "hash_attribute": Meaning("Refused: hashed by another attribute", "Let the SDK hash by the attribute id."),
    "forced_unit": Meaning("Left out: forced for QA", "Nothing: they never count.", is_good=True),
    "not_an_exposure": Meaning("Left out: another event", "Nothing: only exposures are taken.", is_good=True),
    "retired": Meaning("Refused: the phase's exposures have left", "Nothing: its numbers stand.", is_good=True),
    # Of all of them.
    "excluded": Meaning(
        "Stored, not counted: bots, staff or tests", "Nothing: they are left out by rule.", is_good=True
    ),
    "erased": Meaning("Refused: the person was erased", "Nothing: that is what erasing means.", is_good=True),
    "clamped": Meaning("Stored; its time lay ahead of our clock", "Set the sender's clock by NTP."),
    "future": Meaning("Refused: more than 5 minutes ahead of our clock", "Set the sender's clock by NTP."),
    "too_late": Meaning(
        "Refused: more than 30 days old", "Orders: import_orders takes them. Exposures: find out what held them up."
    ),
    "not_storable": Meaning("Refused by the database", "A fault of ours: please report it with the item."),
    "unknown_field": Meaning("Refused: a field that does not exist", UNREADABLE),
    "required": Meaning("Refused: a field is missing", UNREADABLE),
    "invalid": Meaning("Refused: a field cannot be read", UNREADABLE),
}


@dataclass(frozen=True, slots=True)
class AnswerRow:
    """One line of the table: the kind of report, how many, and in which UTC hour the last of them came."""

    kind: str
    meaning: Meaning
    code: str
    count: int
    last_hour_at: dt.datetime


@dataclass(frozen=True, slots=True)
class AnswerTable:
    """The lines, those with something to do first, and how many reports those are."""

    rows: tuple[AnswerRow, ...]

    @property
    def open_count(self) -> int:
        """Return how many reports somebody should look into."""
        return sum(row.count for row in self.rows if not row.meaning.is_good)


def answer_table(*, now: dt.datetime) -> AnswerTable:
    """Read what the last day answered, other than plainly, in one query."""
    rows = (
        AnswerRow(
            IntakeKind(told.kind).label,
            meaning_of(told),
            told.code or told.outcome,
            told.report_count,
            told.last_hour_at,
        )
        for told in answers_of_last_day(now=now)
    )
    return AnswerTable(tuple(sorted(rows, key=lambda row: (row.meaning.is_good, -row.count, row.kind, row.code))))


def meaning_of(told: Answered) -> Meaning:
    """Return what an answer means; the field's name stands in the code where a field cannot be read."""
    if told.outcome == "duplicate":
        return DUPLICATE
    if told.code in MEANINGS:
        return MEANINGS[told.code]
    field, is_field, _ = told.code.rpartition("_invalid")
    return Meaning(f"Refused: {field} cannot be read", UNREADABLE) if is_field else UNKNOWN
