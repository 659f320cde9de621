"""The steps of a ramp: how much traffic, what must be reached before the next one, and what a finding does to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from itertools import pairwise

from catalog_experiments.assignment import BUCKETS, AllocationError, allowed_coverage
from catalog_experiments.field_errors import FieldError, InvalidFields, whole_number_errors

MOST_STEPS = 20
LONGEST_HOURS = 24 * 90
LARGEST_SAMPLE = 2_147_483_647


class Reaction(StrEnum):
    """What a ramp does while something is found: wait, go one step down and end, or note it and go on."""

    HOLD = "hold"
    ROLL_BACK = "roll_back"
    WARN = "warn"


class Finding(StrEnum):
    """What may be found against a step: a guardrail verdict, variants off their shares, other doubts about the data."""

    GUARDRAIL = "guardrail"
    SAMPLE_RATIO = "sample_ratio"
    HOLD = "hold"


@dataclass(frozen=True, slots=True, kw_only=True)
class RampStep:
    """One step: its coverage in basis points of all units, and what must be reached before it is left.

    `minimum_hours` count from the moment the step is served, `minimum_sample` units of the smallest variant first
    exposed since then. Of the last step they say how long its reactions stay armed.
    """

    coverage: int
    minimum_hours: int = 24
    minimum_sample: int = 0
    on_guardrail: Reaction = Reaction.ROLL_BACK
    on_sample_ratio: Reaction = Reaction.HOLD
    on_hold: Reaction = Reaction.HOLD

    def reaction_to(self, finding: Finding) -> Reaction:
        """Return what this step does about a finding."""
        reactions = {
            Finding.GUARDRAIL: self.on_guardrail,
            Finding.SAMPLE_RATIO: self.on_sample_ratio,
            Finding.HOLD: self.on_hold,
        }
        return reactions[finding]


RampPlan = tuple[RampStep, ...]
"""Steps of rising coverage; empty for an experiment without ramp."""

_RANGES = {"coverage": (1, BUCKETS), "minimum_hours": (0, LONGEST_HOURS), "minimum_sample": (0, LARGEST_SAMPLE)}
_REACTIONS = ("on_guardrail", "on_sample_ratio", "on_hold")
_NAMES = tuple(each.name for each in fields(RampStep))


class RampPlanError(InvalidFields):
    """The plan is refused; `errors` holds one entry per fault, its field as `[step].name` with steps from 0."""


def parse_plan(value: object, weights: Sequence[int] | None = None) -> RampPlan:
    """Return the plan that a JSON list describes; what a step leaves out has its default.

    Args:
        value: a list of objects with the fields of `RampStep`.
        weights: of the variants, control first; None leaves out whether each coverage splits exactly by them.

    Raises:
        RampPlanError: with every fault found.

    >>> [step.coverage for step in parse_plan([{"coverage": 500}, {"coverage": 10000}], [50, 50])]
    [500, 10000]
    """
    if not isinstance(value, list | tuple):
        raise RampPlanError([FieldError("", "type", "The ramp plan must be a list of steps, [] for none.")])
    if len(value) > MOST_STEPS:
        raise RampPlanError([FieldError("", "too_many", f"Use at most {MOST_STEPS} steps.")])
    if faults := [fault for index, step in enumerate(value) for fault in _step_errors(index, step)]:
        raise RampPlanError(faults)
    plan = tuple(_step(step) for step in value)
    if faults := [*_order_errors(plan), *_split_errors(plan, weights), *_condition_errors(plan)]:
        raise RampPlanError(faults)
    return plan


def spell_out(value: object) -> object:
    """Return a sound plan with every field of every step, so that equal plans are equal; any other value as it is.

    >>> spell_out([{"coverage": 500, "minimum_hours": 2}]) == spell_out([{"coverage": 500, "minimum_hours": 2,
    ...     "minimum_sample": 0, "on_hold": "hold"}]), spell_out("none")
    (True, 'none')
    """
    try:
        plan = parse_plan(value)
    except RampPlanError:
        return value
    steps = (asdict(step) for step in plan)
    return [{name: str(own) if name in _REACTIONS else own for name, own in step.items()} for step in steps]


def place_in(plan: RampPlan, coverage: int) -> int:
    """Return the step, from 1, at which a ramp goes on that serves `coverage` now; 0 when that is below the first.

    >>> place_in(parse_plan([{"coverage": 500}, {"coverage": 5000}]), 2500)
    1
    """
    return sum(step.coverage <= coverage for step in plan)


def _step(raw: Mapping[str, object]) -> RampStep:
    values = {name: Reaction(str(value)) if name in _REACTIONS else value for name, value in raw.items()}
    return RampStep(**values)  # type: ignore[arg-type]  # every value was checked by its name


def _step_errors(index: int, raw: object) -> Iterator[FieldError]:
    here = f"[{index}]"
    if not isinstance(raw, Mapping):
        yield FieldError(here, "type", "Each step must be an object with a coverage.")
        return
    for name in [name for name in raw if name not in _NAMES]:
        yield FieldError(f"{here}.{name}", "unknown_field", f"There is no such field; known: {', '.join(_NAMES)}.")
    yield from _value_errors(here, raw)


def _value_errors(here: str, raw: Mapping[str, object]) -> Iterator[FieldError]:
    if "coverage" not in raw:
        yield FieldError(f"{here}.coverage", "required", "Each step needs a coverage, in basis points.")
    for name, (lowest, highest) in _RANGES.items():
        if name in raw:
            yield from whole_number_errors(f"{here}.{name}", raw[name], lowest, highest)
    for name in _REACTIONS:
        if raw.get(name, Reaction.HOLD) not in list(Reaction):
            yield FieldError(f"{here}.{name}", "choice", f"Use one of: {', '.join(Reaction)}.")


def _order_errors(plan: RampPlan) -> Iterator[FieldError]:
    for index, (before, step) in enumerate(pairwise(plan), start=1):
        if step.coverage <= before.coverage:
            message = f"Coverage only rises along a ramp: use more than the {before.coverage} of the step before."
            yield FieldError(f"[{index}].coverage", "order", message)


def _split_errors(plan: RampPlan, weights: Sequence[int] | None) -> Iterator[FieldError]:
    for index, step in enumerate(plan if weights is not None else ()):
        try:
            if allowed_coverage(weights or (), step.coverage) == 0:
                yield FieldError(f"[{index}].coverage", "allocation", "This coverage is too small for any visitor.")
        except AllocationError as refused:
            yield FieldError(f"[{index}].coverage", "allocation", str(refused))


def _condition_errors(plan: RampPlan) -> Iterator[FieldError]:
    for index, step in enumerate(plan[:-1]):
        if not step.minimum_hours and not step.minimum_sample:
            message = "Give hours or a sample to reach before the next step; else this is no step."
            yield FieldError(f"[{index}].minimum_hours", "condition", message)
