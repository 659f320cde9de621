"""The plan of a ramp as it is sent and read, and where the ramp stands."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from catalog_experiments.api.serializers.fields import ChoiceField, StrictSerializer, WholeNumberField
from catalog_experiments.models import Experiment, RampState
from catalog_experiments.ramp_plans import RampPlanError, Reaction, parse_plan
from catalog_experiments.ramp_plans.decision import earliest_at

REACTIONS = [(reaction.value, reaction.value) for reaction in Reaction]


class RampStepSerializer(StrictSerializer):
    """One step: its traffic, what must be reached before the next, and what findings do to it."""

    coverage = WholeNumberField(min_value=1, max_value=10_000, help_text="Basis points of all units; rises by step.")
    minimum_hours = WholeNumberField(min_value=0, max_value=2_160, required=False, help_text="24 when left out.")
    minimum_sample = WholeNumberField(
        min_value=0,
        max_value=2_147_483_647,
        required=False,
        help_text="Units of the smallest variant, first exposed during the step; 0 when left out.",
    )
    on_guardrail = ChoiceField(choices=REACTIONS, required=False, help_text="roll_back when left out.")
    on_sample_ratio = ChoiceField(choices=REACTIONS, required=False, help_text="hold when left out.")
    on_hold = ChoiceField(choices=REACTIONS, required=False, help_text="hold when left out.")


class RampSerializer(serializers.Serializer[Any]):
    """Where a ramp stands; `not_before` is when the present step has had its hours."""

    state = serializers.ChoiceField(choices=[choice for choice in RampState.choices if choice[0]])
    step = serializers.IntegerField()
    of_steps = serializers.IntegerField()
    coverage = serializers.IntegerField()
    step_at = serializers.DateTimeField()
    next_coverage = serializers.IntegerField(allow_null=True)
    not_before = serializers.DateTimeField(allow_null=True)


def ramp_of(experiment: Experiment) -> dict[str, Any] | None:
    """Return where an experiment's ramp stands; None without one."""
    if experiment.ramp_step is None or experiment.ramp_step_at is None:
        return None
    try:
        plan = parse_plan(experiment.ramp_plan)
    except RampPlanError:
        return None  # broken by hand past every rule; the plan itself is shown beside
    is_climbing = experiment.ramp_state == RampState.CLIMBING
    has_next = is_climbing and experiment.ramp_step < len(plan)
    standing = {
        "state": experiment.ramp_state,
        "step": experiment.ramp_step,
        "of_steps": len(plan),
        "coverage": experiment.coverage,
        "step_at": experiment.ramp_step_at,
        "next_coverage": plan[experiment.ramp_step].coverage if has_next else None,
        "not_before": earliest_at(plan[experiment.ramp_step - 1], experiment.ramp_step_at) if has_next else None,
    }
    return dict(RampSerializer(standing).data)
