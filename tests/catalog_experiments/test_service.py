"""The one domain call of the faces: lookup by slug, moves asked for by status, and a constant number of queries."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog_experiments.lifecycle import IllegalMove, PreflightFailed, ReasonRequired, StaleVersion
from catalog_experiments.models import Experiment, ExperimentEvent, GuardrailEvaluation, PauseCause, PublishedDocument
from catalog_experiments.service import (
    BundleChanges,
    BundleSpec,
    CatalogExperimentService,
    ExperimentChanges,
    ExperimentNotFound,
    ExperimentSpec,
    VariantSpec,
)
from tests.builders import NOON, make_bundle, make_experiment

pytestmark = pytest.mark.django_db

LATER = NOON + dt.timedelta(hours=1)


@pytest.fixture
def service() -> CatalogExperimentService:
    return CatalogExperimentService(actor="key:shop")


def put(service: CatalogExperimentService, slug: str = "cup-saucer", **fields: Any) -> Experiment:
    return service.update(slug, ExperimentChanges(**fields), now=LATER)


def test_create__returns_a_draft_and_names_the_actor(service: CatalogExperimentService) -> None:
    make_bundle(bundle_slug="cup-save")
    variants = (
        VariantSpec(key="control", name="Control", is_control=True),
        VariantSpec(key="test", name="Test", bundle_slug="cup-save"),
    )

    created = service.create(ExperimentSpec(slug="cup", name="Cup", variants=variants), now=NOON)

    assert (created.status, [variant.bundle_id for variant in created.variants.all()]) == ("draft", [None, "cup-save"])
    assert ExperimentEvent.objects.get().actor == "key:shop"


def test_list__is_newest_first_and_pages_by_slug(service: CatalogExperimentService) -> None:
    for name in ("one", "two", "three"):
        make_experiment(slug=name, name=name)

    first = service.list(limit=2)

    assert [experiment.slug for experiment in first] == ["three", "two"]
    assert [experiment.slug for experiment in service.list(limit=2, before="two")] == ["one"]


def test_list__of_many__takes_as_many_queries_as_of_one(service: CatalogExperimentService) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            for experiment in service.list():
                assert [variant.bundle and variant.bundle.title for variant in experiment.variants.all()]
                assert experiment.owner is None
        return len(captured)

    make_experiment()
    one = queries()
    for number in range(20):
        make_experiment(slug=f"more-{number}", name="More")

    assert queries() == one == 2


@pytest.mark.parametrize("verb", ["get", "publish", "pause", "resume", "complete", "delete", "preflight", "evaluate"])
def test_unknown_slug__is_not_found(service: CatalogExperimentService, verb: str) -> None:
    arguments: dict[str, Any] = {} if verb == "get" else {"now": NOON}
    if verb == "pause":
        arguments["reason"] = ""

    with pytest.raises(ExperimentNotFound, match="'nobody'"):
        getattr(service, verb)("nobody", **arguments)


def test_update__to_running__publishes_a_draft_with_its_edits(service: CatalogExperimentService) -> None:
    make_experiment()

    running = put(service, status="running", sample_size_guardrail=400)

    assert (running.status, running.sample_size_guardrail) == ("running", 400)
    assert running.current_phase is not None
    assert running.current_phase.minimum_sample == 400


def test_update__to_the_present_status__is_no_move(service: CatalogExperimentService) -> None:
    make_experiment()
    put(service, status="running")

    again = put(service, status="running")

    assert again.status == "running"
    assert (PublishedDocument.objects.count(), ExperimentEvent.objects.count()) == (1, 1)


def test_update__through_every_status__makes_the_moves(service: CatalogExperimentService) -> None:
    make_experiment()

    seen = [put(service, status=status).status for status in ("running", "paused", "running", "paused", "completed")]

    assert seen == ["running", "paused", "running", "paused", "completed"]
    actions = list(ExperimentEvent.objects.order_by("id").values_list("action", flat=True))
    assert actions == ["publish", "pause", "resume", "pause", "complete"]
    assert service.get("cup-saucer").conclusion == ""


@pytest.mark.parametrize(
    ("path", "wanted"),
    [((), "paused"), ((), "completed"), (("running",), "draft"), (("running", "completed"), "running")],
)
def test_update__to_a_status_no_verb_leads_to__is_refused_with_the_legal_moves(
    service: CatalogExperimentService, path: tuple[str, ...], wanted: str
) -> None:
    make_experiment()
    for status in path:
        put(service, status=status)

    with pytest.raises(IllegalMove) as refused:
        put(service, status=wanted)

    assert refused.value.legal
    assert service.get("cup-saucer").status == (path[-1] if path else "draft")


def test_update__with_a_refused_move__stores_none_of_its_edits(service: CatalogExperimentService) -> None:
    make_experiment(variants=[])

    with pytest.raises(PreflightFailed):
        put(service, name="Renamed", status="running")

    assert service.get("cup-saucer").name == "Cup and saucer"
    assert not ExperimentEvent.objects.exists()


def test_update__to_running_after_a_guardrail__needs_a_reason(service: CatalogExperimentService) -> None:
    make_experiment()
    put(service, status="running")
    service.pause("cup-saucer", now=LATER, reason="evidence", cause=PauseCause.BREACHED)

    with pytest.raises(ReasonRequired):
        put(service, status="running")

    assert put(service, status="running", reason="price fixed").status == "running"


def test_update__on_a_stale_version__is_refused(service: CatalogExperimentService) -> None:
    draft = make_experiment()
    put(service, name="Renamed")

    with pytest.raises(StaleVersion):
        service.update(
            "cup-saucer", ExperimentChanges(status="running"), now=LATER, expected_version=draft.lock_version
        )


def test_clone__is_a_draft_of_its_own(service: CatalogExperimentService) -> None:
    make_experiment()

    copy = service.clone("cup-saucer", new_slug="again", name="Again", now=NOON)

    assert (copy.slug, copy.status, copy.variants.count()) == ("again", "draft", 2)
    assert ExperimentEvent.objects.get().reason == "Cloned from cup-saucer."


def test_delete__of_a_draft__is_gone(service: CatalogExperimentService) -> None:
    make_experiment()

    service.delete("cup-saucer", now=NOON)

    assert not Experiment.objects.exists()


def test_evaluate__of_a_draft__reports_and_stores_nothing(service: CatalogExperimentService) -> None:
    make_experiment()

    report = service.evaluate("cup-saucer", now=NOON)

    assert [breach.variant_key for breach in report.breaches] == ["control", "test"]
    assert not GuardrailEvaluation.objects.exists()


def test_bundles__are_edited_under_the_same_name(service: CatalogExperimentService) -> None:
    spec = BundleSpec(bundle_slug="cup-save", primary_product_slug="cup", title="Take both")
    service.create_bundle(spec, now=NOON)

    service.update_bundle("cup-save", BundleChanges(title="Take two"), now=NOON)
    service.delete_bundle("cup-save", now=NOON)

    actions = ExperimentEvent.objects.order_by("id").values_list("actor", "action")
    assert list(actions) == [("key:shop", "create"), ("key:shop", "update"), ("key:shop", "delete")]
