"""Liveness and readiness for load balancers and people.

Each app says how it is in a module `probes`: a list `PROBES` of functions that return (name, ok, detail). They are
found by name here, so that no app needs to know this module.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

from django.apps import apps
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

logger = logging.getLogger(__name__)

Answer = tuple[str, bool, str]


@dataclass(frozen=True)
class Probe:
    """What one probe found: its name, whether all is well, and a sentence for people."""

    name: str
    ok: bool
    detail: str


@require_safe
@never_cache
def live(request: HttpRequest) -> JsonResponse:
    """Answer that the process serves requests; asks nobody else."""
    return JsonResponse({"status": "ok"})


@require_safe
@never_cache
def ready(request: HttpRequest) -> JsonResponse:
    """Answer 200 when every probe is well, else 503; the body names each."""
    probes = run_probes()
    is_ready = all(probe.ok for probe in probes)
    body = {"status": "ready" if is_ready else "error", "components": [asdict(probe) for probe in probes]}
    return JsonResponse(body, status=200 if is_ready else 503)


def run_probes() -> list[Probe]:
    """Ask the database, the migrations and every app; when the database is away, nothing else is asked."""
    probes = [_asked(database)]
    if probes[0].ok:
        probes += [_asked(question) for question in (migrations, *app_questions())]
    return probes


def database() -> Answer:
    """Say whether the database answers a query."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return "database", True, "answers"


def migrations() -> Answer:
    """Say whether every migration of the code stands in the database."""
    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    return "migrations", not missing, f"{len(missing)} to apply" if missing else "all applied"


def app_questions() -> Iterator[Callable[[], Answer]]:
    """Yield the probe functions of every installed app that has a module `probes`."""
    for module in probe_modules():
        yield from getattr(module, "PROBES", ())


def probe_modules() -> Iterator[ModuleType]:
    """Yield the module `probes` of each installed app that has one."""
    for config in apps.get_app_configs():
        if find_spec(f"{config.name}.probes") is not None:
            yield import_module(f"{config.name}.probes")


def _asked(question: Callable[[], Answer]) -> Probe:
    try:
        return Probe(*question())
    except DatabaseError:
        name = question.__name__
        logger.exception("probe %s failed", name)
        return Probe(name, ok=False, detail="the database refused the question; the log says why")
