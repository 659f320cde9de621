"""What the backtest page asks: guardrails in per cent, named as on the draft page, and how much of the past."""

from collections.abc import Iterable, Mapping
from typing import Any

from django import forms

from catalog_experiments.admin import guardrail_fields
from catalog_experiments.admin.guardrail_fields import RATES, percent_of, rates_in
from catalog_experiments.backtest import BOUNDED_LOOKS, Options
from catalog_experiments.field_errors import FieldError
from catalog_experiments.guardrails import GuardrailConfig, GuardrailConfigError, parse_config
from catalog_experiments.models import Experiment


class BacktestForm(forms.Form):
    """Guardrails to try out; blank fields are not enforced."""

    min_acceptance_percent = guardrail_fields.bound("Least acceptance, %")
    max_acceptance_percent = guardrail_fields.bound("Most acceptance, %")
    max_drop_percent = guardrail_fields.bound("Largest drop against control, %")
    sample_size_guardrail = guardrail_fields.sample_before_verdict(required=False, help_text="Per variant.")
    alpha = guardrail_fields.alpha("Of the whole experiment. Blank: 0.05.")
    pause_rule = guardrail_fields.pause_rule()
    consecutive = guardrail_fields.consecutive()
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
        rule = {"pause_rule": cleaned["pause_rule"]} if cleaned["pause_rule"] == "persistent" else {}
        consecutive = {"consecutive": cleaned["consecutive"]} if rule and cleaned["consecutive"] else {}
        alpha = {} if cleaned["alpha"] is None else {"alpha": cleaned["alpha"]}
        return {**rates_in(cleaned), **alpha, **rule, **consecutive}

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
        fields = {name: field for field, name in RATES.items()}
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
    return {
        **{field: percent_of(getattr(config, name)) for field, name in RATES.items()},
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
