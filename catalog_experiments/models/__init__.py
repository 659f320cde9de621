"""The tables of the subject, split by concept; import them from here."""

from catalog_experiments.models.access import ApiKey, CallCount
from catalog_experiments.models.audit import ExperimentEvent
from catalog_experiments.models.bundle import Bundle, BundleAcceptanceHour, BundleAcceptanceMetric, StockState
from catalog_experiments.models.canary import CalibrationRun, CanaryAlarm
from catalog_experiments.models.cohort import HOURLY, Cohort, OpenUnit
from catalog_experiments.models.confirmation import LiveConfirmation
from catalog_experiments.models.erasure import ErasedCohort, ErasedUnit
from catalog_experiments.models.evaluation import EvaluationAction, EvaluationHead, GuardrailEvaluation
from catalog_experiments.models.exclusion import ExclusionGroup, Holdout
from catalog_experiments.models.experiment import (
    Conclusion,
    Experiment,
    ExperimentStatus,
    PauseCause,
    RampState,
    Segment,
    UnitKind,
    Variant,
)
from catalog_experiments.models.job import JobLease, JobOutcome, JobRun, ScheduleOrigin
from catalog_experiments.models.metric import AggregationCursor, GuardrailTally, Moment, MomentMetric, VariantMetric
from catalog_experiments.models.phase import Phase, PhaseOrigin, PrimaryMetric
from catalog_experiments.models.publication import OverridePublication, PublishedDocument
from catalog_experiments.models.quality import IntakeKind, IntakeOutcome, TelemetryGap, TelemetryHour
from catalog_experiments.models.telemetry import ExcludedTraffic, Exposure, Order, OrderOutcome, OrderStatus, UnitAlias

__all__ = [
    "HOURLY",
    "AggregationCursor",
    "ApiKey",
    "Bundle",
    "BundleAcceptanceHour",
    "BundleAcceptanceMetric",
    "CalibrationRun",
    "CallCount",
    "CanaryAlarm",
    "Cohort",
    "Conclusion",
    "ErasedCohort",
    "ErasedUnit",
    "EvaluationAction",
    "EvaluationHead",
    "ExcludedTraffic",
    "ExclusionGroup",
    "Experiment",
    "ExperimentEvent",
    "ExperimentStatus",
    "Exposure",
    "GuardrailEvaluation",
    "GuardrailTally",
    "Holdout",
    "IntakeKind",
    "IntakeOutcome",
    "JobLease",
    "JobOutcome",
    "JobRun",
    "LiveConfirmation",
    "Moment",
    "MomentMetric",
    "OpenUnit",
    "Order",
    "OrderOutcome",
    "OrderStatus",
    "OverridePublication",
    "PauseCause",
    "Phase",
    "PhaseOrigin",
    "PrimaryMetric",
    "PublishedDocument",
    "RampState",
    "ScheduleOrigin",
    "Segment",
    "StockState",
    "TelemetryGap",
    "TelemetryHour",
    "UnitAlias",
    "UnitKind",
    "Variant",
    "VariantMetric",
]
