"""What a judgement looks at: the frame of the phase and, per variant, hourly counts and harm moments."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from catalog_experiments.guardrails.config import GuardrailConfig
from catalog_experiments.stats.blocks import BlockClock, HourTally
from catalog_experiments.stats.moments import VariantMoments

__all__ = ["DEFAULT_PLANNED_SAMPLE", "HourTally", "Observation", "PhaseFrame"]

DEFAULT_PLANNED_SAMPLE = 5000
"""Planned units of both variants when the experiment states none; only tunes the width of the harm sequence."""


@dataclass(frozen=True, slots=True)
class PhaseFrame:
    """The phase under judgement.

    Attributes:
        opened_at: start of the phase, aware, UTC; fixes every block opening.
        now: the moment the data is judged at, aware, UTC. Pass the data's watermark, so that unchanged data gives an
            unchanged record.
        alpha: chance of a false pause, fixed when the phase opened; split over test variants and bounds.
        minimum_sample: outcomes below which a variant is collecting (`effective_minimum`).
        config: thresholds in force now.
        planned_sample_size: planned units of the experiment, 1 or more; tunes the harm sequence.
    """

    opened_at: datetime
    now: datetime
    alpha: float
    minimum_sample: int
    config: GuardrailConfig
    planned_sample_size: int = DEFAULT_PLANNED_SAMPLE

    @property
    def clock(self) -> BlockClock:
        """The block openings of this phase up to now."""
        return BlockClock(self.opened_at, self.now)


@dataclass(frozen=True, slots=True)
class Observation:
    """What one variant has shown since the phase began. Give one per variant, also without any outcome yet.

    Attributes:
        variant_key: key of the variant.
        is_control: at most one observation may be the control's.
        has_bundle: False for a control that makes no offer; its acceptance is then no figure at all.
        tallies: net outcomes per UTC hour of `placed_at`; hours may be merged by `merge_old_hours`.
        gross_n: outcomes before cancellations; recorded, never judged.
        gross_accepted: acceptances before cancellations; recorded, never judged.
        revised_n: how often a counted outcome changed or left since the phase began; recorded, never judged.
        revised_count: counted outcomes that changed or left since the last evaluation.
        harm: moments of the harm metric over mature units; None when not measured.
        harm_payers: paying units when harm is counted in money; None when the metric is 0 or 1 per unit.
        exposures: per UTC hour, first exposures of the whole experiment (`n`) and of this variant (`accepted`).
        planned_share: this variant's share of the exposures in (0, 1); None turns the collapse check off.
    """

    variant_key: str
    is_control: bool
    has_bundle: bool
    tallies: tuple[HourTally, ...]
    gross_n: int = 0
    gross_accepted: int = 0
    revised_n: int = 0
    revised_count: int = 0
    harm: VariantMoments | None = None
    harm_payers: int | None = None
    exposures: tuple[HourTally, ...] = ()
    planned_share: float | None = None
