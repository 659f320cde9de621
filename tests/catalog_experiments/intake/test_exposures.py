"""Exposures: one row per unit and phase, claims checked against the computed variant, any order and repetition."""

import datetime as dt
import itertools
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog_experiments.assignment import allocation, bucket, choose_variant
from catalog_experiments.intake import ExposureEvent, record_exposures
from catalog_experiments.models import Experiment, Exposure, Holdout, Phase, PhaseOrigin
from catalog_experiments.units import digest_unit
from tests.builders import NOON, make_phase, make_running_experiment

pytestmark = pytest.mark.django_db

HOUR = dt.timedelta(hours=1)
MINUTE = dt.timedelta(minutes=1)


def computed_variant(unit_id: str, phase: Phase, coverage: int = 10_000) -> str | None:
    weights = [variant["weight"] for variant in phase.variants]
    position = choose_variant(allocation(weights, coverage), bucket(phase.salt, unit_id))
    return None if position is None else str(phase.variants[position]["key"])


def unit_in(phase: Phase, variant_key: str | None, *, coverage: int = 10_000, not_in: Phase | None = None) -> str:
    """Return a unit id that the phase assigns to the variant (and the other phase does not)."""
    return next(
        unit_id
        for unit_id in (f"visitor-{number}" for number in itertools.count())
        if computed_variant(unit_id, phase, coverage) == variant_key
        and (not_in is None or computed_variant(unit_id, not_in) != variant_key)
    )


def exposure(experiment: Experiment, /, **overrides: Any) -> ExposureEvent:
    phase = experiment.current_phase
    assert phase is not None
    fields: dict[str, Any] = {"experiment": experiment.slug, "variant_key": "test", "exposed_at": NOON + HOUR}
    fields |= {"unit_id": unit_in(phase, overrides.get("variant_key", "test"))} if "unit_id" not in overrides else {}
    return ExposureEvent(**(fields | overrides))


def outcome_of(event: ExposureEvent, *, now: dt.datetime = NOON + 2 * HOUR) -> tuple[str, str]:
    (result,) = record_exposures([event], now=now)
    return result.outcome, result.code


def test_exposure__of_the_computed_variant__is_stored_without_the_raw_unit() -> None:
    experiment = make_running_experiment()
    event = exposure(experiment, segments={"device": "phone"})

    result = outcome_of(event)

    row = Exposure.objects.get()
    assert result == ("accepted", "")
    assert (row.unit, row.variant_key, row.exposed_at) == (digest_unit(event.unit_id), "test", NOON + HOUR)
    assert (row.experiment, row.phase, row.segments) == (experiment, experiment.current_phase, {"device": "phone"})
    assert row.retention_month == dt.date(2026, 3, 1)
    assert [row.is_mixed, row.is_fault, row.is_merged, row.is_holdout] == [False] * 4


def test_exposure__reported_again__is_a_duplicate() -> None:
    event = exposure(make_running_experiment())
    record_exposures([event], now=NOON + 2 * HOUR)
    before = Exposure.objects.values().get()

    again = record_exposures([event, event], now=NOON + 3 * HOUR)

    assert [result.outcome for result in again] == ["duplicate", "duplicate"]
    assert Exposure.objects.values().get() == before


def test_exposure__reported_late_but_earlier__takes_the_place_of_the_later() -> None:
    experiment = make_running_experiment()
    later = exposure(experiment, exposed_at=NOON + 2 * HOUR)
    earlier = exposure(experiment, exposed_at=NOON + HOUR)

    results = record_exposures([later], now=NOON + 3 * HOUR) + record_exposures([earlier], now=NOON + 3 * HOUR)

    assert [result.outcome for result in results] == ["accepted", "accepted"]
    assert Exposure.objects.get().exposed_at == NOON + HOUR


def test_exposure__claims_another_variant_than_computed__is_a_fault_of_the_computed_one() -> None:
    experiment = make_running_experiment()
    assert experiment.current_phase is not None
    event = exposure(experiment, unit_id=unit_in(experiment.current_phase, "control"))

    result = outcome_of(event)

    row = Exposure.objects.get()
    assert result == ("accepted", "client_fault")
    assert (row.variant_key, row.claimed_key, row.is_fault) == ("control", "test", True)


def test_exposure__seen_with_both_variants__is_mixed_and_keeps_the_computed_one() -> None:
    experiment = make_running_experiment()
    right = exposure(experiment, exposed_at=NOON + 2 * HOUR)
    wrong = exposure(experiment, unit_id=right.unit_id, variant_key="control", exposed_at=NOON + 2 * HOUR)

    record_exposures([right], now=NOON + 3 * HOUR)
    record_exposures([wrong], now=NOON + 3 * HOUR)

    row = Exposure.objects.get()
    assert (row.variant_key, row.claimed_key, row.is_mixed, row.is_fault) == ("test", "control", True, True)


def test_exposure__right_again_after_a_fault__keeps_the_wrong_claim() -> None:
    experiment = make_running_experiment()
    right = exposure(experiment)
    wrong = exposure(experiment, unit_id=right.unit_id, variant_key="control")
    record_exposures([wrong], now=NOON + 2 * HOUR)

    record_exposures([right], now=NOON + 2 * HOUR)

    row = Exposure.objects.get()
    assert (row.variant_key, row.claimed_key, row.is_mixed, row.is_fault) == ("test", "control", True, True)


def test_exposure__outside_coverage__is_refused() -> None:
    experiment = make_running_experiment(coverage=2000)
    assert experiment.current_phase is not None
    event = exposure(experiment, unit_id=unit_in(experiment.current_phase, None, coverage=2000))

    assert outcome_of(event) == ("rejected", "not_enrolled")
    assert not Exposure.objects.exists()


def test_exposure__of_a_forced_unit__is_refused() -> None:
    experiment = make_running_experiment(forced_units={"qa-1": "test"})

    assert outcome_of(exposure(experiment, unit_id="qa-1")) == ("rejected", "forced_unit")


@pytest.mark.parametrize(
    ("overrides", "code"),
    [
        ({"experiment": "nothing"}, "experiment_unknown"),
        ({"experiment": "nul\x00"}, "experiment_invalid"),
        ({"variant_key": "third", "unit_id": "visitor-1"}, "variant_unknown"),
        ({"unit_id": ""}, "unit_id_invalid"),
        ({"unit_id": "a" * 256}, "unit_id_invalid"),
        ({"unit_id": "\ud800"}, "unit_id_invalid"),
        ({"phase": 7}, "phase_unknown"),
        ({"exposed_at": NOON.replace(tzinfo=None)}, "exposed_at_invalid"),
        ({"exposed_at": NOON + 2 * HOUR + 6 * MINUTE}, "future"),
        ({"exposed_at": dt.datetime(9999, 1, 1, tzinfo=dt.UTC)}, "future"),
        ({"exposed_at": dt.datetime(1970, 1, 1, tzinfo=dt.UTC)}, "too_late"),
        ({"exposed_at": NOON - HOUR}, "not_running"),
        ({"segments": {"a": "x" * 101}}, "segments_invalid"),
    ],
)
def test_exposure__that_breaks_a_rule__is_rejected_with_its_code(overrides: dict[str, Any], code: str) -> None:
    event = exposure(make_running_experiment(), **overrides)

    assert outcome_of(event) == ("rejected", code)
    assert not Exposure.objects.exists()


def test_exposure__up_to_five_minutes_ahead__is_clamped_to_now() -> None:
    event = exposure(make_running_experiment(), exposed_at=NOON + 2 * HOUR + 5 * MINUTE)

    assert outcome_of(event) == ("accepted", "clamped")
    assert Exposure.objects.get().exposed_at == NOON + 2 * HOUR


def test_exposure__one_bad_item_among_a_thousand__leaves_the_others() -> None:
    experiment = make_running_experiment()
    assert experiment.current_phase is not None
    units = [f"visitor-{number}" for number in range(1000)]
    events = [
        exposure(experiment, unit_id=unit, variant_key=computed_variant(unit, experiment.current_phase))
        for unit in units
    ]
    events[500] = exposure(experiment, experiment="nothing")

    results = record_exposures(events, now=NOON + 2 * HOUR)

    assert [result.index for result in results] == list(range(1000))
    assert [result.index for result in results if result.outcome != "accepted"] == [500]
    assert Exposure.objects.count() == 999


def test_exposure__while_paused__is_refused() -> None:
    experiment = make_running_experiment()
    assert experiment.current_phase is not None
    experiment.current_phase.unserved_spans = [[(NOON + HOUR).isoformat(), (NOON + 2 * HOUR).isoformat()]]
    experiment.current_phase.save()

    during = outcome_of(exposure(experiment, exposed_at=NOON + 1.5 * HOUR), now=NOON + 3 * HOUR)
    after = outcome_of(exposure(experiment, exposed_at=NOON + 2 * HOUR), now=NOON + 3 * HOUR)

    assert (during, after) == (("rejected", "not_running"), ("accepted", ""))


class TestPhases:
    """Which phase a claim belongs to when another one opened at 14:00."""

    @pytest.fixture
    def experiment(self) -> Experiment:
        experiment = make_running_experiment()
        first = experiment.current_phase
        assert first is not None
        first.closed_at = NOON + 2 * HOUR
        first.save()
        experiment.current_phase = make_phase(experiment, salt="fedcba9876543210", opened_at=NOON + 2 * HOUR)
        experiment.save()
        return experiment

    @pytest.mark.parametrize(
        ("minutes", "phase", "code"),
        [(119, 1, ""), (120, 1, ""), (134, 1, ""), (135, 2, "client_fault")],
    )
    def test_claim__without_phase__is_matched_to_the_one_before_for_fifteen_minutes(
        self, experiment: Experiment, minutes: int, phase: int, code: str
    ) -> None:
        first, second = experiment.phases.order_by("number")
        unit_id = unit_in(first, "test", not_in=second)

        result = outcome_of(
            exposure(experiment, unit_id=unit_id, exposed_at=NOON + minutes * MINUTE), now=NOON + 3 * HOUR
        )

        assert result == ("accepted", code)
        assert Exposure.objects.get().phase.number == phase

    def test_claim__matching_both__belongs_to_the_open_phase(self, experiment: Experiment) -> None:
        first, second = experiment.phases.order_by("number")
        unit_id = next(
            unit
            for unit in (f"visitor-{number}" for number in itertools.count())
            if computed_variant(unit, first) == computed_variant(unit, second) == "test"
        )

        outcome_of(exposure(experiment, unit_id=unit_id, exposed_at=NOON + 125 * MINUTE), now=NOON + 3 * HOUR)

        assert Exposure.objects.get().phase == second

    @pytest.mark.parametrize(("minutes", "expected"), [(60, ("accepted", "")), (134, ("accepted", ""))])
    def test_claim__naming_the_closed_phase__is_checked_against_it(
        self, experiment: Experiment, minutes: int, expected: tuple[str, str]
    ) -> None:
        first, second = experiment.phases.order_by("number")
        event = exposure(
            experiment, phase=1, unit_id=unit_in(first, "test", not_in=second), exposed_at=NOON + minutes * MINUTE
        )

        assert outcome_of(event, now=NOON + 3 * HOUR) == expected
        assert Exposure.objects.get().phase == first

    def test_claim__naming_the_closed_phase_too_late__is_refused(self, experiment: Experiment) -> None:
        event = exposure(experiment, phase=1, exposed_at=NOON + 135 * MINUTE)

        assert outcome_of(event, now=NOON + 3 * HOUR) == ("rejected", "not_running")

    def test_claim__naming_a_phase_just_before_it_opened__counts_from_its_opening(self, experiment: Experiment) -> None:
        event = exposure(experiment, phase=2, exposed_at=NOON + 116 * MINUTE)

        outcome_of(event, now=NOON + 3 * HOUR)

        assert Exposure.objects.get().exposed_at == NOON + 2 * HOUR


def test_exposure__in_an_imported_phase__is_taken_as_given_however_old() -> None:
    experiment = make_running_experiment()
    Phase.objects.update(origin=PhaseOrigin.IMPORTED)
    assert experiment.current_phase is not None
    event = exposure(experiment, unit_id=unit_in(experiment.current_phase, "control"))

    (result,) = record_exposures([event], now=NOON + dt.timedelta(days=400), check_lateness=False)

    assert (result.outcome, result.code) == ("accepted", "")
    assert not Exposure.objects.get().is_fault


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_exposures__in_any_order_split_and_repetition__end_in_the_same_rows(data: st.DataObject) -> None:
    Exposure.objects.all().delete()
    experiment = Experiment.objects.first() or make_running_experiment()
    # A quarter is held out, since a moment within the hour that is drawn: both kinds of answer are taken before.
    Holdout.objects.get_or_create(salt="held", size=2_500, changed_at=NOON + 30 * MINUTE)
    reports = st.tuples(
        st.integers(0, 5),
        st.sampled_from(["control", "test"]),
        st.integers(0, 100),
        st.booleans(),
        st.booleans(),
        st.sampled_from([None, None, None, "bot", "staff"]),
    )
    events = [
        ExposureEvent(
            experiment.slug,
            f"u{unit}",
            "control" if is_holdout else variant,
            NOON + minutes * MINUTE,
            segments={"device": "phone"} if on_phone else None,
            is_holdout=is_holdout,
            traffic=traffic,
        )
        for unit, variant, minutes, is_holdout, on_phone, traffic in data.draw(st.lists(reports, max_size=20))
    ]
    record_exposures(events, now=NOON + 2 * HOUR)
    expected = _rows()
    Exposure.objects.all().delete()

    shuffled = data.draw(st.permutations(events + events[:5]))
    cut = data.draw(st.integers(0, len(shuffled)))
    for piece in (shuffled[:cut], shuffled[cut:]):
        record_exposures(piece, now=NOON + 2 * HOUR)

    assert _rows() == expected


def _rows() -> list[Any]:
    told = ("variant_key", "claimed_key", "exposed_at", "is_mixed", "is_fault", "is_holdout", "excluded_as")
    return list(Exposure.objects.order_by("phase", "unit").values_list("phase", "unit", *told))
