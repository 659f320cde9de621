"""Settings as a deployment meets them: read in a process of their own, from an environment of our choice."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.environment import PROJECT

PRODUCTION = {
    "SECRET_KEY": "0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "UNIT_ID_HASH_KEY": "newest,older",
    "CHECKOUT_API_KEY": "key",
    "ALLOWED_HOSTS": "shop.example,www.shop.example",
}


def read_settings(*names: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Import the settings in a new process and print these as JSON; `NAME=""` takes a production value away."""
    code = (
        f"import json, smplat.settings as s; print(json.dumps([getattr(s, name) for name in {names!r}], default=str))"
    )
    given = {name: value for name, value in {**PRODUCTION, **environment}.items() if value}
    base = {"PATH": os.environ["PATH"], "SMPLAT_ENV_FILE": os.devnull, "SMPLAT_STATE_DIR": "/nonexistent"}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, env=base | given, capture_output=True, text=True, check=False
    )


def values(*names: str, **environment: str) -> list[object]:
    result = read_settings(*names, **environment)
    assert result.returncode == 0, result.stderr
    read: list[object] = json.loads(result.stdout)
    return read


@pytest.mark.parametrize("name", sorted(PRODUCTION))
def test_settings__production_without_a_key__fails_and_names_it(name: str) -> None:
    result = read_settings("DEBUG", **{name: ""})

    assert result.returncode != 0
    assert f"ImproperlyConfigured: Not set: {name}. " in result.stderr


def test_settings__production__is_closed_by_default() -> None:
    names = (
        "DEBUG",
        "SECURE_SSL_REDIRECT",
        "SESSION_COOKIE_SECURE",
        "CSRF_COOKIE_SECURE",
        "CATALOG_JOB_SCHEDULER_ENABLED",
    )

    assert values(*names) == [False, True, True, True, False]


def test_settings__lists__are_split_at_commas() -> None:
    names = ("ALLOWED_HOSTS", "UNIT_ID_HASH_KEY", "BUNDLE_EXPERIMENT_GUARDRAIL_EMAIL_RECIPIENTS")

    found = values(*names, BUNDLE_EXPERIMENT_GUARDRAIL_EMAIL_RECIPIENTS="a@shop.example,b@shop.example")

    assert found == [
        ["shop.example", "www.shop.example"],
        ["newest", "older"],
        ["a@shop.example", "b@shop.example"],
    ]


def test_settings__smtp_names__become_djangos() -> None:
    given = {"SMTP_HOST": "mail.example", "SMTP_PORT": "2525", "SMTP_USE_TLS": "false", "SMTP_USERNAME": "me"}

    found = values("EMAIL_BACKEND", "EMAIL_HOST", "EMAIL_PORT", "EMAIL_USE_TLS", "EMAIL_HOST_USER", **given)

    assert found == ["django.core.mail.backends.smtp.EmailBackend", "mail.example", 2525, False, "me"]


@pytest.mark.parametrize(("role", "seconds"), [("web", 5), ("batch", 120), ("sweeper", 10)])
def test_settings__role__limits_statements(role: str, seconds: int) -> None:
    (databases,) = values("DATABASES", SMPLAT_ROLE=role, DATABASE_URL="postgres://me:secret@db.example:5433/shop")

    assert isinstance(databases, dict)
    database = databases["default"]
    assert (database["HOST"], database["PORT"], database["NAME"]) == ("db.example", 5433, "shop")
    assert database["ENGINE"] == "django.db.backends.postgresql"
    assert f"statement_timeout={seconds}s" in database["OPTIONS"]["options"]
    assert "lock_timeout=2s" in database["OPTIONS"]["options"]


def test_settings__unknown_role__fails_and_names_the_choices() -> None:
    result = read_settings("DEBUG", SMPLAT_ROLE="wbe")

    assert "SMPLAT_ROLE is 'wbe'; it must be one of web, batch, sweeper." in result.stderr


def test_settings__redis_url__is_the_broker() -> None:
    assert values("CELERY_BROKER_URL", REDIS_URL="redis://cache.example/0") == ["redis://cache.example/0"]


def test_settings__nothing_given__embedded_services() -> None:
    broker, databases = values("CELERY_BROKER_URL", "DATABASES")

    assert isinstance(broker, str)
    assert isinstance(databases, dict)
    assert broker.startswith("redis+socket:///tmp/smplat-")
    assert databases["default"]["ENGINE"] == "smplat.embedded"
