"""Keys: issued once, kept as digests, recognized by one path, and noted when used."""

import ast
import datetime as dt
import inspect

import pytest
from pytest_django import DjangoAssertNumQueries, Settings

from catalog_experiments import access
from catalog_experiments.access import (
    ALL_SCOPES,
    CLIENT_SCOPES,
    InvalidKeyRequest,
    digest_secret,
    issue_key,
    recognize,
)
from catalog_experiments.models import ApiKey
from tests.builders import NOON

pytestmark = pytest.mark.django_db


def test_issue_key__server_with_scopes__stores_only_the_digest() -> None:
    issued = issue_key("warehouse", scopes=["ingest", "read"])

    stored = ApiKey.objects.get(name="warehouse")
    assert stored.secret_digest == digest_secret(issued.secret)
    assert issued.secret.startswith(stored.prefix)
    assert stored.scopes == ["ingest", "read"]
    assert issued.secret not in repr(list(ApiKey.objects.values()))
    assert len(issued.secret) >= 43  # 256 bits in base64


def test_issue_key__client_asking_for_more__gets_the_client_scopes() -> None:
    issued = issue_key("browser", kind="client", scopes=["operate"])

    caller = recognize(issued.secret, now=NOON)
    assert caller is not None
    assert caller.kind == "client"
    assert caller.scopes == CLIENT_SCOPES


@pytest.mark.parametrize(
    ("name", "kind", "scopes"),
    [
        pytest.param(" ", "server", ["read"], id="blank-name"),
        pytest.param("taken", "server", ["read"], id="taken-name"),
        pytest.param("new", "master", ["read"], id="unknown-kind"),
        pytest.param("new", "server", ["everything"], id="unknown-scope"),
        pytest.param("new", "server", [], id="no-scope"),
    ],
)
def test_issue_key__impossible_request__raises_and_stores_nothing(name: str, kind: str, scopes: list[str]) -> None:
    issue_key("taken", scopes=["read"])

    with pytest.raises(InvalidKeyRequest):
        issue_key(name, kind=kind, scopes=scopes)

    assert ApiKey.objects.count() == 1


def test_recognize__key_of_the_environment__has_every_scope(settings: Settings) -> None:
    settings.CHECKOUT_API_KEY = "from-the-environment"

    caller = recognize("from-the-environment", now=NOON)

    assert caller is not None
    assert caller.scopes == ALL_SCOPES
    assert caller.actor == "key:checkout"


def test_recognize__nothing_configured__knows_nobody(settings: Settings) -> None:
    settings.CHECKOUT_API_KEY = settings.STOREFRONT_CLIENT_KEY = ""

    assert recognize("", now=NOON) is None
    assert recognize("anything", now=NOON) is None


def test_recognize__revoked_or_expired__knows_nobody_from_that_moment() -> None:
    revoked = issue_key("revoked", scopes=["read"])
    expiring = issue_key("expiring", scopes=["read"], expires_at=NOON)

    ApiKey.objects.filter(name="revoked").update(revoked_at=NOON)

    assert recognize(revoked.secret, now=NOON) is None
    assert recognize(expiring.secret, now=NOON - dt.timedelta(seconds=1)) is not None
    assert recognize(expiring.secret, now=NOON) is None


def test_recognize__two_keys_of_one_caller__both_open_during_rotation() -> None:
    old, new = issue_key("shop 2025", scopes=["read"]), issue_key("shop 2026", scopes=["read"])

    assert recognize(old.secret, now=NOON) is not None
    assert recognize(new.secret, now=NOON) is not None


def test_recognize__used_again_within_a_minute__writes_once(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    secret = issue_key("busy", scopes=["read"]).secret

    with django_assert_num_queries(2):
        recognize(secret, now=NOON)
    with django_assert_num_queries(1):
        recognize(secret, now=NOON + dt.timedelta(seconds=59))

    assert ApiKey.objects.get(name="busy").last_used_at == NOON


def test_recognize__used_after_a_minute__notes_the_newer_use() -> None:
    secret = issue_key("busy", scopes=["read"]).secret
    recognize(secret, now=NOON)

    later = NOON + dt.timedelta(seconds=61)
    recognize(secret, now=later)

    assert ApiKey.objects.get(name="busy").last_used_at == later


def test_recognize__any_secret__takes_the_same_queries(
    django_assert_num_queries: DjangoAssertNumQueries, settings: Settings
) -> None:
    settings.CHECKOUT_API_KEY = "right"

    for secret in ("right", "wrong", "\ud800", "x" * 10_000):
        with django_assert_num_queries(1):
            recognize(secret, now=NOON)


def test_access__source__never_compares_a_secret_with_equality() -> None:
    tree = ast.parse(inspect.getsource(access))

    secrets = {"secret", "digest", "known", "secret_digest"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare) and any(isinstance(op, ast.Eq | ast.NotEq | ast.In) for op in node.ops):
            names = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
            names |= {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
            assert not names & secrets
