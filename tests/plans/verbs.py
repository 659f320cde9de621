"""What the product does to its facts, in the order in which a shop comes to do it; every line here is a real call."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client, override_settings

from catalog_experiments.aggregation import BundleAcceptanceAggregator, backfill
from catalog_experiments.canary import calibrate
from catalog_experiments.enforcement import evaluate_due
from catalog_experiments.experiment_import import ExperimentFormat, import_experiment
from catalog_experiments.intake import (
    AliasEvent,
    ExposureEvent,
    OrderEvent,
    OrderLine,
    orders,
    record_aliases,
    record_exposures,
    record_orders,
)
from catalog_experiments.models import Experiment, RampState
from catalog_experiments.privacy import disclose, erase_unit, find_person, preview
from catalog_experiments.retention import RetentionRules, plan, retire
from catalog_experiments.service import CatalogExperimentService
from notifications.delivery import DeliveryResult, deliver_due
from notifications.probes import outbox_state
from storefront import shop
from tests.builders import make_bundle, make_experiment
from tests.plans.history import CLOSED, DAY, EXPERIMENTS, NOW, OPENED_DAYS_AGO, slug_of

HOUR = timedelta(hours=1)
LATER = NOW + HOUR
OLD, YOUNG, RAMPED, ENDED = CLOSED, EXPERIMENTS - 1, EXPERIMENTS - 2, CLOSED - 1
"""Experiments that run since April and since June, one with a ramp, and one that ended this month."""

VISITOR, TABLET, CUSTOMER = "visitor-phone", "visitor-tablet", "customer:17850"
RULES = RetentionRules(exposure_days=90, order_days=396)
RAMP = [{"coverage": 5_000, "minimum_hours": 24}, {"coverage": 10_000, "minimum_hours": 24}]
FILE = "unit,variant,outcome,at\n" + "".join(
    f"{key}-{number},{key},{number % 2},2024-05-04 10:00:00\n" for key in ("old", "new") for number in range(30)
)
LISTS = (
    "catalog_experiments/exposure",
    "catalog_experiments/order",
    "catalog_experiments/orderoutcome",
    "notifications/alert",
    "notifications/delivery",
    "storefront/shoporder",
)
service = CatalogExperimentService("user:mara")

Verb = Callable[[], object]


def verbs() -> Iterator[tuple[str, Verb]]:
    """Yield what is done, with a name for each."""
    yield "the first aggregation", lambda: BundleAcceptanceAggregator().recompute(now=NOW)
    yield "what autovacuum does then", analyze
    yield "intake", take_in
    yield "an aggregation", lambda: BundleAcceptanceAggregator().recompute(now=LATER)
    yield "the first guardrail tick", lambda: evaluate_due(now=LATER)
    yield "a guardrail tick", lambda: evaluate_due(now=LATER + HOUR)
    yield "the backfill of one experiment", backfill_one
    yield "a launch", launch
    yield "the first count of one phase", lambda: BundleAcceptanceAggregator().recompute(now=LATER + HOUR)
    yield "a pause", pause_and_resume
    yield "pages and reports", look
    yield "an import", import_one
    yield "the outbox", send
    yield "the shop", sell
    yield "the end of an experiment", lambda: service.complete(slug_of(OLD + 1), now=LATER)
    yield "privacy", forget
    yield "an aggregation after that", lambda: BundleAcceptanceAggregator().recompute(now=LATER + HOUR)
    yield "the next one", lambda: BundleAcceptanceAggregator().recompute(now=LATER + HOUR)
    yield "the weekly calibration", lambda: calibrate(now=LATER)
    yield "retention", retain


def analyze() -> None:
    """Let the planner know what was made just now."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def take_in() -> None:
    """Take in news of today and of weeks ago, replays, revisions, and who is one person."""
    days = (NOW - HOUR, NOW - 20 * DAY)
    exposures = [
        ExposureEvent(slug_of(number), f"visitor-{turn}", "test", at - turn * timedelta(seconds=1))
        for number in (OLD, OLD + 1, YOUNG)
        for at in days
        for turn in range(100)
        if at > NOW - OPENED_DAYS_AGO[number] * DAY
    ]
    exposures += [ExposureEvent(slug_of(OLD), unit, "test", NOW - HOUR) for unit in (VISITOR, TABLET)]
    record_exposures(exposures, now=NOW)
    record_exposures(exposures[:50], now=NOW)
    record_aliases([AliasEvent(VISITOR, CUSTOMER), AliasEvent(TABLET, CUSTOMER)], now=NOW)
    ordered = [_order(turn, at + HOUR) for at in days for turn in range(100)]
    record_orders(ordered, now=NOW)
    record_orders([_order(turn, NOW, returned=1) for turn in range(100)], now=NOW)
    record_orders([*ordered[:50], _order("known", NOW - HOUR, unit_id=VISITOR)], now=NOW)
    record_orders([*ordered, *(_order(f"many-{turn}", NOW - HOUR) for turn in range(orders.CHUNK))], now=NOW)
    with override_settings(UNIT_ID_HASH_KEY=["newest", *settings.UNIT_ID_HASH_KEY]):
        record_exposures(exposures[:50], now=NOW)


def _order(turn: int | str, at: datetime, *, returned: int = 0, unit_id: str = "") -> OrderEvent:
    lines = (OrderLine(f"product-{OLD}", 1, 2_400, 1_300, returned), OrderLine(f"part-{OLD}", 1, 900, 500))
    refunded = 2_400 if returned else 0
    unit = unit_id or f"visitor-{turn}"
    return OrderEvent(f"A-{turn}-{at:%m%d}", at.replace(minute=0), "EUR", lines, unit_id=unit, refunded_minor=refunded)


def backfill_one() -> None:
    """Reconstruct the days of the experiment that runs since April, and of the one that began last."""
    for number in (OLD, YOUNG):
        backfill(lookback_days=30, now=LATER, slug=slug_of(number), dry_run=True)


def launch() -> None:
    """Check and publish an experiment on a page whose last one ended this month."""
    bundles = [make_bundle(bundle_slug=f"new-{key}", primary_product_slug=f"product-{ENDED}") for key in "ab"]
    variants = [
        {"key": key, "name": key.title(), "weight": 50, "is_control": key == "control", "bundle": bundle}
        for key, bundle in zip(("control", "test"), bundles, strict=True)
    ]
    make_experiment(slug="new", variants=variants, planned_sample_size=5_000)
    service.preflight("new", now=LATER)
    service.publish("new", now=LATER)


def pause_and_resume() -> None:
    """Pause the oldest running experiment for an hour."""
    service.pause(slug_of(OLD), now=LATER, reason="odd numbers")
    service.resume(slug_of(OLD), now=LATER + HOUR)


def look() -> None:
    """Open the pages that people and machines open, an experiment's ramp under way."""
    Experiment.objects.filter(slug=slug_of(RAMPED)).update(
        ramp_plan=RAMP, ramp_state=RampState.CLIMBING, ramp_step=1, ramp_step_at=NOW - 2 * DAY
    )
    client, slug = Client(), slug_of(RAMPED)
    client.force_login(get_user_model().objects.create_superuser("mara"))
    machine = Client(headers={"X-API-Key": "test-server-key"})
    pages = [f"/admin/merchandising/bundles{page}" for page in ("", f"/{slug}", f"/{slug_of(ENDED)}")]
    lists = [f"/admin/{name}/" for name in LISTS]
    reports = [f"/api/v1/catalog/experiments{end}" for end in ("", f"/{slug}/report", f"/{slug}/metrics")]
    for visitor, addresses in ((client, [*pages, *lists]), (machine, [*reports, "/metrics", "/readyz"])):
        for address in addresses:
            answer = visitor.get(address, follow=True)
            if answer.status_code not in (200, 503):
                raise AssertionError(f"{address} answered {answer.status_code}: {answer.content[:500]!r}")
    machine.post(f"/api/v1/catalog/experiments/{slug}/evaluate")


def import_one() -> None:
    """Bring in a finished experiment from a file."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "experiment.csv"
        path.write_text(FILE)
        import_experiment(path, slug="mailing", control="old", now=LATER, form=ExperimentFormat(time_column="at"))


def send() -> None:
    """Ask how the outbox is, and send what is due; nobody is there to take it."""
    outbox_state(LATER)
    told = deliver_due(now=LATER)
    if told == DeliveryResult(sent=0, retried=0, dead=0):
        raise AssertionError("there was nothing to send")


def sell() -> None:
    """Look up orders as the shop's pages do, and report those that telemetry has not heard of."""
    shop.order_of("visitor 7", "KK-7")
    shop.last_order("visitor 7")
    shop.report_due(now=LATER)


def forget() -> None:
    """Tell a person what is stored of them, and forget it."""
    person = find_person(VISITOR, follow_aliases=True)
    preview(person)
    disclose(person, now=LATER)
    erase_unit(find_person(TABLET, follow_aliases=False), actor="user:mara", now=LATER)
    gone = erase_unit(person, actor="user:mara", now=LATER)
    if not (gone.exposures and gone.orders):
        raise AssertionError(f"nothing was stored of the person: {gone}")


def retain() -> None:
    """Say what is due to leave, and let it go."""
    plan(rules=RULES, now=LATER)
    gone = retire(rules=RULES, now=LATER)
    if not (gone.phases and gone.orders.orders):
        raise AssertionError(f"nothing left: {gone}")
