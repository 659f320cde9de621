"""The steps that publish and resume share: check, apply what was pending, decide about the phase, take the slot.

Below `lifecycle`, which calls them in order under the experiment's lock and alone writes the status.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from catalog_experiments.audit import difference, record_event
from catalog_experiments.drafting import columns_of, store
from catalog_experiments.drafting.specification import (
    GOES_LIVE_AT_PUBLISH,
    ExperimentSpec,
    as_json,
    stored_spec,
    wanted_spec,
)
from catalog_experiments.locking import lock_group, locked_bundles
from catalog_experiments.models import Experiment, Exposure, Phase, PhaseOrigin
from catalog_experiments.phases import (
    open_phase,
    reasons_for_new_phase,
    record_unserved_from,
    record_unserved_to,
    refresh_rules,
)
from catalog_experiments.preflight import Check, failures, run_preflight, warnings
from catalog_experiments.publication import lock_document, overrides, promise, publish_document, slots


class PreflightFailed(RuntimeError):
    """The launch checklist has failures (or warnings that the caller would not accept); nothing was changed."""

    def __init__(self, checks: tuple[Check, ...]) -> None:
        """Keep the whole list, passed checks too; the message joins those that did not."""
        super().__init__(" ".join(check.sentence for check in checks if check.outcome != "pass"))
        self.checks = checks


@dataclass(frozen=True, slots=True)
class Applied:
    """Pending edits that became live: their fields before and after, and why they call for a new phase, if they do."""

    before: dict[str, Any]
    after: dict[str, Any]
    columns: list[str]
    reasons: tuple[str, ...]


def require_preflight(experiment: Experiment, *, now: datetime, accept_warnings: bool = True) -> None:
    """Let an experiment pass that may go live; its bundles stay locked until the transaction ends.

    Raises:
        PreflightFailed: a check fails, or warns and warnings are not accepted.
    """
    wanted = wanted_spec(experiment)
    locked_bundles(variant.bundle_slug for variant in wanted.variants if variant.bundle_slug)
    lock_group(wanted.exclusion_group)
    checks = run_preflight(experiment, now=now)
    if failures(checks) or (warnings(checks) and not accept_warnings):
        raise PreflightFailed(checks)


def apply_pending(experiment: Experiment) -> Applied:
    """Write pending edits into a locked experiment and its variants; the caller saves the columns named."""
    live, wanted = stored_spec(experiment), wanted_spec(experiment)
    changed = [name for name in GOES_LIVE_AT_PUBLISH if getattr(live, name) != getattr(wanted, name)]
    store(experiment, wanted, changed)
    experiment.pending_changes = {}
    before, after = difference(as_json(live, changed), as_json(wanted, changed))
    # Neither is frozen in the phase: who is enrolled changes, and with it what the counts mean.
    population = {
        "coverage lowered": wanted.coverage < live.coverage,
        "targeting": wanted.targeting != live.targeting,
        "exclusion group": not _only_adds_units(live, wanted),
    }
    reasons = tuple(reason for reason, holds in population.items() if holds)
    return Applied(before, after, [*columns_of(changed), "pending_changes"], reasons)


def _only_adds_units(live: ExperimentSpec, wanted: ExperimentSpec) -> bool:
    if wanted.exclusion_group is None:
        return True
    contains = wanted.exclusion_start <= live.exclusion_start and live.exclusion_end <= wanted.exclusion_end
    return wanted.exclusion_group == live.exclusion_group and contains


def new_phase_reasons(experiment: Experiment, applied: Applied) -> tuple[str, ...]:
    """Say why the experiment as stored now needs another phase than its open one; empty when it does not."""
    return applied.reasons + reasons_for_new_phase(experiment, current_phase(experiment))


def settle_phase(experiment: Experiment, reasons: tuple[str, ...], *, why: str, now: datetime) -> Phase:
    """Open a new phase for the given reasons, or go on with the open one under the edited thresholds."""
    if experiment.current_phase is None or reasons:
        origin = experiment.current_phase.origin if experiment.current_phase else PhaseOrigin.PUBLISHED
        text = ": ".join(part for part in (", ".join(reasons), why) if part)
        return open_phase(experiment, reason=text, now=now, origin=origin)
    refresh_rules(experiment, experiment.current_phase)
    return experiment.current_phase


def take_slot(experiment: Experiment, *, now: datetime) -> bool:
    """Become the only publisher, then take the page's slot or wait for it; say whether the experiment waits."""
    lock_document()
    return slots.claim(experiment, now=now)


def serve(experiment: Experiment, *, now: datetime) -> int | None:
    """Write the next document and return its version; None where the experiment is no part of it (seeded, imported)."""
    if current_phase(experiment).origin != PhaseOrigin.PUBLISHED:
        return None
    version = publish_document(now=now).version
    promise(experiment, version, now=now)
    return version


def finish(
    experiment: Experiment,
    *,
    actor: str,
    action: str,
    reason: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    now: datetime,
) -> None:
    """Serve what an experiment has become, and note it together with the document's version: the end of every verb."""
    _note_gap(experiment, now=now)
    served = {**after, "document_version": serve(experiment, now=now)}
    record_event(experiment, actor=actor, action=action, reason=reason, before=before, after=served, now=now)


def _note_gap(experiment: Experiment, *, now: datetime) -> None:
    # Paused, or waiting for the slot of its page: either way nobody meets a variant, and no time of it is measured.
    phase, is_served = current_phase(experiment), experiment.is_running and not slots.waits(experiment)
    if phase.closed_at is None:
        note = record_unserved_to if is_served else record_unserved_from
        note(phase, now)


def leave_page(experiment: Experiment, *, now: datetime, push_baseline: bool = False) -> tuple[str, ...]:
    """End what is live, give up the slot, and return the slugs of bundles that went back to their baseline."""
    slots.leave(experiment)
    if push_baseline:
        return overrides.push_baseline(experiment, now=now)
    overrides.record_ended(experiment, now=now)
    return ()


def gap_cost(experiment: Experiment, *, now: datetime) -> dict[str, int]:
    """Say what a pause cost if it ended now: its seconds, and the units whose window met it and that are cut."""
    phase, paused_at = experiment.current_phase, experiment.paused_at
    if phase is None or paused_at is None:
        return {}
    met = Exposure.objects.filter(
        phase_id=phase.pk,
        exposed_at__gt=paused_at - timedelta(days=phase.window_days),
        exposed_at__lt=now,
        excluded_as=None,
    )
    return {"gap_seconds": int((now - paused_at).total_seconds()), "units_cut": met.count()}


def offered_slugs(experiment: Experiment) -> list[str]:
    """Return the slugs of the bundles that the stored variants offer: what a new phase freezes, so what it locks."""
    offered = experiment.variants.filter(bundle__isnull=False)
    return list(offered.values_list("bundle__bundle_slug", flat=True))


def current_phase(experiment: Experiment) -> Phase:
    """Return the phase of an experiment that was published at least once.

    Raises:
        LookupError: it is a draft.
    """
    if experiment.current_phase is None:
        raise LookupError(f"{experiment.slug} is a draft: it has no phase yet.")
    return experiment.current_phase
