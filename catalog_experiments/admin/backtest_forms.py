"""What the backtest page asks: guardrails in per cent, named as on the draft page, and how much of the past."""

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms

from catalog_experiments.backtest import BOUNDED_LOOKS, Options
from catalog_experiments.guardrails import FieldError, GuardrailConfig, GuardrailConfigError, parse_config
from catalog_experiments.models import Experiment

_RATES = {
    "min_acceptance_percent": "min_acceptance_rate",
    "max_acceptance_percent": "max_acceptance_rate",
    "max_drop_percent": "max_drop_vs_control",
}


class BacktestForm(forms.Form):
    """Guardrails to try out; blank fields are not enforced."""

    min_acceptance_percent = forms.FloatField(
        label="Least acceptance, %", required=False, min_value=0.01, max_value=99.99
    )
    max_acceptance_percent = forms.FloatField(
        label="Most acceptance, %", required=False, min_value=0.01, max_value=99.99
    )
    max_drop_percent = forms.FloatField(
        label="Largest drop against control, %", required=False, min_value=0.01, max_value=99.99
    )
    sample_size_guardrail = forms.IntegerField(
        label="Orders before a verdict", required=False, min_value=0, max_value=1_000_000, help_text="Per variant."
    )
    alpha = forms.FloatField(
        label="Chance of a false pause",
        required=False,
        min_value=0.0001,
        max_value=0.4999,
        help_text="Of the whole experiment. Blank: 0.05.",
    )
    pause_rule = forms.ChoiceField(
        required=False, choices=[("evidence", "on evidence"), ("persistent", "on misses in a row")]
    )
    consecutive = forms.IntegerField(
        label="Misses in a row",
        required=False,
        min_value=1,
        max_value=100,
        help_text="Matters only to that rule. Blank: 3.",
    )
    wanted_percent = forms.FloatField(
        label="Wanted false pauses, %",
        required=False,
        min_value=0,
        max_value=50,
        help_text="The suggested threshold keeps to it. Blank: 1.",
    )
    phase_days = forms.IntegerField(
        label="Length of a made-up phase, days", required=False, min_value=1, max_value=56, help_text="Blank: 14."
    )
    lookback_days = forms.IntegerField(
        label="Days of the past", required=False, min_value=1, max_value=730, help_text="Blank: 90."
    )

    def config(self) -> dict[str, Any]:
        """Return the proposed guardrails of a valid form."""
        cleaned = self.cleaned_data
        # Rounded as the draft page does it: 12.3 / 100 is 0.12300000000000001.
        rates = {name: round(cleaned[field] / 100, 8) for field, name in _RATES.items() if cleaned[field] is not None}
        rule = {"pause_rule": cleaned["pause_rule"]} if cleaned["pause_rule"] == "persistent" else {}
        consecutive = {"consecutive": cleaned["consecutive"]} if rule and cleaned["consecutive"] else {}
        alpha = {} if cleaned["alpha"] is None else {"alpha": cleaned["alpha"]}
        return {**rates, **alpha, **rule, **consecutive}

    def options(self) -> Options:
        """Return how much is computed for a page, as a valid form asks for it."""
        cleaned, default = self.cleaned_data, Options()
        wanted = cleaned["wanted_percent"]
        return Options(
            lookback_days=cleaned["lookback_days"] or default.lookback_days,
            phase_days=cleaned["phase_days"] or default.phase_days,
            wanted_rate=default.wanted_rate if wanted is None else wanted / 100,
            resamples=100,
            most_looks=BOUNDED_LOOKS,
        )

    def place(self, errors: Iterable[FieldError]) -> None:
        """Put what the domain refuses beside its field."""
        fields = {name: field for field, name in _RATES.items()}
        for error in errors:
            name = error.field.removeprefix("guardrail_config.")
            field = fields.get(name, name)
            self.add_error(field if field in self.fields else None, error.message)


def first_values(experiment: Experiment) -> dict[str, Any]:
    """Return the experiment's own guardrails as the form writes them; none where the stored ones are not valid."""
    try:
        config = parse_config(experiment.guardrail_config)
    except GuardrailConfigError:
        config = GuardrailConfig()
    rates = {field: getattr(config, name) for field, name in _RATES.items()}
    return {
        **{field: round(100 * rate, 6) for field, rate in rates.items() if rate is not None},
        "sample_size_guardrail": experiment.sample_size_guardrail,
        "alpha": config.alpha,
        "pause_rule": config.pause_rule,
        "consecutive": config.consecutive,
        "wanted_percent": 1,
        "phase_days": 14,
        "lookback_days": 90,
    }


def wanted_values(experiment: Experiment, sent: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was sent over the experiment's own; a bound that was sent blank stays blank."""
    own = first_values(experiment)
    return {name: sent.get(name, own.get(name)) for name in BacktestForm.base_fields}
