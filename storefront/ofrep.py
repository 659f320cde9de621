"""Decisions in the words of OpenFeature's remote evaluation protocol (OFREP 0.3): one flag per experiment.

Stands beside the walk's first step: the fast path hands over the body of a request and sends the answer. Its forms are
those that real clients demand, stricter here and there than the protocol: `value` (always an object), `variant` and
`reason` are never left out, a refusal always carries `errorDetails`, and an experiment that fails is one failed item.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b

import orjson

from catalog_experiments.targeting.coercion import to_text
from storefront.answers import Answer
from storefront.bulk import decide_all
from storefront.decisions import Decision, decide
from storefront.document import reader
from storefront.plans import flag_value
from storefront.questions import LONGEST_UNIT_ID, Question

_HEADERS = {
    "Content-Type": "application/json",
    "Cache-Control": "private, no-cache",
    "Vary": "Authorization, X-API-Key, Origin",
}


class Refused(ValueError):
    """A request that cannot be evaluated: the protocol's error code, and a sentence that names the remedy."""

    def __init__(self, code: str, details: str) -> None:
        """Keep both."""
        super().__init__(details)
        self.code = code
        self.details = details


def evaluate_one(key: str, body: bytes) -> Answer:
    """Answer for one flag: 200 with its value, 400 or 404 with an error code, 500 while no document is held."""
    try:
        question = read_question(body)
    except Refused as refused:
        return _error(400, {"key": key, "errorCode": refused.code, "errorDetails": refused.details})
    is_fresh = reader().current() is not None
    if not is_fresh and reader().last_seen() is None:
        return _unavailable({"key": key})
    decision = decide(question.unit_id, question.context, slug=key)
    if decision is None or not (is_fresh or decision.variant_key):
        return _error(
            404, {"key": key, "errorCode": "FLAG_NOT_FOUND", "errorDetails": f"No experiment {key} is known."}
        )
    if is_fresh:
        return Answer(400 if decision.reason == "ERROR" else 200, item(decision), _HEADERS)
    return Answer(200, stand_in(decision), _HEADERS)


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
    current = held.current()
    snapshot = current or held.last_seen()
    if snapshot is None:
        return _unavailable({})
    write = stand_in if current is None else item
    flags = b",".join([ready.text(write) for ready in decide_all(question.unit_id, question.context)])
    not_after = held.not_after_text()
    about = b'],"metadata":{"version":%d,"notAfter":"%s"}}' % (snapshot.version, not_after.encode())
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
    if not isinstance(key, str) or len(key) > LONGEST_UNIT_ID or "\x00" in key:
        wanted = f"a text of 1 to {LONGEST_UNIT_ID} characters"
        raise Refused("INVALID_CONTEXT", f"context.targetingKey must be {wanted}.")
    return key


def item(decision: Decision) -> bytes:
    """Return a decision as the protocol's evaluation of one flag; a failed one carries an error code, no value."""
    if decision.reason != "ERROR":
        return _evaluation(decision, decision.reason)
    details = "This experiment could not be evaluated; use the page's own content."
    return orjson.dumps({"key": decision.experiment, "errorCode": "GENERAL", "errorDetails": details})


def stand_in(decision: Decision) -> bytes:
    """Return a decision made past the lease: control, as nobody knows whether the experiment still runs."""
    return _evaluation(decision, "UNKNOWN" if decision.reason == "ERROR" else decision.reason)


def _evaluation(decision: Decision, reason: str) -> bytes:
    metadata = {"experiment": decision.experiment, "inExperiment": decision.is_enrolled, "phase": decision.phase}
    if decision.is_holdout:
        metadata["inHoldout"] = True
    return orjson.dumps(
        {
            "key": decision.experiment,
            "reason": reason,
            "variant": decision.variant_key,
            "value": flag_value(decision.bundle, decision.payload),
            "metadata": metadata,
        }
    )


def _error(status: int, problem: Mapping[str, str]) -> Answer:
    return Answer(status, orjson.dumps(problem), _HEADERS)


def _unavailable(named: Mapping[str, str]) -> Answer:
    # The protocol wants the details only; clients call a 500 without a code unexpected.
    details = "No experiments are known yet; ask again in a second."
    return _error(500, {**named, "errorCode": "GENERAL", "errorDetails": details})
