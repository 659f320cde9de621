"""Guardrails as the pages ask for them: rates in per cent, under one name on the draft page and on the backtest's.

What a number may be is the domain's to say (`guardrails.parse_config`); a field refuses only what is clearly none.
"""

from collections.abc import Mapping
from typing import Any

from django import forms

RATES: Mapping[str, str] = {
    "min_acceptance_percent": "min_acceptance_rate",
    "max_acceptance_percent": "max_acceptance_rate",
    "max_drop_percent": "max_drop_vs_control",
}
"""The bounds by the field that asks for them."""


def percent_of(rate: float | None) -> float | None:
    """Return a rate in (0, 1) as a field shows it; None, which is not enforced, as blank."""
    return None if rate is None else round(100 * rate, 6)


def rates_in(cleaned: Mapping[str, Any]) -> dict[str, float | str]:
    """Return the bounds that a form gives, as fractions; a blank one is left out, one that is no number stays so."""
    given = {name: cleaned[field] for field, name in RATES.items() if cleaned[field] not in (None, "")}
    # Rounded as `percent_of` is: 12.3 / 100 is 0.12300000000000001, an edit that nobody made.
    return {name: rate if isinstance(rate, str) else round(rate / 100, 8) for name, rate in given.items()}


def bound(label: str, help_text: str = "") -> forms.FloatField:
    """Ask for a bound in per cent; blank is not enforced."""
    return forms.FloatField(label=label, required=False, min_value=0.01, max_value=99.99, help_text=help_text)


def sample_before_verdict(**options: Any) -> forms.IntegerField:
    """Ask for the orders of each variant before which its guardrails are not judged."""
    return forms.IntegerField(label="Orders before a verdict", min_value=0, max_value=1_000_000, **options)


def alpha(help_text: str) -> forms.FloatField:
    """Ask for the chance of a false pause, a fraction; 0.5 itself is refused by the domain."""
    return forms.FloatField(
        label="Chance of a false pause", required=False, min_value=0.0001, max_value=0.5, help_text=help_text
    )


def pause_rule(help_text: str = "") -> forms.ChoiceField:
    """Ask what pauses: the evidence, or misses one after the other."""
    rules = [("evidence", "on evidence"), ("persistent", "on misses in a row")]
    return forms.ChoiceField(required=False, choices=rules, help_text=help_text)


def consecutive() -> forms.IntegerField:
    """Ask after how many misses one after the other the rule `persistent` pauses."""
    help_text = "Matters only to that rule. Blank: 3."
    return forms.IntegerField(label="Misses in a row", required=False, min_value=1, max_value=100, help_text=help_text)
