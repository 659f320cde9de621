"""POST /catalog/aliases: works, refuses, repeats; only a shop's server may join people."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from catalog_experiments.models import UnitAlias
from tests.catalog_experiments.api.conftest import Api, json_of, problem_of

ALIASES = "/catalog/aliases"
BODY = {"aliases": [{"visitor_id": "visitor-1", "customer_id": "customer-1"}]}


def test_aliases__several__are_stored_as_digests(api: Api) -> None:
    body = {"aliases": [*BODY["aliases"], {"visitor_id": "visitor-2", "customer_id": "customer-1"}]}

    answer = json_of(api.post(ALIASES, body))

    assert answer["counts"] == {"accepted": 2, "duplicate": 0, "conflict": 0, "revised": 0, "rejected": 0}
    assert "visitor-1" not in repr(list(UnitAlias.objects.values()))


def test_aliases__sent_again__are_duplicates(api: Api, fingerprint: Callable[[], str]) -> None:
    api.post(ALIASES, BODY)
    before = fingerprint()

    answer = json_of(api.post(f"{ALIASES}/", BODY))

    assert answer["counts"]["duplicate"] == 1
    assert fingerprint() == before


@pytest.mark.parametrize(
    "item",
    [None, [], {}, {"visitor_id": "v"}, {"visitor_id": 5, "customer_id": "c"}, {**BODY["aliases"][0], "extra": 1}],
    ids=["null", "list", "empty", "half", "number", "unknown-field"],
)
def test_aliases__odd_item__is_rejected_and_spares_the_rest(api: Api, item: Any) -> None:
    answer = json_of(api.post(ALIASES, {"aliases": [item, *BODY["aliases"]]}))

    assert [one["outcome"] for one in answer["results"]] == ["rejected", "accepted"]
    assert answer["results"][0]["detail"]


def test_aliases__by_the_public_key__are_forbidden(browser: Api) -> None:
    problem_of(browser.post(ALIASES, BODY), 403, "permission_denied")
    assert not UnitAlias.objects.exists()


def test_aliases__without_key__are_refused(nobody: Api) -> None:
    problem_of(nobody.post(ALIASES, BODY), 401, "invalid_api_key")
