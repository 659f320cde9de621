"""What every answer of the site carries: request id and content security policy; and what the log says of it."""

from __future__ import annotations

import json
import logging
import sys

import pytest
from django.test import Client

from smplat.logs import JsonFormatter
from smplat.request_ids import current_request_id


@pytest.mark.parametrize(("offered", "is_kept"), [("abc-123", True), ("bad id\n", False), ("x" * 65, False)])
def test_request_id__offered__is_kept_only_when_harmless(client: Client, offered: str, is_kept: bool) -> None:
    answer = client.get("/livez", headers={"X-Request-ID": offered})

    assert (answer.headers["X-Request-ID"] == offered) is is_kept


def test_policy__outside_the_admin__allows_nothing_inline(client: Client) -> None:
    policy = client.get("/livez").headers["Content-Security-Policy"]

    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.django_db
def test_policy__in_the_admin__allows_what_the_theme_needs_and_no_more(client: Client) -> None:
    policy = client.get("/admin/login/").headers["Content-Security-Policy"]

    directives = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    assert directives["script-src"] == "'self' 'unsafe-eval'"
    assert directives["style-src"] == "'self' 'unsafe-inline'"
    assert directives["default-src"] == "'none'"


def test_json_log__error_in_a_request__is_one_line_with_id_and_traceback() -> None:
    token = current_request_id.set("abc")
    try:
        raise ValueError("broken")
    except ValueError:
        record = logging.LogRecord("shop", logging.ERROR, __file__, 1, "no %s", ("luck",), sys.exc_info())
        record.order_ref = "R1"
        text = JsonFormatter().format(record)
    finally:
        current_request_id.reset(token)

    line = json.loads(text)
    assert "\n" not in text
    assert (line["message"], line["request_id"], line["order_ref"], line["level"]) == ("no luck", "abc", "R1", "ERROR")
    assert "ValueError: broken" in line["traceback"]
