"""What `make run` keeps running besides PostgreSQL, and what it tells the person who started it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from smplat.local_environment import is_true

MANAGE = [sys.executable, "manage.py"]
CELERY = [sys.executable, "-m", "celery", "-A", "smplat.celery"]
DEMO_ADVICE = (
    "  Simulated visitors are shopping. Watch the control center: one experiment does well, the other harms the shop;",
    "  within five minutes its guardrail pauses it, and the alert lies in the inbox.",
)
EMPTY_ADVICE = (
    "  The shop is empty (DEMO=0). Begin in the control center, or import orders: manage.py import_orders FILE.",
)


@dataclass
class Service:
    """One program to keep running, and how it fared."""

    name: str
    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_again_at: float = 0.0
    failures: int = 0


def services(environment: Mapping[str, str], *, smtp_port: int, inbox_port: int) -> list[Service]:
    """Return the services in the order of their start."""
    inbox = ["run_inbox", "--smtp-port", str(smtp_port), "--http-port", str(inbox_port)]
    web = ["--interface", "wsgi", "--host", "127.0.0.1", "--port", environment["PORT"], "--no-ws"]
    web += ["--workers", "2", "--blocking-threads", "4", "--respawn-failed-workers", "--workers-kill-timeout", "3"]
    worker = ["worker", "--queues", "control,bulk", "--concurrency", "2", "--loglevel", "INFO"]
    found = [
        Service("inbox", [*MANAGE, *inbox]),
        Service("web", [sys.executable, "-m", "granian", *web, "smplat.wsgi:application"], {"SMPLAT_ROLE": "web"}),
        Service("worker", [*CELERY, *worker, "--without-gossip", "--without-mingle"]),
        Service("beat", [*CELERY, "beat", "--loglevel", "INFO"]),
        Service("sweeper", [*MANAGE, "run_sweeper"], {"SMPLAT_ROLE": "sweeper"}),
    ]
    if is_true(environment["DEMO"]):
        found.append(Service("visitors", [*MANAGE, "simulate_visitors"]))
    return found


def ready_block(environment: Mapping[str, str], inbox_port: int, state_dir: Path, seconds: float) -> str:
    """Return what a person needs to know now."""
    address = environment["API_BASE_URL"]
    lines = [
        f"\nsmplat is ready ({seconds:.0f} s)\n",
        f"  Shop             {address}/",
        f"  Control center   {address}/admin/merchandising/bundles",
        f"  API              {address}/api/docs/",
        f"  Inbox            http://127.0.0.1:{inbox_port}/",
        "",
        f"  Login            admin / {environment['SMPLAT_ADMIN_PASSWORD']}",
        f"  Server key       {environment['CHECKOUT_API_KEY']}   (X-API-Key; every scope)",
        f"  Client key       {environment['STOREFRONT_CLIENT_KEY']}   (public; decisions and exposures)",
        "",
        *(DEMO_ADVICE if is_true(environment["DEMO"]) else EMPTY_ADVICE),
        "",
        f"  Logs in {state_dir / 'logs'}; Ctrl-C stops everything.",
    ]
    return "\n".join(lines)
