"""What `make run` does before the first request can be served: tables, roles, login, static files, demo shop.

One process for all steps, since starting Django costs more than most of them; each prints its name and its seconds.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

import django
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import OperationalError


def main() -> None:
    """Run every step; the first that fails ends the process.

    What a person can put right is told in one line, with the exit code `os.EX_CONFIG`; anything else by its traceback.
    """
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smplat.settings")
    try:
        django.setup()
        for name, step in steps():
            started = time.monotonic()
            step()
            _say(f"  {name:<14} {time.monotonic() - started:5.1f} s")
    except (ImproperlyConfigured, CommandError, OperationalError) as problem:
        _say(" ".join(str(problem).split()))
        sys.exit(os.EX_CONFIG)


def steps() -> list[tuple[str, Callable[[], object]]]:
    """Return the steps in their order; each may be repeated at every start."""
    from django.conf import settings

    demo = [("demo shop", lambda: call_command("seed_demo", verbosity=0))] if settings.DEMO else []
    return [
        ("settings", require_sound_settings),
        ("migrations", lambda: call_command("migrate", interactive=False, verbosity=0)),
        ("roles", lambda: call_command("sync_roles", verbosity=0)),
        ("admin login", lambda: make_admin(os.environ["SMPLAT_ADMIN_PASSWORD"])),
        ("static files", lambda: call_command("collectstatic", interactive=False, verbosity=0)),
        ("schedules", lambda: call_command("sync_schedules", verbosity=0)),
        *demo,
    ]


def require_sound_settings() -> None:
    """Run the system checks.

    Raises:
        ImproperlyConfigured: with every error and its remedy.
    """
    if faults := [message for message in run_checks() if message.is_serious()]:
        raise ImproperlyConfigured(" ".join(f"{fault.msg} {fault.hint or ''}".strip() for fault in faults))


def make_admin(password: str) -> None:
    """Create the user `admin` with this password; one that exists is left alone."""
    from django.contrib.auth import get_user_model

    users = get_user_model().objects
    if not users.filter(username="admin").exists():
        users.create_superuser("admin", "admin@shop.example", password)


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - for the supervisor


if __name__ == "__main__":
    main()
