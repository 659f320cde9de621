"""A drop against the control, judged by the hour: each unit from 25 hours after the hour in which it met the offer."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Iterator

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog_experiments.aggregation import BundleAcceptanceAggregator, aggregate_experiments, refresh_tallies
from catalog_experiments.analysis import analyze
from catalog_experiments.enforcement import evaluate_due
from catalog_experiments.enforcement.frame import Harm, load_frames
from catalog_experiments.intake import ExposureEvent, OrderEvent, OrderLine, record_exposures, record_orders
from catalog_experiments.models import Experiment, Phase
from tests.builders import NOON, make_running_experiment
from tests.catalog_experiments.acting import phase_of
from tests.catalog_experiments.buyers import add_buyers, add_visitors
from tests.catalog_experiments.intake.test_exposures import computed_variant

pytestmark = pytest.mark.django_db

MIDNIGHT = NOON - dt.timedelta(hours=12)
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
A_MOMENT = dt.timedelta(minutes=5)
DROP = {"max_drop_vs_control": 0.1}
CUP = OrderLine("cup", 1, 2000, 900)


def harm_at(experiment: Experiment, now: dt.datetime) -> Harm:
    """Return what a look a few minutes into the hour sees of the test variant."""
    aggregate_experiments([experiment.pk], now=now + A_MOMENT)
    frames = load_frames([Experiment.objects.get(pk=experiment.pk)], watermark_at=now + A_MOMENT)
    return frames[experiment.pk].harm.get("test", Harm())


def seen_at(experiment: Experiment, now: dt.datetime) -> tuple[int, int]:
    """Return how many units of the test variant a look sees, and how many of them bought."""
    moments = harm_at(experiment, now).moments
    return int(moments.n), int(moments.total)


def make_judged(**config: object) -> Experiment:
    return make_running_experiment(now=MIDNIGHT, guardrail_config=DROP | config)


def test_look__at_a_unit_exposed_at_half_past_ten__sees_it_from_noon_of_the_next_day() -> None:
    experiment = make_judged()
    add_buyers(experiment, "test", 1, 1, at=MIDNIGHT + dt.timedelta(hours=10, minutes=30))

    before = seen_at(experiment, MIDNIGHT + DAY + 11 * HOUR)
    since = seen_at(experiment, MIDNIGHT + DAY + 12 * HOUR)

    assert (before, since) == ((0, 0), (1, 1))


def test_look__at_each_hour_of_three_days__sees_each_unit_once_and_when_it_is_due() -> None:
    experiment = make_judged()
    exposed = [MIDNIGHT + number * dt.timedelta(minutes=100) for number in range(40)]
    for at in exposed:
        add_visitors(experiment, "test", 1, at=at)

    for hour in range(20, 96):
        look_at = MIDNIGHT + hour * HOUR
        due = [at for at in exposed if at.replace(minute=0) + 26 * HOUR <= look_at]
        assert seen_at(experiment, look_at) == (len(due), 0)


def test_look__at_money__sees_revenue_and_payers_of_the_same_units() -> None:
    experiment = make_judged(drop_metric="revenue")
    for hour in (9, 10):
        add_buyers(experiment, "test", 2, 1, at=MIDNIGHT + hour * HOUR)

    harm = harm_at(experiment, MIDNIGHT + DAY + 11 * HOUR)

    assert (harm.moments.n, harm.moments.total, harm.payers) == (2, 2 * 3240, 2)


def test_look__at_a_closed_phase__sees_whole_days_and_no_unit_twice() -> None:
    experiment = make_judged()
    for hour in (1, 20):
        add_visitors(experiment, "test", 1, at=MIDNIGHT + hour * HOUR)
    Phase.objects.update(closed_at=MIDNIGHT + 60 * HOUR)

    assert seen_at(experiment, MIDNIGHT + DAY + 10 * HOUR) == (2, 0)


def test_look__at_units_whose_first_day_met_a_pause__leaves_them_out_of_their_hour() -> None:
    experiment = make_judged()
    for hour in (3, 8):
        add_visitors(experiment, "test", 1, at=MIDNIGHT + hour * HOUR)
    stopped = [[(MIDNIGHT + DAY + 5 * HOUR).isoformat(), (MIDNIGHT + DAY + 6 * HOUR).isoformat()]]
    Phase.objects.update(unserved_spans=stopped)

    assert seen_at(experiment, MIDNIGHT + DAY + 12 * HOUR) == (1, 0)


def test_frames__of_phases_with_hours__are_read_in_as_many_statements_for_many_as_for_few() -> None:
    experiments = [
        make_running_experiment(now=MIDNIGHT, slug=f"drop-{number}", guardrail_config=DROP) for number in range(6)
    ]
    for experiment in experiments:
        add_visitors(experiment, "test", 2, at=MIDNIGHT + 3 * HOUR)
    now = MIDNIGHT + DAY + 12 * HOUR + A_MOMENT
    refresh_tallies([experiment.pk for experiment in experiments], now=now)

    def statements(some: list[Experiment]) -> int:
        with CaptureQueriesContext(connection) as captured:
            frames = load_frames(some, watermark_at=now)
        assert all(frame.harm["test"].moments.n == 2 for frame in frames.values())
        return len(captured)

    assert statements(experiments) == statements(experiments[:1])


def test_report_with_segments__of_a_phase_with_hours__names_none() -> None:
    experiment = make_running_experiment(now=MIDNIGHT, guardrail_config=DROP)
    Phase.objects.update(segments=["device", "hour"])
    add_buyers(experiment, "test", 3, 1, at=MIDNIGHT + HOUR)
    now = MIDNIGHT + DAY
    BundleAcceptanceAggregator().recompute(now=now)

    report = analyze(Experiment.objects.get(pk=experiment.pk), now=now)

    assert report is not None
    assert report.segments == ()


VISITS = 60
"""Of each variant in an hour."""


class Shop:
    """A shop in which of each hour's visitors some buy, a variant its own number, all reported as they come."""

    def __init__(self, experiment: Experiment, **buyers: int) -> None:
        self.experiment, self.buyers = experiment, buyers
        self.units = {key: _units(phase_of(experiment), key) for key in buyers}

    def is_paused_in(self, hour: int) -> bool:
        """Let an hour's visitors come, judge a few minutes after it, and say whether that paused the experiment."""
        at = MIDNIGHT + hour * HOUR
        for key, buyers in self.buyers.items():
            visitors = list(itertools.islice(self.units[key], VISITS))
            seen = [ExposureEvent(self.experiment.slug, unit, key, at) for unit in visitors]
            bought = [OrderEvent(unit, at + A_MOMENT, "EUR", (CUP,), unit_id=unit) for unit in visitors[:buyers]]
            results = *record_exposures(seen, now=at), *record_orders(bought, now=at + A_MOMENT)
            assert {result.outcome for result in results} == {"accepted"}
        now = at + HOUR + A_MOMENT
        aggregate_experiments([self.experiment.pk], now=now)
        return evaluate_due(now=now).paused == 1


def _units(phase: Phase, key: str) -> Iterator[str]:
    names = (f"visitor-{number}" for number in itertools.count())
    return (name for name in names if computed_variant(name, phase) == key)


def test_offer_that_drives_buyers_away__is_paused_half_a_day_before_its_first_day_is_due() -> None:
    experiment = make_judged()
    shop = Shop(experiment, control=20, test=6)

    last_hour = next(hour for hour in itertools.count() if shop.is_paused_in(hour))

    # The first units are due when hour 25 has gone by, the first day when hour 48 has.
    assert 25 <= last_hour <= 30
    experiment.refresh_from_db()
    assert experiment.pause_reason.startswith("test: conversion is down")


def test_offer_that_does_no_harm__runs_on() -> None:
    shop = Shop(make_judged(), control=10, test=10)

    assert not any(shop.is_paused_in(hour) for hour in range(34))
