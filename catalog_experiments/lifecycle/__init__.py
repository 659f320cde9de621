"""The lifecycle of an experiment: the only writer of `status`.

`verbs` holds what people and machines may ask for, `activation` what makes an experiment serve, `renewal` what opens a
new phase of a live one, `coverage` how much traffic it gets, `conclusions` what an ended one came to.
"""

from catalog_experiments.drafting import InvalidExperiment, clone
from catalog_experiments.lifecycle.activation import PreflightFailed
from catalog_experiments.lifecycle.conclusions import conclusion_warnings
from catalog_experiments.lifecycle.coverage import RAMP_COLUMNS, set_coverage, set_step
from catalog_experiments.lifecycle.renewal import open_new_phase, release_slots
from catalog_experiments.lifecycle.verbs import (
    ReasonRequired,
    adopt,
    complete,
    conclude,
    delete_draft,
    pause,
    publish,
    resume,
)
from catalog_experiments.locking import ExperimentNotFound, StaleVersion
from catalog_experiments.transitions import IllegalMove, legal_moves

__all__ = [
    "RAMP_COLUMNS",
    "ExperimentNotFound",
    "IllegalMove",
    "InvalidExperiment",
    "PreflightFailed",
    "ReasonRequired",
    "StaleVersion",
    "adopt",
    "clone",
    "complete",
    "conclude",
    "conclusion_warnings",
    "delete_draft",
    "legal_moves",
    "open_new_phase",
    "pause",
    "publish",
    "release_slots",
    "resume",
    "set_coverage",
    "set_step",
]
