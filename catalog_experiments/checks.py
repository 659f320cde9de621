"""Settings that contradict each other are found when a process starts, not when they hurt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register  # noqa: A004 - Django's own name

from catalog_experiments.scheduling import InvalidSchedule, load_schedule
from notifications.targets import configured_targets

SHORTEST_KEY = 24
"""Characters of a secret that cannot be guessed: 24 of base64 are 144 bits."""

OVERLAPS = ("warn", "block")
BROKERS = ("redis", "rediss", "redis+socket")
INSECURE_UNIT_KEY = "insecure-debug-unit-key"


@register("smplat")
def check_schedule(**_: Any) -> list[CheckMessage]:
    """Find a scheduler without a usable schedule."""
    if not settings.CATALOG_JOB_SCHEDULER_ENABLED:
        return []
    try:
        load_schedule(Path(settings.CATALOG_JOB_SCHEDULE_PATH))
    except InvalidSchedule as error:
        hint = "Correct the file CATALOG_JOB_SCHEDULE_PATH names, or set CATALOG_JOB_SCHEDULER_ENABLED=false."
        return [Error(f"The scheduler is on, but its schedule cannot be used: {error}", hint=hint, id="smplat.E001")]
    return []


@register("smplat")
def check_guardrails(**_: Any) -> list[CheckMessage]:
    """Find guardrails that could pause, and nobody would hear of it."""
    found = list[CheckMessage]()
    if settings.BUNDLE_EXPERIMENT_GUARDRAIL_WORKER_ENABLED and not configured_targets():
        hint = (
            "Set BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_WEBHOOK_URL, mail recipients with SMTP_HOST, or ALERT_WEBHOOK_URL."
        )
        found.append(Warning("Guardrails may pause experiments, but alerts go nowhere.", hint=hint, id="smplat.W001"))
    if settings.BUNDLE_EXPERIMENT_GUARDRAIL_INTERVAL_SECONDS < 1:
        message = "BUNDLE_EXPERIMENT_GUARDRAIL_INTERVAL_SECONDS must be at least 1."
        found.append(Error(message, hint="The usual value is 900.", id="smplat.E002"))
    return found


@register("smplat")
def check_unit_keys(**_: Any) -> list[CheckMessage]:
    """Find unit ids that anybody could turn into digests."""
    keys = [key.strip() for key in settings.UNIT_ID_HASH_KEY]
    if not keys or not all(keys):
        hint = "Set UNIT_ID_HASH_KEY to a random text; a list, newest first, when it was rotated."
        return [Error("UNIT_ID_HASH_KEY is empty or has an empty entry.", hint=hint, id="smplat.E003")]
    if INSECURE_UNIT_KEY in keys and not settings.DEBUG:
        hint = "Set UNIT_ID_HASH_KEY to a random text of your own before the first exposure is stored."
        return [Error("UNIT_ID_HASH_KEY is the public one for debugging.", hint=hint, id="smplat.E003")]
    return []


@register("smplat")
def check_choices(**_: Any) -> list[CheckMessage]:
    """Find values that mean nothing."""
    found = list[CheckMessage]()
    if settings.EXPERIMENT_OVERLAP not in OVERLAPS:
        message = f"EXPERIMENT_OVERLAP is {settings.EXPERIMENT_OVERLAP!r}."
        found.append(Error(message, hint=f"Use one of: {', '.join(OVERLAPS)}.", id="smplat.E004"))
    if settings.CATALOG_SHOP_TIME_ZONE not in available_timezones():
        message = f"CATALOG_SHOP_TIME_ZONE {settings.CATALOG_SHOP_TIME_ZONE!r} is not a time zone."
        found.append(Error(message, hint="Use a name such as Europe/Berlin.", id="smplat.E005"))
    if not settings.CELERY_BROKER_URL.startswith(tuple(f"{scheme}://" for scheme in BROKERS)):
        # Not quoted: it may hold a password.
        hint = "Use an address such as redis://host:6379/0, or leave it out for the built-in broker."
        found.append(Error("REDIS_URL is no address of a Redis server.", hint=hint, id="smplat.E011"))
    return found


@register("smplat")
def check_retention(**_: Any) -> list[CheckMessage]:
    """Find times of retention that lie in the future."""
    names = ("TELEMETRY_EXPOSURE_RETENTION_DAYS", "TELEMETRY_ORDER_RETENTION_DAYS")
    hint = "Use a whole number of days, or 0 to keep for good."
    return [Error(f"{name} is below 0.", hint=hint, id="smplat.E010") for name in names if getattr(settings, name) < 0]


@register("smplat")
def check_alert_targets(**_: Any) -> list[CheckMessage]:
    """Find alert targets that can never be reached or trusted."""
    return [*_webhook_errors(), *_mail_warnings()]


@register("smplat", deploy=True)
def check_secrets(**_: Any) -> list[CheckMessage]:
    """Find secrets of a deployment that are too short, or one secret in two places."""
    found = list[CheckMessage]()
    named = {"CHECKOUT_API_KEY": settings.CHECKOUT_API_KEY}
    named |= {f"UNIT_ID_HASH_KEY, entry {n}": key for n, key in enumerate(settings.UNIT_ID_HASH_KEY, start=1)}
    for name, secret in named.items():
        if len(secret) < SHORTEST_KEY:
            hint = "Make one with: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
            found.append(Error(f"{name} is shorter than {SHORTEST_KEY} characters.", hint=hint, id="smplat.E006"))
    if settings.STOREFRONT_CLIENT_KEY and settings.STOREFRONT_CLIENT_KEY == settings.CHECKOUT_API_KEY:
        message = "STOREFRONT_CLIENT_KEY is public and equals CHECKOUT_API_KEY, which may do everything."
        found.append(Error(message, hint="Use two different keys.", id="smplat.E007"))
    return found


def _webhook_errors() -> Iterator[CheckMessage]:
    for name in ("BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_WEBHOOK_URL", "ALERT_WEBHOOK_URL"):
        address = getattr(settings, name)
        schemes = ("https", "http") if settings.ALERT_ALLOW_PRIVATE_TARGETS else ("https",)
        if address and not _is_web_address(address, schemes):
            message = f"{name} is not an {' or '.join(schemes)} address."
            yield Error(message, hint="Secrets never travel in the clear.", id="smplat.E008")
    if settings.ALERT_WEBHOOK_URL and not settings.ALERT_WEBHOOK_SECRET:
        hint = "Set ALERT_WEBHOOK_SECRET; receivers check the signature with it."
        yield Error("ALERT_WEBHOOK_URL is set, but nothing signs its messages.", hint=hint, id="smplat.E009")


def _mail_warnings() -> Iterator[CheckMessage]:
    for recipient in settings.BUNDLE_EXPERIMENT_GUARDRAIL_EMAIL_RECIPIENTS:
        if "@" not in recipient:
            message = f"{recipient!r} among BUNDLE_EXPERIMENT_GUARDRAIL_EMAIL_RECIPIENTS is no mail address."
            yield Warning(message, hint="Write mara@shop.example; commas part the addresses.", id="smplat.W003")
    if settings.BUNDLE_EXPERIMENT_GUARDRAIL_EMAIL_RECIPIENTS and not settings.SMTP_HOST:
        hint = "Set SMTP_HOST, or empty BUNDLE_EXPERIMENT_GUARDRAIL_EMAIL_RECIPIENTS."
        yield Warning("Alert recipients are set, but no mail server.", hint=hint, id="smplat.W002")


def _is_web_address(address: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    return parts.scheme in schemes and bool(parts.hostname)
