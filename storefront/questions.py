"""What a caller of the native protocol asks: read strictly from a query string or a JSON body."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote_plus

import orjson

from catalog_experiments.api.parsers import Limits, MalformedBody, read_json
from catalog_experiments.api.problems import FieldProblem, Problem

BODY_LIMITS = Limits(size=64_000, keys=1_000)
LONGEST_UNIT_ID = 255
MOST_NAMED = 100
PARAMETERS = ("unit_id", "experiment", "product", "context")
PLAIN_QUERY = re.compile(r"unit_id=([A-Za-z0-9._~:-]{1,255})")
"""What most callers send, and needs no decoding."""

FIELDS = frozenset({"unit_id", "context", "experiments", "products"})


class Refused(ValueError):
    """The request can't be answered; `problem` is what to tell the caller."""

    def __init__(self, problem: Problem) -> None:
        """Keep the problem."""
        super().__init__(problem.detail)
        self.problem = problem


class Question(NamedTuple):
    """Whom and what the caller asks about; no names at all means every experiment."""

    unit_id: str
    context: Mapping[str, Any]
    experiments: Sequence[str] = ()
    products: Sequence[str] = ()

    @property
    def is_narrowed(self) -> bool:
        """Say whether it names experiments or products."""
        return bool(self.experiments or self.products)


def read_query(query: str) -> Question:
    """Return what a query string asks.

    Raises:
        Refused: an unknown, repeated or malformed parameter, or no `unit_id`.
    """
    if (plain := PLAIN_QUERY.fullmatch(query)) is not None:
        return Question(plain[1], {})
    values = _parameters(query)
    context = values["context"]
    return Question(
        unit_id=_unit_id(values["unit_id"][-1] if values["unit_id"] else None, _refuse_query),
        context=_context_of(context[0]) if context else {},
        experiments=values["experiment"],
        products=values["product"],
    )


def _parameters(query: str) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {name: [] for name in PARAMETERS}
    pairs = query.split("&") if query else []
    if len(pairs) > 2 * MOST_NAMED:
        raise _refuse_query("experiment", f"Name at most {MOST_NAMED}.")
    for pair in pairs:
        name, _, value = pair.partition("=")
        name = _decoded(name)
        if name not in values:
            raise _refuse_query(name[:40], f"This address has no such parameter: it takes {', '.join(PARAMETERS)}.")
        if values[name] and name in ("unit_id", "context"):
            raise _refuse_query(name, "Give it once.")
        values[name].append(_decoded(value))
    return values


def _decoded(text: str) -> str:
    if "%" not in text and "+" not in text:
        return text
    try:
        return unquote_plus(text, errors="strict")
    except UnicodeDecodeError:
        raise _refuse_query("unit_id", "The query is not UTF-8.") from None


def _context_of(text: str) -> Mapping[str, Any]:
    try:
        context = orjson.loads(text.encode("utf-8", "surrogatepass"))
    except orjson.JSONDecodeError as malformed:
        raise _refuse_query("context", f"It is no JSON: {malformed}.") from None
    if not isinstance(context, dict):
        raise _refuse_query("context", 'It must be a JSON object such as {"country": "DE"}.')
    return context


def read_body(body: bytes) -> Question:
    """Return what the body of a POST asks.

    Raises:
        Refused: no JSON object, an unknown field, or a field of the wrong type.
    """
    try:
        values = read_json(body, BODY_LIMITS)
    except MalformedBody as malformed:
        raise Refused(Problem(400, str(malformed.get_codes()), str(malformed.detail))) from None
    if not isinstance(values, dict):
        raise _refuse_field("body", 'Send an object like {"unit_id": "visitor-1"}.')
    if unknown := sorted(values.keys() - FIELDS):
        raise _refuse_field(unknown[0][:100], "There is no such field.", "unknown_field")
    context = values.get("context", {})
    if not isinstance(context, dict):
        raise _refuse_field("context", 'It must be an object such as {"country": "DE"}.')
    return Question(
        unit_id=_unit_id(values.get("unit_id"), _refuse_field),
        context=context,
        experiments=_names(values, "experiments"),
        products=_names(values, "products"),
    )


def _unit_id(value: object, refuse: Callable[[str, str, str], Refused]) -> str:
    if value is None:
        raise refuse("unit_id", "It is missing: send the visitor's id.", "required")
    if not isinstance(value, str) or not 1 <= len(value) <= LONGEST_UNIT_ID or "\x00" in value:
        raise refuse("unit_id", f"It must be a text of 1 to {LONGEST_UNIT_ID} characters.", "invalid")
    return value


def _names(values: Mapping[str, object], name: str) -> Sequence[str]:
    names = values.get(name, [])
    if not isinstance(names, list) or len(names) > MOST_NAMED or not all(isinstance(one, str) for one in names):
        raise _refuse_field(name, f"It must be a list of at most {MOST_NAMED} slugs.")
    return names


def _refuse_query(name: str, sentence: str, code: str = "invalid") -> Refused:
    return Refused(Problem(400, "invalid_query", f"{name}: {sentence}", (FieldProblem(name, code, sentence),)))


def _refuse_field(name: str, sentence: str, code: str = "invalid") -> Refused:
    return Refused(Problem(422, "invalid", f"{name}: {sentence}", (FieldProblem(name, code, sentence),)))
