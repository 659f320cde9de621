"""Retention: facts leave by phase and by age, sums stay, and whatever stops a run is made good by the next."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from io import StringIO
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import Sum
from django.utils import timezone
from psycopg import sql

from catalog_experiments import tasks
from catalog_experiments.aggregation import BundleAcceptanceAggregator, backfill
from catalog_experiments.intake import ExposureEvent, record_exposures
from catalog_experiments.models import (
    AggregationCursor,
    ErasedCohort,
    Experiment,
    ExperimentEvent,
    ExperimentStatus,
    Exposure,
    GuardrailTally,
    IntakeOutcome,
    JobRun,
    Order,
    OrderOutcome,
    Phase,
    PhaseOrigin,
)
from catalog_experiments.phases import ensure_exposure_partition
from catalog_experiments.privacy import Person, erase_unit
from catalog_experiments.retention import RetentionReport, RetentionRules, exposures, plan, retire, rules
from catalog_experiments.scheduling import RETENTION, lease
from tests.builders import NOON, make_bundle, make_running_experiment
from tests.catalog_experiments.buyers import add_buyers, add_visitors, phase_of
from tests.databases import url_of_test_database
from tests.environment import PROJECT

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
CLOSED = NOON + 10 * DAY
DUE = CLOSED + 91 * DAY
RULES = RetentionRules(exposure_days=90, order_days=396)
PARTITION = "catalog_bundle_exposures_2026_03"
SUMS = (
    "catalog_bundle_experiment_moments",
    "catalog_bundle_experiment_guardrail_tallies",
    "catalog_bundle_experiment_metrics",
    "catalog_bundle_experiment_cohorts",
)


@pytest.fixture
def concluded(transactional_db: None) -> Iterator[Experiment]:
    """Make an experiment that ran for ten days in March and was counted: sixty visitors, forty of them buyers."""
    drop_partition()
    ensure_exposure_partition(NOON.date())
    experiment = make_running_experiment()
    add_buyers(experiment, "control", 20, 4, at=NOON + DAY)
    add_buyers(experiment, "test", 20, 6, at=NOON + 2 * DAY)
    add_visitors(experiment, "test", 20, at=NOON + 3 * DAY)
    BundleAcceptanceAggregator().recompute(now=CLOSED)
    conclude(experiment)
    BundleAcceptanceAggregator().recompute(now=CLOSED + DAY)
    yield experiment
    drop_partition()


def drop_partition() -> None:
    """Drop the partition of the month, which another test may have left."""
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TABLE IF EXISTS {PARTITION}")


def conclude(experiment: Experiment, *, at: dt.datetime = CLOSED) -> None:
    Phase.objects.filter(pk=phase_of(experiment).pk).update(closed_at=at)
    Experiment.objects.filter(pk=experiment.pk).update(status=ExperimentStatus.COMPLETED, completed_at=at)


def run(*, now: dt.datetime = DUE, asked: RetentionRules = RULES) -> RetentionReport:
    return retire(rules=asked, now=now)


def dump(*tables: str) -> dict[str, list[tuple[Any, ...]]]:
    """Return the tables as texts, byte for byte, by key."""
    with connection.cursor() as cursor:
        rows = {}
        for table in tables:
            cursor.execute(sql.SQL("SELECT kept::text FROM {} AS kept ORDER BY 1").format(sql.Identifier(table)))
            rows[table] = cursor.fetchall()
        return rows


def dump_all() -> dict[str, list[tuple[Any, ...]]]:
    return dump(*connection.introspection.table_names())


def relation_exists(name: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_class WHERE relname LIKE %s", [f"{name}%"])
        return bool(cursor.fetchone()[0])


def size_of_exposures() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(pg_total_relation_size(relid)) FROM pg_partition_tree('catalog_bundle_exposures') WHERE isleaf"
        )
        return int(cursor.fetchone()[0])


def rows_written() -> int:
    """Return how many rows this connection's transaction has written so far."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_xact_all_tables")
        return int(cursor.fetchone()[0])


def forget_what_was_counted() -> None:
    """Make the next aggregation count every phase anew."""
    AggregationCursor.objects.all().delete()


def test_retire__phase_closed_for_long__its_partition_is_gone_and_its_bytes_are_free(concluded: Experiment) -> None:
    held = size_of_exposures()

    report = run()

    assert [(facts.rows, facts.partition, facts.is_whole) for facts in report.phases] == [(60, PARTITION, True)]
    assert not relation_exists(PARTITION)
    assert held - size_of_exposures() == report.phases[0].size_bytes > 0
    assert not Exposure.objects.exists()
    assert Phase.objects.get().facts_retired_at == DUE


def test_retire__leaves_every_sum_as_it_was__also_when_all_is_counted_anew(concluded: Experiment) -> None:
    before = dump(*SUMS)
    assert all(before.values())

    run()
    after = dump(*SUMS)
    forget_what_was_counted()
    BundleAcceptanceAggregator().recompute(now=DUE + DAY)

    assert after == before
    assert dump(*SUMS) == before
    assert not AggregationCursor.objects.filter(phase__isnull=False).exists()


def test_retire__counts_what_came_in_last_before_the_facts_go(concluded: Experiment) -> None:
    add_buyers(concluded, "test", 3, 3, at=NOON + 4 * DAY)
    before = GuardrailTally.objects.aggregate(n=Sum("n"), accepted=Sum("accepted"))

    report = run()

    after = GuardrailTally.objects.aggregate(n=Sum("n"), accepted=Sum("accepted"))
    assert report.exposures == 63
    assert (after["n"], after["accepted"]) == (before["n"] + 3, before["accepted"] + 3)


def test_retire__is_written_to_the_timeline(concluded: Experiment) -> None:
    run()

    event = ExperimentEvent.objects.get(action="retire_facts")
    assert (event.experiment_slug, event.actor) == (concluded.slug, "system:telemetry-retention")
    assert event.after == {"phase": 1, "facts_retired_at": DUE.isoformat()}


@pytest.mark.parametrize(
    ("now", "asked"),
    [
        (CLOSED + 90 * DAY - dt.timedelta(seconds=1), RULES),
        (CLOSED + 66 * DAY, RetentionRules(exposure_days=1, order_days=396)),
        (CLOSED + 9_999 * DAY, RetentionRules(exposure_days=0, order_days=0)),
    ],
    ids=["too young", "refunds may come", "kept for good"],
)
def test_retire__phase_that_is_not_due__loses_nothing(
    concluded: Experiment, now: dt.datetime, asked: RetentionRules
) -> None:
    report = run(now=now, asked=asked)

    assert (report.exposures, Exposure.objects.count()) == (0, 60)
    assert Phase.objects.get().facts_retired_at is None


def test_retire__open_or_seeded_phase__loses_nothing(concluded: Experiment) -> None:
    Phase.objects.update(closed_at=None)
    run()
    Phase.objects.update(closed_at=CLOSED, origin=PhaseOrigin.SEEDED)
    run()

    assert Exposure.objects.count() == 60
    assert relation_exists(PARTITION)


def test_retire__month_shared_with_an_open_phase__takes_rows_of_the_closed_one_alone(
    concluded: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "BATCH", 7)
    other = make_running_experiment(slug="still-running", name="Still running")
    add_visitors(other, "test", 5, at=NOON + DAY)

    report = run()

    assert [(facts.experiment, facts.rows, facts.is_whole) for facts in report.phases] == [(concluded.slug, 60, False)]
    assert set(Exposure.objects.values_list("experiment__slug", flat=True)) == {"still-running"}
    assert relation_exists(PARTITION)


def test_retire__partition_kept_by_another_phase__goes_with_the_last_one(concluded: Experiment) -> None:
    other = make_running_experiment(slug="still-running", name="Still running")
    add_visitors(other, "test", 5, at=NOON + DAY)
    run()
    conclude(other, at=CLOSED + 5 * DAY)

    report = run(now=DUE + 5 * DAY)

    assert [(facts.experiment, facts.rows, facts.is_whole) for facts in report.phases] == [("still-running", 5, True)]
    assert not relation_exists(PARTITION)


def test_retire__rows_in_the_default_partition__are_deleted(transactional_db: None) -> None:
    drop_partition()
    experiment = make_running_experiment()
    add_visitors(experiment, "test", 12, at=NOON + DAY)
    conclude(experiment)

    report = run()

    assert [(facts.partition, facts.rows) for facts in report.phases] == [("catalog_bundle_exposures_default", 12)]
    assert not Exposure.objects.exists()


def test_retire__partition_held_by_others__says_so_and_takes_it_next_time(
    concluded: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exposures, "TRIES", 2)
    monkeypatch.setattr(exposures, "PAUSE_SECONDS", 0.01)
    settings = connection.settings_dict
    with psycopg.connect(host=settings["HOST"], user=settings["USER"], dbname=settings["NAME"]) as reader:
        reader.execute("SELECT count(*) FROM catalog_bundle_exposures")
        held = run()
    taken = run(now=DUE + DAY)

    assert (held.busy, held.exposures) == ((PARTITION,), 0)
    assert (taken.busy, taken.exposures) == ((), 60)
    assert not relation_exists(PARTITION)


def test_retire__killed_between_two_batches__is_completed_by_the_next_run(concluded: Experiment) -> None:
    before = dump(*SUMS)
    other = make_running_experiment(slug="still-running", name="Still running")
    add_visitors(other, "test", 5, at=NOON + DAY)
    program = [sys.executable, "-m", "tests.catalog_experiments.programs.retire", DUE.isoformat(), "20"]

    killed = subprocess.run(
        program, cwd=PROJECT, env=os.environ | {"DATABASE_URL": url_of_test_database()}, check=False
    )
    left = Exposure.objects.filter(experiment=concluded).count()
    report = run()

    assert killed.returncode == -signal.SIGKILL
    assert (left, report.exposures) == (40, 40)
    assert Exposure.objects.filter(experiment=concluded).count() == 0
    assert Exposure.objects.filter(experiment=other).count() == 5
    assert dump(*SUMS) == before


def test_backfill__of_a_retired_phase__skips_it_and_says_so(concluded: Experiment) -> None:
    run()
    before = dump(*SUMS)

    result = backfill(lookback_days=365, now=DUE)

    assert (result.retired, result.created, result.changed, result.unchanged) == (1, 0, 0, 0)
    assert dump(*SUMS) == before


def test_backfill__under_way__holds_off_the_retirement(concluded: Experiment) -> None:
    marked_at: list[dt.datetime] = []

    def retire_at_once() -> None:
        run()
        marked_at.append(timezone.now())
        connection.close()

    with transaction.atomic():
        result = backfill(lookback_days=365, now=DUE)
        retiring = threading.Thread(target=retire_at_once)
        retiring.start()
        retiring.join(1)
        was_held_off = not marked_at
    retiring.join()

    assert (result.retired, was_held_off, len(marked_at)) == (0, True, 1)
    assert not Exposure.objects.exists()


def test_exposure__of_a_retired_phase__is_refused(concluded: Experiment) -> None:
    Phase.objects.update(origin=PhaseOrigin.IMPORTED)
    run()

    event = ExposureEvent(concluded.slug, "visitor-1", "test", NOON + DAY)
    (result,) = record_exposures([event], now=DUE, check_lateness=False)

    assert (result.outcome, result.code) == ("rejected", "retired")
    assert not Exposure.objects.exists()


def test_orders__past_their_age__leave_in_batches_with_their_outcomes(
    concluded: Experiment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "BATCH", 15)
    now = NOON + 396 * DAY + dt.timedelta(days=1, hours=1)

    report = run(now=now)

    assert (report.orders.orders, report.orders.outcomes, report.orders.held_back_by) == (20, 20, "")
    assert report.orders.size_bytes > 0
    assert (Order.objects.count(), OrderOutcome.objects.count()) == (20, 20)
    assert not Order.objects.filter(placed_at__lt=now - 396 * DAY).exists()


def test_orders__that_left__take_the_hours_of_bundle_acceptance_with_them(concluded: Experiment) -> None:
    hours = "catalog_bundle_acceptance_hours"
    run(now=NOON + 397 * DAY + HOUR)
    left = dump(hours)

    forget_what_was_counted()
    BundleAcceptanceAggregator().recompute(now=NOON + 398 * DAY)

    assert len(left[hours]) == 1
    assert dump(hours) == left


@pytest.mark.parametrize(("later", "hours_left", "days_left"), [(DAY, 1, 2), (2 * DAY, 0, 1)])
def test_orders__that_left__take_what_erased_units_had_added_to_their_hours(
    concluded: Experiment, later: dt.timedelta, hours_left: int, days_left: int
) -> None:
    hours = "catalog_bundle_acceptance_hours"
    units = list(Order.objects.order_by("placed_at").values_list("unit", flat=True))
    erase_unit(Person("of the sixty", tuple(unit for unit in (units[0], units[-1]) if unit), ()), actor="", now=DUE)
    BundleAcceptanceAggregator().recompute(now=DUE)
    counted = dump(hours)
    run(now=NOON + 396 * DAY + later + HOUR)
    left = dump(hours)

    forget_what_was_counted()
    BundleAcceptanceAggregator().recompute(now=NOON + 398 * DAY)

    assert (len(counted[hours]), len(left[hours])) == (2, hours_left)
    assert dump(hours) == left
    assert ErasedCohort.objects.filter(phase=None).count() == days_left


def test_orders__that_an_open_phase_counts__stay_however_old(concluded: Experiment) -> None:
    Phase.objects.update(closed_at=None)

    report = run(now=NOON + 900 * DAY)

    assert (report.orders.orders, Order.objects.count()) == (0, 40)
    assert report.orders.before_at == NOON - 28 * DAY
    assert report.orders.held_back_by == "cup-saucer phase 1"


def test_orders__kept_for_good__stay(concluded: Experiment) -> None:
    report = run(now=NOON + 900 * DAY, asked=RetentionRules(exposure_days=90, order_days=0))

    assert report.orders.before_at is None
    assert Order.objects.count() == 40


@pytest.mark.django_db
def test_answers__of_more_than_thirty_days_ago__leave() -> None:
    for days in (0, 30, 31):
        IntakeOutcome.objects.create(
            kind="orders", hour_at=NOON - days * DAY, outcome="duplicate", code="", report_count=1
        )

    run(now=NOON, asked=RetentionRules(exposure_days=0, order_days=0))

    assert {row.hour_at for row in IntakeOutcome.objects.all()} == {NOON, NOON - 30 * DAY}


@pytest.mark.django_db
def test_plan__writes_nothing_and_foretells_the_run() -> None:
    experiment = make_running_experiment()
    add_buyers(experiment, "test", 20, 6, at=NOON + DAY)
    conclude(experiment)
    now, before, written = NOON + 900 * DAY, dump_all(), rows_written()

    foretold = plan(rules=RULES, now=now)

    assert rows_written() == written
    assert dump_all() == before
    assert foretold == run(now=now)
    assert (foretold.exposures, foretold.orders.orders) == (20, 20)


def command(*arguments: str) -> str:
    output = StringIO()
    call_command("retire_telemetry", *arguments, stdout=output)
    return output.getvalue()


@pytest.fixture
def aged(db: None, monkeypatch: pytest.MonkeyPatch) -> Experiment:
    """Make a concluded experiment, and let the commands and jobs see a clock at which its facts are due."""
    drop_partition()
    experiment = make_running_experiment()
    add_buyers(experiment, "test", 20, 6, at=NOON + DAY)
    conclude(experiment)
    monkeypatch.setattr(timezone, "now", lambda: NOON + 900 * DAY)
    return experiment


def test_command__dry_run__prints_rows_and_bytes_by_phase_and_removes_nothing(aged: Experiment) -> None:
    output = command("--dry-run")

    assert "cup-saucer phase 1: 20 exposures, " in output
    assert "rows of catalog_bundle_exposures_default" in output
    assert "orders: 20 with 20 outcomes would be removed, " in output
    assert output.endswith("dry run, nothing removed\n")
    assert (Exposure.objects.count(), Order.objects.count(), JobRun.objects.count()) == (20, 20, 0)


def test_command__removes_and_notes_it_in_the_ledger(aged: Experiment) -> None:
    output = command()

    assert "exposures: 20 removed, " in output
    assert (Exposure.objects.count(), Order.objects.count()) == (0, 0)
    noted = JobRun.objects.get(job="telemetry-retention")
    assert (noted.outcome, noted.trigger) == ("done", "command")
    assert (noted.counts["exposures"], noted.counts["orders"], noted.counts["outcomes"]) == (20, 20, 20)


def test_command__while_the_nightly_job_runs__says_so(aged: Experiment) -> None:
    with lease("job:telemetry-retention"), pytest.raises(CommandError, match="already running"):
        command()

    assert Exposure.objects.count() == 20


def test_job__works_its_slot_once(aged: Experiment) -> None:
    first, second = tasks.run_retention(), tasks.run_retention()

    assert (first["processed"], first["exposures"], first["orders"]) == (1, 20, 20)
    assert second == {"processed": 0, "skipped": True, "reason": "nothing owed"}
    assert tasks.FUNCTIONS[RETENTION] is tasks.run_retention


def test_orders__of_no_experiment__leave_by_age_alone(db: None) -> None:
    make_bundle()
    experiment = make_running_experiment(now=NOON + 800 * DAY)
    add_buyers(experiment, "test", 3, 1, at=NOON)

    report = run(now=NOON + 900 * DAY)

    assert (report.orders.orders, report.orders.held_back_by) == (3, "")
