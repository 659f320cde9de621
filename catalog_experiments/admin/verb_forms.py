"""The questions asked before a verb: why, which conclusion, which variant ships."""

from typing import Any, cast

from django import forms

from catalog_experiments.lifecycle import conclusion_warnings
from catalog_experiments.models import Conclusion, Experiment, PauseCause

_NEEDS_REASON = (PauseCause.BREACHED, PauseCause.OUTAGE)


class VerbForm(forms.Form):
    """A verb's form: carries the lock version that the person saw, so that a stale page changes nothing."""

    lock_version = forms.IntegerField(widget=forms.HiddenInput)

    def __init__(self, *args: Any, experiment: Experiment, **kwargs: Any) -> None:
        """Remember the experiment and the version shown."""
        super().__init__(*args, **kwargs)
        self.experiment = experiment
        self.fields["lock_version"].initial = experiment.lock_version

    def arguments(self) -> dict[str, Any]:
        """Return the verb's own arguments for the domain call."""
        return {name: value for name, value in self.cleaned_data.items() if name != "lock_version"}


def _reason(*, required: bool, help_text: str) -> forms.CharField:
    return forms.CharField(
        label="Why", required=required, max_length=500, help_text=help_text, widget=forms.Textarea(attrs={"rows": 2})
    )


class PublishForm(VerbForm):
    """Publishing asks for an optional reason."""

    reason = _reason(required=False, help_text="Optional; stands in the audit trail.")


class PauseForm(VerbForm):
    """Pausing asks why, and whether product pages go back to their baseline."""

    reason = _reason(required=True, help_text="What did you see? The next person reads this.")
    push_baseline = forms.BooleanField(
        label="Push CMS overrides back to the baseline bundles", required=False, initial=False
    )


class ResumeForm(VerbForm):
    """Resuming asks why; after a guardrail's pause a reason is required."""

    reason = _reason(required=False, help_text="Required after a pause by a guardrail: what has changed?")

    def clean_reason(self) -> str:
        """Insist on a reason where the guardrails had paused."""
        reason = str(self.cleaned_data["reason"]).strip()
        if not reason and self.experiment.pause_cause in _NEEDS_REASON:
            raise forms.ValidationError("A guardrail paused this experiment: say what has changed.", code="required")
        return reason


class CompleteForm(VerbForm):
    """Completing asks for the conclusion, the shipped variant and the learnings.

    A conclusion that deserves a second look is warned of, and stands only once somebody says that it is meant.
    """

    conclusion = forms.ChoiceField(
        choices=[("", "Choose what it came to"), *(choice for choice in Conclusion.choices if choice[0])]
    )
    winner_key = forms.ChoiceField(label="Variant to ship", required=False)
    learnings = forms.CharField(required=False, widget=forms.Textarea(attrs={"rows": 3}), max_length=5000)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Offer the experiment's own variants."""
        super().__init__(*args, **kwargs)
        keys = [(variant.key, variant.name) for variant in self.experiment.variants.all()]
        winner = cast("forms.ChoiceField", self.fields["winner_key"])
        winner.choices = [("", "None: shoppers see the control"), *keys]
        asked = self.data.get("conclusion", ""), self.data.get("winner_key")
        self.warnings = conclusion_warnings(self.experiment.slug, *asked)
        if self.warnings:
            self.fields["is_meant"] = forms.BooleanField(
                label="Yes, nothing shall ship", error_messages={"required": "Tick this, or name the variant to ship."}
            )

    def arguments(self) -> dict[str, Any]:
        """Turn 'none' into None; that a warning was seen is for the page alone."""
        given = {name: value for name, value in super().arguments().items() if name != "is_meant"}
        return given | {"winner_key": given["winner_key"] or None}


class ConcludeForm(CompleteForm):
    """Stating the conclusion asks what completing asks; what was said before stands there already."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Begin with what is known."""
        super().__init__(*args, **kwargs)
        winner = self.experiment.winner
        self.initial = {
            **self.initial,
            "conclusion": self.experiment.conclusion,
            "winner_key": winner.key if winner else "",
            "learnings": self.experiment.learnings,
        }


class RenewForm(VerbForm):
    """A new phase asks why: the numbers so far end here."""

    reason = _reason(required=True, help_text="What was wrong with the numbers so far, and what was done about it?")


class AdvanceRampForm(VerbForm):
    """Taking a ramp's next step by hand asks for an optional reason."""

    reason = _reason(required=False, help_text="Optional; stands in the audit trail.")


class StopRampForm(VerbForm):
    """Stopping a ramp asks why."""

    reason = _reason(required=True, help_text="Why no further? The next person reads this.")


class DeleteForm(VerbForm):
    """Deleting a draft asks for nothing."""
