"""Whatever arrives, in whatever order, between whatever runs: a refresh equals a full count equals the definitions."""

import datetime as dt
import random
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog_experiments.aggregation import BundleAcceptanceAggregator, cursors, refresh_tallies
from catalog_experiments.intake import (
    AliasEvent,
    ExposureEvent,
    OrderEvent,
    OrderLine,
    record_aliases,
    record_exposures,
    record_orders,
)
from catalog_experiments.models import (
    AggregationCursor,
    Cohort,
    Exposure,
    GuardrailTally,
    Moment,
    OpenUnit,
    Order,
    OrderOutcome,
    Phase,
    PhaseOrigin,
    UnitAlias,
)
from tests.builders import NOON, make_bundle, make_running_experiment
from tests.catalog_experiments.aggregation.reference import (
    reference_counts,
    reference_moments,
    reference_tallies,
)

pytestmark = pytest.mark.django_db

HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
END = NOON + 20 * DAY
CLOCKS = {"run": END, "early_run": NOON + 9 * DAY}
"""When runs take place: after every window has closed, and while those of the last cohort days are open."""


@pytest.fixture(autouse=True)
def no_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a refresh look at nothing but news: the overlap would recount these young facts every time."""
    monkeypatch.setattr(cursors, "OVERLAP", dt.timedelta(0))


def make_measured_phase(**overrides: Any) -> Phase:
    """Make a running experiment whose claims are taken as given, with a different bundle in each variant."""
    variants = [
        {"key": key, "name": key, "weight": 1, "is_control": key == "control", "bundle": bundle}
        for key, bundle in (
            ("control", make_bundle(bundle_slug="one", components=[{"slug": "saucer", "quantity": 1}])),
            ("test", make_bundle(bundle_slug="two", components=[{"slug": "spoon", "quantity": 1}])),
        )
    ]
    phase = make_running_experiment(variants=variants).current_phase
    assert phase is not None
    Phase.objects.filter(pk=phase.pk).update(origin=PhaseOrigin.IMPORTED, window_days=3, **overrides)
    phase.refresh_from_db()
    return phase


def tallies(phase: Phase) -> dict[Any, tuple[int, int, int, int, int]]:
    return {
        (row.variant_key, row.outcome_hour_at): (row.n, row.accepted, row.gross_n, row.gross_accepted, row.revised)
        for row in GuardrailTally.objects.filter(phase=phase)
    }


def moments(phase: Phase) -> dict[Any, tuple[int, Decimal, Decimal, Decimal, Decimal, Decimal]]:
    return {
        (row.variant_key, row.cohort_date, row.metric, row.segment, row.currency): (
            row.n,
            row.total,
            row.total_squares,
            row.covariate_total,
            row.covariate_total_squares,
            row.cross_total,
        )
        for row in Moment.objects.filter(phase=phase)
    }


def counts(phase: Phase) -> dict[Any, tuple[int, ...]]:
    fields = ("exposed", "uncut", "mixed", "faulty", "merged", "holdout", "revised")
    rows = Cohort.objects.filter(phase=phase, segment="", currency="")
    return {(key, day): tuple(own) for key, day, *own in rows.values_list("variant_key", "cohort_date", *fields)}


def everything(phase: Phase) -> tuple[Any, ...]:
    """Return every stored number of the phase but the keys of rows."""
    rows = Cohort.objects.filter(phase=phase).order_by("cohort_date", "variant_key", "segment", "currency").values()
    units = OpenUnit.objects.filter(phase=phase).order_by("unit").values()
    return tallies(phase), moments(phase), [row | {"id": None} for row in rows], list(units)


def assert_counted_right(phase: Phase) -> None:
    phase.refresh_from_db()
    assert tallies(phase) == reference_tallies(phase)
    assert moments(phase) == reference_moments(phase)
    assert counts(phase) == reference_counts(phase)


def _order(ref: str, minute: int, *, took_bundle: bool = True, **state: Any) -> OrderEvent:
    returned = state.pop("returned", 0)
    side = OrderLine("saucer" if took_bundle else "plate", 1, 500, 100, returned=returned)
    lines = (OrderLine("cup", 1, 2000, 900), side)
    placed_at = NOON + DAY + minute * dt.timedelta(minutes=1)
    return OrderEvent(ref, placed_at, "EUR", lines, unit_id="buyer", **state)


def _cancelled(ref: str, minute: int, *, after: int) -> OrderEvent:
    cancelled_at = NOON + DAY + after * dt.timedelta(minutes=1)
    return _order(ref, minute, status="cancelled", cancelled_at=cancelled_at)


def _seen(key: str, *, unit: str = "buyer", minute: int = -100, is_holdout: bool = False) -> ExposureEvent:
    return ExposureEvent("cup-saucer", unit, key, NOON + DAY + minute * dt.timedelta(minutes=1), is_holdout=is_holdout)


@pytest.mark.parametrize(
    ("reports", "revised"),
    [
        ([], 0),
        ([_cancelled("A-1", 0, after=200)], 1),
        # The unit's next order counts instead, with the same acceptance: net and gross are as before.
        ([_order("A-2", 5), _cancelled("A-1", 0, after=200)], 1),
        ([_order("A-2", 5), _cancelled("A-1", 0, after=200), _cancelled("A-2", 5, after=300)], 2),
        # It never counted, for the one before it did.
        ([_order("A-2", 5), _cancelled("A-2", 5, after=200)], 0),
        ([_order("A-2", 5), _cancelled("A-2", 5, after=200), _cancelled("A-1", 0, after=300)], 1),
        ([_order("A-1", 0, returned=1)], 1),
        ([_order("A-1", 0, returned=1), _cancelled("A-1", 0, after=200)], 2),
        # Additions, however late, are none; nor is an order that was given up before it was paid.
        ([_order("A-0", -30, took_bundle=False)], 0),
        ([_order("A-2", 5, status="pending"), _cancelled("A-2", 5, after=200)], 0),
        ([_cancelled("A-0", -30, after=200)], 0),
        # The unit itself leaves, with an order or without one that counts by then; later orders are nobody's.
        ([_seen("test")], 1),
        ([_seen("test"), _order("A-2", 5)], 1),
        ([_cancelled("A-1", 0, after=200), _seen("test")], 1),
        ([_cancelled("A-1", 0, after=200), _order("A-2", 5), _seen("control", is_holdout=True)], 2),
        ([AliasEvent("buyer", "customer"), _seen("control", unit="customer", minute=-500)], 1),
        ([_seen("control", minute=-200)], 0),
    ],
)
def test_tallies__after_reports_of_one_buyer__count_each_outcome_that_changed_or_left(
    reports: list[Any], revised: int
) -> None:
    phase = make_measured_phase()
    record_exposures([ExposureEvent("cup-saucer", "buyer", "control", NOON + DAY - 2 * HOUR)], now=END)
    record_orders([_order("A-1", 0)], now=END)
    refresh_tallies([phase.experiment_id], now=CLOCKS["early_run"])

    for report in reports:
        apply(report, phase, 0)
        refresh_tallies([phase.experiment_id], now=CLOCKS["early_run"])

    assert sum(row[4] for row in tallies(phase).values()) == revised
    assert_counted_right(phase)
    assert BundleAcceptanceAggregator().verify(now=CLOCKS["early_run"]).corrected == 0


minutes = st.integers(0, 8 * 24 * 60)
segments = st.none() | st.fixed_dictionaries(
    {}, optional={"device": st.sampled_from(["mobile", "desktop"]), "country": st.sampled_from(["DE", "FR"])}
)
exposure_events = st.builds(
    lambda unit, key, at, known: ExposureEvent(
        "cup-saucer", f"u{unit}", key, NOON + at * dt.timedelta(minutes=1), segments=known
    ),
    st.integers(0, 4),
    st.sampled_from(["control", "test"]),
    minutes,
    segments,
)
one_sided_events = st.builds(
    lambda unit, at, known: ExposureEvent(
        "cup-saucer",
        f"u{unit}",
        "test" if unit % 2 else "control",
        NOON + at * dt.timedelta(minutes=1),
        segments=known,
        is_holdout=unit == 7,
    ),
    st.integers(0, 7),
    minutes,
    segments,
)
alias_events = st.builds(
    lambda visitor, customer: AliasEvent(f"u{visitor}", f"u{customer}"),
    st.sampled_from([0, 1, 3]),
    st.sampled_from([5, 6]),
)


@st.composite
def order_events(draw: st.DrawFn) -> OrderEvent:
    number = draw(st.integers(0, 11))
    status = draw(st.sampled_from(["pending", "paid", "paid", "confirmed", "cancelled"]))
    placed_at = NOON + dt.timedelta(minutes=(number * 977) % (8 * 24 * 60)) - DAY
    side = ("saucer", "spoon", "plate")[number % 3]
    returned = draw(st.integers(0, 1)) if number % 2 else 0
    lines = [OrderLine(side, 1, 100 * number, 50 if number % 4 else None, returned=returned)]
    if number != 11:
        lines.append(OrderLine("cup", 1, 2000, 900))
    return OrderEvent(
        order_ref=f"A-{number}",
        placed_at=placed_at,
        currency="USD" if number == 9 else "EUR",
        lines=tuple(lines),
        unit_id=f"u{number % 7}",
        status=status,
        cancelled_at=placed_at if status == "cancelled" else None,
        refunded_minor=draw(st.sampled_from([0, 0, 150])),
    )


steps = st.lists(
    st.one_of(
        one_sided_events,
        exposure_events,
        order_events(),
        alias_events,
        st.sampled_from(["run", "early_run", "early_run", "tick", "pause", "resume", "close"]),
    ),
    min_size=1,
    max_size=25,
)


def apply(step: Any, phase: Phase, place: int) -> None:
    """Do one step of a stream: a report, a run, a guardrail tick, or a change of what is served."""
    if isinstance(step, ExposureEvent):
        record_exposures([step], now=END)
    elif isinstance(step, OrderEvent):
        record_orders([step], now=END)
    elif isinstance(step, AliasEvent):
        record_aliases([step], now=NOON + place * 6 * HOUR)
    elif step in CLOCKS:
        BundleAcceptanceAggregator().recompute(now=CLOCKS[step])
    elif step == "tick":
        refresh_tallies([phase.experiment_id], now=CLOCKS["early_run"])
    elif step == "close":
        Phase.objects.filter(pk=phase.pk, closed_at=None).update(closed_at=NOON + place * 6 * HOUR + HOUR)
    else:
        _serve(phase, step, NOON + place * 6 * HOUR)


def _serve(phase: Phase, step: str, at: dt.datetime) -> None:
    phase.refresh_from_db()
    if phase.closed_at is not None:
        return
    gaps = phase.unserved_spans
    is_open = bool(gaps) and gaps[-1][1] is None
    if step == "pause" and not is_open:
        gaps = [*gaps, [at.isoformat(), None]]
    elif step == "resume" and is_open:
        gaps = [*gaps[:-1], [gaps[-1][0], at.isoformat()]]
    Phase.objects.filter(pk=phase.pk).update(unserved_spans=gaps)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(stream=steps, last=st.sampled_from(sorted(CLOCKS)))
def test_aggregates__after_any_stream_with_runs_in_between__equal_the_definitions(stream: list[Any], last: str) -> None:
    _forget_everything()
    phase = Phase.objects.first() or make_measured_phase(caps={"revenue": 2500}, segments=["device", "country"])

    for place, step in enumerate(stream):
        apply(step, phase, place)
    apply(last, phase, 0)

    refreshed = everything(phase)
    AggregationCursor.objects.all().delete()
    apply(last, phase, 0)
    assert without_lingering(refreshed) == without_lingering(everything(phase))
    assert_counted_right(phase)


def without_lingering(numbers: tuple[Any, ...]) -> tuple[Any, ...]:
    """Leave out units of days that a later clock had closed already: a whole count at an earlier one opens them."""
    *others, units = numbers
    return *others, [unit for unit in units if unit["cohort_date"] >= (END - 5 * DAY).date()]


def _forget_everything() -> None:
    for model in (
        OrderOutcome,
        Order,
        Exposure,
        GuardrailTally,
        Moment,
        Cohort,
        OpenUnit,
        UnitAlias,
        AggregationCursor,
    ):
        model.objects.all().delete()
    Phase.objects.update(unserved_spans=[], closed_at=None)


@pytest.mark.parametrize("seed", range(6))
def test_aggregates__after_a_long_stream__equal_the_definitions_at_every_run(seed: int) -> None:
    phase = make_measured_phase(caps={"revenue": 2500})
    stream = long_stream(random.Random(seed))

    for place, step in enumerate(stream):
        apply(step, phase, place // 8)
        if isinstance(step, str) and step in CLOCKS:
            assert_counted_right(phase)
    BundleAcceptanceAggregator().recompute(now=END)

    assert_counted_right(phase)
    assert sum(row[0] for row in tallies(phase).values()) > 5


def long_stream(chance: random.Random) -> list[Any]:
    """Return reports of 40 units over 8 days: shuffled, repeated, some late, cancelled, mixed or without margin."""
    units = [f"u{number}" for number in range(40)]
    exposures = [
        ExposureEvent("cup-saucer", unit, chance.choice(["control", "test"]), NOON + chance.random() * 4 * DAY)
        for unit in units
    ]
    exposures += [
        ExposureEvent("cup-saucer", event.unit_id, event.variant_key, event.exposed_at - chance.random() * DAY)
        for event in chance.sample(exposures, 12)
        if event.exposed_at is not None and event.exposed_at - DAY > NOON
    ]
    exposures += [ExposureEvent("cup-saucer", "u0", key, NOON + DAY) for key in ("control", "test")]
    orders = [_random_order(chance, number, units) for number in range(90)]
    orders[::6] = [replace(order, unit_id=f"customer{place % 6}") for place, order in enumerate(orders[::6])]
    cancelled = [
        replace(order, status="cancelled", cancelled_at=order.placed_at) for order in chance.sample(orders, 15)
    ]
    stream: list[Any] = [
        *exposures,
        *orders,
        *cancelled,
        *chance.sample(orders, 10),
        *["run"] * 2,
        *["early_run"] * 6,
        *["tick"] * 6,
    ]
    stream += ["pause", "resume"] * (chance.random() < 0.5)
    chance.shuffle(stream)
    for place, visitor in enumerate(units[:9]):
        stream.insert(place * 13, AliasEvent(visitor, f"customer{place % 6}"))
    return stream


def _random_order(chance: random.Random, number: int, units: list[str]) -> OrderEvent:
    side = chance.choice(["saucer", "spoon", "plate"])
    lines = [OrderLine(side, 1, chance.randrange(2000), None if chance.random() < 0.03 else 50)]
    if chance.random() < 0.8:
        lines.append(OrderLine("cup", 1, 2000, 900))
    placed_at = NOON + chance.random() * 7 * DAY
    return OrderEvent(f"A-{number}", placed_at, "EUR", tuple(lines), unit_id=chance.choice(units))
