"""The tables of the subject, split by concept; import them from here."""

from catalog_experiments.models.access import ApiKey
from catalog_experiments.models.audit import ExperimentEvent
from catalog_experiments.models.bundle import Bundle, BundleAcceptanceMetric, StockState
from catalog_experiments.models.evaluation import EvaluationAction, GuardrailEvaluation
from catalog_experiments.models.exclusion import ExclusionGroup, Holdout
from catalog_experiments.models.experiment import (
    Conclusion,
    Experiment,
    ExperimentStatus,
    PauseCause,
    Phase,
    PhaseOrigin,
    PrimaryMetric,
    UnitKind,
    Variant,
)
from catalog_experiments.models.job import JobLease, JobOutcome, JobRun, ScheduleOrigin
from catalog_experiments.models.metric import AggregationCursor, GuardrailTally, Moment, MomentMetric, VariantMetric
from catalog_experiments.models.publication import OverridePublication, PublishedDocument
from catalog_experiments.models.telemetry import Exposure, Order, OrderOutcome, OrderStatus, UnitAlias

__all__ = [
    "AggregationCursor",
    "ApiKey",
    "Bundle",
    "BundleAcceptanceMetric",
    "Conclusion",
    "EvaluationAction",
    "ExclusionGroup",
    "Experiment",
    "ExperimentEvent",
    "ExperimentStatus",
    "Exposure",
    "GuardrailEvaluation",
    "GuardrailTally",
    "Holdout",
    "JobLease",
    "JobOutcome",
    "JobRun",
    "Moment",
    "MomentMetric",
    "Order",
    "OrderOutcome",
    "OrderStatus",
    "OverridePublication",
    "PauseCause",
    "Phase",
    "PhaseOrigin",
    "PrimaryMetric",
    "PublishedDocument",
    "ScheduleOrigin",
    "StockState",
    "UnitAlias",
    "UnitKind",
    "Variant",
    "VariantMetric",
]
