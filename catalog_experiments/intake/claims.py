"""Is a claimed variant the computed one, and of which phase? Decided here, where the raw unit id is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from django.db.models import Prefetch

from catalog_experiments.assignment import (
    BUCKETS,
    AllocationError,
    Range,
    allocation,
    bucket,
    choose_variant,
    nearest_coverage,
)
from catalog_experiments.intake.events import ExposureEvent, Refused
from catalog_experiments.intake.fields import FUTURE_TOLERANCE
from catalog_experiments.intake.serving import ServedSpan, retention_month, served_spans
from catalog_experiments.models import Experiment, Phase, PhaseOrigin

OPENING_GRACE = timedelta(minutes=15)
"""How long after an opening pages may still show the phase before it."""


@dataclass(frozen=True, slots=True)
class PhaseClaims:
    """What is needed to check a claim against one phase; `succeeded_at` is when the next phase opened, if any."""

    phase_id: UUID
    experiment_id: UUID
    month: date
    number: int
    salt: str
    spans: tuple[ServedSpan, ...]
    closed_at: datetime | None
    succeeded_at: datetime | None
    keys: tuple[str, ...]
    ranges: tuple[Range, ...]
    is_taken_as_given: bool

    def served_at(self, moment: datetime) -> bool:
        """Say whether pages served the phase then, stale ones shortly after the next opening included."""
        if any(start <= moment and (end is None or moment < end) for start, end in self.spans):
            return True
        if self.closed_at is None or self.succeeded_at is None or not self.spans:
            return False
        was_served_to_the_end = self.spans[-1].end_at == self.closed_at
        return was_served_to_the_end and self.closed_at <= moment < self.succeeded_at + OPENING_GRACE

    def variant_of(self, unit_id: str) -> str | None:
        """Return the variant key the phase assigns to the unit, None when it is not enrolled."""
        position = choose_variant(self.ranges, bucket(self.salt, unit_id))
        return None if position is None else self.keys[position]

    def confirms(self, event: ExposureEvent) -> bool:
        """Say whether the claimed variant is the phase's for this unit."""
        if self.is_taken_as_given:
            return event.variant_key in self.keys
        return self.variant_of(event.unit_id) == event.variant_key


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim as it is stored: its phase, its time, and whether the client's variant was another than the computed."""

    phase: PhaseClaims
    exposed_at: datetime
    is_fault: bool = False


class ClaimBook:
    """The phases of the experiments a batch names, read once."""

    def __init__(self, slugs: Iterable[object]) -> None:
        """Read them: two queries for any number of experiments; what can be no slug is not asked for."""
        names = {slug for slug in slugs if isinstance(slug, str) and slug.isprintable()}
        phases = Prefetch("phases", queryset=Phase.objects.order_by("number"))
        experiments = Experiment.objects.filter(slug__in=names).prefetch_related(phases)
        self._forced: dict[str, Mapping[str, str]] = {}
        self._phases: dict[str, dict[int, PhaseClaims]] = {}
        for experiment in experiments:
            self._forced[experiment.slug] = experiment.forced_units
            self._phases[experiment.slug] = {claims.number: claims for claims in _claims(experiment)}

    def settle(self, event: ExposureEvent, exposed_at: datetime) -> Claim:
        """Return where the claim belongs.

        Raises:
            Refused: an unknown experiment, phase or variant, nothing served then, or a unit that is not enrolled.
        """
        if event.experiment not in self._phases:
            raise Refused("experiment_unknown", f"There is no experiment {event.experiment!r}.")
        if event.unit_id in self._forced[event.experiment]:
            raise Refused("forced_unit", "The unit is on the forced list for QA; it is never counted.")
        if event.phase is not None:
            return self._settle_named(event, exposed_at)
        return _checked(event, exposed_at, self._served(event.experiment, exposed_at))

    def _settle_named(self, event: ExposureEvent, exposed_at: datetime) -> Claim:
        named = self._phases[event.experiment].get(event.phase or 0)
        if named is None:
            raise Refused("phase_unknown", f"The experiment has no phase {event.phase}.")
        opened_at = named.spans[0].start_at if named.spans else exposed_at
        # Nobody can name a phase before it opened: the caller's clock is slow.
        if opened_at - FUTURE_TOLERANCE <= exposed_at < opened_at:
            exposed_at = opened_at
        return _checked(event, exposed_at, [named] if named.served_at(exposed_at) else [])

    def _served(self, slug: str, moment: datetime) -> list[PhaseClaims]:
        # Newest first: the phase open then, and for a while after an opening the one before it.
        return [claims for claims in reversed(self._phases[slug].values()) if claims.served_at(moment)]


def _checked(event: ExposureEvent, exposed_at: datetime, candidates: list[PhaseClaims]) -> Claim:
    if not candidates:
        raise Refused("not_running", "The experiment served no variant at that time.")
    for phase in candidates:
        if phase.confirms(event):
            return Claim(phase, exposed_at)
    newest = candidates[0]
    if event.variant_key not in newest.keys:
        raise Refused("variant_unknown", f"Phase {newest.number} has no variant {event.variant_key!r}.")
    if newest.variant_of(event.unit_id) is None:
        raise Refused("not_enrolled", "The unit is outside the experiment's coverage: it has no variant to see.")
    return Claim(newest, exposed_at, is_fault=True)


def _claims(experiment: Experiment) -> Iterator[PhaseClaims]:
    phases = list(experiment.phases.all())
    openings = [phase.opened_at for phase in phases[1:]]
    for phase, succeeded_at in zip(phases, [*openings, None], strict=True):
        # Lowering the coverage opens a phase, so an older one is checked at full coverage: same variant, wider range.
        coverage = experiment.coverage if phase.closed_at is None else BUCKETS
        yield PhaseClaims(
            phase_id=phase.pk,
            experiment_id=experiment.pk,
            month=retention_month(phase.opened_at),
            number=phase.number,
            salt=phase.salt,
            spans=served_spans(phase),
            closed_at=phase.closed_at,
            succeeded_at=succeeded_at,
            keys=tuple(variant["key"] for variant in phase.variants),
            ranges=_ranges(phase, coverage),
            is_taken_as_given=phase.origin != PhaseOrigin.PUBLISHED,
        )


def _ranges(phase: Phase, coverage: int) -> tuple[Range, ...]:
    weights = [variant["weight"] for variant in phase.variants]
    try:
        return allocation(weights, nearest_coverage(weights, coverage))
    except AllocationError:
        return ()  # a broken phase enrols nobody, and does not sink the batch
