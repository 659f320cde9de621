"""Is there enough traffic to come to a result within eight weeks? Estimated from the page's own orders and visitors."""

from __future__ import annotations

from datetime import timedelta

from catalog_experiments.assignment import BUCKETS, AllocationError, allowed_coverage, reduced_weights
from catalog_experiments.models import BundleAcceptanceMetric, Exposure, Phase
from catalog_experiments.preflight.launch import Check, Launch
from catalog_experiments.stats.power import days_to_verdict, sample_size

LONGEST_DAYS = 56
LIFT_TO_SEE = 0.1
_HISTORY = timedelta(days=28)


def check_traffic(launch: Launch) -> Check:
    """A planned sample, or a relative lift of 10 % in acceptance, that the page's traffic reaches in eight weeks."""
    if launch.spec.planned_sample_size is not None:
        goal = f"{launch.spec.planned_sample_size:,} units per variant"
        return _judge(launch, goal, launch.spec.planned_sample_size, _daily_visitors(launch))
    row = _control_acceptance(launch)
    if row is None or not 0 < row.acceptance_rate < 1 / (1 + LIFT_TO_SEE):
        return _unknown(launch)
    needed = sample_size(float(row.acceptance_rate), float(row.acceptance_rate) * (1 + LIFT_TO_SEE))
    goal = f"a lift of {100 * LIFT_TO_SEE:g} % in acceptance ({needed:,} orders per variant)"
    return _judge(launch, goal, needed, row.sample_size / row.lookback_days)


def orders_of_variant_daily(launch: Launch) -> float | None:
    """Return the orders a day that the smallest variant may expect, from the control's own figures; None without."""
    row, share = _control_acceptance(launch), _smallest_share(launch)
    if row is None or share is None or not row.sample_size:
        return None
    return row.sample_size / row.lookback_days * share


def _judge(launch: Launch, goal: str, needed: int, daily: float | None) -> Check:
    share = _smallest_share(launch)
    if daily is None or share is None:
        return _unknown(launch)
    window_days = launch.spec.attribution_window_days
    duration = days_to_verdict(needed, 1, daily * share, window_days=window_days)
    if duration is None:
        return Check("traffic", "warn", f"The page has no traffic, so {goal} is out of reach.", launch.edit_url)
    if duration.verdict_days > LONGEST_DAYS:
        sentence = f"{goal} would take {duration.verdict_days:,} days; plan for at most {LONGEST_DAYS}."
        return Check("traffic", "warn", sentence[0].upper() + sentence[1:], launch.edit_url)
    return launch.passed("traffic", f"Enough traffic: {duration.verdict_days} days to {goal}.")


def _unknown(launch: Launch) -> Check:
    return Check("traffic", "warn", "How long it takes is unknown: the page has no figures yet.", launch.edit_url)


def _control_acceptance(launch: Launch) -> BundleAcceptanceMetric | None:
    slug = launch.control.bundle_slug if launch.control else None
    return launch.acceptance.get(slug) if slug else None


def _smallest_share(launch: Launch) -> float | None:
    """Return the share of the page's units that the smallest variant gets, in [0, 1]; None when weights are unsound."""
    weights = [variant.weight for variant in launch.spec.variants]
    try:
        reduced, coverage = reduced_weights(weights), allowed_coverage(weights, launch.spec.coverage)
    except AllocationError:
        return None
    return coverage / BUCKETS * min(reduced) / sum(reduced)


def _daily_visitors(launch: Launch) -> float | None:
    """Return the units a day that reached the page's slot, from earlier phases there; None before the first."""
    since = launch.now - _HISTORY
    phases = Phase.objects.filter(anchor_product_slug__in=launch.pages).exclude(closed_at__lt=since)
    first = phases.order_by("opened_at").values_list("opened_at", flat=True).first()
    if first is None:
        return None
    seen = Exposure.objects.filter(phase__in=phases.values("pk"), exposed_at__gte=since, excluded_as=None).count()
    return seen / max((launch.now - max(first, since)) / timedelta(days=1), 1) if seen else None
