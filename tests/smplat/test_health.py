"""Liveness, readiness and metrics."""

from __future__ import annotations

import pytest
from django.db import DatabaseError
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families

from smplat import health


def test_live__no_database_allowed__answers(client: Client) -> None:
    answer = client.get("/livez")

    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/readyz", "/healthz"])
def test_ready__all_migrated__names_each_component(client: Client, path: str) -> None:
    answer = client.get(path)

    components = {component["name"]: component["ok"] for component in answer.json()["components"]}
    assert components["database"] is True
    assert components["migrations"] is True


@pytest.mark.django_db
def test_ready__a_probe_is_not_well__is_503_and_says_which(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "app_questions", lambda: iter([lambda: ("outbox", False, "oldest alert 900 s old")]))

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert {"name": "outbox", "ok": False, "detail": "oldest alert 900 s old"} in answer.json()["components"]


def test_ready__database_away__is_503_and_keeps_the_reason_to_the_log(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def database() -> health.Answer:
        raise DatabaseError("password of db.internal refused")

    monkeypatch.setattr(health, "database", database)

    answer = client.get("/readyz")

    assert answer.status_code == 503
    assert [component["name"] for component in answer.json()["components"]] == ["database"]
    assert "db.internal" not in answer.content.decode()


@pytest.mark.django_db
def test_metrics__asked__is_valid_text_with_a_line_for_each_component(client: Client) -> None:
    answer = client.get("/metrics")

    families = {family.name: family for family in text_string_to_metric_families(answer.content.decode())}
    ready = {sample.labels["component"]: sample.value for sample in families["smplat_ready"].samples}
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert ready["database"] == ready["migrations"] == 1.0


def test_health__post__is_refused(client: Client) -> None:
    assert client.post("/livez").status_code == 405
