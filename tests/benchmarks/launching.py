"""What is done to the database of a measurement: publish experiments, time publishing, store facts, aggregate them."""

from __future__ import annotations

import gc
import json
import sys
import time
from statistics import median

from django.db import connection, transaction
from django.utils import timezone

from catalog_experiments import publication
from catalog_experiments.aggregation import BundleAcceptanceAggregator
from catalog_experiments.models import Experiment, ExperimentStatus
from catalog_experiments.publication.document import lock_document
from tests.builders import make_experiment, make_phase

TARGETING = {"country": {"$in": ["DE", "FR", "GB", "NL"]}, "returning": False}
"""Every second experiment is for some visitors only."""

FACTS = """
INSERT INTO catalog_bundle_exposures (id, retention_month, experiment_id, phase_id, unit, variant_key, exposed_at,
    recorded_at, is_mixed, is_fault, is_merged, is_holdout)
SELECT gen_random_uuid(), date_trunc('month', p.opened_at)::date, p.experiment_id, p.id, md5(n::text)::uuid,
    CASE WHEN mod(n, 2) = 0 THEN 'control' ELSE 'test' END, p.opened_at + n * interval '1 microsecond',
    clock_timestamp(), false, false, false, false
FROM catalog_bundle_experiment_phases p, generate_series(1, %s) AS n
WHERE p.experiment_id IN (SELECT id FROM catalog_bundle_experiments ORDER BY id LIMIT 5)
"""


def experiments(wanted: int) -> None:
    """Make running experiments, each on a page of its own, until there are so many, and publish them."""
    now = timezone.now()
    for number in range(Experiment.objects.count(), wanted):
        experiment = make_experiment(slug=f"experiment-{number}", targeting=TARGETING if number % 2 else {})
        experiment.current_phase = make_phase(
            experiment, opened_at=now, salt=f"{number:016x}", anchor_product_slug=f"product-{number}"
        )
        experiment.status, experiment.started_at, experiment.published_at = ExperimentStatus.RUNNING, now, now
        experiment.save()
    with transaction.atomic():
        publication.publish_document(now=timezone.now())


def publishing(rounds: int) -> None:
    """Print the least and the median milliseconds from holding the document's lock to its release by the commit."""
    gc.collect()
    gc.freeze()  # as the servers do
    seconds = []
    for _ in range(rounds):
        with transaction.atomic():
            lock_document()
            started = time.perf_counter()
            publication.publish_document(now=timezone.now())
        seconds.append(time.perf_counter() - started)
    json.dump([min(seconds) * 1_000, median(seconds) * 1_000], sys.stdout)


def facts(units: int) -> None:
    """Store exposures of five experiments to aggregate."""
    with connection.cursor() as cursor:
        cursor.execute(FACTS, [units])


def counting(seconds: int) -> None:
    """Count all facts anew, again and again as the nightly pass does, until the time is over; print how often."""
    BundleAcceptanceAggregator().recompute(now=timezone.now())
    until, runs = time.monotonic() + seconds, 0
    while time.monotonic() < until:
        BundleAcceptanceAggregator().verify(now=timezone.now())
        runs += 1
    json.dump(runs, sys.stdout)


PROGRAMS = {"experiments": experiments, "publishing": publishing, "facts": facts, "counting": counting}


def main(name: str, size: str) -> None:
    """Do one of them."""
    PROGRAMS[name](int(size))
