"""Decisions in the words of OpenFeature's remote evaluation protocol (OFREP 0.3): one flag per experiment.

Stands beside the walk's first step: the fast path hands over the body of a request and sends the answer. Its forms are
those that real clients demand, stricter here and there than the protocol: `value` (always an object), `variant` and
`reason` are never left out, a refusal always carries `errorDetails`, and an experiment that fails is one failed item.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson
from django.utils import timezone

from catalog_experiments.targeting.coercion import to_text
from storefront.answers import Answer
from storefront.decisions import Decision, control, decide_with
from storefront.document import DocumentReader, Plan, Snapshot, reader

LONGEST_TARGETING_KEY = 150
"""Characters of a unit's id; a longer one could not be reported as exposed."""

_HEADERS = {
    "Content-Type": "application/json",
    "Cache-Control": "private, no-cache",
    "Vary": "Authorization, X-API-Key",
}


class Refused(ValueError):
    """A request that cannot be evaluated: the protocol's error code, and a sentence that names the remedy."""

    def __init__(self, code: str, details: str) -> None:
        """Keep both."""
        super().__init__(details)
        self.code = code
        self.details = details


class Question(NamedTuple):
    """Whom the request asks for: the unit's id, and its attributes for targeting."""

    unit_id: str
    context: Mapping[str, Any]


class Item(NamedTuple):
    """The evaluation of one flag as JSON; a failed one carries an error code instead of a value."""

    json: bytes
    is_failed: bool = False


@dataclass(frozen=True, slots=True)
class Rulebook:
    """The document that answers are made from, and every item written so far: they are the same for all visitors."""

    snapshot: Snapshot
    is_fresh: bool
    items: dict[tuple[str, str, str], Item] = field(default_factory=dict)


def evaluate_one(key: str, body: bytes) -> Answer:
    """Answer for one flag: 200 with its value, 400 or 404 with an error code, 500 while no document is held."""
    try:
        question = read_question(body)
    except Refused as refused:
        return _error(400, {"key": key, "errorCode": refused.code, "errorDetails": refused.details})
    rulebook = _current_rulebook(reader())
    if rulebook is None:
        return _unavailable()
    plan = rulebook.snapshot.plans.get(key)
    if plan is None:
        details = f"No experiment {key} was published, or it lies too far back."
        return _error(404, {"key": key, "errorCode": "FLAG_NOT_FOUND", "errorDetails": details})
    item = evaluate(rulebook, plan, question)
    return Answer(400 if item.is_failed else 200, item.json, _HEADERS)


def evaluate_all(body: bytes) -> Answer:
    """Answer for all flags at once, the failed ones among them; 400 and 500 as for one flag.

    The ETag hashes the evaluated items. What the whole answer says of itself stands outside of it: the document's
    version, and until when the answer may be used.
    """
    try:
        question = read_question(body)
    except Refused as refused:
        return _error(400, {"errorCode": refused.code, "errorDetails": refused.details})
    held = reader()
    rulebook = _current_rulebook(held)
    if rulebook is None:
        return _unavailable()
    plans = rulebook.snapshot.plans.values()
    flags = b",".join([evaluate(rulebook, plan, question).json for plan in plans])
    not_after = held.not_after(timezone.now()).isoformat(timespec="seconds")
    about = b'],"metadata":{"version":%d,"notAfter":"%s"}}' % (rulebook.snapshot.version, not_after.encode())
    etag = f'"{blake2b(flags, digest_size=16).hexdigest()}"'
    return Answer(200, b'{"flags":[' + flags + about, {**_HEADERS, "ETag": etag})


def read_question(body: bytes) -> Question:
    """Return whom a request's body asks for; a number as targeting key counts as JavaScript writes it.

    Raises:
        Refused: the body is no JSON object, its context none, or the targeting key missing, too long or no text.
    """
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as broken:
        raise Refused("PARSE_ERROR", f"The body is no JSON: {broken}.") from broken
    if not isinstance(request, dict):
        raise Refused("PARSE_ERROR", 'The body must be an object such as {"context": {"targetingKey": "visitor-1"}}.')
    context = request.get("context")
    if context is None:
        context = {}
    if not isinstance(context, dict):
        raise Refused("INVALID_CONTEXT", "The context must be an object.")
    return Question(_read_targeting_key(context.pop("targetingKey", None)), context)


def _read_targeting_key(key: object) -> str:
    if key is None or key == "":
        raise Refused("TARGETING_KEY_MISSING", "context.targetingKey is missing: send the visitor's id.")
    if isinstance(key, int | float) and not isinstance(key, bool):
        key = to_text(key)
    if not isinstance(key, str) or len(key) > LONGEST_TARGETING_KEY or "\x00" in key:
        raise Refused(
            "INVALID_CONTEXT", f"context.targetingKey must be a text of 1 to {LONGEST_TARGETING_KEY} characters."
        )
    return key


def evaluate(rulebook: Rulebook, plan: Plan, question: Question) -> Item:
    """Return one experiment's item for one visitor. Never raises."""
    if rulebook.is_fresh or plan.status != "running":
        decision = decide_with(plan, question.unit_id, question.context)
    else:
        decision = control(plan, "ERROR")
    place = (decision.experiment, decision.variant_key, decision.reason)
    item = rulebook.items.get(place)
    if item is None:
        item = rulebook.items[place] = _written(decision, plan, is_fresh=rulebook.is_fresh)
    return item


def _written(decision: Decision, plan: Plan, *, is_fresh: bool) -> Item:
    if decision.reason == "ERROR" and (is_fresh or plan.broken):
        details = "This experiment could not be evaluated; use the page's own content."
        return Item(orjson.dumps({"key": plan.slug, "errorCode": "GENERAL", "errorDetails": details}), is_failed=True)
    variant = plan.variant(decision.variant_key) or plan.control
    answer = {
        "key": plan.slug,
        # Past the lease nobody knows whether the experiment still runs; the protocol's word for that is UNKNOWN.
        "reason": "UNKNOWN" if decision.reason == "ERROR" else decision.reason,
        "variant": variant.key,
        "value": variant.value,
        "metadata": {"experiment": plan.slug, "inExperiment": decision.is_enrolled, "phase": plan.phase},
    }
    return Item(orjson.dumps(answer))


_rulebook: Rulebook | None = None


def _current_rulebook(held: DocumentReader) -> Rulebook | None:
    # Two threads may make one at once: either serves, the last one stays.
    global _rulebook
    current = held.current()
    snapshot = current or held.last_seen()
    if snapshot is None:
        return None
    rulebook, is_fresh = _rulebook, current is not None
    if rulebook is None or rulebook.snapshot is not snapshot or rulebook.is_fresh is not is_fresh:
        rulebook = _rulebook = Rulebook(snapshot, is_fresh)
    return rulebook


def _error(status: int, problem: Mapping[str, str]) -> Answer:
    return Answer(status, orjson.dumps(problem), _HEADERS)


def _unavailable() -> Answer:
    # Under 500 the clients keep what they have, or use the page's own content.
    return _error(500, {"errorDetails": "No experiments are known yet; ask again in a second."})
