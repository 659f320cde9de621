"""The stock guard: an offer that cannot be delivered pauses its experiment, and people hear when it can be again.

Whether sold out or not is no verdict on a variant: the gap cuts units of all variants alike, and the same phase goes on
when a person resumes.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from catalog_experiments import lifecycle
from catalog_experiments.models import (
    Experiment,
    ExperimentStatus,
    PauseCause,
    PhaseOrigin,
    StockState,
    Variant,
)
from notifications.outbox import AlertDraft, enqueue, resolve

logger = logging.getLogger(__name__)

ACTOR = "system:stock"


@dataclass(frozen=True, slots=True)
class StockResult:
    """What looking at the stock came to; `errors` holds "slug: what went wrong"."""

    paused: int = 0
    alerts: int = 0
    errors: tuple[str, ...] = ()


def guard_stock(*, now: datetime) -> StockResult:
    """Pause every running experiment with an offer that is out of stock, each in its own transaction; tell who is back.

    Two queries when there is nothing to do.
    """
    errors, paused = list[str](), 0
    for experiment in _sold_out(Experiment.objects.running()).order_by("pk"):
        try:
            paused += pause_if_sold_out(experiment, now=now)
        except Exception as error:  # the next experiment must still be looked at
            logger.exception("%s is sold out and could not be paused", experiment.slug)
            errors.append(f"{experiment.slug}: {type(error).__name__}: {error}")
    return StockResult(paused, paused + tell_who_is_back(now=now), tuple(errors))


def pause_if_sold_out(experiment: Experiment, *, now: datetime) -> bool:
    """Pause a running experiment for an offer that is out of stock, with an alert in one transaction.

    False when there is no such offer, or somebody else was faster.
    """
    with transaction.atomic():
        [locked] = Experiment.objects.locked([experiment.pk])
        offers = _sold_out_offers(locked) if locked.is_running else []
        if not offers:
            return False
        reason = f"{' and '.join(offers)} {'is' if len(offers) == 1 else 'are'} out of stock."
        cause = PauseCause.STOCK
        paused = lifecycle.pause(locked.pk, actor=ACTOR, now=now, reason=reason, cause=cause, push_baseline=True)
        enqueue(_sold_out_alert(paused, reason, now), now=now)
    return True


def tell_who_is_back(*, now: datetime) -> int:
    """Tell once of each experiment paused for its stock whose offers can all be delivered again; return how many."""
    waiting = Experiment.objects.filter(status=ExperimentStatus.PAUSED, pause_cause=PauseCause.STOCK)
    back = waiting.exclude(pk__in=_sold_out(waiting).values("pk")).order_by("pk")
    return sum(_tell_back(experiment, now) for experiment in back)


def _sold_out(experiments: QuerySet[Experiment]) -> QuerySet[Experiment]:
    offered = Variant.objects.filter(experiment=OuterRef("pk"), bundle__stock_state=StockState.OUT_OF_STOCK)
    return experiments.filter(Exists(offered), current_phase__origin=PhaseOrigin.PUBLISHED)


def _sold_out_offers(experiment: Experiment) -> Sequence[str]:
    offered = experiment.variants.filter(bundle__stock_state=StockState.OUT_OF_STOCK)
    return [
        slug for slug in offered.order_by("bundle").values_list("bundle__bundle_slug", flat=True).distinct() if slug
    ]


def _tell_back(experiment: Experiment, now: datetime) -> bool:
    with transaction.atomic():
        resolve(_key("out", experiment), now=now)
        return enqueue(_back_alert(experiment, now), now=now) is not None


def _sold_out_alert(experiment: Experiment, reason: str, now: datetime) -> AlertDraft:
    return _alert(
        experiment,
        kind="stock_out",
        severity="critical",
        subject=f"{experiment.slug} was paused: an offer is out of stock",
        summary=f"{reason} Shoppers see the control, and visitors whose window meets the gap leave every result.",
        next_step="Restock, then resume: the same phase goes on. You are told when the stock is back.",
        key=_key("out", experiment),
        now=now,
    )


def _back_alert(experiment: Experiment, now: datetime) -> AlertDraft:
    return _alert(
        experiment,
        kind="stock_back",
        severity="info",
        subject=f"{experiment.slug}: its offers are in stock again",
        summary="Every offer of the experiment can be delivered again. It stays paused until a person resumes it.",
        next_step="Resume the experiment: the same phase goes on.",
        key=_key("back", experiment),
        now=now,
    )


def _key(what: str, experiment: Experiment) -> str:
    # Once per pause, however often the stock comes and goes meanwhile.
    return f"stock-{what}:{experiment.pk}:{experiment.paused_at and experiment.paused_at.isoformat()}"


def _alert(
    experiment: Experiment,
    *,
    kind: str,
    severity: Literal["critical", "info"],
    subject: str,
    summary: str,
    next_step: str,
    key: str,
    now: datetime,
) -> AlertDraft:
    return AlertDraft(
        kind=kind,
        severity=severity,
        subject=subject,
        dedupe_key=key,
        summary=summary,
        occurred_at=now,
        facts={
            "lines": [],
            "links": [{"label": "Open the experiment", "url": experiment.page_url}],
            "next_step": next_step,
            "data": {"experiment": experiment.slug},
        },
    )
