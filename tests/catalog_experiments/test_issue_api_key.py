"""manage.py issue_api_key: prints the secret alone on stdout, once."""

import io

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from catalog_experiments.access import Scope, recognize
from catalog_experiments.models import ApiKey

pytestmark = pytest.mark.django_db


def issue(*arguments: str) -> tuple[str, str]:
    """Run the command and return what it wrote to stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    call_command("issue_api_key", *arguments, stdout=out, stderr=err)
    return out.getvalue().strip(), err.getvalue()


def test_issue_api_key__server_with_scopes__prints_a_secret_that_opens() -> None:
    secret, said = issue("warehouse", "--scope", "ingest", "--scope", "read")

    caller = recognize(secret, now=timezone.now())
    assert caller is not None
    assert caller.scopes == {Scope.INGEST, Scope.READ}
    assert "warehouse" in said
    assert secret not in said


def test_issue_api_key__client__needs_no_scope() -> None:
    secret, _ = issue("browser", "--kind", "client")

    caller = recognize(secret, now=timezone.now())
    assert caller is not None
    assert caller.kind == "client"


def test_issue_api_key__with_an_end__expires() -> None:
    issue("trial", "--scope", "read", "--expires-in-days", "7")

    key = ApiKey.objects.get(name="trial")
    assert key.expires_at is not None
    assert 6 <= (key.expires_at - timezone.now()).days <= 7


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["no-scope"], id="no-scope"),
        pytest.param(["x", "--scope", "everything"], id="unknown-scope"),
        pytest.param(["x", "--scope", "read", "--expires-in-days", "0"], id="no-days"),
        pytest.param([" ", "--scope", "read"], id="blank-name"),
        pytest.param(["page", "--kind", "client", "--scope", "operate"], id="client-that-asks-for-more"),
    ],
)
def test_issue_api_key__impossible__fails_and_stores_nothing(arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        issue(*arguments)

    assert not ApiKey.objects.exists()
