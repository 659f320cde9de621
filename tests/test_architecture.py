"""What must stay true of the whole: no import cycles, and a web process that carries no number library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from graphlib import TopologicalSorter

import grimp
import pytest
from django.utils import timezone

from storefront.demo import seed_demo
from tests.databases import url_of_test_database
from tests.environment import PROJECT

APPS = ("smplat", "catalog_experiments", "storefront", "notifications")
NUMBER_LIBRARIES = ("numpy", "scipy", "pandas", "statsmodels", "polars", "pyarrow")

# What a web process does in its life, as its server would ask it to; prints status by address, and what it has loaded.
WEB_PROCESS = """
import json, sys
from smplat.wsgi import application
from django.test import Client

client = Client(headers={"x-api-key": "test-server-key", "user-agent": "Mozilla/5.0 (X11) Firefox/140.0"})
api = "/api/v1/catalog/experiments"
slug = f"{api}/cup-and-saucer"
order = {"order_ref": "o-1", "placed_at": "2026-03-02T12:00:00Z", "currency": "EUR", "unit_id": "v-1",
         "lines": [{"slug": "stoneware-cup", "quantity": 1, "price_minor": 2400}]}
exposure = {"experiment": "cup-and-saucer", "unit_id": "v-1", "variant_key": "control"}
answers = [client.get(path) for path in (
    "/", "/products/stoneware-cup", "/basket", "/livez", "/readyz", "/metrics", "/admin/login/", "/api/schema/", api,
    slug, f"{slug}/report", f"{slug}/preflight", f"{slug}/metrics", f"{slug}/events", "/api/v1/catalog/bundles/")]
answers += [client.post(path, json.dumps(body), content_type="application/json") for path, body in (
    (f"{slug}/evaluate", {}), ("/api/v1/catalog/exposures", {"exposures": [exposure]}),
    ("/api/v1/catalog/orders", {"orders": [order]}), (f"{slug}/pause", {"reason": "test"}), (f"{slug}/resume", {}))]
statuses = {answer.wsgi_request.path: answer.status_code for answer in answers}
print(json.dumps({"statuses": statuses, "loaded": sorted({name.partition(".")[0] for name in sys.modules})}))
"""


def test_imports__of_all_apps__have_no_cycle() -> None:
    graph = grimp.build_graph(*APPS, exclude_type_checking_imports=True, cache_dir=None)

    order = TopologicalSorter({module: graph.find_modules_directly_imported_by(module) for module in graph.modules})

    order.prepare()  # raises CycleError, which names the modules


@pytest.mark.django_db(transaction=True)
def test_web_process__after_serving_every_kind_of_page__has_no_number_library() -> None:
    seed_demo(now=timezone.now())

    result = subprocess.run(
        [sys.executable, "-c", WEB_PROCESS],
        cwd=PROJECT,
        env={**os.environ, "DATABASE_URL": url_of_test_database()},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert result.returncode == 0, result.stderr[-3000:]
    said = json.loads(result.stdout.splitlines()[-1])
    assert {path: status for path, status in said["statuses"].items() if status not in (200, 503)} == {}
    assert [path for path, status in said["statuses"].items() if status == 503] in ([], ["/readyz"])
    assert "catalog_experiments" in said["loaded"]
    assert set(said["loaded"]) & set(NUMBER_LIBRARIES) == set()
