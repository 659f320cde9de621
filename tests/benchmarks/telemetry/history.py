"""A month of facts on its way in: at a tenth, at half and at the end the aggregates are made and brought up to date.

Prints what it measured as JSON: seconds, rows, statements and milliseconds by name.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from statistics import median

from django.db import connection, transaction
from rich.console import Console
from rich.progress import Progress

from catalog_experiments.aggregation import BundleAcceptanceAggregator
from catalog_experiments.models import GuardrailTally, Phase
from tests.benchmarks.telemetry import by_hand, loop, pages
from tests.benchmarks.telemetry.facts import Amount, Stretch, Writer
from tests.benchmarks.telemetry.shop import DAYS, Slot, month_before, open_shop, shelve_more

WHOLE = Amount(exposures=5_000_000, orders=1_000_000)
NEWS_SHARE = 0.001
FEW_DAYS, HALF_DAYS = DAYS // 10, DAYS // 2
REFRESHES = 3
LOOPED = (0, 7)
"""Experiments whose rows the plain loop sums: one with segments, one without."""

TALLY = ("variant_key", "outcome_hour_at", "n", "accepted")

PAGE_OF = 40
MORE_EXPERIMENTS = 150
AGGREGATES = """
SELECT string_agg(quote_ident(relname), ', ') FROM pg_class WHERE relkind IN ('r', 'p') AND relname = ANY(%s)"""
OWN_TABLES = [
    "catalog_bundle_acceptance_metrics",
    *(
        f"catalog_bundle_experiment_{name}"
        for name in (
            "cohorts",
            "cursors",
            "guardrail_tallies",
            "metrics",
            "moments",
            "open_units",
            "telemetry_hours",
        )
    ),
]


AGE = (
    "UPDATE catalog_bundle_exposures SET recorded_at = exposed_at WHERE recorded_at >= %s",
    "UPDATE catalog_checkout_orders SET recorded_at = placed_at, revised_at = placed_at WHERE revised_at >= %s",
)
"""A run looks again at what was recorded in its last minutes: news of an earlier turn must not be among them."""


def main(scale: str) -> None:
    """Run the month at a share of its whole size, and print what was measured."""
    json.dump(_Month(WHOLE.part(float(scale))).run(), sys.stdout)


class _Month:
    def __init__(self, amount: Amount) -> None:
        self._began_at = datetime.now(UTC)
        self._start_at = month_before(self._began_at)
        self._amount = amount
        self._slots: list[Slot] = []
        self.seen: dict[str, float] = {}

    def run(self) -> dict[str, float]:
        """Return what was measured, by name."""
        with transaction.atomic():
            self._slots = open_shop(self._start_at)
        self._writer = Writer(self._slots)
        self.seen["generating"] = 0.0
        with Progress(console=Console(stderr=True), transient=True) as progress:
            task = progress.add_task("a month of facts", total=DAYS)
            self._load(range(FEW_DAYS), lambda: progress.advance(task))
            self._at_a_tenth()
            self._load(range(FEW_DAYS, HALF_DAYS), lambda: progress.advance(task))
            self._at_half()
            self._load(range(HALF_DAYS, DAYS), lambda: progress.advance(task))
        self._at_the_end()
        return self.seen

    def _load(self, days: Sequence[int], tell: Callable[[], None]) -> None:
        started = time.perf_counter()
        for day in days:
            self._writer.write(Stretch(day, self._start_at + timedelta(days=day)), self._amount.part(1 / DAYS))
            tell()
        self.seen["generating"] += time.perf_counter() - started
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")

    # What is loaded was recorded long ago, so that a run takes it for counted: each time the aggregates begin anew.
    def _at_a_tenth(self) -> None:
        self._first_aggregation(FEW_DAYS)
        self.seen["page, a tenth"] = pages.experiment_page(PAGE_OF).milliseconds

    def _at_half(self) -> None:
        self.seen["first aggregation, half"] = self._first_aggregation(HALF_DAYS)
        self.seen["refresh, half"] = self._refresh(HALF_DAYS)

    def _at_the_end(self) -> None:
        self.seen["first aggregation"] = self._first_aggregation(DAYS)
        self._hold_against_by_hand()
        self._loop()
        self.seen["refresh, whole"] = self._refresh(DAYS)
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")
        self.seen["page, whole"] = pages.experiment_page(PAGE_OF).milliseconds
        self.seen["page, statements"] = pages.experiment_page(PAGE_OF).count
        self._control_center()

    def _first_aggregation(self, days: int) -> float:
        with connection.cursor() as cursor:
            cursor.execute(AGGREGATES, [OWN_TABLES])
            cursor.execute(f"TRUNCATE {cursor.fetchone()[0]}")
        return self._recompute(days)

    def _recompute(self, days: int) -> float:
        gc.collect()
        started = time.perf_counter()
        BundleAcceptanceAggregator().recompute(now=self._now(days))
        return time.perf_counter() - started

    def _now(self, days: int) -> datetime:
        # News comes in the first quarter of an hour after the whole days: telemetry is talking.
        return self._start_at + timedelta(days=days, minutes=16)

    def _refresh(self, days: int) -> float:
        """Return the median seconds to count a thousandth of a month: exposures of today, orders of this week."""
        seconds = []
        for turn in range(REFRESHES):
            self._age_news()
            at = self._start_at + timedelta(days=days, minutes=5 * turn)
            news = Stretch(days, at, timedelta(minutes=5), recorded_at=datetime.now(UTC))
            self._writer.write(news, self._amount.part(NEWS_SHARE))
            seconds.append(self._recompute(days))
        return median(seconds)

    def _age_news(self) -> None:
        """Take what was recorded since the run began for recorded as it happened: half an hour passed, as it were."""
        with connection.cursor() as cursor:
            for statement in AGE:
                cursor.execute(statement, [self._began_at])

    def _hold_against_by_hand(self) -> None:
        self.seen["by hand"], differing = by_hand.run(now=self._now(DAYS))
        for name, rows in differing.items():
            self.seen[f"differing {name}"] = len(rows)
            sys.stderr.writelines(f"{name}: {row}\n" for row in rows)

    def _loop(self) -> None:
        phases = Phase.objects.filter(experiment__slug__in=[f"experiment-{number}" for number in LOOPED])
        started = time.perf_counter()
        found = {phase: loop.sums_of(phase) for phase in phases}
        self.seen["loop"] = (time.perf_counter() - started) * len(self._slots) / len(LOOPED)
        for phase, (_, tallies) in found.items():
            rows = GuardrailTally.objects.filter(phase=phase, n__gt=0)
            kept = {(key, hour): [n, accepted] for key, hour, n, accepted in rows.values_list(*TALLY)}
            if kept != tallies:
                raise SystemExit(f"the loop tallies {phase} otherwise")

    def _control_center(self) -> None:
        self.seen["control center, 50"] = pages.control_center().count
        with transaction.atomic():
            shelve_more(MORE_EXPERIMENTS)
        self._recompute(DAYS)
        asked = pages.control_center()
        self.seen["control center, 200"], self.seen["control center, milliseconds"] = asked.count, asked.milliseconds
