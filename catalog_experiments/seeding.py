"""Deterministic QA data: an experiment whose numbers never change by themselves, in every state there is.

Its phase has the origin `seeded`: it is not in the published document, and no aggregation and no guardrail touches
it. Ids derive from the slug, so that the same rows come from the command, the fixtures and the tests. Like the
importers, and unlike everything else, it writes metric rows and a status directly.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.db import models, transaction

from catalog_experiments.models import (
    Bundle,
    BundleAcceptanceMetric,
    Conclusion,
    Experiment,
    ExperimentStatus,
    PauseCause,
    Phase,
    PhaseOrigin,
    Variant,
    VariantMetric,
)
from catalog_experiments.phases.snapshots import snapshot

QA_SLUG = "qa-catalog"
PRIMARY_PRODUCT, ADD_ON = "qa-primary-product", "qa-add-on"
LOOKBACK_DAYS = 30
SAMPLE = 1000
EXPOSED = 4000
GUARDRAILS = {"min_acceptance_rate": 0.1}
SAMPLE_GUARDRAIL = 50

_IDS = uuid.UUID("6a1cc1f8-6d4e-5d0b-9f55-0c3c2d7b3c11")


class NotSeeded(Exception):
    """A row of that name exists and was not seeded: it is left alone. The message names it."""


@dataclass(frozen=True)
class SeedResult:
    """What stands there now, or would, had it not been a dry run."""

    experiment: str
    control_bundle: str
    variant_bundle: str
    was_there: bool
    dry_run: bool


@dataclass(frozen=True)
class _Side:
    """One variant with its numbers: `accepted` of `SAMPLE` orders took the bundle."""

    key: str
    name: str
    title: str
    savings_copy: str
    headline: str
    accepted: int
    price_minor: int

    @property
    def rate(self) -> Decimal:
        return (Decimal(self.accepted) / SAMPLE).quantize(Decimal("0.0001"))


CONTROL = _Side("control", "Control", "QA Control Bundle", "Save 5%", "Baseline", 180, 2850)
VARIANT = _Side("variant", "Variant", "QA Variant Bundle", "Save 12%", "Variant", 95, 2640)


def seed_qa_experiment(
    slug: str = QA_SLUG,
    *,
    now: dt.datetime,
    status: str = ExperimentStatus.RUNNING,
    dry_run: bool = False,
) -> SeedResult:
    """Make the QA experiment `slug` and its bundles, or put those seeded before back to their numbers. Idempotent.

    Args:
        slug: path-safe; the bundles are `<slug>-control` and `<slug>-variant`.
        now: the numbers are of this UTC day; the phase opened 30 days before it.
        status: one of the four states.
        dry_run: do everything, then roll back.

    Raises:
        NotSeeded: an experiment or bundle of that name exists which was not seeded.
    """
    with transaction.atomic():
        was_there = _refuse_foreign(slug)
        for row in qa_rows(slug, now=now, status=status):
            # As loaddata does: every field as given, updated where the row exists.
            row.save_base(raw=True)
        transaction.set_rollback(dry_run)
    return SeedResult(slug, f"{slug}-control", f"{slug}-variant", was_there, dry_run)


def qa_rows(slug: str, *, now: dt.datetime, status: str = ExperimentStatus.RUNNING) -> list[models.Model]:
    """Return every row of a QA experiment, unsaved, in an order in which they can be saved.

    The same arguments give the same rows, ids included. A draft has no phase and no metric rows.
    """
    opened_at = now.astimezone(dt.UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    opened_at -= dt.timedelta(days=LOOKBACK_DAYS)
    sides = (CONTROL, VARIANT)
    bundles = [_bundle(slug, side, opened_at) for side in sides]
    experiment = _experiment(slug, opened_at)
    variants = [
        _variant(experiment, side, bundle, place)
        for place, (side, bundle) in enumerate(zip(sides, bundles, strict=True))
    ]
    acceptance = [_acceptance(bundle, side, now) for bundle, side in zip(bundles, sides, strict=True)]
    rows: list[models.Model] = [*bundles, *acceptance]
    if status == ExperimentStatus.DRAFT:
        return [*rows, experiment, *variants]
    phase = _phase(experiment, variants, opened_at)
    _move(experiment, phase, status, now)
    metrics = [_metric(variant, phase, side, now) for variant, side in zip(variants, sides, strict=True)]
    return [*rows, *_foreign_key_order(experiment, phase), *variants, *metrics]


def is_qa_experiment(experiment: Experiment) -> bool:
    """Say whether the row was made here and has lived on seeded numbers alone since."""
    is_ours = experiment.pk == _id("experiment", experiment.slug)
    return is_ours and not experiment.phases.exclude(origin=PhaseOrigin.SEEDED).exists()


def _refuse_foreign(slug: str) -> bool:
    experiment = Experiment.objects.select_for_update(of=("self",)).filter(slug=slug).first()
    if experiment is not None and not is_qa_experiment(experiment):
        raise NotSeeded(f"The experiment {slug} was not seeded; choose another --slug, its telemetry stays as it is.")
    for side in (CONTROL, VARIANT):
        name = f"{slug}-{side.key}"
        if Bundle.objects.filter(bundle_slug=name).exclude(pk=_id("bundle", name)).exists():
            raise NotSeeded(f"The bundle {name} was not seeded; choose another --slug, it stays as it is.")
    return experiment is not None


def _id(kind: str, name: str) -> uuid.UUID:
    return uuid.uuid5(_IDS, f"{kind}:{name}")


def _foreign_key_order(experiment: Experiment, phase: Phase) -> Iterator[models.Model]:
    # They refer to each other; the database checks references at commit, so either order holds.
    yield experiment
    yield phase


def _bundle(slug: str, side: _Side, created_at: dt.datetime) -> Bundle:
    name = f"{slug}-{side.key}"
    return Bundle(
        id=_id("bundle", name),
        bundle_slug=name,
        primary_product_slug=PRIMARY_PRODUCT,
        title=side.title,
        description="Made for QA; nobody can order it.",
        savings_copy=side.savings_copy,
        cms_priority=80,
        components=[{"slug": PRIMARY_PRODUCT, "quantity": 1}, {"slug": ADD_ON, "quantity": 1}],
        price_minor=side.price_minor,
        cost_minor=1200,
        currency="EUR",
        stock_state="in_stock",
        metadata={"seeded": True},
        created_at=created_at,
        updated_at=created_at,
    )


def _acceptance(bundle: Bundle, side: _Side, now: dt.datetime) -> BundleAcceptanceMetric:
    return BundleAcceptanceMetric(
        id=_id("acceptance", bundle.bundle_slug),
        bundle=bundle,
        lookback_days=LOOKBACK_DAYS,
        acceptance_rate=side.rate,
        acceptance_count=side.accepted,
        sample_size=SAMPLE,
        last_accepted_at=now,
        computed_at=now,
        metadata={"seeded": True},
    )


def _experiment(slug: str, created_at: dt.datetime) -> Experiment:
    return Experiment(
        id=_id("experiment", slug),
        slug=slug,
        name="QA Bundle Experiment",
        description="Seeded for QA: its numbers never change by themselves.",
        hypothesis="A deeper discount wins more bundles.",
        guardrail_config=GUARDRAILS,
        sample_size_guardrail=SAMPLE_GUARDRAIL,
        metadata={"seeded": True},
        created_at=created_at,
        updated_at=created_at,
    )


def _variant(experiment: Experiment, side: _Side, bundle: Bundle, position: int) -> Variant:
    return Variant(
        id=_id("variant", f"{experiment.slug}:{side.key}"),
        experiment=experiment,
        key=side.key,
        name=side.name,
        weight=50,
        is_control=side is CONTROL,
        bundle=bundle,
        override_payload={"headline": side.headline},
        position=position,
        metadata={"seeded": True},
        created_at=experiment.created_at,
        updated_at=experiment.created_at,
    )


def _phase(experiment: Experiment, variants: list[Variant], opened_at: dt.datetime) -> Phase:
    return Phase(
        id=_id("phase", experiment.slug),
        experiment=experiment,
        number=1,
        salt="5eed5eed5eed5eed",
        opened_at=opened_at,
        reason="Seeded for QA",
        variants=[snapshot(variant) for variant in variants],
        anchor_product_slug=PRIMARY_PRODUCT,
        bounds=GUARDRAILS,
        minimum_sample=SAMPLE_GUARDRAIL,
        currency="EUR",
        origin=PhaseOrigin.SEEDED,
    )


def _move(experiment: Experiment, phase: Phase, status: str, now: dt.datetime) -> None:
    experiment.status = status
    experiment.current_phase = phase
    experiment.started_at = experiment.published_at = phase.opened_at
    for name, value in _TRACES[ExperimentStatus(status)].items():
        setattr(experiment, name, now if name.endswith("_at") else value)
    if status == ExperimentStatus.COMPLETED:
        phase.closed_at = now
        experiment.winner_id = _id("variant", f"{experiment.slug}:{CONTROL.key}")


_TRACES: dict[ExperimentStatus, dict[str, Any]] = {
    ExperimentStatus.DRAFT: {},
    ExperimentStatus.RUNNING: {},
    ExperimentStatus.PAUSED: {
        "paused_at": None,
        "pause_cause": PauseCause.BREACHED,
        "pause_reason": "Seeded for QA: 95 of 1,000 orders took the variant's bundle, below the limit of 10 %.",
    },
    ExperimentStatus.COMPLETED: {
        "completed_at": None,
        "conclusion": Conclusion.LOST,
        "learnings": "Seeded for QA: the deeper discount won fewer bundles.",
    },
}
"""What a state leaves on the experiment; times are filled in with the moment of seeding."""


def _metric(variant: Variant, phase: Phase, side: _Side, now: dt.datetime) -> VariantMetric:
    lift = Decimal(side.accepted) / CONTROL.accepted - 1
    is_breached = side.rate < Decimal(str(GUARDRAILS["min_acceptance_rate"]))
    return VariantMetric(
        id=_id("metric", f"{phase.experiment.slug}:{side.key}"),
        experiment=phase.experiment,
        variant=variant,
        phase=phase,
        window_start=now.astimezone(dt.UTC).date(),
        lookback_days=LOOKBACK_DAYS,
        acceptance_rate=side.rate,
        acceptance_count=side.accepted,
        sample_size=SAMPLE,
        exposed_count=EXPOSED,
        lift_vs_control=lift.quantize(Decimal("0.0001")),
        guardrail_breached=is_breached,
        breach_reasons=["min_acceptance_rate"] if is_breached else [],
        computed_at=now,
        watermark_at=now,
        metadata={"seeded": True},
    )
