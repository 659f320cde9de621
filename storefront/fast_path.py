"""The first middleware: answers decisions and payloads before session, CSRF and authentication are even looked at.

It does for these routes what the rest of the stack does for others: key, scope, CORS, rate limit, request id, ETag. A
warm GET asks neither the database nor Redis. Whatever fails becomes an answer the shop can live with.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from secrets import token_hex

import orjson
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.utils import timezone

from catalog_experiments.access import Caller, Scope
from catalog_experiments.allowances import Allowance
from catalog_experiments.api.authentication import presented_key
from catalog_experiments.api.problems import TOO_MANY, Problem
from catalog_experiments.api.renderers import PROBLEM_MEDIA_TYPE
from storefront import assignments, cross_origin, growthbook, ofrep
from storefront.answers import Answer
from storefront.document import reader
from storefront.questions import Refused
from storefront.rate_limits import RateLimiter

logger = logging.getLogger(__name__)

ASSIGNMENTS = "/api/v1/catalog/assignments"
OFREP = "/ofrep/v1/evaluate/flags"
FEATURES = "/api/features/"
EXPOSURES = "/api/v1/catalog/exposures"
LONGEST_BODY = 64_000
"""Bytes of a body; a visitor's attributes fit many times."""

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
ENTITY_TAG = re.compile(r'(?:W/)?("[^"]*")')
NO_KEY = Problem(401, "invalid_api_key", "Invalid API key", headers={"WWW-Authenticate": 'Bearer realm="smplat"'})
KEYS_UNKNOWN = Problem(
    503, "unavailable", "The keys can't be read at the moment; ask again in a second.", headers={"Retry-After": "1"}
)
FAILED = Problem(500, "server_error", "Something failed on our side; give the request id when you report it.")


class Denied(Exception):
    """The request gets no answer of its protocol, but this problem."""

    def __init__(self, problem: Problem) -> None:
        """Keep the problem."""
        super().__init__(problem.code)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Call:
    """One request on its way through: `part` is what stands in the address behind the route's own."""

    request: HttpRequest
    part: str = ""

    @property
    def query(self) -> str:
        """Return the query string as it came."""
        return str(self.request.META.get("QUERY_STRING", ""))

    def body(self) -> bytes:
        """Return the body.

        Raises:
            Denied: it comes in chunks, or is too long.
        """
        meta = self.request.META
        if meta.get("HTTP_TRANSFER_ENCODING") and not meta.get("CONTENT_LENGTH"):
            raise Denied(Problem(411, "length_required", "Send the body with a Content-Length, not in chunks."))
        length = str(meta.get("CONTENT_LENGTH") or "0")
        if not length.isdecimal() or int(length) > LONGEST_BODY:
            raise Denied(Problem(413, "body_too_large", f"The body is longer than {LONGEST_BODY:,} bytes."))
        return self.request.body


def _record(call: Call) -> Answer:
    kind = str(call.request.META.get("CONTENT_TYPE", "")).partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Denied(Problem(415, "unsupported_media_type", "Send the body as application/json in UTF-8."))
    return assignments.record(call.body(), now=timezone.now())


Handler = Callable[[Call], Answer]
Write = Callable[[Problem, HttpRequest], Answer]


def write_problem(problem: Problem, request: HttpRequest) -> Answer:
    """Return a refusal as RFC 9457 wants it."""
    return _refusal(problem, orjson.dumps(problem.body(request)), PROBLEM_MEDIA_TYPE)


def write_ofrep_error(problem: Problem, request: HttpRequest) -> Answer:
    """Return a refusal as OpenFeature clients read it."""
    body = {"errorCode": "GENERAL", "errorDetails": problem.detail}
    return _refusal(problem, orjson.dumps(body), "application/json")


def write_features_error(problem: Problem, request: HttpRequest) -> Answer:
    """Return a refusal as GrowthBook writes its own: an unknown key is a bad request, never an empty payload."""
    status = 400 if problem.status == 401 else problem.status
    body = {"status": status, "error": problem.detail}
    return Answer(status, orjson.dumps(body), {"Content-Type": "application/json", "Cache-Control": "no-store"})


def _refusal(problem: Problem, body: bytes, media_type: str) -> Answer:
    return Answer(problem.status, body, {**problem.headers, "Content-Type": media_type, "Cache-Control": "no-store"})


@dataclass(frozen=True, slots=True)
class Route:
    """One address: who answers which method, how refusals are written, and whether its address holds the key."""

    handlers: Mapping[str, Handler]
    write: Write
    holds_key: bool = False


NATIVE = Route({"GET": lambda call: assignments.show(call.query), "POST": _record}, write_problem)
ONE_FLAG = Route({"POST": lambda call: ofrep.evaluate_one(call.part, call.body())}, write_ofrep_error)
ALL_FLAGS = Route({"POST": lambda call: ofrep.evaluate_all(call.body())}, write_ofrep_error)
PAYLOAD = Route({"GET": lambda call: growthbook.features()}, write_features_error, holds_key=True)
EXACT = {ASSIGNMENTS: NATIVE, f"{ASSIGNMENTS}/": NATIVE, OFREP: ALL_FLAGS, f"{OFREP}/": ALL_FLAGS}
PREFIXES = ((f"{OFREP}/", ONE_FLAG), (FEATURES, PAYLOAD))


class FastPathMiddleware:
    """Answers its own routes; everything else passes untouched, but for exposures: browsers send them, and often."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        """Remember the next step."""
        self.get_response = get_response
        self._limiter = RateLimiter()

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer, or pass on."""
        path = request.path_info
        if (route := EXACT.get(path)) is not None:
            return self._respond(route, Call(request))
        for prefix, below in PREFIXES:
            if path.startswith(prefix):
                return self._respond(below, Call(request, path[len(prefix) :]))
        if path.startswith(EXPOSURES):
            return self._pass_to_exposures(request)
        return self.get_response(request)

    def _pass_to_exposures(self, request: HttpRequest) -> HttpResponseBase:
        if cross_origin.is_preflight(request.META):
            return _preflight(request, is_public=False)
        secret = presented_key(request)
        # The view looks the key up; here it only says whose calls are counted, apart from that key's decisions.
        allowance = self._limiter.take(hash(secret)) if secret else None
        response = _too_many(request) if allowance and allowance.is_exceeded else self.get_response(request)
        headers = allowance.headers() if allowance else {}
        if "HTTP_ORIGIN" in request.META:
            headers |= _granted(request, _caller_or_none(secret))
            headers["Vary"] = ", ".join(filter(None, (response.headers.get("Vary"), "Origin")))
        for name, value in headers.items():
            response.headers[name] = value
        return response

    def _respond(self, route: Route, call: Call) -> HttpResponseBase:
        request = call.request
        meta = request.META
        request_id = _request_id(request)
        if cross_origin.is_preflight(meta):
            return _preflight(request, is_public=route.holds_key)
        caller: Caller | None = None
        extra: dict[str, str] = {}
        try:
            handler = _handler(route, request)
            caller = _admitted(call.part if route.holds_key else presented_key(request), route)
            if (allowance := self._limiter.take(caller.key_id or caller.name)) is not None:
                extra = allowance.headers()
                _check(allowance)
            answer = handler(call)
        except (Denied, Refused) as denied:
            answer = route.write(denied.problem, request)
        except Exception:
            logger.exception("the fast path failed on request %s", request_id)
            answer = route.write(FAILED, request)
        return _response(route, request, answer, extra, caller)


def _request_id(request: HttpRequest) -> str:
    """Return the id the request came with, or one of our own, and keep it with the request."""
    offered = request.META.get("HTTP_X_REQUEST_ID", "")
    kept: str = offered if REQUEST_ID.fullmatch(offered) else token_hex(16)
    request.META["HTTP_X_REQUEST_ID"] = kept
    return kept


def _too_many(request: HttpRequest) -> HttpResponseBase:
    request_id = _request_id(request)
    response = TOO_MANY.response(request)
    response.headers["X-Request-ID"] = request_id
    return response


def _handler(route: Route, request: HttpRequest) -> Handler:
    method = "GET" if request.method == "HEAD" else str(request.method)
    handler = route.handlers.get(method)
    if handler is None:
        allowed = ", ".join(route.handlers)
        detail = f"This address answers {allowed} only."
        raise Denied(Problem(405, "method_not_allowed", detail, headers={"Allow": allowed}))
    return handler


def _admitted(secret: str | None, route: Route) -> Caller:
    """Return who calls.

    Raises:
        Denied: no valid key, one that may not evaluate, or a secret one in an address, which logs would keep.
    """
    if not secret:
        raise Denied(NO_KEY)
    held = reader()
    held.current()  # starts the reader of this process, and lets the first request wait for the keys
    caller = held.keys.find(secret)
    if caller is None:
        raise Denied(NO_KEY if held.keys.is_read else KEYS_UNKNOWN)
    if route.holds_key and caller.kind != "client":
        raise Denied(NO_KEY)
    if Scope.EVALUATE not in caller.scopes:
        raise Denied(Problem(403, "permission_denied", f"The key {caller.name!r} lacks the scope evaluate."))
    return caller


def _caller_or_none(secret: str | None) -> Caller | None:
    return reader().keys.find(secret) if secret else None


def _check(allowance: Allowance) -> None:
    if allowance.is_exceeded:
        raise Denied(TOO_MANY)


def _granted(request: HttpRequest, caller: Caller | None, *, is_public: bool = False) -> dict[str, str]:
    # A server key in a page is a secret given away: its answers are kept from the page, so that somebody notices.
    if caller is not None and caller.kind != "client":
        return {}
    return cross_origin.grant(request.META, is_public=is_public)


def _preflight(request: HttpRequest, *, is_public: bool) -> HttpResponseBase:
    headers = cross_origin.grant_preflight(request.META, is_public=is_public)
    return HttpResponse(status=204, headers={**headers, "Vary": "Origin", "Content-Length": "0"})


def _response(
    route: Route, request: HttpRequest, answer: Answer, extra: Mapping[str, str], caller: Caller | None
) -> HttpResponseBase:
    meta = request.META
    headers = {
        **answer.headers,
        **extra,
        "X-Request-ID": meta["HTTP_X_REQUEST_ID"],
        "X-Content-Type-Options": "nosniff",
    }
    if "HTTP_ORIGIN" in meta:
        headers.update(_granted(request, caller, is_public=route.holds_key))
    if answer.status == 200 and (held := meta.get("HTTP_IF_NONE_MATCH")) and _holds(held, headers.get("ETag")):
        del headers["Content-Type"]
        return PlainResponse(b"", 304, headers)
    headers["Content-Length"] = str(len(answer.body))
    return PlainResponse(b"" if request.method == "HEAD" else answer.body, answer.status, headers)


class PlainResponse(HttpResponse):
    """An answer whose headers are plain ASCII already, so that Django need not encode and check each of them again."""

    def __init__(self, body: bytes, status: int, headers: Mapping[str, str]) -> None:
        """Take the headers as they are: all of them are written here, or were checked on their way in."""
        super().__init__(body, content_type="application/json", status=status)
        # A third of the time of a warm answer went into setting nine headers one by one.
        self.headers._store = {name.lower(): (name, value) for name, value in headers.items()}  # noqa: SLF001


def _holds(header: str, tag: str | None) -> bool:
    if tag is None:
        return False
    return header.strip() == "*" or tag.removeprefix("W/") in ENTITY_TAG.findall(header)
