"""The nightly full pass as a job: everything counted once more from all facts, and an alert when anything was wrong."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import asdict
from datetime import datetime

from django.conf import settings

from catalog_experiments.aggregation import BundleAcceptanceAggregator, Guard, Verification
from catalog_experiments.scheduling.ledger import Work
from notifications.outbox import AlertDraft, enqueue


def verify_aggregates(*, now: datetime, guard: Guard = nullcontext) -> Work:
    """Count everything anew, and tell of it when numbers had to be put right."""
    found = BundleAcceptanceAggregator(guard=guard).verify(now=now)
    if found.corrected:
        enqueue(_draft(found, now), now=now)
    counts = {name: value for name, value in asdict(found).items() if name != "watermark_at"}
    return Work(counts, found.watermark_at)


def _draft(found: Verification, now: datetime) -> AlertDraft:
    return AlertDraft(
        kind="aggregates_corrected",
        severity="warning",
        subject=f"{found.corrected} stored sums were wrong and have been put right",
        dedupe_key=f"aggregates:{now:%Y-%m-%d}",
        summary="The nightly count from all facts found sums that the runs of the day had left wrong.",
        occurred_at=now,
        facts={
            "lines": [
                {"label": "Rows put right", "value": str(found.corrected)},
                {"label": "Cohort days looked at", "value": str(found.cohorts)},
            ],
            "links": [{"label": "Job runs", "url": f"{settings.API_BASE_URL}/admin/catalog_experiments/jobrun/"}],
            "next_step": "The numbers are right now. Verdicts since the night before rested on the wrong ones: read "
            "them again, and report how it came about.",
            "data": {"corrected": found.corrected},
        },
    )
