"""The merchandisers' landing page and the page of one experiment, and the addresses of the whole control center."""

import datetime as dt

from django.db.models import Prefetch
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern
from django.utils import timezone

from catalog_experiments.admin.backtest import backtest_page
from catalog_experiments.admin.bounds import earlier_spendings
from catalog_experiments.admin.canary import canary_alarm_page, standing_alarms
from catalog_experiments.admin.cards import build_card
from catalog_experiments.admin.confirmations import newest_sightings
from catalog_experiments.admin.drafts import clone_page, edit_page, new_page
from catalog_experiments.admin.force_links import force_links
from catalog_experiments.admin.intake_answers import answer_table
from catalog_experiments.admin.overview import (
    PAGE_SIZE,
    VIEWS,
    cards,
    experiments_in,
    figures,
    needs_attention,
    views,
)
from catalog_experiments.admin.pages import page, requires, service_for, show
from catalog_experiments.admin.pauses import acknowledge_pause, explained_pause
from catalog_experiments.admin.results import main_rows, other_rows, result_rows, segment_tables
from catalog_experiments.admin.timeline import timeline
from catalog_experiments.admin.trust import trust_rows, unit_rows
from catalog_experiments.admin.verbs import VERBS, evaluate_now, offered_verbs, verb_page
from catalog_experiments.analysis import analyze
from catalog_experiments.analysis.daily import daily_acceptance
from catalog_experiments.enforcement import report as report_verdicts
from catalog_experiments.guardrails import GuardrailConfigError
from catalog_experiments.models import Experiment, GuardrailEvaluation, PauseCause, Variant
from catalog_experiments.ramping import samples_since_step

_VARIANTS = Prefetch("variants", queryset=Variant.objects.select_related("bundle"))


@requires("view_experiment")
def landing(request: HttpRequest) -> HttpResponse:
    """Show the figures and a card per experiment, those that need attention first."""
    now = timezone.now()
    view = request.GET.get("view", "active")
    search = request.GET.get("q", "").strip()[:100]
    if view not in VIEWS:
        raise Http404(f"No view {view!r}; there are {', '.join(VIEWS)}.")
    shown = cards(experiments_in(view, search)[:PAGE_SIZE], now=now)
    return show(
        request,
        "landing.html",
        title="Experimentation control center",
        now=now,
        figures=figures(shown, is_part=bool(search) or view in ("drafts", "completed"), now=now),
        views=views(view),
        view=view,
        search=search,
        attention=[card for card in shown if needs_attention(card)],
        quiet=[card for card in shown if not needs_attention(card)],
        total=len(shown),
        canary_alarms=standing_alarms(),
        answers=answer_table(now=now),
    )


@requires("view_experiment")
def detail(request: HttpRequest, slug: str) -> HttpResponse:
    """Show one experiment: what to do now, variants, business results, guardrails, trust and timeline."""
    now = timezone.now()
    experiment = find_experiment(slug)
    report = analyze(experiment, now=now) if experiment.current_phase_id else None
    phase_id = experiment.current_phase_id
    evaluation = GuardrailEvaluation.objects.newest_of([phase_id]).get(phase_id)
    daily = daily_acceptance([experiment]).get(experiment.pk, {})
    sighting = newest_sightings([experiment]).get(experiment.pk)
    samples = samples_since_step([experiment]).get(experiment.pk, {})
    spendings = earlier_spendings([experiment]).get(experiment.pk, [])
    results = result_rows(report)
    return show(
        request,
        "detail.html",
        title=experiment.name,
        now=now,
        card=build_card(experiment, report, evaluation, daily, sighting, samples=samples, spendings=spendings, now=now),
        experiment=experiment,
        report=report,
        results=main_rows(results),
        more_results=other_rows(results),
        segments=segment_tables(report),
        trust=trust_rows(report),
        units=unit_rows(report),
        days=daily,
        verbs=offered_verbs(request, experiment),
        would_no_longer_cross=_would_no_longer_cross(experiment, now),
        timeline=timeline(experiment),
        force_links=force_links(experiment),
    )


def _would_no_longer_cross(experiment: Experiment, now: dt.datetime) -> bool:
    """Say whether revisions since an automatic pause took its evidence away; the pause stands all the same."""
    if experiment.pause_cause not in (PauseCause.BREACHED, PauseCause.OUTAGE):
        return False
    try:
        return report_verdicts(experiment, now=now).would_no_longer_cross
    except GuardrailConfigError:
        return False  # unreadable guardrails are the checklist's to tell


def find_experiment(slug: str) -> Experiment:
    """Load an experiment with what its page shows.

    Raises:
        Http404: no experiment has this slug.
    """
    # Mostly there is no winner, and the phase comes with the report: a join costs more than a look-up by key.
    experiments = Experiment.objects.prefetch_related("owner", "winner", _VARIANTS)
    experiment = experiments.filter(slug=slug).first()
    if experiment is None:
        raise Http404(f"No experiment {slug!r}.")
    return experiment


@requires("view_experiment")
def preflight(request: HttpRequest, slug: str) -> HttpResponse:
    """Show the launch checklist with its sentences and links to fix what fails."""
    experiment = find_experiment(slug)
    checks = service_for(request).preflight(slug, now=timezone.now())
    return show(
        request,
        "preflight.html",
        title=f"Launch checklist of {experiment.name}",
        experiment=experiment,
        checks=checks,
        launch=next((verb for verb in offered_verbs(request, experiment) if verb.name in ("publish", "resume")), None),
    )


@requires("view_guardrailevaluation")
def evaluation_record(request: HttpRequest, slug: str, sequence: int) -> HttpResponse:
    """Show one frozen evaluation record: what was measured, the limits, the evidence, and its place in the chain."""
    record = (
        GuardrailEvaluation.objects.select_related("experiment", "phase")
        .filter(experiment__slug=slug, sequence=sequence)
        .first()
    )
    if record is None:
        raise Http404(f"No evaluation {sequence} of {slug!r}.")
    return show(request, "evaluation.html", title=f"Evaluation {sequence} of {record.experiment.name}", record=record)


_SLUG = r"/(?P<slug>[a-z0-9_-]+)"
_UUID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"

control_center_urls: list[URLPattern] = [
    page("", landing, "control-center"),
    page("/new", new_page, "control-center-new"),
    page(f"/canary-alarms/(?P<alarm_id>{_UUID})", canary_alarm_page, "control-center-canary-alarm"),
    page(_SLUG, detail, "control-center-experiment"),
    page(f"{_SLUG}/edit", edit_page, "control-center-edit"),
    page(f"{_SLUG}/clone", clone_page, "control-center-clone"),
    page(f"{_SLUG}/preflight", preflight, "control-center-preflight"),
    page(f"{_SLUG}/guardrail-backtest", backtest_page, "control-center-backtest"),
    page(f"{_SLUG}/evaluate", evaluate_now, "control-center-evaluate"),
    page(rf"{_SLUG}/evaluations/(?P<sequence>\d+)", evaluation_record, "control-center-evaluation"),
    page(rf"{_SLUG}/pauses/(?P<sequence>\d+)", explained_pause, "control-center-pause"),
    page(rf"{_SLUG}/pauses/(?P<sequence>\d+)/acknowledge", acknowledge_pause, "control-center-pause-acknowledge"),
    page(
        rf"{_SLUG}/(?P<verb>{'|'.join(VERBS)})",
        verb_page,
        "control-center-verb",
    ),
]
