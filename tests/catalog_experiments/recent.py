"""An experiment in breach right now, for programs that read the clock themselves."""

from __future__ import annotations

import datetime as dt

from django.utils import timezone

from catalog_experiments.models import Experiment
from tests.builders import make_running_experiment
from tests.catalog_experiments.buyers import add_buyers


def make_recent_breach(slug: str = "cup-saucer") -> Experiment:
    """Make a running experiment of the last hours whose test variant clearly misses 10 %."""
    now = timezone.now()
    experiment = make_running_experiment(slug=slug, now=now - dt.timedelta(hours=6))
    add_buyers(experiment, "control", 300, 60, at=now - dt.timedelta(hours=5))
    add_buyers(experiment, "test", 300, 13, at=now - dt.timedelta(hours=5))
    return experiment
