"""Count by the hour what became of reports that were not plainly stored: callers drop answers, operators ask later.

Comes after the batch is committed and may lose a count, never add one twice; whatever happens here, the batch stands.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import NamedTuple

from django.db import connection, transaction
from django.db.models import Max, Sum
from uuid_utils.compat import uuid7

from catalog_experiments.hours import hour_of
from catalog_experiments.intake.events import ItemResult
from catalog_experiments.models import IntakeKind, IntakeOutcome

logger = logging.getLogger(__name__)

PLAIN = frozenset({("accepted", ""), ("accepted", "held_out"), ("revised", "")})
"""Answers that the stored facts tell by themselves: the usual call counts nothing, and asks the database nothing."""

LOCK_MILLISECONDS = 250

# All processes count in the same few rows, so nobody may hold one for long: the commit does not wait for the disk, and
# whoever waits for a row gives up soon. Both hold for this one statement. Rows come in the order of their key, so that
# two batches lock alike.
ADD = """
WITH brisk AS MATERIALIZED (
    SELECT set_config('synchronous_commit', 'off', true), set_config('lock_timeout', %s, true)
)
INSERT INTO catalog_intake_outcomes AS kept (id, kind, hour_at, outcome, code, report_count)
SELECT new.id, %s, %s, new.outcome, new.code, new.report_count
FROM brisk, unnest(%s::uuid[], %s::text[], %s::text[], %s::bigint[]) AS new(id, outcome, code, report_count)
ON CONFLICT (hour_at, kind, outcome, code) DO UPDATE SET report_count = kept.report_count + excluded.report_count
"""

Answers = list[tuple[tuple[str, str], int]]
"""How often each (outcome, code) was answered, in their order."""


def note_answers(kind: IntakeKind, results: Iterable[ItemResult], *, now: datetime) -> None:
    """Count the answers of one call that are not plain, in the UTC hour of `now`, by one statement at most.

    Inside a transaction this waits for its commit. Never raises: a count that fails is logged, the first of a row of
    failures only.
    """
    told = Counter((result.outcome, result.code) for result in results if result.code or result.outcome != "accepted")
    answers: Answers = sorted((answer, count) for answer, count in told.items() if answer not in PLAIN)
    if not answers:
        return
    add = partial(_tally.add, kind, hour_of(now.astimezone(UTC)), answers)
    if connection.in_atomic_block:
        transaction.on_commit(add)
    else:
        add()


class Answered(NamedTuple):
    """How many reports of a kind got one answer, and the UTC hour in which one last did."""

    kind: str
    outcome: str
    code: str
    report_count: int
    last_hour_at: datetime


def answers_of_last_day(*, now: datetime) -> tuple[Answered, ...]:
    """Return what was answered, other than plainly, in the 24 whole hours before this one and so far in it."""
    since_at = hour_of(now.astimezone(UTC)) - timedelta(hours=24)
    keys = ("kind", "outcome", "code")
    rows = IntakeOutcome.objects.filter(hour_at__gte=since_at).order_by(*keys).values_list(*keys)
    return tuple(Answered(*row) for row in rows.annotate(Sum("report_count"), Max("hour_at")))


class _Tally:
    """Adds to the counts, and remembers whether it complained already."""

    def __init__(self) -> None:
        self._is_failing = False

    def add(self, kind: IntakeKind, hour_at: datetime, answers: Answers) -> None:
        try:
            _add(kind, hour_at, answers)
        except Exception:
            if not self._is_failing:
                logger.exception("answers to %s were not counted; the reports themselves stand", kind)
            self._is_failing = True
        else:
            self._is_failing = False


_tally = _Tally()


def _add(kind: IntakeKind, hour_at: datetime, answers: Answers) -> None:
    outcomes, codes = zip(*(answer for answer, _ in answers), strict=True)
    counts = [count for _, count in answers]
    sent = [[uuid7() for _ in answers], list(outcomes), list(codes), counts]
    with connection.cursor() as cursor:
        cursor.execute(ADD, [f"{LOCK_MILLISECONDS}ms", kind, hour_at, *sent])
