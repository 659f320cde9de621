"""The report: lift among buyers, metrics per exposed unit, sample ratio, and what may be shown when."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog_experiments.analysis import MetricReport, analyze, analyze_many, latest_metrics
from catalog_experiments.models import (
    Experiment,
    ExperimentStatus,
    Moment,
    Phase,
    PhaseOrigin,
    VariantMetric,
)
from catalog_experiments.stats.moments import JointMoments
from tests.builders import NOON, make_experiment, make_running_experiment
from tests.catalog_experiments.buyers import change_phase, phase_of

LATER = NOON + dt.timedelta(days=3)
LONG_AGO = (NOON - dt.timedelta(days=20)).date()


def add_metric(experiment: Experiment, key: str, *, day: int = 3, **numbers: Any) -> VariantMetric:
    phase = phase_of(experiment)
    fields = {"acceptance_count": 0, "sample_size": 0, "exposed_count": 0, "computed_at": LATER, "watermark_at": LATER}
    return VariantMetric.objects.create(
        experiment=experiment,
        variant=experiment.variants.get(key=key),
        phase=numbers.pop("phase", phase),
        window_start=(NOON + dt.timedelta(days=day)).date(),
        lookback_days=day + 1,
        **(fields | numbers),
    )


def add_moment(
    experiment: Experiment, key: str, metric: str, n: int, total: int, total_squares: int, **fields: Any
) -> None:
    Moment.objects.create(
        experiment=experiment,
        phase=phase_of(experiment),
        variant_key=key,
        cohort_date=fields.pop("cohort_date", LONG_AGO),
        metric=metric,
        n=n,
        total=total,
        total_squares=total_squares,
        **fields,
    )


def make_imported(**overrides: Any) -> Experiment:
    experiment = make_running_experiment(**overrides)
    change_phase(experiment, origin=PhaseOrigin.IMPORTED)
    Experiment.objects.filter(pk=experiment.pk).update(status=ExperimentStatus.COMPLETED)
    return Experiment.objects.get(pk=experiment.pk)


def metric_of(experiment: Experiment, key: str, metric: str) -> MetricReport:
    report = analyze(experiment, now=LATER)
    variant = next(variant for variant in report.variants if variant.key == key)
    return next(own for own in variant.metrics if own.metric == metric)


@pytest.mark.django_db
def test_analyze__cookie_cats_counts__pooled_z_and_chi_square() -> None:
    experiment = make_imported()
    for key, n, converted in (("control", 44_700, 8_502), ("test", 45_489, 8_279)):
        add_moment(experiment, key, "conversion", n, converted, converted)
        add_metric(experiment, key, exposed_count=n)

    conversion = metric_of(experiment, "test", "conversion")
    report = analyze(experiment, now=LATER)

    assert conversion.z == pytest.approx(-3.1644, abs=5e-5)
    assert conversion.p_value == pytest.approx(0.00155, abs=5e-6)
    assert conversion.mean == pytest.approx(0.1820, abs=5e-5)
    assert conversion.difference == pytest.approx(-0.0082, abs=5e-5)
    assert conversion.interval is not None
    assert conversion.interval.upper < 0
    assert report.variants[0].metrics[0].mean == pytest.approx(0.1902, abs=5e-5)
    assert report.srm is not None
    assert report.srm.method == "chi_square"
    assert report.srm.p_value == pytest.approx(0.008608, abs=5e-6)
    assert not report.srm.is_mismatch
    assert any(note.startswith("different buyers: Test") for note in report.notes)


@pytest.mark.django_db
def test_analyze__money_of_imported__welch_in_minor_units() -> None:
    experiment = make_imported()
    for key, n, paying, total, squares in (
        ("control", 21_306, 122, 1_391_000, 2_900_000_000),
        ("test", 21_307, 267, 3_031_000, 6_600_000_000),
    ):
        add_moment(experiment, key, "conversion", n, paying, paying)
        add_moment(experiment, key, "revenue", n, total, squares, currency="EUR")

    revenue = metric_of(experiment, "test", "revenue")

    assert revenue.difference is not None
    assert revenue.standard_error is not None
    assert revenue.difference == pytest.approx(3_031_000 / 21_307 - 1_391_000 / 21_306)
    variances = [
        (2_900_000_000 - 1_391_000**2 / 21_306) / 21_305 / 21_306,
        (6_600_000_000 - 3_031_000**2 / 21_307) / 21_306 / 21_307,
    ]
    assert revenue.standard_error == pytest.approx(sum(variances) ** 0.5)
    assert revenue.z == pytest.approx(revenue.difference / revenue.standard_error)
    assert revenue.is_mature


@pytest.mark.django_db
def test_analyze__running_before_the_planned_end__sequential_without_p_value() -> None:
    experiment = make_running_experiment()
    for key, converted in (("control", 1_000), ("test", 1_100)):
        add_moment(experiment, key, "conversion", 10_000, converted, converted)

    conversion = metric_of(experiment, "test", "conversion")

    assert conversion.p_value is None
    assert conversion.z is None
    assert conversion.difference == pytest.approx(0.01)
    assert conversion.interval is not None
    assert conversion.standard_error is not None
    assert conversion.difference is not None
    half = conversion.interval.upper - conversion.difference
    assert half > 1.96 * conversion.standard_error


@pytest.mark.django_db
@pytest.mark.parametrize(
    "changes",
    [{"status": ExperimentStatus.COMPLETED}, {"scheduled_end_at": LATER}],
    ids=["completed", "planned date reached"],
)
def test_analyze__ended__fixed_p_value(changes: dict[str, Any]) -> None:
    experiment = make_running_experiment()
    Experiment.objects.filter(pk=experiment.pk).update(**changes)
    experiment.refresh_from_db()
    for key, converted in (("control", 1_000), ("test", 1_100)):
        add_moment(experiment, key, "conversion", 10_000, converted, converted)

    assert metric_of(experiment, "test", "conversion").p_value == pytest.approx(0.02108, abs=1e-5)


@pytest.mark.django_db
def test_analyze__planned_sample_reached_in_both_variants__fixed_p_value() -> None:
    experiment = make_running_experiment()
    change_phase(experiment, planned_sample_size=500)
    add_moment(experiment, "control", "conversion", 499, 100, 100)
    add_moment(experiment, "test", "conversion", 700, 100, 100)

    before = metric_of(experiment, "test", "conversion").p_value
    add_moment(experiment, "control", "conversion", 1, 0, 0, cohort_date=LONG_AGO + dt.timedelta(days=1))
    after = metric_of(experiment, "test", "conversion").p_value

    assert before is None
    assert after is not None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("units", "successes", "reason"),
    [(99, 30, "fewer than 100 units in a variant"), (1_000, 19, "fewer than 20 successes in a variant"), (100, 20, "")],
)
def test_analyze__gate_of_units_and_successes__interval_only_past_it(units: int, successes: int, reason: str) -> None:
    experiment = make_running_experiment()
    add_moment(experiment, "control", "conversion", 5_000, 1_000, 1_000)
    add_moment(experiment, "test", "conversion", units, successes, successes)

    conversion = metric_of(experiment, "test", "conversion")

    assert conversion.reason == reason
    assert (conversion.interval is None) == bool(reason)
    assert conversion.is_mature is (reason == "")
    assert conversion.difference is not None


@pytest.mark.django_db
def test_analyze__window_not_over__to_date_without_verdict() -> None:
    experiment = make_running_experiment()
    for key, converted in (("control", 1_000), ("test", 1_500)):
        add_moment(experiment, key, "conversion", 10_000, converted, converted, cohort_date=NOON.date())

    conversion = metric_of(experiment, "test", "conversion")

    assert conversion.mean == pytest.approx(0.15)
    assert conversion.interval is None
    assert not conversion.is_mature
    assert conversion.reason.startswith("to date, immature")


@pytest.mark.django_db
@pytest.mark.parametrize(("hours", "is_complete"), [(0, False), (1, True)])
def test_analyze__last_unit_of_the_day__complete_an_hour_after_its_window(hours: int, is_complete: bool) -> None:
    experiment = make_running_experiment()
    midnight = dt.datetime(2026, 3, 3, tzinfo=dt.UTC)
    for key in ("control", "test"):
        add_moment(experiment, key, "conversion", 1_000, 100, 100, cohort_date=NOON.date())

    report = analyze(experiment, now=midnight + dt.timedelta(days=7, hours=hours))

    assert report.variants[1].metrics[0].is_mature == is_complete


@pytest.mark.django_db
def test_analyze__few_paying_units__money_hidden_behind_the_gate() -> None:
    experiment = make_running_experiment()
    for key in ("control", "test"):
        add_moment(experiment, key, "conversion", 1_000, 99, 99)
        add_moment(experiment, key, "revenue", 1_000, 50_000, 9_000_000, currency="EUR")

    revenue = metric_of(experiment, "test", "revenue")

    assert revenue.interval is None
    assert revenue.reason == "fewer than 100 paying units in a variant"


@pytest.mark.django_db
def test_analyze__money_in_another_currency__left_out_and_said() -> None:
    experiment = make_running_experiment()
    add_moment(experiment, "test", "revenue", 10, 1_000, 200_000, currency="EUR")
    add_moment(experiment, "test", "revenue", 10, 9_000, 900_000, currency="USD")

    report = analyze(experiment, now=LATER)

    assert metric_of(experiment, "test", "revenue").mean == 100
    assert report.notes == ("orders in USD are left out of the money metrics",)


@pytest.mark.django_db
def test_analyze__acceptance__lift_from_counts_with_wilson_interval() -> None:
    experiment = make_running_experiment()
    add_metric(experiment, "control", acceptance_count=180, sample_size=1_000)
    add_metric(experiment, "test", acceptance_count=95, sample_size=1_000)

    report = analyze(experiment, now=LATER)

    control, test = report.variants
    assert report.control is control
    assert (control.lift, control.lift_reason) == (None, "")
    assert test.lift == pytest.approx(95 / 180 - 1)
    assert test.lift_interval is not None
    assert test.lift_interval.upper < 0
    assert test.acceptance_rate == pytest.approx(0.095)
    assert test.acceptance_interval == pytest.approx((0.0783, 0.1148), abs=5e-4)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("control", "test", "reason"),
    [
        ((0, 500), (50, 500), "the control's mean is 0 or unknown"),
        ((30, 99), (50, 500), "fewer than 100 units in a variant"),
    ],
)
def test_analyze__lift_without_enough_control__says_why(
    control: tuple[int, int], test: tuple[int, int], reason: str
) -> None:
    experiment = make_running_experiment()
    add_metric(experiment, "control", acceptance_count=control[0], sample_size=control[1])
    add_metric(experiment, "test", acceptance_count=test[0], sample_size=test[1])

    variant = analyze(experiment, now=LATER).variants[1]

    assert variant.lift_reason == reason
    assert variant.lift_interval is None
    assert (variant.lift is None) == (control[0] == 0)


@pytest.mark.django_db
def test_analyze__without_any_telemetry__empty_numbers_and_a_reason() -> None:
    experiment = make_running_experiment()

    report = analyze(experiment, now=LATER)

    assert [variant.key for variant in report.variants] == ["control", "test"]
    assert report.watermark_at is None
    assert report.srm is None
    assert report.variants[1].lift_reason == "awaiting telemetry"
    assert report.variants[1].acceptance_rate is None


@pytest.mark.django_db
def test_analyze__draft__has_no_phase() -> None:
    report = analyze(make_experiment(), now=LATER)

    assert report.phase_number is None
    assert report.variants == ()
    assert report.notes == ("not published yet",)


@pytest.mark.django_db
def test_analyze__exposures_far_from_plan__mismatch_found_live() -> None:
    experiment = make_running_experiment()
    for day, counts in enumerate([(500, 500), (1_500, 1_000)]):
        for key, count in zip(("control", "test"), counts, strict=True):
            add_metric(experiment, key, day=day, exposed_count=count)

    srm = analyze(experiment, now=LATER).srm

    assert srm is not None
    assert srm.method == "sequential"
    assert srm.counts == (1_500, 1_000)
    assert srm.is_mismatch


@pytest.mark.django_db
def test_latest_metrics__several_rows__newest_window_of_the_current_phase() -> None:
    experiment = make_running_experiment()
    newest = add_metric(experiment, "test", day=2, sample_size=20)
    add_metric(experiment, "test", day=1, sample_size=10, computed_at=LATER + dt.timedelta(days=1))
    add_metric(experiment, "test", day=9, sample_size=99, phase=make_other_phase(experiment))

    found = latest_metrics([experiment])

    assert list(found.values()) == [newest]


def make_other_phase(experiment: Experiment) -> Phase:
    return Phase.objects.create(experiment=experiment, number=9, salt="x", opened_at=NOON, closed_at=NOON)


@pytest.mark.django_db
def test_analyze_many__more_experiments__same_number_of_queries() -> None:
    def queries(experiments: list[Experiment]) -> int:
        with CaptureQueriesContext(connection) as captured:
            analyze_many(experiments, now=LATER)
        return len(captured)

    experiments = [make_running_experiment(slug=f"e{number}") for number in range(5)]
    for experiment in experiments:
        add_metric(experiment, "test", sample_size=10)
        add_moment(experiment, "test", "conversion", 10, 1, 1)

    assert queries(experiments[:1]) == queries(experiments) == 4


def add_joint(
    experiment: Experiment,
    key: str,
    metric: str,
    pairs: list[tuple[int, int]],
    *,
    segment: str = "",
    currency: str = "",
) -> None:
    """Store the moments of (outcome, covariate) pairs of complete units."""
    joint = JointMoments.of(pairs)
    add_moment(
        experiment,
        key,
        metric,
        joint.n,
        int(joint.total),
        int(joint.total_squares),
        covariate_total=joint.covariate_total,
        covariate_total_squares=joint.covariate_total_squares,
        cross_total=joint.cross_total,
        segment=segment,
        currency=currency,
    )


def reports_of(experiment: Experiment) -> dict[str, MetricReport]:
    """Return the test variant's metrics by name."""
    return {metric.metric: metric for metric in analyze(experiment, now=LATER).variants[1].metrics}


@pytest.mark.django_db
def test_analyze__revenue_with_a_past__adjusted_beside_the_raw_difference() -> None:
    experiment = make_running_experiment()
    past = [(1000 + 10 * number, 10 * number) for number in range(100)]
    for key, extra in (("control", 0), ("test", 50)):
        add_joint(experiment, key, "conversion", [(1, 0)] * 200)
        bought_before = [(spent + extra + number % 7, before) for number, (spent, before) in enumerate(past)]
        add_joint(experiment, key, "revenue", bought_before + [(extra + 500, 0)] * 100, currency="EUR")
        add_joint(experiment, key, "revenue", bought_before, segment="history:returning", currency="EUR")

    revenue = reports_of(experiment)["revenue"]

    assert revenue.difference == pytest.approx(50)
    assert revenue.adjusted is not None
    assert revenue.adjusted.difference == pytest.approx(50)
    assert revenue.adjusted.variance_reduction is not None
    assert revenue.adjusted.variance_reduction > 0.99
    assert revenue.standard_error is not None
    assert revenue.adjusted.standard_error is not None
    assert revenue.adjusted.standard_error < revenue.standard_error / 10


@pytest.mark.django_db
def test_analyze__many__reads_no_segments_and_adjusts_nothing() -> None:
    experiment = make_running_experiment()
    change_phase(experiment, segments=["device"])
    for key in ("control", "test"):
        add_joint(experiment, key, "conversion", [(1, 5), (0, 1)] * 100)
        add_joint(experiment, key, "conversion", [(1, 5)] * 100, segment="history:returning")
        add_joint(experiment, key, "conversion", [(1, 5)] * 100, segment="device:mobile")

    report = analyze_many([experiment], now=LATER)[experiment.pk]

    assert (report.segments, report.variants[1].metrics[0].adjusted) == ((), None)


@pytest.mark.django_db
def test_analyze__ratio__is_sum_over_sum_with_its_own_difference() -> None:
    experiment = make_running_experiment()
    for key, price in (("control", 20), ("test", 24)):
        add_joint(experiment, key, "conversion", [(1, 0)] * 300)
        add_joint(experiment, key, "order_value", [(price, 1), (2 * price + 3, 2), (0, 0)] * 100)

    order_value = reports_of(experiment)["order_value"]

    assert order_value.mean == pytest.approx((24 + 51) / 3)
    assert order_value.difference == pytest.approx(4)
    assert order_value.interval is not None
    assert order_value.interval.excludes(0)
    assert order_value.relative_lift is None


@pytest.mark.django_db
def test_analyze__bundle_eats_every_second_single_piece__half_is_cannibalized() -> None:
    experiment = make_running_experiment()
    singles = {"control": [(2, 0), (1, 0)], "test": [(1, 2), (0, 2)]}
    for key, pairs in singles.items():
        add_joint(experiment, key, "conversion", [(1, 0)] * 400)
        add_joint(experiment, key, "cannibalization", pairs * 200)

    found = reports_of(experiment)["cannibalization"]

    assert found.difference == pytest.approx(0.5)
    assert (found.mean, found.reason) == (None, "")


@pytest.mark.django_db
def test_analyze__bundle_sells_no_more_pieces__cannibalization_is_null_with_a_reason() -> None:
    experiment = make_running_experiment()
    for key in ("control", "test"):
        add_joint(experiment, key, "conversion", [(1, 0)] * 400)
        add_joint(experiment, key, "cannibalization", [(2, 0), (1, 1)] * 200)

    found = reports_of(experiment)["cannibalization"]

    assert (found.difference, found.interval) == (None, None)
    assert found.reason == "the bundle does not clearly sell more pieces than the control"


@pytest.mark.django_db
def test_analyze__registered_segments__are_rows_of_their_own_and_no_others() -> None:
    experiment = make_running_experiment()
    change_phase(experiment, segments=["device"])
    for key in ("control", "test"):
        add_joint(experiment, key, "conversion", [(1, 0), (0, 0)] * 300)
        for segment in ("device:mobile", "device:desktop", "country:DE", "history:returning"):
            add_joint(experiment, key, "conversion", [(1, 0), (0, 0)] * 150, segment=segment)

    report = analyze(experiment, now=LATER)

    assert [(own.kind, own.value) for own in report.segments] == [("device", "desktop"), ("device", "mobile")]
    control, test = report.segments[0].variants
    assert (control.is_control, test.metrics[0].metric, test.metrics[0].n) == (True, "conversion", 300)
    assert test.metrics[0].interval is not None
