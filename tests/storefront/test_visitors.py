"""Who is looking: ids that are ours, machines told from people."""

from __future__ import annotations

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from catalog_experiments.intake import is_bot
from storefront.visitors import COOKIE, bot_unit, is_prefetch, remember, visitor_of

BROWSER = {"user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}


def test_visitor_of__no_cookie__is_new_with_a_random_id(rf: RequestFactory) -> None:
    first, second = visitor_of(rf.get("/", headers=BROWSER)), visitor_of(rf.get("/", headers=BROWSER))

    assert first.is_new
    assert first.id != second.id
    assert len(first.id) == 24


@pytest.mark.parametrize("odd", ["", "short", "x" * 65, "id with spaces and more", "<script>alert(1)</script>"])
def test_visitor_of__cookie_that_is_not_ours__gets_a_new_id(rf: RequestFactory, odd: str) -> None:
    rf.cookies[COOKIE] = odd

    visitor = visitor_of(rf.get("/", headers=BROWSER))

    assert visitor.is_new
    assert visitor.id != odd


def test_remember__new_visitor__sets_a_cookie_no_script_can_read(rf: RequestFactory) -> None:
    visitor = visitor_of(rf.get("/", headers=BROWSER))
    response = HttpResponse()

    remember(response, visitor)

    cookie = response.cookies[COOKIE]
    assert cookie.value == visitor.id
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    rf.cookies[COOKIE] = cookie.value
    assert visitor_of(rf.get("/", headers=BROWSER)).id == visitor.id


@pytest.mark.parametrize(
    "agent", ["", "Googlebot/2.1", "curl/8.5.0", "python-requests/2.34", "UptimeRobot/2.0 monitor"]
)
def test_is_bot__machine__is_one_and_gets_no_cookie(rf: RequestFactory, agent: str) -> None:
    visitor = visitor_of(rf.get("/", headers={"user-agent": agent}))
    response = HttpResponse()

    remember(response, visitor)

    assert is_bot(agent)
    assert visitor.is_bot
    assert COOKIE not in response.cookies


def test_bot_unit__same_name_twice__is_one_unit(rf: RequestFactory) -> None:
    first, again, other = (rf.get("/", headers={"user-agent": name}) for name in ("Bot/1", "Bot/1", "Bot/2"))

    assert bot_unit(first) == bot_unit(again)
    assert bot_unit(first) != bot_unit(other)


def test_is_prefetch__browser_fetches_ahead__is_one(rf: RequestFactory) -> None:
    assert is_prefetch(rf.get("/", headers={"sec-purpose": "prefetch;prerender"}))
    assert not is_prefetch(rf.get("/", headers=BROWSER))


def test_context__names_device_and_language(rf: RequestFactory) -> None:
    headers = {"user-agent": "Mozilla/5.0 (iPhone) Mobile Safari", "accept-language": "de-AT,de;q=0.8"}

    context = visitor_of(rf.get("/", headers=headers)).context

    assert context == {"device": "mobile", "language": "de-at"}
