"""Visitors who are not there: a shop that runs apart, decides in its own process and reports over HTTP.

Each visitor looks at one product page, is decided for like a real one, and may order a few seconds later. How often
an offer is truly taken is written in a table, so that what the system finds can be held against the truth.
"""

from __future__ import annotations

import datetime as dt
import heapq
import logging
import random
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import requests

from storefront.decisions import Decision
from storefront.pricing import split_price

logger = logging.getLogger(__name__)

CONVERSION = 0.4
"""Share of visitors who order something: high, so that a demo has orders to count within minutes."""

LONGEST_THOUGHT_SECONDS = 12.0
EXPOSURES_PATH, ORDERS_PATH = "/api/v1/catalog/exposures", "/api/v1/catalog/orders"
MAX_BATCH = 500
MAX_WAITING = 20_000
TIMEOUT = (3.05, 10.0)  # seconds to connect, seconds to answer
LAST_TIMEOUT = (1.0, 3.0)
"""The same for the last try before the end: whoever asked to stop does not wait long."""

Decide = Callable[[str, Mapping[str, Any], str], Decision | None]


@dataclass(frozen=True)
class Page:
    """A product page and the truth about it.

    `share` is its part of all visitors; `acceptance` the share of buyers who take the offer, by variant key, '' for
    the shop's own baseline offer. Keys it does not name behave like `control`.
    """

    product_slug: str
    share: float
    acceptance: Mapping[str, float]

    def chance(self, variant_key: str) -> float:
        """Return the true chance that a buyer takes the offer of a variant."""
        return self.acceptance.get(variant_key, self.acceptance.get("control", 0.0))


DEMO_PAGES = (
    Page("stoneware-cup", 0.42, {"control": 0.24, "test": 0.27, "": 0.24}),
    Page("round-teapot", 0.50, {"control": 0.30, "test": 0.12, "": 0.30}),
    Page("pour-over-dripper", 0.08, {"control": 0.22, "test": 0.22, "": 0.22}),
)


@dataclass(frozen=True)
class Prices:
    """What a product costs the shopper and the shop, per piece in minor units."""

    price_minor: int
    cost_minor: int | None


@dataclass
class Crowd:
    """The visitors of one run; the same `seed` makes the same visitors do the same things.

    `run` keeps the ids of two runs apart. `baselines` holds the bundle of each page's own offer.
    """

    seed: int
    run: str
    decide: Decide
    prices: Mapping[str, Prices]
    pages: tuple[Page, ...] = DEMO_PAGES
    baselines: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    currency: str = "EUR"
    served: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - simulated visitors, nothing secret
        self._count = 0
        self._thinking: list[tuple[dt.datetime, int, dict[str, Any]]] = []

    def visit(self, now: dt.datetime) -> dict[str, Any] | None:
        """Let the next visitor look at a page; return the exposure to report, None for who takes no part."""
        self._count += 1
        unit_id = f"sim-{self.run}-{self._count}"
        page = self._random.choices(self.pages, [page.share for page in self.pages])[0]
        luck = [self._random.random() for _ in range(3)]
        decision = self.decide(unit_id, {"device": "desktop"}, page.product_slug)
        self.served[_label(page, decision)] += 1
        if luck[0] < CONVERSION and page.product_slug in self.prices:
            placed_at = now + dt.timedelta(seconds=luck[1] * LONGEST_THOUGHT_SECONDS)
            order = self._order(unit_id, page, decision, takes=luck[2], seen_at=now)
            heapq.heappush(self._thinking, (placed_at, self._count, order))
        takes_part = decision is not None and (decision.is_enrolled or decision.is_holdout)
        return _exposure(unit_id, decision, now) if decision is not None and takes_part else None

    def orders(self, now: dt.datetime) -> Iterator[dict[str, Any]]:
        """Yield the orders whose visitors have made up their minds by now."""
        while self._thinking and self._thinking[0][0] <= now:
            placed_at, _, order = heapq.heappop(self._thinking)
            yield {**order, "placed_at": placed_at.isoformat()}

    def _order(
        self, unit_id: str, page: Page, decision: Decision | None, *, takes: float, seen_at: dt.datetime
    ) -> dict[str, Any]:
        has_experiment = decision is not None and decision.experiment != ""
        bundle = decision.bundle if has_experiment and decision else self.baselines.get(page.product_slug)
        key = decision.variant_key if has_experiment and decision else ""
        is_taken = bundle is not None and takes < page.chance(key) and self._knows(bundle)
        return {
            "order_ref": f"{unit_id}-1",
            "currency": self.currency,
            "unit_id": unit_id,
            "lines": self._lines(bundle) if is_taken and bundle else [self._line(page.product_slug, 1, None)],
            "accepted_bundles": [bundle["slug"]] if is_taken and bundle else [],
            "offers": [_offer(bundle, decision, seen_at)]
            if is_taken and bundle and decision and decision.is_enrolled
            else [],
        }

    def _knows(self, bundle: Mapping[str, Any]) -> bool:
        return all(part["slug"] in self.prices for part in bundle["components"])

    def _lines(self, bundle: Mapping[str, Any]) -> list[dict[str, Any]]:
        pieces = [part["slug"] for part in bundle["components"] for _ in range(part.get("quantity", 1))]
        at_list = [self.prices[slug].price_minor for slug in pieces]
        whole = bundle.get("price_minor")
        split = split_price(sum(at_list) if whole is None else whole, at_list)
        counted = Counter(zip(pieces, split, strict=True))
        return [self._line(slug, quantity, price) for (slug, price), quantity in counted.items()]

    def _line(self, slug: str, quantity: int, price_minor: int | None) -> dict[str, Any]:
        known = self.prices[slug]
        return {
            "slug": slug,
            "quantity": quantity,
            "price_minor": known.price_minor if price_minor is None else price_minor,
            "cost_minor": known.cost_minor,
        }


def _label(page: Page, decision: Decision | None) -> str:
    if decision is None or not decision.experiment:
        return f"{page.product_slug}: baseline"
    return f"{decision.experiment}: {decision.variant_key or 'nothing'} ({decision.reason})"


def _exposure(unit_id: str, decision: Decision, now: dt.datetime) -> dict[str, Any]:
    return {
        "experiment": decision.experiment,
        "unit_id": unit_id,
        "variant_key": decision.variant_key,
        "exposed_at": now.isoformat(),
        "phase": decision.phase,
        "is_holdout": decision.is_holdout,
    }


def _offer(bundle: Mapping[str, Any], decision: Decision, seen_at: dt.datetime) -> dict[str, Any]:
    return {
        "experiment": decision.experiment,
        "variant": decision.variant_key,
        "bundle": bundle["slug"],
        "document_version": decision.document_version,
        "valid_until": (seen_at + dt.timedelta(hours=24)).isoformat(),
        "components": [{"slug": part["slug"], "quantity": part.get("quantity", 1)} for part in bundle["components"]],
    }


class IntakeRefused(Exception):
    """The intake will never take this: a wrong address or key. The message says what it answered."""


class Reporter:
    """Sends events to the intake in batches and keeps what could not be sent, up to `MAX_WAITING` of each kind.

    Exposures go before orders. An unsent batch stays first in line, unchanged, so that nothing is counted twice.
    """

    def __init__(self, base_url: str, *, server_key: str, client_key: str = "") -> None:
        self._base_url = base_url.rstrip("/")
        self._keys = {EXPOSURES_PATH: client_key or server_key, ORDERS_PATH: server_key}
        self._session = requests.Session()
        self._waiting: dict[str, deque[dict[str, Any]]] = {EXPOSURES_PATH: deque(), ORDERS_PATH: deque()}
        self.outcomes: Counter[str] = Counter()
        self.dropped = 0

    def add(self, *, exposures: Iterable[dict[str, Any]], orders: Iterable[dict[str, Any]]) -> None:
        """Take events in; the oldest are dropped and counted when too many wait."""
        self._waiting[EXPOSURES_PATH].extend(exposures)
        self._waiting[ORDERS_PATH].extend(orders)
        for waiting in self._waiting.values():
            while len(waiting) > MAX_WAITING:
                waiting.popleft()
                self.dropped += 1

    @property
    def waiting(self) -> int:
        """Return how many events are not sent yet."""
        return sum(len(waiting) for waiting in self._waiting.values())

    def close(self) -> None:
        """Let go of the connections; what waits is lost."""
        self._session.close()

    def flush(self, timeout: tuple[float, float] = TIMEOUT) -> bool:
        """Send everything that waits; False when the intake does not answer now and the rest has to wait.

        Raises:
            IntakeRefused: the key or the address is wrong.
        """
        return all(self._flush(path, waiting, timeout) for path, waiting in self._waiting.items())

    def _flush(self, path: str, waiting: deque[dict[str, Any]], timeout: tuple[float, float]) -> bool:
        while waiting:
            batch = list(islice(waiting, MAX_BATCH))
            if not self._send(path, batch, timeout):
                return False
            for _ in batch:
                waiting.popleft()
        return True

    def _send(self, path: str, batch: list[dict[str, Any]], timeout: tuple[float, float]) -> bool:
        name = path.rpartition("/")[2]
        try:
            answer = self._session.post(
                self._base_url + path, json={name: batch}, headers={"X-API-Key": self._keys[path]}, timeout=timeout
            )
        except requests.RequestException as unreachable:
            logger.warning("the intake cannot be reached (%s); trying again", type(unreachable).__name__)
            return False
        if answer.status_code in (408, 425, 429) or answer.status_code >= 500:
            logger.warning("the intake answers %s; trying again", answer.status_code)
            return False
        if answer.status_code != requests.codes.ok:
            raise IntakeRefused(f"{path} answers {answer.status_code}: {answer.text[:300]}")
        self._count(name, answer.json()["results"])
        return True

    def _count(self, name: str, results: list[dict[str, Any]]) -> None:
        for result in results:
            outcome = f"{name} {result['outcome']}"
            if result["outcome"] == "rejected" and not self.outcomes[outcome]:
                logger.warning("first of the rejected %s: %s %s", name, result["code"], result["detail"])
            self.outcomes[outcome] += 1
