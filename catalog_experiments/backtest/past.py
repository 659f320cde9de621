"""Which part of the shop's past speaks for an experiment or a bundle, and what of it stands for "nothing is wrong"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from django.db.models import Q

from catalog_experiments.backtest.course import total
from catalog_experiments.backtest.history import (
    History,
    Span,
    free_spans,
    histories_of,
    history_of_orders,
    order_tallies,
    phases_since,
    stretches_of,
)
from catalog_experiments.backtest.resampling import Rhythm, Stretch, TooLittleHistory, rhythm_of
from catalog_experiments.guardrails import HourTally
from catalog_experiments.models import Bundle, Experiment, Phase
from catalog_experiments.stats.blocks import HOURS_PER_DAY

Orders = Mapping[str, Sequence[HourTally]]
"""Hourly tallies of orders by bundle slug."""


@dataclass(frozen=True)
class Baseline:
    """The orders that stand for "nothing is wrong": where they come from, and their hours."""

    source: str
    stretches: tuple[Stretch, ...]

    @cached_property
    def counts(self) -> tuple[int, int]:
        """How many orders there are, and how many of them took the offer."""
        return total([count for stretch in self.stretches for count in stretch.counts])

    @property
    def rate(self) -> float:
        """Acceptance, in [0, 1]; there is at least one order."""
        n, accepted = self.counts
        return accepted / n

    @property
    def days(self) -> float:
        """How many days they span."""
        return sum(len(stretch.counts) for stretch in self.stretches) / HOURS_PER_DAY


@dataclass(frozen=True, slots=True)
class Past:
    """Everything stored that speaks for an experiment or a bundle.

    Attributes:
        slug: of the experiment, or of the bundle.
        name: how people call it.
        histories: phases to replay, oldest first, then orders of bundles that never stood in an experiment.
        baselines: what may stand for "nothing is wrong", the closest first; each has orders.
        test_count: how many test variants share alpha, at least 1.
        notes: bundles without a past.
    """

    slug: str
    name: str
    histories: tuple[History, ...]
    baselines: tuple[Baseline, ...]
    test_count: int
    notes: tuple[str, ...]

    def rhythm(self) -> tuple[Baseline | None, Rhythm | None, str]:
        """Return the closest baseline that shows a week's rhythm.

        Without one: the longest baseline (None without any), no rhythm, and a sentence on what is missing.
        """
        lacks = list[tuple[Baseline, str]]()
        for baseline in self.baselines:
            try:
                return baseline, rhythm_of(baseline.stretches), ""
            except TooLittleHistory as lack:
                lacks.append((baseline, str(lack)))
        if not lacks:
            return None, None, "There is no full hour with orders of the control's offer yet."
        longest, lack_of_it = max(lacks, key=lambda each: each[0].days)
        return longest, None, f"{longest.source}: {lack_of_it}"


def past_of_experiment(experiment: Experiment, *, since: datetime, now: datetime) -> Past:
    """Read the phases of all experiments on the page, and the orders of bundles that never stood in one."""
    variants = list(experiment.variants.select_related("bundle"))
    control = next((own.bundle_id for own in variants if own.is_control), None)
    offers = tuple(own.bundle_id for own in variants if own.bundle_id and not own.is_control)
    pages = sorted({own.bundle.primary_product_slug for own in variants if own.bundle})
    phases = phases_since(since, Q(experiment=experiment) | Q(anchor_product_slug__in=pages))
    orders = order_tallies([slug for slug in (control, *offers) if slug], since, now)
    free = tuple(free_spans(phases, since, now))
    past = histories_of(phases, now=now)
    fresh = _never_tested(offers, phases)
    alone = [each for slug in fresh for each in _alone(slug, control, orders, free)]
    return Past(
        slug=experiment.slug,
        name=experiment.name,
        histories=(*past, *alone),
        baselines=_baselines(past, control or next(iter(offers), ""), orders, free),
        test_count=max(1, len(offers)),
        notes=tuple(_untaken(fresh, orders)),
    )


def past_of_bundle(bundle: Bundle, *, since: datetime, now: datetime) -> Past:
    """Read the phases in which a bundle was a test variant, or its orders when it never stood in an experiment."""
    slug = bundle.bundle_slug
    phases = phases_since(since, Q(anchor_product_slug=bundle.primary_product_slug))
    past = [each for each in histories_of(phases, now=now) if slug in each.bundles.values()]
    tested = [
        (each, [own.variant_key for own in each.course.tests if each.bundles[own.variant_key] == slug]) for each in past
    ]
    orders = order_tallies([slug], since, now)
    free = tuple(free_spans(phases, since, now))
    fresh = _never_tested([slug], phases)
    alone = [each for own in fresh for each in _alone(own, None, orders, free)]
    return Past(
        slug=slug,
        name=bundle.title,
        histories=(*(each.only(keys) for each, keys in tested if keys), *alone),
        baselines=_baselines(past, slug, orders, free),
        test_count=1,
        notes=tuple(_untaken(fresh, orders)),
    )


def _never_tested(offers: Iterable[str], phases: Iterable[Phase]) -> list[str]:
    known = {snapshot["bundle_slug"] for phase in phases for snapshot in phase.variants}
    return [slug for slug in offers if slug not in known]


def _alone(slug: str, control: str | None, orders: Orders, spans: Iterable[Span]) -> list[History]:
    if not _is_taken(slug, orders):
        return []
    return [each for span in spans if (each := history_of_orders(slug, control, orders, span)) is not None]


def _untaken(slugs: Iterable[str], orders: Orders) -> Iterator[str]:
    for slug in slugs:
        if not _is_taken(slug, orders):
            yield f"Nobody has taken {slug} so far: it was probably never offered, so it has no past to replay."


def _is_taken(slug: str, orders: Orders) -> bool:
    return any(own.accepted for own in orders.get(slug, ()))


def _baselines(past: Iterable[History], offer: str, orders: Orders, free: Iterable[Span]) -> tuple[Baseline, ...]:
    same, other = list[Stretch](), list[Stretch]()
    for history in past:
        (same if history.control_bundle == offer else other).extend(history.control_stretches)
    found = (
        Baseline(f"Orders of {offer} as control of past phases", tuple(same)),
        Baseline(f"Orders of {offer} while no experiment ran", stretches_of(orders.get(offer, ()), free)),
        Baseline("Orders of other controls on this page", tuple(other)),
    )
    return tuple(baseline for baseline in found if baseline.counts[0])
