"""Experiments with their latest telemetry, for staff on a product page; never part of the document."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import F

from catalog_experiments.models import Experiment, GuardrailEvaluation, Variant, VariantMetric


@dataclass(frozen=True)
class VariantBadge:
    """A variant with its latest telemetry, for staff on the product page; rates and lift are fractions.

    `verdict` is '' before the first evaluation; the rate is None before the first metric row.
    """

    key: str
    name: str
    is_control: bool
    bundle_slug: str | None
    sample_size: int
    acceptance_count: int
    acceptance_rate: float | None
    lift: float | None
    lift_interval: tuple[float, float] | None
    guardrail_breached: bool
    breach_reasons: tuple[str, ...]
    verdict: str
    computed_at: datetime | None


@dataclass(frozen=True)
class ExperimentBadge:
    """An experiment for staff on the product page, its variants control first; `state` is its gravest verdict."""

    slug: str
    name: str
    status: str
    state: str
    anchor_product_slug: str
    pause_reason: str
    guardrail_config: Mapping[str, Any]
    variants: tuple[VariantBadge, ...]

    @property
    def bundles(self) -> frozenset[str]:
        """Return the slugs of the bundles its variants offer."""
        return frozenset(variant.bundle_slug for variant in self.variants if variant.bundle_slug)

    @property
    def computed_at(self) -> datetime | None:
        """Return when its newest numbers were computed, None before the first."""
        return max((variant.computed_at for variant in self.variants if variant.computed_at), default=None)


def telemetry_badges(*, limit: int = 100) -> tuple[ExperimentBadge, ...]:
    """Return the newest experiments of every state with their latest telemetry, in a constant number of queries.

    Never put into the document: the overlay asks for it, for staff alone.
    """
    experiments = list(
        Experiment.objects.select_related("current_phase")
        .prefetch_related("variants__bundle")
        .order_by("-created_at")[:limit]
    )
    metrics = {metric.variant_id: metric for metric in _latest_metrics(experiments)}
    evaluations = GuardrailEvaluation.objects.only("phase", "verdict", "verdicts").newest_of(
        experiment.current_phase_id for experiment in experiments
    )
    return tuple(_badge(own, metrics, evaluations.get(own.current_phase_id)) for own in experiments)


def _latest_metrics(experiments: Sequence[Experiment]) -> Iterable[VariantMetric]:
    current = VariantMetric.objects.filter(experiment__in=experiments, phase=F("experiment__current_phase"))
    return current.order_by("variant_id", "-window_start", "-computed_at").distinct("variant_id")


def _badge(
    experiment: Experiment, metrics: Mapping[Any, VariantMetric], evaluation: GuardrailEvaluation | None
) -> ExperimentBadge:
    verdicts = {} if evaluation is None else {entry["variant_key"]: entry["verdict"] for entry in evaluation.verdicts}
    variants = list(experiment.variants.all())
    anchor = next((variant.bundle.primary_product_slug for variant in variants if variant.bundle), "")
    return ExperimentBadge(
        slug=experiment.slug,
        name=experiment.name,
        status=experiment.status,
        state="collecting" if evaluation is None else evaluation.verdict,
        anchor_product_slug=experiment.current_phase.anchor_product_slug if experiment.current_phase else anchor,
        pause_reason=experiment.pause_reason,
        guardrail_config=experiment.guardrail_config,
        variants=tuple(_variant_badge(item, metrics.get(item.pk), verdicts.get(item.key, "")) for item in variants),
    )


def _variant_badge(variant: Variant, metric: VariantMetric | None, verdict: str) -> VariantBadge:
    has_interval = metric is not None and metric.lift_lower is not None and metric.lift_upper is not None
    return VariantBadge(
        key=variant.key,
        name=variant.name,
        is_control=variant.is_control,
        bundle_slug=variant.bundle_id,
        sample_size=metric.sample_size if metric else 0,
        acceptance_count=metric.acceptance_count if metric else 0,
        acceptance_rate=float(metric.acceptance_rate) if metric else None,
        lift=float(metric.lift_vs_control) if metric and metric.lift_vs_control is not None else None,
        lift_interval=(float(metric.lift_lower), float(metric.lift_upper)) if has_interval else None,  # type: ignore[union-attr, arg-type]  # has_interval says so
        guardrail_breached=metric.guardrail_breached if metric else False,
        breach_reasons=tuple(metric.breach_reasons) if metric else (),
        verdict=verdict,
        computed_at=metric.computed_at if metric else None,
    )
