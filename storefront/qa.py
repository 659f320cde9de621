"""QA's world: the two products of the seeded experiment, and the fixture files with every state of it.

Stands in the shop, not with the experiments, because it composes both.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.core import serializers
from django.db import models, transaction

from catalog_experiments.models import ExperimentStatus
from catalog_experiments.seeding import ADD_ON, PRIMARY_PRODUCT, QA_SLUG, SeedResult, qa_rows, seed_qa_experiment
from storefront.models import Product

FIXTURES_MADE_AT = dt.datetime(2026, 3, 2, 12, 0, tzinfo=dt.UTC)
"""The moment all fixtures speak of, so that the files never change by themselves."""

STATES = {
    QA_SLUG.replace("-", "_"): (QA_SLUG, ExperimentStatus.RUNNING),
    "qa_draft": ("qa-draft", ExperimentStatus.DRAFT),
    "qa_paused": ("qa-paused", ExperimentStatus.PAUSED),
    "qa_completed": ("qa-completed", ExperimentStatus.COMPLETED),
}
"""Fixture name -> slug and state of the experiment in it."""

_IDS = uuid.UUID("3f1f6c58-8f0e-5c15-8b0e-8f0f8a1d2c77")


def seed_qa(slug: str = QA_SLUG, *, now: dt.datetime, dry_run: bool = False) -> SeedResult:
    """Make the QA products and the running QA experiment `slug`; a second run puts both back. Idempotent.

    Raises:
        catalog_experiments.seeding.NotSeeded: an experiment or bundle of that name exists which was not seeded.
    """
    with transaction.atomic():
        result = seed_qa_experiment(slug, now=now, dry_run=dry_run)
        for product in qa_products():
            fields = {field.name: getattr(product, field.name) for field in Product._meta.fields}  # noqa: SLF001 - Django's documented API
            Product.objects.get_or_create(slug=fields.pop("slug"), defaults=fields)
        transaction.set_rollback(dry_run)
    return result


def qa_products() -> list[Product]:
    """Return the two products of the QA experiment, unsaved, with fixed ids."""
    return [
        _product(PRIMARY_PRODUCT, "QA primary product", price_minor=2000, cost_minor=800, position=900),
        _product(ADD_ON, "QA add-on", price_minor=1000, cost_minor=400, position=910),
    ]


def fixture_texts() -> dict[str, str]:
    """Return the content of each fixture file by its name: the products once, and one file for each state.

    Every file can be loaded by itself and again: the experiment files hold their bundles.
    """
    texts = {"qa_products.json": _serialize(qa_products())}
    for name, (slug, status) in STATES.items():
        texts[f"{name}.json"] = _serialize(qa_rows(slug, now=FIXTURES_MADE_AT, status=status))
    return texts


def write_fixtures(folder: Path) -> list[str]:
    """Write the files that differ from what the code says and return their names."""
    changed = stale_fixtures(folder)
    for name in changed:
        (folder / name).write_text(fixture_texts()[name], encoding="utf-8")
    return changed


def stale_fixtures(folder: Path) -> list[str]:
    """Return the names of the files that are missing or differ from what the code says."""
    return [name for name, text in fixture_texts().items() if _read(folder / name) != text]


def _read(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _serialize(rows: Sequence[models.Model]) -> str:
    plain: list[dict[str, Any]] = serializers.serialize("python", rows)
    return json.dumps(plain, indent=2, default=_as_text) + "\n"


def _as_text(value: object) -> str:
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, dt.datetime) else str(value)


def _product(slug: str, name: str, **fields: Any) -> Product:
    return Product(
        id=uuid.uuid5(_IDS, slug),
        slug=slug,
        name=name,
        tagline="For QA",
        description="Made for QA; the shop does not deliver it.",
        category="",
        currency="EUR",
        art="parcel",
        art_alt="A parcel",
        details=[],
        **fields,
    )
