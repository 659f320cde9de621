"""Experiments in every state a document knows, and visitors of all kinds to meet them."""

from __future__ import annotations

from typing import Any

from catalog_experiments.assignment import allocation
from tests.storefront.entries import make_entry, make_variant

NAMES = ("control", "test", "other", "fourth")
COUNTRIES = ("DE", "AT", "CH", "US", None)
DEVICES = ("mobile", "desktop", "tablet")
FORCED = {"visitor-7": "test", "visitor-8": "control", "besucher-ü-13": "other", "visitor-9": "gone"}
TARGETS = {
    "$or": [{"country": {"$in": ["DE", "AT"]}}, {"device": "mobile", "plan.tier": {"$ne": "free"}}],
    "$not": {"age": {"$exists": True, "$lt": 21}},
    "email": {"$regex": "@example\\.(org|com)$"},
}


def variants(weights: list[int], coverage: int = 10_000) -> list[dict[str, Any]]:
    """Make a variant for each weight, the first one control without an offer."""
    return [
        make_variant(
            name, *place, **({"bundle": None} if name == "control" else {"payload": {"copy": name, "rank": 1.5}})
        )
        for name, place in zip(NAMES, allocation(weights, coverage), strict=False)
    ]


def entries() -> list[dict[str, Any]]:
    """Make one experiment for each state; all have three variants and a salt of their own."""
    split = variants([2, 3, 5])
    group = {"seed": "group", "ranges": [[0, 2_500], [6_000, 9_000]]}
    holdout = {"seed": "holdout", "ranges": [[500, 10_000]]}
    states: dict[str, dict[str, Any]] = {
        "full": {},
        "thirds": {"variants": variants([1, 1, 1])},
        "partial": {"variants": variants([2, 3, 5], 2_000)},
        "one-basis-point": {"variants": variants([1, 1, 1, 1], 4)},
        "closed": {"variants": variants([1, 1], 0)},
        "targeted": {"targeting": TARGETS},
        "forced": {"forced": FORCED, "variants": variants([2, 3, 5], 500)},
        "excluded": {"filters": [group]},
        "held-out": {"filters": [holdout, group], "holdouts": [{"seed": "holdout", "ranges": [[0, 500]]}]},
        "everything": {
            "filters": [holdout, group],
            "targeting": TARGETS,
            "forced": FORCED,
            "variants": variants([2, 3, 5], 5_000),
        },
        "shadowed": {"shadowed": True, "forced": FORCED},
        "paused": {"status": "paused", "forced": FORCED},
        "completed": {"status": "completed", "forced": FORCED},
        "shipped": {"status": "completed", "shipped_variant": "other"},
        "salt-beyond-ascii": {"salt": "größe-🫖"},
    }
    return [
        make_entry(**({"slug": slug, "salt": f"{number:016x}", "variants": split} | state))
        for number, (slug, state) in enumerate(states.items(), start=1)
    ]


def visitors(count: int) -> list[dict[str, Any]]:
    """Make visitors with ids of several scripts; some lack some attributes."""
    return [visitor(number) for number in range(count)]


def visitor(number: int) -> dict[str, Any]:
    """Make one visitor; what it lacks is left out, as pages leave it out."""
    kinds = ("visitor-{}", "besucher-ü-{}", "посетитель-{}", "{:032x}", "訪問者-{}", "🫖-{}")
    attributes = {
        "id": kinds[0 if number < 12 else number % 6].format(number),
        "country": COUNTRIES[number % 5],
        "device": DEVICES[number % 3],
        "age": None if number % 7 == 0 else 15 + number % 40,
        "email": f"v{number}@example.{('org', 'com', 'net')[number % 3]}",
        "plan": {"tier": ("free", "gold")[number % 2]},
    }
    return {name: value for name, value in attributes.items() if value is not None}
