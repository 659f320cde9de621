"""The lifecycle of an experiment: the only writer of `status`.

`verbs` holds what people and machines may ask for, `activation` what makes an experiment serve, `renewal` what opens a
new phase of a live one, `conclusions` what an ended one came to.
"""

from catalog_experiments.lifecycle.verbs import (
    ExperimentNotFound,
    IllegalMove,
    InvalidExperiment,
    PreflightFailed,
    ReasonRequired,
    StaleVersion,
    adopt,
    clone,
    complete,
    conclude,
    delete_draft,
    legal_moves,
    open_new_phase,
    pause,
    publish,
    release_slots,
    resume,
)

__all__ = [
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
    "delete_draft",
    "legal_moves",
    "open_new_phase",
    "pause",
    "publish",
    "release_slots",
    "resume",
]
