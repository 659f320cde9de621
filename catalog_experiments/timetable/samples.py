"""The planned sample: told at the first watermark at which it is complete; where wanted, it ends the experiment."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

from django.db import transaction

from catalog_experiments.analysis.telemetry import PhaseTelemetry, load_telemetry
from catalog_experiments.audit import record_event
from catalog_experiments.lifecycle import complete
from catalog_experiments.locking import locked_experiment
from catalog_experiments.models import Experiment, MomentMetric, Phase, PhaseOrigin
from catalog_experiments.timetable.moments import ACTOR
from notifications.outbox import AlertDraft, enqueue


def due_samples(now: datetime) -> list[UUID]:
    """Return the running experiments whose planned sample is complete, and not told or not acted upon."""
    planned = Experiment.objects.running().filter(
        current_phase__origin=PhaseOrigin.PUBLISHED, current_phase__planned_sample_size__isnull=False
    )
    known = planned.filter(current_phase__planned_sample_at__isnull=False, stop_at_planned_sample=True)
    untold = list(planned.filter(current_phase__planned_sample_at__isnull=True).order_by("pk"))
    return [*known.order_by("pk").values_list("pk", flat=True), *_complete(untold, now)]


def tell_sample(experiment_id: UUID, now: datetime) -> str:
    """Note on the phase that its planned sample is complete and tell; complete the experiment where it wants that.

    The note stands in the phase, so it is made once; a new phase counts and is told anew.
    """
    telemetry = load_telemetry(list(Experiment.objects.filter(pk=experiment_id)), now=now)
    with transaction.atomic():
        experiment = locked_experiment(experiment_id)
        phase = experiment.current_phase
        if not experiment.is_running or phase is None or phase.pk not in telemetry:
            return ""
        is_news = phase.planned_sample_at is None
        if is_news and not _is_reached(telemetry[phase.pk]):
            return ""
        if is_news:
            _note(experiment, phase, telemetry[phase.pk], now)
        if experiment.stop_at_planned_sample:
            reason = f"The planned sample of {phase.planned_sample_size:,} visitors a variant is complete."
            complete(experiment_id, actor=ACTOR, now=now, reason=reason)
            return "sample_stopped"
    return "sample_told" if is_news else ""


def complete_units(telemetry: PhaseTelemetry) -> dict[str, int]:
    """Return the units of each variant whose whole window is measured, by variant key in the phase's order."""
    keys = [variant["key"] for variant in telemetry.phase.variants]
    return {key: telemetry.pool.complete_of(key, MomentMetric.CONVERSION).n for key in keys}


def _complete(experiments: list[Experiment], now: datetime) -> Iterable[UUID]:
    telemetry = load_telemetry(experiments, now=now) if experiments else {}
    for experiment in experiments:
        measured = telemetry.get(experiment.current_phase_id) if experiment.current_phase_id else None
        if measured is not None and _is_reached(measured):
            yield experiment.pk


def _is_reached(telemetry: PhaseTelemetry) -> bool:
    planned = telemetry.phase.planned_sample_size
    return planned is not None and min(complete_units(telemetry).values(), default=0) >= planned


def _note(experiment: Experiment, phase: Phase, telemetry: PhaseTelemetry, now: datetime) -> None:
    counts = complete_units(telemetry)
    phase.planned_sample_at = max((row.watermark_at for row in telemetry.metrics.values()), default=now)
    phase.save(update_fields=["planned_sample_at"])
    after = {"phase": phase.number, "complete_units": counts, "watermark_at": phase.planned_sample_at.isoformat()}
    reason = f"Every variant has its planned {phase.planned_sample_size:,} complete visitors."
    record_event(experiment, actor=ACTOR, action="planned_sample", reason=reason, before={}, after=after, now=now)
    enqueue(_draft(experiment, phase, counts, now), now=now)


def _draft(experiment: Experiment, phase: Phase, counts: dict[str, int], now: datetime) -> AlertDraft:
    stops = experiment.stop_at_planned_sample
    return AlertDraft(
        kind="planned_sample_reached",
        severity="info",
        subject=f"{experiment.slug}: the planned sample is complete",
        dedupe_key=f"planned-sample:{phase.pk}",
        summary=f"The result is final. {'The experiment was completed.' if stops else 'The experiment goes on.'}",
        occurred_at=now,
        facts={
            "lines": [{"label": f"{key}: complete visitors", "value": f"{count:,}"} for key, count in counts.items()],
            "links": [{"label": "Read the result", "url": experiment.page_url}],
            "next_step": "State the conclusion." if stops else "Read the result and complete the experiment.",
            "data": {"experiment": experiment.slug, "phase": phase.number, "complete_units": counts},
        },
    )
