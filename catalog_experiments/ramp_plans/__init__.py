"""What a ramp is asked to do, and what it should do now: plain values in, plain values out. Pure.

`plan` reads the steps that people write, `decision` takes one step or says what it waits for.
"""

from catalog_experiments.ramp_plans.decision import Move, Obstacle, RampDecision, RampStanding, decide
from catalog_experiments.ramp_plans.plan import (
    MOST_STEPS,
    Finding,
    RampPlan,
    RampPlanError,
    RampStep,
    Reaction,
    parse_plan,
    place_in,
    spell_out,
)

__all__ = [
    "MOST_STEPS",
    "Finding",
    "Move",
    "Obstacle",
    "RampDecision",
    "RampPlan",
    "RampPlanError",
    "RampStanding",
    "RampStep",
    "Reaction",
    "decide",
    "parse_plan",
    "place_in",
    "spell_out",
]
