"""The youngest days by the hour of the exposure: they add up to their days, move with the facts, and leave in time."""

import datetime as dt
import importlib
import random
from typing import Any

import pytest
from django.db import connection
from django.db.models import F

from catalog_experiments.aggregation import BundleAcceptanceAggregator, cursors, refresh_tallies
from catalog_experiments.models import (
    AggregationCursor,
    Cohort,
    ErasedCohort,
    Experiment,
    Moment,
    OpenUnit,
    Phase,
    PhaseOrigin,
)
from catalog_experiments.privacy import erase_unit, find_person
from tests.builders import NOON, make_running_experiment
from tests.catalog_experiments.aggregation.reference import reference_moments
from tests.catalog_experiments.aggregation.test_refresh import (
    apply,
    everything,
    long_stream,
    make_measured_phase,
    moments,
)
from tests.catalog_experiments.aggregation.test_runs import DAY, HOUR, buy, expose, make_measured

pytestmark = pytest.mark.django_db

MIGRATION = importlib.import_module("catalog_experiments.migrations.0030_count_hours_of_drops")
DROP = {"max_drop_vs_control": 0.1}
LATER = NOON + 2 * DAY
"""When the first day is told by the hour, for the last time."""
COUNTS_AND_SUMS = tuple(
    field.name
    for field in Cohort._meta.fields
    if field.name not in ("id", "phase", "variant_key", "cohort_date", "segment", "currency")
)


@pytest.fixture(autouse=True)
def no_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a run look at nothing but news: the overlap would count these young facts every time."""
    monkeypatch.setattr(cursors, "OVERLAP", dt.timedelta(0))


def hours(model: type[Any]) -> Any:
    return model.objects.filter(segment__startswith="hour:")


def harm_by_hour(key: str = "test") -> dict[str, tuple[int, int]]:
    """Return n and buyers of the variant by hour."""
    rows = Moment.objects.filter(variant_key=key, metric="harm", segment__startswith="hour:")
    return {segment.removeprefix("hour:"): (n, int(total)) for segment, n, total in rows.values_list(
        "segment", "n", "total"
    )}  # fmt: skip


def count(now: dt.datetime) -> None:
    BundleAcceptanceAggregator().recompute(now=now)


def differences(now: dt.datetime) -> int:
    return BundleAcceptanceAggregator().verify(now=now).corrected


def make_judged() -> Experiment:
    """Make an experiment with a bound on the drop, two visitors at noon and one at 15:20."""
    experiment = make_measured(guardrail_config=DROP)
    expose(experiment, "test", "t1", "t2")
    expose(experiment, "test", "t3", at=NOON + dt.timedelta(hours=3, minutes=20))
    buy("t1")
    return experiment


def run_sql(statements: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statements)


def assert_hours_add_up(since: dt.date) -> None:
    """Hold every column of each young day against the sums over its hours, and find hours of no other day."""
    days: dict[Any, list[int]] = {}
    added: dict[Any, list[int]] = {}
    rows = Cohort.objects.filter(currency="").values_list("variant_key", "cohort_date", "segment", *COUNTS_AND_SUMS)
    for key, day, segment, *numbers in rows:
        if segment == "" and day >= since:
            days[key, day] = [int(number) for number in numbers]
        elif segment.startswith("hour:"):
            known = added.setdefault((key, day), [0] * len(numbers))
            added[key, day] = [one + int(other) for one, other in zip(known, numbers, strict=True)]
    assert added == days


def test_hours__of_a_phase_that_judges_a_drop__hold_its_young_units() -> None:
    make_judged()

    count(LATER)

    assert harm_by_hour() == {"12": (2, 1), "15": (1, 0)}
    assert set(hours(Moment).values_list("metric", flat=True)) == {"harm", "harm_take_rate", "harm_revenue"}
    assert_hours_add_up(NOON.date())


def test_hours__of_a_phase_without_that_bound__are_not_told() -> None:
    experiment = make_measured(guardrail_config={"min_acceptance_rate": 0.1})
    expose(experiment, "test", "t1")
    buy("t1")

    count(LATER)

    assert Cohort.objects.exists()
    assert not hours(Cohort).exists()
    assert not hours(Moment).exists()
    assert OpenUnit.objects.get().cohort_hour is None


def test_hour__when_an_order_comes_late_and_is_cancelled__moves_with_it() -> None:
    make_judged()
    count(LATER)

    buy("t3", at=NOON + 4 * HOUR)
    count(LATER)
    bought = harm_by_hour()
    buy("t3", at=NOON + 4 * HOUR, status="cancelled", cancelled_at=NOON + 5 * HOUR)
    count(LATER)

    assert bought == {"12": (2, 1), "15": (1, 1)}
    assert harm_by_hour() == {"12": (2, 1), "15": (1, 0)}
    assert differences(LATER) == 0


def test_hour__when_an_earlier_exposure_is_reported__is_that_of_the_earlier_one() -> None:
    experiment = make_judged()
    buy("t3", at=NOON + 4 * HOUR)
    count(LATER)

    expose(experiment, "test", "t3", at=NOON + HOUR)
    count(LATER)

    assert harm_by_hour() == {"12": (2, 1), "13": (1, 1)}
    assert differences(LATER) == 0


@pytest.mark.parametrize("news", [False, True], ids=["quiet", "with-news"])
def test_hours__when_their_day_is_due_as_a_whole__leave_with_nothing_wrong(news: bool) -> None:
    make_judged()
    count(LATER)

    if news:
        buy("t2", at=NOON + 6 * HOUR)
    count(LATER + DAY)

    assert not hours(Cohort).exists()
    assert not hours(Moment).exists()
    assert int(Moment.objects.get(variant_key="test", metric="harm").total) == 1 + news
    assert differences(LATER + DAY) == 0


def test_hours__of_a_day_that_stays_open_without_them__take_news_without_a_trace() -> None:
    experiment = make_judged()
    count(LATER + DAY)

    buy("t1", at=NOON + 5 * HOUR, took=False)
    refresh_tallies([experiment.pk], now=LATER + DAY)

    assert OpenUnit.objects.get(variant_key="test").cohort_hour == 12
    assert not hours(Cohort).exists()
    assert differences(LATER + DAY) == 0


def test_hours__that_are_wrong__are_found_and_put_right() -> None:
    make_judged()
    count(LATER)
    hours(Cohort).filter(segment="hour:15").delete()
    hours(Moment).filter(metric="harm").update(n=F("n") + 1)

    assert differences(LATER) > 0
    assert harm_by_hour() == {"12": (2, 1), "15": (1, 0)}
    assert differences(LATER) == 0


class TestMigration:
    """Phases counted before there were hours."""

    def test_forwards__lets_their_next_run_tell_the_hours(self) -> None:
        make_judged()
        count(LATER)
        hours(Cohort).delete()
        hours(Moment).delete()
        OpenUnit.objects.update(cohort_hour=None)

        run_sql(MIGRATION.COUNT_ANEW)
        count(LATER)

        assert harm_by_hour() == {"12": (2, 1), "15": (1, 0)}
        assert_hours_add_up(NOON.date())
        assert differences(LATER) == 0

    def test_forwards__leaves_phases_without_a_drop_as_they_are(self) -> None:
        make_measured(guardrail_config={"min_acceptance_rate": 0.1})
        count(LATER)

        run_sql(MIGRATION.COUNT_ANEW)

        assert not AggregationCursor.objects.filter(recorded_to=None).exists()

    def test_backwards__leaves_no_hour(self) -> None:
        make_judged()
        count(LATER)
        erase_unit(find_person("t1", follow_aliases=True), actor="user:mara", now=LATER)

        run_sql(MIGRATION.FORGET_HOURS)

        kept = ErasedCohort.objects.get(phase__isnull=False)
        assert {row["segment"] for row in kept.sums["cohorts"]} == {""}
        assert not hours(Cohort).exists()
        assert not hours(Moment).exists()
        assert Moment.objects.exists()


class TestErasure:
    """What erased units had added to an hour stays in it, and no longer than the hour."""

    def test_erased__of_a_young_day__stay_in_their_hours(self) -> None:
        experiment = make_judged()
        count(LATER)

        for unit in ("t1", "t3"):
            erase_unit(find_person(unit, follow_aliases=True), actor="user:mara", now=LATER)
        expose(experiment, "test", "t4", at=NOON + 2 * HOUR)
        count(LATER)

        assert harm_by_hour() == {"12": (2, 1), "14": (1, 0), "15": (1, 0)}
        assert_hours_add_up(NOON.date())
        assert differences(LATER) == 0

    def test_erased__before_they_were_ever_counted__are_in_their_hours(self) -> None:
        make_judged()

        erase_unit(find_person("t3", follow_aliases=True), actor="user:mara", now=LATER)
        count(LATER)

        assert harm_by_hour() == {"12": (2, 1), "15": (1, 0)}
        assert differences(LATER) == 0

    def test_hours_of_the_erased__when_the_day_is_due_as_a_whole__are_forgotten(self) -> None:
        make_judged()
        count(LATER)
        erase_unit(find_person("t1", follow_aliases=True), actor="user:mara", now=LATER)

        count(LATER + DAY)

        kept = ErasedCohort.objects.get(phase__isnull=False)
        assert {row["segment"] for row in kept.sums["cohorts"]} == {""}
        assert int(Moment.objects.get(variant_key="test", metric="harm").total) == 1
        assert differences(LATER + DAY) == 0

    def test_erased__of_an_older_day__leave_no_hour(self) -> None:
        make_judged()
        count(LATER + DAY)

        erase_unit(find_person("t1", follow_aliases=True), actor="user:mara", now=LATER + DAY)

        kept = ErasedCohort.objects.get(phase__isnull=False)
        assert {row["segment"] for row in kept.sums["cohorts"]} == {""}


@pytest.mark.parametrize("seed", range(4))
def test_hours__after_a_long_stream__add_up_and_equal_the_definitions_at_every_run(seed: int) -> None:
    phase = make_measured_phase(caps={"revenue": 2500}, segments=["device"], bounds=DROP)
    reports = [step for step in long_stream(random.Random(seed)) if not isinstance(step, str)]
    runs = 12

    for run in range(runs):
        for place, step in enumerate(reports[run::runs]):
            apply(step, phase, place)
        if run == runs // 2:
            apply("pause", phase, 5)
            apply("resume", phase, 6)
        now = NOON + run * 11 * HOUR
        (count if run % 3 else lambda now: refresh_tallies([phase.experiment_id], now=now))(now)
        since = now.date() - 2 * DAY
        phase.refresh_from_db()
        assert moments(phase) == reference_moments(phase, hours_from=since)
        assert_hours_add_up(since)

    refreshed = everything(phase)
    AggregationCursor.objects.all().delete()
    count(now)
    assert everything(phase) == refreshed
    assert hours(Moment).exists()


def test_hours__of_a_published_phase_after_its_close__leave_as_those_of_others() -> None:
    experiment = make_running_experiment(guardrail_config=DROP)
    Phase.objects.update(origin=PhaseOrigin.IMPORTED)
    expose(experiment, "test", "t1")
    count(LATER)
    Phase.objects.update(closed_at=NOON + 2 * DAY)

    count(LATER)
    kept = hours(Moment).exists()
    count(LATER + DAY)

    assert kept
    assert not hours(Moment).exists()
    assert differences(LATER + DAY) == 0
