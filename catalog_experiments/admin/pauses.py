"""Where the links of Slack and email land: why a machine paused an experiment, and the decision that is due."""

import datetime as dt
import math
from dataclasses import asdict, dataclass

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from catalog_experiments.admin.bounds import drop_currency_of, within_text
from catalog_experiments.admin.confirmations import newest_sightings
from catalog_experiments.admin.evidence_chart import EvidenceChart, drop_chart, evidence_chart
from catalog_experiments.admin.pages import actor_of, requires, show
from catalog_experiments.admin.reasons import ACCEPTANCE_BOUNDS
from catalog_experiments.admin.states import PAUSED_BY_GUARDRAIL
from catalog_experiments.admin.verbs import Verb, offered_verbs
from catalog_experiments.enforcement import Explanation, explain
from catalog_experiments.enforcement.alert_facts import BOUND_NAMES
from catalog_experiments.enforcement.alerts import DROP_NAMES, sentence_of
from catalog_experiments.guardrails import Verdict
from catalog_experiments.models import ExperimentStatus, GuardrailEvaluation
from catalog_experiments.phrasing import contrast_text, rate_text, times_text
from notifications import outbox
from notifications.models import Alert

_DECISIONS = ("complete", "resume")
_MOST_EXPONENT = 50.0
_DROPPED = {
    "conversion": "Fewer shoppers buy with the test offer",
    "take_rate": "Fewer shoppers take the test offer than the control's",
    "revenue": "Shoppers spend less with the test offer",
}
_SHORT_PATH = dt.timedelta(hours=6)
"""A path as short as this is told step by step, a longer one by day."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One figure of the top row: label, number, and a line of context."""

    label: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class PathRow:
    """One line of the path's table: the last record of a UTC day, of a short path each record."""

    until: str
    sample: int
    accepted: int
    rate: str
    evidence: str


@dataclass(frozen=True, slots=True)
class DropWords:
    """How the chart of a drop is told: the unit of its axis, what of the control is the least, and where it ended."""

    unit: str
    least: str
    last: str


@requires("view_guardrailevaluation")
def explained_pause(request: HttpRequest, slug: str, sequence: int) -> HttpResponse:
    """Show what was measured, the limit, how the evidence grew, what the next day would bring, and the choices."""
    explanation = _explained(slug, sequence)
    record = explanation.record
    experiment = record.experiment
    return show(
        request,
        "pause.html",
        title=f"Why {experiment.name} was paused",
        experiment=experiment,
        record=record,
        state=PAUSED_BY_GUARDRAIL,
        explanation=explanation,
        headline=_headline(explanation),
        sentence=sentence_of(explanation.stopped, _drop_metric(explanation)),
        one_in=round(explanation.evidence.pause_line),
        figures=_figures(explanation),
        chart=_chart(explanation),
        path=_path_rows(explanation),
        evidence=_evidence_text(explanation.evidence.log_e),
        drop=_drop_words(explanation) if _is_drop(explanation) else None,
        alert=_alert_of(record),
        sighting=newest_sightings([experiment]).get(experiment.pk),
        is_standing=_stands(explanation),
        decisions=_decisions(request, explanation),
    )


@require_POST
@requires("view_guardrailevaluation")
def acknowledge_pause(request: HttpRequest, slug: str, sequence: int) -> HttpResponse:
    """Note that somebody looks after the pause; the first name stays."""
    record = _explained(slug, sequence).record
    alert = _alert_of(record)
    if alert is not None and outbox.acknowledge(alert, actor=actor_of(request), now=timezone.now()):
        messages.success(request, "Acknowledged: your name stands beside the alert.")
    else:
        messages.info(request, "Nothing to acknowledge: somebody looks after it already.")
    return redirect("control-center-pause", slug, sequence)


def _explained(slug: str, sequence: int) -> Explanation:
    records = GuardrailEvaluation.objects.select_related("experiment__owner", "experiment__current_phase", "phase")
    record = records.filter(experiment__slug=slug, sequence=sequence).first()
    explanation = explain(record) if record is not None else None
    if explanation is None:
        raise Http404(f"Evaluation {sequence} of {slug!r} paused nothing.")
    return explanation


def _headline(explanation: Explanation) -> str:
    bound, verdict = explanation.evidence.bound, explanation.stopped.verdict
    what = {
        "min_acceptance_rate": "Too few shoppers took the test offer",
        "max_acceptance_rate": "More shoppers took the test offer than can be right",
        "max_drop_vs_control": _DROPPED[_drop_metric(explanation)],
        "exposure_share": "The test offer reaches fewer visitors than planned",
    }[bound]
    if verdict == Verdict.OUTAGE:
        return f"{what}, far beyond anything that chance explains."
    return f"{what}, and this is very unlikely to be chance."


def _drop_metric(explanation: Explanation) -> str:
    return str(explanation.record.inputs["frame"]["config"]["drop_metric"])


def _figures(explanation: Explanation) -> list[Measured]:
    evidence, control = explanation.evidence, explanation.control
    within = within_text(asdict(evidence), drop_currency_of(explanation.record.phase))
    limit_note = "; ".join(note for note in (BOUND_NAMES[evidence.bound], within) if note)
    rows = [
        _measured(explanation),
        Measured("Limit", rate_text(evidence.threshold), limit_note),
        Measured("Evidence", _evidence_text(evidence.log_e), f"pauses at {times_text(evidence.pause_line)}"),
    ]
    if control is not None and evidence.bound in ACCEPTANCE_BOUNDS:
        note = f"{control.accepted:,} of {control.sample:,} orders"
        rows.append(Measured("Control, same time", rate_text(control.rate), note))
    return rows


def _measured(explanation: Explanation) -> Measured:
    stopped, evidence, phase = explanation.stopped, explanation.evidence, explanation.record.phase
    label, since = f"Measured, {stopped.variant_key}", f"since {phase.opened_at:%-d %B}"
    if evidence.bound == "max_drop_vs_control":
        note = f"{DROP_NAMES[_drop_metric(explanation)]} less {100 * (1 - evidence.threshold):g} % of the control's"
        return Measured(label, contrast_text(evidence.estimate, drop_currency_of(phase)), f"{note}, within 24 hours")
    if evidence.bound == "exposure_share":
        return Measured(label, rate_text(evidence.estimate), f"of the experiment's visitors {since}")
    return Measured(label, rate_text(evidence.estimate), f"{stopped.accepted:,} of {stopped.sample:,} orders {since}")


def _evidence_text(log_e: float | None) -> str:
    return "sequence below 0" if log_e is None else times_text(math.exp(min(log_e, _MOST_EXPONENT)))


def _is_drop(explanation: Explanation) -> bool:
    return explanation.evidence.bound == "max_drop_vs_control"


def _chart(explanation: Explanation) -> EvidenceChart | None:
    if not _is_drop(explanation):
        return evidence_chart(explanation.path, explanation.evidence.pause_line)
    return drop_chart(explanation.path, 0.01 if drop_currency_of(explanation.record.phase) else 100)


def _drop_words(explanation: Explanation) -> DropWords:
    currency = drop_currency_of(explanation.record.phase)
    least, last = 1 - explanation.evidence.threshold, contrast_text(explanation.evidence.limit, currency)
    return DropWords(currency or "points", f"{100 * least:g} %", last)


def _path_rows(explanation: Explanation) -> list[PathRow]:
    path, currency = explanation.path, drop_currency_of(explanation.record.phase)
    is_short = path[-1].at - path[0].at < _SHORT_PATH if path else False
    newest = {f"{point.at:%F %R}" if is_short else f"{point.at:%F}": point for point in path}
    return [
        PathRow(
            until=f"{point.at:%-d %b, %H:%M}",
            sample=point.sample,
            accepted=point.accepted,
            rate=rate_text(point.accepted / point.sample if point.sample else None),
            evidence=contrast_text(point.limit, currency) if _is_drop(explanation) else _evidence_text(point.log_e),
        )
        for point in newest.values()
    ]


def _alert_of(record: GuardrailEvaluation) -> Alert | None:
    keys = [f"{kind}:{record.experiment_id}:{record.phase.number}" for kind in ("pause", "would-pause")]
    return Alert.objects.filter(dedupe_key__in=keys).order_by("created_at").first()


def _stands(explanation: Explanation) -> bool:
    """Say whether the pause of the record is still what shoppers meet."""
    experiment = explanation.record.experiment
    return experiment.status == ExperimentStatus.PAUSED and experiment.current_phase_id == explanation.record.phase_id


def _decisions(request: HttpRequest, explanation: Explanation) -> dict[str, Verb]:
    """Return what may be decided here by this person; nothing once the phase of the record is not the current one."""
    experiment = explanation.record.experiment
    if experiment.current_phase_id != explanation.record.phase_id:
        return {}
    return {verb.name: verb for verb in offered_verbs(request, experiment) if verb.name in _DECISIONS}
