"""Which visitors to send, and what each of them should get: worked out from the document alone. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from catalog_experiments import targeting
from catalog_experiments.assignment import bucket, choose_variant, in_ranges

MOST_TRIED = 50_000
"""Ids tried for visitors of every variant: enough to find a variant of one basis point, in some milliseconds."""

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Expectation:
    """A made-up visitor and the key of the variant that the document gives it."""

    unit_id: str
    variant_key: str


def expectations(entry: Entry) -> tuple[Expectation, ...]:
    """Return one visitor per variant of a document's entry, control first; all get the control unless it runs.

    While it rests they are the visitors whom each variant had, so that a pause is seen where it matters. A variant
    that no visitor without attributes can reach is left out; when that leaves none, one visitor expects the control.
    """
    reached = _reached(entry)
    if not is_served(entry):
        rests_at = entry["shipped_variant"] or _control_key(entry)
        return tuple(Expectation(unit_id, rests_at) for unit_id in reached.values()) or (_anybody(entry, rests_at),)
    served = tuple(Expectation(unit_id, key) for key, unit_id in reached.items())
    return served or (_anybody(entry, _control_key(entry)),)


def is_served(entry: Entry) -> bool:
    """Say whether visitors get the variants of a document's entry: it runs, and no other one has its slot."""
    return entry["status"] == "running" and not entry["shadowed"]


def _reached(entry: Entry) -> dict[str, str]:
    """Return a visitor id for each variant that made-up ids reach, in the variants' order."""
    wanted, found = [variant["key"] for variant in entry["variants"]], dict[str, str]()
    for key, unit_id in islice(_enrolled(entry), MOST_TRIED):
        if key:
            found.setdefault(key, unit_id)
        if len(found) == len(wanted):
            break
    return {key: found[key] for key in wanted if key in found}


def _enrolled(entry: Entry) -> Iterator[tuple[str, str]]:
    """Yield (variant key, unit id) of made-up visitors without end; the key is '' for one outside the experiment."""
    ranges = [tuple(variant["range"]) for variant in entry["variants"]]
    is_met = targeting.compile_condition(entry["targeting"]) if entry["targeting"] else None
    number = 0
    while True:
        number += 1
        unit_id = f"confirmation-{number:08d}"
        position = choose_variant(ranges, bucket(entry["salt"], unit_id))
        is_in = position is not None and _passes(entry, unit_id) and (is_met is None or is_met({"id": unit_id}))
        yield (entry["variants"][position]["key"] if position is not None and is_in else ""), unit_id


def _passes(entry: Entry, unit_id: str) -> bool:
    filters: Sequence[Mapping[str, Any]] = entry["filters"]
    return all(in_ranges(bucket(item["seed"], unit_id), [tuple(pair) for pair in item["ranges"]]) for item in filters)


def _anybody(entry: Entry, variant_key: str) -> Expectation:
    return Expectation("confirmation-00000000", variant_key)


def _control_key(entry: Entry) -> str:
    return next(str(variant["key"]) for variant in entry["variants"] if variant["is_control"])
