"""Plain builders of test data: each makes one thing with sensible defaults, every field can be overridden."""

import datetime as dt
from typing import Any

from catalog_experiments.models import (
    Bundle,
    Experiment,
    ExperimentStatus,
    Phase,
    PhaseOrigin,
    Variant,
)

NOON = dt.datetime(2026, 3, 2, 12, 0, tzinfo=dt.UTC)


def make_bundle(**overrides: Any) -> Bundle:
    """Make a bundle of a cup and a saucer on the cup's page, with price, cost and stock known."""
    slug = overrides.pop("bundle_slug", "cup-and-saucer")
    fields: dict[str, Any] = {
        "primary_product_slug": "cup",
        "title": "Take the saucer with the cup",
        "savings_copy": "Save 10 %",
        "components": [{"slug": "cup", "quantity": 1}, {"slug": "saucer", "quantity": 1}],
        "price_minor": 3240,
        "cost_minor": 1500,
        "currency": "EUR",
        "stock_state": "in_stock",
    }
    return Bundle.objects.create(bundle_slug=slug, **(fields | overrides))


def make_experiment(*, variants: list[dict[str, Any]] | None = None, **overrides: Any) -> Experiment:
    """Make a draft with a control and a test variant on two bundles of the cup's page, split evenly.

    `variants` replaces the two; each entry takes the fields of `Variant`, `bundle` as an object or None.
    """
    fields: dict[str, Any] = {
        "slug": "cup-saucer",
        "name": "Cup and saucer",
        "sample_size_guardrail": 250,
        "guardrail_config": {"min_acceptance_rate": 0.1},
    }
    experiment = Experiment.objects.create(**(fields | overrides))
    for position, variant in enumerate(variants if variants is not None else _two_variants(experiment.slug)):
        Variant.objects.create(experiment=experiment, position=position, **variant)
    return experiment


def make_running_experiment(*, now: dt.datetime = NOON, **overrides: Any) -> Experiment:
    """Make an experiment that runs since `now` in phase 1, written straight to the tables (no document, no event)."""
    experiment = make_experiment(**overrides)
    experiment.current_phase = make_phase(experiment, opened_at=now)
    experiment.status = ExperimentStatus.RUNNING
    experiment.started_at = experiment.published_at = now
    experiment.save()
    return experiment


def make_phase(experiment: Experiment, **overrides: Any) -> Phase:
    """Make the experiment's next phase with the variants as they are now, control first."""
    fields: dict[str, Any] = {
        "number": experiment.phases.count() + 1,
        "salt": "0123456789abcdef",
        "opened_at": NOON,
        "variants": [_as_in_phase(variant) for variant in experiment.variants.select_related("bundle")],
        "anchor_product_slug": "cup",
        "bounds": experiment.guardrail_config,
        "minimum_sample": experiment.sample_size_guardrail,
        "currency": "EUR",
        "window_days": experiment.attribution_window_days,
        "origin": PhaseOrigin.PUBLISHED,
    }
    return Phase.objects.create(experiment=experiment, **(fields | overrides))


def _two_variants(prefix: str) -> list[dict[str, Any]]:
    return [
        {
            "key": key,
            "name": key.title(),
            "weight": 50,
            "is_control": key == "control",
            "bundle": make_bundle(bundle_slug=f"{prefix}-{key}"),
        }
        for key in ("control", "test")
    ]


def _as_in_phase(variant: Variant) -> dict[str, Any]:
    bundle = variant.bundle
    return {
        "key": variant.key,
        "name": variant.name,
        "weight": variant.weight,
        "is_control": variant.is_control,
        "bundle_slug": variant.bundle_id,
        "override_payload": variant.override_payload,
        "bundle": bundle
        and {
            "slug": bundle.bundle_slug,
            "title": bundle.title,
            "description": bundle.description,
            "savings_copy": bundle.savings_copy,
            "components": bundle.components,
            "price_minor": bundle.price_minor,
            "currency": bundle.currency,
        },
    }
