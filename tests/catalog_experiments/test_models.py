"""The constraints that the database itself holds, whatever code forgets."""

import datetime as dt

import pytest
from django.db import DatabaseError, IntegrityError, transaction

from catalog_experiments.models import Experiment, ExperimentEvent, Exposure, Variant
from tests.builders import NOON, make_experiment, make_phase, make_running_experiment


@pytest.mark.django_db
def test_variant__second_control__database_refuses() -> None:
    experiment = make_experiment()

    with pytest.raises(IntegrityError, match="variant_one_control"), transaction.atomic():
        Variant.objects.create(experiment=experiment, key="other", name="Other", is_control=True)

    assert experiment.variants.count() == 2


@pytest.mark.django_db
def test_experiment__slug_not_path_safe__database_refuses() -> None:
    with pytest.raises(IntegrityError, match="experiment_slug_path_safe"), transaction.atomic():
        Experiment.objects.create(slug="a/b", name="Unreachable")


@pytest.mark.django_db
def test_experiment__running_without_phase__database_refuses() -> None:
    with pytest.raises(IntegrityError, match="experiment_phase_once_published"), transaction.atomic():
        Experiment.objects.create(slug="no-phase", name="No phase", status="running")


@pytest.mark.django_db
def test_phase__second_open_one__database_refuses() -> None:
    experiment = make_running_experiment()

    with pytest.raises(IntegrityError, match="phase_one_open"), transaction.atomic():
        make_phase(experiment, number=2)


@pytest.mark.django_db
@pytest.mark.parametrize("change", ["update", "delete"])
def test_event__changed_or_deleted__database_refuses(change: str) -> None:
    experiment = make_experiment()
    event = ExperimentEvent.objects.create(
        experiment=experiment, experiment_slug=experiment.slug, occurred_at=NOON, actor="user:mara", action="create"
    )
    rows = ExperimentEvent.objects.filter(pk=event.pk)

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        rows.update(actor="user:nobody") if change == "update" else rows.delete()

    assert ExperimentEvent.objects.get().actor == "user:mara"


@pytest.mark.django_db
def test_exposure__same_unit_twice_in_a_phase__database_refuses() -> None:
    experiment = make_running_experiment()
    exposure = {
        "retention_month": dt.date(2026, 3, 1),
        "experiment": experiment,
        "phase": experiment.current_phase,
        "unit": "00000000-0000-0000-0000-000000000001",
        "variant_key": "control",
        "exposed_at": NOON,
        "recorded_at": NOON,
    }
    Exposure.objects.create(**exposure)

    with pytest.raises(IntegrityError), transaction.atomic():
        Exposure.objects.create(**exposure | {"variant_key": "test"})


@pytest.mark.django_db(transaction=True)
def test_history__between_committing_tests__can_be_emptied() -> None:
    experiment = make_experiment()
    ExperimentEvent.objects.create(
        experiment=experiment, experiment_slug=experiment.slug, occurred_at=NOON, actor="user:mara", action="create"
    )

    assert ExperimentEvent.objects.count() == 1
