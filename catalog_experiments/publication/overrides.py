"""Keep what each variant's page payload was and when it was live, and roll pages back to their baseline."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from catalog_experiments.locking import locked_bundles
from catalog_experiments.models import Bundle, Experiment, OverridePublication, Phase


def record_live(experiment: Experiment, *, now: datetime) -> None:
    """Note that the payloads of the open phase are live from now; whatever was live before ends. Needs a phase."""
    record_ended(experiment, now=now)
    phase = _phase(experiment)
    _snapshot(experiment, phase, {entry["key"]: entry["override_payload"] for entry in phase.variants}, now=now)


def record_ended(experiment: Experiment, *, now: datetime) -> None:
    """Note that nothing of the experiment is live any more. Safe to repeat."""
    experiment.override_publications.filter(active_to_at=None).update(active_to_at=now)


def push_baseline(experiment: Experiment, *, now: datetime) -> tuple[str, ...]:
    """Put the CMS override of every offered bundle back to what it was when the phase opened; note it as a roll-back.

    Locks the bundles. Returns the slugs of the bundles that had been changed since, in order.
    """
    phase = _phase(experiment)
    baselines = {entry["bundle_slug"]: entry.get("baseline", {}) for entry in phase.variants if entry["bundle_slug"]}
    bundles = locked_bundles(baselines)
    changed = [bundle for slug, bundle in bundles.items() if bundle.cms_override != baselines[slug]]
    for bundle in changed:
        _restore(bundle, baselines[bundle.bundle_slug])
    record_ended(experiment, now=now)
    payloads = {entry["key"]: entry.get("baseline", {}) for entry in phase.variants}
    _snapshot(experiment, phase, payloads, now=now, is_rollback=True)
    return tuple(bundle.bundle_slug for bundle in changed)


def _phase(experiment: Experiment) -> Phase:
    assert experiment.current_phase is not None  # noqa: S101 - the database insists on it once published
    return experiment.current_phase


def _restore(bundle: Bundle, baseline: Mapping[str, Any]) -> None:
    bundle.cms_override = dict(baseline)
    bundle.save(update_fields=["cms_override", "updated_at"])


def _snapshot(
    experiment: Experiment,
    phase: Phase,
    payloads: Mapping[str, Mapping[str, Any]],
    *,
    now: datetime,
    is_rollback: bool = False,
) -> None:
    ids = dict(experiment.variants.values_list("key", "pk"))
    OverridePublication.objects.bulk_create(
        OverridePublication(
            experiment=experiment,
            phase=phase,
            variant_id=ids.get(entry["key"]),
            variant_key=entry["key"],
            bundle_slug=entry["bundle_slug"] or "",
            payload=payloads[entry["key"]],
            is_rollback=is_rollback,
            active_from_at=now,
        )
        for entry in phase.variants
    )
