"""Where climbing ramps stand: units since the step began, and what the guardrails find."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from django.db import connection

from catalog_experiments.aggregation import refresh_tallies
from catalog_experiments.enforcement.alerts import HOLD_SENTENCES
from catalog_experiments.enforcement.frame import FRESH, load_frames
from catalog_experiments.enforcement.holds import SAMPLE_RATIO
from catalog_experiments.enforcement.judgement import judge_frame
from catalog_experiments.guardrails import VariantVerdict, Verdict
from catalog_experiments.models import Experiment, RampState
from catalog_experiments.publication import slots
from catalog_experiments.ramp_plans import Finding, RampStanding

Samples = Mapping[str, int]
"""Units by variant key; a variant that nobody met is absent."""

# Phase by phase, by the index on phase and time.
COUNT_FRESH = """
SELECT wanted.experiment_id, exposure.variant_key, count(*)
FROM unnest(%s::uuid[], %s::uuid[], %s::date[], %s::timestamptz[])
    AS wanted (experiment_id, phase_id, retention_month, since_at)
CROSS JOIN LATERAL (
    SELECT variant_key FROM catalog_bundle_exposures
    WHERE retention_month = wanted.retention_month AND phase_id = wanted.phase_id AND exposed_at >= wanted.since_at
        AND NOT (is_holdout OR is_merged OR is_fault OR is_mixed) AND excluded_as IS NULL OFFSET 0
) AS exposure
GROUP BY 1, 2
"""
_BROKEN = (Verdict.BREACHED, Verdict.OUTAGE)


def samples_since_step(experiments: Iterable[Experiment]) -> dict[UUID, dict[str, int]]:
    """Count the units first exposed since each climbing ramp's present step began, in one query; none without ramps."""
    climbing = [own for own in experiments if own.ramp_state == RampState.CLIMBING and own.current_phase is not None]
    counts: dict[UUID, dict[str, int]] = defaultdict(dict)
    if climbing:
        phases = [own.current_phase for own in climbing if own.current_phase is not None]
        months = [phase.opened_at.date().replace(day=1) for phase in phases]
        ids = [own.pk for own in climbing]
        with connection.cursor() as cursor:
            cursor.execute(
                COUNT_FRESH, [ids, [phase.pk for phase in phases], months, [since_at(own) for own in climbing]]
            )
            for experiment_id, key, count in cursor.fetchall():
                counts[experiment_id][key] = count
    return counts


def since_at(experiment: Experiment) -> datetime:
    """Return when serving of the present step in the present phase began.

    Raises:
        LookupError: the experiment has no ramp.
    """
    if experiment.ramp_step_at is None or experiment.current_phase is None:
        raise LookupError(f"{experiment.slug} has no ramp.")
    return max(experiment.ramp_step_at, experiment.current_phase.opened_at)


def standing_of(
    experiment: Experiment, verdicts: Sequence[VariantVerdict], samples: Samples, *, now: datetime
) -> RampStanding:
    """Return where a climbing ramp stands, by the verdicts given."""
    tests = [verdict for verdict in verdicts if not verdict.is_control]
    phase = experiment.current_phase
    keys = [variant["key"] for variant in phase.variants] if phase else []
    return RampStanding(
        step=experiment.ramp_step or 1,
        since_at=since_at(experiment),
        now=now,
        smallest_sample=min((samples.get(key, 0) for key in keys), default=0),
        findings=frozenset(_findings(tests, verdicts)),
        is_watched=any(verdict.verdict == Verdict.WATCH for verdict in tests),
        will_pause=any(verdict.should_pause for verdict in tests),
        has_slot=not slots.waits(experiment),
    )


def judged_standing(experiment: Experiment, *, now: datetime) -> RampStanding | None:
    """Return where a climbing ramp stands, judged on fresh numbers; nothing is recorded and nobody is paused.

    None while the newest facts cannot be read: older ones decide nothing.

    Raises:
        GuardrailConfigError: the stored guardrails are not valid.
    """
    watermark_at = refresh_tallies([experiment.pk], now=now)
    if now - watermark_at > FRESH:
        return None
    frame = load_frames([experiment], watermark_at=watermark_at, now=now)[experiment.pk]
    samples = samples_since_step([experiment]).get(experiment.pk, {})
    return standing_of(experiment, judge_frame(frame).verdicts, samples, now=now)


def _findings(tests: Iterable[VariantVerdict], verdicts: Iterable[VariantVerdict]) -> Iterable[Finding]:
    if any(verdict.verdict in _BROKEN for verdict in tests):
        yield Finding.GUARDRAIL
    held = {code for verdict in verdicts for code in verdict.codes if code in HOLD_SENTENCES}
    if SAMPLE_RATIO in held:
        yield Finding.SAMPLE_RATIO
    if held - {SAMPLE_RATIO}:
        yield Finding.HOLD
