"""Everything that happened to an experiment in one list, newest first: edits, publications, verdicts, alerts."""

import datetime as dt
import heapq
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice

from django.db.models.fields.json import KT
from django.urls import reverse

from catalog_experiments.admin.states import verdict_state
from catalog_experiments.enforcement import verdict_turns
from catalog_experiments.models import EvaluationAction, Experiment, ExperimentEvent, GuardrailEvaluation
from notifications.models import Alert

_LENGTH = 50

_DONE: Mapping[str, str] = {
    "create": "Created",
    "update": "Changed",
    "publish": "Published",
    "pause": "Paused",
    "resume": "Resumed",
    "complete": "Completed",
    "conclude": "Conclusion stated",
    "open_phase": "New phase opened",
    "ramp_advance": "Ramp climbed one step",
    "ramp_finish": "Ramp finished",
    "ramp_roll_back": "Ramp went one step back",
    "ramp_stop": "Ramp stopped",
    "schedule_refused": "Schedule not kept",
    "canary_red": "A/A canary turned red, found",
    "canary_clean": "A/A alarm ended",
    "canary_acknowledged": "A/A alarm acknowledged",
}
_TOLD_IN_FULL = ("update", "bundle")
"""Elsewhere the verb says it all."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the timeline; `detail` and `url` may be ''."""

    at: dt.datetime
    headline: str
    detail: str
    url: str


def timeline(experiment: Experiment) -> list[Moment]:
    """Return the newest 50 events, changed verdicts and alerts of an experiment, newest first."""
    events = (_event(event) for event in ExperimentEvent.objects.filter(experiment=experiment)[:_LENGTH])
    # Checks without news would fill the page.
    evaluations = (_evaluation(experiment.slug, record) for record in verdict_turns(experiment, most=_LENGTH))
    told_of = Alert.objects.alias(slug=KT("facts__data__experiment"))  # as the index spells it
    sent = told_of.filter(slug=experiment.slug).order_by("-created_at")[:_LENGTH]
    merged = heapq.merge(events, evaluations, map(_alert, sent), key=lambda moment: moment.at, reverse=True)
    return list(islice(merged, _LENGTH))


def _event(event: ExperimentEvent) -> Moment:
    names = sorted(set(event.before) | set(event.after)) if event.action in _TOLD_IN_FULL else []
    changed = ", ".join(name.replace("_", " ") for name in names)
    detail = " · ".join(part for part in (event.reason, f"changed: {changed}" if changed else "") if part)
    done = _DONE.get(event.action, event.action.replace("_", " ").capitalize())
    return Moment(event.occurred_at, f"{done} by {_who(event.actor)}", detail, "")


def _who(actor: str) -> str:
    kind, _, name = actor.partition(":")
    return {"user": name, "key": f"API key {name}"}.get(kind, f"the system ({name.replace('_', ' ')})")


def _alert(alert: Alert) -> Moment:
    url = reverse("admin:notifications_alert_change", args=[alert.pk])
    return Moment(alert.created_at, f"Alert: {alert.subject}", alert.summary, url)


def _evaluation(slug: str, record: GuardrailEvaluation) -> Moment:
    url = reverse("control-center-evaluation", args=[slug, record.sequence])
    word = verdict_state(record.verdict).word.lower()
    action = "" if record.action == EvaluationAction.NONE else record.get_action_display()
    return Moment(record.evaluated_at, f"Guardrails: {word}", action, url)
