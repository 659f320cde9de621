"""Settings that contradict each other fail at start-up; a right production setting is clean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.test import override_settings

LONG_KEY = "k3y-0123456789-abcdefghij-KLMNOP"
PRODUCTION = {
    "CATALOG_JOB_SCHEDULER_ENABLED": True,
    "BUNDLE_ACCEPTANCE_AGGREGATION_ENABLED": True,
    "BUNDLE_EXPERIMENT_GUARDRAIL_WORKER_ENABLED": True,
    "BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_WEBHOOK_URL": "https://hooks.slack.com/services/T/B/x",
    "ALERT_ALLOW_PRIVATE_TARGETS": False,
    "CHECKOUT_API_KEY": LONG_KEY,
    "STOREFRONT_CLIENT_KEY": "public-0123456789-abcdefghij",
    "UNIT_ID_HASH_KEY": [LONG_KEY],
}


def ids(*, deploy: bool = False, **overrides: Any) -> list[str]:
    with override_settings(**{**PRODUCTION, **overrides}):
        return [str(message.id) for message in run_checks(tags=["smplat"], include_deployment_checks=deploy)]


def test_checks__production_settings__clean() -> None:
    assert ids(deploy=True) == []


@pytest.mark.parametrize(
    ("overrides", "found"),
    [
        ({"CATALOG_JOB_SCHEDULE_PATH": Path("absent.toml")}, "smplat.E001"),
        ({"BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_WEBHOOK_URL": ""}, "smplat.W001"),
        ({"BUNDLE_EXPERIMENT_GUARDRAIL_INTERVAL_SECONDS": 0}, "smplat.E002"),
        ({"UNIT_ID_HASH_KEY": []}, "smplat.E003"),
        ({"UNIT_ID_HASH_KEY": [LONG_KEY, " "]}, "smplat.E003"),
        ({"UNIT_ID_HASH_KEY": ["insecure-debug-unit-key"]}, "smplat.E003"),
        ({"EXPERIMENT_OVERLAP": "maybe"}, "smplat.E004"),
        ({"CATALOG_SHOP_TIME_ZONE": "Europe/Atlantis"}, "smplat.E005"),
        ({"TELEMETRY_ORDER_RETENTION_DAYS": -1}, "smplat.E010"),
        ({"CELERY_BROKER_URL": "cache.example:6379"}, "smplat.E011"),
        ({"ALERT_WEBHOOK_URL": "http://hooks.example/x", "ALERT_WEBHOOK_SECRET": "whsec_x"}, "smplat.E008"),
        ({"ALERT_WEBHOOK_URL": "https://[broken", "ALERT_WEBHOOK_SECRET": "whsec_x"}, "smplat.E008"),
        ({"ALERT_WEBHOOK_URL": "https://hooks.example/x", "ALERT_WEBHOOK_SECRET": ""}, "smplat.E009"),
        ({"BUNDLE_EXPERIMENT_GUARDRAIL_EMAIL_RECIPIENTS": ["a@shop.example"], "SMTP_HOST": ""}, "smplat.W002"),
        ({"BUNDLE_EXPERIMENT_GUARDRAIL_EMAIL_RECIPIENTS": ["mara"], "SMTP_HOST": "mail.example"}, "smplat.W003"),
        (
            {"BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_WEBHOOK_URL": "notaurl", "ALERT_ALLOW_PRIVATE_TARGETS": True},
            "smplat.E008",
        ),
    ],
)
def test_checks__contradiction__found(overrides: dict[str, Any], found: str) -> None:
    assert ids(**overrides) == [found]


@pytest.mark.parametrize(
    ("overrides", "found"),
    [
        ({"CHECKOUT_API_KEY": "short"}, "smplat.E006"),
        ({"UNIT_ID_HASH_KEY": [LONG_KEY, "short"]}, "smplat.E006"),
        ({"STOREFRONT_CLIENT_KEY": LONG_KEY}, "smplat.E007"),
    ],
)
def test_checks__weak_secret__found_for_a_deployment_only(overrides: dict[str, Any], found: str) -> None:
    assert ids(**overrides) == []
    assert ids(deploy=True, **overrides) == [found]


def test_checks__debugging_key_while_debugging__allowed() -> None:
    assert ids(UNIT_ID_HASH_KEY=["insecure-debug-unit-key"], DEBUG=True) == []


def test_checks__scheduler_off__schedule_file_is_not_needed() -> None:
    assert ids(CATALOG_JOB_SCHEDULER_ENABLED=False, CATALOG_JOB_SCHEDULE_PATH=Path("absent.toml")) == []
