"""Units that are held out or outside the exclusion group: recorded at the slot, marked, and in no result."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Callable

import pytest

from catalog_experiments import publication
from catalog_experiments.aggregation import BundleAcceptanceAggregator
from catalog_experiments.assignment import bucket
from catalog_experiments.intake import ExposureEvent, ItemResult, record_exposures
from catalog_experiments.models import Experiment, Exposure, Holdout, VariantMetric
from tests.builders import NOON, make_phase, make_running_experiment
from tests.catalog_experiments.intake.test_exposures import HOUR, MINUTE, computed_variant

pytestmark = pytest.mark.django_db

ACTOR = "user:mara"
LONG_AGO = NOON - dt.timedelta(days=3)


def hold_out(size: int, *, group_slug: str | None = None, at: dt.datetime = LONG_AGO) -> Holdout:
    return publication.set_holdout(size, group_slug=group_slug, actor=ACTOR, now=at)


def unit_where(holds: Callable[[str], bool]) -> str:
    return next(unit for unit in (f"visitor-{number}" for number in itertools.count()) if holds(unit))


def held_unit(holdout: Holdout, experiment: Experiment, variant_key: str = "test") -> str:
    """Return a held-out unit that would have had the variant."""
    phase = experiment.current_phase
    assert phase is not None
    return unit_where(
        lambda unit: bucket(holdout.salt, unit) < holdout.size and computed_variant(unit, phase) == variant_key
    )


def free_unit(holdout: Holdout, experiment: Experiment, variant_key: str) -> str:
    phase = experiment.current_phase
    assert phase is not None
    return unit_where(
        lambda unit: bucket(holdout.salt, unit) >= holdout.size and computed_variant(unit, phase) == variant_key
    )


def report(event: ExposureEvent, *, now: dt.datetime = NOON + 2 * HOUR) -> ItemResult:
    (result,) = record_exposures([event], now=now)
    return result


def test_held_out__says_so__is_recorded_with_the_control_and_marked() -> None:
    holdout, experiment = hold_out(2_000), make_running_experiment()
    unit = held_unit(holdout, experiment)

    result = report(ExposureEvent(experiment.slug, unit, "control", NOON + HOUR, is_holdout=True))

    row = Exposure.objects.get()
    assert (result.outcome, result.code) == ("accepted", "held_out")
    assert (row.variant_key, row.is_holdout, row.is_fault, row.is_mixed) == ("control", True, False, False)


def test_held_out__reported_twice__is_a_duplicate() -> None:
    holdout, experiment = hold_out(2_000), make_running_experiment()
    event = ExposureEvent(experiment.slug, held_unit(holdout, experiment), "control", NOON + HOUR, is_holdout=True)
    report(event)

    again = report(event)

    assert (again.outcome, again.code) == ("duplicate", "")


def test_held_out__enrolled_by_the_client_all_the_same__is_marked_without_a_fault() -> None:
    holdout, experiment = hold_out(2_000), make_running_experiment()

    result = report(ExposureEvent(experiment.slug, held_unit(holdout, experiment), "test", NOON + HOUR))

    row = Exposure.objects.get()
    assert result.code == "held_out"
    assert (row.variant_key, row.is_holdout, row.is_fault) == ("test", True, False)


def test_not_held_out__says_it_is__is_a_fault_of_the_computed_variant() -> None:
    holdout, experiment = hold_out(2_000), make_running_experiment()
    unit = free_unit(holdout, experiment, "test")

    result = report(ExposureEvent(experiment.slug, unit, "control", NOON + HOUR, is_holdout=True))

    row = Exposure.objects.get()
    assert result.code == "client_fault"
    assert (row.variant_key, row.claimed_key, row.is_holdout) == ("test", "control", False)


def test_held_out__with_a_test_variant__is_refused() -> None:
    holdout, experiment = hold_out(2_000), make_running_experiment()

    result = report(
        ExposureEvent(experiment.slug, held_unit(holdout, experiment), "test", NOON + HOUR, is_holdout=True)
    )

    assert (result.outcome, result.code) == ("rejected", "not_control")


@pytest.mark.parametrize("is_holdout", [True, False])
def test_resized_a_moment_ago__either_answer__is_taken(is_holdout: bool) -> None:
    experiment = make_running_experiment()
    holdout = hold_out(2_000, at=NOON + HOUR)
    unit = held_unit(holdout, experiment) if not is_holdout else free_unit(holdout, experiment, "test")
    key = "control" if is_holdout else "test"

    result = report(ExposureEvent(experiment.slug, unit, key, NOON + HOUR + 10 * MINUTE, is_holdout=is_holdout))

    row = Exposure.objects.get()
    assert result.outcome == "accepted"
    assert (row.variant_key, row.is_holdout, row.is_fault) == (key, is_holdout, False)


def test_holdout__raised_during_a_phase__takes_returning_units_out_of_every_result() -> None:
    experiment = make_running_experiment()
    holdout = hold_out(0)
    holdout.size = 2_000  # as it will be
    staying, leaving = free_unit(holdout, experiment, "test"), held_unit(holdout, experiment)
    for unit in (staying, leaving):
        report(ExposureEvent(experiment.slug, unit, "test", NOON + HOUR))
    assert exposed_count(NOON + 2 * HOUR) == 2

    hold_out(2_000, at=NOON + 2 * HOUR)
    report(ExposureEvent(experiment.slug, leaving, "control", NOON + 3 * HOUR, is_holdout=True), now=NOON + 3 * HOUR)

    assert Experiment.objects.get().phases.count() == 1
    assert exposed_count(NOON + 4 * HOUR) == 1
    metric = VariantMetric.objects.get(variant__key="test")
    assert [metric.metadata[f"{name}_count"] for name in ("mixed", "fault", "holdout")] == [0, 0, 1]


def test_holdout__lowered_again__leaves_its_units_out_until_the_next_phase() -> None:
    holdout, experiment = hold_out(2_000), make_running_experiment()
    unit = held_unit(holdout, experiment)
    report(ExposureEvent(experiment.slug, unit, "control", NOON + HOUR, is_holdout=True))
    hold_out(0, at=NOON + 2 * HOUR)

    report(ExposureEvent(experiment.slug, unit, "test", NOON + 4 * HOUR), now=NOON + 4 * HOUR)

    assert exposed_count(NOON + 5 * HOUR) == 0
    assert Exposure.objects.get().is_holdout


def test_holdout__of_another_group__does_not_apply() -> None:
    publication.create_group("teas", "Teas", actor=ACTOR, now=LONG_AGO)
    holdout, experiment = hold_out(10_000, group_slug="teas"), make_running_experiment()
    holdout.size = 0

    result = report(ExposureEvent(experiment.slug, free_unit(holdout, experiment, "test"), "test", NOON + HOUR))

    assert (result.outcome, result.code) == ("accepted", "")


def test_claim__from_outside_the_group_range__is_refused() -> None:
    group = publication.create_group("teas", "Teas", actor=ACTOR, now=LONG_AGO)
    experiment = make_running_experiment(exclusion_group=group, exclusion_start=0, exclusion_end=5_000)
    inside = unit_where(lambda unit: bucket(group.salt, unit) < 5_000 and computed_variant_of(experiment, unit))
    outside = unit_where(lambda unit: bucket(group.salt, unit) >= 5_000 and computed_variant_of(experiment, unit))

    results = record_exposures(
        [ExposureEvent(experiment.slug, unit, "test", NOON + HOUR) for unit in (inside, outside)], now=NOON + 2 * HOUR
    )

    assert [(result.index, result.outcome, result.code) for result in results] == [
        (0, "accepted", ""),
        (1, "rejected", "not_enrolled"),
    ]


def test_claim__naming_a_closed_phase__is_checked_without_the_present_gates() -> None:
    experiment = make_running_experiment()
    first = experiment.current_phase
    assert first is not None
    first.closed_at = NOON + 2 * HOUR
    first.save()
    experiment.current_phase = make_phase(experiment, opened_at=NOON + 2 * HOUR, salt="another")
    experiment.save()
    holdout = hold_out(5_000)
    unit = unit_where(lambda unit: bucket(holdout.salt, unit) < 5_000 and computed_variant(unit, first) == "test")

    result = report(ExposureEvent(experiment.slug, unit, "test", NOON + HOUR, phase=1), now=NOON + 3 * HOUR)

    assert (result.outcome, result.code) == ("accepted", "")


def computed_variant_of(experiment: Experiment, unit: str) -> bool:
    assert experiment.current_phase is not None
    return computed_variant(unit, experiment.current_phase) == "test"


def exposed_count(now: dt.datetime) -> int:
    """Aggregate and return the units that count for the test variant."""
    BundleAcceptanceAggregator().recompute(now=now)
    metric = VariantMetric.objects.filter(variant__key="test").first()
    return metric.exposed_count if metric else 0
