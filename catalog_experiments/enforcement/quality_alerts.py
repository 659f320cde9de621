"""What is told of the telemetry itself: numbers behind a hold, and the alarm of a join rate that falls."""

from __future__ import annotations

from collections.abc import Iterator

from catalog_experiments.analysis.quality import JoinRate, TelemetryQuality
from catalog_experiments.enforcement.alert_facts import links_to
from catalog_experiments.enforcement.frame import EvaluationFrame
from catalog_experiments.enforcement.holds import AGGREGATION_STALE, JOIN_RATE_HALVED, TELEMETRY_SILENT
from catalog_experiments.phrasing import rate_text
from notifications.outbox import AlertDraft

NEXT_STEP = "Look whether the shop still sends the unit with each order, and exposures from every page and app."


def detail_of(cause: str, quality: TelemetryQuality) -> str:
    """Return the numbers behind a hold as half a sentence, '' where there are none to tell."""
    if cause == TELEMETRY_SILENT and quality.seen_at is not None and quality.missing is not None:
        return f" (none since {quality.seen_at:%H:%M} UTC, at least {quality.missing:,.0f} should have come)"
    if cause == AGGREGATION_STALE and quality.stale_since is not None:
        return f" (they are as of {quality.stale_since:%Y-%m-%d %H:%M} UTC)"
    return f" ({join_text(quality.join_rate)})" if cause == JOIN_RATE_HALVED else ""


def join_text(rate: JoinRate) -> str:
    """Say how many orders find their visitor, now and usually."""
    usual = "" if rate.usual is None else f", usually {rate_text(rate.usual)}"
    if rate.usual is None and rate.coverage is not None:
        usual = f", where {rate_text(rate.coverage)} of visitors are covered"
    return f"{rate.recent.joined:,} of {rate.recent.orders:,} orders, {rate_text(rate.recent.rate)}{usual}"


def alarms_of(frame: EvaluationFrame) -> Iterator[AlertDraft]:
    """Yield the alarm of a fallen join rate, once a day and phase; a halved one is told as a hold."""
    rate, experiment = frame.quality.join_rate, frame.experiment
    if not rate.has_dropped or rate.is_halved:
        return
    yield AlertDraft(
        kind="join_rate_fell",
        severity="warning",
        subject=f"{experiment.slug}: fewer orders find their visitor",
        dedupe_key=f"join-rate:{experiment.pk}:{frame.phase.number}:{frame.watermark_at.date()}",
        summary="More than a fifth of the orders that used to name a visitor of the experiment do not any more. "
        "They are missing from every result; guardrails act as usual.",
        occurred_at=frame.watermark_at,
        facts={
            "lines": [{"label": "Orders of the last 24 hours", "value": join_text(rate)}],
            "links": links_to(experiment, None),
            "next_step": NEXT_STEP,
            "data": {
                "experiment": experiment.slug,
                "phase": frame.phase.number,
                "joined": rate.recent.joined,
                "orders": rate.recent.orders,
                "usual_rate": rate.usual,
            },
        },
    )
