"""API keys in the admin: the secret is shown once, nothing is edited or deleted, revoking is a button."""

import re

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from catalog_experiments.access import Scope, issue_key, recognize
from catalog_experiments.models import ApiKey

pytestmark = pytest.mark.django_db


@pytest.fixture
def admin_client() -> Client:
    """A superuser's browser."""
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("root", password="x"))
    return client


def test_add__server_key__shows_the_secret_once(admin_client: Client) -> None:
    form = {"name": "warehouse", "kind": "server", "scopes": ["read", "ingest"], "expires_at_0": "", "expires_at_1": ""}

    page = admin_client.post(reverse("admin:catalog_experiments_apikey_add"), form, follow=True).content.decode()

    found = re.search(r"sms_[\w-]{43}", page)
    assert found is not None, page
    caller = recognize(found.group(), now=timezone.now())
    assert caller is not None
    assert caller.scopes == {Scope.READ, Scope.INGEST}
    again = admin_client.get(reverse("admin:catalog_experiments_apikey_changelist")).content.decode()
    assert found.group() not in again


def test_add__server_key_without_scope__is_refused(admin_client: Client) -> None:
    page = admin_client.post(reverse("admin:catalog_experiments_apikey_add"), {"name": "idle", "kind": "server"})

    assert "Tick at least one scope." in page.content.decode()
    assert not ApiKey.objects.exists()


def test_change_and_delete__any_key__are_not_offered(admin_client: Client) -> None:
    key = issue_key("kept", scopes=["read"]).key

    page = admin_client.get(reverse("admin:catalog_experiments_apikey_change", args=[key.pk]))
    changed = admin_client.post(reverse("admin:catalog_experiments_apikey_change", args=[key.pk]), {"name": "other"})
    deleted = admin_client.post(reverse("admin:catalog_experiments_apikey_delete", args=[key.pk]), {"post": "yes"})

    assert page.status_code == 200
    assert key.secret_digest not in page.content.decode()
    assert (changed.status_code, deleted.status_code) == (403, 403)
    assert ApiKey.objects.get().name == "kept"


def test_revoke__selected__opens_nothing_any_more(admin_client: Client) -> None:
    issued = issue_key("leaver", scopes=["read"])

    admin_client.post(
        reverse("admin:catalog_experiments_apikey_changelist"),
        {"action": "revoke", "_selected_action": [str(issued.key.pk)]},
    )

    assert recognize(issued.secret, now=timezone.now()) is None


def test_changelist__staff_without_permission__is_forbidden() -> None:
    client = Client()
    client.force_login(get_user_model().objects.create_user("visitor", password="x", is_staff=True))

    assert client.get(reverse("admin:catalog_experiments_apikey_changelist")).status_code == 403
