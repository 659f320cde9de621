"""The final checks of those whom the sample ratio leaves out: mixed units, and buyers without an exposure."""

from __future__ import annotations

import datetime as dt

import pytest

from catalog_experiments.analysis import Buyers, LeftOutRatios, analyze, unexposed
from catalog_experiments.analysis.sample_ratio import left_out_ratios
from catalog_experiments.intake import ExposureEvent, OfferTaken, OrderEvent, OrderLine, record_exposures, record_orders
from catalog_experiments.models import Experiment, ExperimentStatus, Exposure, PhaseOrigin
from tests.builders import NOON, make_running_experiment
from tests.catalog_experiments.buyers import change_phase

HOUR = dt.timedelta(hours=1)
LATER = NOON + 12 * HOUR
HALVES = [{"key": "control", "weight": 50}, {"key": "test", "weight": 50}]


def make_ended() -> Experiment:
    """Make an experiment whose claims are taken as given; it is over, and its report final."""
    experiment = make_running_experiment()
    change_phase(experiment, origin=PhaseOrigin.IMPORTED)
    Experiment.objects.filter(pk=experiment.pk).update(status=ExperimentStatus.COMPLETED)
    return Experiment.objects.get(pk=experiment.pk)


def buy(key: str | None, count: int, *, is_met: bool = False, is_known: bool = True, after: float = 2) -> None:
    """Let new visitors order, through the offer of a variant or through none."""
    offers = () if key is None else (OfferTaken("cup-saucer", key, f"cup-saucer-{key}", 1, None),)
    units = [f"{key}-{is_met}-{is_known}-{after}-{number}" for number in range(count)]
    if is_met:
        record_exposures(
            [ExposureEvent("cup-saucer", unit, key or "control", NOON + HOUR) for unit in units], now=LATER
        )
    lines = (OrderLine("cup", 1, 2000, 900), OrderLine("saucer", 1, 500, 100))
    orders = [
        OrderEvent(unit, NOON + after * HOUR, "EUR", lines, unit_id=unit if is_known else None, offers=offers)
        for unit in units
    ]
    record_orders(orders, now=LATER)


def ratios_of(experiment: Experiment) -> LeftOutRatios:
    change_phase(experiment, origin=PhaseOrigin.PUBLISHED)
    ratios = analyze(Experiment.objects.get(pk=experiment.pk), now=LATER).left_out_ratios
    assert ratios is not None
    return ratios


@pytest.mark.parametrize(
    ("mixed", "expected"),
    [({}, None), ({"control": 5, "test": 4}, None), ({"control": 52, "test": 48}, False), ({"control": 30}, True)],
)
def test_left_out_ratios__mixed_units__against_the_plan_once_there_are_enough(
    mixed: dict[str, int], expected: bool | None
) -> None:
    ratios = left_out_ratios(HALVES, mixed, Buyers({}, {}))

    assert (ratios.mixed.is_mismatch if ratios.mixed else None) == expected


@pytest.mark.parametrize(
    ("met", "unmet", "expected"),
    [
        # Three times as many buy the test's offer: among those who were not met just as among those who were.
        ({"control": 100, "test": 300}, {"control": 10, "test": 30}, False),
        ({"control": 100, "test": 300}, {"control": 30, "test": 10}, True),
        ({"control": 100, "test": 300}, {"control": 4, "test": 8}, None),
        ({"control": 100, "test": 300}, {}, None),
        ({}, {"control": 30, "test": 10}, None),
        # A control without an offer is named by nobody: there is nothing to compare.
        ({"test": 300}, {"test": 30}, None),
    ],
)
def test_left_out_ratios__buyers_without_exposure__against_those_who_were_met(
    met: dict[str, int], unmet: dict[str, int], expected: bool | None
) -> None:
    ratios = left_out_ratios(HALVES, {}, Buyers(met, unmet))

    assert (ratios.unmet.is_mismatch if ratios.unmet else None) == expected


@pytest.mark.django_db
def test_analyze__ended__counts_buyers_by_what_is_known_of_them() -> None:
    experiment = make_ended()
    buy("control", 8, is_met=True)
    buy("test", 9, is_met=True)
    buy("control", 6)
    buy("test", 7)
    buy(None, 5)
    buy("test", 3, is_known=False)
    buy("test", 4, after=-1)
    record_orders(
        [OrderEvent("again", NOON + 3 * HOUR, "EUR", (OrderLine("cup", 1, 2000, 900),), "test-False-True-2-0")],
        now=LATER,
    )

    buyers = ratios_of(experiment).buyers

    assert buyers == Buyers({"control": 8, "test": 9}, {"control": 6, "test": 7}, unnamed=5, nameless=3)


@pytest.mark.django_db
def test_analyze__ended__leaves_out_whoever_does_not_count_and_what_was_not_served() -> None:
    experiment = make_ended()
    buy("test", 4, is_met=True)
    Exposure.objects.update(is_mixed=True)
    buy("control", 2, after=6)
    change_phase(experiment, unserved_spans=[[(NOON + 5 * HOUR).isoformat(), (NOON + 7 * HOUR).isoformat()]])

    assert ratios_of(experiment).buyers == Buyers({}, {})


@pytest.mark.django_db
def test_analyze__more_orders_than_are_looked_at__newest_ones_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = make_ended()
    buy("control", 3, after=2)
    buy("test", 4, after=3)
    monkeypatch.setattr(unexposed, "MOST_ORDERS", 4)

    assert ratios_of(experiment).buyers == Buyers({}, {"test": 4}, is_partial=True)


@pytest.mark.django_db
def test_analyze__running__has_no_final_checks() -> None:
    assert analyze(make_running_experiment(), now=LATER).left_out_ratios is None


@pytest.mark.django_db
def test_analyze__imported__has_no_offers_of_this_shop_to_look_for() -> None:
    assert analyze(make_ended(), now=LATER).left_out_ratios is None
