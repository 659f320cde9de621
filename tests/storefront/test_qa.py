"""The QA command: the experiment, its bundles and its products, repeatable, and careful with what is not its own."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from catalog_experiments.models import Bundle, Experiment, VariantMetric
from storefront.models import Product
from tests.builders import make_experiment

pytestmark = pytest.mark.django_db


def seed(*arguments: str) -> str:
    said = StringIO()
    call_command("seed_bundle_experiments", *arguments, stdout=said)
    return said.getvalue()


def test_seed__default__makes_qa_catalog_and_prints_a_summary() -> None:
    said = seed()

    assert "experiment: qa-catalog (made)" in said
    assert "control_bundle: qa-catalog-control" in said
    assert "variant_bundle: qa-catalog-variant" in said
    assert "dry_run: false" in said
    assert set(Product.objects.values_list("slug", flat=True)) == {"qa-primary-product", "qa-add-on"}


def test_seed__dry_run__prints_the_same_and_keeps_nothing() -> None:
    said = seed("--slug", "qa-catalog", "--dry-run")

    assert "dry_run: true, nothing was kept" in said
    assert "control_bundle: qa-catalog-control" in said
    assert not Experiment.objects.exists()
    assert not Bundle.objects.exists()
    assert not Product.objects.exists()


def test_seed__again__puts_the_numbers_back() -> None:
    seed()
    VariantMetric.objects.update(acceptance_count=1)

    said = seed()

    assert "put back" in said
    assert sorted(VariantMetric.objects.values_list("acceptance_count", flat=True)) == [95, 180]
    assert Product.objects.count() == 2


def test_seed__product_edited_by_a_person__is_left_alone() -> None:
    seed()
    Product.objects.filter(slug="qa-add-on").update(price_minor=1)

    seed()

    assert Product.objects.get(slug="qa-add-on").price_minor == 1


def test_seed__slug_of_a_real_experiment__refuses_and_touches_nothing() -> None:
    real = make_experiment(slug="qa-catalog", name="Real")

    with pytest.raises(CommandError, match="was not seeded"):
        seed()

    real.refresh_from_db()
    assert real.name == "Real"
    assert not Product.objects.exists()


@pytest.mark.parametrize("slug", ["a/b", "Upper", "", "x" * 141])
def test_seed__slug_that_cannot_stand_in_an_address__is_refused(slug: str) -> None:
    with pytest.raises(CommandError, match="--slug"):
        seed("--slug", slug)
