"""The steps before the first request."""

from __future__ import annotations

import pytest
from django.contrib.auth import get_user_model
from django.core.management import get_commands
from pytest_django import Settings

from smplat.preparation import make_admin, steps


@pytest.mark.django_db
def test_make_admin__first_time__can_log_in() -> None:
    make_admin("a password")

    admin = get_user_model().objects.get(username="admin")
    assert admin.is_superuser
    assert admin.check_password("a password")


@pytest.mark.django_db
def test_make_admin__password_changed_since__is_left_alone() -> None:
    make_admin("a password")
    make_admin("another")

    assert get_user_model().objects.get(username="admin").check_password("a password")


@pytest.mark.parametrize(("demo", "is_there"), [(True, True), (False, False)])
def test_steps__demo_switch__decides_on_the_demo_shop(settings: Settings, demo: bool, is_there: bool) -> None:
    settings.DEMO = demo

    names = [name for name, _ in steps()]

    assert ("demo shop" in names) is is_there
    assert names.index("migrations") < names.index("admin login")


@pytest.mark.parametrize(
    "command", ["sync_roles", "sync_schedules", "seed_demo", "run_inbox", "run_sweeper", "simulate_visitors"]
)
def test_commands__that_make_run_needs__exist(command: str) -> None:
    assert command in get_commands()
