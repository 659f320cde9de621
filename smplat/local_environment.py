"""The environment of `make run`: what the caller gave, generated keys that stay, and values fit for one machine."""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

KEYS: dict[str, Callable[[], str]] = {
    "SECRET_KEY": lambda: secrets.token_urlsafe(50),
    "UNIT_ID_HASH_KEY": lambda: secrets.token_urlsafe(32),
    "CHECKOUT_API_KEY": lambda: f"sk_{secrets.token_urlsafe(24)}",
    "STOREFRONT_CLIENT_KEY": lambda: f"pk_{secrets.token_urlsafe(16)}",
    "ALERT_WEBHOOK_SECRET": lambda: f"whsec_{base64.b64encode(secrets.token_bytes(24)).decode()}",
    "SMPLAT_ADMIN_PASSWORD": lambda: secrets.token_urlsafe(12),
}
LOCAL_ONLY = ("SMPLAT_ADMIN_PASSWORD",)  # for people, not for other processes
MAIL = ("SMTP_HOST", "SMTP_PORT", "SMTP_USERNAME", "SMTP_PASSWORD", "SMTP_USE_TLS", "SMTP_SENDER_EMAIL")
PASSED_ON = ("DATABASE_URL", "REDIS_URL", "EMBEDDED_POSTGRES_DURABLE", *MAIL)
SWITCHES = (
    "CATALOG_JOB_SCHEDULER_ENABLED",
    "BUNDLE_ACCEPTANCE_AGGREGATION_ENABLED",
    "BUNDLE_EXPERIMENT_GUARDRAIL_WORKER_ENABLED",
)


def local_environment(given: Mapping[str, str], *, state_dir: Path, smtp_port: int, inbox_port: int) -> dict[str, str]:
    """Return every variable `make run` sets for its programs, without what they inherit anyway.

    Whatever the caller gave wins. Keys that were not given are made once and kept in `credentials.json` (mode 0600).
    """
    demo = is_true(given.get("DEMO", "true"))
    port = given.get("PORT") or "8000"
    address = f"http://127.0.0.1:{port}"
    values = {
        "DEBUG": "false",
        "HTTPS": "false",
        "PORT": port,
        "DEMO": str(demo).lower(),
        "ALLOWED_HOSTS": "127.0.0.1,localhost",
        "API_BASE_URL": address,
        "STOREFRONT_BASE_URL": address,
        "STATIC_FILES": "hashed",
        "LOG_FORMAT": "text",
        "WORKER_SOFT_SHUTDOWN_SECONDS": "2",
        "ALERT_ALLOW_PRIVATE_TARGETS": "true",
        **dict.fromkeys(SWITCHES, "true"),
        "CATALOG_JOB_SCHEDULE_PATH": f"config/schedules{'.demo' if demo else ''}.toml",
        "BUNDLE_EXPERIMENT_GUARDRAIL_EMAIL_RECIPIENTS": "merchandising@shop.example",
        "BUNDLE_EXPERIMENT_GUARDRAIL_SLACK_WEBHOOK_URL": f"http://127.0.0.1:{inbox_port}/slack",
        "ALERT_WEBHOOK_URL": f"http://127.0.0.1:{inbox_port}/webhook",
        **stored_keys(state_dir / "credentials.json"),
    }
    if not given.get("SMTP_HOST"):
        values |= {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(smtp_port), "SMTP_USE_TLS": "false"}
        values["SMTP_SENDER_EMAIL"] = "smplat@shop.example"
    passed_on = {name: given[name] for name in PASSED_ON if given.get(name)}
    return {name: given.get(name) or value for name, value in {**values, **passed_on}.items()}


def stored_keys(path: Path) -> dict[str, str]:
    """Return the generated keys of this machine, making those that are missing."""
    stored: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    keys = {name: stored.get(name) or make() for name, make in KEYS.items()}
    if keys != stored:
        write_private(path, json.dumps(keys, indent=2) + "\n")
    return keys


def write_local_env(path: Path, values: Mapping[str, str]) -> None:
    """Write the file from which other commands on this machine take the same environment."""
    lines = [f"{name}={value}\n" for name, value in sorted(values.items()) if name not in LOCAL_ONLY]
    write_private(path, "# Written by `make run`; commands in other terminals read it.\n" + "".join(lines))


def write_private(path: Path, text: str) -> None:
    """Replace the file whole, readable by its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
        handle.write(text)
    draft.replace(path)


def is_true(text: str) -> bool:
    """Read a switch as the settings do."""
    return text.strip().lower() in {"true", "on", "ok", "y", "yes", "1"}


def is_free(port: int) -> bool:
    """Say whether a server may listen on this port of the loopback address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(preferred: int) -> int:
    """Return `preferred` if it is free on the loopback address, else (or when 0) any port that is."""
    if preferred and is_free(preferred):
        return preferred
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
