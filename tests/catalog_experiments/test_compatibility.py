"""What clients, operators and schedules of the predecessor rely on, row by row: they must go on working here."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.utils import timezone

from catalog_experiments.aggregation import BundleAcceptanceAggregator
from catalog_experiments.enforcement import BundleExperimentGuardrailWorker
from catalog_experiments.intake import BundleAcceptanceService, OrderEvent, OrderLine
from catalog_experiments.models import (
    Bundle,
    BundleAcceptanceMetric,
    Experiment,
    PublishedDocument,
    Variant,
    VariantMetric,
)
from catalog_experiments.scheduling import load_schedule
from catalog_experiments.service import CatalogExperimentService
from tests.builders import NOON, make_bundle, make_experiment, make_running_experiment
from tests.catalog_experiments.api.conftest import Api, json_of

pytestmark = pytest.mark.django_db

LIST = "/catalog/experiments"
HERE = "/catalog/experiments/cup-saucer"
EXPERIMENT = {
    "slug": str,
    "name": str,
    "description": (str, type(None)),
    "status": str,
    "guardrail_config": dict,
    "sample_size_guardrail": int,
    "variants": list,
    "provenance": dict,
}
VARIANT = {
    "key": str,
    "name": str,
    "weight": int,
    "is_control": bool,
    "bundle_slug": (str, type(None)),
    "override_payload": dict,
    "metrics": list,
}
METRIC = {
    "window_start": str,
    "lookback_days": int,
    "acceptance_rate": (int, float),
    "acceptance_count": int,
    "sample_size": int,
    "lift_vs_control": (int, float, type(None)),
    "guardrail_breached": bool,
    "computed_at": str,
}


@pytest.fixture
def api() -> Api:
    """A client of the predecessor: it knows X-API-Key and no more."""
    return Api("test-server-key")


def assert_shape(value: dict[str, Any], shape: dict[str, Any]) -> None:
    """Check that every promised field is there with its type; more may be."""
    for name, kind in shape.items():
        assert name in value, name
        assert isinstance(value[name], kind), (name, value[name])


def make_metrics(experiment: Experiment, **rates: str) -> None:
    """Write one metric row per variant, 100 orders each, for three days; the oldest last."""
    phase = experiment.current_phase
    assert phase is not None
    for days_ago in (1, 0, 2):
        at = NOON - dt.timedelta(days=days_ago)
        for key, rate in rates.items():
            VariantMetric.objects.create(
                experiment=experiment,
                variant=experiment.variants.get(key=key),
                phase=phase,
                window_start=at.date(),
                acceptance_rate=Decimal(rate),
                acceptance_count=int(Decimal(rate) * 100),
                sample_size=100,
                lift_vs_control=None if key == "control" else Decimal("-0.8889"),
                computed_at=at,
                watermark_at=at,
            )


# Row 1: paths, methods, key, codes, fields and types


def test_row_1__create_list_publish_evaluate__as_the_predecessors_client_calls_them(api: Api) -> None:
    for key in ("control", "test"):
        make_bundle(bundle_slug=f"cup-{key}")
    body = {
        "slug": "cup-saucer",
        "name": "Cup and saucer",
        "guardrail_config": {"min_acceptance_rate": 0.1},
        "sample_size_guardrail": 5,
        "variants": [
            {"key": "control", "name": "Control", "weight": 50, "is_control": True, "bundle_slug": "cup-control"},
            {"key": "test", "name": "Test", "weight": 50, "bundle_slug": "cup-test"},
        ],
    }

    created = api.post(LIST, body)
    listed = api.get(LIST)
    updated = api.put(HERE, {"status": "running"})
    published = api.post(f"{HERE}/publish")
    evaluated = api.post(f"{HERE}/evaluate")

    assert [one.status_code for one in (created, listed, updated, published, evaluated)] == [201, 200, 200, 200, 200]
    assert json_of(created)["status"] == "draft"
    assert [one["slug"] for one in json_of(listed)] == ["cup-saucer"]
    assert json_of(updated)["status"] == json_of(published)["status"] == "running"
    assert {entry["variant_key"] for entry in json_of(evaluated)["breaches"]} == {"control", "test"}


def test_row_1__experiment_json__holds_every_field_with_its_type(api: Api) -> None:
    experiment = make_running_experiment()
    make_metrics(experiment, control="0.1800", test="0.0200")

    [shown] = json_of(api.get(LIST))

    assert_shape(shown, EXPERIMENT)
    for variant in shown["variants"]:
        assert_shape(variant, VARIANT)
        assert_shape(variant["metrics"][0], METRIC)
        dt.date.fromisoformat(variant["metrics"][0]["window_start"])


def test_row_1__evaluation__lists_every_variant_and_names_the_breached_one(api: Api) -> None:
    experiment = make_running_experiment(sample_size_guardrail=5)
    make_metrics(experiment, control="0.1800", test="0.0200")

    evaluation = json_of(api.post(f"{HERE}/evaluate"))

    assert evaluation["experiment"] == "cup-saucer"
    assert dt.datetime.fromisoformat(evaluation["evaluated_at"]).tzinfo is not None
    control, test = evaluation["breaches"]
    assert (control["variant_key"], control["breaches"]) == ("control", [])
    assert (test["variant_key"], test["breaches"]) == ("test", ["min_acceptance_rate"])
    for entry in (control, test):
        assert set(entry) >= {"variant_key", "bundle_slug", "breaches", "latest_metric"}
        assert_shape(entry["latest_metric"], METRIC)


def test_row_1__put__stays_partial(api: Api) -> None:
    make_experiment()

    shown = json_of(api.put(HERE, {"sample_size_guardrail": 300}))

    assert shown["sample_size_guardrail"] == 300
    assert shown["guardrail_config"] == {"min_acceptance_rate": 0.1}
    assert shown["status"] == "draft"


def test_row_1__refusals__keep_their_codes(api: Api) -> None:
    wrong_key = Api("wrong").get(LIST)
    missing = [api.put("/catalog/experiments/ghost", {}), api.post("/catalog/experiments/ghost/publish")]
    missing.append(api.post("/catalog/experiments/ghost/evaluate"))

    assert wrong_key.status_code == 401
    assert json_of(wrong_key)["detail"] == "Invalid API key"
    assert {response.status_code for response in missing} == {404}
    assert api.post(LIST, {"slug": "", "name": ""}).status_code == 422


# Row 2: provenance


def test_row_2__provenance__names_the_service_and_publish_says_when(api: Api) -> None:
    make_experiment()

    before = json_of(api.get(HERE))["provenance"]
    published = json_of(api.post(f"{HERE}/publish"))["provenance"]
    after = json_of(api.get(HERE))["provenance"]

    assert {one["source"] for one in (before, published, after)} == {"catalog-experiment-service"}
    assert before["published_at"] is None
    assert published["published_at"] == after["published_at"] is not None
    assert dt.datetime.fromisoformat(published["computed_at"]).tzinfo is not None


# Row 3: numbers


def test_row_3__rates_and_lift__are_json_numbers_with_at_most_four_decimals(api: Api) -> None:
    experiment = make_running_experiment()
    make_metrics(experiment, control="0.1800", test="0.0200")

    content = json.loads(api.get(LIST).content, parse_float=str)

    control, test = (variant["metrics"][0] for variant in content[0]["variants"])
    assert (control["acceptance_rate"], test["acceptance_rate"]) == ("0.18", "0.02")
    assert test["lift_vs_control"] == "-0.8889"
    assert control["lift_vs_control"] is None


def test_row_3__metrics__are_newest_first(api: Api) -> None:
    experiment = make_running_experiment()
    make_metrics(experiment, control="0.1800", test="0.0200")

    [shown] = json_of(api.get(LIST))
    history = json_of(api.get(f"{HERE}/metrics"))

    assert shown["variants"][0]["metrics"][0]["window_start"] == NOON.date().isoformat()
    days = [row["window_start"] for row in history]
    assert days == sorted(days, reverse=True)
    assert len(days) == 6


# Row 4: tables, unique rules, breach codes


def test_row_4__tables__keep_their_names() -> None:
    assert Experiment._meta.db_table == "catalog_bundle_experiments"
    assert Variant._meta.db_table == "catalog_bundle_experiment_variants"
    assert VariantMetric._meta.db_table == "catalog_bundle_experiment_metrics"
    assert Bundle._meta.db_table == "catalog_bundles"
    assert BundleAcceptanceMetric._meta.db_table == "catalog_bundle_acceptance_metrics"


def test_row_4__unique_rules__are_the_databases_own() -> None:
    experiment = make_running_experiment()
    make_metrics(experiment, control="0.1800")
    row = VariantMetric.objects.earliest("window_start")
    bundle = Bundle.objects.get(bundle_slug="cup-saucer-test")
    BundleAcceptanceMetric.objects.create(bundle=bundle, lookback_days=30, computed_at=NOON)
    twins: list[Callable[[], object]] = [
        lambda: Experiment.objects.create(slug="cup-saucer", name="Twin"),
        lambda: Variant.objects.create(experiment=experiment, key="test", name="Twin"),
        lambda: Bundle.objects.create(bundle_slug=bundle.bundle_slug, primary_product_slug="cup", title="Twin"),
        lambda: BundleAcceptanceMetric.objects.create(bundle=bundle, lookback_days=30, computed_at=NOON),
        lambda: VariantMetric.objects.create(
            experiment=experiment,
            variant_id=row.variant_id,
            phase_id=row.phase_id,
            window_start=row.window_start,
            lookback_days=row.lookback_days,
            computed_at=NOON,
            watermark_at=NOON,
        ),
    ]

    for make_twin in twins:
        with pytest.raises(IntegrityError), transaction.atomic():
            make_twin()


def test_row_4__breach_codes__are_the_three_of_the_predecessor(api: Api) -> None:
    config = {"min_acceptance_rate": 0.1, "max_acceptance_rate": 0.15}
    experiment = make_running_experiment(sample_size_guardrail=1_000, guardrail_config=config)
    make_metrics(experiment, control="0.1800", test="0.0200")

    control, test = json_of(api.post(f"{HERE}/evaluate"))["breaches"]

    assert set(control["breaches"]) == {"sample_size", "max_acceptance_rate"}
    assert set(test["breaches"]) == {"sample_size", "min_acceptance_rate"}


# Row 5: class names, job ids and crons, settings


def test_row_5__service_class__does_what_its_name_says() -> None:
    draft = make_experiment()
    service = CatalogExperimentService(actor="system:test")

    published = service.publish("cup-saucer", now=timezone.now())

    assert [one.pk for one in service.list()] == [draft.pk]
    assert published.status == "running"
    assert service.evaluate("cup-saucer", now=timezone.now()).experiment == "cup-saucer"
    assert PublishedDocument.objects.exists()


def test_row_5__acceptance_service_and_aggregator__count_an_order_with_all_components() -> None:
    make_bundle()
    now = timezone.now()
    both = tuple(OrderLine(slug, 1, 1_000) for slug in ("cup", "saucer"))
    service = BundleAcceptanceService()
    service.record_order_acceptance(OrderEvent("A-1", now - dt.timedelta(days=1), "EUR", both), now=now)
    service.record_order_acceptance(OrderEvent("A-2", now - dt.timedelta(days=1), "EUR", both[:1]), now=now)

    result = BundleAcceptanceAggregator().recompute(lookback_days=30)

    row = BundleAcceptanceMetric.objects.get(bundle__bundle_slug="cup-and-saucer", lookback_days=30)
    assert result.bundles == 1
    assert (row.sample_size, row.acceptance_count, row.acceptance_rate) == (2, 1, Decimal("0.5000"))
    assert row.last_accepted_at is not None


def test_row_5__guardrail_worker__runs_once_and_tells_its_counts() -> None:
    make_running_experiment(now=timezone.now() - dt.timedelta(hours=2))

    result = BundleExperimentGuardrailWorker().run_once()

    assert (result.evaluated, result.paused, result.alerts) == (1, 0, 0)


def test_row_5__jobs__keep_ids_crons_and_retries() -> None:
    jobs = {job.id: job for job in load_schedule(settings.CATALOG_JOB_SCHEDULE_PATH).jobs}

    aggregation, guardrails = jobs["bundle-acceptance-aggregation"], jobs["bundle-guardrail-evaluation"]
    assert (aggregation.cron.expression, guardrails.cron.expression) == ("*/30 * * * *", "*/5 * * * *")
    assert (aggregation.retry.max_attempts, guardrails.retry.max_attempts) == (3, 4)
    assert aggregation.kwargs == {"lookback_days": 30}


SETTINGS = """
import json, os
from smplat import settings
names = [name for name in os.environ["WANTED"].split(",")]
print(json.dumps({name: str(getattr(settings, name)) for name in names}))
"""
GIVEN = {
    "CHECKOUT_API_KEY": "key",
    "CATALOG_JOB_SCHEDULER_ENABLED": "true",
    "CATALOG_JOB_SCHEDULE_PATH": "config/schedules.demo.toml",
    "BUNDLE_ACCEPTANCE_AGGREGATION_ENABLED": "true",
    "BUNDLE_EXPERIMENT_GUARDRAIL_WORKER_ENABLED": "true",
    "BUNDLE_EXPERIMENT_GUARDRAIL_INTERVAL_SECONDS": "60",
    "BUNDLE_EXPERIMENT_GUARDRAIL_EMAIL_RECIPIENTS": "a@example.com,b@example.com",
    "BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/x",
    "BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_CHANNEL": "#merch",
    "SMTP_HOST": "mail.example.com",
    "SMTP_PORT": "2525",
    "SMTP_USERNAME": "user",
    "SMTP_PASSWORD": "pass",
    "SMTP_USE_TLS": "false",
    "SMTP_SENDER_EMAIL": "shop@example.com",
    "API_BASE_URL": "https://api.example.com",
    "DATABASE_URL": "postgres://u:p@db.example.com:5432/shop",
    "REDIS_URL": "redis://redis.example.com:6379/0",
}
READ_AS = {
    "CATALOG_JOB_SCHEDULER_ENABLED": "True",
    "CATALOG_JOB_SCHEDULE_PATH": str(settings.BASE_DIR / "config/schedules.demo.toml"),
    "BUNDLE_ACCEPTANCE_AGGREGATION_ENABLED": "True",
    "BUNDLE_EXPERIMENT_GUARDRAIL_WORKER_ENABLED": "True",
    "BUNDLE_EXPERIMENT_GUARDRAIL_EMAIL_RECIPIENTS": "['a@example.com', 'b@example.com']",
    "SMTP_USE_TLS": "False",
}


def test_row_5__settings__are_read_from_the_same_names() -> None:
    named = [name for name in GIVEN if name not in ("DATABASE_URL", "REDIS_URL")]
    environment = {**os.environ, **GIVEN, "WANTED": ",".join([*named, "DATABASES", "CELERY_BROKER_URL"])}

    run = subprocess.run(
        [sys.executable, "-c", SETTINGS],
        env=environment,
        cwd=settings.BASE_DIR,
        capture_output=True,
        text=True,
        check=True,
    )

    read = json.loads(run.stdout)
    assert {name: read[name] for name in named} == {name: READ_AS.get(name, GIVEN[name]) for name in named}
    assert "db.example.com" in read["DATABASES"]
    assert read["CELERY_BROKER_URL"] == GIVEN["REDIS_URL"]


def test_row_5__settings_left_out__have_the_same_defaults() -> None:
    assert settings.BUNDLE_EXPERIMENT_GUARDRAIL_INTERVAL_SECONDS == 900
    assert settings.CATALOG_JOB_SCHEDULE_PATH == settings.BASE_DIR / "config/schedules.toml"
    assert (settings.SMTP_PORT, settings.SMTP_USE_TLS) == (587, True)
    assert not settings.CATALOG_JOB_SCHEDULER_ENABLED
    assert not settings.BUNDLE_ACCEPTANCE_AGGREGATION_ENABLED
    assert not settings.BUNDLE_EXPERIMENT_GUARDRAIL_WORKER_ENABLED
    assert settings.BUNDLE_EXPERIMENT_GUARDRAIL_EMAIL_RECIPIENTS == []


# Row 6: the two operator scripts


def run_command(name: str, *arguments: str) -> str:
    """Run a command and return what it printed."""
    out = StringIO()
    call_command(name, *arguments, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("days", ["0", "-3"])
def test_row_6__backfill__a_look_back_that_is_not_positive__ends_with_1(days: str) -> None:
    with pytest.raises(CommandError) as refused:
        run_command("backfill_bundle_experiments", f"--lookback-days={days}")

    assert refused.value.returncode == 1


def test_row_6__backfill__takes_the_flags_and_prints_a_summary() -> None:
    make_running_experiment(now=timezone.now() - dt.timedelta(days=2))

    dry = run_command("backfill_bundle_experiments", "--lookback-days", "3", "--slug", "cup-saucer", "--dry-run")
    assert not VariantMetric.objects.exists()
    run_command("backfill_bundle_experiments", "--lookback-days", "3")
    rows = VariantMetric.objects.count()
    again = run_command("backfill_bundle_experiments", "--lookback-days", "3")

    assert "created" in dry
    assert rows > 0
    assert "created" in again
    assert VariantMetric.objects.count() == rows


def test_row_6__seed__dry_run__prints_a_summary_and_keeps_nothing() -> None:
    said = run_command("seed_bundle_experiments", "--slug", "qa-catalog", "--dry-run")

    assert all(name in said for name in ("experiment", "control_bundle", "variant_bundle", "dry_run"))
    assert not Experiment.objects.exists()
    assert not Bundle.objects.exists()


def test_row_6__seed__shows_the_predecessors_numbers(api: Api) -> None:
    run_command("seed_bundle_experiments", "--slug", "qa-catalog")

    shown = json_of(api.get("/catalog/experiments/qa-catalog"))

    control, variant = shown["variants"]
    assert (shown["status"], shown["sample_size_guardrail"]) == ("running", 50)
    assert shown["guardrail_config"]["min_acceptance_rate"] == 0.1
    assert (control["bundle_slug"], variant["bundle_slug"]) == ("qa-catalog-control", "qa-catalog-variant")
    figures = [variant["metrics"][0] for variant in shown["variants"]]
    assert [(row["acceptance_rate"], row["acceptance_count"], row["sample_size"]) for row in figures] == [
        (0.18, 180, 1_000),
        (0.095, 95, 1_000),
    ]
    assert figures[1]["lift_vs_control"] == -0.4722
    assert [row["guardrail_breached"] for row in figures] == [False, True]
