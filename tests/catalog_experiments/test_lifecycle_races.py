"""Who wins when several act at once: real transactions, one connection a thread."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from django.db import transaction

from catalog_experiments import drafting, lifecycle, publication
from catalog_experiments.drafting.specification import ExperimentChanges
from catalog_experiments.lifecycle import IllegalMove, StaleVersion
from catalog_experiments.models import (
    Experiment,
    ExperimentEvent,
    ExperimentStatus,
    Phase,
    PublishedDocument,
    VariantMetric,
)
from tests.builders import NOON, make_bundle, make_experiment
from tests.catalog_experiments.acting import (
    ACTOR,
    LATER,
    at_once,
    entry_of,
    pause,
    phase_of,
    publish,
)

pytestmark = pytest.mark.django_db(transaction=True)


def statuses_served() -> dict[str, str]:
    document = publication.load_document()
    assert document is not None
    return {entry["slug"]: entry["status"] for entry in document["experiments"]}


def test_publishers__eight_at_once__make_one_activation() -> None:
    draft = make_experiment()

    raised = at_once(*[partial(publish, draft)] * 8)

    assert raised == [None] * 8
    assert (Phase.objects.count(), PublishedDocument.objects.count()) == (1, 1)
    assert ExperimentEvent.objects.filter(action="publish").count() == 1
    assert Experiment.objects.get().lock_version == draft.lock_version + 1


def test_pause_one_publish_other__fifty_rounds__newest_document_equals_the_table() -> None:
    first = publish(make_experiment(slug="first", name="First"))
    for number in range(50):
        other = make_experiment(slug=f"other-{number}", name="Other")
        moved = first.pk, number % 2 == 0

        def toggle(moved: tuple[Any, bool] = moved) -> None:
            if moved[1]:
                lifecycle.pause(moved[0], actor=ACTOR, now=NOON, reason="")
            else:
                lifecycle.resume(moved[0], actor=ACTOR, now=NOON)

        raised = at_once(toggle, partial(publish, other))

        assert raised == [None, None]
        table = dict(Experiment.objects.exclude(status="draft").values_list("slug", "status"))
        assert statuses_served() == table
    versions = list(PublishedDocument.objects.order_by("version").values_list("version", flat=True))
    assert versions == list(range(1, len(versions) + 1))


def test_pause_and_complete__at_once__end_in_a_legal_state_with_one_event_each() -> None:
    for number in range(10):
        running = publish(make_experiment(slug=f"run-{number}", name="Run"))

        pausing, completing = at_once(
            partial(pause, running),
            partial(lifecycle.complete, running.pk, actor=ACTOR, now=LATER),
        )

        assert completing is None
        assert pausing is None or isinstance(pausing, IllegalMove)
        assert Experiment.objects.get(pk=running.pk).status == ExperimentStatus.COMPLETED
        actions = list(ExperimentEvent.objects.filter(experiment=running).values_list("action", flat=True))
        assert sorted(actions) == sorted(["publish", "complete"] + (["pause"] if pausing is None else []))


def test_editors__eight_with_one_version__exactly_one_wins() -> None:
    draft = make_experiment()

    def rename(number: int) -> Callable[[], object]:
        changes = ExperimentChanges(name=f"Name {number}", description=f"Name {number}")
        return lambda: drafting.update(draft.pk, changes, actor=ACTOR, now=NOON, expected_version=0)

    raised = at_once(*[rename(number) for number in range(8)])

    stored = Experiment.objects.get()
    assert sum(error is None for error in raised) == 1
    assert all(error is None or isinstance(error, StaleVersion) for error in raised)
    assert (stored.lock_version, stored.name) == (1, stored.description)


def test_publishers__of_two_on_one_page__one_has_the_slot() -> None:
    for number in range(5):
        page = f"page-{number}"
        pair = [
            make_experiment(
                slug=f"{name}-{number}",
                name=name,
                variants=[
                    {"key": "control", "name": "Control", "is_control": True},
                    {
                        "key": "test",
                        "name": "Test",
                        "bundle": make_bundle(bundle_slug=f"{name}-{number}", primary_product_slug=page),
                    },
                ],
            )
            for name in ("left", "right")
        ]

        raised = at_once(*[partial(publish, one) for one in pair])

        assert raised == [None, None]
        assert sorted(entry_of(one.slug)["shadowed"] for one in pair) == [False, True]


def test_pause__while_a_long_aggregation_writes_rows_of_it__does_not_wait() -> None:
    running = publish(make_experiment())
    phase, variant = phase_of(running), running.variants.get(key="test")
    written, paused = threading.Event(), threading.Event()

    def aggregate() -> None:
        with transaction.atomic():
            VariantMetric.objects.create(
                experiment=running,
                variant=variant,
                phase=phase,
                window_start=NOON.date(),
                computed_at=NOON,
                watermark_at=NOON,
            )
            written.set()
            assert paused.wait(10)

    def stop() -> None:
        assert written.wait(10)
        pause(running)
        paused.set()

    assert at_once(aggregate, stop) == [None, None]
    assert Experiment.objects.get().status == ExperimentStatus.PAUSED
