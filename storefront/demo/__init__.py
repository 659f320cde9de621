"""The demo shop "Kiln & Kettle": its shelves, its bundles, and three experiments set up through the real service.

Everything is created once; what exists is left as people and guardrails made it, a paused experiment stays paused.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.db import transaction

from catalog_experiments.models import Bundle, ExperimentStatus
from catalog_experiments.service import CatalogExperimentService, ExperimentNotFound
from storefront.demo.experiments import DRAFT, HARMFUL, HEALTHY, DemoExperiment, experiments
from storefront.demo.goods import BUNDLES, PRODUCTS
from storefront.models import Product

__all__ = ["DRAFT", "HARMFUL", "HEALTHY", "DemoResult", "seed_demo"]

ACTOR = "system:seed_demo"


@dataclass(frozen=True)
class DemoResult:
    """What a run created, and what it found in place."""

    products: int
    bundles: int
    experiments: tuple[str, ...]
    kept: tuple[str, ...]


def seed_demo(*, now: dt.datetime, owner_username: str | None = None) -> DemoResult:
    """Fill the shop and publish its experiments; a second run creates nothing. Needs no network and no telemetry."""
    with transaction.atomic():
        products = sum(_create(Product, "slug", row) for row in PRODUCTS)
        bundles = sum(_create(Bundle, "bundle_slug", row) for row in BUNDLES)
    service = CatalogExperimentService(actor=ACTOR)
    created: list[str] = []
    kept: list[str] = []
    for wanted in experiments(owner_username):
        is_new = _set_up(service, wanted, now=now)
        (created if is_new else kept).append(wanted.spec.slug)
    return DemoResult(products, bundles, tuple(created), tuple(kept))


def _create(model: type[Product] | type[Bundle], key: str, row: dict[str, Any]) -> bool:
    defaults = {name: value for name, value in row.items() if name != key}
    _, is_new = model._default_manager.get_or_create(**{key: row[key]}, defaults=defaults)  # noqa: SLF001 - the public name is per model
    return is_new


def _set_up(service: CatalogExperimentService, wanted: DemoExperiment, *, now: dt.datetime) -> bool:
    slug, is_new = wanted.spec.slug, False
    try:
        experiment = service.get(slug)
    except ExperimentNotFound:
        experiment, is_new = service.create(wanted.spec, now=now), True
    # A run that was killed between creating and publishing is finished by the next one.
    if wanted.is_published and experiment.status == ExperimentStatus.DRAFT:
        service.publish(slug, now=now, reason="Demo shop")
    return is_new
