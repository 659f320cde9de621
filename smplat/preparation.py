"""What `make run` does before the first request can be served: tables, roles, login, static files, demo shop.

One process for all steps, since starting Django costs more than most of them; each prints its name and its seconds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import django
from django.core.management import call_command


def main() -> None:
    """Run every step; the first that fails ends the process with its traceback."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "smplat.settings")
    django.setup()
    for name, step in steps():
        started = time.monotonic()
        step()
        print(f"  {name:<14} {time.monotonic() - started:5.1f} s", flush=True)  # noqa: T201 - for the supervisor


def steps() -> list[tuple[str, Callable[[], object]]]:
    """Return the steps in their order; each may be repeated at every start."""
    from django.conf import settings

    demo = [("demo shop", lambda: call_command("seed_demo", verbosity=0))] if settings.DEMO else []
    return [
        ("migrations", lambda: call_command("migrate", interactive=False, verbosity=0)),
        ("roles", lambda: call_command("sync_roles", verbosity=0)),
        ("admin login", lambda: make_admin(os.environ["SMPLAT_ADMIN_PASSWORD"])),
        ("static files", lambda: call_command("collectstatic", interactive=False, verbosity=0)),
        ("schedules", lambda: call_command("sync_schedules", verbosity=0)),
        *demo,
    ]


def make_admin(password: str) -> None:
    """Create the user `admin` with this password; one that exists is left alone."""
    from django.contrib.auth import get_user_model

    users = get_user_model().objects
    if not users.filter(username="admin").exists():
        users.create_superuser("admin", "admin@shop.example", password)


if __name__ == "__main__":
    main()
