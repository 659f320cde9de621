"""Checks that warn: the experiment would run, but on stale numbers, unwatched or unpriced; sold out, it would not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from catalog_experiments.models import BundleAcceptanceMetric, JobOutcome, JobRun, StockState
from catalog_experiments.preflight.launch import BUNDLES_URL, JOBS_URL, Check, Launch

FRESH = timedelta(hours=26)
WATCHED = timedelta(hours=1)
RECENT = timedelta(days=2)
BACKFILL_JOB = "bundle-experiment-backfill"
GUARDRAIL_JOB = "bundle-guardrail-evaluation"


def check_acceptance(launch: Launch) -> Check:
    """Acceptance figures of every offered bundle that are at most 26 hours old."""
    faults = [fault for slug in launch.bundles for fault in _staleness(slug, launch.acceptance.get(slug), launch.now)]
    return launch.found("acceptance", faults, "Acceptance figures are fresh.", outcome="warn", fix_url=JOBS_URL)


def check_backfill(launch: Launch) -> Check:
    """A nightly backfill that finished in the last 26 hours."""
    finished = JobRun.objects.filter(job=BACKFILL_JOB, outcome=JobOutcome.DONE, finished_at__isnull=False)
    last = finished.order_by("-finished_at").values_list("finished_at", flat=True).first()
    faults = []
    if last is None or launch.now - last > FRESH:
        faults.append(f"The nightly backfill {_age(last, launch.now)}; run backfill_bundle_experiments.")
    return launch.found("backfill", faults, "The nightly backfill is fresh.", outcome="warn", fix_url=JOBS_URL)


def check_jobs(launch: Launch) -> Check:
    """Jobs whose last run succeeded, and guardrails that were looked at in the last hour."""
    recent = JobRun.objects.filter(slot_at__gte=launch.now - RECENT)
    newest = recent.order_by("job", "-slot_at").distinct("job").values_list("job", "outcome")
    failing = [job for job, outcome in newest if outcome in (JobOutcome.FAILED, JobOutcome.DEAD)]
    faults = [f"The last run of {job} failed." for job in failing]
    watching = JobRun.objects.filter(job=GUARDRAIL_JOB, outcome=JobOutcome.DONE)
    last = watching.order_by("-started_at").values_list("started_at", flat=True).first()
    if last is None or launch.now - last > WATCHED:
        faults.append(f"The guardrail job {_age(last, launch.now)}: nothing would be paused.")
    return launch.found("jobs", faults, "Every job's last run succeeded.", outcome="warn", fix_url=JOBS_URL)


def check_threshold(launch: Launch) -> Check:
    """Bounds that the control's own recent acceptance meets; one it misses pauses nothing, or everything."""
    control, row = launch.control, None
    if control is not None and control.bundle_slug:
        row = launch.acceptance.get(control.bundle_slug)
    faults = list(_unfit_bounds(launch, row)) if row is not None and row.sample_size else []
    return launch.found("threshold", faults, "The control meets the acceptance bounds itself.", outcome="warn")


def check_prices(launch: Launch) -> Check:
    """Prices and costs known, in one currency: else money per visitor cannot be told."""
    bundles = launch.bundles.values()
    faults = [f"{bundle.bundle_slug} has no price." for bundle in bundles if bundle.price_minor is None]
    faults += [
        f"{bundle.bundle_slug} has no cost, so margin cannot be the primary metric."
        for bundle in bundles
        if bundle.cost_minor is None
    ]
    if len(currencies := sorted({bundle.currency for bundle in bundles})) > 1:
        faults.append(f"The bundles are priced in {' and '.join(currencies)}; money cannot be compared.")
    sound = "Every bundle has a price and a cost."
    return launch.found("prices", faults, sound, outcome="warn", fix_url=BUNDLES_URL)


def check_stock(launch: Launch) -> Check:
    """Stock known and there; sold out blocks, for the stock guard would pause the experiment at once."""
    sold_out = [slug for slug, bundle in launch.bundles.items() if bundle.stock_state == StockState.OUT_OF_STOCK]
    if sold_out:
        faults = [
            f"{slug} is out of stock; restock it first, or the experiment is paused at once." for slug in sold_out
        ]
        return launch.found("stock", faults, "", outcome="fail", fix_url=BUNDLES_URL)
    said = {StockState.UNKNOWN: "The stock of {} is unknown.", StockState.LOW: "The stock of {} is low."}
    faults = [
        said[StockState(bundle.stock_state)].format(slug)
        for slug, bundle in launch.bundles.items()
        if bundle.stock_state in said
    ]
    return launch.found("stock", faults, "Every bundle is in stock.", outcome="warn", fix_url=BUNDLES_URL)


def _staleness(slug: str, row: BundleAcceptanceMetric | None, now: datetime) -> Iterator[str]:
    if row is None:
        yield f"There are no acceptance figures of {slug} yet; run the aggregation."
    elif now - row.computed_at > FRESH:
        yield f"The acceptance figures of {slug} are {_hours(row.computed_at, now)} hours old; run the aggregation."


def _unfit_bounds(launch: Launch, row: BundleAcceptanceMetric) -> Iterator[str]:
    config, rate = launch.spec.guardrail_config, float(row.acceptance_rate)
    seen = f"the control's own {rate:.2%} of the last {row.lookback_days} days"
    lowest, highest = config.get("min_acceptance_rate"), config.get("max_acceptance_rate")
    if isinstance(lowest, float | int) and rate < lowest and not row.acceptance_count:
        days = row.lookback_days
        yield f"Nobody took the control's bundle in the last {days} days; was it offered? No bound fits it yet."
    elif isinstance(lowest, float | int) and rate < lowest:
        yield f"min_acceptance_rate ({lowest:.2%}) lies above {seen}; lower it."
    if isinstance(highest, float | int) and rate > highest:
        yield f"max_acceptance_rate ({highest:.2%}) lies below {seen}; raise it."


def _age(moment: datetime | None, now: datetime) -> str:
    return "has never run" if moment is None else f"last ran {_hours(moment, now)} hours ago"


def _hours(moment: datetime, now: datetime) -> int:
    return int((now - moment) / timedelta(hours=1))
