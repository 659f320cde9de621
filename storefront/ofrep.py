"""Decisions in the words of OpenFeature's remote evaluation protocol (OFREP 0.3): one flag per experiment.

Stands beside the walk's first step: the fast path hands over a request's body and sends what comes back. The forms are
those that real clients demand, stricter here and there than the protocol: `value` (always an object), `variant` and
`reason` are never left out, a refusal always carries `errorDetails`, and one experiment that fails is one failed item.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import orjson
from django.utils import timezone

from catalog_experiments.targeting.coercion import to_text
from storefront.answers import Answer
from storefront.decisions import Decision, control, decide_with
from storefront.document import Plan, Snapshot, reader

LONGEST_TARGETING_KEY = 150
"""Characters of a unit's id; longer ones could never be reported as exposed."""

_JSON = {"Content-Type": "application/json", "Cache-Control": "private, no-cache", "Vary": "Authorization, X-API-Key"}


class Refused(ValueError):
    """A request cannot be evaluated: the protocol's error code and a sentence that names the remedy."""

    def __init__(self, code: str, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


@dataclass(frozen=True, slots=True)
class Question:
    """Who asks: the unit's id, and its attributes without it."""

    unit_id: str
    context: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Rules:
    """What answers are made from; items once written are kept, for they are the same for every visitor."""

    snapshot: Snapshot
    is_fresh: bool
    items: dict[tuple[str, str, str], bytes] = field(default_factory=dict)


_rules: _Rules | None = None


def evaluate_one(key: str, body: bytes) -> Answer:
    """Answer for one flag: 200 with its value, 400 or 404 with an error code, 500 before any document is held."""
    try:
        question = parse_question(body)
    except Refused as refused:
        return _error(400, refused.code, refused.details, key=key)
    rules = _current_rules()
    if rules is None:
        return _unavailable()
    plan = rules.snapshot.plans.get(key)
    if plan is None:
        return _error(404, "FLAG_NOT_FOUND", f"There is no published experiment {key!r}.", key=key)
    item = _item(rules, plan, question)
    return Answer(400 if b'"errorCode"' in item[:_PEEK] and _failed(item) else 200, item, _JSON)


def evaluate_all(body: bytes) -> Answer:
    """Answer for every flag at once, those that fail as items of their own, with an ETag over all items."""
