"""Open and close phases: one unchanged treatment with its own salt, counted from zero, never pooled with another.

A phase freezes what visitors see (variants with their bundles) and by what rules it is judged (bounds, alpha, caps).
Stands between `publication`, which serves the open phase, and `lifecycle`, which decides when one ends.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import Max

from catalog_experiments.drafting.specification import current_variants
from catalog_experiments.guardrails import GuardrailConfig, effective_minimum, parse_config
from catalog_experiments.models import Experiment, Phase, PhaseOrigin, PrimaryMetric, Variant
from catalog_experiments.phases.caps import MoneyRules, money_rules
from catalog_experiments.phases.partitions import ensure_exposure_partition
from catalog_experiments.phases.snapshots import anchor_of, snapshot, treatment_changes

__all__ = [
    "close_phase",
    "ensure_exposure_partition",
    "open_phase",
    "reasons_for_new_phase",
    "record_unserved_from",
    "record_unserved_to",
    "refresh_rules",
]


def open_phase(
    experiment: Experiment,
    *,
    reason: str,
    now: datetime,
    origin: str = PhaseOrigin.PUBLISHED,
    salt: str | None = None,
) -> Phase:
    """Close the open phase, if any, and open the next one on the variants and bundles as they are stored.

    Sets and saves `experiment.current_phase`. The caller holds the experiment's lock and has saved its fields.

    Args:
        experiment: a locked experiment with valid guardrails.
        reason: why, for the report.
        now: the moment the treatment starts; an import passes the file's first time.
        origin: where the telemetry comes from; only a published phase takes money rules from the shop's orders.
        salt: sixteen random characters; drawn when None.
    """
    if experiment.current_phase is not None:
        close_phase(experiment.current_phase, now=now)
    variants = current_variants(experiment)
    phase = Phase.objects.create(
        experiment=experiment,
        number=(experiment.phases.aggregate(newest=Max("number"))["newest"] or 0) + 1,
        salt=salt or secrets.token_hex(8),
        opened_at=now,
        reason=reason,
        variants=[snapshot(variant) for variant in variants],
        anchor_product_slug=anchor_of(variants),
        window_days=experiment.attribution_window_days,
        segments=experiment.segments,
        planned_sample_size=experiment.planned_sample_size,
        origin=origin,
        **_money(experiment, variants, origin, now),
        **_rules(experiment),
    )
    ensure_exposure_partition(now.date())
    experiment.current_phase = phase
    experiment.save(update_fields=["current_phase"])
    return phase


def close_phase(phase: Phase, *, now: datetime) -> None:
    """End a phase, and with it an open gap; a phase that is closed already stays as it is."""
    if phase.closed_at is None:
        record_unserved_to(phase, now)
        phase.closed_at = max(now, phase.opened_at)
        phase.save(update_fields=["closed_at"])


def record_unserved_from(phase: Phase, now: datetime) -> None:
    """Note that visitors stop being served here: units whose window meets the gap are cut. Safe to repeat."""
    if not _is_gap_open(phase):
        phase.unserved_spans = [*phase.unserved_spans, [now.isoformat(), None]]
        phase.save(update_fields=["unserved_spans"])


def record_unserved_to(phase: Phase, now: datetime) -> None:
    """Note that visitors are served again; without an open gap nothing happens."""
    if _is_gap_open(phase):
        *earlier, (since, _) = phase.unserved_spans
        phase.unserved_spans = [*earlier, [since, now.isoformat()]]
        phase.save(update_fields=["unserved_spans"])


def refresh_rules(experiment: Experiment, phase: Phase) -> bool:
    """Bring edited thresholds into the open phase, where they count at once; say whether anything changed."""
    rules = _rules(experiment)
    if all(getattr(phase, name) == value for name, value in rules.items()):
        return False
    for name, value in rules.items():
        setattr(phase, name, value)
    phase.save(update_fields=list(rules))
    return True


def reasons_for_new_phase(experiment: Experiment, phase: Phase) -> tuple[str, ...]:
    """Say in what the stored experiment is another treatment than the phase's, or judged by other rules.

    Edited thresholds and renamed variants are no reason. Coverage and targeting are not frozen in a phase; whoever
    changes them compares them there.
    """
    variants = [snapshot(variant) for variant in current_variants(experiment)]
    differs = {
        "guardrail rules": _rule_set(experiment.guardrail_config) != _rule_set(phase.bounds),
        "attribution window": experiment.attribution_window_days != phase.window_days,
        "planned sample": experiment.planned_sample_size != phase.planned_sample_size,
        "primary metric": experiment.primary_metric not in ("", phase.primary_metric),
    }
    return treatment_changes(phase.variants, variants) + tuple(what for what, is_other in differs.items() if is_other)


def _money(experiment: Experiment, variants: list[Variant], origin: str, now: datetime) -> dict[str, Any]:
    currency = next((variant.bundle.currency for variant in variants if variant.bundle), "")
    rules = MoneyRules({}, PrimaryMetric.REVENUE.value)
    if origin == PhaseOrigin.PUBLISHED:
        rules = money_rules(variants, currency, now=now)
    return {
        "caps": dict(rules.caps),
        "primary_metric": experiment.primary_metric or rules.primary_metric,
        "currency": currency,
    }


def _rules(experiment: Experiment) -> dict[str, Any]:
    config = parse_config(experiment.guardrail_config)
    return {
        "bounds": experiment.guardrail_config,
        "alpha": config.alpha,
        "minimum_sample": effective_minimum(config, experiment.sample_size_guardrail),
    }


def _rule_set(config: Mapping[str, object]) -> tuple[object, ...]:
    # What a false pause's chance is promised for: which bounds are enforced, the budget, and the rule that spends it.
    parsed: GuardrailConfig = parse_config(config)
    persistence = parsed.consecutive if parsed.pause_rule == "persistent" else None
    drop_metric = parsed.drop_metric if parsed.max_drop_vs_control is not None else None
    return (parsed.bounds, parsed.alpha, parsed.mode, parsed.pause_rule, persistence, drop_metric)


def _is_gap_open(phase: Phase) -> bool:
    return bool(phase.unserved_spans) and phase.unserved_spans[-1][1] is None
