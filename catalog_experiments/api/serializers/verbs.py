"""What the lifecycle verbs ask for besides the experiment."""

from __future__ import annotations

from catalog_experiments.api.serializers.fields import ChoiceField, FlagField, SlugField, StrictSerializer, TextField
from catalog_experiments.models import Conclusion


class ReasonSerializer(StrictSerializer):
    """Why; kept in the events."""

    reason = TextField(max_length=2_000, allow_blank=True, required=False)


class PauseSerializer(ReasonSerializer):
    """Why, and whether the product page goes back to its baseline."""

    push_baseline = FlagField(required=False, help_text="Push the CMS overrides back to baseline.")


class ConclusionSerializer(StrictSerializer):
    """What the experiment came to."""

    conclusion = ChoiceField(choices=Conclusion.choices, allow_blank=True)
    winner = TextField(
        source="winner_key", max_length=100, allow_null=True, required=False, help_text="Key of the variant to ship."
    )
    learnings = TextField(max_length=10_000, allow_blank=True, required=False)


class CompleteSerializer(ConclusionSerializer):
    """What the experiment came to, as far as it is known, and why it ends."""

    conclusion = ChoiceField(choices=Conclusion.choices, allow_blank=True, required=False)
    reason = TextField(max_length=2_000, allow_blank=True, required=False)


class CloneSerializer(StrictSerializer):
    """How the new draft is called."""

    slug = SlugField(max_length=150)
    name = TextField(max_length=200)
