"""Real orders and real finished experiments, end to end, against counts made from the raw files by other means."""

import csv
import datetime as dt
import gzip
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from catalog_experiments.aggregation import BundleAcceptanceAggregator
from catalog_experiments.analysis import MetricReport, Report, analyze
from catalog_experiments.assignment import allocation, bucket, choose_variant
from catalog_experiments.enforcement import report as guardrail_report
from catalog_experiments.experiment_import import ExperimentFormat, import_experiment
from catalog_experiments.intake import ExposureEvent, record_exposures
from catalog_experiments.models import Bundle, BundleAcceptanceMetric, Experiment, Order, VariantMetric
from catalog_experiments.order_import import ONLINE_RETAIL, OrderImportResult, import_orders
from catalog_experiments.phases import open_phase
from catalog_experiments.stats.effects import newcombe_interval
from catalog_experiments.stats.moments import VariantMoments
from tests.builders import make_bundle, make_experiment
from tests.shared import shared_path

NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
END = dt.datetime(2011, 6, 27, tzinfo=dt.UTC)
AA_START = dt.datetime(2011, 3, 1, tzinfo=dt.UTC)
AA_WINDOW = dt.timedelta(days=28)
AA_SALT = "real-customers-2011-03"


@cache
def raw_lines() -> list[dict[str, str]]:
    with gzip.open(shared_path("data", "online_retail_lines.csv.gz"), "rt", newline="") as file:
        return list(csv.DictReader(file))


@cache
def clean_orders() -> dict[str, list[dict[str, str]]]:
    """Return the lines by invoice: no cancellations, nothing returned, nothing free."""
    orders = defaultdict(list)
    for line in raw_lines():
        if not line["InvoiceNo"].startswith("C") and int(line["Quantity"]) > 0 and float(line["UnitPrice"]) > 0:
            orders[line["InvoiceNo"]].append(line)
    return orders


def orders_with(*codes: str) -> int:
    return sum({line["StockCode"] for line in lines} >= set(codes) for lines in clean_orders().values())


@cache
def order_times() -> dict[str, list[dt.datetime]]:
    """Return the times of every known customer's clean orders."""
    times = defaultdict(list)
    for lines in clean_orders().values():
        placed_at = min(dt.datetime.fromisoformat(line["InvoiceDate"]) for line in lines).replace(tzinfo=dt.UTC)
        if lines[0]["CustomerID"]:
            times[lines[0]["CustomerID"]].append(placed_at)
    return times


def assigned(salt: str, unit_id: str) -> str:
    position = choose_variant(allocation([1, 1]), bucket(salt, unit_id))
    assert position is not None
    return ("control", "test")[position]


@pytest.fixture(scope="module")
def retail(django_db_setup: None, django_db_blocker: Any) -> Iterator[OrderImportResult]:
    """Import the real orders once, with two bundles of real products defined before."""
    path = shared_path("data", "online_retail_lines.csv.gz")
    with django_db_blocker.unblock():
        for anchor, other in (("22697", "22699"), ("22386", "85099B")):
            components = [{"slug": code, "quantity": 1} for code in (anchor, other)]
            make_bundle(
                bundle_slug=f"{anchor}-{other.lower()}",
                primary_product_slug=anchor,
                components=components,
                currency="GBP",
                price_minor=None,
                cost_minor=None,
            )
        yield import_orders(path, form=ONLINE_RETAIL, now=NOW)
        _forget()


def _forget() -> None:
    from catalog_experiments.models import OrderOutcome

    for model in (OrderOutcome, Order, BundleAcceptanceMetric, Bundle):
        model.objects.all().delete()


@pytest.mark.django_db
class TestOnlineRetail:
    """240,007 lines of a gift shop, 2010-12-01 to 2011-06-26."""

    def test_import__keeps_every_clean_order_and_counts_the_rest(self, retail: OrderImportResult) -> None:
        by_ref = dict(Order.objects.values_list("order_ref", "lines"))
        lines = raw_lines()

        assert retail.lines == len(lines) == 240_007
        assert retail.orders == retail.answers["accepted"] == len(by_ref) == len(clean_orders()) == 9_422
        assert retail.unreadable_lines == 0
        cancelled = {line["InvoiceNo"] for line in lines if line["InvoiceNo"].startswith("C")}
        assert retail.cancellations == retail.unmatched_cancellations == len(cancelled)
        repeated = Counter(tuple(line.values()) for own in clean_orders().values() for line in own)
        assert retail.repeated_lines == sum(count - 1 for count in repeated.values()) == 1_947

    def test_orders__hold_every_piece_and_pound_of_the_file(self, retail: OrderImportResult) -> None:
        stored = Order.objects.in_bulk(field_name="order_ref")
        for ref, lines in clean_orders().items():
            pieces, pence = Counter[str](), 0
            for line in lines:
                pieces[line["StockCode"]] += int(line["Quantity"])
                pence += int(line["Quantity"]) * int(float(line["UnitPrice"]) * 100 + 0.5)
            kept = Counter[str]()
            for entry in stored[ref].lines:
                kept[entry["slug"]] += entry["quantity"]
            assert (kept, stored[ref].revenue_minor) == (pieces, pence)

    def test_import__run_again__changes_nothing(self, retail: OrderImportResult) -> None:
        before = list(Order.objects.order_by("pk").values_list("pk", "content_digest", "revised_at"))

        again = import_orders(shared_path("data", "online_retail_lines.csv.gz"), form=ONLINE_RETAIL, now=NOW)

        assert again.answers == {"duplicate": 9_422}
        assert list(Order.objects.order_by("pk").values_list("pk", "content_digest", "revised_at")) == before

    def test_acceptance__over_210_days__is_what_the_raw_file_says(self, retail: OrderImportResult) -> None:
        BundleAcceptanceAggregator().recompute(now=END, lookback_days=210)

        rows = BundleAcceptanceMetric.objects.filter(lookback_days=210)
        counts = {
            row.bundle.bundle_slug: (row.acceptance_count, row.sample_size) for row in rows.select_related("bundle")
        }
        assert counts == {
            "22697-22699": (orders_with("22697", "22699"), orders_with("22697")),
            "22386-85099b": (orders_with("22386", "85099B"), orders_with("22386")),
        }
        assert counts["22697-22699"] == (426, 562)

    def test_same_treatment_for_real_customers__shows_no_difference(self, retail: OrderImportResult) -> None:
        experiment = _same_treatment_experiment()
        customers = sorted(customer for customer, times in order_times().items() if min(times) < AA_START)
        units = [f"customer:{customer}" for customer in customers]
        events = [ExposureEvent(experiment.slug, unit, assigned(AA_SALT, unit), AA_START, phase=1) for unit in units]

        results = record_exposures(events, now=NOW, check_lateness=False)
        BundleAcceptanceAggregator().recompute(now=END)

        report = analyze(experiment, now=END)
        expected = Counter(assigned(AA_SALT, unit) for unit in units)
        assert {result.outcome for result in results} == {"accepted"}
        assert {variant.key: variant.exposed_count for variant in report.variants} == expected
        assert report.srm is not None
        assert not report.srm.is_mismatch
        assert not VariantMetric.objects.filter(guardrail_breached=True).exists()
        assert VariantMetric.objects.count() == 2
        assert guardrail_report(experiment, now=END).verdict == "healthy"
        for variant in report.variants:
            conversion = _metric(report, variant.key, "conversion")
            bought = _buyers(customers, AA_SALT)[variant.key]
            assert (conversion.n, conversion.mean) == (expected[variant.key], bought / expected[variant.key])

    def test_same_treatment__under_two_hundred_other_salts__differs_about_one_time_in_twenty(
        self, retail: OrderImportResult
    ) -> None:
        customers = sorted(customer for customer, times in order_times().items() if min(times) < AA_START)
        chance = random.Random(20110301)

        found = 0
        for _ in range(200):
            salt = f"{chance.getrandbits(64):016x}"
            sizes = Counter(assigned(salt, f"customer:{customer}") for customer in customers)
            bought = _buyers(customers, salt)
            test, control = (VariantMoments.of_counts(bought[key], sizes[key]) for key in ("test", "control"))
            interval = newcombe_interval(test, control)
            assert interval is not None
            found += interval.excludes(0)

        assert 2 <= found <= 22


def _same_treatment_experiment() -> Experiment:
    bundle = Bundle.objects.get(bundle_slug="22697-22699")
    variants = [
        {"key": key, "name": key, "weight": 1, "is_control": key == "control", "bundle": bundle}
        for key in ("control", "test")
    ]
    experiment = make_experiment(
        slug="real-customers",
        variants=variants,
        attribution_window_days=AA_WINDOW.days,
        sample_size_guardrail=10,
        guardrail_config={"min_acceptance_rate": 0.1},
        unit_kind="customer",
    )
    open_phase(experiment, reason="the same for both", now=AA_START, salt=AA_SALT)
    experiment.status = "running"
    experiment.save()
    return experiment


def _buyers(customers: list[str], salt: str) -> Counter[str]:
    return Counter(
        assigned(salt, f"customer:{customer}")
        for customer in customers
        if any(AA_START <= placed_at < AA_START + AA_WINDOW for placed_at in order_times()[customer])
    )


def _metric(report: Report, key: str, name: str) -> MetricReport:
    (variant,) = (variant for variant in report.variants if variant.key == key)
    (metric,) = (metric for metric in variant.metrics if metric.metric == name)
    return metric


def replay(path: Path, **options: Any) -> Report:
    form = ExperimentFormat(
        **{name: options.pop(name) for name in list(options) if name.endswith(("column", "currency"))}
    )
    return import_experiment(path, now=NOW, form=form, start=dt.date(2024, 1, 1), **options).report


@pytest.mark.django_db
def test_cookie_cats__imported__shows_the_published_result() -> None:
    report = replay(
        shared_path("data", "cookie_cats.csv.gz"),
        slug="cookie-cats",
        control="gate_30",
        unit_column="userid",
        variant_column="version",
        outcome_column="retention_7",
    )

    control, test = (_metric(report, key, "conversion") for key in ("gate-30", "gate-40"))
    assert [variant.exposed_count for variant in report.variants] == [44_700, 45_489]
    assert (control.mean, test.mean) == (8_502 / 44_700, 8_279 / 45_489)
    assert [f"{100 * rate:.2f}" for rate in (control.mean, test.mean) if rate] == ["19.02", "18.20"]
    assert test.z == pytest.approx(-3.1644, abs=5e-5)
    assert test.p_value == pytest.approx(0.001554, abs=5e-7)
    assert report.srm is not None
    assert not report.srm.is_mismatch
    assert report.srm.p_value == pytest.approx(0.0086, abs=5e-5)


@pytest.mark.django_db
def test_hillstrom__imported__shows_the_published_spend() -> None:
    report = replay(
        shared_path("data", "hillstrom_email.csv.gz"),
        slug="hillstrom",
        control="No E-Mail",
        unit_column="",
        variant_column="segment",
        outcome_column="conversion",
        revenue_column="spend",
        currency="USD",
        window_days=14,
    )

    mens = _metric(report, "mens-e-mail", "revenue")
    assert [variant.exposed_count for variant in report.variants] == [21_306, 21_307, 21_387]
    assert mens.difference == pytest.approx(76.98, abs=0.005)
    assert mens.standard_error == pytest.approx(14.52, abs=0.005)
    assert _metric(report, "no-e-mail", "revenue").mean == pytest.approx(65.28, abs=0.005)
    assert _metric(report, "womens-e-mail", "revenue").mean == pytest.approx(107.72, abs=0.005)
    assert _metric(report, "mens-e-mail", "conversion").mean == pytest.approx(0.01253, abs=5e-6)
