"""The runbook's own comparisons on the latest metric row: literal, strict, without any evidence."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from catalog_experiments.guardrails.config import GuardrailConfig, effective_minimum


class LatestMetric(NamedTuple):
    """The two figures of a metric row that the comparisons read; the rate is a fraction with 4 decimals."""

    sample_size: int = 0
    acceptance_rate: float | Decimal = 0.0


def breaches(latest: LatestMetric | None, config: GuardrailConfig, sample_size_guardrail: int = 0) -> tuple[str, ...]:
    """Return the codes of the missed thresholds: `sample_size`, `min_acceptance_rate`, `max_acceptance_rate`.

    Without a metric row sample and rate count as 0. These codes never pause anything; see `judge`.

    >>> breaches(LatestMetric(1000, 0.095), GuardrailConfig(min_acceptance_rate=0.1), 50)
    ('min_acceptance_rate',)
    >>> breaches(None, GuardrailConfig(min_acceptance_rate=0.1), 50)
    ('sample_size', 'min_acceptance_rate')
    """
    sample_size, rate = latest or LatestMetric()
    lowest, highest = config.min_acceptance_rate, config.max_acceptance_rate
    missed = {
        "sample_size": sample_size < effective_minimum(config, sample_size_guardrail),
        "min_acceptance_rate": lowest is not None and float(rate) < lowest,
        "max_acceptance_rate": highest is not None and float(rate) > highest,
    }
    return tuple(code for code, is_missed in missed.items() if is_missed)
