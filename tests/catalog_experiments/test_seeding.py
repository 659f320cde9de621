"""Deterministic QA data: the predecessor's numbers, in every state, untouched by the jobs, harmless to real rows."""

from __future__ import annotations

import datetime as dt

import pytest
from django.db import transaction

from catalog_experiments import enforcement, publication
from catalog_experiments.aggregation import BundleAcceptanceAggregator
from catalog_experiments.models import (
    Bundle,
    BundleAcceptanceMetric,
    Experiment,
    ExperimentStatus,
    GuardrailEvaluation,
    Phase,
    PhaseOrigin,
    Variant,
    VariantMetric,
)
from catalog_experiments.seeding import NotSeeded, is_qa_experiment, qa_rows, seed_qa_experiment
from tests.builders import NOON, make_bundle, make_experiment

pytestmark = pytest.mark.django_db

STATES = list(ExperimentStatus)
Numbers = list[tuple[str, float, int, int, float | None, bool]]


def numbers() -> Numbers:
    rows = VariantMetric.objects.select_related("variant").order_by("variant__key")
    return [
        (
            row.variant.key,
            float(row.acceptance_rate),
            row.acceptance_count,
            row.sample_size,
            None if row.lift_vs_control is None else float(row.lift_vs_control),
            row.guardrail_breached,
        )
        for row in rows
    ]


SEEDED: Numbers = [("control", 0.18, 180, 1000, 0.0, False), ("variant", 0.095, 95, 1000, -0.4722, True)]


def test_seed__default__has_the_predecessors_numbers() -> None:
    result = seed_qa_experiment(now=NOON)

    experiment = Experiment.objects.get(slug="qa-catalog")
    variants = list(
        Variant.objects.order_by("key").values_list("key", "weight", "bundle__bundle_slug", "override_payload")
    )
    assert (result.control_bundle, result.variant_bundle) == ("qa-catalog-control", "qa-catalog-variant")
    assert (experiment.status, experiment.sample_size_guardrail) == ("running", 50)
    assert experiment.guardrail_config == {"min_acceptance_rate": 0.1}
    assert variants == [
        ("control", 50, "qa-catalog-control", {"headline": "Baseline"}),
        ("variant", 50, "qa-catalog-variant", {"headline": "Variant"}),
    ]
    assert numbers() == SEEDED


def test_seed__bundles__sell_the_qa_products_at_priority_80() -> None:
    seed_qa_experiment(now=NOON)

    bundles = list(Bundle.objects.order_by("bundle_slug"))
    acceptance = BundleAcceptanceMetric.objects.order_by("-acceptance_rate").values_list(
        "lookback_days", "acceptance_rate", "acceptance_count", "sample_size"
    )
    assert [bundle.savings_copy for bundle in bundles] == ["Save 5%", "Save 12%"]
    assert {bundle.cms_priority for bundle in bundles} == {80}
    assert {bundle.primary_product_slug for bundle in bundles} == {"qa-primary-product"}
    assert [part["slug"] for part in bundles[0].components] == ["qa-primary-product", "qa-add-on"]
    assert [(days, float(rate), count, sample) for days, rate, count, sample in acceptance] == [
        (30, 0.18, 180, 1000),
        (30, 0.095, 95, 1000),
    ]


def test_seed__again_on_another_day__moves_the_numbers_to_that_day() -> None:
    seed_qa_experiment(now=NOON)

    result = seed_qa_experiment(now=NOON + dt.timedelta(days=3))

    assert result.was_there
    assert Experiment.objects.count() == Phase.objects.count() == 1
    assert set(VariantMetric.objects.values_list("window_start", flat=True)) == {dt.date(2026, 3, 5)}
    assert numbers() == SEEDED


@pytest.mark.parametrize("status", STATES)
def test_seed__each_state__satisfies_the_database_and_is_recognized(status: str) -> None:
    seed_qa_experiment("qa-state", now=NOON, status=status)

    experiment = Experiment.objects.get(slug="qa-state")
    assert experiment.status == status
    assert is_qa_experiment(experiment)
    assert experiment.is_seeded is (status != ExperimentStatus.DRAFT)


@pytest.mark.parametrize("status", STATES)
def test_qa_rows__same_arguments__are_the_same_rows(status: str) -> None:
    once, again = ([(row.pk, row.__dict__) for row in qa_rows("qa", now=NOON, status=status)] for _ in range(2))

    plain = [
        [(pk, {name: str(value) for name, value in fields.items() if name != "_state"}) for pk, fields in rows]
        for rows in (once, again)
    ]
    assert plain[0] == plain[1]


def test_seed__phase__lies_thirty_days_back_and_has_the_origin_seeded() -> None:
    seed_qa_experiment(now=NOON)

    phase = Phase.objects.get()
    assert phase.origin == PhaseOrigin.SEEDED
    assert phase.opened_at == dt.datetime(2026, 1, 31, tzinfo=dt.UTC)
    assert [variant["bundle"]["slug"] for variant in phase.variants] == ["qa-catalog-control", "qa-catalog-variant"]


def test_seed__aggregation_and_guardrail_run__leave_it_alone() -> None:
    seed_qa_experiment(now=NOON)

    BundleAcceptanceAggregator().recompute(30, now=NOON + dt.timedelta(hours=1))
    tick = enforcement.evaluate_due(now=NOON + dt.timedelta(hours=1))

    assert (tick.evaluated, tick.paused) == (0, 0)
    assert numbers() == SEEDED
    assert Experiment.objects.get().status == "running"
    assert not GuardrailEvaluation.objects.exists()


def test_seed__document__does_not_hold_it() -> None:
    seed_qa_experiment(now=NOON)

    with transaction.atomic():
        publication.publish_document(now=NOON)

    document = publication.load_document()
    assert document is not None
    assert document["experiments"] == []


def test_seed__evaluated_on_request__gives_the_literal_codes_and_keeps_no_record() -> None:
    seed_qa_experiment(now=NOON)

    report = enforcement.report(Experiment.objects.get(), now=NOON)

    assert {breach.variant_key: tuple(breach.breaches) for breach in report.breaches} == {
        "control": (),
        "variant": ("min_acceptance_rate",),
    }
    assert not GuardrailEvaluation.objects.exists()


def test_seed__dry_run__keeps_nothing() -> None:
    result = seed_qa_experiment(now=NOON, dry_run=True)

    assert result.dry_run
    assert not Experiment.objects.exists()
    assert not Bundle.objects.exists()


def test_seed__real_experiment_of_that_slug__refuses() -> None:
    make_experiment(slug="qa-catalog")

    with pytest.raises(NotSeeded, match="experiment qa-catalog"):
        seed_qa_experiment(now=NOON)

    assert not VariantMetric.objects.exists()


def test_seed__real_bundle_of_that_slug__refuses() -> None:
    make_bundle(bundle_slug="qa-catalog-variant", title="Real")

    with pytest.raises(NotSeeded, match="bundle qa-catalog-variant"):
        seed_qa_experiment(now=NOON)

    assert Bundle.objects.get().title == "Real"
    assert not Experiment.objects.exists()


def test_seed__real_phase_since__is_no_longer_ours() -> None:
    seed_qa_experiment(now=NOON)
    seeded = Phase.objects.get()
    Phase.objects.filter(pk=seeded.pk).update(closed_at=NOON)
    Phase.objects.create(experiment=seeded.experiment, number=2, salt="x", opened_at=NOON)

    with pytest.raises(NotSeeded):
        seed_qa_experiment(now=NOON)
