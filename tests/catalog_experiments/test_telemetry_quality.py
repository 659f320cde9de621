"""Silence, staleness and lost joins: what keeps a phase's data from being trusted, when it is told, and how it ends."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog_experiments.aggregation.telemetry_hours import update_telemetry_hours
from catalog_experiments.analysis.quality import JoinRate, TelemetryQuality, load_quality
from catalog_experiments.enforcement import evaluate
from catalog_experiments.enforcement.frame import load_frames
from catalog_experiments.enforcement.holds import daily_counts
from catalog_experiments.models import Experiment, Exposure, Order, TelemetryGap, TelemetryHour, VariantMetric
from catalog_experiments.stats.joins import JoinCounts
from notifications.models import Alert
from tests.builders import NOON, make_running_experiment
from tests.catalog_experiments.buyers import add_buyers, add_visitors, cancel, phase_of

HOUR = dt.timedelta(hours=1)
MINUTE = dt.timedelta(minutes=1)
DAY = dt.timedelta(days=1)
OPENED = NOON - 10 * DAY
DAYTIME = range(8, 23)


def busy_by_day(hour_at: dt.datetime) -> int:
    """Return the exposures of an hour in a shop that sleeps: 240 from 8 to 22 o'clock, 2 at night."""
    return 240 if hour_at.hour in DAYTIME else 2


def add_history(experiment: Experiment, *, until: dt.datetime, exposed: Callable[[dt.datetime], int]) -> None:
    """Store what came in by the hour from the phase's start to `until`, as earlier ticks would have."""
    hours = int((until - OPENED) / HOUR)
    TelemetryHour.objects.bulk_create(
        TelemetryHour(phase=phase_of(experiment), hour_at=hour_at, exposed_count=exposed(hour_at))
        for hour_at in (OPENED + hour * HOUR for hour in range(hours))
    )


def add_joins(experiment: Experiment, rate: float, *, start: dt.datetime, until: dt.datetime) -> None:
    """Store twenty orders an hour of which `rate` join."""
    for hour in range(int((until - start) / HOUR)):
        TelemetryHour.objects.update_or_create(
            phase=phase_of(experiment),
            hour_at=start + hour * HOUR,
            defaults={"order_count": 20, "joined_count": round(20 * rate)},
        )


def quality_of(experiment: Experiment, now: dt.datetime) -> TelemetryQuality:
    phase = phase_of(experiment)
    return load_quality([phase], watermark_at=now, aggregated_at={})[phase.pk]


def holds_at(experiment: Experiment, now: dt.datetime) -> list[str]:
    evaluation = evaluate(experiment.pk, now=now).evaluation
    assert evaluation is not None
    holds: list[str] = evaluation.inputs["holds"]
    return holds


@pytest.fixture
def shop(db: None) -> Experiment:
    """An experiment of ten days in a shop that is busy by day; its last visitor came at noon."""
    experiment = make_running_experiment(now=OPENED)
    add_history(experiment, until=NOON, exposed=busy_by_day)
    for key in ("control", "test"):
        add_visitors(experiment, key, 1, at=NOON)
    return experiment


@pytest.mark.parametrize(("minutes", "holds"), [(1, []), (14, []), (16, ["telemetry_silent"])])
def test_silence__at_noon__is_told_within_minutes(shop: Experiment, minutes: int, holds: list[str]) -> None:
    assert holds_at(shop, NOON + minutes * MINUTE) == holds


def test_silence__at_night__is_no_silence_until_the_morning(db: None) -> None:
    midnight = NOON + 12 * HOUR
    experiment = make_running_experiment(now=OPENED)
    add_history(experiment, until=midnight, exposed=busy_by_day)
    add_visitors(experiment, "test", 2, at=midnight + MINUTE)

    night = quality_of(experiment, midnight + 7 * HOUR)
    morning = quality_of(experiment, midnight + 10 * HOUR)

    assert night.missing == pytest.approx(7, abs=1)
    assert (night.is_silent, morning.is_silent) == (False, True)


def test_silence__as_clocks_change_and_the_shop_wakes_an_hour_later__is_none(db: None) -> None:
    morning = NOON.replace(hour=7) + DAY
    experiment = make_running_experiment(now=OPENED)
    add_history(experiment, until=morning, exposed=lambda at: busy_by_day(at + HOUR))
    add_visitors(experiment, "test", 1, at=morning)

    assert not quality_of(experiment, morning + 50 * MINUTE).is_silent
    assert quality_of(experiment, morning + 90 * MINUTE).is_silent


def test_silence__on_a_day_at_a_twentieth__waits_for_longer(db: None) -> None:
    holiday = NOON.replace(hour=0)
    experiment = make_running_experiment(now=OPENED)
    add_history(experiment, until=NOON, exposed=lambda at: busy_by_day(at) // (20 if at >= holiday else 1))
    add_visitors(experiment, "test", 1, at=NOON)

    assert not quality_of(experiment, NOON + 30 * MINUTE).is_silent
    assert quality_of(experiment, NOON + 3 * HOUR).is_silent


def test_silence__after_a_pause__counts_from_its_end(shop: Experiment) -> None:
    phase = phase_of(shop)
    phase.unserved_spans = [[NOON.isoformat(), (NOON + 5 * HOUR).isoformat()]]
    phase.save()

    assert not quality_of(shop, NOON + 5 * HOUR + MINUTE).is_silent
    assert quality_of(shop, NOON + 5 * HOUR + 20 * MINUTE).is_silent


def test_silence__in_a_shop_without_a_week__is_left_to_the_flat_rule(db: None) -> None:
    experiment = make_running_experiment(now=NOON - 2 * DAY)
    add_visitors(experiment, "test", 50, at=NOON - HOUR)
    update_telemetry_hours([phase_of(experiment)], now=NOON)

    assert quality_of(experiment, NOON).missing is None


def test_silence__over__is_told_once_each_way_and_listed(shop: Experiment) -> None:
    silent_at, back_at = NOON + 20 * MINUTE, NOON + 40 * MINUTE

    holds_at(shop, silent_at)
    holds_at(shop, silent_at + 5 * MINUTE)
    add_visitors(shop, "test", 3, at=back_at - MINUTE)
    released = holds_at(shop, back_at)

    gap = TelemetryGap.objects.get()
    assert released == []
    assert (gap.cause, gap.started_at, gap.ended_at) == ("telemetry_silent", NOON, back_at)
    assert [alert.kind for alert in Alert.objects.order_by("pk")] == ["guardrail_hold", "guardrail_hold_over"]
    assert "none since 12:00 UTC, at least 40 should have come" in Alert.objects.earliest("pk").summary


def test_staleness__older_than_allowed__holds_until_the_numbers_are_back(shop: Experiment) -> None:
    row = VariantMetric.objects.create(
        experiment=shop,
        variant=shop.variants.get(key="test"),
        phase=phase_of(shop),
        window_start=NOON.date(),
        computed_at=NOON,
        watermark_at=NOON - 4 * HOUR,
    )

    stale = holds_at(shop, NOON + MINUTE)
    VariantMetric.objects.filter(pk=row.pk).update(watermark_at=NOON)
    fresh = holds_at(shop, NOON + 2 * MINUTE)

    gap = TelemetryGap.objects.get()
    assert (stale, fresh) == (["aggregation_stale"], [])
    assert (gap.started_at, gap.ended_at) == (NOON - 4 * HOUR, NOON + 2 * MINUTE)
    assert [alert.kind for alert in Alert.objects.order_by("pk")] == ["guardrail_hold", "guardrail_hold_over"]


@pytest.mark.parametrize(
    ("rate", "kinds", "holds"),
    [(0.8, [], []), (0.55, ["join_rate_fell"], []), (0.3, ["guardrail_hold"], ["join_rate_halved"])],
    ids=["as usual", "a fifth less", "halved"],
)
def test_join_rate__falls__alarms_and_then_holds(
    shop: Experiment, rate: float, kinds: list[str], holds: list[str]
) -> None:
    add_joins(shop, 0.8, start=OPENED + DAY, until=NOON - DAY)
    add_joins(shop, rate, start=NOON - DAY, until=NOON)

    found = holds_at(shop, NOON + MINUTE)

    assert found == holds
    assert [alert.kind for alert in Alert.objects.all()] == kinds


@pytest.mark.parametrize(("rate", "holds"), [(0.3, []), (0.2, ["join_rate_halved"])])
def test_join_rate__without_history__is_held_to_half_the_coverage(db: None, rate: float, holds: list[str]) -> None:
    experiment = make_running_experiment(now=NOON - 2 * DAY, coverage=5_000)
    add_joins(experiment, rate, start=NOON - DAY, until=NOON)

    assert holds_at(experiment, NOON) == holds
    assert quality_of(experiment, NOON).join_rate == JoinRate(JoinCounts(round(480 * rate), 480), None, 0.5)
    assert "join_rate_fell" not in [alert.kind for alert in Alert.objects.all()]


def test_hours__hold_what_came_in_and_who_was_joined(db: None) -> None:
    experiment = make_running_experiment(now=NOON)
    phase = phase_of(experiment)
    add_buyers(experiment, "test", 4, 1, at=NOON)
    add_buyers(experiment, "control", 2, 0, at=NOON + HOUR)
    Exposure.objects.filter(pk=Exposure.objects.filter(variant_key="control").values("pk")[:1]).update(
        excluded_as="bot"
    )
    strangers = Order.objects.filter(placed_at__lt=NOON + HOUR)[:2]
    Order.objects.filter(pk=strangers[0].pk).update(unit=None)
    Order.objects.filter(pk=strangers[1].pk).update(currency="USD")

    for _ in range(2):
        update_telemetry_hours([phase], now=NOON + 2 * HOUR)

    rows = TelemetryHour.objects.order_by("hour_at").values_list(
        "hour_at", "exposed_count", "order_count", "joined_count", "foreign_count"
    )
    assert list(rows) == [(NOON, 4, 4, 3, 1), (NOON + HOUR, 1, 2, 2, 0), (NOON + 2 * HOUR, 0, 0, 0, 0)]


def test_load_quality__of_many_phases__takes_as_many_queries_as_of_one(db: None) -> None:
    phases = [phase_of(make_running_experiment(slug=slug, now=OPENED)) for slug in ("a", "b", "c")]

    def queries(count: int) -> int:
        with CaptureQueriesContext(connection) as captured:
            load_quality(phases[:count], watermark_at=NOON, aggregated_at={})
        return len(captured)

    assert queries(1) == queries(3) <= 4


def test_heavy_revision__noted_as_a_gap_from_the_last_good_record_until_the_next(db: None) -> None:
    experiment = make_running_experiment()
    add_buyers(experiment, "control", 300, 60, at=NOON + 10 * MINUTE)
    orders = add_buyers(experiment, "test", 300, 60, at=NOON + 10 * MINUTE)
    good = evaluate(experiment.pk, now=NOON + 2 * HOUR).evaluation
    cancel(orders[:40], at=NOON + 2 * HOUR)
    evaluate(experiment.pk, now=NOON + 3 * HOUR)
    [gap] = TelemetryGap.objects.all()
    assert good is not None
    assert (gap.cause, gap.started_at, gap.ended_at) == ("heavy_revision", good.watermark_at, None)

    over = evaluate(experiment.pk, now=NOON + 4 * HOUR).evaluation

    gap.refresh_from_db()
    assert over is not None
    assert gap.ended_at == over.watermark_at


def test_sample_ratio__hours_merged_by_a_record__stay_in_their_day_of_the_phase(db: None) -> None:
    experiment = make_running_experiment()
    for hour in range(5 * 24):
        for key in ("control", "test"):
            add_visitors(experiment, key, 1 + hour % 7, at=NOON + hour * HOUR + 10 * MINUTE)
    now = NOON + 5 * DAY + 5 * MINUTE
    from_facts = load_frames([experiment], watermark_at=now)[experiment.pk]
    evaluate(experiment.pk, now=now)
    from_record = load_frames([experiment], watermark_at=now)[experiment.pk]

    assert len(from_record.exposures) < len(from_facts.exposures)
    assert daily_counts(from_record, ["control", "test"]) == daily_counts(from_facts, ["control", "test"])
