"""The native protocol: which variant of each experiment a visitor gets and, asked by POST, a record that it met it.

Stands beside `ofrep` and `growthbook` at the first step of the walk. GET reads and never enrols. POST is for shops that
render on the server: it decides and records the exposures of enrolled visitors in one call, so it is sent when the slot
is reached, naming the slot's page or experiment.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from hashlib import blake2b
from typing import Any

import orjson

from catalog_experiments import intake
from storefront import decisions
from storefront.answers import Answer
from storefront.bulk import decide_all
from storefront.decisions import Decision
from storefront.document import reader
from storefront.questions import Question, read_body, read_query
from storefront.visitors import segments_of

logger = logging.getLogger(__name__)

_HEADERS = {
    "Content-Type": "application/json",
    "Cache-Control": "private, no-cache",
    "Vary": "Authorization, X-API-Key, Origin",
}


@dataclass(frozen=True, slots=True)
class Assignment:
    """What the visitor gets in one experiment, and why."""

    experiment: str = field(metadata={"help": "The experiment's slug."})
    product_slug: str = field(metadata={"help": "The product page of the slot."})
    variant_key: str = field(
        metadata={"help": "The variant to show; send it, with the phase, when reporting exposures."}
    )
    is_enrolled: bool = field(metadata={"help": "Only an enrolled visitor counts, and may be reported as exposed."})
    is_holdout: bool = field(metadata={"help": "Held out of all experiments to compare with; report it as such."})
    reason: str = field(
        metadata={
            "help": "Why this variant.",
            "enum": ["SPLIT", "STATIC", "TARGETING_MATCH", "DISABLED", "ERROR"],
        }
    )
    phase: int = field(metadata={"help": "The phase the decision belongs to; 0 when none is known."})
    bundle: Mapping[str, Any] | None = field(metadata={"help": "The offer to show; null for no offer."})
    payload: Mapping[str, Any] = field(metadata={"help": "What the page applies beside it."})


@dataclass(frozen=True, slots=True)
class Recorded:
    """What became of the exposure of one assignment."""

    experiment: str = field(metadata={"help": "The experiment's slug."})
    outcome: str = field(metadata={"help": "What became of it.", "enum": ["accepted", "duplicate", "rejected"]})
    code: str = field(metadata={"help": "Why, for programs; empty when accepted."})
    detail: str = field(metadata={"help": "Why, for people."})


@dataclass(frozen=True, slots=True)
class Assignments:
    """Everything decided for one visitor."""

    assignments: Sequence[Assignment] = field(metadata={"help": "In the order of the published document."})
    document_version: int = field(metadata={"help": "The version of the published document; 0 when none is known."})
    not_after: str | None = field(
        metadata={"help": "Until when the answer may be used, if nothing newer can be had.", "format": "date-time"}
    )


@dataclass(frozen=True, slots=True)
class RecordedAssignments(Assignments):
    """The same, and what became of each exposure."""

    exposures: Sequence[Recorded] = field(metadata={"help": "One for each who is enrolled or held out, after commit."})


@dataclass(frozen=True, slots=True)
class AssignmentsRequest:
    """Whom to decide for. Without experiments and products it is every experiment."""

    unit_id: str = field(metadata={"help": "The visitor's id, 1 to 255 characters."})
    context: Mapping[str, Any] = field(
        default_factory=dict,
        metadata={"help": "Attributes for targeting; device and country are recorded with an exposure, as segments."},
    )
    experiments: Sequence[str] = field(default=(), metadata={"help": "Only these experiments, by slug."})
    products: Sequence[str] = field(default=(), metadata={"help": "Only the slots of these product pages, by slug."})


def show(query: str) -> Answer:
    """Answer GET: decide and record nothing. The ETag hashes everything but `not_after`, and is weak for that.

    Raises:
        Refused: the query is not understood.
    """
    question = read_query(query)
    if question.is_narrowed:
        text = _opened(decided := _decided(question), [render(decision) for decision in decided])
    else:
        ready = decide_all(question.unit_id, question.context)
        text = _opened([one.decision for one in ready[:1]], [one.text(render) for one in ready])
    return Answer(200, text + _closed(), {**_HEADERS, "ETag": f'W/"{blake2b(text, digest_size=16).hexdigest()}"'})


def record(body: bytes, *, now: datetime) -> Answer:
    """Answer POST: decide, record who is enrolled or held out, and answer after commit.

    The decisions are answered also when telemetry is away; `exposures` then says `unavailable`.

    Raises:
        Refused: the body is not understood.
    """
    question = read_body(body)
    decided = _decided(question)
    counted = [decision for decision in decided if decision.is_enrolled or decision.is_holdout]
    recorded = _record(counted, question, now)
    text = _opened(decided, [render(decision) for decision in decided])
    headers = _HEADERS | {"Cache-Control": "no-store"}
    return Answer(200, text + b',"exposures":%s' % orjson.dumps(recorded) + _closed(), headers)


def _decided(question: Question) -> list[Decision]:
    if not question.is_narrowed:
        return [ready.decision for ready in decide_all(question.unit_id, question.context)]
    decide = partial(decisions.decide, question.unit_id, question.context)
    found = [decide(slug=slug) for slug in question.experiments]
    found += [decide(product_slug=slug) for slug in question.products]
    # Where nothing is known of an experiment, a decision has no variant to name.
    return list({one.experiment: one for one in found if one is not None and one.variant_key}.values())


def render(decision: Decision) -> bytes:
    """Return one decision as the JSON of an `Assignment`."""
    assignment = Assignment(
        decision.experiment,
        decision.product_slug,
        decision.variant_key,
        decision.is_enrolled,
        decision.is_holdout,
        decision.reason,
        decision.phase,
        decision.bundle,
        decision.payload,
    )
    return orjson.dumps(assignment)


def _opened(decided: Sequence[Decision], items: Sequence[bytes]) -> bytes:
    held = reader().last_seen()
    version = decided[0].document_version if decided else held.version if held else 0
    return b'{"assignments":[%s],"document_version":%d' % (b",".join(items), version)


def _closed() -> bytes:
    held = reader()
    if held.last_seen() is None:
        return b',"not_after":null}'
    return b',"not_after":"%s"}' % held.not_after_text().encode()


def _record(counted: Sequence[Decision], question: Question, now: datetime) -> list[Recorded]:
    if not counted:
        return []
    try:
        results = intake.record_exposures([_event(decision, question, now) for decision in counted], now=now)
    except Exception:
        # The page must get its offer; what is missing in telemetry is told, so that the shop may send it again.
        logger.exception("exposures of a decision were not recorded")
        detail = "Telemetry is away; report the exposure again later."
        return [Recorded(one.experiment, "rejected", "unavailable", detail) for one in counted]
    return [
        Recorded(one.experiment, result.outcome, result.code, result.detail)
        for one, result in zip(counted, results, strict=True)
    ]


def _event(decision: Decision, question: Question, now: datetime) -> intake.ExposureEvent:
    return intake.ExposureEvent(
        experiment=decision.experiment,
        unit_id=question.unit_id,
        variant_key=decision.variant_key,
        exposed_at=now,
        phase=decision.phase,
        segments=segments_of(question.context),
        is_holdout=decision.is_holdout,
    )
