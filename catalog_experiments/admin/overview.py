"""What the landing page shows, gathered with a constant number of queries: figures, views and cards."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Count, Q, QuerySet

from catalog_experiments.admin.bounds import earlier_spendings
from catalog_experiments.admin.cards import Card, build_card
from catalog_experiments.admin.confirmations import newest_sightings
from catalog_experiments.analysis import analyze_many
from catalog_experiments.analysis.daily import daily_acceptance
from catalog_experiments.models import (
    Experiment,
    ExperimentStatus,
    GuardrailEvaluation,
    JobOutcome,
    JobRun,
    Order,
)
from catalog_experiments.ramping import samples_since_step

PAGE_SIZE = 60
_ATTENTION_TONES = ("bad", "hold", "warn")
_AGGREGATION_JOB = "bundle-acceptance-aggregation"


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of the top row with a line of context."""

    label: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class View:
    """One saved view: its key in the address, its name and how many experiments it holds."""

    key: str
    label: str
    count: int
    is_current: bool


VIEWS: dict[str, tuple[str, Q]] = {
    "active": ("Running and paused", Q(status__in=[ExperimentStatus.RUNNING, ExperimentStatus.PAUSED])),
    "drafts": ("Drafts", Q(status=ExperimentStatus.DRAFT)),
    "completed": ("Completed", Q(status=ExperimentStatus.COMPLETED)),
    "all": ("All", Q()),
}


def experiments_in(view: str, search: str) -> QuerySet[Experiment]:
    """Select the experiments of a view whose name, slug or product matches `search` ('' matches all)."""
    _, condition = VIEWS[view]
    words = (
        Q(name__icontains=search) | Q(slug__icontains=search) | Q(current_phase__anchor_product_slug__icontains=search)
    )
    return (
        Experiment.objects.filter(condition)
        .filter(words if search else Q())
        .select_related("owner", "current_phase", "winner")
        .prefetch_related("variants__bundle")
    )


def views(current: str) -> tuple[View, ...]:
    """Count each view's experiments in one query."""
    counts = Experiment.objects.aggregate(
        **{key: Count("pk", filter=condition or Q(pk__isnull=False)) for key, (_, condition) in VIEWS.items()}
    )
    return tuple(View(key, label, counts[key], key == current) for key, (label, _) in VIEWS.items())


def cards(experiments: Iterable[Experiment], *, now: dt.datetime) -> tuple[Card, ...]:
    """Build the cards, worst first, then newest first."""
    rows = list(experiments)
    reports = analyze_many([row for row in rows if row.current_phase_id], now=now)
    evaluations = GuardrailEvaluation.objects.newest_of(row.current_phase_id for row in rows)
    daily, sightings, samples = daily_acceptance(rows), newest_sightings(rows), samples_since_step(rows)
    spendings = earlier_spendings(rows)
    built = [
        build_card(
            row,
            reports.get(row.pk),
            evaluations.get(row.current_phase_id),
            daily.get(row.pk, {}),
            sightings.get(row.pk),
            samples=samples.get(row.pk, {}),
            spendings=spendings.get(row.pk, []),
            now=now,
        )
        for row in rows
    ]
    return tuple(sorted(built, key=lambda card: card.state.rank))


def needs_attention(card: Card) -> bool:
    """Say whether a card belongs in the group that is shown first."""
    return card.state.tone in _ATTENTION_TONES


def figures(shown: tuple[Card, ...], *, is_part: bool, now: dt.datetime) -> tuple[Figure, ...]:
    """Return the five figures of the top row; `is_part`: not all that run are among those shown."""
    status = Experiment.objects.aggregate(
        running=Count("pk", filter=Q(status=ExperimentStatus.RUNNING)),
        drafts=Count("pk", filter=Q(status=ExperimentStatus.DRAFT)),
    )
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    orders = Order.objects.filter(placed_at__gte=midnight, placed_at__lte=now, excluded_as=None).count()
    attention = [card for card in shown if needs_attention(card)]
    return (
        Figure("Needs attention", str(len(attention)), _attention_note(attention, is_part=is_part)),
        Figure("Running", str(status["running"]), "serving their offers"),
        Figure("Drafts", str(status["drafts"]), "not yet shown to shoppers"),
        Figure("Orders today", f"{orders:,}", "since 00:00 UTC"),
        _aggregation_figure(now),
    )


def _attention_note(cards_shown: list[Card], *, is_part: bool) -> str:
    words = sorted({card.state.word.lower() for card in cards_shown}) + ["among those below"] * is_part
    return " · ".join(words) or "all quiet"


def _aggregation_figure(now: dt.datetime) -> Figure:
    run = JobRun.objects.filter(job=_AGGREGATION_JOB, outcome=JobOutcome.DONE).order_by("-started_at").first()
    if run is None or run.finished_at is None:
        return Figure("Last aggregation", "never", "no run yet: numbers start with the first one")
    minutes = int((now - run.finished_at).total_seconds() // 60)
    age = "just now" if minutes < 1 else f"{minutes} min ago" if minutes < 120 else f"{minutes // 60} h ago"
    return Figure("Last aggregation", age, "on time" if minutes <= 60 else "late: see Jobs")
