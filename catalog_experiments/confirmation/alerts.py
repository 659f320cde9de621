"""What people are told when the storefront was not seen to serve what was published, and when it was after all."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from catalog_experiments.models import ExperimentStatus, LiveConfirmation
from notifications.outbox import AlertDraft

WHAT_TO_DO = (
    "See whether every storefront process runs and reaches the database, and whether a cache keeps an older page. "
    "The looking goes on every minute."
)


def key_of(row: LiveConfirmation) -> str:
    """Return the dedupe key of the alert on a promise."""
    return f"unconfirmed:{row.pk}"


def draft_of_worry(row: LiveConfirmation, problem: str, *, now: datetime) -> AlertDraft:
    """Say that a promise was not seen kept; critical where shoppers may still get what was switched off."""
    is_running = row.status == ExperimentStatus.RUNNING
    return AlertDraft(
        kind="live_unconfirmed",
        severity="warning" if is_running else "critical",
        subject=f"{row.experiment.slug}: the storefront was not seen to serve {_served(row)}",
        dedupe_key=key_of(row),
        summary=problem,
        occurred_at=now,
        facts=_facts(row, now, next_step=WHAT_TO_DO),
    )


def draft_of_relief(row: LiveConfirmation, *, now: datetime) -> AlertDraft:
    """Say that a promise people were worried about is kept now."""
    return AlertDraft(
        kind="live_confirmed",
        severity="info",
        subject=f"{row.experiment.slug}: the storefront serves {_served(row)}",
        dedupe_key=f"{key_of(row)}:over",
        summary="Every place that was visited gives what was published.",
        occurred_at=now,
        facts=_facts(row, now, next_step="Nothing to do."),
    )


def _served(row: LiveConfirmation) -> str:
    return {ExperimentStatus.RUNNING: "its variants", ExperimentStatus.PAUSED: "the control"}.get(
        ExperimentStatus(row.status), "what it concluded"
    )


def _facts(row: LiveConfirmation, now: datetime, *, next_step: str) -> dict[str, Any]:
    return {
        "lines": [
            {"label": "Published in document", "value": str(row.document_version)},
            {"label": "Seconds since", "value": str(int((now - row.promised_at).total_seconds()))},
            {"label": "Times looked", "value": str(row.looks + 1)},
        ],
        "links": [{"label": "Open the experiment", "url": row.experiment.page_url}],
        "next_step": next_step,
        "data": {"experiment": row.experiment.slug, "document_version": row.document_version, "status": row.status},
    }
