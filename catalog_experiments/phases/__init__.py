"""Phases: one unchanged treatment each, opened with a snapshot of what is served and closed for good."""

from catalog_experiments.phases.opening import (
    close_phase,
    open_phase,
    reasons_for_new_phase,
    record_unserved_from,
    record_unserved_to,
    refresh_rules,
)
from catalog_experiments.phases.partitions import ensure_exposure_partition, partition_name

__all__ = [
    "close_phase",
    "ensure_exposure_partition",
    "open_phase",
    "partition_name",
    "reasons_for_new_phase",
    "record_unserved_from",
    "record_unserved_to",
    "refresh_rules",
]
