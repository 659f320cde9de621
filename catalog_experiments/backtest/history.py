"""What the shop has stored, as phases to replay: guardrail tallies of past phases, and orders where nothing ran."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from django.db.models import Min, Q, QuerySet, Sum

from catalog_experiments.backtest.course import Course, VariantCourse, hourly_counts
from catalog_experiments.backtest.resampling import Stretch, stretch_of
from catalog_experiments.guardrails import HourTally
from catalog_experiments.guardrails.observations import DEFAULT_PLANNED_SAMPLE
from catalog_experiments.models import (
    BundleAcceptanceHour,
    EvaluationAction,
    GuardrailEvaluation,
    GuardrailTally,
    Moment,
    MomentMetric,
    Phase,
    PhaseOrigin,
)
from catalog_experiments.stats.moments import VariantMoments

Ending = Literal["guardrail", "paused", "closed", "open", "orders"]
Span = tuple[datetime, datetime]
Tallies = Mapping[str, Sequence[HourTally]]
"""Hourly tallies by variant key, or by bundle slug."""


@dataclass(frozen=True, slots=True)
class History:
    """One phase as it went, or the orders of a bundle over a time without experiments (`phase_number` None).

    `ending` says what really ended it at `stopped_at`: a guardrail, a person or schedule that paused it, the phase's
    close, nothing yet, or that these orders were its last. `bundles` gives each variant's bundle, `control_stretches`
    the control's outcomes while the phase was served.
    """

    name: str
    slug: str
    phase_number: int | None
    course: Course
    ending: Ending
    stopped_at: datetime
    bundles: Mapping[str, str | None]
    planned_sample_size: int = DEFAULT_PLANNED_SAMPLE
    control_stretches: tuple[Stretch, ...] = ()

    @property
    def control_bundle(self) -> str | None:
        """Bundle of the control; None when it makes no offer or there is none."""
        control = self.course.control
        return self.bundles.get(control.variant_key) if control else None

    @property
    def orders(self) -> int:
        """First eligible orders of all variants; those of a pseudo-variant are its control's too, and count once."""
        counted = self.course.tests if self.phase_number is None else self.course.variants
        return sum(own.outcomes_before[-1] for own in counted)

    def only(self, keys: Iterable[str]) -> History:
        """Return the same with the control and these test variants alone."""
        kept = tuple(each for each in self.course.variants if each.is_control or each.variant_key in set(keys))
        return replace(self, course=replace(self.course, variants=kept))


def phases_since(since: datetime, wanted: Q) -> list[Phase]:
    """Return the phases that ran after a moment and meet a condition, oldest first; QA phases have no history."""
    phases: QuerySet[Phase] = Phase.objects.filter(wanted).exclude(origin=PhaseOrigin.SEEDED)
    return list(phases.exclude(closed_at__lt=since).select_related("experiment").order_by("opened_at", "number"))


def histories_of(phases: Sequence[Phase], *, now: datetime) -> tuple[History, ...]:
    """Read the phases as they went; three queries for any number."""
    tallies, harm, pauses = _tallies(phases), _harm(phases), _guardrail_pauses(phases)
    return tuple(_history(phase, tallies[phase.pk], harm[phase.pk], pauses.get(phase.pk), now) for phase in phases)


def order_tallies(bundle_slugs: Iterable[str], since: datetime, until: datetime) -> dict[str, list[HourTally]]:
    """Return the orders of the bundles' products by hour, as the aggregation counted them; one query."""
    rows = (
        BundleAcceptanceHour.objects.filter(bundle__bundle_slug__in=sorted(set(bundle_slugs)))
        .filter(hour_at__gte=since, hour_at__lt=until)
        .order_by("hour_at")
        .values_list("bundle__bundle_slug", "hour_at", "sample_size", "acceptance_count")
    )
    tallies = defaultdict[str, list[HourTally]](list)
    for slug, hour_at, n, taken in rows:
        tallies[slug].append(HourTally(hour_at, n, taken))
    return dict(tallies)


def free_spans(phases: Iterable[Phase], since: datetime, until: datetime) -> Iterator[Span]:
    """Yield the spans in which none of the phases was open: then every order met the shop's own offer."""
    begin_at = since
    for opened_at, closed_at in sorted((phase.opened_at, phase.closed_at or until) for phase in phases):
        if opened_at > begin_at:
            yield begin_at, min(opened_at, until)
        begin_at = max(begin_at, closed_at)
    if begin_at < until:
        yield begin_at, until


def stretches_of(tallies: Sequence[HourTally], spans: Iterable[Span]) -> tuple[Stretch, ...]:
    """Lay out the whole hours of each span from its first order on; spans without orders give none."""
    stretches = []
    for from_at, to_at in spans:
        first_at = min((own.hour_at for own in tallies if from_at <= own.hour_at < to_at and own.n), default=None)
        stretch = stretch_of(tallies, first_at, to_at) if first_at is not None else None
        if stretch is not None:
            stretches.append(stretch)
    return tuple(stretches)


def history_of_orders(bundle_slug: str, control_slug: str | None, tallies: Tallies, span: Span) -> History | None:
    """Return a bundle's orders over a span as the phase of a pseudo-variant; None without whole hours of orders.

    Beside it stands the control's bundle with its own orders, or without one a control that makes no offer: then
    bounds wait seven days, as they would.
    """
    [own, *_] = stretches_of(tallies.get(bundle_slug, ()), [span]) or [None]
    if own is None:
        return None
    ended_at = own.ended_at
    counts = own.counts
    control = tallies.get(control_slug, ()) if control_slug else ()
    variants = (
        VariantCourse(
            "control",
            hourly_counts([each for each in control if own.first_hour_at <= each.hour_at < ended_at], *_ends(own)),
            is_control=True,
            has_bundle=bool(control),
        ),
        VariantCourse("test", counts),
    )
    return History(
        name=f"Orders of {bundle_slug}",
        slug=bundle_slug,
        phase_number=None,
        course=Course(own.first_hour_at, ended_at, variants),
        ending="orders",
        stopped_at=ended_at,
        bundles={"control": control_slug if control else None, "test": bundle_slug},
    )


def _ends(stretch: Stretch) -> Span:
    return stretch.first_hour_at, stretch.ended_at


def _history(
    phase: Phase,
    tallies: Tallies,
    harm: Mapping[str, Sequence[tuple[date, VariantMoments]]],
    paused_at: datetime | None,
    now: datetime,
) -> History:
    served = list(_served_spans(phase, now))
    ended_at = served[-1][1] if served else phase.opened_at
    ending, stopped_at = _ending(phase, paused_at, ended_at)
    course = Course(
        phase.opened_at,
        ended_at,
        tuple(
            VariantCourse(
                snapshot["key"],
                hourly_counts(tallies.get(snapshot["key"], ()), phase.opened_at, ended_at),
                is_control=bool(snapshot["is_control"]),
                has_bundle=snapshot["bundle_slug"] is not None,
                harm=tuple(harm.get(snapshot["key"], ())),
            )
            for snapshot in phase.variants
        ),
    )
    return History(
        name=phase.experiment.name,
        slug=phase.experiment.slug,
        phase_number=phase.number,
        course=course,
        ending=ending,
        stopped_at=stopped_at,
        bundles={snapshot["key"]: snapshot["bundle_slug"] for snapshot in phase.variants},
        planned_sample_size=_planned(phase),
        control_stretches=_control_stretches(phase, tallies, served),
    )


def _planned(phase: Phase) -> int:
    planned = phase.planned_sample_size
    return planned * len(phase.variants) if planned else DEFAULT_PLANNED_SAMPLE


def _control_stretches(phase: Phase, tallies: Tallies, served: Iterable[Span]) -> tuple[Stretch, ...]:
    control = next((own for own in phase.variants if own["is_control"] and own["bundle_slug"]), None)
    if control is None:
        return ()
    stretches = (stretch_of(tallies.get(control["key"], ()), *span) for span in served)
    return tuple(stretch for stretch in stretches if stretch is not None)


def _served_spans(phase: Phase, now: datetime) -> Iterator[Span]:
    begin_at, end_at = phase.opened_at, phase.closed_at or now
    for since, until in phase.unserved_spans:
        paused_at = datetime.fromisoformat(since)
        if paused_at > begin_at:
            yield begin_at, paused_at
        begin_at = datetime.fromisoformat(until) if until else end_at
    if begin_at < end_at:
        yield begin_at, end_at


def _ending(phase: Phase, paused_at: datetime | None, ended_at: datetime) -> tuple[Ending, datetime]:
    if paused_at is not None:
        return "guardrail", paused_at
    if phase.unserved_spans and phase.unserved_spans[-1][1] is None:
        return "paused", ended_at
    return ("closed" if phase.closed_at else "open"), ended_at


def _tallies(phases: Sequence[Phase]) -> dict[UUID, dict[str, list[HourTally]]]:
    rows = GuardrailTally.objects.filter(
        experiment__in={phase.experiment_id for phase in phases}, phase__in=[phase.pk for phase in phases]
    )
    tallies = defaultdict[UUID, dict[str, list[HourTally]]](lambda: defaultdict(list))
    columns = ("phase_id", "variant_key", "outcome_hour_at", "n", "accepted")
    for phase_id, key, hour_at, n, accepted in rows.order_by("outcome_hour_at").values_list(*columns):
        tallies[phase_id][key].append(HourTally(hour_at, n, accepted))
    return tallies


def _harm(phases: Sequence[Phase]) -> dict[UUID, dict[str, list[tuple[date, VariantMoments]]]]:
    harm = defaultdict[UUID, dict[str, list[tuple[date, VariantMoments]]]](lambda: defaultdict(list))
    rows: Iterable[Any] = (
        Moment.objects.filter(
            experiment__in={phase.experiment_id for phase in phases},
            phase__in=[phase.pk for phase in phases],
            metric=MomentMetric.HARM,
            segment="",
        )
        .values_list("phase_id", "variant_key", "cohort_date")
        .annotate(Sum("n"), Sum("total"), Sum("total_squares"))
        .order_by("cohort_date")
    )
    for phase_id, key, day, *sums in rows:
        harm[phase_id][key].append((day, VariantMoments(*(int(each) for each in sums))))
    return harm


def _guardrail_pauses(phases: Sequence[Phase]) -> dict[UUID, datetime]:
    rows = GuardrailEvaluation.objects.filter(phase__in=[phase.pk for phase in phases], action=EvaluationAction.PAUSED)
    return dict(rows.values_list("phase_id").annotate(Min("evaluated_at")))
