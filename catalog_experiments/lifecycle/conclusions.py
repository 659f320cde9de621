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
