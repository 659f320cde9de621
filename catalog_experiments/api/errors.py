"""The one table from what the domain raises to what HTTP answers."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpResponse
from rest_framework import exceptions

from catalog_experiments.api.problems import RETRY_AFTER_SECONDS, TOO_MANY, UNAVAILABLE, FieldProblem, Problem, flatten
from catalog_experiments.bundles import BundleInUse, BundleNotFound, DuplicateBundle, InvalidBundle
from catalog_experiments.drafting import DuplicateSlug
from catalog_experiments.drafting.validation import InvalidExperiment
from catalog_experiments.field_errors import FieldError
from catalog_experiments.guardrails import GuardrailConfigError
from catalog_experiments.lifecycle import IllegalMove, PreflightFailed, ReasonRequired
from catalog_experiments.locking import ExperimentNotFound, StaleVersion
from catalog_experiments.ramping import RampRefused

logger = logging.getLogger(__name__)

WIRE_NAMES = {"owner_username": "owner", "winner_key": "winner"}


def problem_handler(exception: Exception, context: Mapping[str, Any]) -> HttpResponse | None:
    """Turn what a view raised into a problem; None lets an unforeseen fault become a logged 500."""
    problem = translate(exception)
    return problem.response(context.get("request")) if problem else None


def translate(exception: Exception) -> Problem | None:
    """Return the problem of a foreseen exception, None for any other."""
    for kind, build in PROBLEMS.items():
        if isinstance(exception, kind):
            return build(exception)
    return None


def _illegal_move(exception: IllegalMove) -> Problem:
    members = {"present_status": exception.status, "legal_moves": list(exception.legal)}
    return Problem(409, "illegal_move", str(exception), members=members)


def _stale(exception: StaleVersion) -> Problem:
    detail = "The experiment has changed since you read it; read it again and repeat your change on what it is now."
    return Problem(412, "stale_version", detail, members={"current_version": exception.actual})


def _preflight(exception: PreflightFailed) -> Problem:
    failed = [check for check in exception.checks if check.outcome == "fail"]
    errors = tuple(FieldProblem("preflight", check.code, check.sentence) for check in failed)
    return Problem(409, "preflight_failed", "The launch checklist has failures; nothing was published.", errors)


def _reason_required(exception: ReasonRequired) -> Problem:
    message = str(exception) or "Say why."
    return Problem(422, "reason_required", message, (FieldProblem("reason", "required", message),))


def _ramp_refused(exception: RampRefused) -> Problem:
    return Problem(409, "ramp_refused", str(exception))


def _invalid_experiment(exception: InvalidExperiment) -> Problem:
    return _invalid(exception.errors, lambda field: WIRE_NAMES.get(field, field))


def _invalid_bundle(exception: InvalidBundle) -> Problem:
    return _invalid(exception.errors, _in_camel_case)


def _invalid(found: Iterable[FieldError], wire_name: Callable[[str], str]) -> Problem:
    errors = tuple(FieldProblem(wire_name(error.field), error.code, error.message) for error in found)
    return Problem(422, "invalid", _summary(errors), errors)


def _in_camel_case(field: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match.group(1).upper(), field)


def _broken_guardrails(exception: GuardrailConfigError) -> Problem:
    errors = tuple(FieldProblem(f"guardrail_config.{e.field}", e.code, e.message) for e in exception.errors)
    return Problem(409, "guardrails_invalid", "The stored guardrails can't be judged; put them right first.", errors)


def _invalid_fields(exception: exceptions.ValidationError) -> Problem:
    errors = tuple(flatten(exception.detail))
    return Problem(422, "invalid", _summary(errors), errors)


def _summary(errors: tuple[FieldProblem, ...]) -> str:
    first = f"{errors[0].field}: {errors[0].detail}" if errors else "The body is not valid."
    return first if len(errors) < 2 else f"{first} ({len(errors) - 1} more in errors.)"


def _duplicate_slug(exception: DuplicateSlug) -> Problem:
    return Problem(409, "duplicate_slug", str(exception), (FieldProblem("slug", "duplicate", str(exception)),))


def _duplicate_bundle(exception: DuplicateBundle) -> Problem:
    return Problem(409, "duplicate_slug", str(exception), (FieldProblem("bundleSlug", "duplicate", str(exception)),))


def _bundle_in_use(exception: BundleInUse) -> Problem:
    return Problem(409, "bundle_in_use", str(exception), members={"experiments": list(exception.experiments)})


def _unknown(exception: LookupError) -> Problem:
    return Problem(404, "not_found", str(exception))


def _refused(exception: exceptions.APIException) -> Problem:
    headers = {}
    if challenge := getattr(exception, "auth_header", None):
        headers["WWW-Authenticate"] = str(challenge)
    code = str(getattr(exception.detail, "code", exception.default_code))
    return Problem(exception.status_code, code, str(exception.detail), headers=headers)


def _unsupported(exception: exceptions.UnsupportedMediaType) -> Problem:
    told = str(exception.detail)
    if told.startswith("Unsupported media type"):  # the framework's own words, which name no remedy
        told = "Send JSON, with the header Content-Type: application/json."
    return Problem(exception.status_code, str(exception.default_code), told)


def _too_many(exception: exceptions.Throttled) -> Problem:
    return TOO_MANY


def _not_found(exception: Http404) -> Problem:
    # The exception's own text may name models.
    return Problem(404, "not_found", "There is nothing at this address.")


def _forbidden(exception: PermissionDenied) -> Problem:
    return Problem(403, "permission_denied", "This is not allowed.")


def _busy(exception: Exception) -> Problem:
    logger.error("database unavailable or too slow", exc_info=exception)
    return Problem(503, "unavailable", UNAVAILABLE, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


def _clash(exception: Exception) -> Problem:
    logger.warning("a write met a database constraint", exc_info=exception)
    detail = "Another change came in between, or a rule of the database forbids this; nothing was changed. Read again."
    return Problem(409, "conflict", detail)


PROBLEMS: dict[type[Exception], Callable[[Any], Problem]] = {
    IllegalMove: _illegal_move,
    StaleVersion: _stale,
    PreflightFailed: _preflight,
    ReasonRequired: _reason_required,
    RampRefused: _ramp_refused,
    InvalidExperiment: _invalid_experiment,
    DuplicateSlug: _duplicate_slug,
    ExperimentNotFound: _unknown,
    InvalidBundle: _invalid_bundle,
    DuplicateBundle: _duplicate_bundle,
    BundleInUse: _bundle_in_use,
    BundleNotFound: _unknown,
    GuardrailConfigError: _broken_guardrails,
    exceptions.ValidationError: _invalid_fields,
    exceptions.UnsupportedMediaType: _unsupported,
    exceptions.Throttled: _too_many,
    exceptions.APIException: _refused,
    Http404: _not_found,
    PermissionDenied: _forbidden,
    IntegrityError: _clash,
    OperationalError: _busy,
    InterfaceError: _busy,
}
