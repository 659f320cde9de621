"""Ramps in the database: what each move writes, who wins of two, and what edits and pauses do to a ramp."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from catalog_experiments import lifecycle, ramping
from catalog_experiments.aggregation import refresh_tallies
from catalog_experiments.analysis import analyze
from catalog_experiments.drafting import InvalidExperiment
from catalog_experiments.lifecycle import IllegalMove, ReasonRequired
from catalog_experiments.models import (
    Experiment,
    ExperimentEvent,
    Exposure,
    OverridePublication,
    PauseCause,
    Phase,
    PublishedDocument,
    RampState,
)
from catalog_experiments.ramping import Move, RampRefused, standing
from notifications.models import Alert
from tests.builders import NOON, make_experiment
from tests.catalog_experiments.acting import (
    ACTOR,
    at_once,
    edit,
    entry_of,
    last_event,
    pause,
    phase_of,
    publish,
    stored,
)
from tests.catalog_experiments.buyers import add_buyers, add_visitors

pytestmark = pytest.mark.django_db

DAY = dt.timedelta(hours=24)
NEXT_DAY = NOON + DAY + dt.timedelta(minutes=1)
PLAN: list[dict[str, Any]] = [
    {"coverage": 500, "minimum_hours": 24, "minimum_sample": 50},
    {"coverage": 2500, "minimum_hours": 24, "minimum_sample": 50},
    {"coverage": 10_000, "minimum_hours": 24},
]


@dataclass
class Clock:
    """A simulated time that a test moves on."""

    now: dt.datetime


def make_climbing(**overrides: Any) -> Experiment:
    """Publish an experiment with a ramp of three steps at noon."""
    return publish(make_experiment(**({"ramp_plan": PLAN} | overrides)))


def fill(experiment: Experiment, *, at: dt.datetime, control: int = 60, test: int = 60) -> None:
    """Expose units to both variants."""
    fresh = Experiment.objects.get(pk=experiment.pk)
    add_visitors(fresh, "control", control, at=at)
    add_visitors(fresh, "test", test, at=at)


def step(experiment: Experiment, *, now: dt.datetime = NEXT_DAY) -> Move:
    return ramping.step(experiment.pk, now=now)


def ramp_of(experiment: Experiment) -> tuple[str, int | None, int]:
    fresh = stored(experiment)
    return fresh.ramp_state, fresh.ramp_step, fresh.coverage


def test_publish__with_a_plan__serves_the_first_step() -> None:
    experiment = make_climbing()

    assert ramp_of(experiment) == (RampState.CLIMBING, 1, 500)
    assert stored(experiment).ramp_step_at == NOON
    assert entry_of("cup-saucer")["coverage"] == 500
    assert last_event(experiment).after["ramp_step"] == 1


def test_publish__without_a_plan__has_no_ramp() -> None:
    experiment = publish(make_experiment())

    assert ramp_of(experiment) == (RampState.NONE, None, 10_000)


def test_step__hours_and_sample_reached__raises_coverage_in_the_same_phase() -> None:
    experiment = make_climbing()
    before = entry_of("cup-saucer")
    fill(experiment, at=NOON + dt.timedelta(hours=1))

    assert step(experiment) == Move.ADVANCE

    served, event = entry_of("cup-saucer"), last_event(experiment)
    assert ramp_of(experiment) == (RampState.CLIMBING, 2, 2500)
    assert (served["coverage"], served["salt"], served["phase"]) == (2500, before["salt"], before["phase"])
    assert (event.actor, event.action) == ("system:ramp", "ramp_advance")
    assert (event.before["coverage"], event.after["coverage"]) == (500, 2500)
    assert event.after["document_version"] == PublishedDocument.objects.order_by("-version")[0].version


@pytest.mark.parametrize(
    ("now", "test"),
    [(NOON + DAY - dt.timedelta(minutes=1), 60), (NEXT_DAY, 49)],
    ids=["hours", "sample"],
)
def test_step__a_condition_open__changes_nothing(now: dt.datetime, test: int) -> None:
    experiment = make_climbing()
    fill(experiment, at=NOON + dt.timedelta(hours=1), test=test)
    events = ExperimentEvent.objects.count()

    assert step(experiment, now=now) == Move.WAIT

    assert ramp_of(experiment) == (RampState.CLIMBING, 1, 500)
    assert ExperimentEvent.objects.count() == events


def test_step__units_that_do_not_count__do_not_fill_the_sample() -> None:
    experiment = make_climbing()
    fill(experiment, at=NOON + dt.timedelta(hours=1))
    Exposure.objects.filter(variant_key="test").update(is_mixed=True)

    assert step(experiment) == Move.WAIT


def test_step__the_sample_of_the_step_before__counts_no_more() -> None:
    experiment = make_climbing()
    fill(experiment, at=NOON + dt.timedelta(hours=1))
    step(experiment)

    assert step(experiment, now=NEXT_DAY + DAY) == Move.WAIT


def test_step__to_the_end__finishes_and_stays() -> None:
    experiment = make_climbing()
    fill(experiment, at=NOON + dt.timedelta(hours=1))
    step(experiment)
    fill(experiment, at=NEXT_DAY + dt.timedelta(hours=1))
    step(experiment, now=NEXT_DAY + DAY)

    assert step(experiment, now=NEXT_DAY + 2 * DAY) == Move.FINISH

    assert ramp_of(experiment) == (RampState.FINISHED, 3, 10_000)
    assert step(experiment, now=NEXT_DAY + 3 * DAY) == Move.WAIT
    assert Phase.objects.count() == 1


def test_step__variants_off_their_shares__waits_as_the_step_says() -> None:
    experiment = make_climbing()
    fill(experiment, at=NOON + dt.timedelta(hours=1), control=3000, test=2000)

    assert step(experiment) == Move.WAIT
    assert ramp_of(experiment) == (RampState.CLIMBING, 1, 500)


def test_step__rolls_back_from_a_later_step__opens_a_phase_at_the_one_before_and_alerts_once() -> None:
    plan = [PLAN[0], PLAN[1] | {"on_sample_ratio": "roll_back"}, PLAN[2]]
    experiment = make_climbing(ramp_plan=plan)
    fill(experiment, at=NOON + dt.timedelta(hours=1))
    step(experiment)
    fill(experiment, at=NEXT_DAY + dt.timedelta(hours=1), control=3000, test=2000)

    assert step(experiment, now=NEXT_DAY + dt.timedelta(hours=2)) == Move.ROLL_BACK

    phase, event = phase_of(experiment), last_event(experiment)
    assert ramp_of(experiment) == (RampState.ROLLED_BACK, 1, 500)
    assert phase.number == 2
    assert "coverage lowered" in phase.reason
    assert (event.action, event.before["phase"], event.after["phase"]) == ("ramp_roll_back", 1, 2)
    assert Alert.objects.get().kind == "ramp_rolled_back"
    assert step(experiment, now=NEXT_DAY + 9 * DAY) == Move.WAIT
    assert Alert.objects.count() == 1


def test_step__rolls_back_from_the_first_step__pauses() -> None:
    experiment = make_climbing(ramp_plan=[PLAN[0] | {"on_sample_ratio": "roll_back"}, PLAN[1]])
    fill(experiment, at=NOON + dt.timedelta(hours=1), control=3000, test=2000)

    assert step(experiment) == Move.ROLL_BACK

    paused = stored(experiment)
    assert (paused.status, paused.pause_cause) == ("paused", PauseCause.SCHEDULE)
    assert "rolled back from step 1" in paused.pause_reason
    assert entry_of("cup-saucer")["status"] == "paused"
    assert Alert.objects.get().kind == "ramp_rolled_back"
    assert OverridePublication.objects.filter(is_rollback=True).count() == 2


def test_step__newest_facts_cannot_be_read__waits_and_rolls_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    experiment = make_climbing(ramp_plan=[PLAN[0] | {"on_hold": "roll_back"}, PLAN[1]])
    fill(experiment, at=NOON + dt.timedelta(hours=1))

    def lagging(ids: Any, *, now: dt.datetime) -> dt.datetime:
        return refresh_tallies(ids, now=now) - dt.timedelta(seconds=61)

    with monkeypatch.context() as patched:
        patched.setattr(standing, "refresh_tallies", lagging)
        assert step(experiment) == Move.WAIT

    assert step(experiment) == Move.ADVANCE


def make_broken(mode: str) -> Experiment:
    """Make a climbing experiment whose test variant clearly misses 10 %, beside a control that meets it."""
    config = {"min_acceptance_rate": 0.1, "mode": mode}
    experiment = make_climbing(guardrail_config=config, ramp_plan=[PLAN[0], PLAN[1]], sample_size_guardrail=50)
    ramping.advance(experiment.pk, actor=ACTOR, now=NOON + dt.timedelta(minutes=1))
    fresh = stored(experiment)
    add_buyers(fresh, "control", 300, 60, at=NOON + dt.timedelta(hours=1))
    add_buyers(fresh, "test", 300, 13, at=NOON + dt.timedelta(hours=1))
    return experiment


def test_step__guardrail_about_to_pause__is_left_to_the_guardrails() -> None:
    experiment = make_broken("enforce")

    assert step(experiment) == Move.WAIT
    assert ramp_of(experiment) == (RampState.CLIMBING, 2, 2500)


def test_step__guardrail_in_shadow_mode__rolls_back() -> None:
    experiment = make_broken("shadow")

    assert step(experiment) == Move.ROLL_BACK
    assert ramp_of(experiment) == (RampState.ROLLED_BACK, 1, 500)


def test_step__finding_only_warned_of__advances_and_says_so() -> None:
    experiment = make_climbing(ramp_plan=[PLAN[0] | {"on_sample_ratio": "warn"}, PLAN[1]])
    fill(experiment, at=NOON + dt.timedelta(hours=1), control=3000, test=2000)

    assert step(experiment) == Move.ADVANCE
    assert "in spite of" in last_event(experiment).reason


def test_advance__by_hand__waits_for_nothing_and_climbs_on() -> None:
    experiment = make_climbing()

    ramping.advance(experiment.pk, actor=ACTOR, now=NOON + dt.timedelta(minutes=5), reason="campaign starts")

    event = last_event(experiment)
    assert ramp_of(experiment) == (RampState.CLIMBING, 2, 2500)
    assert (event.actor, event.reason) == (ACTOR, "campaign starts")


def test_advance__after_a_stop__climbs_again() -> None:
    experiment = make_climbing()
    ramping.stop(experiment.pk, actor=ACTOR, now=NOON, reason="wait for the newsletter")
    assert ramp_of(experiment) == (RampState.STOPPED, 1, 500)
    assert step(experiment) == Move.WAIT

    ramping.advance(experiment.pk, actor=ACTOR, now=NOON)

    assert ramp_of(experiment) == (RampState.CLIMBING, 2, 2500)


def test_advance__no_further_step__is_refused() -> None:
    experiment = make_climbing(ramp_plan=[PLAN[0]])

    with pytest.raises(RampRefused, match="no further step"):
        ramping.advance(experiment.pk, actor=ACTOR, now=NOON)


def test_stop__without_ramp_reason_or_run__is_refused() -> None:
    plain, climbing = publish(make_experiment(slug="plain")), make_climbing()

    with pytest.raises(RampRefused):
        ramping.stop(plain.pk, actor=ACTOR, now=NOON, reason="why not")
    with pytest.raises(ReasonRequired):
        ramping.stop(climbing.pk, actor=ACTOR, now=NOON, reason=" ")
    pause(climbing)
    with pytest.raises(IllegalMove):
        ramping.stop(climbing.pk, actor=ACTOR, now=NOON, reason="too late")


def test_resume__after_a_pause__counts_the_hours_of_the_step_anew() -> None:
    experiment = make_climbing()
    fill(experiment, at=NOON + dt.timedelta(hours=1))
    pause(experiment, now=NOON + dt.timedelta(hours=2))
    resumed_at = NOON + dt.timedelta(hours=20)

    lifecycle.resume(experiment.pk, actor=ACTOR, now=resumed_at)

    assert stored(experiment).ramp_step_at == resumed_at
    assert step(experiment) == Move.WAIT


def test_edited_plan__at_publish__goes_on_from_the_coverage_that_is_served() -> None:
    experiment = make_climbing()
    ramping.advance(experiment.pk, actor=ACTOR, now=NOON)
    edit(experiment, ramp_plan=[{"coverage": 1000}, {"coverage": 5000}, {"coverage": 10_000}])
    assert ramp_of(experiment) == (RampState.CLIMBING, 2, 2500)

    publish(experiment, now=NEXT_DAY)

    assert ramp_of(experiment) == (RampState.CLIMBING, 1, 2500)
    assert phase_of(experiment).number == 1
    ramping.advance(experiment.pk, actor=ACTOR, now=NEXT_DAY)
    assert ramp_of(experiment) == (RampState.CLIMBING, 2, 5000)


def test_removed_plan__at_publish__ends_the_ramp_and_keeps_the_coverage() -> None:
    experiment = make_climbing()
    edit(experiment, ramp_plan=[])

    publish(experiment, now=NEXT_DAY)

    assert ramp_of(experiment) == (RampState.NONE, None, 500)


def test_coverage_by_a_person__at_publish__stops_the_ramp() -> None:
    experiment = make_climbing()
    edit(experiment, coverage=8000)

    publish(experiment, now=NEXT_DAY)

    assert ramp_of(experiment) == (RampState.STOPPED, 1, 8000)


def test_weights_edited_beside_a_plan__that_do_not_split__are_refused() -> None:
    draft = make_experiment(ramp_plan=[{"coverage": 500}, {"coverage": 10_000}])
    variants = [{"key": key, "name": key, "weight": weight} for key, weight in (("control", 1), ("test", 6))]

    with pytest.raises(InvalidExperiment) as refused:
        edit(draft, variants=variants)

    assert {error.field for error in refused.value.errors} == {"ramp_plan[0].coverage"}


def test_report__of_a_ramp__says_for_whom_it_holds() -> None:
    experiment = make_climbing()

    [note] = [note for note in analyze(stored(experiment), now=NEXT_DAY).notes if "ramp" in note]

    assert "up to 5 % of all" in note


def moves_of(experiment: Experiment, clock: Clock) -> dict[str, Callable[[], object]]:
    """Return everything that may happen to a ramp, each at the clock's present time."""
    by: dict[str, Any] = {"actor": ACTOR}
    return {
        "even visitors": lambda: fill(experiment, at=clock.now),
        "odd visitors": lambda: fill(experiment, at=clock.now, control=1500, test=900),
        "step": lambda: step(experiment, now=clock.now),
        "advance": lambda: ramping.advance(experiment.pk, now=clock.now, **by),
        "stop": lambda: ramping.stop(experiment.pk, now=clock.now, reason="enough", **by),
        "pause": lambda: pause(experiment, now=clock.now),
        "resume": lambda: lifecycle.resume(experiment.pk, now=clock.now, reason="again", **by),
        "new phase": lambda: lifecycle.open_new_phase(experiment.pk, now=clock.now, reason="anew", **by),
        "less": lambda: (edit(experiment, coverage=200), publish(experiment, now=clock.now)),
        "plan": lambda: (edit(experiment, ramp_plan=PLAN[1:]), publish(experiment, now=clock.now)),
    }


@pytest.mark.parametrize("seed", range(6))
def test_ramp__whatever_happens__coverage_only_rises_in_a_phase_and_nobody_moves(seed: int) -> None:
    chance, clock = Random(seed), Clock(NOON)
    roll_back = {"on_sample_ratio": "roll_back"}
    experiment = make_climbing(ramp_plan=[own | roll_back for own in PLAN])
    moves = moves_of(experiment, clock)
    served: dict[int, list[tuple[str, list[list[int]]]]] = defaultdict(list)

    for _ in range(30):
        clock.now += dt.timedelta(hours=chance.choice([1, 13, 25]))
        with contextlib.suppress(IllegalMove, RampRefused, LookupError):
            moves[chance.choice(["step", "even visitors", *moves])]()
        entry = entry_of("cup-saucer")
        served[entry["phase"]].append((entry["salt"], [variant["range"] for variant in entry["variants"]]))

    assert len({salts[0][0] for salts in served.values()}) == len(served)
    for spans in served.values():
        assert len({salt for salt, _ in spans}) == 1
        for (_, before), (_, after) in pairwise(spans):
            assert [start for start, _ in before] == [start for start, _ in after]
            assert all(end <= later for (_, end), (_, later) in zip(before, after, strict=True))


@pytest.mark.django_db(transaction=True)
def test_step__eight_workers_at_once__take_one_step() -> None:
    experiment = make_climbing()
    fill(experiment, at=NOON + dt.timedelta(hours=1))
    documents = PublishedDocument.objects.count()

    raised = at_once(*[partial(step, experiment)] * 8)

    assert [error for error in raised if error is not None] == []
    assert ramp_of(experiment) == (RampState.CLIMBING, 2, 2500)
    assert ExperimentEvent.objects.filter(action="ramp_advance").count() == 1
    assert PublishedDocument.objects.count() == documents + 1


@pytest.mark.django_db(transaction=True)
def test_step_and_pause__at_once__leave_a_legal_state() -> None:
    experiment = make_climbing()
    fill(experiment, at=NOON + dt.timedelta(hours=1))

    raised = at_once(partial(step, experiment), partial(pause, experiment, now=NEXT_DAY))

    assert raised == [None, None]
    assert stored(experiment).status == "paused"
    assert entry_of("cup-saucer")["status"] == "paused"
