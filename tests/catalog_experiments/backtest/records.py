"""A shop's past in the tables: tallies of phases by hour, and orders without any experiment."""

from __future__ import annotations

import datetime as dt
import itertools
from collections.abc import Sequence

from catalog_experiments.models import Bundle, BundleAcceptanceHour, Experiment, GuardrailTally, Phase
from tests.builders import make_experiment, make_phase

HOUR = dt.timedelta(hours=1)
NOW = dt.datetime(2026, 3, 2, 12, 0, tzinfo=dt.UTC)
Count = tuple[int, int]


def rhythm(days: int, per_hour: int = 20) -> list[Count]:
    """Return hours in which a tenth takes the offer, and on every sixth and seventh day a little less."""
    taken = itertools.cycle([per_hour // 10 + 1, per_hour // 10, per_hour // 10 - 1])
    return [(per_hour, next(taken) - (1 if hour // 24 % 7 >= 5 and hour % 4 == 0 else 0)) for hour in range(24 * days)]


def add_tallies(phase: Phase, key: str, hours: Sequence[Count]) -> None:
    """Write a variant's outcomes, the first hour being that of the phase's start."""
    first_at = phase.opened_at.replace(minute=0)
    GuardrailTally.objects.bulk_create(
        GuardrailTally(
            experiment_id=phase.experiment_id,
            phase=phase,
            variant_key=key,
            outcome_hour_at=first_at + hour * HOUR,
            n=n,
            accepted=accepted,
            gross_n=n,
            gross_accepted=accepted,
        )
        for hour, (n, accepted) in enumerate(hours)
    )


def make_past_phase(
    experiment: Experiment, control: Sequence[Count], test: Sequence[Count], *, ago_hours: int, now: dt.datetime = NOW
) -> Phase:
    """Make a closed phase that began so many hours ago and ended with its last tally."""
    opened_at = now - ago_hours * HOUR
    phase = make_phase(experiment, opened_at=opened_at, closed_at=opened_at + len(control) * HOUR)
    add_tallies(phase, "control", control)
    add_tallies(phase, "test", test)
    return phase


def make_experiment_with_past(*, days: int = 35, slug: str = "cup-saucer", now: dt.datetime = NOW) -> Experiment:
    """Make a draft with one past phase: healthy for weeks, and on its last day nobody took the test variant."""
    experiment = make_experiment(slug=slug, guardrail_config={"min_acceptance_rate": 0.08})
    control = rhythm(days)
    make_past_phase(experiment, control, [*control[:-24], *[(20, 0)] * 24], ago_hours=24 * days + 48, now=now)
    return experiment


def add_orders(bundle: Bundle, hours: Sequence[Count], *, since: dt.datetime) -> None:
    """Write the orders of a bundle's product hour by hour, as the aggregation counts them."""
    BundleAcceptanceHour.objects.bulk_create(
        BundleAcceptanceHour(hour_at=since + hour * HOUR, bundle=bundle, sample_size=n, acceptance_count=accepted)
        for hour, (n, accepted) in enumerate(hours)
    )
