"""Is this unit eligible? Conditions on attributes, in the subset of GrowthBook's language that every SDK agrees on.

Stands before coverage in a decision. A condition is compiled once per published document and evaluated as JavaScript
would: `"8"` is below `10`, a missing attribute is null and counts as 0 in comparisons, objects equal only as text.
Pure.
"""

from catalog_experiments.targeting.conditions import Attributes, Predicate, compile_condition, matches, validate
from catalog_experiments.targeting.refusal import TargetingError

__all__ = ["Attributes", "Predicate", "TargetingError", "compile_condition", "matches", "validate"]
