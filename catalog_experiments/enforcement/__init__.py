"""Verdicts become actions: a frozen record, and where the evidence says so a pause with its event, document and alert.

The step of the walk between `guardrails.judge` and `lifecycle.pause` + `outbox.enqueue`.
"""

from catalog_experiments.enforcement.evaluation import EvaluationOutcome, evaluate
from catalog_experiments.enforcement.explanation import Explanation, PathPoint, explain
from catalog_experiments.enforcement.records import VerifyResult, verify_chain
from catalog_experiments.enforcement.reporting import EvaluationReport, VariantBreach, report, verdicts_now
from catalog_experiments.enforcement.rounds import TickResult, evaluate_due
from catalog_experiments.enforcement.turns import verdict_turns
from catalog_experiments.enforcement.worker import BundleExperimentGuardrailWorker

__all__ = [
    "BundleExperimentGuardrailWorker",
    "EvaluationOutcome",
    "EvaluationReport",
    "Explanation",
    "PathPoint",
    "TickResult",
    "VariantBreach",
    "VerifyResult",
    "evaluate",
    "evaluate_due",
    "explain",
    "report",
    "verdict_turns",
    "verdicts_now",
    "verify_chain",
]
