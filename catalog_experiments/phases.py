"""Open and close phases: one unchanged treatment with its own salt, counted from zero, never pooled with another.

A phase freezes what visitors saw (variants with their bundles) and by what rules it is judged (bounds, alpha, caps).
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from django.db import DatabaseError, connection, transaction
from django.db.models import Max

from catalog_experiments.assignment import AllocationError, allocation
from catalog_experiments.caps import money_rules
from catalog_experiments.guardrails import GuardrailConfig, effective_minimum, parse_config
from catalog_experiments.models import Bundle, Experiment, Phase, PhaseOrigin, PrimaryMetric, Variant
from catalog_experiments.specification import current_variants

logger = logging.getLogger(__name__)

_PARTITION_LOCK = 7_311_001  # class of the advisory lock; the month is its key
_PARTITION_LOCK_MILLISECONDS = 300


def open_phase(
    experiment: Experiment,
    *,
    reason: str,
    now: datetime,
    origin: str = PhaseOrigin.PUBLISHED,
    salt: str | None = None,
) -> Phase:
    """Close the open phase, if any, and open the next one on the variants and bundles as they are stored.

    Sets and saves `experiment.current_phase`. The caller holds the experiment's lock, and has saved its fields.

    Args:
        experiment: a locked experiment with valid guardrails.
        reason: why, for the report.
        now: the moment the treatment starts; an import passes the file's first time.
        origin: where the telemetry comes from; only a published phase gets caps on money from the shop's orders.
        salt: sixteen or so random characters; drawn when None.
    """
    if experiment.current_phase is not None:
        close_phase(experiment.current_phase, now=now)
    variants = current_variants(experiment)
    config = parse_config(experiment.guardrail_config)
    currency = next((variant.bundle.currency for variant in variants if variant.bundle), "")
    rules = money_rules(variants, currency, now=now)
    is_published = origin == PhaseOrigin.PUBLISHED
    phase = Phase.objects.create(
        experiment=experiment,
        number=(experiment.phases.aggregate(newest=Max("number"))["newest"] or 0) + 1,
        salt=salt or secrets.token_hex(8),
        opened_at=now,
        reason=reason,
        variants=[snapshot(variant) for variant in variants],
        anchor_product_slug=anchor_of(variants),
        caps=rules.caps if is_published else {},
        window_days=experiment.attribution_window_days,
        primary_metric=experiment.primary_metric or (rules.primary_metric if is_published else PrimaryMetric.REVENUE),
        currency=currency,
        planned_sample_size=experiment.planned_sample_size,
        origin=origin,
        **_judged_by(experiment, config),
    )
    ensure_exposure_partition(now.date())
    experiment.current_phase = phase
    experiment.save(update_fields=["current_phase"])
    return phase


def close_phase(phase: Phase, *, now: datetime) -> None:
    """End a phase, and with it an open pause; a phase that is closed already stays as it is."""
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
    rules = _judged_by(experiment, parse_config(experiment.guardrail_config))
    if all(getattr(phase, name) == value for name, value in rules.items()):
        return False
    for name, value in rules.items():
        setattr(phase, name, value)
    phase.save(update_fields=list(rules))
    return True


def reasons_for_new_phase(experiment: Experiment, phase: Phase) -> tuple[str, ...]:
    """Say what in the stored experiment is another treatment, or another rule, than the phase's; empty when nothing.

    Edited thresholds are not among the reasons, nor are the names of variants.
    """
    variants = [snapshot(variant) for variant in current_variants(experiment)]
    rules = money_rules(current_variants(experiment), phase.currency, now=None)
    differs = {
        "weights": _ranges(variants) != _ranges(phase.variants),
        "variants": _shape(variants) != _shape(phase.variants),
        "bundles": _offers(variants, "bundle") != _offers(phase.variants, "bundle"),
        "payloads": _offers(variants, "override_payload") != _offers(phase.variants, "override_payload"),
        "guardrail rules": _rule_set(experiment.guardrail_config) != _rule_set(phase.bounds),
        "attribution window": experiment.attribution_window_days != phase.window_days,
        "planned sample": experiment.planned_sample_size != phase.planned_sample_size,
        "primary metric": bool(experiment.primary_metric) and experiment.primary_metric != phase.primary_metric,
    }
    return tuple(reason for reason, is_different in differs.items() if is_different)


def snapshot(variant: Variant) -> dict[str, Any]:
    """Return a variant as a phase keeps it; `baseline` is what the page shows while no experiment runs."""
    return {
        "key": variant.key,
        "name": variant.name,
        "weight": variant.weight,
        "is_control": variant.is_control,
        "bundle_slug": variant.bundle_id,
        "override_payload": variant.override_payload,
        "bundle": offer(variant.bundle) if variant.bundle else None,
        "baseline": variant.bundle.cms_override if variant.bundle else {},
    }


def offer(bundle: Bundle) -> dict[str, Any]:
    """Return a bundle as shoppers see it."""
    return {
        "slug": bundle.bundle_slug,
        "title": bundle.title,
        "description": bundle.description,
        "savings_copy": bundle.savings_copy,
        "components": bundle.components,
        "price_minor": bundle.price_minor,
        "currency": bundle.currency,
    }


def anchor_of(variants: list[Variant]) -> str:
    """Return the product whose page carries the slot; '' while no variant has a bundle."""
    return next((variant.bundle.primary_product_slug for variant in variants if variant.bundle), "")
