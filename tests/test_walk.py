"""The walk: one visitor after the other meets an offer that does harm, and everything that follows, for real.

Read it from top to bottom; each step calls the module of the same name, in the order in which data rises. PostgreSQL,
the broker, the worker, the mail server and Slack's stand-in are running programs.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext, override_settings
from django.utils import timezone

from catalog_experiments import analysis, enforcement, guardrails
from catalog_experiments.aggregation import BundleAcceptanceAggregator
from catalog_experiments.intake import BundleAcceptanceService, ExposureEvent, OrderEvent, OrderLine, record_exposures
from catalog_experiments.models import Experiment, ExperimentEvent, PublishedDocument
from notifications import outbox
from notifications.models import Alert, DeliveryState
from smplat.embedded.broker import Broker
from storefront import decisions, document
from storefront.demo import HARMFUL, seed_demo
from tests.databases import url_of_test_database
from tests.environment import PROJECT
from tests.processes import running, wait_until
from tests.sinks import HttpSink, SmtpSink, http_sink, smtp_sink

TEAPOT, BOWL = OrderLine("round-teapot", 1, 6800, 2700), OrderLine("tea-bowl", 2, 1800, 640)
VISITORS = 600
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


@dataclass(frozen=True)
class Office:
    """Where alerts arrive."""

    slack: HttpSink
    mail: SmtpSink


@pytest.fixture
def office() -> Iterator[Office]:
    """Run Slack's stand-in and a mail server, and point this process at them."""
    with http_sink() as slack, smtp_sink() as mail, override_settings(**_addresses(slack, mail)):
        yield Office(slack, mail)


@pytest.fixture
def worker(
    transactional_db: None, broker: Broker, office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Run a Celery worker on this test's database, broker and office."""
    # Other tests of this process ran without a broker, which is remembered for half a minute.
    monkeypatch.setattr(outbox, "_breaker", outbox._Breaker())
    addresses = {name: str(value) for name, value in _addresses(office.slack, office.mail).items()}
    addresses["BUNDLE_EXPERIMENT_GUARDRAIL_EMAIL_RECIPIENTS"] = "merchandising@shop.example"
    environment = {**os.environ, **addresses, "DATABASE_URL": url_of_test_database(), "REDIS_URL": broker.url}
    command = [sys.executable, "-m", "celery", "-A", "smplat.celery", "worker", "--loglevel", "INFO"]
    log = tmp_path / "worker.log"
    with running(
        [*command, "--pool", "solo", "--without-mingle", "--without-gossip", "--queues", "control,bulk"],
        log=log,
        env=environment,
        cwd=PROJECT,
    ):
        wait_until(lambda: " ready." in log.read_text(), 60)
        yield


@pytest.fixture
def storefront(transactional_db: None) -> Iterator[None]:
    """Give this process a document reader of its own, and stop it before the database goes away."""
    document.renew()
    yield
    document.renew()


def test_walk__offer_nobody_takes__is_off_and_everybody_knows(office: Office, worker: None, storefront: None) -> None:
    # The shop is open: merchandisers have published an experiment whose test variant is twice the set.
    seed_demo(now=timezone.now())
    experiment = Experiment.objects.get(slug=HARMFUL)
    wait_until(lambda: decisions.decide("anyone", {}, slug=HARMFUL) is not None, 10)

    # storefront.decisions: each visitor gets a variant, and the same one at the next visit.
    units = [f"visitor-{uuid.uuid4().hex}" for _ in range(VISITORS)]
    decided = {unit: decide(unit) for unit in units}
    assert decided == {unit: decide(unit) for unit in units}
    assert {decision.reason for decision in decided.values()} == {"SPLIT"}

    # intake: who met what, and what they ordered. Control sells a third of its sets, the test variant none.
    record_exposures([exposure_of(unit, decision) for unit, decision in decided.items()], now=timezone.now())
    checkout = BundleAcceptanceService()
    for number, (unit, decision) in enumerate(decided.items()):
        takes_set = decision.variant_key == "control" and number % 3 == 0
        event = order_of(unit, (TEAPOT, BOWL) if takes_set else (TEAPOT,))
        assert checkout.record_order_acceptance(event, now=timezone.now()).outcome == "accepted"

    # aggregation: facts become tallies, moments and metric rows.
    result = BundleAcceptanceAggregator().recompute()
    assert result.metric_rows >= 2

    # analysis: metric rows become a report.
    report = analysis.analyze(experiment, now=timezone.now())
    control, test = report.variants
    assert control.sample_size + test.sample_size == VISITORS
    assert control.acceptance_rate == pytest.approx(1 / 3, abs=0.1)
    assert (test.acceptance_count, test.lift) == (0, -1.0)

    # guardrails and enforcement: the verdict, and in the same transaction the pause, its event, document and alert.
    with CaptureQueriesContext(connection) as captured:
        outcome = enforcement.evaluate(experiment.pk, now=timezone.now())
    assert outcome.paused
    assert tables_written_together(captured) >= {
        "catalog_bundle_experiments",
        "catalog_bundle_experiment_guardrail_evaluations",
        "catalog_bundle_experiment_events",
        "catalog_published_documents",
        "notifications_alerts",
        "notifications_deliveries",
    }

    # The record alone is enough to reach the verdict again.
    record = outcome.evaluation
    assert record is not None
    assert record.verdict == guardrails.Verdict.OUTAGE
    assert guardrails.judge_record(record.inputs) == record.verdicts
    assert enforcement.verify_chain().first_difference is None

    # lifecycle: paused by evidence, with a reason; the next document serves everybody the control.
    experiment.refresh_from_db()
    assert (experiment.status, experiment.pause_cause) == ("paused", "outage")
    assert ExperimentEvent.objects.filter(experiment=experiment, action="pause", actor="system:guardrails").count() == 1
    newest = PublishedDocument.objects.first()
    assert newest is not None
    assert statuses(newest)[HARMFUL] == "paused"

    # notifications: the worker was woken after the commit and has told Slack and the mailbox.
    alert = Alert.objects.get(kind="guardrail_outage")
    wait_until(lambda: set(alert.deliveries.values_list("state", flat=True)) == {DeliveryState.SENT}, 30)
    assert len(office.slack.received) == 1
    assert HARMFUL in office.slack.received[0].body.decode()
    assert office.mail.recipients == ["merchandising@shop.example"]
    assert HARMFUL in str(office.mail.mails[0]["Subject"])

    # storefront: whoever had the test variant now sees the control's offer.
    shopper = next(unit for unit, decision in decided.items() if decision.variant_key == "test")
    wait_until(lambda: decide(shopper).reason == "DISABLED", 5)
    assert "Tea for two" in product_page(shopper)
    assert "Tea for guests" not in product_page(shopper)

    # The control center says what happened, and why.
    page = control_center()
    assert "Paused by guardrail" in page
    assert f"0 of {test.sample_size:,}" in page


def decide(unit: str) -> decisions.Decision:
    """Decide for a visitor of the teapot's page."""
    decision = decisions.decide(unit, {}, product_slug="round-teapot")
    assert decision is not None
    return decision


def exposure_of(unit: str, decision: decisions.Decision) -> ExposureEvent:
    """Say that the visitor reached the offer slot with this decision."""
    return ExposureEvent(decision.experiment, unit, decision.variant_key, phase=decision.phase)


def order_of(unit: str, lines: tuple[OrderLine, ...]) -> OrderEvent:
    """Make the visitor's order, placed now."""
    return OrderEvent(f"order-{unit}", timezone.now(), "EUR", lines, unit_id=unit)


def tables_written_together(captured: CaptureQueriesContext) -> set[str]:
    """Return the tables that the one transaction which paused has written."""
    written: set[str] = set()
    for query in captured.captured_queries:
        words = query["sql"].replace('"', "").split()
        if words[0] == "BEGIN":
            written = set()
        elif words[0] == "COMMIT" and "catalog_bundle_experiments" in written:
            return written
        elif words[0] in ("INSERT", "UPDATE"):
            written.add(words[2] if words[0] == "INSERT" else words[1])
    return set()


def statuses(newest: PublishedDocument) -> dict[str, str]:
    """Return the status of each experiment in a document."""
    return {entry["slug"]: entry["status"] for entry in newest.document["experiments"]}


def product_page(unit: str) -> str:
    """Return the teapot's page as this visitor's browser gets it."""
    browser = Client(headers={"user-agent": BROWSER})
    browser.cookies["visitor"] = unit
    return browser.get("/products/round-teapot").content.decode()


def control_center() -> str:
    """Return the control center as an administrator sees it."""
    browser = Client()
    browser.force_login(get_user_model().objects.create_superuser("mara", "mara@shop.example", "not-used"))
    return browser.get("/admin/merchandising/bundles").content.decode()


def _addresses(slack: HttpSink, mail: SmtpSink) -> dict[str, object]:
    return {
        "BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_WEBHOOK_URL": slack.url(),
        "BUNDLE_EXPERIMENT_GUARDRAIL_EMAIL_RECIPIENTS": ["merchandising@shop.example"],
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": mail.port,
        "SMTP_USE_TLS": False,
    }
