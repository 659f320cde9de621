"""Acceptance per UTC day of each variant, read from the hourly tallies: what a sparkline draws."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable
from uuid import UUID

from django.db.models import Sum
from django.db.models.functions import TruncDate

from catalog_experiments.models import Experiment, GuardrailTally

Day = tuple[dt.date, int, int]


def daily_acceptance(experiments: Iterable[Experiment]) -> dict[UUID, dict[str, list[Day]]]:
    """Return (date, orders, accepted) by experiment and variant key, oldest day first, of open phases; one query."""
    published = [experiment for experiment in experiments if experiment.current_phase_id]
    phases = [experiment.current_phase_id for experiment in published]
    rows = (
        GuardrailTally.objects.filter(experiment__in=published, phase__in=phases)  # the experiment leads the index
        .annotate(day=TruncDate("outcome_hour_at", tzinfo=dt.UTC))
        .values_list("experiment_id", "variant_key", "day")
        .annotate(orders=Sum("n"), taken=Sum("accepted"))
        .order_by("day")
    )
    series: dict[UUID, dict[str, list[Day]]] = defaultdict(lambda: defaultdict(list))
    for experiment_id, variant_key, day, orders, taken in rows:
        series[experiment_id][variant_key].append((day, orders, taken))
    return {key: dict(value) for key, value in series.items()}
