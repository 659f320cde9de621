"""What the pages of the admin ask the database: how many statements, and the milliseconds these take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client

from catalog_experiments.models import Experiment

ROUNDS = 25


@dataclass
class Asked:
    """Statements that were run, and the milliseconds they took in all."""

    count: int = 0
    milliseconds: float = 0.0

    def __call__(self, execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        """Run a statement and count it, as a wrapper of Django's."""
        started = time.perf_counter()
        try:
            return execute(sql, params, many, context)
        finally:
            self.count += 1
            self.milliseconds += (time.perf_counter() - started) * 1_000


def experiment_page(number: int) -> Asked:
    """Return what the results page of an experiment asks: the least disturbed of a few rounds."""
    experiment = Experiment.objects.get(slug=f"experiment-{number}")
    return _measured(f"/admin/merchandising/bundles/{experiment.slug}")


def control_center() -> Asked:
    """Return what the control center asks."""
    return _measured("/admin/merchandising/bundles")


def _measured(address: str) -> Asked:
    client = _signed_in()
    seen = []
    for _ in range(ROUNDS):
        with _counting() as asked:
            response = client.get(address, follow=True)
        if response.status_code != 200:
            raise SystemExit(f"{address} answered {response.status_code}")
        seen.append(asked)
    return min(seen, key=attrgetter("milliseconds"))


@contextmanager
def _counting() -> Iterator[Asked]:
    asked = Asked()
    with connection.execute_wrapper(asked):
        yield asked


def _signed_in() -> Client:
    users, client = get_user_model(), Client()
    user, _ = users.objects.get_or_create(username="bench", defaults={"is_staff": True, "is_superuser": True})
    client.force_login(user)
    return client
