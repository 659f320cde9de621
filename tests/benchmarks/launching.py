"""Programs for the database of a measurement, run by their name: they publish experiments, and time publishing.

Each runs in a process of its own with the environment of that database.
"""

from __future__ import annotations

import json
import os
import sys
import time
from statistics import median

os.environ["DJANGO_SETTINGS_MODULE"] = "smplat.settings"

import django

django.setup()

from django.db import connection, transaction
from django.utils import timezone

from catalog_experiments import publication
from catalog_experiments.aggregation import BundleAcceptanceAggregator
from catalog_experiments.models import Experiment
from catalog_experiments.publication.document import lock_document
from tests.builders import make_running_experiment

TARGETING = {"country": {"$in": ["DE", "FR", "GB", "NL"]}, "returning": False}
"""Every second experiment is for some visitors only."""

FACTS = """
INSERT INTO catalog_bundle_exposures (id, retention_month, experiment_id, phase_id, unit, variant_key, exposed_at,
    recorded_at, is_mixed, is_fault, is_merged, is_holdout)
SELECT gen_random_uuid(), date_trunc('month', p.opened_at)::date, p.experiment_id, p.id, md5(n::text)::uuid,
    CASE WHEN n % 2 = 0 THEN 'control' ELSE 'test' END, p.opened_at + n * interval '10 milliseconds',
    clock_timestamp(), false, false, false, false
FROM catalog_bundle_experiment_phases p, generate_series(1, %s) AS n
WHERE p.experiment_id IN (SELECT id FROM catalog_bundle_experiments ORDER BY id LIMIT 5)
"""


def experiments(wanted: int) -> None:
    """Make running experiments, each on a page of its own, until there are so many, and publish them."""
    for number in range(Experiment.objects.count(), wanted):
        experiment = make_running_experiment(
            now=timezone.now(), slug=f"experiment-{number}", targeting=TARGETING if number % 2 else {}
        )
        phase = experiment.current_phase
        assert phase is not None
        phase.anchor_product_slug, phase.salt = f"product-{number}", f"{number:016x}"
        phase.save()
    with transaction.atomic():
        publication.publish_document(now=timezone.now())


def publishing(rounds: int) -> None:
    """Print the median milliseconds from holding the document's lock to its release by the commit."""
    seconds = []
    for _ in range(rounds):
        with transaction.atomic():
            lock_document()
            started = time.perf_counter()
            publication.publish_document(now=timezone.now())
        seconds.append(time.perf_counter() - started)
    json.dump(median(seconds) * 1_000, sys.stdout)


def facts(units: int) -> None:
    """Store exposures of five experiments to aggregate."""
    with connection.cursor() as cursor:
        cursor.execute(FACTS, [units])


def aggregating(seconds: int) -> None:
    """Aggregate again and again, each time after all exposures were touched, until the time is over."""
    until, runs = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        with connection.cursor() as cursor:
            cursor.execute("UPDATE catalog_bundle_exposures SET recorded_at = clock_timestamp()")
        BundleAcceptanceAggregator().recompute(now=timezone.now())
        runs += 1
    json.dump(runs, sys.stdout)


PROGRAMS = {"experiments": experiments, "publishing": publishing, "facts": facts, "aggregating": aggregating}

if __name__ == "__main__":
    PROGRAMS[sys.argv[1]](int(sys.argv[2]))
