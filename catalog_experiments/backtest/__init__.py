"""Proposed guardrails on the shop's own past: which phases they would have paused, how early, and how often wrongly.

Reads what `aggregation` counted and what orders said, judges with `guardrails.judge`, and stores nothing. `course`,
`replay`, `resampling`, `false_alarms` and `fit` are pure; `history` reads, `runs` puts the parts together, `wording`
says it in sentences.
"""

from catalog_experiments.backtest.course import Proposal
from catalog_experiments.backtest.false_alarms import FalseAlarms, Step, Suggestion
from catalog_experiments.backtest.fit import ControlFit
from catalog_experiments.backtest.runs import (
    BOUNDED_LOOKS,
    Backtest,
    Options,
    Replay,
    backtest_bundle,
    backtest_experiment,
    proposal_of,
)

__all__ = [
    "BOUNDED_LOOKS",
    "Backtest",
    "ControlFit",
    "FalseAlarms",
    "Options",
    "Proposal",
    "Replay",
    "Step",
    "Suggestion",
    "backtest_bundle",
    "backtest_experiment",
    "proposal_of",
]
