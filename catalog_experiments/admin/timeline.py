"""Everything that happened to an experiment in one list, newest first: edits, publications, verdicts, alerts."""

import datetime as dt
import heapq
from dataclasses import dataclass
from itertools import islice

from django.urls import reverse

from catalog_experiments.admin.states import verdict_state
from catalog_experiments.models import Experiment, ExperimentEvent, GuardrailEvaluation
from notifications.models import Alert

_LENGTH = 50


@dataclass(frozen=True, slots=True)
class Moment:
    """One line of the timeline; `detail` and `url` may be ''."""

    at: dt.datetime
    headline: str
    detail: str
    url: str


def timeline(experiment: Experiment) -> list[Moment]:
    """Return the newest 50 events, evaluations and alerts of an experiment, newest first."""
    events = (_event(event) for event in ExperimentEvent.objects.filter(experiment=experiment)[:_LENGTH])
    records = GuardrailEvaluation.objects.filter(experiment=experiment).order_by("-sequence")[:_LENGTH]
    evaluations = (_evaluation(experiment.slug, record) for record in records)
    sent = Alert.objects.filter(facts__data__experiment=experiment.slug)[:_LENGTH]
    merged = heapq.merge(events, evaluations, map(_alert, sent), key=lambda moment: moment.at, reverse=True)
    return list(islice(merged, _LENGTH))


def _event(event: ExperimentEvent) -> Moment:
    changed = ", ".join(sorted(set(event.before) | set(event.after)))
    detail = " · ".join(part for part in (event.reason, f"changed: {changed}" if changed else "") if part)
    return Moment(event.occurred_at, f"{event.actor} · {event.action}", detail, "")


def _alert(alert: Alert) -> Moment:
    url = reverse("admin:notifications_alert_change", args=[alert.pk])
    return Moment(alert.created_at, f"Alert: {alert.subject}", alert.summary, url)


def _evaluation(slug: str, record: GuardrailEvaluation) -> Moment:
    url = reverse("control-center-evaluation", args=[slug, record.sequence])
    word = verdict_state(record.verdict).word.lower()
    return Moment(record.evaluated_at, f"Guardrails: {word}", f"action: {record.get_action_display().lower()}", url)
