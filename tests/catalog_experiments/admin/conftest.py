"""People of each role, logged in; and bundles to choose from."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from catalog_experiments.roles import sync_roles
from tests.builders import make_bundle


@pytest.fixture
def client_as(db: None) -> Callable[[str], Client]:
    """Return a function that logs in a member of staff with a role, or a superuser for ''."""

    def log_in(role: str) -> Client:
        sync_roles()
        user = User.objects.create_user(f"a-{role or 'root'}", is_staff=True, is_superuser=not role)
        if role:
            user.groups.add(Group.objects.get(name=role))
        client = Client()
        client.force_login(user)
        return client

    return log_in


@pytest.fixture
def bundles(db: None) -> None:
    """Two bundles on one page."""
    make_bundle(bundle_slug="cups-a")
    make_bundle(bundle_slug="cups-b")
