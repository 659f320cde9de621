"""Visits to the three places where shoppers meet an experiment; each says in a sentence what it found wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import orjson
import requests
from django.conf import settings

from catalog_experiments.confirmation.expectations import Entry, Expectation, expectations, is_served
from catalog_experiments.publication.probe_visits import ANSWER_HEADER, REQUEST_HEADER, sign_probe

TIMEOUT_SECONDS = 3.0
KNOCKS = 4
"""Times each place is asked at least: every process behind an address should have its turn."""

BROWSER = "Mozilla/5.0 (X11; Linux x86_64) smplat-confirmation"


class Surprise(Exception):
    """A place serves something else than the document says; the message ends the sentence that names the place."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What the newest document says of one experiment; a place may be ahead of `version`, never behind."""

    entry: Entry
    version: int
    issued_at: str


def look(promise: Promise) -> str:
    """Visit every place and return the first thing that is not as promised, in a sentence; '' when all is."""
    for name, look_at in PLACES.items():
        try:
            look_at(promise)
        except Surprise as surprise:
            return f"{name} {surprise}."
        except (requests.RequestException, ValueError, KeyError, TypeError) as error:
            return f"{name} cannot be read ({type(error).__name__})."
    return ""


def _look_at_page(promise: Promise) -> None:
    entry = promise.entry
    address = f"{settings.STOREFRONT_BASE_URL}/products/{entry['anchor_product_slug']}"
    for expected in _in_turn(promise):
        cookies = {"visitor": expected.unit_id}
        answer = _ask("GET", address, headers={REQUEST_HEADER: sign_probe()}, cookies=cookies)
        decision = orjson.loads(answer.headers.get(ANSWER_HEADER) or "{}")
        if not decision:
            raise Surprise("does not say which decision it shows")
        _require_version(decision["document"], promise)
        # A browser's own attributes may let a visitor in or keep it out: of what is served only an open experiment can
        # be foretold here. At rest everybody gets the same.
        is_foretold = not (entry["targeting"] and is_served(entry))
        if is_foretold and (decision["experiment"] == entry["slug"] or is_served(entry)):
            _require_variant(decision["variant"], expected)


def _look_at_ofrep(promise: Promise) -> None:
    key = settings.STOREFRONT_CLIENT_KEY or settings.CHECKOUT_API_KEY
    address = f"{settings.API_BASE_URL}/ofrep/v1/evaluate/flags"
    for expected in _in_turn(promise) if key else ():
        body = {"context": {"targetingKey": expected.unit_id}}
        answer = _ask("POST", address, json=body, headers={"X-API-Key": key}).json()
        _require_version(answer["metadata"]["version"], promise)
        flags = {flag["key"]: flag for flag in answer["flags"]}
        _require_variant(flags[promise.entry["slug"]].get("variant"), expected)


def _look_at_payload(promise: Promise) -> None:
    key, entry = settings.STOREFRONT_CLIENT_KEY, promise.entry
    for _ in range(KNOCKS if key else 0):
        answer = _ask("GET", f"{settings.API_BASE_URL}/api/features/{key}").json()
        if answer["dateUpdated"] < promise.issued_at:
            raise Surprise(f"is still that of {answer['dateUpdated']}")
        splits = {rule["seed"] for rule in answer["features"][entry["slug"]]["rules"] if "variations" in rule}
        if splits != ({entry["salt"]} if is_served(entry) else set()):
            raise Surprise("does not split the visitors" if is_served(entry) else "still splits the visitors")


PLACES: dict[str, Callable[[Promise], None]] = {
    "The product page": _look_at_page,
    "The OFREP route": _look_at_ofrep,
    "The GrowthBook payload": _look_at_payload,
}
"""Without a client key in the settings the payload is left out, and without any key the OFREP route too."""


def _in_turn(promise: Promise) -> Iterator[Expectation]:
    """Yield the visitors to send, each at least once and `KNOCKS` visits in all at least."""
    visitors = expectations(promise.entry)
    for number in range(max(KNOCKS, len(visitors))):
        yield visitors[number % len(visitors)]


def _ask(method: str, address: str, headers: dict[str, str] | None = None, **options: Any) -> requests.Response:
    # No session: a new connection each time reaches another process of the server.
    named = {"User-Agent": BROWSER, **(headers or {})}
    answer = requests.request(method, address, headers=named, timeout=TIMEOUT_SECONDS, **options)
    if answer.status_code != requests.codes.ok:
        raise Surprise(f"answers {answer.status_code}")
    return answer


def _require_version(version: int, promise: Promise) -> None:
    if version < promise.version:
        raise Surprise(f"still serves document {version}, not {promise.version}")


def _require_variant(found: str | None, expected: Expectation) -> None:
    if found != expected.variant_key:
        raise Surprise(f"gives {found or 'no variant'} to a visitor who should get {expected.variant_key}")
