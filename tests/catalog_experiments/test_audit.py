"""Events: written with the change, never altered, and outliving a deleted draft."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, transaction

from catalog_experiments.audit import difference, record_event
from catalog_experiments.models import ExperimentEvent
from tests.builders import NOON, make_bundle, make_experiment

pytestmark = pytest.mark.django_db


def test_event__of_an_experiment__keeps_who_what_when_and_why() -> None:
    experiment = make_experiment()

    event = record_event(
        experiment, actor="user:mara", action="pause", reason="odd", before={"a": 1}, after={"a": 2}, now=NOON
    )

    stored = ExperimentEvent.objects.get(pk=event.pk)
    assert (stored.experiment_id, stored.experiment_slug) == (experiment.pk, "cup-saucer")
    assert (stored.actor, stored.action, stored.reason, stored.occurred_at) == ("user:mara", "pause", "odd", NOON)
    assert (stored.before, stored.after) == ({"a": 1}, {"a": 2})


def test_event__of_a_bundle__is_named_as_no_experiment_can_be() -> None:
    bundle = make_bundle(bundle_slug="b" * 150)

    event = record_event(bundle, actor="key:shop", action="create", before={}, after={"title": "x"}, now=NOON)

    assert event.experiment_slug == f"bundle:{'b' * 143}"


@pytest.mark.parametrize("change", ["update", "delete"])
def test_event__once_written__cannot_be_changed(change: str) -> None:
    experiment = make_experiment()
    event = record_event(experiment, actor="user:mara", action="pause", before={}, after={}, now=NOON)
    events = ExperimentEvent.objects.filter(pk=event.pk)

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        events.update(actor="user:nobody") if change == "update" else events.delete()

    assert events.get().actor == "user:mara"


def test_event__of_a_deleted_draft__stays() -> None:
    experiment = make_experiment()
    record_event(experiment, actor="user:mara", action="delete", before={}, after={}, now=NOON)

    experiment.delete()

    assert ExperimentEvent.objects.get().experiment_slug == "cup-saucer"


def test_difference__of_two_descriptions__names_only_what_changed() -> None:
    before, after = difference({"name": "a", "weight": 1}, {"name": "a", "weight": 2, "key": "b"})

    assert before == {"weight": 1, "key": None}
    assert after == {"weight": 2, "key": "b"}
