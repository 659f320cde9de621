"""The published document, held in memory: second-last step of the walk, where a pause becomes visible to shoppers.

One daemon thread per process asks for the newest version each second, over a connection of its own, and swaps an
immutable snapshot. Requests only read it: no SQL, no lock, no wait but for the first document of a process.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any

from django.conf import settings
from django.db import connection
from django.utils import timezone

from catalog_experiments import publication, targeting
from catalog_experiments.assignment import Range
from storefront.keys import KeyRing

logger = logging.getLogger(__name__)

POLL_SECONDS = 1.0
"""How often a process asks for the newest version; a pause shows everywhere within two of these."""

FIRST_WAIT_SECONDS = 0.5
"""The longest a request waits for the first document of its process; afterwards nobody ever waits."""


@dataclass(frozen=True, slots=True)
class PlannedVariant:
    """What one variant shows: `bundle` as in the document (None: no offer) and the payload the page applies."""

    key: str
    is_control: bool
    bundle: Mapping[str, Any] | None
    payload: Mapping[str, Any]


def flag_value(bundle: Mapping[str, Any] | None, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a variant as SDKs are told of it, always an object: the bundle's slug, None for no offer, and payload."""
    return {"bundle": None if bundle is None else bundle["slug"], "payload": payload}


@dataclass(frozen=True, slots=True)
class Filter:
    """A part of all units by a hash of its own: an exclusion group or what a holdout leaves."""

    seed: str
    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """One experiment of the document, parsed once so that a decision only looks things up.

    `ranges` and `variants` have the same order, control first. Who is enrolled passes all `filters`: what the holdouts
    leave, then `gates`, the exclusion group; `holdouts` are the parts that are held out. `targets` was compiled from
    `condition`. A plan whose entry could not be understood is `broken`: it serves what is left of its control.
    """

    slug: str
    status: str
    salt: str
    phase: int
    product_slug: str
    document_version: int
    variants: tuple[PlannedVariant, ...]
    ranges: tuple[Range, ...]
    targets: targeting.Predicate | None
    forced: Mapping[str, str]
    filters: tuple[Filter, ...]
    holdouts: tuple[Filter, ...] = ()
    gates: tuple[Filter, ...] = ()
    is_shadowed: bool = False
    shipped_key: str | None = None
    broken: bool = False
    condition: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def control(self) -> PlannedVariant:
        """Return the baseline variant."""
        return self.variants[0]

    def variant(self, key: str | None) -> PlannedVariant | None:
        """Return the variant with this key, or None when there is none."""
        return next((variant for variant in self.variants if variant.key == key), None)

    @property
    def owns_slot(self) -> bool:
        """Say whether the product page should ask this plan: a completed one only while it ships a variant."""
        return not self.is_shadowed and (self.status != "completed" or self.shipped_key is not None)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One version of the document; version 0 is an empty one, before anything was published, issued at ''."""

    version: int
    plans: Mapping[str, Plan] = field(default_factory=lambda: MappingProxyType({}))
    slots: Mapping[str, Plan] = field(default_factory=lambda: MappingProxyType({}))
    issued_at: str = ""


def parse(document: Mapping[str, Any] | None) -> Snapshot:
    """Turn a published document into a snapshot; one broken entry never spoils the others. None is the empty one."""
    if document is None:
        return Snapshot(0)
    version = int(document["version"])
    plans = [_parse_entry(entry, version) for entry in document["experiments"]]
    by_slug = {plan.slug: plan for plan in plans if plan is not None}
    slots = _slots(list(by_slug.values()))
    return Snapshot(version, MappingProxyType(by_slug), MappingProxyType(slots), str(document.get("issued_at") or ""))


def _slots(plans: Sequence[Plan]) -> dict[str, Plan]:
    # On one product page a running experiment goes before a paused one, that before a concluded one.
    precedence = {"completed": 0, "paused": 1, "running": 2}
    ordered = sorted((plan for plan in plans if plan.owns_slot), key=lambda plan: precedence.get(plan.status, 0))
    return {plan.product_slug: plan for plan in ordered}


def _parse_entry(entry: Mapping[str, Any], version: int) -> Plan | None:
    try:
        return _plan(entry, version)
    except (AttributeError, KeyError, TypeError, ValueError):
        logger.exception("document %s: one experiment cannot be read and serves control", version)
    try:
        return _broken_plan(entry, version)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _plan(entry: Mapping[str, Any], version: int) -> Plan:
    variants = sorted(entry["variants"], key=lambda variant: not variant["is_control"])
    if not variants or not variants[0]["is_control"]:
        raise ValueError("no control variant")
    filters = tuple(_filter(item) for item in entry.get("filters") or ())
    holdouts = tuple(_filter(item) for item in entry.get("holdouts") or ())
    held_seeds = {item.seed for item in holdouts}
    return Plan(
        slug=str(entry["slug"]),
        status=str(entry["status"]),
        salt=str(entry["salt"]),
        phase=int(entry["phase"]),
        product_slug=str(entry["anchor_product_slug"]),
        document_version=version,
        variants=tuple(_variant(variant) for variant in variants),
        ranges=tuple(_range(variant["range"]) for variant in variants),
        targets=targeting.compile_condition(entry["targeting"]) if entry.get("targeting") else None,
        forced=dict(entry.get("forced") or {}),
        filters=filters,
        holdouts=holdouts,
        gates=tuple(item for item in filters if item.seed not in held_seeds),
        is_shadowed=bool(entry.get("shadowed")),
        shipped_key=entry.get("shipped_variant"),
        condition=dict(entry.get("targeting") or {}),
    )


def _broken_plan(entry: Mapping[str, Any], version: int) -> Plan:
    control = next((_variant(item) for item in entry["variants"] if item.get("is_control")), None)
    return Plan(
        slug=str(entry["slug"]),
        status="broken",
        salt="",
        phase=0,
        product_slug=str(entry["anchor_product_slug"]),
        document_version=version,
        variants=(control or PlannedVariant("control", is_control=True, bundle=None, payload={}),),
        ranges=((0, 0),),
        targets=None,
        forced={},
        filters=(),
        broken=True,
    )


def _variant(variant: Mapping[str, Any]) -> PlannedVariant:
    bundle, payload = variant["bundle"], variant.get("payload") or {}
    return PlannedVariant(
        key=str(variant["key"]),
        is_control=bool(variant["is_control"]),
        bundle=None if bundle is None else dict(bundle),
        payload=dict(payload),
    )


def _filter(item: Mapping[str, Any]) -> Filter:
    return Filter(str(item["seed"]), tuple(_range(pair) for pair in item["ranges"]))


def _range(pair: Sequence[Any]) -> Range:
    start, end = pair
    return int(start), int(end)


class DocumentReader:
    """Keeps the newest snapshot of this process, and knows how fresh it is.

    `confirmed_at` (seconds of its clock) is the last moment at which the held version was seen to be the newest: a
    lease, after which requests serve control. `keys` are the API keys, renewed along with the document. Everything but
    `refresh` is safe to call from any thread.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Make a reader that has read nothing; `clock` tells the seconds that leases are counted in."""
        self._clock = clock
        self._start_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._asked_once = threading.Event()
        self._stop = threading.Event()
        self._is_failing = False
        self._snapshot: Snapshot | None = None
        self._confirmed_at = float("-inf")
        self._lease_text: tuple[tuple[float, int], str] | None = None
        self.keys = KeyRing()

    def current(self) -> Snapshot | None:
        """Return the snapshot to serve from, or None when there is none or its lease has run out.

        The first call of a process starts the reader and waits for its first document, `FIRST_WAIT_SECONDS` at most.
        """
        if self._thread is None:
            self.start()
        if self._snapshot is None and not self._asked_once.is_set():
            self._asked_once.wait(FIRST_WAIT_SECONDS)
        return self._snapshot if self.age_seconds() <= settings.STOREFRONT_STALE_SECONDS else None

    def last_seen(self) -> Snapshot | None:
        """Return the snapshot held, however old: good enough to know each experiment's control."""
        return self._snapshot

    def age_seconds(self) -> float:
        """Return the seconds since the held version was last seen to be the newest; infinite before the first."""
        return self._clock() - self._confirmed_at

    def not_after(self, now: datetime) -> datetime:
        """Return when the lease of what is held ends, or ended. Needs a document that is held."""
        return now + timedelta(seconds=settings.STOREFRONT_STALE_SECONDS - self.age_seconds())

    def not_after_text(self) -> str:
        """Return the same as ISO 8601 text in UTC, to the second; worked out once for each look at the database."""
        lease = (self._confirmed_at, settings.STOREFRONT_STALE_SECONDS)
        held = self._lease_text
        if held is None or held[0] != lease:
            held = self._lease_text = (lease, self.not_after(timezone.now()).isoformat(timespec="seconds"))
        return held[1]

    def start(self) -> None:
        """Start the daemon thread unless it runs; idempotent."""
        with self._start_lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="storefront-document", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread within a poll and close its connection; a stopped reader stays stopped."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5)

    def refresh(self) -> None:
        """Ask once for the newest version and hold it.

        Raises:
            django.db.Error: When the database does not answer; what is held stays.
        """
        asked_at = self._clock()
        version = publication.newest_version()
        if self._snapshot is None or version != self._snapshot.version:
            self._snapshot = parse(publication.load_document(version) if version else None)
        self._confirmed_at = asked_at

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._refresh_safely()
                self._asked_once.set()
                self._stop.wait(POLL_SECONDS)
        finally:
            connection.close()

    def _refresh_safely(self) -> None:
        try:
            self.refresh()
            self.keys.refresh()
        except Exception:
            # Whatever went wrong, the next second tries again; the lease ends what cannot be renewed.
            if not self._is_failing:
                logger.exception("the published document cannot be read; serving the last one while its lease lasts")
            self._is_failing = True
            _drop_connection()
        else:
            if self._is_failing:
                logger.warning("the published document is readable again")
            self._is_failing = False


def _drop_connection() -> None:
    try:
        connection.close()
    except Exception:
        logger.debug("closing a broken connection failed", exc_info=True)


_reader = DocumentReader()


def reader() -> DocumentReader:
    """Return the reader of this process."""
    return _reader


def install(held: DocumentReader) -> DocumentReader:
    """Make this the reader of this process, one with a clock of its own for instance; the former one must not run."""
    global _reader
    _reader = held
    return held


def renew() -> None:
    """Stop this process's reader and put an unused one in its place."""
    _reader.stop()
    _forget()


def _forget() -> None:
    global _reader
    _reader = DocumentReader()


# A thread does not survive a fork: the child starts its own at its first decision.
os.register_at_fork(after_in_child=_forget)
