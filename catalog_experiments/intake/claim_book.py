"""The phases of the experiments a batch names: read when their rows changed, and kept by the process until then."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from catalog_experiments.intake.claim_rows import read_experiments, read_marks, read_phases
from catalog_experiments.intake.claims import Claim, PhaseClaims, checked, claims_of
from catalog_experiments.intake.events import ExposureEvent, Refused
from catalog_experiments.intake.fields import FUTURE_TOLERANCE
from catalog_experiments.models import Holdout, UnitKind

MOST_KEPT = 1_000
"""Experiments that a process keeps; past it, it begins anew."""


class KnownExperiment(NamedTuple):
    """What claims of one experiment are checked against; `mark` is that of the rows it was read from."""

    mark: int
    is_by_customer: bool
    forced_units: Mapping[str, str]
    phases: dict[int, PhaseClaims]


_kept: dict[str, KnownExperiment] = {}


class ClaimBook:
    """The phases of the experiments a batch names, as they are stored now."""

    def __init__(self, slugs: Iterable[object]) -> None:
        """Look up the marks of their rows, and read again what changed; what can be no slug is not asked for."""
        marks = read_marks({slug for slug in slugs if isinstance(slug, str) and slug.isprintable()})
        kept = {slug: known for slug, mark in marks.items() if (known := _kept.get(slug)) and known.mark == mark}
        fresh = dict(_read(marks, marks.keys() - kept.keys()))
        if fresh:
            _keep(fresh)
        self._experiments: Mapping[str, KnownExperiment] = kept | fresh

    def with_unit(self, event: ExposureEvent) -> ExposureEvent:
        """Return the event with the id of what is randomized: the customer's, where it is known and counts."""
        if event.customer_id is None:
            return event
        known = self._experiments.get(event.experiment)
        return replace(event, unit_id=event.customer_id) if known and known.is_by_customer else event

    def settle(self, event: ExposureEvent, exposed_at: datetime) -> Claim:
        """Return where the claim belongs.

        Raises:
            Refused: an unknown experiment, phase or variant, nothing served then, or a unit that is not enrolled.
        """
        known = self._experiments.get(event.experiment)
        if known is None:
            raise Refused("experiment_unknown", f"There is no experiment {event.experiment!r}.")
        if event.unit_id in known.forced_units:
            raise Refused("forced_unit", "The unit is on the forced list for QA; it is never counted.")
        if event.phase is not None:
            return _settle_named(event, exposed_at, known.phases.get(event.phase))
        # Newest first: the phase open then, and for a while after an opening the one before it.
        return checked(
            event, exposed_at, [each for each in reversed(known.phases.values()) if each.served_at(exposed_at)]
        )


def _settle_named(event: ExposureEvent, exposed_at: datetime, named: PhaseClaims | None) -> Claim:
    if named is None:
        raise Refused("phase_unknown", f"The experiment has no phase {event.phase}.")
    opened_at = named.spans[0].start_at if named.spans else exposed_at
    # Nobody can name a phase before it opened: the caller's clock is slow.
    if exposed_at < opened_at and exposed_at >= opened_at - FUTURE_TOLERANCE:
        exposed_at = opened_at
    return checked(event, exposed_at, (named,) if named.served_at(exposed_at) else ())


def _read(marks: Mapping[str, int], slugs: Collection[str]) -> Iterator[tuple[str, KnownExperiment]]:
    # Read after the marks: rows that change in between are newer than their mark, and will be read again.
    if not slugs:
        return
    experiments, holdouts = read_experiments(slugs), list(Holdout.objects.all())
    phases = read_phases(experiments)
    for row in experiments:
        claims = claims_of(row, phases[row.pk], holdouts)
        yield (
            row.slug,
            KnownExperiment(
                mark=marks[row.slug],
                is_by_customer=row.unit_kind == UnitKind.CUSTOMER,
                forced_units=row.forced_units,
                phases={each.number: each for each in claims},
            ),
        )


def _keep(fresh: Mapping[str, KnownExperiment]) -> None:
    if len(_kept) + len(fresh) > MOST_KEPT:
        _kept.clear()
    _kept.update(fresh)
