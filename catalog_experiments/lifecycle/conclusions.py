"""What an experiment came to: the stated conclusion, the variant that ships, and the report frozen at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder

from catalog_experiments.analysis import analyze
from catalog_experiments.drafting.validation import InvalidExperiment, text_errors
from catalog_experiments.field_errors import FieldError, choice_errors
from catalog_experiments.models import Conclusion, Experiment, Variant
from catalog_experiments.preflight import Check

LONGEST_LEARNINGS = 20_000
CONCLUSION_FIELDS = ("conclusion", "winner", "learnings")


def state_conclusion(experiment: Experiment, conclusion: str, winner_key: str | None, learnings: str) -> None:
    """Set what an experiment came to; the caller saves `CONCLUSION_FIELDS`.

    Raises:
        InvalidExperiment: no such conclusion or variant, or learnings that cannot be stored.
    """
    winner = experiment.variants.filter(key=winner_key).first() if winner_key else None
    if errors := list(_errors(conclusion, winner_key, winner, learnings)):
        raise InvalidExperiment(errors)
    experiment.conclusion, experiment.winner, experiment.learnings = conclusion, winner, learnings


def conclusion_warnings(slug: str, conclusion: str, winner_key: str | None) -> list[Check]:
    """Return what about a conclusion deserves a second look, in the form of the launch checklist; nothing is refused.

    >>> [check.code for check in conclusion_warnings("cups", "won", None)], conclusion_warnings("cups", "won", "test")
    (['nothing_ships'], [])
    """
    if conclusion != Conclusion.WON or winner_key:
        return []
    sentence = "It won, yet nothing ships: every shopper goes on seeing the control. Name the variant to ship."
    return [Check("nothing_ships", "warn", sentence, f"/admin/merchandising/bundles/{slug}/conclude")]


def freeze_report(experiment: Experiment, *, now: datetime) -> None:
    """Append the next revision of the report as it reads now; earlier ones stay. The caller saves `final_report`."""
    report = json.loads(json.dumps(asdict(analyze(experiment, now=now)), cls=DjangoJSONEncoder))
    entry: dict[str, Any] = {
        "revision": len(experiment.final_report),
        "frozen_at": now.isoformat(),
        "report": report,
    }
    experiment.final_report = [*experiment.final_report, entry]


def _errors(conclusion: str, winner_key: str | None, winner: Variant | None, learnings: str) -> Iterator[FieldError]:
    yield from choice_errors("conclusion", conclusion, Conclusion.values)
    yield from text_errors("learnings", learnings, LONGEST_LEARNINGS)
    if winner_key and winner is None:
        yield FieldError("winner_key", "unknown_variant", f"There is no variant {winner_key!r}; name one or none.")
