"""What the pause rule costs a healthy experiment: told before the launch, with the reason it was chosen for."""

from __future__ import annotations

import math

from catalog_experiments.guardrails import GuardrailConfig, GuardrailConfigError, effective_minimum, parse_config
from catalog_experiments.guardrails.batches import batch_size
from catalog_experiments.preflight.launch import Check, Launch
from catalog_experiments.preflight.traffic import orders_of_variant_daily
from catalog_experiments.stats.persistence import BatchPlan, chance_of_bad_batch, chance_of_run, plan_batches

DAYS = 14
HEALTHY_MARGIN = 0.1
"""How far inside its bound a healthy offer is taken to lie, relative to the bound."""

ASSUMED_DAILY = 240.0
"""Orders a day of one variant, where the page has no figures yet."""


def check_pause_rule(launch: Launch) -> Check:
    """Pauses that rest on evidence; the rule `persistent` is priced in healthy experiments that it would pause."""
    try:
        config = parse_config(launch.spec.guardrail_config)
    except GuardrailConfigError:
        return launch.passed("pause_rule", "The guardrails are not valid yet; what a pause rests on is told then.")
    if config.pause_rule == "evidence":
        return launch.passed(
            "pause_rule", f"Pauses rest on evidence: a false one has a chance of at most {100 * config.alpha:g} %."
        )
    known = orders_of_variant_daily(launch)
    daily = ASSUMED_DAILY if known is None else known
    chance = false_pause_chance(launch, config, daily)
    traffic = f"{'' if known else 'an assumed '}{daily:,.0f} orders a day a variant"
    sentence = (
        f"The rule persistent would pause {100 * chance:.0f} % of healthy experiments within {DAYS} days: offers that "
        f"lie {100 * HEALTHY_MARGIN:.0f} % inside their bound, at {traffic}. "
        "It ignores the control and stands outside every stated error. "
        f"Reason given: {config.pause_rule_reason or 'none'}."
    )
    return Check("pause_rule", "warn", sentence, launch.edit_url)


def false_pause_chance(launch: Launch, config: GuardrailConfig, daily: float) -> float:
    """Return the chance that at least one healthy test variant is paused within 14 days, in [0, 1].

    Args:
        launch: the wanted experiment: its test variants and sample guardrail.
        config: its guardrails.
        daily: orders a day of one variant.
    """
    smallest = batch_size(effective_minimum(config, launch.spec.sample_size_guardrail))
    plan = plan_batches(smallest, daily / 24, DAYS * 24)
    tests = sum(not variant.is_control for variant in launch.spec.variants)
    survived = math.prod(1 - _chance(config, plan, bound) for bound in config.bounds)
    return 1 - survived**tests


def _chance(config: GuardrailConfig, plan: BatchPlan, bound: str) -> float:
    if bound == "max_drop_vs_control":
        return 0.0  # a drop rests on evidence under every rule
    is_maximum, threshold = bound == "max_acceptance_rate", float(getattr(config, bound))
    healthy = threshold * (1 - HEALTHY_MARGIN if is_maximum else 1 + HEALTHY_MARGIN)
    if healthy >= 1:
        return 0.0
    bad = chance_of_bad_batch(healthy, threshold, plan.size, is_maximum=is_maximum)
    return chance_of_run(bad, plan.count, config.consecutive)
