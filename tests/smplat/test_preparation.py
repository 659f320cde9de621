"""The steps before the first request."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ImproperlyConfigured
from django.core.management import get_commands
from pytest_django import Settings

from smplat.preparation import make_admin, require_sound_settings, steps
from tests.environment import PROJECT


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
    assert names.index("settings") < names.index("migrations") < names.index("admin login")


def test_require_sound_settings__values_that_mean_nothing__names_them_with_the_remedy(settings: Settings) -> None:
    require_sound_settings()
    settings.CATALOG_SHOP_TIME_ZONE, settings.EXPERIMENT_OVERLAP = "Mars", "perhaps"

    with pytest.raises(ImproperlyConfigured) as refused:
        require_sound_settings()

    assert str(refused.value) == (
        "EXPERIMENT_OVERLAP is 'perhaps'. Use one of: warn, block. "
        "CATALOG_SHOP_TIME_ZONE 'Mars' is not a time zone. Use a name such as Europe/Berlin."
    )


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"LOG_FORMAT": "xml"}, "LOG_FORMAT is 'xml'; it must be one of json, text."),
        ({"DATABASE_URL": "nonsense"}, "DATABASE_URL must look like postgres://user:password@host:5432/name."),
    ],
)
def test_preparation__setting_that_cannot_be_used__is_told_in_one_line(setting: dict[str, str], sentence: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "smplat.preparation"],
        cwd=PROJECT,
        env={**os.environ, **setting},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (os.EX_CONFIG, f"{sentence}\n", "")


@pytest.mark.parametrize(
    "command", ["sync_roles", "sync_schedules", "seed_demo", "run_inbox", "run_sweeper", "simulate_visitors"]
)
def test_commands__that_make_run_needs__exist(command: str) -> None:
    assert command in get_commands()
