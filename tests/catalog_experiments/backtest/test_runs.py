"""The whole backtest on stored history: what is read, what it says, and that it says when it cannot."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from catalog_experiments.aggregation import BundleAcceptanceAggregator
from catalog_experiments.backtest import Backtest, Options, backtest_bundle, backtest_experiment, proposal_of
from catalog_experiments.backtest.wording import outcomes, pause_lines, ran_on, sentences
from catalog_experiments.drafting import InvalidExperiment
from catalog_experiments.enforcement.frame import load_frames
from catalog_experiments.enforcement.judgement import judge_frame
from catalog_experiments.guardrails import GuardrailConfigError, Verdict, judge
from catalog_experiments.models import (
    Bundle,
    EvaluationAction,
    Experiment,
    GuardrailEvaluation,
    PhaseOrigin,
)
from tests.builders import make_bundle, make_experiment, make_phase, make_running_experiment
from tests.catalog_experiments.backtest.records import (
    HOUR,
    NOW,
    add_orders,
    add_tallies,
    make_experiment_with_past,
    make_past_phase,
    rhythm,
)
from tests.catalog_experiments.buyers import add_buyers, cancel

pytestmark = pytest.mark.django_db

FEW = Options(resamples=10, phase_days=7)


def tried(experiment: Experiment, options: Options = FEW, **proposed: Any) -> Backtest:
    proposal = proposal_of(proposed or None, 250, experiment=experiment)
    return backtest_experiment(experiment, proposal, options, now=NOW)


def kinds(backtest: Backtest) -> list[str]:
    return [outcome.kind for outcome in outcomes(backtest)]


def test_backtest__takers_lost_on_the_last_day__pauses_hours_before_the_end() -> None:
    experiment = make_experiment_with_past()

    backtest = tried(experiment)

    [replay] = backtest.replays
    assert replay.pause is not None
    [verdict] = replay.pause.verdicts
    lost_at = NOW - dt.timedelta(days=3)
    assert (verdict.variant_key, verdict.verdict) == ("test", Verdict.BREACHED)
    assert lost_at < replay.pause.at < lost_at + 20 * HOUR
    assert replay.hours_earlier == (lost_at + 24 * HOUR - replay.pause.at) / HOUR
    assert replay.orders_earlier("test") == 20 * replay.hours_earlier
    [line] = pause_lines(backtest)
    assert line.where == "cup-saucer, phase 1"
    assert line.lead.endswith("before its real end")


def test_backtest__milder_threshold__lets_the_phase_run_and_says_so() -> None:
    backtest = tried(make_experiment_with_past(), min_acceptance_rate=0.01)

    [replay] = backtest.replays
    assert replay.pause is None
    assert ran_on(replay) == "cup-saucer, phase 1: would have run on, 33,600 orders."


def test_backtest__enough_weeks__says_false_pauses_and_a_suggestion() -> None:
    backtest = tried(make_experiment_with_past())

    assert backtest.baseline is not None
    assert backtest.baseline.source == "Orders of cup-saucer-control as control of past phases"
    assert backtest.false_alarms is not None
    assert (backtest.false_alarms.method, backtest.false_alarms.resamples) == ("weeks", 10)
    [suggestion] = backtest.suggestions
    assert suggestion.threshold is not None
    assert kinds(backtest) == ["proposal", "replays", "alarms", "suggestion"]
    assert not backtest.missing


def test_backtest__same_seed__says_the_same() -> None:
    experiment = make_experiment_with_past()

    assert tried(experiment) == tried(experiment)


def test_backtest__one_day_of_history__says_what_is_missing_and_guesses_nothing() -> None:
    experiment = make_experiment()
    make_past_phase(experiment, [(20, 3)] * 24, [(20, 3)] * 24, ago_hours=30)

    backtest = tried(experiment)

    assert backtest.false_alarms is None
    assert backtest.suggestions == ()
    assert "1 whole day of history" in backtest.missing
    assert "missing" in kinds(backtest)


def test_backtest__no_order_at_all__says_so() -> None:
    backtest = tried(make_experiment())

    assert (backtest.replays, backtest.baseline, backtest.fits) == ((), None, ())
    assert "There is no full hour with orders of the control's offer yet." in " ".join(sentences(backtest))


def test_backtest__control_below_the_bound__warns_that_the_guardrail_is_stuck() -> None:
    backtest = tried(make_experiment_with_past(), min_acceptance_rate=0.2)

    [fit] = backtest.fits
    assert backtest.is_stuck
    assert fit.crossed_at is not None
    assert fit.fitting_threshold < 0.1
    [warning] = [outcome.sentence for outcome in outcomes(backtest) if outcome.kind == "stuck"]
    assert "Guardrail stuck" in warning
    assert "or less, or bound the drop against control instead" in warning


def test_backtest__phase_that_a_guardrail_paused__is_measured_against_the_real_pause() -> None:
    experiment = make_experiment(guardrail_config={"min_acceptance_rate": 0.08})
    phase = make_past_phase(experiment, [(100, 15)] * 48, [(100, 15)] * 24 + [(100, 2)] * 24, ago_hours=72)
    paused_at = phase.opened_at + 40 * HOUR
    phase.unserved_spans = [[paused_at.isoformat(), None]]
    phase.save()
    GuardrailEvaluation.objects.create(
        sequence=1,
        experiment=experiment,
        phase=phase,
        evaluated_at=paused_at,
        watermark_at=paused_at,
        trigger="schedule",
        inputs={},
        inputs_digest="1",
        verdict="breached",
        verdicts=[],
        action=EvaluationAction.PAUSED,
        rule_version="1",
        record_hash="1",
    )

    backtest = tried(experiment)

    [replay] = backtest.replays
    assert (replay.history.ending, replay.history.stopped_at) == ("guardrail", paused_at)
    assert replay.pause is not None
    assert replay.hours_earlier == (paused_at - replay.pause.at) / HOUR
    assert next(iter(pause_lines(backtest))).lead.endswith("before a guardrail really paused it")


def test_backtest__paused_by_a_person__has_no_control_hours_in_the_gap() -> None:
    experiment = make_experiment()
    phase = make_past_phase(experiment, rhythm(20), rhythm(20), ago_hours=24 * 21)
    gap = [phase.opened_at + dt.timedelta(days=3), phase.opened_at + dt.timedelta(days=5)]
    phase.unserved_spans = [[moment.isoformat() for moment in gap]]
    phase.save()

    backtest = tried(experiment)

    assert backtest.baseline is not None
    assert [len(stretch.counts) for stretch in backtest.baseline.stretches] == [72, 15 * 24]


def test_backtest__other_experiment_on_the_page__is_replayed_too_and_seeded_ones_are_not() -> None:
    make_experiment_with_past(slug="older")
    seeded = make_experiment(slug="qa")
    make_phase(seeded, origin=PhaseOrigin.SEEDED, opened_at=NOW - dt.timedelta(days=1))
    draft = make_experiment(slug="newer")

    backtest = tried(draft)

    assert [replay.history.slug for replay in backtest.replays] == ["older"]
    assert backtest.baseline is not None
    assert backtest.baseline.source == "Orders of other controls on this page"


def test_backtest__draft_without_any_phase__replays_orders_as_pseudo_variants() -> None:
    draft = make_experiment(guardrail_config={"min_acceptance_rate": 0.08})
    since = NOW - dt.timedelta(days=15)
    for key, hours in (("control", [(4, 1)] * 360), ("test", [(4, 1)] * 240 + [(4, 0)] * 120)):
        add_orders(Bundle.objects.get(bundle_slug=f"cup-saucer-{key}"), hours, since=since)

    backtest = tried(draft)

    [replay] = backtest.replays
    assert (replay.history.phase_number, replay.history.orders) == (None, 4 * 360)
    assert replay.pause is not None
    assert since + 240 * HOUR < replay.pause.at < since + 300 * HOUR
    assert backtest.false_alarms is not None
    assert backtest.false_alarms.method == "days"


def test_backtest__bundle_nobody_took__is_left_out_with_a_sentence() -> None:
    draft = make_experiment()
    add_orders(Bundle.objects.get(bundle_slug="cup-saucer-test"), [(3, 0)] * 24, since=NOW - dt.timedelta(days=2))

    backtest = tried(draft)

    assert backtest.replays == ()
    assert any("cup-saucer-test" in note and "never offered" in note for note in backtest.notes)


def test_backtest__orders_during_experiments__do_not_count_for_bundles() -> None:
    experiment = make_experiment()
    bundle = Bundle.objects.get(bundle_slug="cup-saucer-control")
    since = NOW - dt.timedelta(days=20)
    add_orders(bundle, [(1, 1)] * 480, since=since)
    make_phase(experiment, opened_at=NOW - dt.timedelta(days=2))

    backtest = tried(experiment)

    assert backtest.baseline is not None
    assert backtest.baseline.source == "Orders of cup-saucer-control while no experiment ran"
    assert backtest.baseline.counts == (18 * 24, 18 * 24)


def test_backtest__bundle_that_never_ran__waits_a_week_for_its_own_bound() -> None:
    bundle = make_bundle()
    since = NOW - dt.timedelta(days=16)
    add_orders(bundle, [(10, 1), (10, 0)] * 192, since=since)

    backtest = backtest_bundle(bundle, proposal_of({"min_acceptance_rate": 0.065}, 100), FEW, now=NOW)

    [replay] = backtest.replays
    assert replay.pause is not None
    assert replay.pause.at >= since + dt.timedelta(days=7)
    assert backtest.is_stuck


def test_backtest__bundle_tested_before__replays_only_its_own_variant() -> None:
    make_experiment_with_past()
    bundle = Bundle.objects.get(bundle_slug="cup-saucer-test")

    backtest = backtest_bundle(bundle, proposal_of({"min_acceptance_rate": 0.08}, 250), FEW, now=NOW)

    [replay] = backtest.replays
    assert [own.variant_key for own in replay.history.course.variants] == ["control", "test"]
    assert replay.pause is not None


def test_backtest__any_number_of_phases__takes_the_same_queries(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    experiment = make_experiment_with_past()
    for ago in (20, 40):
        make_past_phase(experiment, [(5, 1)] * 10, [(5, 1)] * 10, ago_hours=ago)
    proposal = proposal_of(experiment=experiment)

    with django_assert_num_queries(6):
        backtest = backtest_experiment(experiment, proposal, FEW, now=NOW)

    assert len(backtest.replays) == 3


def test_replay__last_look_of_a_running_phase__equals_what_the_guardrail_tick_sees() -> None:
    now = NOW + dt.timedelta(minutes=20)
    experiment = make_running_experiment(now=NOW - dt.timedelta(hours=70, minutes=25))
    assert experiment.current_phase is not None
    add_tallies(experiment.current_phase, "control", [(20, 3)] * 71)
    add_tallies(experiment.current_phase, "test", [(20, 3)] * 60 + [(20, 0)] * 11)
    live = judge_frame(load_frames([experiment], watermark_at=now)[experiment.pk]).verdicts
    proposal = proposal_of(experiment=experiment)

    [replay] = backtest_experiment(experiment, proposal, FEW, now=now).replays
    course = replay.history.course
    last = course.looks - 1
    replayed = judge(course.frame_at(last, proposal, 5000), course.observations_at(last))

    assert [verdict.verdict for verdict in replayed] == [verdict.verdict for verdict in live]
    for own, real in zip(replayed, live, strict=True):
        [evidence] = [each for each in real.evidence if each.bound == "min_acceptance_rate"]
        assert own.evidence == (evidence,)
        assert (own.sample, own.accepted) == (real.sample, real.accepted)
    assert replay.pause is not None
    assert replay.pause.look <= last


def test_backtest__orders_reported_one_by_one__are_those_the_aggregation_counted() -> None:
    experiment = make_running_experiment(now=NOW - dt.timedelta(days=3))
    buyers = add_buyers(experiment, "control", 30, 12, at=NOW - dt.timedelta(days=10))
    cancel(buyers[:2], at=NOW)
    BundleAcceptanceAggregator().recompute(now=NOW)

    backtest = tried(experiment)

    assert backtest.baseline is not None
    assert backtest.baseline.source == "Orders of cup-saucer-control while no experiment ran"
    assert backtest.baseline.counts == (28, 10)


def test_options__bounded__make_fewer_phases_when_these_are_long() -> None:
    options = Options(resamples=100, phase_days=56, most_looks=100 * 14 * 24)

    assert options.trial(1).resamples == 25
    assert options.trial(2).resamples == 12


def test_proposal__invalid__names_the_field() -> None:
    with pytest.raises(InvalidExperiment) as refused:
        proposal_of({"min_acceptance_rate": 35})

    assert [error.field for error in refused.value.errors] == ["guardrail_config.min_acceptance_rate"]


def test_proposal__stored_guardrails_broken__raises_unless_others_are_given() -> None:
    experiment = make_experiment(guardrail_config={"nonsense": 1})

    assert proposal_of({"min_acceptance_rate": 0.1}, experiment=experiment).config.bounds == ("min_acceptance_rate",)
    with pytest.raises(GuardrailConfigError):
        proposal_of(experiment=experiment)


def test_backtest__largest_drop__says_what_made_up_phases_cannot_know() -> None:
    experiment = make_experiment_with_past()

    backtest = tried(experiment, min_acceptance_rate=0.05, max_drop_vs_control=0.2)

    assert any("largest drop" in note for note in backtest.notes)
    assert backtest.false_alarms is not None


def test_backtest__old_phases__are_beyond_the_look_back() -> None:
    experiment = make_experiment()
    phase = make_phase(experiment, opened_at=NOW - dt.timedelta(days=40), closed_at=NOW - dt.timedelta(days=20))
    add_tallies(phase, "control", [(10, 1)] * 24)

    assert tried(experiment, Options(lookback_days=10, resamples=1)).replays == ()
