"""Is a claimed variant the computed one, and of which phase? Decided here, where the raw unit id is known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from catalog_experiments.assignment import (
    BUCKETS,
    AllocationError,
    Range,
    allocation,
    bucket,
    choose_variant,
    in_ranges,
    nearest_coverage,
)
from catalog_experiments.intake.claim_rows import ExperimentRow, PhaseRow
from catalog_experiments.intake.events import ExposureEvent, Refused
from catalog_experiments.intake.serving import ServedSpan, retention_month, served_spans
from catalog_experiments.models import Holdout, PhaseOrigin

OPENING_GRACE = timedelta(minutes=15)
"""How long after an opening pages may still show the phase before it, and after a resize the holdout before it."""


@dataclass(frozen=True, slots=True)
class Gates:
    """Who may meet the open phase at all: the exclusion group's salt and range, and the holdouts that apply.

    What they were in a phase that is closed is not kept: its claims are taken without.
    """

    group_salt: str = ""
    group_range: Range = (0, BUCKETS)
    holdouts: tuple[Holdout, ...] = ()

    def is_in_group(self, unit_id: str) -> bool:
        """Say whether the unit lies in the experiment's range of its group."""
        return not self.group_salt or in_ranges(bucket(self.group_salt, unit_id), [self.group_range])

    def holds_out(self, unit_id: str) -> bool:
        """Say whether a holdout keeps the unit out now."""
        return bool(self.holdouts) and any(bucket(each.salt, unit_id) < each.size for each in self.holdouts)

    def are_settled(self, moment: datetime) -> bool:
        """Say whether every page knew the present holdouts at that time; before, either answer is taken."""
        return all(moment >= holdout.changed_at + OPENING_GRACE for holdout in self.holdouts)


@dataclass(frozen=True, slots=True)
class PhaseClaims:
    """What is needed to check a claim against one phase; `succeeded_at` is when the next phase opened, if any.

    `key` is how the rows of the phase begin, as bytes that sort like them: see `row_key`.
    """

    phase_id: UUID
    key: bytes
    month: date
    number: int
    salt: str
    spans: tuple[ServedSpan, ...]
    closed_at: datetime | None
    succeeded_at: datetime | None
    keys: tuple[str, ...]
    ranges: tuple[Range, ...]
    gates: Gates
    is_taken_as_given: bool
    is_retired: bool

    def served_at(self, moment: datetime) -> bool:
        """Say whether pages served the phase then, stale ones shortly after the next opening included."""
        for start, end in self.spans:
            if start <= moment and (end is None or moment < end):
                return True
        if self.closed_at is None or self.succeeded_at is None or not self.spans:
            return False
        was_served_to_the_end = self.spans[-1].end_at == self.closed_at
        return was_served_to_the_end and self.closed_at <= moment < self.succeeded_at + OPENING_GRACE

    def variant_of(self, unit_id: str) -> str | None:
        """Return the variant key the phase assigns to the unit, None when it is not enrolled. Holdouts set aside."""
        if not self.gates.is_in_group(unit_id):
            return None
        position = choose_variant(self.ranges, bucket(self.salt, unit_id))
        return None if position is None else self.keys[position]

    def claimed_by(self, event: ExposureEvent) -> str:
        """Return the variant key that the event claims, '' for a position that the phase does not have."""
        position = event.variant_position
        if event.variant_key or position is None:
            return event.variant_key
        return self.keys[position] if 0 <= position < len(self.keys) else ""

    def confirms(self, event: ExposureEvent) -> bool:
        """Say whether the claimed variant is the phase's for this unit."""
        claimed = self.claimed_by(event)
        if self.is_taken_as_given:
            return claimed in self.keys
        return self.variant_of(event.unit_id) == claimed


class Claim(NamedTuple):
    """A claim as it is stored: its phase, its time, the computed variant, and the claimed one where that is another.

    A held-out unit is stored with the control when it says so itself, and with the variant it would have had when the
    client enrolled it all the same; neither is a fault.
    """

    phase: PhaseClaims
    exposed_at: datetime
    variant_key: str
    claimed_key: str | None = None
    is_holdout: bool = False

    @property
    def is_fault(self) -> bool:
        """Say whether the client's variant was another than the computed one."""
        return self.claimed_key is not None


def checked(event: ExposureEvent, exposed_at: datetime, candidates: Sequence[PhaseClaims]) -> Claim:
    """Return the claim as it is stored; `candidates` are the phases that were served then, the likeliest first.

    Raises:
        Refused: there is none, its facts have left, an unknown variant, or a unit that is not enrolled.
    """
    if not candidates:
        raise Refused("not_running", "The experiment served no variant at that time.")
    if candidates[0].is_retired:
        raise Refused("retired", f"The exposures of phase {candidates[0].number} have left by retention.")
    if event.is_holdout:
        return _held_out(event, exposed_at, candidates[0])
    for phase in candidates:
        if phase.confirms(event):
            is_holdout = phase.gates.holds_out(event.unit_id) and phase.gates.are_settled(exposed_at)
            return Claim(phase, exposed_at, phase.claimed_by(event), is_holdout=is_holdout)
    return _fault(event, exposed_at, candidates[0])


def _held_out(event: ExposureEvent, exposed_at: datetime, phase: PhaseClaims) -> Claim:
    control = phase.keys[0]
    if phase.claimed_by(event) != control:
        raise Refused("not_control", f"A unit that is held out sees the control, {control!r}.")
    if phase.gates.holds_out(event.unit_id) or not phase.gates.are_settled(exposed_at) or phase.closed_at is not None:
        return Claim(phase, exposed_at, control, is_holdout=True)
    return _fault(event, exposed_at, phase)


def _fault(event: ExposureEvent, exposed_at: datetime, phase: PhaseClaims) -> Claim:
    claimed, computed = phase.claimed_by(event), phase.variant_of(event.unit_id)
    if claimed not in phase.keys:
        raise Refused("variant_unknown", f"Phase {phase.number} has no variant {event.variant_key!r}.")
    if computed is None:
        raise Refused("not_enrolled", "The unit is outside the experiment's traffic: it has no variant to see.")
    is_holdout = phase.gates.holds_out(event.unit_id) and phase.gates.are_settled(exposed_at)
    return Claim(phase, exposed_at, computed, claimed_key=claimed, is_holdout=is_holdout)


def _gates(experiment: ExperimentRow, holdouts: Iterable[Holdout]) -> Gates:
    group = experiment.exclusion_group__pk
    applying = tuple(holdout for holdout in holdouts if holdout.group_id in (None, group))
    if experiment.exclusion_group__salt is None:
        return Gates(holdouts=applying)
    return Gates(experiment.exclusion_group__salt, (experiment.exclusion_start, experiment.exclusion_end), applying)


def claims_of(
    experiment: ExperimentRow, phases: Sequence[PhaseRow], holdouts: Iterable[Holdout]
) -> Iterator[PhaseClaims]:
    """Yield what claims against each phase of an experiment are checked with, oldest first."""
    gates = _gates(experiment, holdouts)
    openings = [phase.opened_at for phase in phases[1:]]
    for phase, succeeded_at in zip(phases, [*openings, None], strict=True):
        # Lowering the coverage opens a phase, so an older one is checked at full coverage: same variant, wider range.
        coverage = experiment.coverage if phase.closed_at is None else BUCKETS
        yield PhaseClaims(
            phase_id=phase.pk,
            key=row_key(phase),
            month=retention_month(phase.opened_at),
            number=phase.number,
            salt=phase.salt,
            spans=served_spans(phase),
            closed_at=phase.closed_at,
            succeeded_at=succeeded_at,
            keys=tuple(phase.keys),
            ranges=_ranges(tuple(phase.weights), coverage),
            gates=gates if phase.closed_at is None else Gates(),
            is_taken_as_given=phase.origin != PhaseOrigin.PUBLISHED,
            is_retired=phase.facts_retired_at is not None,
        )


def row_key(phase: PhaseRow) -> bytes:
    """Return the month, experiment and phase of an exposure's key: 4, 16 and 16 bytes, in the order of the rows."""
    month = retention_month(phase.opened_at).toordinal()
    return month.to_bytes(4) + phase.experiment_id.bytes + phase.pk.bytes


@lru_cache(maxsize=4_096)
def _ranges(weights: tuple[int, ...], coverage: int) -> tuple[Range, ...]:
    try:
        return allocation(weights, nearest_coverage(weights, coverage))
    except AllocationError:
        return ()  # a broken phase enrols nobody, and does not sink the batch
