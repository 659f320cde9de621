"""Every table of ours is registered, opens with rows in it, and facts cannot be edited by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin
from django.db.models import Model
from django.test import Client

from catalog_experiments.models import Bundle, BundleAcceptanceMetric, Cohort, JobRun, Moment
from tests.builders import NOON, make_bundle, make_running_experiment

ClientAs = Callable[[str], Client]
PARTS = {"basket", "basketline", "deliveryattempt"}  # the shop's own rows, and lines inside a delivery
OF_A_MINUTE = {"callcount"}
WORKING_SUMS = {"openunit", "bundleacceptancehour"}  # a key of two columns, which the admin cannot show
OURS = [
    model
    for label in ("catalog_experiments", "storefront", "notifications")
    for model in apps.get_app_config(label).get_models()
    if model._meta.model_name not in PARTS | OF_A_MINUTE | WORKING_SUMS
]
EDITABLE = {"bundle", "apikey", "product", "alert", "delivery", "exclusiongroup", "holdout"}


def address(model: type[Model], page: str = "") -> str:
    """Return the address of a model's list in the admin."""
    return f"/admin/{model._meta.app_label}/{model._meta.model_name}/{page}"


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.model_name)
def test_model__of_ours__is_registered(model: type[Model]) -> None:
    assert admin.site.is_registered(model)


@pytest.mark.parametrize("model", OURS, ids=lambda model: model._meta.model_name)
def test_list__of_each_table__opens(client_as: ClientAs, model: type[Model]) -> None:
    make_running_experiment()

    assert client_as("").get(address(model), follow=True).status_code == 200


@pytest.mark.parametrize(
    ("role", "model", "query", "heading", "link"),
    [
        ("", Bundle, "", "No bundles yet", "/admin/catalog_experiments/bundle/add/"),
        ("", Bundle, "?q=teapot", "Nothing matches", "?"),
        ("", Bundle, "?is_active__exact=1", "Nothing matches", "?"),
        ("viewer", Bundle, "", "No bundles yet", None),
        ("", JobRun, "", "No job runs yet", None),
    ],
)
def test_list__without_rows__says_why_and_what_to_do(
    client_as: ClientAs, role: str, model: type[Model], query: str, heading: str, link: str | None
) -> None:
    page = client_as(role).get(address(model) + query).content.decode()

    told = page.partition(heading)[2].partition("</div>")[0]
    assert told
    assert (f'href="{link}"' in told) if link else ("href" not in told)


@pytest.mark.parametrize("model", [Cohort, Moment])
def test_list__of_days__shows_segments_and_no_hours(client_as: ClientAs, model: type[Cohort | Moment]) -> None:
    phase = make_running_experiment().current_phase
    assert phase is not None
    known: dict[str, Any] = {"phase": phase, "variant_key": "test", "cohort_date": NOON.date()}
    if model is Moment:
        known |= {"experiment": phase.experiment, "metric": "harm", "n": 1, "total": 0, "total_squares": 0}
    for segment in ("device:mobile", "hour:12"):
        model.objects.create(**known, segment=segment)

    page = client_as("").get(address(model)).content.decode()

    assert "device:mobile" in page
    assert "hour:12" not in page


def test_list__of_bundles__shows_price_and_recent_acceptance(client_as: ClientAs) -> None:
    bundle = make_bundle(bundle_slug="cups", price_minor=4050, currency="EUR")
    make_bundle(bundle_slug="never-counted")
    counted = {"acceptance_rate": "0.1800", "acceptance_count": 180, "sample_size": 1000, "computed_at": NOON}
    BundleAcceptanceMetric.objects.create(bundle=bundle, **counted)

    page = client_as("viewer").get(address(Bundle)).content.decode()

    assert "40.50 EUR" in page
    assert "18.00 % of 1,000 orders" in page
    assert page.count("–") >= 1, "a bundle without a count shows a dash"


def test_list__times__are_written_day_first_with_their_zone(client_as: ClientAs) -> None:
    JobRun.objects.create(job="telemetry-retention", slot_at=NOON, started_at=NOON)

    page = client_as("viewer").get(address(JobRun)).content.decode()

    assert f"{NOON.day} {NOON:%b %Y}, 12:00 UTC" in page


@pytest.mark.parametrize(
    "model", [m for m in OURS if m._meta.model_name not in EDITABLE | {"experiment"}], ids=lambda m: m._meta.model_name
)
def test_add__a_fact_or_record__is_refused(client_as: ClientAs, model: type[Model]) -> None:
    assert client_as("").get(address(model, "add/")).status_code == 403


def bundle_data(**changes: str) -> dict[str, str]:
    """Return the bundle form as a browser posts it."""
    data = {
        "bundle_slug": "cups",
        "primary_product_slug": "cup",
        "title": "Cups",
        "components": '[{"slug": "cup", "quantity": 2}]',
        "price_minor": "4000",
        "cost_minor": "",
        "currency": "EUR",
        "is_active": "on",
        "stock_state": "in_stock",
        "cms_priority": "50",
        "cms_override": "{}",
        "metadata": "{}",
        "description": "",
        "savings_copy": "",
    }
    return data | changes


def test_bundle__added_in_the_admin__goes_through_the_domain(client_as: ClientAs) -> None:
    answer = client_as("merchandiser").post(address(Bundle, "add/"), bundle_data())

    assert answer.status_code == 302, answer.content.decode()
    assert Bundle.objects.get(bundle_slug="cups").components == [{"slug": "cup", "quantity": 2}]


def test_bundle__refused_by_the_domain__error_beside_the_field(client_as: ClientAs) -> None:
    answer = client_as("merchandiser").post(address(Bundle, "add/"), bundle_data(currency="eur"))

    assert answer.status_code == 200
    assert "ISO 4217" in answer.content.decode()
    assert not Bundle.objects.exists()


def test_bundle__edited_in_the_admin__is_changed(client_as: ClientAs) -> None:
    bundle = make_bundle(bundle_slug="cups")

    answer = client_as("merchandiser").post(address(Bundle, f"{bundle.pk}/change/"), bundle_data(title="Two cups"))

    bundle.refresh_from_db()
    assert answer.status_code == 302, answer.content.decode()
    assert bundle.title == "Two cups"


def test_bundle__in_use__cannot_be_deactivated(client_as: ClientAs) -> None:
    make_running_experiment(slug="cups")
    bundle = Bundle.objects.get(bundle_slug="cups-test")

    answer = client_as("merchandiser").post(
        address(Bundle, f"{bundle.pk}/change/"), {k: v for k, v in bundle_data().items() if k != "is_active"}
    )

    bundle.refresh_from_db()
    assert answer.status_code == 200
    assert bundle.is_active
