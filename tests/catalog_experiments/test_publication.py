"""The published document: its shape, what never leaves in it, versions, and how long one takes to write."""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from catalog_experiments import lifecycle, publication
from catalog_experiments.models import Bundle, Order, Phase, PhaseOrigin, PublishedDocument
from tests.builders import NOON, make_bundle, make_experiment, make_running_experiment
from tests.catalog_experiments.acting import ACTOR, LATER, entry_of, pause, publish

pytestmark = pytest.mark.django_db


def test_document__of_a_running_experiment__has_the_agreed_shape() -> None:
    running = publish(make_experiment(forced_units={"qa-1": "test"}, targeting={"country": "DE"}, coverage=5000))

    document = publication.load_document()

    assert document is not None
    assert (document["version"], document["issued_at"]) == (1, NOON.isoformat())
    phase = running.current_phase
    assert phase is not None
    bundle = {
        "title": "Take the saucer with the cup",
        "description": "",
        "savings_copy": "Save 10 %",
        "components": [{"slug": "cup", "quantity": 1}, {"slug": "saucer", "quantity": 1}],
        "price_minor": 3240,
        "currency": "EUR",
    }
    assert document["experiments"] == [
        {
            "slug": "cup-saucer",
            "status": "running",
            "salt": phase.salt,
            "phase": 1,
            "anchor_product_slug": "cup",
            "published_at": NOON.isoformat(),
            "coverage": 5000,
            "variants": [
                {
                    "key": "control",
                    "is_control": True,
                    "range": [0, 2500],
                    "bundle": {"slug": "cup-saucer-control", **bundle},
                    "payload": {},
                },
                {
                    "key": "test",
                    "is_control": False,
                    "range": [5000, 7500],
                    "bundle": {"slug": "cup-saucer-test", **bundle},
                    "payload": {},
                },
            ],
            "targeting": {"country": "DE"},
            "forced": {"qa-1": "test"},
            "filters": [],
            "holdouts": [],
            "shadowed": False,
            "shipped_variant": None,
        }
    ]


def test_document__never_tells__hypotheses_people_guardrails_or_metrics(django_user_model: Any) -> None:
    owner = django_user_model.objects.create_user("mara-secret")
    publish(make_experiment(hypothesis="secret-hypothesis", description="secret-words", owner=owner))

    text = json.dumps(publication.load_document())

    assert not re.search(r"secret|guardrail|acceptance|metric|name|weight|cost", text)


def test_document__leaves_out__drafts_seeded_and_imported_experiments() -> None:
    make_experiment(slug="draft")
    for origin in (PhaseOrigin.SEEDED, PhaseOrigin.IMPORTED):
        experiment = make_experiment(slug=str(origin), name="Not for shoppers")
        lifecycle.adopt(experiment.pk, origin=origin, actor=ACTOR, now=NOON)

    publish(make_experiment())

    document = publication.load_document()
    assert document is not None
    assert [entry["slug"] for entry in document["experiments"]] == ["cup-saucer"]


def test_document__of_a_control_without_bundle__says_null() -> None:
    test = {"key": "test", "name": "Test", "bundle": make_bundle()}
    publish(make_experiment(variants=[{"key": "control", "name": "Control", "is_control": True}, test]))

    assert [variant["bundle"] is None for variant in entry_of("cup-saucer")["variants"]] == [True, False]


def test_document__while_paused__shows_bundles_as_they_are_now() -> None:
    running = publish(make_experiment())
    Bundle.objects.filter(bundle_slug="cup-saucer-control").update(price_minor=2999)
    assert entry_of("cup-saucer")["variants"][0]["bundle"]["price_minor"] == 3240

    pause(running)

    assert entry_of("cup-saucer")["variants"][0]["bundle"]["price_minor"] == 2999


def test_document__with_weights_broken_by_hand__serves_the_control_to_everyone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    running = make_running_experiment()
    phase = Phase.objects.get()
    Phase.objects.filter(pk=phase.pk).update(variants=[variant | {"weight": -1} for variant in phase.variants])

    with transaction.atomic():
        publication.publish_document(now=NOON)

    entry = entry_of(running.slug)
    assert (entry["coverage"], [variant["range"] for variant in entry["variants"]]) == (0, [[0, 0], [0, 0]])
    assert "serve the control to everyone" in caplog.text


def test_document__with_two_on_a_slot_by_hand__keeps_the_one_that_started_first() -> None:
    make_running_experiment(slug="second", name="Second", now=LATER)
    make_running_experiment(slug="first", name="First", now=NOON)

    with transaction.atomic():
        publication.publish_document(now=LATER)

    assert (entry_of("first")["shadowed"], entry_of("second")["shadowed"]) == (False, True)


@pytest.mark.django_db(transaction=True)
def test_publish_document__outside_a_transaction__is_refused() -> None:
    with pytest.raises(transaction.TransactionManagementError):
        publication.publish_document(now=NOON)


def test_versions__count_up_and_stay_readable() -> None:
    with transaction.atomic():
        first = publication.publish_document(now=NOON)
        second = publication.publish_document(now=LATER)

    assert (publication.newest_version(), first.etag != second.etag) == (2, True)
    stored = publication.load_document(1)
    assert stored is not None
    assert stored == first.document
    assert publication.load_document(99) is None


def test_newest_version__before_the_first__is_zero() -> None:
    assert publication.newest_version() == 0
    assert publication.load_document() is None


def test_baseline__of_a_page__is_the_active_override_with_the_smallest_priority() -> None:
    make_bundle(bundle_slug="a", cms_priority=10)
    make_bundle(bundle_slug="b", cms_priority=20, cms_override={"badge": "B"})
    make_bundle(bundle_slug="c", cms_priority=30, cms_override={"badge": "C"})
    make_bundle(bundle_slug="d", cms_priority=5, cms_override={"badge": "D"}, is_active=False)
    make_bundle(bundle_slug="e", cms_priority=1, cms_override={"badge": "E"}, primary_product_slug="pot")

    baseline = publication.baseline_offer("cup")

    assert baseline is not None
    assert (baseline["bundle"]["slug"], baseline["payload"]) == ("b", {"badge": "B"})
    assert publication.baseline_offer("mug") is None


def test_prune__keeps_the_newest_and_those_that_orders_name() -> None:
    with transaction.atomic():
        for number in range(12):
            publication.publish_document(now=NOON + dt.timedelta(minutes=number))
    Order.objects.create(
        order_ref="order-1",
        placed_at=LATER,
        revenue_minor=1,
        currency="EUR",
        offers=[{"experiment": "x", "variant": "test", "bundle": "b", "document_version": 3}],
        recorded_at=LATER,
        revised_at=LATER,
        content_digest="00000000-0000-0000-0000-000000000001",
    )

    removed = publication.prune_documents(keep=5)

    assert removed == 6
    kept = PublishedDocument.objects.order_by("version").values_list("version", flat=True)
    assert list(kept) == [3, 8, 9, 10, 11, 12]
    assert publication.prune_documents(keep=5) == 0


def run_many(prefix: str, count: int) -> None:
    """Write running experiments straight to the tables, each on a page of its own."""
    bundle = make_bundle(bundle_slug=prefix)
    for number in range(count):
        variants = [
            {"key": "control", "name": "Control", "is_control": True, "bundle": bundle},
            {"key": "test", "name": "Test", "bundle": bundle},
        ]
        running = make_running_experiment(slug=f"{prefix}-{number}", name="Many", variants=variants)
        Phase.objects.filter(experiment=running).update(anchor_product_slug=running.slug)


def queries_to_publish() -> int:
    with transaction.atomic(), CaptureQueriesContext(connection) as queries:
        publication.publish_document(now=NOON)
    return len(queries)


def test_publish_document__of_many_experiments__takes_as_many_queries_as_of_one() -> None:
    run_many("few", 1)
    few = queries_to_publish()
    run_many("many", 30)

    assert queries_to_publish() == few <= 5
