"""Offers that cannot be delivered: the experiment pauses, people hear of it, and hear again when the stock is back."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from catalog_experiments import lifecycle
from catalog_experiments.bundles import BundleChanges, update_bundle
from catalog_experiments.intake import served_spans
from catalog_experiments.models import (
    Bundle,
    Experiment,
    ExperimentEvent,
    ExperimentStatus,
    PauseCause,
    PhaseOrigin,
    PublishedDocument,
)
from catalog_experiments.preflight import run_preflight
from catalog_experiments.stock import guard_stock
from notifications.models import Alert
from tests.builders import NOON, make_experiment, make_running_experiment
from tests.catalog_experiments.acting import stored
from tests.catalog_experiments.buyers import change_phase, phase_of

pytestmark = pytest.mark.django_db

SOLD_OUT_AT = NOON + dt.timedelta(hours=5)
BACK_AT = NOON + dt.timedelta(hours=9)
RESUMED_AT = NOON + dt.timedelta(hours=10)


def set_stock(state: str, *, now: dt.datetime, bundle_slug: str = "cup-saucer-test", **changes: Any) -> None:
    update_bundle(bundle_slug, BundleChanges(stock_state=state, **changes), actor="user:ana", now=now)


@pytest.mark.parametrize("key", ["control", "test"])
def test_update_bundle__sold_out__pauses_the_experiment_with_event_document_and_alert(key: str) -> None:
    experiment = make_running_experiment()

    set_stock("out_of_stock", now=SOLD_OUT_AT, bundle_slug=f"cup-saucer-{key}")

    paused = stored(experiment)
    assert (paused.status, paused.pause_cause) == (ExperimentStatus.PAUSED, PauseCause.STOCK)
    assert paused.pause_reason == f"cup-saucer-{key} is out of stock."
    assert phase_of(paused).unserved_spans == [[SOLD_OUT_AT.isoformat(), None]]
    assert ExperimentEvent.objects.get(action="pause").actor == "system:stock"
    assert PublishedDocument.objects.count() == 1
    alert = Alert.objects.get()
    assert (alert.kind, alert.severity) == ("stock_out", "critical")


def test_guard_stock__sold_out_behind_our_back__pauses_at_the_next_round_once() -> None:
    experiment = make_running_experiment()
    Bundle.objects.filter(bundle_slug="cup-saucer-test").update(stock_state="out_of_stock")

    first, second = guard_stock(now=SOLD_OUT_AT), guard_stock(now=SOLD_OUT_AT + dt.timedelta(minutes=5))

    assert stored(experiment).pause_cause == PauseCause.STOCK
    assert (first.paused, first.alerts, second.paused, second.alerts) == (1, 1, 0, 0)


def test_guard_stock__override_changed_since_the_phase_opened__goes_back_to_its_baseline() -> None:
    lifecycle.publish(make_experiment().pk, actor="user:ana", now=NOON)
    set_stock("in_stock", now=NOON, cms_override={"headline": "Now"})
    Bundle.objects.filter(bundle_slug="cup-saucer-test").update(stock_state="out_of_stock")

    guard_stock(now=SOLD_OUT_AT)

    assert Bundle.objects.get(bundle_slug="cup-saucer-test").cms_override == {}
    assert ExperimentEvent.objects.get(action="pause").after["rolled_back"] == ["cup-saucer-test"]


def test_guard_stock__low_or_unknown__lets_it_run() -> None:
    experiment = make_running_experiment()
    Bundle.objects.filter(bundle_slug="cup-saucer-test").update(stock_state="low")
    Bundle.objects.filter(bundle_slug="cup-saucer-control").update(stock_state="unknown")

    guard_stock(now=SOLD_OUT_AT)

    assert stored(experiment).is_running


def test_guard_stock__seeded_experiment__is_left_alone() -> None:
    experiment = make_running_experiment()
    change_phase(experiment, origin=PhaseOrigin.SEEDED)
    Bundle.objects.update(stock_state="out_of_stock")

    assert guard_stock(now=SOLD_OUT_AT).paused == 0
    assert stored(experiment).is_running


def test_guard_stock__stock_is_back__is_told_once_and_a_person_resumes_the_same_phase() -> None:
    experiment = make_running_experiment()
    set_stock("out_of_stock", now=SOLD_OUT_AT)

    set_stock("in_stock", now=BACK_AT)
    guard_stock(now=BACK_AT + dt.timedelta(minutes=5))

    assert stored(experiment).status == ExperimentStatus.PAUSED
    assert list(Alert.objects.order_by("created_at").values_list("kind", flat=True)) == ["stock_out", "stock_back"]
    assert Alert.objects.get(kind="stock_out").resolved_at == BACK_AT

    lifecycle.resume(experiment.pk, actor="user:ana", now=RESUMED_AT)

    resumed = stored(experiment)
    assert resumed.is_running
    assert resumed.phases.count() == 1
    spans = served_spans(phase_of(resumed))
    assert [(span.start_at, span.end_at) for span in spans] == [(NOON, SOLD_OUT_AT), (RESUMED_AT, None)]


def test_resume__while_sold_out__is_refused_with_the_reason() -> None:
    experiment = make_running_experiment()
    set_stock("out_of_stock", now=SOLD_OUT_AT)

    with pytest.raises(lifecycle.PreflightFailed, match="cup-saucer-test is out of stock; restock it first"):
        lifecycle.resume(experiment.pk, actor="user:ana", now=RESUMED_AT)


def test_guard_stock__sold_out_again_after_a_resume__pauses_and_alerts_again() -> None:
    experiment = make_running_experiment()
    set_stock("out_of_stock", now=SOLD_OUT_AT)
    set_stock("in_stock", now=BACK_AT)
    lifecycle.resume(experiment.pk, actor="user:ana", now=RESUMED_AT)

    set_stock("out_of_stock", now=RESUMED_AT + dt.timedelta(hours=1))

    assert stored(experiment).pause_cause == PauseCause.STOCK
    assert Alert.objects.filter(kind="stock_out").count() == 2


def test_update_bundle__sold_out_and_repriced_at_once__pauses_without_a_new_phase() -> None:
    experiment = make_running_experiment()

    set_stock("out_of_stock", now=SOLD_OUT_AT, price_minor=2990)

    paused = stored(experiment)
    assert paused.pause_cause == PauseCause.STOCK
    assert paused.phases.count() == 1


def test_guard_stock__one_cannot_be_paused__the_others_are(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = make_running_experiment(slug="first"), make_running_experiment(slug="second")
    Bundle.objects.update(stock_state="out_of_stock")
    pause = lifecycle.pause

    def failing_for_the_first(experiment_id: object, **how: Any) -> Experiment:
        if experiment_id == first.pk:
            raise RuntimeError("cannot")
        return pause(experiment_id, **how)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(lifecycle, "pause", failing_for_the_first)

    result = guard_stock(now=SOLD_OUT_AT)

    assert result.errors == ("first: RuntimeError: cannot",)
    assert (stored(first).is_running, stored(second).is_running) == (True, False)


def test_guard_stock__nothing_to_do__two_queries() -> None:
    for slug in ("a", "b", "c"):
        make_running_experiment(slug=slug)

    with CaptureQueriesContext(connection) as captured:
        guard_stock(now=SOLD_OUT_AT)

    assert len(captured) == 2


def test_checklist__sold_out__blocks_the_launch() -> None:
    draft = make_experiment()
    Bundle.objects.filter(bundle_slug="cup-saucer-test").update(stock_state="out_of_stock")

    [check] = [check for check in run_preflight(draft, now=NOON) if check.code == "stock"]

    assert check.outcome == "fail"
