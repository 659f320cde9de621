"""Facts leave when they have said all they can: exposures by phase, orders by age. What was summed from them stays.

Stands above `aggregation`, which counts a phase a last time before its facts go and never again after. Batches commit,
so a killed run is completed by the next one.
"""

from catalog_experiments.retention.report import OrderFacts, PhaseFacts, RetentionReport
from catalog_experiments.retention.rules import RetentionRules
from catalog_experiments.retention.runs import plan, retire

__all__ = ["OrderFacts", "PhaseFacts", "RetentionReport", "RetentionRules", "plan", "retire"]
