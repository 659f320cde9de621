"""The runbook's literal comparisons."""

from __future__ import annotations

from decimal import Decimal

import pytest

from catalog_experiments.guardrails import GuardrailConfig, LatestMetric, breaches

WITHIN = GuardrailConfig(min_acceptance_rate=0.1, max_acceptance_rate=0.4)


@pytest.mark.parametrize(
    ("metric", "codes"),
    [
        (LatestMetric(1000, Decimal("0.1800")), ()),
        (LatestMetric(1000, Decimal("0.0950")), ("min_acceptance_rate",)),
        (LatestMetric(1000, Decimal("0.1000")), ()),
        (LatestMetric(1000, Decimal("0.4000")), ()),
        (LatestMetric(1000, 0.4001), ("max_acceptance_rate",)),
        (LatestMetric(50, 0.2), ()),
        (LatestMetric(49, 0.02), ("sample_size", "min_acceptance_rate")),
        (None, ("sample_size", "min_acceptance_rate")),
    ],
)
def test_breaches__latest_metric__strict_on_every_threshold(
    metric: LatestMetric | None, codes: tuple[str, ...]
) -> None:
    assert breaches(metric, WITHIN, 50) == codes


def test_breaches__nothing_configured__is_empty() -> None:
    assert breaches(None, GuardrailConfig(), 0) == ()


def test_breaches__older_alias__applies_unless_the_own_guardrail_is_set() -> None:
    config = GuardrailConfig(min_sample_size=100)

    assert breaches(LatestMetric(80, 0.2), config, 0) == ("sample_size",)
    assert breaches(LatestMetric(80, 0.2), config, 50) == ()
