"""Requests that report exposures, whole HTTP/1.1 texts in a JSON list: no visitor stands in two of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import orjson
from django.utils import timezone

from catalog_experiments.intake import ExposureEvent
from tests.benchmarks.telemetry import stream
from tests.benchmarks.telemetry.shop import slots_there

HEAD = (
    "POST /api/v1/catalog/exposures HTTP/1.1\r\nHost: 127.0.0.1\r\nX-API-Key: test-server-key\r\n"
    "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
)


def main(requests: str, per_request: str) -> None:
    """Print so many of them."""
    size = int(per_request)
    events = list(stream.exposures(slots_there(), int(requests) * size, now=timezone.now(), seed=3))
    json.dump([_request(events[start : start + size]) for start in range(0, len(events), size)], sys.stdout)


def _request(events: Sequence[ExposureEvent]) -> str:
    fields = ("experiment", "unit_id", "variant_key", "exposed_at", "phase", "segments")
    body = orjson.dumps({"exposures": [{name: getattr(event, name) for name in fields} for event in events]}).decode()
    return HEAD.format(length=len(body)) + body
