"""Verdicts: every row of the table, the control rule, holds, precedence and the budget."""

from __future__ import annotations

import math
from datetime import timedelta

import numpy
import pytest

from catalog_experiments.guardrails import (
    GuardrailConfig,
    HourTally,
    Observation,
    PhaseFrame,
    VariantVerdict,
    Verdict,
    gravest,
    judge,
)
from catalog_experiments.stats.moments import VariantMoments
from tests.catalog_experiments.guardrails.scenes import AT_LEAST_TEN_PERCENT, OPENED_AT, frame, variant

GOOD = [(100, 15)] * 6
BAD = [(100, 6)] * 6
DEAD = [(100, 0)] * 6
AT_MOST_30_PERCENT = GuardrailConfig(max_acceptance_rate=0.3)


def verdict_on(
    test: Observation,
    control: Observation | None = None,
    *,
    phase: PhaseFrame | None = None,
    holds: tuple[str, ...] = (),
) -> VariantVerdict:
    """Return the verdict on a test variant beside a control, by default a good one over six hours."""
    observed = [control or variant("control", GOOD), test]
    return judge(phase or frame(), observed, holds=holds)[1]


def test_judge__rate_inside__is_healthy() -> None:
    verdict = verdict_on(variant("test", GOOD))

    assert (verdict.verdict, verdict.codes, verdict.should_pause) == (Verdict.HEALTHY, (), False)
    assert (verdict.sample, verdict.accepted, verdict.rate) == (600, 90, 0.15)


def test_judge__rate_outside_without_evidence__is_watch() -> None:
    verdict = verdict_on(variant("test", [(100, 9)] * 6))

    assert (verdict.verdict, verdict.codes) == (Verdict.WATCH, ("min_acceptance_rate",))
    assert not verdict.should_pause


def test_judge__rate_exactly_on_the_bound__is_healthy() -> None:
    assert verdict_on(variant("test", [(100, 10)] * 6)).verdict == Verdict.HEALTHY


def test_judge__evidence_and_good_control__is_breached_and_pauses() -> None:
    verdict = verdict_on(variant("test", BAD))

    evidence = verdict.evidence[0]
    assert (verdict.verdict, verdict.codes, verdict.should_pause) == (Verdict.BREACHED, ("min_acceptance_rate",), True)
    assert evidence.log_e is not None
    assert math.log(20) <= evidence.log_e < math.log(200)
    assert evidence.limit is not None
    assert 0.06 < evidence.limit < 0.1
    assert evidence.control is not None
    assert (evidence.control.n, evidence.control.accepted) == (600, 90)


def test_judge__much_evidence__is_an_outage_at_any_sample() -> None:
    verdict = verdict_on(variant("test", [(80, 0)]), phase=frame(hours=0.5))

    assert (verdict.verdict, verdict.should_pause) == (Verdict.OUTAGE, True)
    assert verdict.sample < 250


def test_judge__nothing_accepted_from_the_start__is_an_outage_by_100_orders() -> None:
    control = variant("control", [(100, 15)])

    first = next(
        n
        for n in range(1, 101)
        if verdict_on(variant("test", [(n, 0)]), control, phase=frame(hours=0.5)).verdict == Verdict.OUTAGE
    )

    assert first == 79


def test_judge__below_the_minimum_sample__is_collecting() -> None:
    verdict = verdict_on(variant("test", [(100, 4)]), phase=frame(hours=0.5))

    assert verdict.evidence[0].is_crossed is False
    assert (verdict.verdict, verdict.codes, verdict.should_pause) == (Verdict.COLLECTING, ("sample_size",), False)


def test_judge__ordinary_evidence_below_the_minimum__still_collects() -> None:
    verdict = verdict_on(variant("test", [(60, 0)]), phase=frame(hours=0.5))

    assert verdict.evidence[0].is_crossed
    assert verdict.verdict == Verdict.COLLECTING


@pytest.mark.parametrize("minimum", [0, 250])
def test_judge__no_outcome_yet__is_collecting(minimum: int) -> None:
    verdict = verdict_on(variant("test"), phase=frame(minimum_sample=minimum))

    assert (verdict.verdict, verdict.rate) == (Verdict.COLLECTING, None)


def test_judge__control_outside_too__is_watch_and_says_the_bound_is_unfit() -> None:
    control, test = judge(frame(), [variant("control", BAD), variant("test", BAD)])

    assert (test.verdict, test.codes) == (Verdict.WATCH, ("min_acceptance_rate", "bound_unfit"))
    assert not test.should_pause
    assert (control.verdict, control.should_pause) == (Verdict.BREACHED, False)


def test_judge__control_exactly_on_the_bound__lets_the_pause_through() -> None:
    verdict = verdict_on(variant("test", BAD), variant("control", [(100, 10)] * 6))

    assert verdict.verdict == Verdict.BREACHED


def test_judge__control_silent_over_the_span__is_watch() -> None:
    counts = [(100, 15)] * 30 + [(100, 0)] * 2

    verdict = verdict_on(variant("test", counts), variant("control", [(100, 15)] * 30), phase=frame(hours=32))

    assert verdict.evidence[0].is_outage
    assert (verdict.verdict, verdict.codes) == (Verdict.WATCH, ("min_acceptance_rate", "control_silent"))


def test_judge__no_control_observed__never_pauses() -> None:
    verdict = judge(frame(), [variant("test", DEAD)])[0]

    assert (verdict.verdict, verdict.should_pause) == (Verdict.WATCH, False)
    assert "control_silent" in verdict.codes


def test_judge__control_rule__looks_at_the_span_of_the_dominating_block() -> None:
    fall = [(240, 36)] * 83 + [(240, 0)] * 2
    shop_wide = [(240, 36)] * 83 + [(240, 5)] * 2
    phase = frame(hours=85)

    alone = verdict_on(variant("test", fall), variant("control", [(240, 36)] * 85), phase=phase)
    together = verdict_on(variant("test", fall), variant("control", shop_wide), phase=phase)

    assert alone.verdict == Verdict.OUTAGE
    assert alone.evidence[0].span is not None
    assert alone.evidence[0].span.opened_at == OPENED_AT + timedelta(hours=83)
    assert (together.verdict, "bound_unfit" in together.codes) == (Verdict.WATCH, True)
    assert together.evidence[0].control is not None
    assert (together.evidence[0].control.n, together.evidence[0].control.accepted) == (480, 10)


@pytest.mark.parametrize(
    ("hours", "verdict", "codes"),
    [
        (7 * 24 - 1, Verdict.WATCH, ("min_acceptance_rate", "control_without_bundle")),
        (7 * 24, Verdict.BREACHED, ("min_acceptance_rate",)),
    ],
)
def test_judge__control_without_bundle__ordinary_bounds_wait_seven_days(
    hours: int, verdict: Verdict, codes: tuple[str, ...]
) -> None:
    control = variant("control", DEAD, has_bundle=False)

    judged = verdict_on(variant("test", BAD), control, phase=frame(hours=hours))

    assert (judged.verdict, judged.codes) == (verdict, codes)


def test_judge__control_without_bundle__outage_does_not_wait_and_the_control_is_not_judged() -> None:
    control, test = judge(frame(), [variant("control", DEAD, has_bundle=False), variant("test", DEAD)])

    assert (test.verdict, test.should_pause) == (Verdict.OUTAGE, True)
    assert (control.verdict, control.evidence) == (Verdict.HEALTHY, ())


def test_judge__maximum__mirrors_the_minimum() -> None:
    phase = frame(AT_MOST_30_PERCENT)

    verdict = verdict_on(variant("test", [(100, 42)] * 6), phase=phase)
    mirrored = verdict_on(
        variant("test", [(100, 58)] * 6),
        variant("control", [(100, 85)] * 6),
        phase=frame(GuardrailConfig(min_acceptance_rate=0.7)),
    )

    evidence, other = verdict.evidence[0], mirrored.evidence[0]
    assert (verdict.verdict, verdict.codes) == (mirrored.verdict, ("max_acceptance_rate",))
    assert evidence.log_e == pytest.approx(other.log_e)
    assert evidence.limit == pytest.approx(1 - (other.limit or 0))
    assert evidence.span is not None
    assert (evidence.span.n, evidence.span.accepted) == (600, 252)


def test_judge__control_above_the_maximum_too__does_not_pause() -> None:
    verdict = verdict_on(
        variant("test", [(100, 42)] * 6), variant("control", [(100, 40)] * 6), phase=frame(AT_MOST_30_PERCENT)
    )

    assert (verdict.verdict, verdict.should_pause) == (Verdict.WATCH, False)


def test_judge__hold__stops_an_ordinary_pause_but_keeps_the_breach_visible() -> None:
    verdict = verdict_on(variant("test", BAD), holds=("telemetry_silent",))

    assert (verdict.verdict, verdict.should_pause) == (Verdict.BREACHED, False)
    assert verdict.codes == ("min_acceptance_rate", "telemetry_silent")


def test_judge__hold__leaves_the_outage_armed() -> None:
    verdict = verdict_on(variant("test", DEAD), holds=("telemetry_silent",))

    assert (verdict.verdict, verdict.should_pause) == (Verdict.OUTAGE, True)


@pytest.mark.parametrize("counts", [GOOD, [(100, 9)] * 6, [(10, 1)]])
def test_judge__hold__outranks_collecting_watch_and_healthy(counts: list[tuple[int, int]]) -> None:
    verdict = verdict_on(variant("test", counts), holds=("sample_ratio",))

    assert (verdict.verdict, verdict.codes) == (Verdict.HOLD, ("sample_ratio",))


@pytest.mark.parametrize(("revised", "expected"), [(30, Verdict.BREACHED), (31, Verdict.BREACHED)])
def test_judge__more_than_a_twentieth_revised__holds_everything(revised: int, expected: Verdict) -> None:
    is_heavy = revised > 30

    control, test = judge(frame(), [variant("control", GOOD, revised_count=revised), variant("test", BAD)])

    assert (test.verdict, test.should_pause) == (expected, not is_heavy)
    assert ("heavy_revision" in test.codes) is is_heavy
    assert control.verdict == (Verdict.HOLD if is_heavy else Verdict.HEALTHY)


def test_judge__shadow__shows_what_it_would_have_done() -> None:
    shadow = GuardrailConfig(min_acceptance_rate=0.1, mode="shadow")

    verdict = verdict_on(variant("test", DEAD), phase=frame(shadow))

    assert (verdict.verdict, verdict.should_pause, verdict.would_pause) == (Verdict.OUTAGE, False, True)


def test_judge__budget__is_split_over_test_variants_and_bounds() -> None:
    config = GuardrailConfig(min_acceptance_rate=0.1, max_acceptance_rate=0.9, max_drop_vs_control=0.2)

    verdicts = judge(frame(config), [variant(key, GOOD) for key in ("control", "one", "two")])

    shares = {evidence.alpha_share for verdict in verdicts for evidence in verdict.evidence}
    assert shares == {0.05 / 6}
    assert verdicts[1].evidence[0].pause_line == pytest.approx(120)


def test_judge__no_bounds__has_no_evidence() -> None:
    verdict = verdict_on(variant("test", DEAD), phase=frame(GuardrailConfig()))

    assert (verdict.verdict, verdict.evidence) == (Verdict.HEALTHY, ())


def test_judge__threshold_edited__shows_the_same_limit() -> None:
    limits = [
        verdict_on(variant("test", BAD), phase=frame(GuardrailConfig(min_acceptance_rate=bound))).evidence[0].limit
        for bound in (0.05, 0.1, 0.2)
    ]

    assert len(set(limits)) == 1


def test_judge__crossed__exactly_when_the_limit_is_at_most_the_bound() -> None:
    for accepted in range(13):
        evidence = verdict_on(variant("test", [(100, accepted)] * 6)).evidence[0]
        assert evidence.limit is not None
        assert evidence.is_crossed is (evidence.limit <= 0.1)


def test_judge__same_data_again__gives_the_same_verdict() -> None:
    observed = [variant("control", GOOD), variant("test", BAD)]

    assert judge(frame(), observed) == judge(frame(), observed)


def test_judge__two_controls__raises() -> None:
    with pytest.raises(ValueError, match="one control"):
        judge(frame(), [variant("control", GOOD), variant("other", GOOD, is_control=True)])


def test_judge__drop_against_control__breaches_whatever_the_acceptance_sample() -> None:
    phase = frame(GuardrailConfig(max_drop_vs_control=0.2))
    control = variant("control", harm=VariantMoments.of_counts(1000, 10_000))

    harmed = verdict_on(variant("test", harm=VariantMoments.of_counts(500, 10_000)), control, phase=phase)
    within = verdict_on(variant("test", GOOD, harm=VariantMoments.of_counts(850, 10_000)), control, phase=phase)

    assert (harmed.verdict, harmed.codes, harmed.should_pause) == (Verdict.BREACHED, ("max_drop_vs_control",), True)
    assert harmed.evidence[0].estimate == pytest.approx(0.05 - 0.8 * 0.1)
    assert harmed.evidence[0].limit is not None
    assert harmed.evidence[0].limit < 0
    assert within.verdict == Verdict.HEALTHY


@pytest.mark.parametrize(
    ("test", "control"),
    [
        (VariantMoments.of_counts(19, 10_000), VariantMoments.of_counts(1000, 10_000)),
        (VariantMoments.of_counts(20, 99), VariantMoments.of_counts(90, 99)),
        (VariantMoments.of_counts(20, 249), VariantMoments.of_counts(200, 249)),
        (None, VariantMoments.of_counts(1000, 10_000)),
    ],
)
def test_judge__drop_below_the_gate__shows_nothing(test: VariantMoments | None, control: VariantMoments) -> None:
    phase = frame(GuardrailConfig(max_drop_vs_control=0.2))

    verdict = verdict_on(variant("test", GOOD, harm=test), variant("control", GOOD, harm=control), phase=phase)

    evidence = verdict.evidence[0]
    assert (verdict.verdict, evidence.estimate, evidence.limit) == (Verdict.HEALTHY, None, None)


def test_judge__drop_in_money__needs_100_paying_units() -> None:
    phase = frame(GuardrailConfig(max_drop_vs_control=0.2))
    rich, poor = VariantMoments(10_000, 2_000_000, 4_000_000_000), VariantMoments(10_000, 1_000_000, 2_000_000_000)
    control = variant("control", harm=rich, harm_payers=1000)

    few = verdict_on(variant("test", GOOD, harm=poor, harm_payers=99), control, phase=phase)
    many = verdict_on(variant("test", GOOD, harm=poor, harm_payers=100), control, phase=phase)

    assert (few.verdict, many.verdict) == (Verdict.HEALTHY, Verdict.BREACHED)


def test_judge__exposures_collapse__is_an_outage_without_control_rule_or_sample() -> None:
    steady = tuple(HourTally(OPENED_AT + timedelta(hours=hour), 100, 50) for hour in range(6))
    fallen = (*steady[:4], *(tally._replace(accepted=1) for tally in steady[4:]))

    collapsed = verdict_on(variant("test", exposures=fallen, planned_share=0.5), holds=("sample_ratio",))
    healthy = verdict_on(variant("test", GOOD, exposures=steady, planned_share=0.5))

    assert (collapsed.verdict, collapsed.codes, collapsed.should_pause) == (
        Verdict.OUTAGE,
        ("exposure_collapse",),
        True,
    )
    assert healthy.verdict == Verdict.HEALTHY
    assert healthy.evidence[-1].threshold == 0.25


PERSISTENT = GuardrailConfig(min_acceptance_rate=0.1, pause_rule="persistent", consecutive=3)


def test_judge__persistent__needs_consecutive_batches_each_outside() -> None:
    three = verdict_on(variant("test", [(50, 9), (50, 4), (50, 4), (50, 4), (50, 4)]), phase=frame(PERSISTENT))
    broken = verdict_on(variant("test", [(50, 4), (50, 4), (50, 4), (50, 7), (50, 4)]), phase=frame(PERSISTENT))

    assert (three.verdict, three.codes, three.should_pause) == (Verdict.BREACHED, ("min_acceptance_rate",), True)
    assert three.evidence[0].batches == ((50, 4),) * 3
    assert broken.verdict == Verdict.WATCH


def test_judge__persistent__ignores_the_control_and_the_running_hour() -> None:
    counts, phase = [(100, 9)] * 3, frame(PERSISTENT, hours=2.5, minimum_sample=0)

    running = verdict_on(variant("test", counts), variant("control", counts), phase=phase)
    over = verdict_on(variant("test", counts), variant("control", counts), phase=frame(PERSISTENT, hours=3))

    assert running.verdict == Verdict.WATCH
    assert (over.verdict, over.should_pause) == (Verdict.BREACHED, True)


def test_gravest__several__is_the_first_in_order() -> None:
    verdicts = judge(frame(), [variant("control", GOOD), variant("one", BAD), variant("two", [(10, 0)])])

    assert gravest(verdicts) == Verdict.BREACHED
    assert gravest([]) == Verdict.HEALTHY


def test_judge__half_the_rate_in_a_busy_shop__stops_within_400_orders_on_average() -> None:
    generator = numpy.random.default_rng(20_250_510)

    stopped = [orders_until_paused(generator.binomial(20, 0.05, 120).tolist()) for _ in range(40)]

    assert sum(stopped) / len(stopped) <= 400


def orders_until_paused(accepted_per_look: list[int]) -> int:
    """Return the orders until a variant is paused: 20 per look of 5 minutes, beside a control at 15 %."""
    for looks in range(4, len(accepted_per_look) + 1):
        hours = [accepted_per_look[start : min(start + 12, looks)] for start in range(0, looks, 12)]
        test = variant("test", [(20 * len(hour), sum(hour)) for hour in hours])
        control = variant("control", [(20 * len(hour), 3 * len(hour)) for hour in hours])
        phase = PhaseFrame(OPENED_AT, OPENED_AT + timedelta(minutes=5 * looks), 0.05, 250, AT_LEAST_TEN_PERCENT)
        if judge(phase, [control, test])[1].should_pause:
            return 20 * looks
    raise AssertionError("never paused")
