"""The timeline tells news: who did what in words, and verdicts where they change."""

from __future__ import annotations

import datetime as dt

import pytest

from catalog_experiments.admin.timeline import timeline
from catalog_experiments.audit import record_event
from catalog_experiments.enforcement import evaluate
from catalog_experiments.models import GuardrailEvaluation
from tests.builders import NOON, make_running_experiment
from tests.catalog_experiments.buyers import add_buyers

pytestmark = pytest.mark.django_db


def test_timeline__check_after_check_without_news__is_one_line() -> None:
    experiment = make_running_experiment()
    for hours in range(1, 4):
        for key in ("control", "test"):
            add_buyers(experiment, key, 100, 30, at=NOON + dt.timedelta(hours=hours, minutes=-30))
        evaluate(experiment.pk, now=NOON + dt.timedelta(hours=hours))

    told = [moment.headline for moment in timeline(experiment) if moment.headline.startswith("Guardrails")]

    assert GuardrailEvaluation.objects.count() == 3
    assert told == ["Guardrails: healthy", "Guardrails: collecting"]


@pytest.mark.parametrize(
    ("actor", "action", "headline", "detail"),
    [
        ("user:mara", "publish", "Published by mara", "ready"),
        ("key:checkout", "update", "Changed by API key checkout", "ready · changed: guardrail config"),
        ("system:guardrails", "pause", "Paused by the system (guardrails)", "ready"),
        ("system:telemetry", "retire_facts", "Retire facts by the system (telemetry)", "ready"),
    ],
)
def test_timeline__event__names_deed_and_doer(actor: str, action: str, headline: str, detail: str) -> None:
    experiment = make_running_experiment()
    after: dict[str, object] = {"guardrail_config": {}}
    record_event(experiment, actor=actor, action=action, reason="ready", before={}, after=after, now=NOON)

    moment = next(own for own in timeline(experiment) if own.at == NOON and own.headline == headline)

    assert moment.detail == detail
