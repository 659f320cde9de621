"""Which phases a run counts, and how: handed to SQL as small relations of phases, served spans and what was offered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from catalog_experiments.intake import ServedSpan, retention_month, served_spans
from catalog_experiments.intake.outcomes import required_pieces
from catalog_experiments.models import Bundle, Phase

FOREVER = "infinity"
FROM_THE_START = "-infinity"

PHASES = """
SELECT * FROM jsonb_to_recordset(%(phases)s::jsonb) AS phase(
    phase_id uuid, experiment_id uuid, month date, attribution interval, since timestamptz, open_from date,
    hours_from date, currency text, closed_at timestamptz)"""

# One row per served span of a phase. A unit belongs to the span of its exposure; what reaches past `served_to` is cut.
SPANS = """
SELECT * FROM jsonb_to_recordset(%(spans)s::jsonb) AS span(
    phase_id uuid, experiment_id uuid, month date, served_from timestamptz, served_to timestamptz,
    attribution interval, hours_from date, currency text, revenue_cap bigint, margin_cap bigint, by_device boolean,
    by_country boolean, by_hour boolean)"""

# One row per variant of a phase; `bundle_id` is null for a variant that offers nothing.
OFFERED = """
SELECT * FROM jsonb_to_recordset(%(offered)s::jsonb) AS offer(phase_id uuid, variant_key text, bundle_id uuid)"""

# The products in any variant's bundle, once per variant, with the pieces that one's own bundle takes.
COMPONENTS = """
SELECT * FROM jsonb_to_recordset(%(components)s::jsonb) AS component(
    phase_id uuid, variant_key text, slug text, required bigint)"""

COUNTS = (
    "NOT (exposure.is_mixed OR exposure.is_fault OR exposure.is_merged OR exposure.is_holdout)"
    " AND exposure.excluded_as IS NULL"
)
"""Which exposures count."""

# By its distance from UTC: to look the zone up by its name takes longer than the rest.
DAY = "(exposure.exposed_at AT TIME ZONE interval '0')::date"
HOUR = "extract(hour FROM exposure.exposed_at AT TIME ZONE interval '0')::smallint"
ELIGIBLE = "('paid', 'confirmed')"
MANY_PHASES = 12
"""Above, exposures are read from one end to the other; of fewer phases their index leads to the right ones."""

HISTORY = "interval '672 hours'"
"""How far before its exposure a unit's orders are looked at: 28 days, in hours, which need no calendar to be added."""


def unguessed(condition: str) -> str:
    """Return the condition in a form whose share of rows the planner takes for a half.

    It has no idea how often a time lies between two others, and guesses a ninth, or a hundredth of two such: then it
    builds the wrong side of a join in memory.
    """
    return f"CASE WHEN {condition} THEN true ELSE false END"


@dataclass(frozen=True, slots=True)
class Scope:
    """Phases to count, with the served spans assumed and, for a refresh, since when facts may be news.

    `since` maps a phase id to a moment of the database's clock; a phase that is absent is counted whole. `open_from`
    maps it to the first cohort day kept unit by unit; of one that is absent no day is told by the hour.
    """

    phases: tuple[Phase, ...]
    spans: Mapping[UUID, tuple[ServedSpan, ...]]
    since: Mapping[UUID, datetime]
    open_from: Mapping[UUID, date]

    @classmethod
    def of(cls, phases: Iterable[Phase]) -> Scope:
        """Return the scope that counts the phases whole."""
        known = tuple(phases)
        return cls(known, {phase.pk: served_spans(phase) for phase in known}, {}, {})

    def only(self, phases: Iterable[Phase]) -> Scope:
        """Return the scope of some of its phases."""
        return Scope(tuple(phases), self.spans, self.since, self.open_from)

    def split(self) -> tuple[Scope, Scope]:
        """Return the phases to count whole, and those to refresh."""
        whole = self.only(phase for phase in self.phases if phase.pk not in self.since)
        return whole, self.only(phase for phase in self.phases if phase.pk in self.since)

    def hours_from(self, phase: Phase) -> date | None:
        """Return the first cohort day that is told by the hour too; None where no drop is judged, and none is told.

        A window after the first open day: two days before the watermark's, of which harm's last hours are due today.
        """
        if phase.pk not in self.open_from or not phase.has_drop_bound:
            return None
        return self.open_from[phase.pk] + timedelta(days=phase.window_days)

    def parameters(self) -> dict[str, Any]:
        """Return what the statements of this package are given."""
        components = [row for phase in self.phases for row in _component_rows(phase)]
        offered = list(_offered_rows(self.phases))
        opened = [span.start_at for phase in self.phases for span in self.spans[phase.pk]]
        return {
            "ids": [phase.pk for phase in self.phases],
            "are_many": len(self.phases) > MANY_PHASES,
            "experiments": sorted({phase.experiment_id for phase in self.phases}),
            "months": sorted({retention_month(phase.opened_at) for phase in self.phases}),
            "since": min((self.since[phase.pk] for phase in self.phases if phase.pk in self.since), default=None),
            "first_at": min(opened, default=FOREVER),
            "phases": _json(self._phase_row(phase) for phase in self.phases),
            "spans": _json(row for phase in self.phases for row in self._span_rows(phase)),
            "offered": _json(offered),
            "bundles": sorted({row["bundle_id"] for row in offered if row["bundle_id"]}),
            "components": _json(components),
            "slugs": sorted({row["slug"] for row in components}),
        }

    def _phase_row(self, phase: Phase) -> dict[str, Any]:
        return {
            "phase_id": phase.pk,
            "experiment_id": phase.experiment_id,
            "month": retention_month(phase.opened_at),
            "attribution": f"{24 * phase.window_days} hours",
            "since": self.since.get(phase.pk, FROM_THE_START),
            "open_from": self.open_from.get(phase.pk, FROM_THE_START),
            "hours_from": self.hours_from(phase) or FOREVER,
            "currency": phase.currency,
            "closed_at": phase.closed_at or FOREVER,
        }

    def _span_rows(self, phase: Phase) -> Iterator[dict[str, Any]]:
        for span in self.spans[phase.pk]:
            yield self._phase_row(phase) | {
                "served_from": span.start_at,
                "served_to": span.end_at or FOREVER,
                "revenue_cap": phase.caps.get("revenue"),
                "margin_cap": phase.caps.get("margin"),
                "by_device": "device" in phase.segments,
                "by_country": "country" in phase.segments,
                "by_hour": phase.has_drop_bound,
            }


def _json(rows: Iterable[Mapping[str, Any]]) -> str:
    return orjson.dumps(list(rows)).decode()


def _offered_rows(phases: Sequence[Phase]) -> Iterator[dict[str, Any]]:
    slugs = {variant["bundle_slug"] for phase in phases for variant in phase.variants if variant["bundle_slug"]}
    ids = dict(Bundle.objects.filter(bundle_slug__in=slugs).values_list("bundle_slug", "pk"))
    for phase in phases:
        for variant in phase.variants:
            yield {
                "phase_id": phase.pk,
                "variant_key": variant["key"],
                "bundle_id": ids.get(variant["bundle_slug"]),
            }


def _component_rows(phase: Phase) -> Iterator[dict[str, Any]]:
    taken = {variant["key"]: _pieces_of(variant) for variant in phase.variants}
    for slug in sorted({slug for pieces in taken.values() for slug in pieces}):
        for key, pieces in taken.items():
            yield {"phase_id": phase.pk, "variant_key": key, "slug": slug, "required": pieces[slug]}


def _pieces_of(variant: Mapping[str, Any]) -> Counter[str]:
    bundle = variant.get("bundle")
    return required_pieces(bundle["components"]) if bundle else Counter()
