"""Move the coverage of running experiments along their ramp plans, while nothing speaks against it.

`standing` reads where ramps stand, `ramp_plans.decide` decides, `verbs` make the move that a person or the clock asks
for.
"""

from catalog_experiments.ramp_plans import Move
from catalog_experiments.ramping.standing import Samples, judged_standing, samples_since_step, standing_of
from catalog_experiments.ramping.verbs import RampRefused, advance, step, stop

__all__ = [
    "Move",
    "RampRefused",
    "Samples",
    "advance",
    "judged_standing",
    "samples_since_step",
    "standing_of",
    "step",
    "stop",
]
