"""What a run writes: metric rows from the phase's start, sliding bundle acceptance, and nothing it should not touch."""

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from threading import Barrier
from typing import Any

import pytest
from django.db import connection, connections, transaction
from django.test.utils import CaptureQueriesContext

from catalog_experiments.aggregation import (
    BundleAcceptanceAggregator,
    InvalidLookback,
    aggregate_experiments,
    refresh_tallies,
)
from catalog_experiments.aggregation import cursors as cursors_module
from catalog_experiments.intake import ExposureEvent, OrderEvent, OrderLine, record_exposures, record_orders
from catalog_experiments.models import (
    AggregationCursor,
    Bundle,
    BundleAcceptanceMetric,
    Experiment,
    ExperimentStatus,
    GuardrailTally,
    Moment,
    Phase,
    PhaseOrigin,
    VariantMetric,
)
from tests.builders import NOON, make_bundle, make_experiment, make_running_experiment

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
CUP, SAUCER = OrderLine("cup", 1, 2000, 900), OrderLine("saucer", 1, 1000, 400)


def make_measured(**overrides: Any) -> Experiment:
    """Make a running experiment whose claims are taken as given."""
    experiment = make_running_experiment(**overrides)
    Phase.objects.filter(experiment=experiment).update(origin=PhaseOrigin.IMPORTED)
    return Experiment.objects.select_related("current_phase").get(pk=experiment.pk)


def expose(experiment: Experiment, key: str, *units: str, at: dt.datetime = NOON) -> None:
    events = [ExposureEvent(experiment.slug, unit, key, at) for unit in units]
    results = record_exposures(events, now=max(at, NOON + 30 * DAY), check_lateness=False)
    assert all(result.outcome in ("accepted", "duplicate") for result in results)


def buy(unit: str | None, *, took: bool = True, at: dt.datetime = NOON + HOUR, ref: str = "", **fields: Any) -> None:
    lines = (CUP, SAUCER) if took else (CUP,)
    event = OrderEvent(ref or f"{unit}-{at:%d%H%M}", at, "EUR", lines, unit_id=unit, **fields)
    (result,) = record_orders([event], now=max(at, NOON + 30 * DAY), check_lateness=False)
    assert result.outcome in ("accepted", "revised")


def row(key: str, **filters: Any) -> VariantMetric:
    return VariantMetric.objects.get(variant__key=key, **filters)


@pytest.mark.django_db
class TestMetricRows:
    """One row per variant and day, counted from the start of the phase."""

    def test_rows__hold_counts_rate_and_lift(self) -> None:
        experiment = make_measured(sample_size_guardrail=0, guardrail_config={})
        expose(experiment, "control", "c1", "c2", "c3", "c4")
        expose(experiment, "test", "t1", "t2", "t3")
        for unit, took in (("c1", True), ("c2", False), ("c3", False), ("t1", True), ("t2", True), ("t3", False)):
            buy(unit, took=took)

        result = BundleAcceptanceAggregator().recompute(now=NOON + 2 * DAY)

        control, test = row("control"), row("test")
        assert (control.sample_size, control.acceptance_count, control.exposed_count) == (3, 1, 4)
        assert (test.sample_size, test.acceptance_count, test.exposed_count) == (3, 2, 3)
        assert (control.acceptance_rate, test.acceptance_rate) == (Decimal("0.3333"), Decimal("0.6667"))
        assert (control.lift_vs_control, test.lift_vs_control) == (None, Decimal("1.0000"))
        assert (test.window_start, test.lookback_days) == (dt.date(2026, 3, 4), 2)
        assert test.computed_at == NOON + 2 * DAY
        assert test.watermark_at == result.watermark_at
        assert (result.experiments, result.metric_rows, result.bundles) == (1, 2, 2)

    def test_rows__of_one_day__are_updated_and_those_of_other_days_stay(self) -> None:
        experiment = make_measured()
        expose(experiment, "test", "t1", "t2")
        for hours in (1, 5, 24):
            buy("t1" if hours < 24 else "t2", at=NOON + hours * HOUR)
            BundleAcceptanceAggregator().recompute(now=NOON + hours * HOUR)

        rows = VariantMetric.objects.filter(variant__key="test").order_by("window_start")
        assert [(own.window_start.day, own.lookback_days, own.sample_size) for own in rows] == [(2, 1, 1), (3, 1, 2)]

    def test_rows__without_control_acceptance__have_no_lift_and_say_why(self) -> None:
        experiment = make_measured()
        expose(experiment, "test", "t1")
        buy("t1")

        BundleAcceptanceAggregator().recompute(now=NOON + DAY)

        assert (row("test").lift_vs_control, row("test").lift_reason) == (None, "no control acceptance")

    def test_rows__compare_literally_with_the_guardrails(self) -> None:
        experiment = make_measured(sample_size_guardrail=2, guardrail_config={"min_acceptance_rate": 0.6})
        expose(experiment, "control", "c1", "c2")
        expose(experiment, "test", "t1")
        for unit, took in (("c1", True), ("c2", False), ("t1", True)):
            buy(unit, took=took)

        BundleAcceptanceAggregator().recompute(now=NOON + DAY)

        assert (row("control").guardrail_breached, row("control").breach_reasons) == (True, ["min_acceptance_rate"])
        assert (row("test").guardrail_breached, row("test").breach_reasons) == (True, ["sample_size"])

    def test_rows__before_any_data__are_collecting(self) -> None:
        make_measured()

        BundleAcceptanceAggregator().recompute(now=NOON + HOUR)

        assert (row("test").sample_size, row("test").breach_reasons) == (0, ["sample_size", "min_acceptance_rate"])

    def test_rows__count_mixed_and_faulty_units_apart(self) -> None:
        experiment = make_measured()
        expose(experiment, "test", "t1", "m1")
        expose(experiment, "control", "m1", at=NOON + HOUR)
        buy("m1", at=NOON + 2 * HOUR)

        BundleAcceptanceAggregator().recompute(now=NOON + DAY)

        assert (row("test").exposed_count, row("test").sample_size) == (1, 0)
        assert row("test").metadata == {
            "mixed_count": 1,
            "fault_count": 0,
            "merged_count": 0,
            "holdout_count": 0,
            "cut_count": 0,
            "revised_count": 0,
            "excluded_counts": {"bot": 0, "staff": 0, "test": 0},
        }

    @pytest.mark.parametrize(
        ("status", "origin", "rows"),
        [
            (ExperimentStatus.PAUSED, PhaseOrigin.IMPORTED, 2),
            (ExperimentStatus.COMPLETED, PhaseOrigin.IMPORTED, 0),
            (ExperimentStatus.RUNNING, PhaseOrigin.SEEDED, 0),
        ],
    )
    def test_rows__are_written_for_running_and_paused_ones_that_are_not_seeded(
        self, status: str, origin: str, rows: int
    ) -> None:
        experiment = make_measured()
        expose(experiment, "test", "t1")
        buy("t1")
        Experiment.objects.update(status=status)
        Phase.objects.update(origin=origin)

        BundleAcceptanceAggregator().recompute(now=NOON + DAY)

        assert VariantMetric.objects.count() == rows
        assert GuardrailTally.objects.exists() is (origin != PhaseOrigin.SEEDED)

    def test_rows__of_a_draft__do_not_exist(self) -> None:
        make_experiment()

        result = BundleAcceptanceAggregator().recompute(now=NOON)

        assert (result.experiments, VariantMetric.objects.count()) == (0, 0)

    def test_rows__count_nothing_from_before_the_phase(self) -> None:
        experiment = make_measured()
        buy("t1", at=NOON - DAY)
        expose(experiment, "test", "t1", at=NOON + HOUR)
        buy("t1", took=False, at=NOON + 2 * HOUR)

        BundleAcceptanceAggregator().recompute(now=NOON + DAY)

        assert (row("test").sample_size, row("test").acceptance_count) == (1, 0)

    def test_cancellation__makes_the_next_order_the_outcome(self) -> None:
        experiment = make_measured()
        expose(experiment, "test", "t1")
        buy("t1", at=NOON + HOUR, ref="A")
        buy("t1", at=NOON + 2 * HOUR, took=False)
        BundleAcceptanceAggregator().recompute(now=NOON + DAY)
        assert (row("test").sample_size, row("test").acceptance_count) == (1, 1)

        buy("t1", at=NOON + HOUR, ref="A", status="cancelled", cancelled_at=NOON + 3 * HOUR)
        BundleAcceptanceAggregator().recompute(now=NOON + DAY)

        assert (row("test").sample_size, row("test").acceptance_count) == (1, 0)
        tally = GuardrailTally.objects.order_by("outcome_hour_at").values_list(
            "n", "accepted", "gross_n", "gross_accepted"
        )
        assert list(tally) == [(0, 0, 1, 1), (1, 0, 0, 0)]

    def test_conversion__before_its_exposure_arrives__is_counted_once_it_does(self) -> None:
        experiment = make_measured()
        buy("t1")
        BundleAcceptanceAggregator().recompute(now=NOON + DAY)

        expose(experiment, "test", "t1")
        BundleAcceptanceAggregator().recompute(now=NOON + DAY)

        assert row("test").sample_size == 1


@pytest.mark.django_db
class TestMoments:
    """Sums over the units of a cohort day."""

    def test_moments__of_orders_in_another_currency__stand_apart(self) -> None:
        experiment = make_measured()
        expose(experiment, "test", "t1", "t2")
        record_orders([OrderEvent("D", NOON + HOUR, "USD", (CUP,), unit_id="t2")], now=NOON + DAY)
        buy("t1")

        BundleAcceptanceAggregator().recompute(now=NOON + DAY)

        revenue = (
            Moment.objects.filter(metric="revenue", segment="")
            .order_by("currency")
            .values_list("currency", "n", "total")
        )
        assert list(revenue) == [("EUR", 2, Decimal(3000)), ("USD", 2, Decimal(2000))]

    def test_moments__of_a_huge_order__are_exact(self) -> None:
        experiment = make_measured()
        expose(experiment, "test", "t1")
        huge = OrderLine("cup", 1, 10**12, 1)
        record_orders([OrderEvent("H", NOON + HOUR, "EUR", (huge,), unit_id="t1")], now=NOON + DAY)

        BundleAcceptanceAggregator().recompute(now=NOON + DAY)

        assert Moment.objects.get(metric="revenue", segment="").total_squares == Decimal(10**24)

    def test_moments__with_an_unknown_cost__have_no_margin_that_day(self) -> None:
        experiment = make_measured()
        expose(experiment, "test", "t1")
        expose(experiment, "test", "t2", at=NOON + DAY)
        record_orders([OrderEvent("D", NOON + HOUR, "EUR", (OrderLine("cup", 1, 5),), unit_id="t1")], now=NOON + DAY)
        buy("t2", at=NOON + 25 * HOUR)

        BundleAcceptanceAggregator().recompute(now=NOON + 2 * DAY)

        margins = Moment.objects.filter(metric="margin", segment="")
        assert list(margins.values_list("cohort_date__day", "total")) == [(3, Decimal(1700))]


@pytest.mark.django_db
class TestBundleAcceptance:
    """How often orders took a bundle, over a sliding look-back."""

    def test_acceptance__counts_orders_with_and_without_unit(self) -> None:
        make_bundle()
        buy(None, at=NOON + HOUR, ref="A")
        buy("u1", at=NOON + 2 * HOUR, took=False)
        buy("u2", at=NOON + 3 * HOUR, status="cancelled", cancelled_at=NOON + 4 * HOUR)

        BundleAcceptanceAggregator().recompute(now=NOON + DAY)

        metric = BundleAcceptanceMetric.objects.get()
        assert (metric.acceptance_count, metric.sample_size, metric.acceptance_rate) == (1, 2, Decimal("0.5000"))
        assert (metric.last_accepted_at, metric.lookback_days) == (NOON + HOUR, 30)

    def test_acceptance__of_data_that_has_aged_out__is_zeroed(self) -> None:
        make_bundle()
        buy("u1")
        BundleAcceptanceAggregator().recompute(now=NOON + DAY)

        BundleAcceptanceAggregator().recompute(now=NOON + 40 * DAY)

        metric = BundleAcceptanceMetric.objects.get()
        assert (metric.acceptance_count, metric.sample_size, metric.acceptance_rate) == (0, 0, Decimal(0))
        assert metric.last_accepted_at is None
        assert metric.computed_at == NOON + 40 * DAY

    def test_acceptance__of_a_bundle_nobody_met__has_no_row(self) -> None:
        make_bundle()

        BundleAcceptanceAggregator().recompute(now=NOON)

        assert not BundleAcceptanceMetric.objects.exists()

    def test_acceptance__seeded_for_qa__is_left_alone(self) -> None:
        bundle = make_bundle(metadata={"seeded": True})
        BundleAcceptanceMetric.objects.create(
            bundle=bundle, acceptance_rate="0.18", acceptance_count=180, sample_size=1000, computed_at=NOON
        )

        BundleAcceptanceAggregator().recompute(now=NOON + DAY)

        assert BundleAcceptanceMetric.objects.get().sample_size == 1000

    @pytest.mark.parametrize("days", [0, -1, 3651])
    def test_recompute__with_a_senseless_lookback__is_refused(self, days: int) -> None:
        with pytest.raises(InvalidLookback):
            BundleAcceptanceAggregator().recompute(days, now=NOON)


@pytest.mark.django_db
def test_run__repeated__writes_the_same_rows() -> None:
    experiment = make_measured()
    expose(experiment, "test", "t1")
    buy("t1")
    BundleAcceptanceAggregator().recompute(now=NOON + DAY)
    models = (GuardrailTally, Moment, BundleAcceptanceMetric)
    before = [list(model.objects.order_by("pk").values()) for model in models]

    BundleAcceptanceAggregator().recompute(now=NOON + DAY)

    assert [list(model.objects.order_by("pk").values()) for model in models] == before


@pytest.mark.django_db
def test_run__of_some_experiments__leaves_the_others_alone() -> None:
    chosen, other = make_measured(), make_measured(slug="other")

    aggregate_experiments([chosen.pk], now=NOON + DAY)

    assert set(VariantMetric.objects.values_list("experiment", flat=True)) == {chosen.pk} != {other.pk}


@pytest.mark.django_db
def test_run__tells_how_far_it_is() -> None:
    make_measured()
    told: list[tuple[int, int]] = []

    BundleAcceptanceAggregator(progress=lambda done, total: told.append((done, total))).recompute(now=NOON)

    assert told == [(1, 2), (2, 2)]


@pytest.mark.django_db
def test_refresh__of_many_experiments__takes_as_many_statements_as_of_one() -> None:
    made = [make_measured(slug=f"e-{number}") for number in range(12)]
    ids = [experiment.pk for experiment in made]
    refresh_tallies(ids, now=NOON)
    taken = []

    for some in (ids[:1], ids):
        for experiment in made:
            expose(experiment, "test", f"unit-{len(some)}")
        with CaptureQueriesContext(connection) as queries:
            refresh_tallies(some, now=NOON + HOUR)
        taken.append(len(queries))

    assert taken[0] == taken[1] < 60


@pytest.mark.django_db(transaction=True)
def test_runs__two_at_once_beside_intake__end_as_one_would() -> None:
    experiment = make_measured()
    expose(experiment, "test", *(f"t{number}" for number in range(40)))
    start = Barrier(3)

    def aggregate() -> None:
        start.wait()
        try:
            for _ in range(4):
                BundleAcceptanceAggregator().recompute(now=NOON + DAY)
                refresh_tallies([experiment.pk], now=NOON + DAY)
        finally:
            connections.close_all()

    def shop() -> None:
        start.wait()
        try:
            for number in range(40):
                buy(f"t{number}", took=number % 2 == 0, at=NOON + number * dt.timedelta(minutes=7))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(aggregate), pool.submit(aggregate), pool.submit(shop)]:
            done.result()
    BundleAcceptanceAggregator().recompute(now=NOON + DAY)

    assert (row("test").sample_size, row("test").acceptance_count) == (40, 20)


@pytest.mark.django_db(transaction=True)
def test_fact__committed_after_a_run_had_looked__is_found_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cursors_module, "OVERLAP", dt.timedelta(0))
    experiment = make_measured()
    expose(experiment, "test", "t1")
    started, looked = Barrier(2), Barrier(2)

    def slow_writer() -> None:
        try:
            with transaction.atomic():
                buy("t1")
                started.wait()
                looked.wait()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(slow_writer)
        started.wait()
        early = BundleAcceptanceAggregator().recompute(now=NOON + DAY)
        assert row("test").sample_size == 0
        looked.wait()
        writing.result()
    BundleAcceptanceAggregator().recompute(now=NOON + DAY)

    assert row("test").sample_size == 1
    assert early.watermark_at < NOON + DAY


@pytest.mark.django_db(transaction=True)
def test_run__that_dies__leaves_the_rows_of_before() -> None:
    experiment = make_measured()
    expose(experiment, "test", "t1", "t2")
    buy("t1")
    BundleAcceptanceAggregator().recompute(now=NOON + HOUR)
    before = list(GuardrailTally.objects.values()), list(AggregationCursor.objects.order_by("pk").values())
    buy("t2")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE catalog_bundle_experiment_cursors ADD CONSTRAINT broken CHECK (false) NOT VALID")

    try:
        with pytest.raises(Exception, match="broken"):
            BundleAcceptanceAggregator().recompute(now=NOON + HOUR)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE catalog_bundle_experiment_cursors DROP CONSTRAINT broken")

    assert (list(GuardrailTally.objects.values()), list(AggregationCursor.objects.order_by("pk").values())) == before
    assert Bundle.objects.exists()
