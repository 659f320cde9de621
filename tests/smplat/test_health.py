"""Liveness, readiness and metrics."""

from __future__ import annotations

import pytest
from django.test import Client


@pytest.mark.django_db
def test_ready__all_migrated__names_each_component(client: Client) -> None:
    answer = client.get("/readyz")

    components = {component["name"]: component["ok"] for component in answer.json()["components"]}
    assert components["database"] is True
    assert components["migrations"] is True
