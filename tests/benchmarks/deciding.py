"""Deciding in the process itself, beside the Python GrowthBook SDK on the payload of the same document.

It prints, for 1, 10 and 20 experiments, the processor seconds per visitor of each way.
"""

from __future__ import annotations

import json
import sys
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import orjson
from growthbook import GrowthBook

from storefront import bulk, decisions, document, growthbook
from storefront.document import DocumentReader, parse
from tests.benchmarks.launching import TARGETING
from tests.storefront.entries import make_document, make_entry

SIZES = (1, 10, 20)
ROUNDS = 5
VISITORS = [
    {
        "id": str(uuid.UUID(int=number * 2**90 + 7)),
        "country": ("DE", "US", "FR")[number % 3],
        "returning": number % 2 == 0,
    }
    for number in range(200)
]


def main() -> None:
    """Print the seconds by size and way."""
    json.dump({size: measure(size) for size in SIZES}, sys.stdout)


def measure(size: int) -> dict[str, float]:
    """Return the least processor seconds per visitor, of several rounds, of three ways to decide on all experiments.

    Raises:
        AssertionError: the SDK and we do not agree on every visitor.
    """
    features = _hold(size)
    slugs = list(features)
    sdk = GrowthBook(features=features)

    def by_sdk(attributes: dict[str, Any]) -> list[str]:
        sdk.set_attributes(attributes)
        return [_key(sdk.eval_feature(slug)) for slug in slugs]

    def one_by_one(attributes: dict[str, Any]) -> list[str]:
        found = [decisions.decide(attributes["id"], attributes, slug=slug) for slug in slugs]
        return [one.variant_key if one is not None else "" for one in found]

    def at_once(attributes: dict[str, Any]) -> list[str]:
        return [ready.decision.variant_key for ready in bulk.decide_all(attributes["id"], attributes)]

    ways: dict[str, Callable[[dict[str, Any]], list[str]]] = {
        "sdk": by_sdk,
        "one_by_one": one_by_one,
        "at_once": at_once,
    }
    for attributes in VISITORS:
        assert by_sdk(attributes) == one_by_one(attributes) == at_once(attributes), attributes
    return {name: min(_timed(decide) for _ in range(ROUNDS)) for name, decide in ways.items()}


def _hold(size: int) -> dict[str, Any]:
    """Make this process hold a document of that many experiments, and return its features."""
    entries = [
        make_entry(
            slug=f"experiment-{number}",
            anchor_product_slug=f"product-{number}",
            salt=f"{number:016x}",
            targeting=TARGETING if number % 2 else {},
        )
        for number in range(size)
    ]
    held = DocumentReader()
    held._thread, held._snapshot, held._confirmed_at = threading.current_thread(), None, time.monotonic()
    held._snapshot = parse(make_document(*entries))
    document._reader = held
    features: dict[str, Any] = orjson.loads(growthbook.features().body)["features"]
    return features


def _key(result: Any) -> str:
    return str(result.experimentResult.key) if result.experimentResult is not None else "control"


def _timed(decide: Callable[[dict[str, Any]], list[str]]) -> float:
    started = time.process_time()
    for attributes in VISITORS:
        decide(attributes)
    return (time.process_time() - started) / len(VISITORS)
